"""Runs the application on an address until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ragkit.errors import ConfigError
from ragkit.serve.guard import GuardRules, is_loopback
from ragkit.system import share_allocator

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from starlette.types import ASGIApp

    from ragkit.config import ServeSettings

TOKEN_VARIABLE = "RAGKIT_TOKEN"  # noqa: S105 -- the variable's name, not a token
SHORTEST_TOKEN = 16
_BACKLOG = 512
_MOST_HEAD = 65_536
"""Bytes of a request's line and headers, or of what follows its body. The parser has no limit."""
_SWITCH_S = 0.0005
"""How long a thread that computes keeps others waiting for Python's lock.

The event loop takes it some ten times a request, each time among all threads that answer. With
Python's own 5 ms twenty of them made a word that was there wait for a tenth of a second.
"""


def read_token(settings: ServeSettings) -> str:
    """The token that requests must carry: of the file, else of the environment; "" if none is set.

    Raises:
        ConfigError: It cannot be read, or is too short to be one.
    """
    token, source = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
    if settings.token_file:
        path = Path(settings.token_file).expanduser()
        source = str(path)
        try:
            token = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            msg = f"serve.token_file {path} cannot be read: {exc}"
            raise ConfigError(msg) from exc
        if not token:
            msg = f"serve.token_file {path} is empty"
            raise ConfigError(msg)
    if token and (len(token) < SHORTEST_TOKEN or not token.isascii() or " " in token):
        msg = (
            f"the token of {source} must be {SHORTEST_TOKEN} or more letters, digits or signs "
            "without a space; `python3 -c 'import secrets; print(secrets.token_urlsafe())'` "
            "makes one"
        )
        raise ConfigError(msg)
    return token


def guard_rules(settings: ServeSettings, token: str) -> GuardRules:
    """What the guard is to let through.

    Raises:
        ConfigError: Others could reach the server, and no token is set.
    """
    is_local = is_loopback(settings.host)
    if not is_local and not token:
        msg = (
            f"serve.host = {settings.host}: others can reach that, and no token is set: put one "
            f"into {TOKEN_VARIABLE} or a file that serve.token_file names, or serve on 127.0.0.1"
        )
        raise ConfigError(msg)
    return GuardRules(
        token=token,
        hosts=tuple(name.casefold() for name in settings.hosts),
        origins=settings.origins,
        any_address=not is_local,
        max_body=int(settings.max_body_mb * 1e6),
        max_upload=int(settings.max_upload_mb * 1e6),
    )


def bind(settings: ServeSettings) -> socket.socket:
    """Take the address to serve on.

    Raises:
        ConfigError: It cannot be had.
    """
    host = settings.host.strip("[]")
    try:
        family = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.create_server((host, settings.port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as exc:
        msg = (
            f"cannot serve on {settings.host} port {settings.port}: {exc}; another port is chosen "
            "with --port"
        )
        raise ConfigError(msg) from exc
    # Connections inherit it. asyncio sets it for sockets of a named protocol alone, and without it
    # each word of an answer waits in the system until the client has acknowledged the one before.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


class _Protocol(HttpToolsProtocol):
    """Reads requests, and does not keep what has no end."""

    _head = 0  # bytes since the last that belonged to a body

    def data_received(self, data: bytes) -> None:
        """Parse what came, and end the connection if it is too much for a head."""
        self._head += len(data)
        super().data_received(data)
        if self._head > _MOST_HEAD and not self.transport.is_closing():
            self.send_400_response(f"The head of a request has more than {_MOST_HEAD:,} bytes.")

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        self._head = 0
        super().on_message_complete()


class _Server(uvicorn.Server):
    """Ends as any command does when its user has it stop: the signal is not raised again.

    Args:
        config: uvicorn's.
        on_stop: Called in the event loop before answers under way are waited for.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until it is to stop; the threads of the process take turns quickly meanwhile."""
        share_allocator()
        before = sys.getswitchinterval()
        sys.setswitchinterval(min(before, _SWITCH_S))
        try:
            await super().serve(sockets)
        finally:
            sys.setswitchinterval(before)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop what would go on for long, take no more requests, and wait for answers."""
        self._on_stop()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- uvicorn's
        """Stop; a second Ctrl-C waits for nothing."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def make_server(
    app: ASGIApp, *, stop_s: float, on_stop: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    """A server whose ``run(sockets=[bound])`` serves until SIGTERM or Ctrl-C.

    Args:
        app: The application.
        on_stop: Called first when it is to stop.
        stop_s: Seconds that answers under way have to end, once it is to stop.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=_Protocol,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(stop_s)),
    )
    return _Server(config, on_stop)


def address_of(bound: socket.socket) -> str:
    """The address of a server, as a browser on this machine reaches it."""
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- what is bound to them is reached by loopback
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
