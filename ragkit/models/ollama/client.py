"""The endpoints of the Ollama server, one short method each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import requests

from ragkit.errors import ModelNotFoundError, ModelResponseError, ModelUnavailableError
from ragkit.models.ollama.host import parse_host
from ragkit.models.ollama.names import same_name
from ragkit.models.ollama.problems import Problem, classify
from ragkit.models.ollama.transport import Transport, to_problem

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from ragkit.config import ModelSettings

_PROBE_TIMEOUT_S = (0.5, 2.0)
_OK = 200


class OllamaClient:
    """Speaks to one Ollama server. Opens no connection until a method is called.

    Every method raises ModelUnavailableError where nothing answers, ModelNotFoundError where the
    model is not installed, ModelResponseError where the request is refused or the reply is odd.

    Args:
        host: Address as in ``OLLAMA_HOST``; see `parse_host`.
        settings: Timeouts, tries, concurrency, ``keep_alive``.
    """

    def __init__(self, host: str, *, settings: ModelSettings) -> None:
        self.settings = settings
        self.address = parse_host(host)
        self._transport = Transport(self.address, settings)

    def is_available(self) -> bool:
        """True if an Ollama server answers at once; never raises for one that does not."""
        got = self._transport.call("GET", "/api/version", timeout=_PROBE_TIMEOUT_S, tries=0)
        return isinstance(got, bytes) and got.startswith(b"{") and b'"version"' in got

    def version(self) -> str:
        """The server's version; source builds say 0.0.0."""
        return str(self.request("GET", "/api/version").get("version", ""))

    def tags(self) -> list[dict[str, Any]]:
        """The installed models, newest first."""
        models: list[dict[str, Any]] = self.request("GET", "/api/tags").get("models") or []
        return models

    def digest(self, name: str) -> str:
        """The digest of an installed model's weights and settings, 64 hex digits.

        Raises:
            ModelNotFoundError: The model is not installed.
        """
        for model in self.tags():
            if same_name(str(model.get("name", "")) or "?", name):
                return str(model.get("digest", "")).removeprefix("sha256:")
        error = Problem("missing", "").to_error(name, self.address)
        raise ModelNotFoundError(str(error), name)

    def show(self, name: str) -> dict[str, Any]:
        """What the server knows of a model: ``model_info``, ``capabilities``, ``parameters``..."""
        return self.request("POST", "/api/show", {"model": name}, model=name)

    def embeddings(
        self, model: str, prompt: str, *, options: Mapping[str, Any] | None = None
    ) -> list[float]:
        """One text's vector as the model's runner gives it, of any length (norm); not truncated."""
        body = self.with_defaults({"model": model, "prompt": prompt}, options)
        vector: list[float] = self.request("POST", "/api/embeddings", body, model=model)[
            "embedding"
        ]
        return vector

    def embed(
        self, model: str, inputs: Sequence[str], *, options: Mapping[str, Any] | None = None
    ) -> list[list[float]]:
        """Unit vectors of several texts, in order; an over-long text fails them all."""
        body = {"model": model, "input": list(inputs), "truncate": False}
        reply = self.request("POST", "/api/embed", self.with_defaults(body, options), model=model)
        vectors: list[list[float]] = reply.get("embeddings") or []
        if len(vectors) != len(inputs):
            msg = f"{model} at {self.address} gave {len(vectors)} vectors for {len(inputs)} texts"
            raise ModelResponseError(msg, model)
        return vectors

    def chat(self, body: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The events of a streamed chat; closing the iterator cancels the generation."""
        return self.events("/api/chat", self.with_defaults(body), model=str(body["model"]))

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
        return self._transport.call(method, path, payload)

    def parsed(self, got: bytes | Problem, model: str) -> dict[str, Any]:
        """The JSON object of a reply.

        Raises:
            ModelError: The request failed, or the reply is no JSON object.
        """
        if isinstance(got, Problem):
            raise got.to_error(model, self.address)
        try:
            reply = orjson.loads(got)
        except orjson.JSONDecodeError:
            reply = None
        if not isinstance(reply, dict):
            msg = f"{self.address} answered with {got[:80]!r}; is it an Ollama server?"
            raise ModelResponseError(msg, model)
        return reply

    def events(
        self,
        path: str,
        payload: Any,  # noqa: ANN401 -- any JSON value
        *,
        model: str = "",
    ) -> Generator[dict[str, Any], None, None]:
        """The JSON objects of a streamed reply, as they come.

        Raises:
            ModelError: The request failed before the stream, or the stream ended with an error.
        """
        response = self._transport.stream("POST", path, payload)
        if isinstance(response, Problem):
            raise response.to_error(model, self.address)
        with response:
            try:
                # No chunk size: pieces are handed on as they arrive, not when a buffer is full.
                for line in response.iter_lines(chunk_size=None):
                    if line:
                        yield self._event(line, model)
            except requests.RequestException as exc:
                raise to_problem(exc).to_error(model, self.address) from exc

    def _event(self, line: bytes, model: str) -> dict[str, Any]:
        event = self.parsed(line, model)
        if "error" in event:
            raise classify(_OK, line).to_error(model, self.address)
        return event

    def with_defaults(
        self, body: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """A request's body with options, where there are any, and the configured keep_alive."""
        full = dict(body)
        if options:
            full["options"] = dict(options)
        if self.settings.keep_alive:
            full["keep_alive"] = _keep_alive(self.settings.keep_alive)
        return full

    def unfinished(self, model: str) -> ModelUnavailableError:
        """The error for a stream that ended without saying that it was done."""
        msg = f"{model} at {self.address} broke off before its answer was complete"
        return ModelUnavailableError(msg, model)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._transport.close()


def _keep_alive(text: str) -> str | float:
    """A bare number means seconds and must be sent as one: the server refuses text without unit."""
    try:
        return float(text)
    except ValueError:
        return text
