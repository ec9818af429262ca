"""The texts of a run on their way to the embedder and back; each is sent once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import ModelError
from ragkit.ingest.embed import EmbeddingQueue
from ragkit.store.embedding_keys import cache_keys
from ragkit.system import defer_interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ragkit.ingest.commits import Commits
    from ragkit.ingest.embed import EmbeddedBatch
    from ragkit.protocols import Embedder, VectorStore


@dataclass(frozen=True, slots=True)
class Embedding:
    """What makes the vectors of a run.

    Attributes:
        record: The index's embedder, as `embedder_record` gives it; empty: there are no vectors.
        embedder: None if there are no vectors, or if it cannot be had now.
        failure: Why it cannot be had; the run stores the words, and then raises it.
    """

    record: Mapping[str, Any]
    embedder: Embedder | None = None
    failure: ModelError | None = None


class Texts:
    """Sends texts, and stores the vectors that come back.

    An error of the model ends the sending and nothing else: it is kept as `failure`.

    Args:
        embedding: What makes the vectors.
        commits: Where they are stored.
        older: An index that may have some of them already.

    Attributes:
        back: How many texts have come back, as vectors or as failures.
        failure: Why no more can be sent.
        refused: Why the model refused a text, by the path of each document that has it.
    """

    def __init__(self, embedding: Embedding, commits: Commits, older: VectorStore | None) -> None:
        self.back = self.embedded = 0
        self.failure = embedding.failure
        self.refused: dict[str, str] = {}
        self._record = embedding.record
        self._queue = None if embedding.embedder is None else EmbeddingQueue(embedding.embedder)
        self._commits, self._older = commits, older
        self._sent = 0
        self._under_way: dict[bytes, list[str]] = {}
        self._failed: set[bytes] = set()

    @property
    def has_vectors(self) -> bool:
        """Whether the index has vectors at all."""
        return bool(self._record)

    @property
    def is_on(self) -> bool:
        """Whether texts can be sent."""
        return self._queue is not None and self.failure is None

    @property
    def is_full(self) -> bool:
        """Whether more texts would have to wait long to be sent."""
        return self._queue is not None and self._queue.is_deep

    @property
    def at_work(self) -> str:
        """The path of the document whose texts the model has now; "" if it has none."""
        return next(iter(self._under_way.values()))[0] if self._under_way else ""

    @property
    def lag_s(self) -> float:
        """How long a text waits for its vector now, in seconds."""
        return self._queue.lag_s if self._queue is not None else 0.0

    def keys(self, texts: Sequence[str]) -> list[bytes]:
        """Their cache keys; none for an index without vectors."""
        return cache_keys(self._record, texts) if self._record else []

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """The keys whose vectors need no model, after taking over those found elsewhere."""
        known = self._commits.writer.known(keys)
        if self._older is None or known.issuperset(keys):
            return known
        found = self._older.vectors([key for key in keys if key not in known])
        if found:
            with defer_interrupt():
                self._commits.add_vectors(list(found), np.stack(list(found.values())))
        return known | found.keys()

    def send(self, keys: Sequence[bytes], texts: Sequence[str], path: str) -> int:
        """Send the texts of a document; those under way already are not sent again.

        Returns:
            How many texts of the run must be `back` before these are.
        """
        if self._queue is None:
            return 0
        for key, text in zip(keys, texts, strict=True):
            if key not in self._under_way:
                self._sent += 1
                self._under_way[key] = [path]
                self._queue.put(key, text)
            elif path not in self._under_way[key]:
                self._under_way[key].append(path)
        return self._sent

    def was_sent(self, key: bytes) -> bool:
        """Whether a text is under way, or was refused in this run."""
        return key in self._under_way or key in self._failed

    def take(self, *, wait_s: float = 0.0, rest: bool = False) -> Iterator[int]:
        """Store what has come back; yields the number of vectors after each batch.

        Args:
            wait_s: How long to wait for the first batch.
            rest: Wait for all that is under way.
        """
        if self._queue is None or not self.is_on:
            return
        try:
            for batch in self._queue.drain() if rest else self._queue.ready(wait_s=wait_s):
                with defer_interrupt():
                    self._store(batch)
                yield len(batch.keys)
        except ModelError as exc:
            self.failure = exc
            self._take_last()

    def _take_last(self) -> None:
        """Store what came back behind the batch that failed."""
        while self._queue is not None:
            try:
                for batch in self._queue.ready():
                    with defer_interrupt():
                        self._store(batch)
            except ModelError:  # what ended the sending is kept already
                continue
            break
        self.close()

    def _store(self, batch: EmbeddedBatch) -> None:
        self._commits.add_vectors(batch.keys, batch.vectors)
        self.embedded += len(batch.keys)
        self.back += len(batch.keys) + len(batch.failed)
        for key, reason in batch.failed.items():
            self._failed.add(key)
            told = f"cannot be embedded: {reason}; it is found by its words"
            self.refused.update(dict.fromkeys(self._under_way.pop(key), told))
        for key in batch.keys:
            del self._under_way[key]

    def close(self) -> None:
        """Give up what has not come back."""
        if self._queue is not None:
            self._queue.close()
