"""``ragkit index``, ``remove``, ``rebuild``: the commands that change an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import (
    Backend,
    IndexName,
    Json,
    Quiet,
    Settings,
    configured,
    configured_embedder,
    open_pipeline,
)
from ragkit.cli.output import print_json, print_report, say
from ragkit.cli.progress import ingest_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import IndexReport

SOME_FAILED = 3

Given = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[PATH]...",
        help="Folders or files; none: the folders indexed before.",
        readable=False,  # typer need not check: reading tells, as for a missing one
    ),
]


def index(
    paths: Given = None,
    index: IndexName = "",
    embedder: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Embedding model of the server, for a new index."),
    ] = None,
    backend: Backend = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only files that match; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave out files; repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be done.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove documents even if over half of a folder is gone."),
    ] = False,
    quiet: Quiet = False,
    files: Annotated[bool, typer.Option("--files", help="Name every file in the report.")] = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Index folders and files, or bring the index up to date with them.

    Unchanged files cost nothing; changed files replace their passages; deleted files disappear.
    The first index is named after its folder.
    """
    config, _ = configured_embedder(
        settings, embedder, backend, load__include=include, load__exclude=exclude
    )
    named = bool(embedder or backend)
    with open_pipeline(index, config, paths or (), named_embedder=named) as rag:
        if not (dry_run or quiet):
            say(f"Index {rag.path}")
        with ingest_progress(quiet=quiet or json) as show:
            report = rag.index(*(paths or ()), prune=prune, dry_run=dry_run, on_progress=show)
    _finish(report, json=json, files=files, quiet=quiet)
    if not any((report.added, report.changed, report.moved, report.unchanged, report.removed)):
        say(_nothing_to_index(report, paths or []))
        raise typer.Exit(1)


def _nothing_to_index(report: IndexReport, paths: Sequence[Path]) -> str:
    where = ", ".join(map(str, paths)) or "the folders indexed before"
    if report.skipped:
        return (
            f"ragkit: no file to index in {where}; `ragkit index --files` tells why "
            f"{len(report.skipped)} were skipped"
        )
    return f"ragkit: no file to index in {where}: put documents there, or name another folder"


def _finish(report: IndexReport, *, json: bool, files: bool = False, quiet: bool = False) -> None:
    some_failed = bool(report.failed or report.stale or report.unreadable)
    if json:
        print_json(report)
    elif some_failed or not quiet:
        print_report(report, verbose=files)
    if some_failed:
        raise typer.Exit(SOME_FAILED)


def remove(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files or folders, as `ragkit list` names them."),
    ],
    index: IndexName = "",
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Remove documents from the index. The files themselves are not touched."""
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag:
        removed = rag.remove(*paths)
    if json:
        print_json({"removed": list(removed)})
    else:
        for path in removed:
            typer.echo(path)
    if not removed:
        say("ragkit: no document of the index matches; `ragkit list` names them")
        raise typer.Exit(1)


def rebuild(
    index: IndexName = "",
    embedder: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Embedding model of the server.")
    ] = None,
    backend: Backend = None,
    quiet: Quiet = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Build the index anew from its folders, with the models and settings that hold now.

    The old index answers until the new one is complete, then gives way to it. If no embedder is
    set anywhere, the index keeps its own.
    """
    from ragkit.models.choose import as_built

    config, sources = configured_embedder(settings, embedder, backend)
    with open_pipeline(index, config) as rag, ingest_progress(quiet=quiet or json) as show:
        if not sources.keys() & {"models.embedder", "models.backend"}:
            rag.config = as_built(rag.config, rag.stats().embedder)
        report = rag.rebuild(on_progress=show)
    _finish(report, json=json, quiet=quiet)


COMMANDS = {"index": index, "remove": remove, "rebuild": rebuild}
