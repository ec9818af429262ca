"""``ragkit compact``, ``backup``, ``restore``, ``move``: what keeps an index in order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragkit.cli.options import (
    AnIndex,
    IndexName,
    Json,
    Quiet,
    Settings,
    configured,
    open_pipeline,
)
from ragkit.cli.output import counted, print_json, size_text
from ragkit.cli.progress import work_progress
from ragkit.text.visible import visible


def compact(
    index: IndexName = "",
    quiet: Quiet = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Free the space of text that no kept run shows any more.

    The settings history.last and history.days say which runs are kept. Questions are answered
    meanwhile. After Ctrl-C, or a kill, the next `ragkit compact` goes on.
    """
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag, work_progress("compact", quiet=quiet or json) as show:
        done = rag.compact(on_progress=show)
    if json:
        print_json(done)
        return
    before, after = size_text(done.size_bytes_before), size_text(done.size_bytes_after)
    typer.echo(
        f"{counted(done.documents, 'old document')}, {counted(done.chunks, 'passage')} taken out; "
        f"{before} before, {after} now"
    )


def backup(
    index: AnIndex,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, e.g. ix.tar.")],
    quiet: Quiet = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Write an index, with all kept runs, to one file, even while another run changes it.

    The file is a plain tar with a SHA-256 of everything in it. A file that is there already is
    not replaced.
    """
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag, work_progress("backup", quiet=quiet or json) as show:
        written = rag.backup(file, on_progress=show)
        path = rag.location
    if json:
        print_json({"index": str(path), "file": str(file), "size_bytes": written})
    else:
        typer.echo(f"{visible(str(path))} is in {visible(str(file))}, {size_text(written)}")


def copy(
    index: AnIndex,
    to: Annotated[str, typer.Argument(metavar="TO", help="Name, path or URL of the new index.")],
    quiet: Quiet = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Copy an index to another place, to a cluster or from one, and compare the two.

    Texts, vectors, folders and decisions are copied, and no model is asked; earlier runs are not.
    After Ctrl-C, or a kill, the same command goes on.
    """
    from ragkit.ingest.copying import copy_index
    from ragkit.records import to_json
    from ragkit.store.locate import index_location

    config, _ = configured(settings)
    place = index_location(to, config.indexes)
    with open_pipeline(index, config) as rag, work_progress("copy", quiet=quiet or json) as show:
        done = copy_index(rag.store, place, on_progress=show)
        path = rag.location
    if json:
        print_json({"index": path, "copy": str(place), **to_json(done)})
        return
    what = f"{counted(done.documents, 'document')}, {counted(done.chunks, 'passage')}"
    typer.echo(f"{visible(str(place))} is equal to {visible(path)}: {what}")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `ragkit backup` wrote.")],
    index: Annotated[
        str,
        typer.Option(
            "--index",
            "-i",
            metavar="NAME|PATH",
            help="Name or path of the new index; by default the name it had.",
        ),
    ] = "",
    quiet: Quiet = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Make an index of a backup. An index that is there already is not replaced.

    The index gets its name only after everything was read and every hash was right.
    """
    from ragkit.pipeline import Pipeline

    config, _ = configured(settings)
    with work_progress("restore", quiet=quiet or json) as show:
        rag = Pipeline.restore(file, index, config, on_progress=show)
    with rag:
        documents, path = rag.stats().documents, rag.path
    if json:
        print_json({"index": str(path), "documents": documents})
    else:
        typer.echo(f"Index {visible(str(path))} has {counted(documents, 'document')}")


def move(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Where the folder or file was.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Where it is now.")],
    index: IndexName = "",
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Tell the index that a folder or file was renamed, or lies elsewhere now.

    Its documents keep their passages and vectors; nothing is read, and no model is asked.
    """
    config, _ = configured(settings)
    with open_pipeline(index, config) as rag:
        moved = rag.move(old, new)
    if json:
        print_json({"moved": moved})
    else:
        typer.echo(f"{counted(moved, 'document')} moved to {visible(str(new))}")


COMMANDS = {"compact": compact, "backup": backup, "restore": restore, "copy": copy, "move": move}
