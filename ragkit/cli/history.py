"""``ragkit log`` and ``diff``: what the runs changed, and what differs between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import IndexName, Json, Moment, Settings, configured, moment, open_pipeline
from ragkit.cli.output import local_time, on_one_line, print_json, print_table, run_state, say
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from ragkit.records import DocumentChange, Generation, IndexChanges

_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def log(
    index: IndexName = "",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the last N runs.")
    ] = None,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """List the runs that changed the index, newest first, with what each changed.

    `--as-of` and `ragkit diff` take the numbers of runs. The settings history.last and history.days
    say how long a run is kept.
    """
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag:
        generations = rag.log(limit)
    if json:
        print_json(generations)
    elif generations:
        print_table([("run", "date", "documents", "passages", "build", "state", "command"),
                     *map(_row, generations)])  # fmt: skip
    else:
        say("No run has changed the index yet.")


def _row(generation: Generation) -> tuple[str, ...]:
    g = generation
    documents = _counts(g.documents_added, g.documents_changed, g.documents_removed)
    chunks = _counts(g.chunks_added, 0, g.chunks_removed)
    date, state = local_time(g.finished_at or g.started_at), run_state(g.state)
    command = on_one_line(visible(g.command))
    return (str(g.id), date, documents, chunks, str(g.build), state, command)


def _counts(added: int, changed: int, removed: int) -> str:
    """Counts for people, e.g. ``+3 ~1 -2``."""
    counts = {"added": added, "changed": changed, "removed": removed}
    return " ".join(f"{_MARKS[what]}{count}" for what, count in counts.items() if count) or "0"


def diff(
    before: Moment,
    after: Annotated[
        str | None,
        typer.Argument(metavar="[RUN|DATE]", help="The later one; the newest if not given."),
    ] = None,
    index: IndexName = "",
    summary: Annotated[
        bool, typer.Option("--summary", help="Only the counts, no line for each document.")
    ] = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Tell which documents came (+), went (-) or changed (~) between two runs.

    Each is followed by how many of its passages came and went; passages are told apart by their
    text.
    """
    config, _ = configured(settings)
    earlier, later = moment(before, "diff"), moment(after, "diff")
    assert earlier is not None  # noqa: S101 -- an argument that must be given
    with open_pipeline(index, config) as rag:
        difference = rag.diff(earlier, later)
    if json:
        print_json(difference)
        return
    for document in () if summary else difference.documents:
        typer.echo(_line(document))
    typer.echo(_sum(difference))


def _line(document: DocumentChange) -> str:
    counts = _counts(document.chunks_added, 0, document.chunks_removed)
    noun = "passage" if counts in {"+1", "-1"} else "passages"
    return on_one_line(f"{_MARKS[document.change]} {document.path}  ({counts} {noun})")


def _sum(difference: IndexChanges) -> str:
    d = difference
    documents = _counts(d.documents_added, d.documents_changed, d.documents_removed)
    chunks = _counts(d.chunks_added, 0, d.chunks_removed)
    return f"Run {d.before} to {d.after}: {documents} documents, {chunks} passages"


COMMANDS = {"log": log, "diff": diff}
