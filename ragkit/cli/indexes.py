"""``ragkit indexes``, ``use``, ``delete``: the indexes of this machine, and which one is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.confirm import confirm_deletion
from ragkit.cli.options import AnIndex, Json, Settings, complete_index, configured
from ragkit.cli.output import counted, local_time, on_one_line, padded, print_json, say
from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from pathlib import Path

Name = Annotated[
    str,
    typer.Argument(
        metavar="INDEX",
        help="Its name, as `ragkit indexes` tells it.",
        autocompletion=complete_index,
    ),
]


def indexes(
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """List the indexes: documents, embedder, last run, size, path. A star marks the default."""
    from ragkit.store.locate import default_index, find_indexes, indexes_folder

    config, _ = configured(settings)
    folder, chosen = indexes_folder(config.indexes), default_index(config.indexes)
    rows = [_described(path) for path in find_indexes(folder)]
    if json:
        print_json([{**row, "default": row["name"] == chosen} for row in rows])
        return
    for row in rows:
        star = "*" if row["name"] == chosen else " "
        name = padded(on_one_line(row["name"]), 20)
        if "problem" in row:
            typer.echo(f"{star} {name} {on_one_line(row['problem'])}")
            continue
        size = f"{row['size_bytes'] / 1e6:.1f} MB"
        typer.echo(
            f"{star} {name} {counted(row['documents'], 'document'):>16}  {size:>9}  "
            f"{_last_run(row):<16}  {row['embedder']:<24} {on_one_line(row['path'])}"
        )
    if not rows:
        say(f"ragkit: there is no index in {folder}; `ragkit index FOLDER` makes one")


def _last_run(row: dict[str, Any]) -> str:
    return local_time(row["last_run"])[:16] if row["last_run"] else "no run yet"


def use(
    name: Name,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Choose the index that is meant when a command names none."""
    from ragkit.store.locate import indexes_folder, set_default_index

    config, _ = configured(settings)
    set_default_index(config.indexes, name)
    typer.echo(f"{name} is the default index now: {indexes_folder(config.indexes) / name}")


def delete(
    name: AnIndex,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Delete an index. The documents that it was made of are not touched."""
    from ragkit.store.locate import index_location, unknown_index
    from ragkit.store.open import delete_store, index_exists

    config, _ = configured(settings)
    path = index_location(name, config.indexes)
    if not index_exists(path):
        raise unknown_index(path)
    if not yes:
        row = _described(path)
        held = row.get("problem") or counted(row["documents"], "document")
        confirm_deletion(f"Delete the index {path} ({held})?")
    left = delete_store(path)
    typer.echo(f"{path} is deleted")
    if left:
        say(f"ragkit: left in its folder, since they are not the index's own: {', '.join(left)}")


def _described(path: str | Path) -> dict[str, Any]:
    """An index as the list shows it; of one that cannot be read the reason."""
    from ragkit.store.locate import location_name
    from ragkit.store.open import open_store

    row: dict[str, Any] = {"name": location_name(path), "path": str(path)}
    try:
        store = open_store(path)
        try:
            stats, runs = store.stats(), store.runs()
        finally:
            store.close()
    except RagkitError as exc:
        return row | {"problem": str(exc)}
    embedder = stats.embedder
    return row | {
        "documents": stats.documents,
        "passages": stats.chunks,
        "size_bytes": stats.size_bytes,
        "embedder": embedder["name"] if embedder else "none",
        "last_run": runs[0]["started_at"] if runs else "",
    }


COMMANDS = {"indexes": indexes, "use": use, "delete": delete}
