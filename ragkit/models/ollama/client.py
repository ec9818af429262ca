"""The client of an Ollama server: asks about its models, and asks them for text and vectors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar

import numpy as np
import orjson

from ragkit.decoding import from_wire
from ragkit.errors import ConfigError, ModelResponseError
from ragkit.models.http.problem import Problem
from ragkit.models.http.transport import Request
from ragkit.models.ollama.connection import Connection
from ragkit.models.ollama.names import is_remote, normalise_name, same_name
from ragkit.models.ollama.replies import (
    Embedded,
    InstalledModel,
    Metrics,
    RunningModel,
)
from ragkit.models.vectors import flaws, to_row

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from ragkit.config import ModelSettings
    from ragkit.models.ollama.calls import ChatCall
    from ragkit.models.ollama.generation import GenerateCall, Generated
    from ragkit.models.ollama.messages import ChatReply
    from ragkit.models.ollama.shown import ShownModel
    from ragkit.protocols import Vectors

T = TypeVar("T")
Endpoint: TypeAlias = Literal["/api/embeddings", "/api/embed"]
_ONE: Endpoint = "/api/embeddings"
_MANY: Endpoint = "/api/embed"
_GENERATE, _CHAT = "/api/generate", "/api/chat"
_NOT_ADMITTED = frozenset({401, 403})
_PROBE_TIMEOUT_S = (0.5, 2.0)


class OllamaClient:
    """Speaks to one Ollama server. Opens no connection until a method is called.

    What changes which models the server has is `OllamaAdmin`'s. Safe to use from several threads.

    Every method raises ModelUnavailableError where nothing answers, ModelNotFoundError where the
    model is not installed, ModelResponseError where the request is refused or the reply is odd.

    Questions are asked again where that may help. Requests for text are not once their reply has
    begun: then the error is the caller's to see, and what came before it is an incomplete answer.

    Args:
        host: Address as in ``OLLAMA_HOST``; see `parse_host`.
        settings: Timeouts, tries, concurrency, ``keep_alive``, ``allow_remote``.

    Raises:
        ConfigError: The address or ``OLLAMA_API_KEY`` cannot be used.

    Usage::

        with OllamaClient("127.0.0.1", settings=ModelSettings()) as client:
            reply = client.generate(GenerateCall("llama3.2", "Why is the sky blue?"))
            for piece in client.chat_stream(ChatCall("llama3.2", [Message("user", "Hello")])):
                print(piece.message.content, end="", flush=True)
    """

    def __init__(self, host: str, *, settings: ModelSettings) -> None:
        self.connection = Connection(host, settings=settings)
        self.settings, self.address = settings, self.connection.address
        self._known_local: set[str] = set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.connection.close()

    # The server and its models

    def health(self) -> str:
        """What the server greets with: ``Ollama is running``. ``GET /``.

        Raises:
            ModelError: It does not answer, or with an error.
        """
        got = self.connection.call(Request("GET", "/"))
        if isinstance(got, Problem):
            raise self.connection.error(got)
        return got.decode("utf-8", "replace").strip()

    def answers(self, path: Literal["/", "/api/version", "/api/tags"] = "/") -> bool:
        """True if the server answers ``HEAD`` of a path at once; never raises if it does not.

        ``HEAD /``, ``HEAD /api/version``, ``HEAD /api/tags``.
        """
        return isinstance(self._probe("HEAD", path), bytes)

    def is_available(self) -> bool:
        """True if an Ollama server answers at once; never raises for one that does not."""
        got = self._probe("GET", "/api/version")
        return isinstance(got, bytes) and got.startswith(b"{") and b'"version"' in got

    def check_admitted(self) -> None:
        """Say if a server is there that does not take this client's requests.

        Raises:
            ModelResponseError: It refuses them for their address or their key: it is no absent
                server, in place of which another model may be used.
        """
        got = self._probe("GET", "/api/version")
        if isinstance(got, Problem) and got.status in _NOT_ADMITTED:
            raise self.connection.error(got)

    def version(self) -> str:
        """The server's version. ``GET /api/version``.

        Builds from source say ``0.0.0``, so nothing may depend on it.
        """
        return str(self.connection.fetch("GET", "/api/version").get("version", ""))

    def tags(self) -> list[InstalledModel]:
        """The installed models, as the server orders them: newest first. ``GET /api/tags``."""
        return self._listed("/api/tags", InstalledModel)

    def ps(self) -> list[RunningModel]:
        """The models in memory, the one that stays longest first. ``GET /api/ps``."""
        return self._listed("/api/ps", RunningModel)

    def show(self, name: str, *, verbose: bool = False) -> ShownModel:
        """What the server knows of a model. ``POST /api/show``.

        Args:
            name: Its name; the tag may be left out.
            verbose: Send the tokenizer's words and the list of tensors too: megabytes.
        """
        from ragkit.models.ollama.shown import ShownModel

        body = {"model": name} | ({"verbose": True} if verbose else {})
        reply = self.connection.fetch("POST", "/api/show", body, model=name)
        shown = from_wire(ShownModel, reply)
        if not shown.remote_host:
            self._known_local.add(name)
        return shown

    def find_installed(
        self, name: str, *, among: Sequence[InstalledModel] | None = None
    ) -> InstalledModel | None:
        """The installed model that a name means, as the server compares names; None for none.

        Args:
            name: Its name; the tag may be left out.
            among: What `tags` gave, if it was asked already.
        """
        wanted, installed = normalise_name(name), self.tags() if among is None else among
        return next((m for m in installed if m.name and same_name(m.name, wanted)), None)

    def digest(self, name: str) -> str:
        """The digest of an installed model's weights and settings, 64 hex digits.

        Raises:
            ModelNotFoundError: The model is not installed.
            ConfigError: It runs elsewhere, and ``models.allow_remote`` is off.
        """
        model = self.find_installed(name)
        if model is None:
            raise self.connection.error(Problem("missing", ""), name)
        if model.remote_host:
            self._refuse(name)
        return model.digest

    def refuse_remote_name(self, name: str) -> None:
        """Refuse a name that says that its model runs elsewhere, unless that is allowed.

        Raises:
            ConfigError: It does, and ``models.allow_remote`` is off.
        """
        if is_remote(name):
            self._refuse(name)

    def refuse_remote(self, name: str) -> None:
        """Refuse a model that runs elsewhere, by its name or by what the server says of it.

        Asks the server once for each model.

        Raises:
            ConfigError: It does, and ``models.allow_remote`` is off.
            ModelNotFoundError: It is not installed.
        """
        self.refuse_remote_name(name)
        if self.settings.allow_remote or name in self._known_local:
            return
        if self.show(name).remote_host:
            self._refuse(name)

    def forget_models(self) -> None:
        """Ask anew where models run: a name may mean another model than before."""
        self._known_local.clear()

    # Text

    def generate(self, call: GenerateCall) -> Generated:
        """Continue a text; the whole reply at once. ``POST /api/generate``, ``stream: false``.

        The reply must come within ``models.read_timeout_s``; a long one is better streamed.

        Raises:
            ModelUnavailableError: Also if the model broke off.
            ConfigError: The model runs elsewhere, and ``models.allow_remote`` is off.
        """
        from ragkit.models.ollama.generation import Generated

        return self._whole(_GENERATE, call, Generated)

    def generate_stream(self, call: GenerateCall) -> Generator[Generated, None, None]:
        """Continue a text piece by piece. ``POST /api/generate``, ``stream: true``.

        Closing the iterator cancels the generation. Errors as `generate`, at the first piece or
        at a later one.

        Returns:
            Pieces as they come; the last and only the last has ``done``.
        """
        from ragkit.models.ollama.generation import Generated

        return self._streamed(_GENERATE, call, Generated)

    def chat(self, call: ChatCall) -> ChatReply:
        """Continue a conversation; the whole reply at once. ``POST /api/chat``, ``stream: false``.

        Limits and errors as `generate`.
        """
        from ragkit.models.ollama.messages import ChatReply

        return self._whole(_CHAT, call, ChatReply)

    def chat_stream(self, call: ChatCall) -> Generator[ChatReply, None, None]:
        """Continue a conversation piece by piece. ``POST /api/chat``, ``stream: true``.

        Closing the iterator cancels the generation. Errors as `generate_stream`.

        Returns:
            Pieces as they come; the last and only the last has ``done``.
        """
        from ragkit.models.ollama.messages import ChatReply

        return self._streamed(_CHAT, call, ChatReply)

    def load(self, name: str, *, keep_alive: str = "") -> None:
        """Load a model into memory and wait until it is there.

        ``POST /api/generate`` without a prompt; for an embedding model, which that refuses,
        ``POST /api/embed`` without a text.

        Args:
            name: The model.
            keep_alive: How long it stays; see `GenerateCall`.
        """
        self.refuse_remote(name)
        body = self.connection.with_defaults({"model": name}, keep_alive=keep_alive)
        try:
            self.connection.fetch_once(_GENERATE, body, model=name)
        except ModelResponseError as exc:
            if "does not support" not in str(exc):
                raise
            self.connection.fetch("POST", _MANY, body | {"input": ""}, model=name)

    def unload(self, name: str) -> None:
        """Remove a model of any kind from memory. ``POST /api/generate``, ``keep_alive: 0``."""
        self.connection.fetch_once(_GENERATE, {"model": name, "keep_alive": 0}, model=name)

    # Vectors

    def embeddings(
        self,
        model: str,
        prompt: str,
        *,
        options: Mapping[str, Any] | None = None,
        keep_alive: str = "",
    ) -> Vectors:
        """One text's vector as the model's runner gives it. ``POST /api/embeddings``.

        No prefix is put before the text.

        Args:
            model: Its name.
            prompt: Not empty. One over the window is refused, never cut.
            options: The model's options; see `GenerateCall`.
            keep_alive: How long the model stays; see `GenerateCall`.

        Returns:
            float32, shape (dim,), finite. Of unit length with some models and servers only.

        Raises:
            ModelResponseError: The text is too long, or the vector is empty, zero or not finite.
            ConfigError: The model runs elsewhere, and ``models.allow_remote`` is off.
        """
        body = {"model": model, "prompt": prompt}
        full = self.connection.with_defaults(body, options, keep_alive)
        vector: Vectors = self._checked(_ONE, full, 1)[0][0]
        return vector

    def embed(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        dimensions: int | None = None,
        truncate: bool = False,
        options: Mapping[str, Any] | None = None,
        keep_alive: str = "",
    ) -> Embedded:
        """Vectors of several texts. ``POST /api/embed``.

        No prefix is put before a text.

        Args:
            model: Its name.
            inputs: Texts; one that fails fails them all, and the error does not say which. None:
                the model is only loaded.
            dimensions: Keep the first so many values and scale to unit length again; for models
                that were trained for that (Matryoshka). Nobody checks that they were.
            truncate: Cut a text over the window at its end, silently, instead of refusing it.
            options: The model's options; see `GenerateCall`.
            keep_alive: How long the model stays; see `GenerateCall`.

        Returns:
            float32, shape (len(inputs), dim), unit rows in order; shape (0, 0) without inputs.

        Raises:
            ModelResponseError: A text is too long; or the vectors are not as many as the texts,
                not alike in length, or one is zero or not finite.
            ConfigError: The model runs elsewhere, and ``models.allow_remote`` is off.
        """
        body: dict[str, Any] = {"model": model, "input": list(inputs), "truncate": truncate}
        if dimensions is not None:
            body["dimensions"] = dimensions
        full = self.connection.with_defaults(body, options, keep_alive)
        vectors, reply = self._checked(_MANY, full, len(inputs))
        return Embedded(str(reply.get("model", model)), vectors, from_wire(Metrics, reply))

    def vectors(
        self, endpoint: Endpoint, body: Mapping[str, Any], count: int
    ) -> list[Vectors] | Problem:
        """Send one request for vectors; a failure of the request is returned.

        Args:
            endpoint: One text, or several.
            body: Its JSON object, with ``model``.
            count: How many vectors must come.

        Returns:
            Vectors of any length and norm, perhaps empty or not finite (see `flaws`).

        Raises:
            ModelResponseError: The reply holds another number of vectors, or something else.
        """
        model = str(body["model"])
        self.refuse_remote_name(model)
        got = self.connection.call(Request("POST", endpoint, body))
        if isinstance(got, Problem):
            return got
        return self._rows(endpoint, self.connection.parsed(got, model), model, count)

    def _probe(self, method: str, path: str) -> bytes | Problem:
        request = Request(method, path, timeout=_PROBE_TIMEOUT_S, tries=0)
        return self.connection.call(request)

    def _listed(self, path: str, kind: type[T]) -> list[T]:
        models = self.connection.fetch("GET", path).get("models")
        given = models if isinstance(models, list) else []
        return [from_wire(kind, model) for model in given if isinstance(model, dict)]

    def _refuse(self, name: str) -> None:
        if not self.settings.allow_remote:
            msg = (
                f"model {name!r} does not run on {self.address}: what it is given leaves this "
                "machine. To allow that, set models.allow_remote = true"
            )
            raise ConfigError(msg)

    def _whole(self, path: str, call: GenerateCall | ChatCall, kind: type[T]) -> T:
        self.refuse_remote(call.model)
        body = self.connection.with_defaults(call.body(stream=False), keep_alive=call.keep_alive)
        reply = self.connection.fetch_once(path, body, model=call.model)
        if not reply.get("done"):
            raise self.connection.not_done(reply, call.model)
        return from_wire(kind, reply)

    def _streamed(
        self, path: str, call: GenerateCall | ChatCall, kind: type[T]
    ) -> Generator[T, None, None]:
        self.refuse_remote(call.model)
        body = self.connection.with_defaults(call.body(stream=True), keep_alive=call.keep_alive)
        return self.connection.stream(
            Request("POST", path, body),
            partial(from_wire, kind),
            last=("done", True),
            model=call.model,
        )

    def _checked(
        self, endpoint: Endpoint, body: Mapping[str, Any], count: int
    ) -> tuple[Vectors, dict[str, Any]]:
        """Vectors that are directions, as rows, and the reply that they came in."""
        model = str(body["model"])
        self.refuse_remote(model)
        reply = self.connection.fetch("POST", endpoint, body, model=model)
        rows = self._rows(endpoint, reply, model, count)
        if not all(row.size for row in rows):
            msg = f"{model} at {self.address} gave an empty vector for a text"
            raise ModelResponseError(msg, model)
        if len({len(row) for row in rows}) > 1:
            msg = f"{model} at {self.address} gave vectors of different lengths"
            raise ModelResponseError(msg, model)
        vectors: Vectors = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        for row, reason in flaws(vectors).items():
            msg = f"{model} at {self.address}, text {row}: {reason}"
            raise ModelResponseError(msg, model)
        return vectors, reply

    def _rows(
        self, endpoint: Endpoint, reply: Mapping[str, Any], model: str, count: int
    ) -> list[Vectors]:
        try:
            given = reply["embeddings"] if endpoint == _MANY else [reply["embedding"]]
            rows = [to_row(row) for row in given]
        except (ValueError, TypeError, KeyError) as exc:
            shown = orjson.dumps(dict(reply))[:80]
            msg = f"{model} at {self.address} answered with {shown!r}, not with vectors"
            raise ModelResponseError(msg, model) from exc
        if len(rows) != count:
            msg = f"{model} at {self.address} gave {len(rows)} vectors for {count} texts"
            raise ModelResponseError(msg, model)
        if any(row.ndim != 1 for row in rows):
            msg = f"{model} at {self.address} gave something else than a vector for a text"
            raise ModelResponseError(msg, model)
        return rows
