"""A server's address and how its replies are read: what every group of endpoints stands on."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self, TypeVar

import orjson
import requests

from ragkit.errors import ModelError, ModelResponseError, ModelUnavailableError
from ragkit.models.http.address import kept_back, key_for, parse_host
from ragkit.models.http.problem import Problem
from ragkit.models.http.transport import Request, Transport, split_lines, to_problem
from ragkit.models.ollama.problems import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from ragkit.config import ModelSettings

_IN_STREAM = 200
T = TypeVar("T")


class Connection:
    """One server. Opens no connection until a method is called; safe in several threads.

    Every method raises ModelUnavailableError where nothing answers, ModelNotFoundError where the
    model is not installed, ModelResponseError where the request is refused or the reply is odd.

    Args:
        host: Address as in ``OLLAMA_HOST``; see `parse_host`.
        settings: Timeouts, tries, concurrency, ``keep_alive``, ``allow_remote``.

    Raises:
        ConfigError: The address or ``OLLAMA_API_KEY`` cannot be used.
    """

    def __init__(self, host: str, *, settings: ModelSettings) -> None:
        self.settings = settings
        self.address = parse_host(host)
        self._transport = Transport(
            self.address,
            settings,
            key=key_for(self.address),
            kept_back=kept_back(self.address),
            classify=classify,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._transport.close()

    def request(
        self,
        method: str,
        path: str,
        payload: Any = None,  # noqa: ANN401 -- any JSON value
        *,
        model: str = "",
    ) -> dict[str, Any]:
        """Send a request, raise its failure as one of our errors, return its JSON object."""
        return self.parsed(self.attempt(method, path, payload), model)

    def attempt(self, method: str, path: str, payload: Any = None) -> bytes | Problem:  # noqa: ANN401 -- any JSON value
        """Send a request, tried again where that may help; a failure is returned."""
        return self._transport.call(Request(method, path, payload))

    def order(self, method: str, path: str, payload: Any, *, model: str = "") -> None:  # noqa: ANN401 -- any JSON value
        """Have something changed that is not to be changed twice; the reply's body is nothing.

        It is sent again only where it never reached the server.
        """
        got = self._transport.call(Request(method, path, payload, repeat=False))
        if isinstance(got, Problem):
            raise got.to_error(model, self.address)

    def costly(self, path: str, payload: Any, *, model: str) -> dict[str, Any]:  # noqa: ANN401 -- any JSON value
        """The JSON object of a reply that is not asked for again once its first byte came."""
        got = self._transport.stream(Request("POST", path, payload))
        if isinstance(got, Problem):
            raise got.to_error(model, self.address)
        with got:
            try:
                content = got.content
            except requests.RequestException as exc:
                problem = to_problem(exc, self.settings.read_timeout_s)
                raise problem.to_error(model, self.address) from exc
        if not content:  # cut within the head, which then reads like a whole one
            raise self.unfinished(model)
        return self._event(content, model, ended=True)

    def events(
        self,
        path: str,
        payload: Any,  # noqa: ANN401 -- any JSON value
        *,
        model: str = "",
        repeat: bool = True,
        silence_s: float = 0.0,
    ) -> Generator[dict[str, Any], None, None]:
        """The JSON objects of a streamed reply as they come; closing it ends the request.

        Args:
            path: The endpoint; the method is POST.
            payload: JSON value of the body.
            model: For the error messages.
            repeat: Whether it may be sent again where it reached the server but no reply began.
            silence_s: How long the server may say nothing, where that is longer than the setting.

        Raises:
            ModelError: The request failed before the stream, or the stream ended with an error
                or within a line.
        """
        silence_s = max(silence_s, self.settings.read_timeout_s)
        limits = (self.settings.connect_timeout_s, silence_s)
        request = Request("POST", path, payload, repeat=repeat, timeout=limits)
        response = self._transport.stream(request)
        if isinstance(response, Problem):
            raise response.to_error(model, self.address)
        with response:
            try:
                # No chunk size: pieces are handed on as they arrive, not when a buffer is full.
                for line, ended in split_lines(response.iter_content(chunk_size=None)):
                    yield self._event(line, model, ended=ended)
            except requests.RequestException as exc:
                raise to_problem(exc, silence_s).to_error(model, self.address) from exc

    def events_until(
        self,
        last: tuple[str, Any],
        events: Generator[dict[str, Any], None, None],
        read: Callable[[dict[str, Any]], T],
        *,
        unfinished: ModelError,
    ) -> Generator[T, None, None]:
        """Events, read, up to the one that says that all is done; closing it closes them.

        Args:
            last: The field and value of that event.
            events: As `events` gives them.
            read: Makes a record of one.
            unfinished: Raised where the last one never comes.
        """
        name, value = last
        with closing(events):
            for event in events:
                if event.get(name) == value:
                    _read_out(events)
                    yield read(event)
                    return
                yield read(event)
        raise unfinished

    def parsed(self, got: bytes | Problem, model: str) -> dict[str, Any]:
        """The JSON object of a reply.

        Raises:
            ModelError: The request failed, or the reply is no JSON object.
        """
        if isinstance(got, Problem):
            raise got.to_error(model, self.address)
        reply = _json_object(got)
        if reply is None:
            shown = self._transport.mask(repr(got[:80]))
            msg = f"{self.address} answered with {shown}; is it an Ollama server?"
            raise ModelResponseError(msg, model)
        return reply

    def with_defaults(
        self,
        body: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        keep_alive: str = "",
    ) -> dict[str, Any]:
        """A request's body with options, where there are any, and how long the model stays.

        Args:
            body: The rest of it.
            options: The model's options.
            keep_alive: In place of the setting; empty: the setting.
        """
        full = dict(body)
        if options:
            full["options"] = dict(options)
        if kept := keep_alive or self.settings.keep_alive:
            full["keep_alive"] = keep_alive_value(kept)
        return full

    def unfinished(self, model: str, what: str = "its answer") -> ModelUnavailableError:
        """The error for a stream that ended without saying that it was done."""
        msg = f"{model} at {self.address} broke off before {what} was complete"
        return ModelUnavailableError(msg, model)

    def _event(self, line: bytes, model: str, *, ended: bool) -> dict[str, Any]:
        if not ended and _json_object(line) is None:
            raise self.unfinished(model, "a line of its reply")
        event = self.parsed(line, model)
        if "error" in event:
            raise self._failure(line, model)
        return event

    def _failure(self, line: bytes, model: str) -> ModelError:
        return self._transport.problem(_IN_STREAM, line).to_error(model, self.address)


def _read_out(events: Generator[dict[str, Any], None, None]) -> None:
    """Read the end of a reply whose last event is there, so that its connection is kept.

    What goes wrong now takes nothing from the reply.
    """
    try:
        for _ in events:
            pass
    except (ModelUnavailableError, ModelResponseError):
        return


def keep_alive_value(text: str) -> str | float:
    """What to send for a ``keep_alive``: seconds as a number, a Go duration as text.

    A bare number must be sent as one: the server refuses text without a unit.

    >>> keep_alive_value("300"), keep_alive_value("1h30m")
    (300, '1h30m')
    """
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):  # JSON cannot say it; the server refuses the word
        return text
    return int(number) if number.is_integer() else number


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
