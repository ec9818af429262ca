"""``ragkit watch``: an index that follows its folders."""

from __future__ import annotations

import json as json_format
import os
import threading
from dataclasses import replace
from datetime import datetime
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
    configured_embedder,
    open_pipeline,
)
from ragkit.cli.output import counted, on_one_line, say
from ragkit.cli.progress import ingest_progress
from ragkit.errors import LoadError
from ragkit.store.locate import url_scheme
from ragkit.text.visible import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragkit.pipeline import Pipeline
    from ragkit.records import FileOutcome, IndexReport

_SHOWN = 3

Sources = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[PATH]...",
        help="Folders or files; none: the folders indexed before.",
        readable=False,
    ),
]
Poll = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", min=0.1, help="Look every so many seconds; do not wait for events."
    ),
]
Sweep = Annotated[
    float,
    typer.Option(metavar="MINUTES", min=0.01, help="How often to look at everything anyway."),
]


def watch(
    paths: Sources = None,
    index: IndexName = "",
    embedder: NewEmbedder = None,
    backend: Backend = None,
    poll: Poll = None,
    sweep: Sweep = 10.0,
    password_file: PasswordFile = None,
    quiet: Quiet = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Keep an index up to date with its folders, until Ctrl-C.

    Each change has the folder looked at again, as `ragkit index` does, once it is quiet for 1.5
    seconds, and after 30 at the latest. Nothing is removed while a folder is missing or has lost
    over half of its documents. One line is printed for each update that changed something.
    """
    from ragkit.ingest.watch import Watcher, WatchTimes

    config, _ = configured_embedder(settings, embedder, backend, load__password_file=password_file)
    named = bool(embedder or backend)

    def opened() -> Pipeline:
        return open_pipeline(index, config, paths or (), named_embedder=named)

    with opened() as rag:
        roots = _roots(rag, paths or ())
        place = rag.location
    if not quiet:
        say(f"Index {place}")
        say(f"watching {', '.join(roots)}; Ctrl-C ends it")
    update = _Update(opened, place, quiet=quiet or json, is_named=bool(paths))
    times = WatchTimes(sweep=sweep * 60)
    watcher = Watcher(
        roots,
        lambda due: _told(update(due), json=json, quiet=quiet),
        say,
        apart=[] if url_scheme(place) else [os.path.realpath(place), place],
        times=times if poll is None else replace(times, poll=poll),
        polls=poll is not None,
        shows_hidden=config.load.hidden,
    )
    watcher.run(threading.Event())


def _roots(rag: Pipeline, paths: Sequence[Path]) -> list[str]:
    """What is to be watched, absolute.

    Raises:
        LoadError: A path is not there and was not indexed before, or there is none at all.
    """
    from ragkit.ingest.update import indexed_sources

    known = indexed_sources(rag.store) if rag.exists else []
    roots = [os.path.abspath(path) for path in paths] or known  # noqa: PTH100 -- no links followed
    for root in roots:
        if not os.path.lexists(root) and root not in known:
            msg = f"{root}: no such file or folder"
            raise LoadError(msg, root)
    if not roots:
        msg = "the index has no folder yet; name one"
        raise LoadError(msg, rag.location)
    return list(dict.fromkeys(roots))


class _Update:
    """Brings the index up to date; it is opened for each update, since others may replace it.

    Args:
        opened: Opens it.
        place: Where it is.
        quiet: Show no progress of the first update; later ones show none anyway.
        is_named: The first update takes in again what was removed by hand, as naming it asks for.
    """

    def __init__(
        self, opened: Callable[[], Pipeline], place: str, *, quiet: bool, is_named: bool
    ) -> None:
        self._opened, self._place = opened, place
        self._quiet, self._takes_all = quiet, is_named

    def __call__(self, roots: Sequence[str]) -> IndexReport:
        """Update some of the folders."""
        from ragkit.ingest.load.document import document_path
        from ragkit.ingest.update import kept_choices
        from ragkit.records import IndexReport

        with self._opened() as rag:
            removed = kept_choices(rag.store).removed if rag.exists else frozenset()
            due = [r for r in roots if self._takes_all or document_path(r) not in removed]
            if not due:
                return IndexReport()
            with ingest_progress(quiet=self._quiet) as show:
                report = rag.index(*due, on_progress=show)
        self._quiet, self._takes_all = True, False
        return report


def _told(report: IndexReport, *, json: bool, quiet: bool) -> IndexReport:
    """Print a line for an update that changed something or found trouble."""
    changed = (report.added, report.changed, report.moved, report.removed)
    trouble = (report.failed, report.stale) if any(changed) else ()
    if not any((*changed, *trouble, report.embedded)):
        return report
    if json:
        from ragkit.records import to_json

        line = json_format.dumps(to_json(report), ensure_ascii=False, default=str)
        typer.echo(escaped(line))
    elif not quiet or any(trouble):
        typer.echo(on_one_line(f"{datetime.now():%H:%M:%S} {line_of(report)}"))  # noqa: DTZ005 -- a clock
    return report


def line_of(report: IndexReport) -> str:
    """An update in a line, for people."""
    counts = {
        "added": report.added,
        "changed": report.changed,
        "moved": report.moved,
        "removed": report.removed,
        "failed": report.failed,
        "stale": report.stale,
    }
    said = [f"{len(paths)} {what}" for what, paths in counts.items() if paths]
    if report.chunks:
        said.append(counted(report.chunks, "passage"))
    if report.embedded:
        said.append(f"{report.embedded} embedded")
    line = f"{', '.join(said)}, {report.seconds:.1f} s"
    names = [*report.added, *report.changed, *report.moved, *report.removed]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        line += f": {', '.join(names[:_SHOWN])}{more}"
    troubles: list[FileOutcome] = [*report.failed, *report.stale]
    return line + "".join(f"; {item.path}: {item.reason}" for item in troubles[:_SHOWN])


COMMANDS = {"watch": watch}
