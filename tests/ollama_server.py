"""A test double that speaks the wire of the Ollama server, for tests and benchmarks.

Run it alone with ``python tests/ollama_server.py --port 0 --latency-ms 5 --slots 4``; it prints
its address. In a test: ``with OllamaServer() as server: ... server.url``.
"""

from __future__ import annotations

import argparse
import heapq
import socket
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self

import orjson
from ollama_endpoints import Endpoints
from ollama_models import CATALOGUE, Model

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Request:
    """What a client sent. ``json`` is None where there was no body."""

    method: str
    path: str
    json: Any
    headers: dict[str, str]


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
        drop_after: Close the connection after this many bytes of the reply; None: do not.
        vector: JSON value to send as the embedding (of each input, on /api/embed).
    """

    path: str
    times: int | None = 1
    skip: int = 0
    match: str = ""
    status: int | None = None
    body: Any = None
    delay_s: float = 0.0
    drop_after: int | None = None
    vector: Any = None

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
    """A scripted chat reply. ``ending``: how the stream ends.

    ``done`` sends the last event with ``last`` as its content; ``error`` sends ``error`` as an
    error line; ``eof`` ends the stream cleanly without a last event; ``drop`` cuts the connection.
    """

    chunks: tuple[str, ...] = ()
    thinking: tuple[str, ...] = ()
    ending: Literal["done", "error", "eof", "drop"] = "done"
    last: str = ""
    error: str = ""
    done_reason: str = "stop"
    prompt_tokens: int | None = None


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
        chunk_delay_s: Pause between two events of a chat.
    """

    dim: int = 256
    family: Literal["new", "old"] = "new"
    cheap: bool = False
    latency_s: float = 0.0
    slots: int = 4
    chunk_delay_s: float = 0.0
    models: tuple[Model, ...] = CATALOGUE
    version: str = "0.32.15"


@dataclass
class OllamaServer:
    """The server: a thread a connection, HTTP/1.1 with kept-alive connections, on loopback."""

    settings: Settings = field(default_factory=Settings)
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    cancelled: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._endpoints = Endpoints(self)
        self.slots = Slots(self.settings.slots, self.settings.latency_s)
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def script(self, *replies: Reply | str) -> None:
        """Say these in the next chats, in order, instead of an answer of the model."""
        self.replies += [Reply((r,)) if isinstance(r, str) else r for r in replies]

    def paths(self) -> list[str]:
        """The paths requested so far, in order."""
        return [request.path for request in self.requests]

    def bodies(self, path: str) -> list[Any]:
        """The JSON bodies sent to a path so far, in order."""
        return [request.json for request in self.requests if request.path == path]

    def close(self) -> None:
        """Stop listening, cut every connection and wait for the threads."""
        self.closing.set()
        with self._lock:
            sockets = [self._listener, *self._sockets]
        for sock in sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # not connected any more: nothing to shut down
                continue
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.add(sock)
                self.connections += 1
            self._start(self._converse, sock)

    def _converse(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as stream:
            try:
                while self._exchange(sock, stream):
                    pass
            except OSError:
                with self._lock:
                    self.cancelled += 1
        with self._lock:
            self._sockets.discard(sock)

    def _exchange(self, sock: socket.socket, stream: BinaryIO) -> bool:
        """Answer one request; False ends the connection."""
        head = stream.readline().split()
        if not head:
            return False
        method, path = head[0].decode(), head[1].decode()
        headers: dict[str, str] = {}
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            headers[name.decode().lower()] = value.strip().decode()
        body = stream.read(int(headers.get("content-length", 0)))
        with self._lock:
            if not self.settings.cheap:
                self.requests.append(Request(method, path, _parsed(body), headers))
            fault = next((f for f in self.faults if f.strikes(path, body)), None)
        reply = self._endpoints.reply(method, path, body, fault)
        if isinstance(reply, tuple):
            return _send_whole(sock, *reply, fault, bodiless=method == "HEAD")
        return self._send_stream(sock, reply)

    def _send_stream(self, sock: socket.socket, events: Iterable[bytes | None]) -> bool:
        """Send NDJSON events in chunks as they come; None cuts the connection."""
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for event in events:
            if event is None:
                return False
            sock.sendall(head + b"%x\r\n%s\r\n" % (len(event), event))
            head = b""
            time.sleep(self.settings.chunk_delay_s)
        sock.sendall(head + b"0\r\n\r\n")
        return True


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return body


def _send_whole(
    sock: socket.socket, status: int, body: bytes, kind: str, fault: Fault | None, *, bodiless: bool
) -> bool:
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n"
    if fault and status in (301, 302, 307, 308):
        head += f"Location: {fault.body}\r\n"
    data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + (b"" if bodiless else body)
    if fault and fault.drop_after is not None:
        sock.sendall(data[: fault.drop_after])
        return False
    sock.sendall(data)
    return True


def main() -> None:
    """Serve until killed; print the address first."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("--port", 0), ("--latency-ms", 0.0), ("--slots", 4), ("--dim", 768)):
        parser.add_argument(name, type=type(default), default=default)
    parser.add_argument("--real", action="store_true", help="a vector per text, not prepared ones")
    given = parser.parse_args()
    settings = Settings(
        dim=given.dim,
        cheap=not given.real,
        latency_s=given.latency_ms / 1000,
        slots=given.slots,
    )
    with OllamaServer(settings, port=given.port) as server:
        print(server.url, flush=True)  # noqa: T201 -- the address is this program's output
        threading.Event().wait()


if __name__ == "__main__":
    main()
