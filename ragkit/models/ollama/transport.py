"""Requests to one server: kept-alive connections, timeouts, tries. Knows HTTP, not the API."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ProtocolError

from ragkit.models.ollama.host import is_loopback
from ragkit.models.ollama.problems import Kind, Problem, classify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ragkit.config import ModelSettings

_BACKOFF_S = 0.2
_LONGEST_BACKOFF_S = 5.0
_PASSING: frozenset[Kind] = frozenset({"busy", "unreachable", "broken"})
_SUCCESS = 2
# Questions and chats run beside the embedding requests.
_SPARE_CONNECTIONS = 4


class Transport:
    """Sends requests to a base URL; failures come back as values, since callers act on them.

    Safe to use from several threads.

    Args:
        base: As `parse_host` gives it.
        settings: Timeouts, tries, and how many connections to keep.
    """

    def __init__(self, base: str, settings: ModelSettings) -> None:
        self.base = base
        self._tries = settings.retries
        self._timeout = (settings.connect_timeout_s, settings.read_timeout_s)
        self._session = requests.Session()
        size = settings.embed_concurrency + _SPARE_CONNECTIONS
        self._session.mount(base, HTTPAdapter(pool_maxsize=size))
        # A proxy variable meant for the internet would break loopback traffic.
        self._session.trust_env = not is_loopback(base)
        # What `requests` works out for each request is the same for all: worked out once, it
        # halves the time of a request (3.4 to 2.0 s for 3,000 of them, measured).
        self._kept: Any = self._session.merge_environment_settings(base, {}, None, None, None)
        self._templates: dict[tuple[str, str], requests.PreparedRequest] = {}
        self._session.headers.update(_authorization(base))

    def call(
        self,
        method: str,
        path: str,
        payload: Any = None,  # noqa: ANN401 -- any JSON value
        *,
        timeout: tuple[float, float] | None = None,
        tries: int | None = None,
    ) -> bytes | Problem:
        """Send a request and read its whole reply.

        Args:
            method: HTTP method.
            path: Begins with ``/``.
            payload: JSON value of the body; None sends none.
            timeout: Seconds to connect and between bytes, in place of the settings' own.
            tries: Further tries in place of the settings' own.
        """
        got = self._open(method, path, payload, stream=False, timeout=timeout, tries=tries)
        return got if isinstance(got, Problem) else got.content

    def stream(self, method: str, path: str, payload: Any) -> requests.Response | Problem:  # noqa: ANN401 -- any JSON value
        """Send a request whose reply is read piece by piece; the caller closes it."""
        return self._open(method, path, payload, stream=True, timeout=None, tries=None)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._session.close()

    def _open(
        self,
        method: str,
        path: str,
        payload: Any,  # noqa: ANN401 -- any JSON value
        *,
        stream: bool,
        timeout: tuple[float, float] | None,
        tries: int | None,
    ) -> requests.Response | Problem:
        try:
            request = self._request(method, path, payload)
        except orjson.JSONEncodeError as exc:
            return Problem("unsendable", f"the text cannot be sent: {exc}")
        limits = timeout or self._timeout

        def send() -> requests.Response | Problem:
            return self._once(request, stream=stream, timeout=limits)

        return _again(send, self._tries if tries is None else tries)

    def _request(self, method: str, path: str, payload: Any) -> requests.PreparedRequest:  # noqa: ANN401 -- any JSON value
        template = self._templates.get((method, path))
        if template is None:
            template = self._session.prepare_request(requests.Request(method, self.base + path))
            self._templates[method, path] = template
        request = template.copy()
        if payload is not None:
            body = orjson.dumps(payload)
            request.body = body
            request.headers["Content-Type"] = "application/json"
            request.headers["Content-Length"] = str(len(body))
        return request

    def _once(
        self, request: requests.PreparedRequest, *, stream: bool, timeout: tuple[float, float]
    ) -> requests.Response | Problem:
        options: Any = {**self._kept, "stream": stream, "timeout": timeout}
        try:
            # Never redirected: documents go to the configured address and to no other.
            reply = self._session.send(request, allow_redirects=False, **options)
            if reply.status_code // 100 == _SUCCESS:
                return reply
            return classify(reply.status_code, reply.content)
        except requests.RequestException as exc:
            return to_problem(exc)


def to_problem(exc: requests.RequestException) -> Problem:
    """Tell what a failure of `requests` means."""
    if isinstance(exc, requests.ConnectTimeout):
        return Problem("unreachable", "no connection within the time allowed")
    if isinstance(exc, requests.Timeout) or "Read timed out" in str(exc):
        return Problem("timeout", "no reply within models.read_timeout_s")
    cut = isinstance(exc, requests.exceptions.ChunkedEncodingError)
    if cut or (exc.args and isinstance(exc.args[0], ProtocolError)):
        return Problem("broken", "the connection ended before the reply was complete")
    if isinstance(exc, requests.ConnectionError):
        return Problem("unreachable", _innermost(exc))
    return Problem("refused", str(exc))


def _again(
    send: Callable[[], requests.Response | Problem], tries: int
) -> requests.Response | Problem:
    """Send until it works, with growing pauses; a crash gets one more try, whatever `tries`.

    A read timeout is not tried again: leaving aborts a model's loading, so that a second try
    would begin it anew, without end.
    """
    crash_tries = 1 if tries else 0
    for attempt in range(tries + 1):
        got = send()
        if not isinstance(got, Problem) or attempt == tries:
            return got
        if got.kind == "crashed" and crash_tries:
            crash_tries -= 1
        elif got.kind not in _PASSING:
            return got
        time.sleep(min(_BACKOFF_S * 2**attempt, _LONGEST_BACKOFF_S))
    return got


def _innermost(exc: BaseException) -> str:
    while exc.__cause__ or exc.__context__:
        exc = exc.__cause__ or exc.__context__ or exc
    return str(exc) or type(exc).__name__


def _authorization(base: str) -> Mapping[str, str]:
    """The key for a hosted server; a server on this machine needs none and is sent none."""
    key = os.environ.get("OLLAMA_API_KEY", "").strip()
    return {"Authorization": f"Bearer {key}"} if key and base.startswith("https:") else {}
