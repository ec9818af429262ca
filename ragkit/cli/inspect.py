"""``ragkit list``, ``info``, ``check``: what an index holds and if it is right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import IndexName, Json, Settings, configured, open_pipeline
from ragkit.cli.output import local_time, on_one_line, print_json, run_state, say_waiting

if TYPE_CHECKING:
    from ragkit.records import DocumentInfo

BROKEN = 12


def list_documents(
    index: IndexName = "",
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """List the documents of the index."""
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag:
        documents, stats = rag.documents(), rag.stats()
    if json:
        print_json(documents)
        return
    paths = Counter(document.path for document in documents)
    for document in documents:
        typer.echo(_line(document, is_alone=paths[document.path] == 1))
    say_waiting(stats)


def _line(document: DocumentInfo, *, is_alone: bool) -> str:
    """A document for people; with its folder's path where another folder has one of its name."""
    notes = []
    if document.pages:
        notes.append(f"{document.pages} pages")
    if scans := set(document.pages_without_text).difference(document.failed_pages):
        notes.append(f"{len(scans)} without text")
    notes += document.notes
    if document.stale:
        notes.append(f"stale: {document.stale}")
    note = f"  ({', '.join(notes)})" if notes else ""
    noun = "passage " if document.chunks == 1 else "passages"
    path = document.path if is_alone else str(Path(document.root) / document.path)
    return on_one_line(f"{document.chunks:>6} {noun}  {document.kind:<9} {path}{note}")


def info(
    index: IndexName = "",
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Inspect the index: what it holds, how it was made, and what its last runs did."""
    from ragkit.records import to_json

    config, _ = configured(settings)
    with open_pipeline(index, config) as rag:
        stats, runs = rag.stats(), rag.store.runs()
        documents = rag.documents()
        roots = sorted({d.root for d in documents if d.origin == "file"})
        rules, decisions = rag.store.rules(), rag.store.decisions()
        path = rag.location
    if json:
        chosen = {
            "rules": {source: to_json(held) for source, held in rules.items()},
            "decisions": decisions,
        }
        told = {"path": str(path), "roots": roots, **chosen, **to_json(stats), "runs": runs}
        print_json(told)
        return
    embedder = stats.embedder
    rows = {
        "index": str(path),
        "folders": ", ".join(roots) or "none",
        "documents": f"{stats.documents}" + (f", {stats.stale} stale" if stats.stale else ""),
        "passages": f"{stats.chunks}",
        "embedder": f"{embedder['name']} ({embedder['backend']}, {stats.dim} dimensions)"
        if embedder
        else "none: it is searched by words; `ragkit index --embedder MODEL` adds vectors",
        "split": ", ".join(f"{k} {v}" for k, v in stats.splitter.items()),
        "size": f"{stats.size_bytes / 1e6:.1f} MB",
    }
    for name, value in rows.items():
        typer.echo(f"{name:<11}{value}")
    say_waiting(stats)
    for source, held in rules.items():
        for option, globs in (("--include", held.include), ("--exclude", held.exclude)):
            if globs:
                typer.echo(f"{option:<11}{', '.join(globs)}  below {source}")
    for location, decision in decisions.items():
        typer.echo(f"{decision:<11}{location}")
    for run in runs[:5]:
        ended, state = local_time(run["finished_at"] or run["started_at"]), run_state(run["state"])
        typer.echo(f"{'run ' + str(run['id']):<11}{ended}  {state:<11}  {run['command']}")


def check(
    index: IndexName = "",
    quick: Annotated[bool, typer.Option("--quick", help="Check only what takes no time.")] = False,
    keywords: Annotated[
        bool,
        typer.Option(
            "--keywords", help="Compare every passage with the keyword index, not a sample."
        ),
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Repair what can be made again from the rest; needs no model."
        ),
    ] = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Check the index: every invariant of its files on disk, row by row.

    docs/format.md names the invariants. Of many passages a sample is compared with the keyword
    index; --keywords compares all. Exit code 12 if an invariant that must hold is broken.
    """
    from ragkit.store.open import check_index

    if quick and (keywords or repair):
        msg = "it leaves out what --keywords and --repair look at"
        raise typer.BadParameter(msg, param_hint="--quick")
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag:
        mended = rag.store.repair() if repair else []
        problems = check_index(rag.location, quick=quick, keywords=keywords)
    if json:
        print_json({"repaired": mended, "problems": problems} if repair else problems)
    else:
        for one in mended:
            typer.echo(f"repaired: {one.invariant}: {one.detail}")
        for problem in problems:
            typer.echo(f"{problem.severity}: {problem.invariant}: {problem.detail}")
            typer.echo(f"      {problem.repair}")
        if not problems:
            typer.echo(f"{rag.location}: every invariant holds")
    if any(p.severity == "must" for p in problems):
        raise typer.Exit(BROKEN)


COMMANDS = {"list": list_documents, "info": info, "check": check}
