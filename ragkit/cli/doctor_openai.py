"""What ``ragkit doctor`` says of an OpenAI-compatible server and its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.cli.finding import Finding
from ragkit.errors import ModelError, ModelNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.config import ModelSettings
    from ragkit.models.openai import ListedModel, OpenAIClient

_SERVER = "OpenAI server"
_NAMES_SHOWN = 12


def uses_openai(settings: ModelSettings) -> bool:
    """Whether a configured model is on an OpenAI-compatible server."""
    return settings.backend == "openai" or settings.chat.startswith("openai:")


def about_openai(client: OpenAIClient, settings: ModelSettings) -> Iterator[Finding]:
    """Look at the server, and whether it lists the configured models."""
    from ragkit.models.http.address import is_loopback

    try:
        listed = client.models()
    except ModelError as exc:
        yield Finding(_SERVER, "problem", str(exc))
        return
    names = ", ".join(model.name for model in listed[:_NAMES_SHOWN]) or "none"
    yield Finding(_SERVER, "ok", f"{client.address}, models: {names}")
    if not is_loopback(client.address):
        detail = f"texts and questions are sent to {client.address}"
        yield Finding("privacy", "note", detail, "name a server of your own, if that is not meant")
    if settings.backend == "openai":
        yield _about(client, listed, settings.embedder, "embedder")
    if settings.chat not in {"", "none"} and not settings.chat.startswith("gguf:"):
        yield _about(client, listed, settings.chat.removeprefix("openai:"), "chat")


def _about(client: OpenAIClient, listed: list[ListedModel], name: str, setting: str) -> Finding:
    what = "embedding model" if setting == "embedder" else "chat model"
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
