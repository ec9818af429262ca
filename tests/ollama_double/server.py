"""A test double that speaks the wire of the Ollama server, for tests and benchmarks.

Run it alone, from ``tests/``, with ``python -m ollama_double.server --latency-ms 5 --slots 4``; it
prints its address. In a test: ``with OllamaServer() as server: ... server.url``.
"""

from __future__ import annotations

import argparse
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import orjson

from ollama_double.endpoints import Endpoints
from ollama_double.script import Fault, Reply, Request, Settings, Slots

if TYPE_CHECKING:
    from ollama_double.wire import Stream, Whole

__all__ = ["Fault", "OllamaServer", "Reply", "Request", "Settings", "Slots"]


@dataclass
class OllamaServer:
    """The server: a thread a connection, HTTP/1.1 with kept-alive connections, on loopback.

    Attributes:
        requests: What was sent so far, in order.
        faults: What is to go wrong; see `Fault`.
        replies: What the next chats say; see `script`.
        cancelled: How many replies their clients left unread.
        connections: How many connections were opened.
    """

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
        self.slots = Slots(self.settings.slots, self.settings.latency_s)
        self._endpoints = Endpoints(self)
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
        """The JSON bodies that arrived whole at a path so far, in order."""
        arrived = (request.json for request in self.requests if request.path == path)
        return [body for body in arrived if body is not None]

    def sent(self, path: str) -> list[bytes]:
        """The bodies sent to a path so far, in order, to the byte."""
        return [request.body for request in self.requests if request.path == path]

    def installed(self) -> list[str]:
        """The names of the installed models, the newest first."""
        return [model.name for model in self._endpoints.state.models.values()]

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
        body = _read_body(stream, headers)
        with self._lock:
            if not self.settings.cheap:
                self.requests.append(Request(method, path, _parsed(body), headers, body))
            fault = next((f for f in self.faults if f.strikes(path, body)), None)
        reply = self._endpoints.reply(method, path, body, headers, fault)
        if isinstance(reply, tuple):
            more = self._endpoints.further_headers(method, path, headers)
            said = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            return _send_whole(sock, reply, said, fault, bodiless=method == "HEAD")
        if fault and (fault.split or fault.drop_after is not None or fault.end_after is not None):
            return _send_spoilt(sock, reply, fault)
        return self._send_stream(sock, reply, fault.linger_s if fault else 0.0)

    def _send_stream(self, sock: socket.socket, stream: Stream, linger_s: float) -> bool:
        """Send a stream in chunks as its pieces come; None cuts the connection."""
        head = _stream_head(stream)
        for piece in stream.pieces:
            if piece is None:
                return False
            sock.sendall(head + _chunk(piece))
            head = b""
            time.sleep(self.settings.chunk_delay_s)
        if linger_s and select.select([sock], [], [], linger_s)[0]:
            raise ConnectionAbortedError
        sock.sendall(head + _chunk(b""))
        return True


def _read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return stream.read(int(headers.get("content-length", 0)))
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


def _stream_head(stream: Stream) -> bytes:
    kind = f"HTTP/1.1 200 OK\r\nContent-Type: {stream.kind}\r\n"
    return f"{kind}Transfer-Encoding: chunked\r\n\r\n".encode()


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def _send_spoilt(sock: socket.socket, stream: Stream, fault: Fault) -> bool:
    body = b"".join(piece for piece in stream.pieces if piece)[: fault.end_after]
    pieces = [body[i : i + 1] for i in range(len(body))] if fault.split else [body] if body else []
    sock.sendall(
        b"".join((_stream_head(stream), *map(_chunk, pieces), _chunk(b"")))[: fault.drop_after]
    )
    return fault.drop_after is None


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return body


def _send_whole(
    sock: socket.socket, reply: Whole, more: str, fault: Fault | None, *, bodiless: bool
) -> bool:
    status, body, kind = reply
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{more}"
    head += f"Content-Type: {kind}\r\n" if kind else ""
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
