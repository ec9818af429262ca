"""What ``ragkit doctor`` says of the model servers: are they there, where, and how old."""

from __future__ import annotations

import re
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from ragkit.cli.output import on_terminal, say
from ragkit.errors import ModelError, ModelNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.config import ModelSettings
    from ragkit.models.ollama import InstalledModel, OllamaClient
    from ragkit.models.openai import ListedModel, OpenAIClient

Client = TypeVar("Client", "OllamaClient", "OpenAIClient")

EMBEDDER, CHAT = "embedding model", "chat model"
_DEFAULT_ADDRESS = "http://127.0.0.1:11434"
_LISTENING_ADDRESSES = ("0.0.0.0", "[::]")  # noqa: S104 -- looked for, not bound
# What versions before these cannot do; the oldest first, since the first that fits is told.
_SINCE = (
    ((0, 3, 0), "has no /api/embed"),
    ((0, 5, 0), "does not follow a JSON schema"),
    ((0, 6, 4), "does not tell what a model can do, so the wrong kind shows only when used"),
)
# Words of the failure, and what to do about it.
_ADVICE = (
    ("HTTP 403", "behind a proxy, have it send `Host: localhost`; else check OLLAMA_ORIGINS there"),
    ("HTTP 401", "set OLLAMA_API_KEY to a key of that server"),
    ("is it an Ollama server?", "another program listens there: set OLLAMA_HOST to the server"),
)
_REFUSALS = ("HTTP 401", "HTTP 403")
_NAMES_SHOWN = 12
State: TypeAlias = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``todo`` says what to do, if there is something."""

    what: str
    state: State
    detail: str
    todo: str = ""


def about_server(client: OllamaClient) -> Iterator[Finding]:
    """Look for the server. The first finding is ``ok`` exactly if it is there."""
    try:
        version, count = client.version(), len(client.tags())
    except ModelError as exc:
        # One that is absent may not be needed; one that refuses is not absent.
        state: State = "problem" if any(mark in str(exc) for mark in _REFUSALS) else "note"
        yield Finding("Ollama", state, str(exc), _advice(client, str(exc)))
    else:
        yield Finding("Ollama", "ok", f"version {version} at {client.address}, {count} models")
        yield from _about_version(version)
    given = client.settings.ollama_host
    if any(address in given for address in _LISTENING_ADDRESSES):
        yield Finding(
            "Ollama address",
            "note",
            f"{given} is where a server listens, not where one is; asked was {client.address}",
            "set OLLAMA_HOST to the server's own address if it is on another machine",
        )


def _advice(client: OllamaClient, failure: str) -> str:
    for words, todo in _ADVICE:
        if words in failure:
            return todo
    if client.address != _DEFAULT_ADDRESS and _answers(client, _DEFAULT_ADDRESS):
        return f"a server answers at {_DEFAULT_ADDRESS}: set OLLAMA_HOST={_DEFAULT_ADDRESS}"
    return (
        "if it runs elsewhere (a container, another machine), start it there with "
        "OLLAMA_HOST=0.0.0.0, and set OLLAMA_HOST here to its address"
    )


def _answers(client: OllamaClient, address: str) -> bool:
    with type(client)(address, settings=client.settings) as other:
        return other.is_available()


def _about_version(version: str) -> Iterator[Finding]:
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if not any(numbers):  # built from source: it says 0.0.0
        return
    for since, lack in _SINCE:
        if numbers < since:
            yield Finding("Ollama version", "note", f"{version} {lack}", "install a newer Ollama")
            return


def about_replicas(
    first: OllamaClient, replicas: Sequence[OllamaClient], model: str
) -> Iterator[Finding]:
    """Look at the servers that share the embedding with the first one, a finding for each.

    Args:
        first: It may not answer.
        replicas: The others.
        model: The embedding model, which must be the same everywhere.
    """
    same = _installed(first, model) if replicas else None
    for number, client in enumerate(replicas, start=2):
        yield _about_replica(f"Ollama {number}", client, model, same)


def _about_replica(
    what: str, client: OllamaClient, model: str, same: InstalledModel | None
) -> Finding:
    try:
        version, installed = client.version(), client.tags()
        found = client.find_installed(model, among=installed)
    except ModelError as exc:
        todo = "the others do its work meanwhile; it is tried again from time to time"
        return Finding(what, "note", str(exc), todo)
    fetch = f"OLLAMA_HOST={client.address} ragkit models pull {model}"
    if found is None:
        return Finding(what, "note", f"{model} is not on {client.address}", fetch)
    if same and found.digest != same.digest:
        differs = f"{model} at {client.address} is another model ({found.digest[:12]}) than at"
        return Finding(what, "problem", f"{differs} the first ({same.digest[:12]})", fetch)
    return Finding(what, "ok", f"version {version} at {client.address}, {len(installed)} models")


def _installed(client: OllamaClient, model: str) -> InstalledModel | None:
    """A server's model of a name; None too if the server does not answer, which is told."""
    try:
        return client.find_installed(model)
    except ModelError:
        return None


