"""A TCP proxy that a test cuts and opens again, with TLS where it is given a certificate."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


class Proxy:
    """Passes bytes on to a port of this machine.

    Args:
        target: The port.
        port: Its own; 0: any.
        tls: What it shows its clients; None: it speaks plainly.
    """

    def __init__(self, target: int, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._target, self._tls = target, tls
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listening.getsockname()[1])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._state = "open"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._state = "cut"
        self._break()

    def fall_silent(self) -> None:
        """Pass nothing on any more, in either direction, and break nothing."""
        self._state = "silent"

    def mend(self) -> None:
        """Pass on again; what was in flight when it fell silent is lost with its connection."""
        was, self._state = self._state, "open"
        if was == "silent":
            self._break()

    def close(self) -> None:
        """End it."""
        self.cut()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _break(self) -> None:
        with self._lock:
            broken = list(self._open)
        for each in broken:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # closed
                return
            if self._state == "cut":
                client.close()
            else:
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as held:
            held.enter_context(client)
            try:
                if self._tls is not None:
                    client = held.enter_context(self._tls.wrap_socket(client, server_side=True))
                server = held.enter_context(socket.create_connection(("127.0.0.1", self._target)))
            except OSError:  # the client does not trust it, or the node is down
                return
            with self._lock:
                self._open |= {client, server}
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self._state == "open":
                    sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxy_of(target: int, *, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy for the length of a block."""
    made = Proxy(target, tls=tls)
    try:
        yield made
    finally:
        made.close()
