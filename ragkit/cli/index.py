"""``ragkit index``, ``remove``, ``rebuild``: the commands that change an index."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import (
    Backend,
    IndexName,
    Json,
    NewEmbedder,
    PasswordFile,
    Quiet,
    Settings,
    configured,
    configured_embedder,
    open_pipeline,
)
from ragkit.cli.output import (
    counted,
    on_one_line,
    print_json,
    print_report,
    say,
    say_waiting,
    unread_pictures,
)
from ragkit.cli.progress import ingest_progress, work_progress
from ragkit.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.pipeline import Pipeline
    from ragkit.protocols import StoreStats
    from ragkit.records import Erasure, IndexReport, SourceRules

SOME_FAILED = 3
_PICTURES_TOLD = "unread_pictures"  # the note of what was told of them

Given = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[PATH]...",
        help="Folders or files; none: the folders indexed before.",
        readable=False,  # typer need not check: reading tells, as for a missing one
    ),
]


Include = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="Index only files that match, now and later; repeatable."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="Leave out files that match, now and later; repeatable."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Only tell what would be done, and about how long it would take."
    ),
]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="Remove documents even if over half of a folder is gone."),
]
ForgetRemoved = Annotated[
    bool, typer.Option("--forget-removed", help="Take in again what `ragkit remove` took out.")
]
Files = Annotated[bool, typer.Option("--files", help="Name every file in the report.")]


def index(
    paths: Given = None,
    index: IndexName = "",
    embedder: NewEmbedder = None,
    backend: Backend = None,
    include: Include = None,
    exclude: Exclude = None,
    dry_run: DryRun = False,
    prune: Prune = False,
    forget_removed: ForgetRemoved = False,
    password_file: PasswordFile = None,
    quiet: Quiet = False,
    files: Files = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Index folders and files, or bring the index up to date with them.

    Unchanged files cost nothing; a changed file replaces its passages; a deleted file disappears.
    Words can be searched at once, while vectors are still being made; the next run makes those
    that are missing. --include and --exclude are kept with the folder.
    """
    config, _ = configured_embedder(settings, embedder, backend, load__password_file=password_file)
    named = bool(embedder or backend)
    with open_pipeline(index, config, paths or (), named_embedder=named) as rag:
        is_new = not rag.exists
        if not (dry_run or quiet) and all(map(os.path.lexists, paths or ())):
            say(f"Index {rag.location}")
        with ingest_progress(quiet=quiet or json) as show, _way_without_a_model(rag):
            report = rag.index(
                *(paths or ()),
                prune=prune,
                dry_run=dry_run,
                rules=_rules(include, exclude),
                forget_removed=forget_removed,
                on_progress=show,
            )
        stats = rag.stats() if rag.exists else None
        pictures = files or dry_run or (not (quiet or json) and _are_news(rag, report))
        hint = _how_to_ask(rag) if is_new and stats and not (quiet or json) else ""
    _finish(report, stats, json=json, files=files, quiet=quiet, pictures=pictures, hint=hint)
    if any((report.added, report.changed, report.moved, report.unchanged, report.removed)):
        return
    if stats and stats.documents and not paths:  # all that it holds are texts of programs
        if not quiet:
            texts = counted(stats.documents, "text")
            say(f"(the index is up to date: it holds {texts} that programs added, and no file)")
        return
    say(_nothing_to_index(report, paths or []))
    raise typer.Exit(1)


def _how_to_ask(rag: Pipeline) -> str:
    """What to type next, once an index was made."""
    from ragkit.store.locate import default_index, find_indexes, indexes_folder, location_name

    indexes = find_indexes(indexes_folder(rag.config.indexes))
    is_there = rag.location in {str(path.absolute()) for path in indexes}
    name = location_name(rag.location) if is_there else rag.location
    is_meant = is_there and (len(indexes) == 1 or default_index(rag.config.indexes) == name)
    named = "" if is_meant else f" -i {shlex.quote(name)}"
    return f'Ask it: ragkit ask{named} "..."'


@contextmanager
def _way_without_a_model(rag: Pipeline) -> Iterator[None]:
    """Add to the error of a server that does not answer what a new index can do without one."""
    try:
        yield
    except ModelUnavailableError as exc:
        if not rag.exists:
            exc.add_note(
                "without a server: `--backend embedded` embeds in this process, and "
                "`--embedder none` indexes the words alone; vectors can be added later"
            )
        raise


def _are_news(rag: Pipeline, report: IndexReport) -> bool:
    """Whether other pictures and scans are left unread than was told last; it is noted."""
    found = list(unread_pictures(report))
    if not (any(found) and rag.exists):
        return True
    is_new = bool(rag.store.note(_PICTURES_TOLD) != found)
    if is_new:
        rag.store.keep_note(_PICTURES_TOLD, found)
    return is_new


