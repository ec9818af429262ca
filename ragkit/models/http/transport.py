"""Requests to one server: kept-alive connections, timeouts, tries. Knows HTTP, not the API."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ProtocolError

from ragkit.errors import first_cause
from ragkit.models.http.address import is_loopback, kept_back, key_for
from ragkit.models.http.problem import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ragkit.config import ModelSettings

_BACKOFF_S = 0.2
_LONGEST_BACKOFF_S = 5.0
_PASSING: frozenset[Kind] = frozenset({"busy", "unreachable", "broken"})
# What never reached the server can be sent again, whatever it is.
_UNSENT: frozenset[Kind] = frozenset({"unreachable"})
_SUCCESS, _UNAUTHORISED = 2, 401
_CUT = "the connection ended before the reply was complete"
_PASSING_TLS = ("EOF", "BAD_RECORD_MAC")
"""What OpenSSL says of a secure connection that broke off; the rest is there the next time too."""
# Questions and chats run beside the embedding requests.
_SPARE_CONNECTIONS = 4
# `requests` reads replies in pieces of 10 KB, which took a third of the time of a batch's 300 KB.
_PIECE_BYTES = 1 << 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, and how far to go for a reply.

    Attributes:
        method: HTTP method.
        path: Begins with ``/``.
        payload: JSON value of the body; None sends none.
        file: Sent as the body in place of a JSON value, from where it stands; ``size`` bytes.
        repeat: Sending it twice does what sending it once does, so that it may be sent again
            after it has reached the server.
        timeout: Seconds to connect and between bytes, in place of the settings' own.
        tries: Further tries, in place of the settings' own.
    """

    method: str
    path: str
    payload: Any = None
    file: BinaryIO | None = None
    size: int = 0
    repeat: bool = True
    timeout: tuple[float, float] | None = None
    tries: int | None = None


class Transport:
    """Sends requests to a base URL; failures come back as values, since callers act on them.

    Safe to use from several threads.

    Args:
        base: As `parse_host` gives it.
        settings: Timeouts, tries, and how many connections to keep.
        key_variable: Holds a key that is sent along, to this server only, unless that would show
            it to a network.
        classify: Tells what an error reply means, from its status and body.
    """

    def __init__(
        self,
        base: str,
        settings: ModelSettings,
        *,
        key_variable: str,
        classify: Callable[[int, bytes], Problem],
    ) -> None:
        self.base = base
        self._tries = settings.retries
        self._timeout = (settings.connect_timeout_s, settings.read_timeout_s)
        self._key = key_for(base, key_variable)
        self._kept_back = kept_back(base, key_variable)
        self._classify = classify
        self._session = requests.Session()
        self._session.auth = self._key
        size = settings.embed_concurrency + _SPARE_CONNECTIONS
        self._session.mount(base, HTTPAdapter(pool_maxsize=size))
        # A proxy variable meant for the internet would break loopback traffic.
        self._session.trust_env = not is_loopback(base)
        # What `requests` works out for each request is the same for all: worked out once, it
        # halves the time of a request (3.4 to 2.0 s for 3,000 of them, measured).
        self._kept: Any = self._session.merge_environment_settings(base, {}, None, None, None)
        self._templates: dict[tuple[str, str], requests.PreparedRequest] = {}

    def call(self, request: Request) -> bytes | Problem:
        """Send a request and read its whole reply, both again where that may help."""
        return self._open(request, _whole)

    def stream(self, request: Request) -> requests.Response | Problem:
        """Send a request whose reply is read piece by piece; the caller closes it.

        It is sent again only as long as no reply has begun.
        """
        return self._open(request, lambda reply: reply)

    def problem(self, status: int, body: bytes) -> Problem:
        """Tell what an error reply means; the key does not occur in it."""
        found = self._classify(status, body)
        text = self.mask(found.text)
        if status == _UNAUTHORISED and self._kept_back:
            text += f"; {self._kept_back} was not sent: without https it would go in the clear"
        return replace(found, text=text)

    def mask(self, text: str) -> str:
        """A text with the key, where there is one, blotted out."""
        return self._key.mask(text) if self._key else text

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._session.close()

    def _open(
        self, request: Request, read: Callable[[requests.Response], T | Problem]
    ) -> T | Problem:
        try:
            prepared = self._prepare(request)
        except orjson.JSONEncodeError as exc:
            return Problem("unsendable", f"the text cannot be sent: {exc}")
        except requests.RequestException as exc:  # an address that can be none
            return Problem("refused", str(exc))
        limits = request.timeout or self._timeout

        def send() -> T | Problem:
            return self._once(prepared, read, timeout=limits)

        tries = self._tries if request.tries is None else request.tries
        return _again(send, tries, repeat=request.repeat)

    def _prepare(self, request: Request) -> requests.PreparedRequest:
        place = (request.method, request.path)
        template = self._templates.get(place)
        if template is None:
            url = self.base + request.path
            template = self._session.prepare_request(requests.Request(request.method, url))
            self._templates[place] = template
        prepared = template.copy()
        if request.file is not None:
            # `requests` types a body as text or bytes, but sends a file piece by piece.
            prepared.body = request.file  # type: ignore[assignment]  # see above
            prepared.headers["Content-Type"] = "application/octet-stream"
            prepared.headers["Content-Length"] = str(request.size)
        elif request.payload is not None:
            body = orjson.dumps(request.payload)
            prepared.body = body
            prepared.headers["Content-Type"] = "application/json"
            prepared.headers["Content-Length"] = str(len(body))
        return prepared

    def _once(
        self,
        request: requests.PreparedRequest,
        read: Callable[[requests.Response], T | Problem],
        *,
        timeout: tuple[float, float],
    ) -> T | Problem:
        options: Any = {**self._kept, "stream": True, "timeout": timeout}
        try:
            # Never redirected: documents and the key go to the configured address, to no other.
            reply = self._session.send(request, allow_redirects=False, **options)
            if reply.status_code // 100 == _SUCCESS:
                return read(reply)
            with reply:
                if reply.is_redirect:
                    return Problem("refused", self.mask(_sent_on(reply)), reply.status_code)
                return self.problem(reply.status_code, reply.content)
        except requests.RequestException as exc:
            return to_problem(exc, timeout[1])


