"""What ``ragkit doctor`` says of the two models on the server: there, fit, and working."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.cli.doctor.server_findings import CHAT, EMBEDDER, Finding, patient
from ragkit.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.config import Config
    from ragkit.models.ollama import OllamaClient, RunningModel, ShownModel

_WINDOW_STEP = 256
"""A server rounds the window that is asked for up to a multiple of it."""


def about_models(client: OllamaClient, config: Config) -> Iterator[Finding]:
    """Look at the embedding model and the chat model, if they are this server's."""
    chat = config.models.chat
    if config.models.backend != "embedded" and config.models.embedder != "none":
        yield from _settled(EMBEDDER, _about_embedder(client, config))
    if chat not in {"", "none"} and not chat.startswith(("gguf:", "openai:")):
        yield from _settled(CHAT, _about_chat(client, config))


def _settled(what: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Findings, with an error on the way as the last of them."""
    try:
        yield from findings
    except (ModelError, ConfigError) as exc:
        yield Finding(what, "problem", str(exc))


def _about_embedder(client: OllamaClient, config: Config) -> Iterator[Finding]:
    name = config.models.embedder
    unfit = _unfit(client, EMBEDDER, name, "embedding")
    yield unfit or _tried(client, config)
    if unfit:
        return
    asked, trained = config.models.embed_num_ctx, client.show(name).context_tokens
    if trained and asked > trained:
        yield Finding(
            "embedding window",
            "note",
            f"models.embed_num_ctx = {asked}, but {name} was trained for {trained} tokens",
            f"set models.embed_num_ctx = {trained}",
        )


def _tried(client: OllamaClient, config: Config) -> Finding:
    """Embed one short text, the only way to see that a model works."""
    from ragkit.models.ollama import OllamaEmbedder

    with patient(client, config.models, config.models.embedder) as server:
        embedder = OllamaEmbedder(server, config.models.embedder)
        try:
            dim, window = embedder.dim, embedder.max_tokens
        except ModelError as exc:
            failed = f"does not run: {exc}"
            return Finding(EMBEDDER, "problem", failed, _advice(str(exc), embedder.name))
        finally:
            embedder.close()
    found = f"{embedder.name}, {dim} dimensions, {window} tokens at once"
    if window < config.split.chunk_tokens:
        return Finding(
            EMBEDDER,
            "note",
            f"{found}: fewer than a chunk has ({config.split.chunk_tokens})",
            f"set split.chunk_tokens = {window}, or choose another embedding model",
        )
    return Finding(EMBEDDER, "ok", found)


def _advice(failure: str, name: str) -> str:
    if "NaN" not in failure and "not finite" not in failure:
        return "look into the server's log; `ragkit models ps` shows whether the model is loaded"
    short = name.removesuffix(":latest")
    return (
        "a newer Ollama or another quantisation may help, or the CPU: "
        f"ragkit models create {short.replace(':', '-')}-cpu --from {short} --param num_gpu=0"
    )


def _about_chat(client: OllamaClient, config: Config) -> Iterator[Finding]:
    name, asked = config.models.chat, config.answer.num_ctx
    unfit = _unfit(client, CHAT, name, "completion")
    if unfit:
        yield unfit
        return
    shown, full = client.show(name), _full(client, name)
    window = min(asked, shown.context_tokens or asked)
    loaded = _loaded(client, name)
    whole = -(-window // _WINDOW_STEP) * _WINDOW_STEP
    if loaded and loaded.context_tokens not in (None, window, whole):
        yield Finding(
            "chat window",
            "note",
            f"{name} is in memory with {loaded.context_tokens} tokens, ragkit asks for {window}: "
            "each change loads it anew",
            f"ask for the same everywhere, e.g. set answer.num_ctx = {loaded.context_tokens}",
        )
    fits = _chat_window(full, window, config)
    if fits.state != "problem":
        # As it is in memory: a trial is not to load it anew.
        held = loaded.context_tokens if loaded else None
        fits = _spoken(client, full, held or window, config) or fits
    yield fits


def _spoken(client: OllamaClient, name: str, window: int, config: Config) -> Finding | None:
    """Have a chat model write one token, as it will be asked to; None if it does."""
    from ragkit.models.ollama import ChatCall, Message

    options = {"num_ctx": window, "num_predict": 1}
    with patient(client, config.models, name) as server:
        try:
            server.chat(ChatCall(name, [Message("user", "Hi")], options=options))
        except ModelError as exc:
            return Finding(CHAT, "problem", f"does not run: {exc}", _advice(str(exc), name))
    return None


def _chat_window(name: str, window: int, config: Config) -> Finding:
    answer, passages = config.answer.reserve_tokens, config.search.k
    found = f"{name}, window {window} tokens"
    if window <= answer:
        todo = "choose a model with a larger window, or lower answer.reserve_tokens"
        return Finding(CHAT, "problem", f"{found}, of which {answer} are for the answer", todo)
    holds = (window - answer) // config.split.chunk_tokens
    if holds < passages:
        todo = "raise answer.num_ctx, or choose a model with a larger window"
        return Finding(CHAT, "note", f"{found}: about {holds} of {passages} passages", todo)
    return Finding(CHAT, "ok", found)


def _unfit(client: OllamaClient, what: str, name: str, capability: str) -> Finding | None:
    """Why a model cannot serve; None for one that can."""
    from ragkit.models.ollama import is_remote

    installed = client.find_installed(name)
    elsewhere = is_remote(name) or bool(installed and installed.remote_host)
    if elsewhere and not client.settings.allow_remote:
        todo = "choose another model, or allow it: models.allow_remote = true"
        return Finding(what, "problem", f"{name} would send your text to another machine", todo)
    if installed is None:
        detail = f"{name} is not on the server"
        return Finding(what, "note", detail, f"ragkit models pull {name}")
    return _wrong_kind(what, name, capability, client.show(name))


def _wrong_kind(what: str, name: str, capability: str, shown: ShownModel) -> Finding | None:
    if not shown.capabilities or capability in shown.capabilities:
        return None  # none listed: a server that does not say
    wrong, setting = ("embed", "embedder") if capability == "embedding" else ("chat", "chat")
    detail = f"{name} cannot {wrong}; it can: {', '.join(shown.capabilities)}"
    return Finding(what, "problem", detail, f"name another model in models.{setting}")


def _loaded(client: OllamaClient, name: str) -> RunningModel | None:
    """The model in memory; two names of the same weights share one place there."""
    installed = client.find_installed(name)
    running = client.ps()
    return next((m for m in running if installed and m.digest == installed.digest), None)


def _full(client: OllamaClient, name: str) -> str:
    installed = client.find_installed(name)
    return installed.name if installed else name
