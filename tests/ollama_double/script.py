"""How the test server is told what to do: settings, faults, scripted replies."""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from ollama_double.models import CATALOGUE, REGISTRY, Model


@dataclass(frozen=True)
class Request:
    """What a client sent. ``json`` is None where there was no body."""

    method: str
    path: str
    json: Any
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Fault:
    """What goes wrong, and when.

    Attributes:
        path: The endpoint concerned.
        times: How many requests it befalls; None: all.
        skip: How many matching requests pass first.
        match: Text that must occur in the request's body, as UTF-8.
        status, body: The reply to send instead of the real one; None: do not replace it.
        delay_s: Wait before the first byte.
        held: Wait for it, at most 20 s, before the first byte.
        drop_after: Close the connection after this many bytes of the reply; None: do not.
        end_after: End a streamed reply, as if it were whole, after this many bytes of its body.
        split: Send a streamed reply byte by byte.
        linger_s: Hold the end of a streamed reply back for so long, or until the client leaves.
        vector: JSON value to send as the embedding (of each input, on /api/embed).
        extra: Fields to add to a whole reply.
    """

    path: str
    times: int | None = 1
    skip: int = 0
    match: str = ""
    status: int | None = None
    body: Any = None
    delay_s: float = 0.0
    held: threading.Event | None = None
    drop_after: int | None = None
    end_after: int | None = None
    split: bool = False
    linger_s: float = 0.0
    vector: Any = None
    extra: dict[str, Any] = field(default_factory=dict)

    def strikes(self, path: str, body: bytes) -> bool:
        """True if this request is one to fail; counts it."""
        if path != self.path or self.times == 0 or self.match.encode() not in body:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(frozen=True)
class Reply:
    """A scripted reply of a chat or generate request. ``ending``: how the stream ends.

    ``done`` sends the last event with ``last`` as its content; ``error`` sends ``error`` as an
    error line; ``eof`` ends the stream cleanly without a last event; ``drop`` cuts the connection.
    A piece that comes again more than thirty times ends it as ``eof`` does, as on the server.
    ``tool_calls`` are objects with ``name`` and ``arguments``.
    """

    chunks: tuple[str, ...] = ()
    thinking: tuple[str, ...] = ()
    ending: Literal["done", "error", "eof", "drop"] = "done"
    last: str = ""
    error: str = ""
    done_reason: str = "stop"
    prompt_tokens: int | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()


class Slots:
    """Simulates a model that serves a few texts at a time, without a thread per text.

    Args:
        count: Texts served at the same time.
        latency_s: Time one text takes.
    """

    def __init__(self, count: int, latency_s: float) -> None:
        self._free_at = [0.0] * count
        self._latency_s = latency_s
        self._lock = threading.Lock()

    def serve(self, texts: int) -> None:
        """Wait until these texts, queued now behind the earlier ones, would be done."""
        if not self._latency_s:
            return
        now = end = time.perf_counter()
        with self._lock:
            for _ in range(texts):
                end = max(now, self._free_at[0]) + self._latency_s
                heapq.heapreplace(self._free_at, end)
        time.sleep(max(0.0, end - time.perf_counter()))


@dataclass
class Settings:
    """How the double behaves.

    Attributes:
        dim: Length of the vectors.
        family: ``new`` (0.30 and later) or ``old``: error texts and truncation differ.
        cheap: Answer embeddings from 256 prepared replies; for benchmarks.
        chunk_delay_s: Pause between two events of a stream.
        models: What is installed.
        registry: What can be pulled besides.
        api_key: Asked for as a bearer token on every path; empty: none is.
        offline: No registry can be reached; else `registry` can.
        on_cpu: Models run on the processor, where /api/ps tells no size of them.
    """

    dim: int = 256
    family: Literal["new", "old"] = "new"
    cheap: bool = False
    latency_s: float = 0.0
    slots: int = 4
    chunk_delay_s: float = 0.0
    models: tuple[Model, ...] = CATALOGUE
    registry: tuple[Model, ...] = REGISTRY
    version: str = "0.32.15"
    api_key: str = ""
    offline: bool = False
    on_cpu: bool = False
