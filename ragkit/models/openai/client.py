"""Requests to an OpenAI-compatible server."""

from __future__ import annotations

import hashlib
import time
from base64 import b64decode
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import numpy as np
import orjson
import requests

from ragkit.errors import ModelResponseError, ModelUnavailableError
from ragkit.models.http.address import parse_host
from ragkit.models.http.problem import TEXT_KINDS, Problem
from ragkit.models.http.repeats import RepeatWatch
from ragkit.models.http.transport import Request, Transport, split_lines, to_problem
from ragkit.models.openai.problems import IN_STREAM, classify, to_error
from ragkit.models.vectors import to_row

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from ragkit.config import ModelSettings
    from ragkit.protocols import Vectors

_KEY_VARIABLE = "OPENAI_API_KEY"
_DONE = b"[DONE]"
_END_S = 0.25
"""How long the end of a reply is waited for, from ``[DONE]`` on."""

# Names that servers give to a model's window: vLLM, LM Studio and others, llama.cpp's `meta`.
_WINDOWS = ("max_model_len", "max_context_length", "context_length", "n_ctx", "n_ctx_train")


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that a server lists; ``context_tokens`` is None where it does not say."""

    name: str
    context_tokens: int | None


class OpenAIClient:
    """One server. Opens no connection until a method is called; safe in several threads.

    Every method raises ModelUnavailableError where nothing answers, ModelNotFoundError where the
    server has no such model, ModelResponseError where it refuses or its reply is odd.

    Args:
        url: e.g. ``http://127.0.0.1:1234/v1``; ``/v1`` is added where there is no path.
        settings: Timeouts, tries, concurrency.

    Raises:
        ConfigError: The address or ``OPENAI_API_KEY`` cannot be used.
    """

    def __init__(self, url: str, *, settings: ModelSettings) -> None:
        self.settings = settings
        given = url.strip() if "://" in url else f"http://{url.strip()}"
        base = parse_host(given, setting="models.openai_url")
        self.address = base if urlsplit(base).path else f"{base}/v1"
        self._transport = Transport(
            self.address, settings, key_variable=_KEY_VARIABLE, classify=classify
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

    def is_available(self) -> bool:
        """Whether a server lists its models there: ``GET /models``, without further tries."""
        limits = (self.settings.connect_timeout_s,) * 2
        got = self._transport.call(Request("GET", "/models", timeout=limits, tries=0))
        return not isinstance(got, Problem)

    def models(self) -> list[ListedModel]:
        """The models that the server lists: ``GET /models``."""
        reply = self._parsed(self._transport.call(Request("GET", "/models")), "")
        return [_listed(entry) for entry in reply.get("data") or () if isinstance(entry, dict)]

    def model(self, name: str) -> ListedModel | None:
        """The entry of one model, None where the server does not list it: ``GET /models``."""
        return next((model for model in self.models() if model.name == name), None)

    def retrieve(self, name: str) -> ListedModel:
        """The entry of one model: ``GET /models/:model``, which not every server has.

        Raises:
            ModelNotFoundError: The server has no such model, or no such endpoint.
        """
        got = self._transport.call(Request("GET", f"/models/{quote(name, safe='')}"))
        if isinstance(got, Problem) and got.status == HTTPStatus.NOT_FOUND:
            got = replace(got, kind="missing")
        entry = self._parsed(got, name)
        if not entry.get("id"):
            msg = f"{name} at {self.address}: a reply without the model's id"
            raise ModelResponseError(msg, name)
        return _listed(entry)

    def digest(self, name: str) -> str:
        """Stands for a model's weights, of which the interface tells nothing; sends nothing.

        Returns:
            64 hexadecimal digits made of the name.
        """
        return hashlib.sha256(f"openai\0{name}".encode()).hexdigest()

    def embeddings(self, model: str, texts: Sequence[str]) -> list[Vectors] | Problem:
        """Have texts embedded: ``POST /embeddings``.

        Args:
            model: Its name there.
            texts: One or more, none empty.

        Returns:
            One vector a text, float32, of any norm, perhaps empty, in order; or the problem where
            another text may be free of it.

        Raises:
            ModelResponseError: The vectors are not as many as the texts.
        """
        body = {"model": model, "input": list(texts), "encoding_format": "float"}
        got = self._transport.call(Request("POST", "/embeddings", body))
        if isinstance(got, Problem) and got.kind in TEXT_KINDS:
            return got
        rows = self._parsed(got, model).get("data") or []
        try:
            rows = sorted(rows, key=lambda row: row["index"])
            if [row["index"] for row in rows] != list(range(len(texts))):
                msg = f"{model} at {self.address} gave {len(rows)} vectors for {len(texts)} texts"
                raise ModelResponseError(msg, model)
            return [_vector(row["embedding"]) for row in rows]
        except (KeyError, TypeError, ValueError) as exc:
            msg = f"{model} at {self.address}: a reply without vectors: {exc!r}"
            raise ModelResponseError(msg, model) from exc

    def chat(self, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Stream a reply: ``POST /chat/completions``; closing it ends the request.

        Args:
            body: The request; ``stream`` is set here.

        Yields:
            The chunks as they come.

        Raises:
            ModelUnavailableError: The stream ended without ``[DONE]``: it is not whole. If the
                model repeated itself until then, it is a ModelResponseError that says so.
        """
        model = str(body["model"])
        request = Request("POST", "/chat/completions", body | {"stream": True})
        response = self._transport.stream(request)
        if isinstance(response, Problem):
            raise to_error(response, model, self.address)
        watch = RepeatWatch()
        with response:
            try:
                pieces = response.iter_content(chunk_size=None)
                with closing(_events(pieces)) as events:
                    for data in events:
                        if data == _DONE:
                            _read_out(response, pieces)
                            return
                        chunk = self._parsed(data, model)
                        watch.add(_words(chunk))
                        yield chunk
            except requests.RequestException as exc:
                problem = to_problem(exc, self.settings.read_timeout_s)
                raise to_error(problem, model, self.address) from exc
        msg = f"{model} at {self.address}: the stream ended without [DONE], so it is not whole"
        raise watch.error(model, self.address) or ModelUnavailableError(msg, model)

    def _parsed(self, got: bytes | Problem, model: str) -> dict[str, Any]:
        if isinstance(got, Problem):
            raise to_error(got, model, self.address)
        try:
            value = orjson.loads(got)
        except orjson.JSONDecodeError as exc:
            value = exc
        if not isinstance(value, dict):
            shown = self._transport.mask(got[:80].decode("utf-8", "replace"))
            msg = f"{self.address} gave {shown!r}, which is not a JSON object; is this its address?"
            raise ModelResponseError(msg, model)
        if value.get("error"):  # within a stream, or with status 200 as some servers do
            raise to_error(self._transport.problem(IN_STREAM, got), model, self.address)
        return value


