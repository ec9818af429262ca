"""``ragkit models``: what is on the model server; the commands that only look, and ``stop``."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from ragkit.cli.models import change
from ragkit.cli.models.model_options import ServerModel, ollama_server
from ragkit.cli.options import Json, Settings, configured
from ragkit.cli.output import print_json, print_table, say, shortened, size_text
from ragkit.errors import ModelError, ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.models.ollama import InstalledModel, OllamaClient, RunningModel, ShownModel

_TIMEOUT_S = 10.0  # for what takes no time on a server that works
_GREETING_CHARS = 60
_NO_END_DAYS = 365  # the server writes "for ever" as a time centuries ahead


def list_models(
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """List the installed models, newest first."""
    with ollama_server(settings) as client:
        found = [_as_shown(client, model) for model in client.tags()]
    if json:
        print_json(found)
        return
    if not found:
        say(f"No models on {client.address}. Fetch one: ragkit models pull {client.settings.chat}")
        return
    heading = ("name", "size", "parameters", "quantisation", "changed", "capabilities")
    print_table([heading, *map(_installed, found)])


def _as_shown(client: OllamaClient, model: InstalledModel) -> InstalledModel:
    """A listed model, with what it can do as the server shows it where the list may be wrong.

    The list takes a model for a chat model, of unknown window, where the file does not begin with
    its architecture, as with those that the server converts itself.
    """
    if not model.capabilities or model.details.context_tokens or model.remote_host:
        return model
    try:
        shown = client.show(model.name)
    except ModelError:  # deleted meanwhile, or broken: the list is all that is known
        return model
    window, length = shown.context_tokens, shown.embedding_length
    details = replace(model.details, context_tokens=window, embedding_length=length)
    return replace(model, capabilities=shown.capabilities or model.capabilities, details=details)


def _installed(model: InstalledModel) -> tuple[str, ...]:
    return (
        model.name,
        f"at {model.remote_host}" if model.remote_host else size_text(model.size_bytes),
        model.details.parameter_size or "-",
        model.details.quantization_level or "-",
        model.modified_at.date().isoformat() if model.modified_at else "-",
        ", ".join(model.capabilities) or "-",
    )


def show(
    name: ServerModel,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Show what matters about a model.

    Size, context and embedding length, capabilities, quantisation, template.
    """
    from ragkit.models.ollama import normalise_name
    from ragkit.records import to_json

    with ollama_server(settings) as client:
        shown = client.show(name)
        installed = client.find_installed(name)
    full = installed.name if installed else normalise_name(name)
    if json:
        size = {"size_bytes": installed.size_bytes, "digest": installed.digest} if installed else {}
        limits = {"context_tokens": shown.context_tokens, "dim": shown.embedding_length}
        print_json({"name": full, **size, **limits, **to_json(shown)})
        return
    typer.echo(full)
    for what, value in [*_size(installed), *_shown(shown)]:
        for i, line in enumerate(value.splitlines()):
            typer.echo(f"  {'' if i else what:<14}{line}")


def _size(model: InstalledModel | None) -> Iterator[tuple[str, str]]:
    if model:
        yield "size", size_text(model.size_bytes)
        yield "digest", model.digest[:12]


def _shown(model: ShownModel) -> Iterator[tuple[str, str]]:
    details, window = model.details, model.context_tokens
    yield "runs at", model.remote_host
    yield "parameters", details.parameter_size
    yield "quantisation", details.quantization_level
    yield "architecture", ", ".join(filter(None, (details.family, details.format)))
    yield "context", f"{window} tokens" if window else ""
    yield "embedding", f"{model.embedding_length} values" if model.embedding_length else ""
    yield "capabilities", ", ".join(model.capabilities)
    yield "made from", details.parent_model
    yield "changed", model.modified_at.date().isoformat() if model.modified_at else ""
    yield "settings", "\n".join(" ".join(line.split()) for line in model.parameters.splitlines())
    yield "system", model.system
    yield "licence", model.license.strip().partition("\n")[0]
    yield "needs", f"Ollama {model.requires}" if model.requires else ""
    yield "renderer", model.renderer
    yield "template", model.template


def ps(
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """List the models in the server's memory."""
    with ollama_server(settings) as client:
        found = client.ps()
    if json:
        print_json(found)
    elif found:
        print_table([("name", "size", "runs on", "window", "until"), *map(_running, found)])
    else:
        say("No model is loaded.")


def _running(model: RunningModel) -> tuple[str, ...]:
    window = f"{model.context_tokens} tokens" if model.context_tokens else "-"
    until = _until(model.expires_at, datetime.now(UTC))
    size = size_text(model.size_bytes) if model.size_bytes else "-"  # not told on a processor
    return model.name, size, _place(model), window, until


def _place(model: RunningModel) -> str:
    share = model.size_vram_bytes / model.size_bytes if model.size_bytes else 0.0
    if share <= 0:
        return "CPU"
    return "GPU" if share >= 1 else f"{share:.0%} GPU, {1 - share:.0%} CPU"


def _until(expires: datetime | None, now: datetime) -> str:
    if expires is None:
        return "-"
    if (expires - now).days > _NO_END_DAYS:
        return "stopped"
    return f"{expires.astimezone():%H:%M:%S}"


def ping(
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Ask each model server whether it is there.

    Prints how soon it answers. No model is loaded. It fails unless all servers answer.
    """
    from ragkit.models.choose import ollama_clients

    config, _ = configured(settings)
    quick = replace(config.models, retries=0, read_timeout_s=_TIMEOUT_S)
    found = [_pinged(client) for client in ollama_clients(quick)]
    if json:
        print_json(found)
    else:
        print_table([("server", "says", "answers in"), *map(_row, found)])
    if failures := [server.error for server in found if server.error]:
        raise ModelUnavailableError("; ".join(failures))


@dataclass(frozen=True, slots=True)
class _Pinged:
    """A server's answer: its greeting and how long a second request took, or what went wrong."""

    address: str
    greeting: str = ""
    seconds: float | None = None
    error: str = ""


def _pinged(client: OllamaClient) -> _Pinged:
    with client:
        try:
            greeting = client.health()
        except ModelError as exc:
            return _Pinged(client.address, error=str(exc))
        started = time.perf_counter()  # the connection is open by now
        seconds = time.perf_counter() - started if client.answers() else None
    return _Pinged(client.address, greeting, seconds)


def _row(server: _Pinged) -> tuple[str, ...]:
    took = "-" if server.seconds is None else f"{server.seconds * 1000:.1f} ms"
    greeting = server.greeting.partition("\n")[0]
    return server.address, shortened(greeting, _GREETING_CHARS) or "-", took


def stop(
    name: ServerModel,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Remove a model from the server's memory; it stays installed."""
    with ollama_server(settings) as client:
        client.unload(name)
    say(f"{name} is not in memory any more")


def _group() -> typer.Typer:
    group = typer.Typer(
        name="models",
        help="See, fetch, make and delete the models of the Ollama server.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(list_models)
    for command in (show, ps, ping):
        group.command()(command)
    change.add_to(group)
    group.command()(stop)
    group.add_typer(change.blob_group())
    return group


COMMANDS = {"models": _group()}
