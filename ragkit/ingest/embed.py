"""The embed stage: texts become unit vectors, in batches, while the caller works on."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import EmbeddingFailedError, ModelResponseError
from ragkit.system import DaemonPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from ragkit.protocols import Embedder, Vectors

BATCH_TEXTS = 32
IN_FLIGHT = 3  # batches: one being answered, one on its way, so that no server slot falls idle
AHEAD = 64  # batches that wait, are in flight or are done: work for the time of a commit
UNIT_TOLERANCE = 1e-3


def embedder_record(embedder: Embedder) -> dict[str, Any]:
    """What an index remembers of its embedder, as JSON values."""
    return {
        "backend": embedder.backend,
        "name": embedder.name,
        "digest": embedder.digest,
        "dim": embedder.dim,
        "options": dict(embedder.options),
    }


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """Vectors of one batch: float32, shape (len(keys), dim); ``failed`` maps a key to why."""

    keys: tuple[bytes, ...]
    vectors: Vectors
    failed: Mapping[bytes, str] = field(default_factory=dict)


class EmbeddingQueue:
    """Embeds batches in the background, in order, with a bounded number under way.

    Usage: `put` texts as they come, and after each `put` take what `ready` yields; at the end
    take what `drain` yields. Put no more while it `is_deep`.

    Args:
        embedder: Its ``embed_documents`` is called from up to `IN_FLIGHT` threads.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._waiting: list[tuple[bytes, str]] = []
        self._running: deque[Future[EmbeddedBatch]] = deque()
        self._sent_at: deque[float] = deque()
        self._pool = DaemonPool(IN_FLIGHT)

    def put(self, key: bytes, text: str) -> None:
        """Queue a text."""
        self._waiting.append((key, text))
        if len(self._waiting) >= BATCH_TEXTS:
            self._send()

    @property
    def is_deep(self) -> bool:
        """Whether there is work enough that the caller may turn to something else."""
        return len(self._running) >= AHEAD

    @property
    def lag_s(self) -> float:
        """For how long the oldest text under way has been so, in seconds."""
        return time.monotonic() - self._sent_at[0] if self._sent_at else 0.0

    def ready(self, *, wait_s: float = 0.0) -> Iterator[EmbeddedBatch]:
        """Batches that are done.

        Args:
            wait_s: How long to wait for the first.
        """
        if wait_s > 0:
            self._send()
        while self._running:
            if wait_s > 0:
                wait([self._running[0]], wait_s)
            if not self._running[0].done():
                return
            wait_s = 0.0
            yield self._next()

    def drain(self) -> Iterator[EmbeddedBatch]:
        """All batches that are left, waiting for each."""
        self._send()
        while self._running:
            yield self._next()

    def _next(self) -> EmbeddedBatch:
        self._sent_at.popleft()
        return self._running.popleft().result()

    def close(self) -> None:
        """Give up what has not come back; returns at once."""
        for future in self._running:
            future.cancel()
        self._pool.close()

    def _send(self) -> None:
        if self._waiting:
            self._running.append(self._pool.submit(partial(self._embed, self._waiting)))
            self._sent_at.append(time.monotonic())
            self._waiting = []

    def _embed(self, batch: Sequence[tuple[bytes, str]]) -> EmbeddedBatch:
        keys = tuple(key for key, _ in batch)
        try:
            vectors = self._embedder.embed_documents([text for _, text in batch])
        except EmbeddingFailedError as exc:
            good = [i for i in range(len(keys)) if i not in exc.failed]
            failed = {keys[i]: reason for i, reason in exc.failed.items()}
            rows = self._checked(np.asarray(exc.vectors)[good], len(good))
            return EmbeddedBatch(tuple(keys[i] for i in good), rows, failed)
        return EmbeddedBatch(keys, self._checked(vectors, len(keys)))

    def _checked(self, vectors: Vectors, count: int) -> Vectors:
        name, dim = self._embedder.name, self._embedder.dim
        if vectors.shape != (count, dim):
            msg = f"{name} returned vectors of shape {vectors.shape}, not {(count, dim)}"
            raise ModelResponseError(msg, name)
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):  # NaN fails too
            msg = f"{name} returned vectors that are not of unit length"
            raise ModelResponseError(msg, name)
        return vectors