def _rules(include: list[str] | None, exclude: list[str] | None) -> SourceRules | None:
    """Which files count from now on; None: as was said before."""
    from ragkit.records import SourceRules

    if include is None and exclude is None:
        return None
    return SourceRules(tuple(include or ()), tuple(exclude or ()))


def _nothing_to_index(report: IndexReport, paths: Sequence[Path]) -> str:
    where = ", ".join(map(str, paths)) or "the folders indexed before"
    if report.skipped:
        return (
            f"ragkit: no file to index in {where}; `ragkit index --files` tells why "
            f"{len(report.skipped)} were skipped"
        )
    if not paths:
        return "ragkit: no file to index: the index has no folder yet, or it is empty; name one"
    return f"ragkit: no file to index in {where}: put documents there, or name another folder"


def _finish(
    report: IndexReport,
    stats: StoreStats | None,
    *,
    json: bool,
    files: bool = False,
    quiet: bool = False,
    pictures: bool = True,
    hint: str = "",
) -> None:
    """Print the report and, if passages have no vector yet, how many; end in code 3 for trouble."""
    waiting = stats.waiting if stats else 0
    is_behind = bool(waiting and not report.dry_run)
    some_failed = bool(report.failed or report.stale or report.unreadable) or is_behind
    if json:
        from ragkit.records import to_json

        print_json(to_json(report) | {"dry_run": report.dry_run, "waiting": waiting})
    elif some_failed or not quiet:
        print_report(report, verbose=files, pictures=pictures)
        if stats:
            say_waiting(stats)
    if hint:
        say(hint)
    if some_failed:
        raise typer.Exit(SOME_FAILED)


def accept(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files, or their names as the report tells them."),
    ],
    index: IndexName = "",
    undo: Annotated[bool, typer.Option("--undo", help="Let them be failures again.")] = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Accept that files cannot be read: they no longer make every run end with code 3.

    They are tried again at each run, and indexed when they can be read.
    """
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag:
        accepted = rag.accept(*paths, undo=undo)
    for path in accepted:
        typer.echo(f"{path} {'is a failure again' if undo else 'is accepted as it is'}")


def remove(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files or folders, as `ragkit list` names them."),
    ],
    index: IndexName = "",
    erase: Annotated[
        bool,
        typer.Option(
            "--erase",
            help="Take their text out of every run that is kept, and out of the index's files.",
        ),
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Remove documents from the index. The files themselves are not touched.

    Without --erase earlier runs can still be looked at, as long as they are kept, and the text
    stays in the index's files until `ragkit compact`.
    """
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag:
        if erase:
            with work_progress("erase", quiet=quiet or json) as show:
                erased = rag.erase(*paths, on_progress=show)
            _tell_erased(erased, json=json)
            return
        removed = rag.remove(*paths)
    kept = config.history
    if json:
        print_json({"removed": list(removed), "text_kept": asdict(kept)})
    else:
        for path in removed:
            typer.echo(on_one_line(path))
    if not removed:
        say("ragkit: no document of the index matches; `ragkit list` names them")
        raise typer.Exit(1)
    if not json:
        say(
            f"(the text stays in the index as long as a run that has it is kept: the last "
            f"{kept.last}, and one a day for {kept.days} days; then `ragkit compact` takes it out. "
            "`ragkit remove --erase` does so at once)"
        )


def _tell_erased(erased: Erasure, *, json: bool) -> None:
    if json:
        print_json(erased)
    else:
        for path in erased.documents:
            typer.echo(on_one_line(path))
    if not erased.versions and erased.is_complete:
        say("ragkit: no document matches that the index has or had; `ragkit list` names them")
        raise typer.Exit(1)
    if not erased.is_complete:
        say(
            "ragkit: the text left every run, but a process that reads the index held an older "
            "state, so it may stand in the log yet: run `ragkit compact` when that has ended"
        )
        raise typer.Exit(SOME_FAILED)
    if not json:
        say(
            f"(erased: {counted(erased.versions, 'version')}, {counted(erased.chunks, 'passage')}, "
            "with their keywords and vectors, of every run. Not touched: the documents' own files, "
            "which later runs of `ragkit index` leave out, their names in the list of runs, and "
            "backups made before)"
        )


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
            help="Build from the stored text, if only the model changes, or from the files, read "
            "again.",
        ),
    ] = None,
    password_file: PasswordFile = None,
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

    config, sources = configured_embedder(
        settings, embedder, backend, load__password_file=password_file
    )
    with open_pipeline(index, config) as rag, ingest_progress(quiet=quiet or json) as show:
        if not sources.keys() & {"models.embedder", "models.backend"}:
            rag.config = as_built(rag.config, rag.store.embedder)
        report = rag.rebuild(source, on_progress=show)  # type: ignore[arg-type]  # one of its two
        stats = rag.stats()
    _finish(report, stats, json=json, quiet=quiet)


COMMANDS = {"index": index, "accept": accept, "remove": remove, "rebuild": rebuild}