def _sent_on(reply: requests.Response) -> str:
    return (
        f"it sends on to {reply.headers['Location']}, which is not followed: name that address "
        f"if the server is there (HTTP {reply.status_code})"
    )


def _whole(reply: requests.Response) -> bytes | Problem:
    with reply:
        body = b"".join(reply.iter_content(_PIECE_BYTES))
    return body if body or not _beheaded(reply) else Problem("broken", _CUT)


def _beheaded(reply: requests.Response) -> bool:
    """True for an empty reply that was cut within its head."""
    announced = {"Content-Length", "Transfer-Encoding"} & set(reply.headers)
    return not announced and reply.request.method != "HEAD"


def to_problem(exc: requests.RequestException, read_timeout_s: float) -> Problem:
    """Tell what a failure of `requests` means, with the longest silence that was allowed."""
    if isinstance(exc, requests.ConnectTimeout):
        return Problem("unreachable", "no connection within the time allowed")
    if isinstance(exc, requests.Timeout) or "Read timed out" in str(exc):
        return Problem("timeout", f"silent for {read_timeout_s:g} s (models.read_timeout_s)")
    cut = isinstance(exc, requests.exceptions.ChunkedEncodingError)
    if cut or (exc.args and isinstance(exc.args[0], ProtocolError)):
        return Problem("broken", _CUT)
    passing = any(sign in str(exc) for sign in _PASSING_TLS)
    if isinstance(exc, requests.exceptions.SSLError) and not passing:
        return Problem("refused", f"no secure connection: {first_cause(exc)}")
    if isinstance(exc, requests.ConnectionError):
        proxied = isinstance(exc, requests.exceptions.ProxyError)
        return Problem("unreachable", f"{'its proxy: ' if proxied else ''}{first_cause(exc)}")
    return Problem("refused", str(exc))


def _again(send: Callable[[], T | Problem], tries: int, *, repeat: bool) -> T | Problem:
    """Send until it works, with growing pauses; a crash gets one more try, whatever `tries`.

    A read timeout is not tried again: leaving aborts a model's loading, so that a second try
    would begin it anew, without end.
    """
    passing = _PASSING if repeat else _UNSENT
    crash_tries = 1 if tries and repeat else 0
    for attempt in range(tries + 1):
        got = send()
        if not isinstance(got, Problem) or attempt == tries:
            return got
        if got.kind == "crashed" and crash_tries:
            crash_tries -= 1
        elif got.kind not in passing:
            return got
        time.sleep(min(_BACKOFF_S * 2**attempt, _LONGEST_BACKOFF_S))
    return got


def split_lines(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    r"""Yield the lines of a stream as soon as they are whole.

    Bytes are decoded only when a line is complete, so pieces may end within a character. A line
    may be megabytes long: pieces are joined once, not again with each piece.

    Args:
        pieces: Parts of the stream, cut anywhere.

    Yields:
        A line that is not empty, without its end, and whether it had one: the last may not.

    >>> list(split_lines([b'{"a"', b':1}\n{"b', b'":2}']))
    [(b'{"a":1}', True), (b'{"b":2}', False)]
    """
    held: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        held.append(first)
        if others:
            *whole, rest = b"".join(held), *others
            yield from ((line, True) for line in whole if line.strip())
            held = [rest]
    last = b"".join(held)
    if last.strip():
        yield last, False