def uses_openai(settings: ModelSettings) -> bool:
    """Whether a configured model is on an OpenAI-compatible server."""
    return settings.backend == "openai" or settings.chat.startswith("openai:")


def about_openai(client: OpenAIClient, settings: ModelSettings) -> Iterator[Finding]:
    """Look at the server: whether it lists the configured models, and whether they run."""
    from ragkit.models.http.address import is_loopback

    try:
        listed = client.models()
    except ModelError as exc:
        yield Finding("OpenAI server", "problem", str(exc))
        return
    names = ", ".join(model.name for model in listed[:_NAMES_SHOWN]) or "none"
    yield Finding("OpenAI server", "ok", f"{client.address}, models: {names}")
    if not is_loopback(client.address):
        detail = f"texts and questions are sent to {client.address}"
        yield Finding("privacy", "note", detail, "name a server of your own, if that is not meant")
    if settings.backend == "openai" and settings.embedder != "none":
        found = _about_listed(client, listed, settings.embedder, "embedder")
        yield _ran(client, found, settings, settings.embedder)
    if settings.chat not in {"", "none"} and not settings.chat.startswith("gguf:"):
        name = settings.chat.removeprefix("openai:")
        yield _ran(client, _about_listed(client, listed, name, "chat"), settings, name)


def _ran(client: OpenAIClient, found: Finding, settings: ModelSettings, name: str) -> Finding:
    """Run a model once, the only way to see that it works; the finding, or that it does not."""
    from ragkit.models.openai import OpenAIChat, OpenAIEmbedder
    from ragkit.protocols import ChatMessage, ChatRequest

    if found.state != "ok":
        return found
    with patient(client, settings, name) as server:
        try:
            if found.what == EMBEDDER:
                with closing(OpenAIEmbedder(server, name)) as embedder:
                    return replace(found, detail=f"{found.detail}, {embedder.dim} dimensions")
            hello = ChatMessage("user", "Hi")
            deque(OpenAIChat(server, name).chat(ChatRequest((hello,), 0, num_predict=1)), maxlen=0)
        except ModelError as exc:
            todo = "look into the server's log, or choose another model"
            return Finding(found.what, "problem", f"does not run: {exc}", todo)
    return found


def patient(client: Client, settings: ModelSettings, name: str) -> Client:
    """A client that waits for a model to be loaded, which the person is told.

    Giving up early would make the server give up loading.

    Args:
        client: One for questions that take no time.
        settings: How long a model may take.
        name: The model.
    """
    if on_terminal():
        say(f"Trying {name}; if it is not in memory, it is loaded first.")
    waiting = replace(client.settings, read_timeout_s=settings.read_timeout_s)
    return type(client)(client.address, settings=waiting)


def _about_listed(
    client: OpenAIClient, listed: list[ListedModel], name: str, setting: str
) -> Finding:
    what = EMBEDDER if setting == "embedder" else CHAT
    model = next((model for model in listed if model.name == name), None)
    try:
        model = model or client.retrieve(name)  # Ollama knows names without their tag too
    except ModelNotFoundError:
        todo = f"set models.{setting} to one of the names above"
        return Finding(what, "problem", f"the server has no model {name!r}", todo)
    except ModelError as exc:
        return Finding(what, "problem", f"{name!r} is not listed; {exc}")
    window = "window unknown" if model.context_tokens is None else f"{model.context_tokens} tokens"
    return Finding(what, "ok", f"{model.name}, {window}")