def _read_out(response: requests.Response, pieces: Iterator[bytes]) -> None:
    """Read the end of a whole reply, so that its connection is kept; nothing depends on it.

    An end that does not come at once is not waited for: closing the reply closes the connection.
    """
    sock = getattr(response.raw.connection, "sock", None)  # None: it ends with the reply
    if sock is None:
        return
    sock.settimeout(_END_S)  # the next request sets its own
    deadline = time.monotonic() + _END_S
    with suppress(requests.RequestException):
        for _ in pieces:
            if time.monotonic() > deadline:
                return


def _events(pieces: Any) -> Generator[bytes, None, None]:  # noqa: ANN401 -- an iterator of bytes
    """The data of server-sent events; one that was cut off at the end is left out.

    Servers of this interface write each event as one ``data`` line, so that a blank line need
    not be waited for; comments and other fields are passed over, but for the ``error`` lines of
    older llama.cpp servers.
    """
    for line, ended in split_lines(pieces):
        if ended and line.startswith(b"data:"):
            yield line.removeprefix(b"data:").strip()
        elif ended and line.startswith(b"error:"):
            yield b'{"error":%s}' % line.removeprefix(b"error:").strip()


def _words(chunk: dict[str, Any]) -> str:
    """What a model wrote in a chunk."""
    deltas = [choice.get("delta") or {} for choice in chunk.get("choices") or ()]
    return "".join(str(delta.get("content") or "") for delta in deltas)


def _vector(value: Any) -> Vectors:  # noqa: ANN401 -- JSON
    if isinstance(value, str):  # base64, little-endian float32, though floats were asked for
        return np.frombuffer(b64decode(value, validate=True), "<f4").astype(np.float32)
    return to_row(list(value))


def _listed(entry: dict[str, Any]) -> ListedModel:
    known = entry | (entry.get("meta") or {})
    window = next((known[name] for name in _WINDOWS if isinstance(known.get(name), int)), None)
    return ListedModel(str(entry.get("id", "")), window)
