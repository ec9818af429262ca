"""One server's address and how its replies are read: what client and admin send through."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import requests

from ragkit.errors import ModelResponseError, ModelUnavailableError
from ragkit.models.http.address import parse_host
from ragkit.models.http.problem import Problem
from ragkit.models.http.repeats import RepeatWatch
from ragkit.models.http.transport import Request, Transport, split_lines, to_problem
from ragkit.models.ollama.problems import IN_STREAM, classify, to_error

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from ragkit.config import ModelSettings
    from ragkit.errors import ModelError

_KEY_VARIABLE = "OLLAMA_API_KEY"
T = TypeVar("T")


class Connection:
    """One server. Opens no connection until a method is called; safe in several threads.

    Arguments and errors are those of `OllamaClient`.
    """

    def __init__(self, host: str, *, settings: ModelSettings) -> None:
        self.settings = settings
        self.address = parse_host(host)
        self._transport = Transport(
            self.address, settings, key_variable=_KEY_VARIABLE, classify=classify
        )

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._transport.close()

    def call(self, request: Request) -> bytes | Problem:
        """Send a request and read its whole reply; a failure is returned."""
        return self._transport.call(request)

    def fetch(
        self,
        method: str,
        path: str,
        payload: Any = None,  # noqa: ANN401 -- any JSON value
        *,
        model: str = "",
    ) -> dict[str, Any]:
        """The JSON object of a reply, asked for again where that may help."""
        return self.parsed(self.call(Request(method, path, payload)), model)

    def fetch_once(self, path: str, payload: Any, *, model: str) -> dict[str, Any]:  # noqa: ANN401 -- any JSON value
        """The JSON object of a reply that is not asked for again once its first byte came."""
        got = self._transport.stream(Request("POST", path, payload))
        if isinstance(got, Problem):
            raise self.error(got, model)
        with got:
            try:
                content = got.content
            except requests.RequestException as exc:
                raise self.error(to_problem(exc, self.settings.read_timeout_s), model) from exc
        if not content:  # cut within the head, which then reads like a whole one
            raise self.unfinished(model)
        return self._event(content, model, ended=True)

    def send_once(self, method: str, path: str, payload: Any, *, model: str) -> None:  # noqa: ANN401 -- any JSON value
        """Have something changed that is not to be changed twice; the reply's body is nothing.

        It is sent again only where it never reached the server.
        """
        got = self.call(Request(method, path, payload, repeat=False))
        if isinstance(got, Problem):
            raise self.error(got, model)

    def stream(
        self,
        request: Request,
        read: Callable[[dict[str, Any]], T],
        *,
        last: tuple[str, Any],
        model: str,
        what: str = "its answer",
    ) -> Generator[T, None, None]:
        """The JSON objects of a streamed reply as they come; closing it ends the request.

        Args:
            request: What to send; it is not sent again once the reply has begun.
            read: Makes a record of an object.
            last: The field and value of the object that says that all is done.
            model: For the error messages.
            what: Likewise: what is not complete if that object never comes.

        Raises:
            ModelError: The request failed before the stream, or the stream ended with an error,
                within a line, or without the last object.
        """
        name, value = last
        watch = RepeatWatch()
        with closing(self._events(request, model)) as events:
            for event in events:
                if event.get(name) == value:
                    _read_out(events)
                    yield read(event)
                    return
                watch.add(_words(event))
                yield read(event)
        raise watch.error(model, self.address) or self.unfinished(model, what)

    def parsed(self, got: bytes | Problem, model: str) -> dict[str, Any]:
        """The JSON object of a reply.

        Raises:
            ModelError: The request failed, or the reply is no JSON object.
        """
        if isinstance(got, Problem):
            raise self.error(got, model)
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

    def error(self, problem: Problem, model: str = "") -> ModelError:
        """The error that a caller of the library sees."""
        return to_error(problem, model, self.address)

    def not_done(self, reply: Mapping[str, Any], model: str) -> ModelError:
        """The error for a whole reply that does not say that it was done."""
        watch = RepeatWatch()
        watch.add(_words(reply))
        return watch.error(model, self.address) or self.unfinished(model)

    def unfinished(self, model: str, what: str = "its answer") -> ModelUnavailableError:
        """The error for a reply that ended without saying that it was done."""
        msg = f"{model} at {self.address} broke off before {what} was complete"
        return ModelUnavailableError(msg, model)

    def _events(self, request: Request, model: str) -> Generator[dict[str, Any], None, None]:
        response = self._transport.stream(request)
        if isinstance(response, Problem):
            raise self.error(response, model)
        with response:
            try:
                # No chunk size: pieces are handed on as they arrive, not when a buffer is full.
                for line, ended in split_lines(response.iter_content(chunk_size=None)):
                    yield self._event(line, model, ended=ended)
            except requests.RequestException as exc:
                silence_s = request.timeout[1] if request.timeout else self.settings.read_timeout_s
                raise self.error(to_problem(exc, silence_s), model) from exc

    def _event(self, line: bytes, model: str, *, ended: bool) -> dict[str, Any]:
        if not ended and _json_object(line) is None:
            raise self.unfinished(model, "a line of its reply")
        event = self.parsed(line, model)
        if "error" in event:
            raise self.error(self._transport.problem(IN_STREAM, line), model)
        return event


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


def _read_out(events: Generator[dict[str, Any], None, None]) -> None:
    """Read the end of a reply whose last event is there, so that its connection is kept.

    What goes wrong now takes nothing from the reply.
    """
    try:
        for _ in events:
            pass
    except (ModelUnavailableError, ModelResponseError):
        return


def _words(event: Mapping[str, Any]) -> str:
    """What a model wrote or thought in an event."""
    said = event.get("message") or event
    return str(said.get("content") or said.get("response") or said.get("thinking") or "")


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
