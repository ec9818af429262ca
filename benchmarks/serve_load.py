"""Clients that ask a server without a pause, each by a kept connection, in a process of their own.

    python benchmarks/serve_load.py PORT PATH CLIENTS REQUESTS SECONDS BEGIN_SECONDS < bodies

A line of standard input is the body of a request; each client goes on where its last one was. They
begin one after another within BEGIN_SECONDS. It ends after so many REQUESTS in all, or SECONDS,
whichever is first, and prints as JSON how many milliseconds each reply took to its first byte
behind the head (``first``) and to its end (``whole``), what failed, the seconds of all, and its own
processor time. One thread waits for all connections and parses no more than the head of a reply:
what is measured is the server.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
CHUNKS_END = b"0\r\n\r\n"
RECEIVED_BYTES = 1 << 18


@dataclass
class Client:
    """A kept connection, and the reply that is coming over it."""

    turn: int
    connection: socket.socket
    began: float = 0.0
    head: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    first_ms: float | None = None

    def send(self, request: bytes) -> None:
        """Ask; the reply has not begun."""
        self.head, self.first_ms = b"", None
        self.body.clear()
        self.began = time.perf_counter()
        self.connection.sendall(request)

    def receive(self) -> bool:
        """Take what has come; whether the reply is whole.

        Raises:
            ConnectionError: The server ended the connection.
            ValueError: The reply's status is not 200.
        """
        came = self.connection.recv(RECEIVED_BYTES)
        if not came:
            msg = "the server ended the connection"
            raise ConnectionError(msg)
        self.body += came
        if not self.head:
            head, end, body = bytes(self.body).partition(HEAD_END)
            if not end:
                return False
            self.head, self.body = head.lower(), bytearray(body)
            if not self.head.startswith(b"http/1.1 200"):
                msg = bytes(head + end + body)[:300].decode(errors="replace")
                raise ValueError(msg)
        if self.first_ms is None and self.body:
            self.first_ms = self._passed_ms()
        length = self.head.partition(b"content-length:")[2].partition(b"\r")[0]
        return len(self.body) >= int(length) if length else self.body.endswith(CHUNKS_END)

    def _passed_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000

    def taken(self) -> tuple[float, float]:
        """Milliseconds to the first byte and to the end."""
        whole = self._passed_ms()
        return self.first_ms or whole, whole


class Load:
    """Clients of one server.

    Args:
        port: Of the server, on this machine.
        path: That is asked.
        bodies: Of the requests, used in turn.
    """

    def __init__(self, port: int, path: str, bodies: list[bytes]) -> None:
        self._port = port
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )
        self._requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
        self._selector = selectors.DefaultSelector()
        self._alone: Client | None = None
        self.first: list[float] = []
        self.whole: list[float] = []
        self.failed: list[str] = []

    def run(self, clients: int, requests: int, seconds: float, spread_s: float = 0.0) -> None:
        """Ask, so many clients at once, until there were so many requests or seconds.

        The clients begin one after another within `spread_s`.
        """
        start = time.monotonic()
        end = start + seconds
        starts = deque((start + spread_s * n / clients, n) for n in range(min(clients, requests)))
        left, waiting = requests - len(starts), 0
        while waiting or starts:
            wait_s = max(0.0, starts[0][0] - time.monotonic()) if starts else None
            if wait_s == 0:
                self._begin(starts.popleft()[1])
                waiting += 1
            for key, _ in self._selector.select(wait_s):
                client: Client = key.data
                if not self._goes_on(client):
                    continue
                if left and time.monotonic() < end:
                    left -= 1
                    client.turn += clients
                    client.send(self._requests[client.turn % len(self._requests)])
                else:
                    waiting -= 1
                    self._close(client)

    def ask(self, turn: int) -> tuple[float, float]:
        """Ask once and wait; milliseconds to the reply's first byte and to its end."""
        client = self._alone = self._alone or self._connected(turn)
        client.send(self._requests[turn % len(self._requests)])
        while not client.receive():
            pass
        return client.taken()

    def _begin(self, turn: int) -> None:
        client = self._connected(turn)
        self._selector.register(client.connection, selectors.EVENT_READ, client)
        client.send(self._requests[turn % len(self._requests)])

    def _connected(self, turn: int) -> Client:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Client(turn, connection)

    def _goes_on(self, client: Client) -> bool:
        """Take what came to a client; whether its reply has ended, well or not."""
        try:
            if not client.receive():
                return False
        except (OSError, ValueError) as exc:
            self.failed.append(str(exc))
            self._selector.unregister(client.connection)
            client.connection.close()
            client.connection = self._connected(client.turn).connection
            self._selector.register(client.connection, selectors.EVENT_READ, client)
            return True
        first, whole = client.taken()
        self.first.append(round(first, 3))
        self.whole.append(round(whole, 3))
        return True

    def _close(self, client: Client) -> None:
        self._selector.unregister(client.connection)
        client.connection.close()


def main() -> None:
    """Ask as the command line says."""
    port, path, clients, requests, seconds, spread_s = sys.argv[1:7]
    load = Load(int(port), path, sys.stdin.buffer.read().splitlines())
    began = time.perf_counter()
    load.run(int(clients), int(requests), float(seconds), float(spread_s))
    told = {
        "first": load.first,
        "whole": load.whole,
        "failed": load.failed,
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
