"""``ragkit index``, ``remove``, ``rebuild``: the commands that change an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import (
    Backend,
    IndexName,
    Json,
    NewEmbedder,
    Quiet,
    Settings,
    configured,
    configured_embedder,
    open_pipeline,
)
from ragkit.cli.output import print_json, print_report, say, say_waiting
from ragkit.cli.progress import ingest_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.protocols import StoreStats
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
    embedder: NewEmbedder = None,
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
    Words can be searched at once, while vectors are still being made; what is missing of them is
    made by the next run. The first index is named after its folder.
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
        stats = rag.stats() if rag.exists else None
    _finish(report, stats, json=json, files=files, quiet=quiet)
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


def _finish(
    report: IndexReport,
    stats: StoreStats | None,
    *,
    json: bool,
    files: bool = False,
    quiet: bool = False,
) -> None:
    """Print the report and, if passages have no vector yet, how many; end in code 3 for trouble."""
    waiting = stats.waiting if stats else 0
    is_behind = bool(waiting and not report.dry_run)
    some_failed = bool(report.failed or report.stale or report.unreadable) or is_behind
    if json:
        from ragkit.records import to_json

        print_json(to_json(report) | {"waiting": waiting})
    elif some_failed or not quiet:
        print_report(report, verbose=files)
        if stats:
            say_waiting(stats)
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


def _source(value: str | None) -> str | None:
    if value not in {None, "text", "files"}:
        msg = f"{value!r} is neither text nor files"
        raise typer.BadParameter(msg)
    return value


def rebuild(
    index: IndexName = "",
    embedder: NewEmbedder = None,
    backend: Backend = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="text|files",
            callback=_source,
            help="The stored text (if only the model changes), or the files, read again.",
        ),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Build the index anew, with the models and settings that hold now.

    The old index answers until the new one is complete, then gives way to it. If no embedder is
    set anywhere, the index keeps its own. If only the embedder changes, no file is read: the
    stored text is embedded. A file that cannot be read keeps its older passages.
    """
    from ragkit.models.choose import as_built

    config, sources = configured_embedder(settings, embedder, backend)
    with open_pipeline(index, config) as rag, ingest_progress(quiet=quiet or json) as show:
        if not sources.keys() & {"models.embedder", "models.backend"}:
            rag.config = as_built(rag.config, rag.stats().embedder)
        report = rag.rebuild(source, on_progress=show)  # type: ignore[arg-type]  # one of its two
        stats = rag.stats()
    _finish(report, stats, json=json, quiet=quiet)


COMMANDS = {"index": index, "remove": remove, "rebuild": rebuild}
