"""Where an index lies: names, paths, and the only index there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import IndexNotFoundError
from ragkit.store.local.disk import writer_lock

if TYPE_CHECKING:
    from collections.abc import Sequence


_REPLACED = ".replaced"
_WAIT_S = 10.0


def find_indexes(indexes: Path) -> list[Path]:
    """The indexes in a folder, by name. One that `rebuild` is still making has a hidden name."""
    found = (catalog.parent for catalog in indexes.glob("*/catalog.db"))
    return sorted(path for path in found if not path.name.startswith("."))


def replaced_path(index: Path) -> Path:
    """Where `rebuild` puts an index aside, for as long as it takes to put the new one there."""
    return index.with_name(f".{index.name}{_REPLACED}")


def put_back(indexes: Path) -> None:
    """Put back each index of a folder whose rebuild was killed between its two renames."""
    for replaced in indexes.glob(f".*{_REPLACED}"):
        path = indexes / replaced.name[1 : -len(_REPLACED)]
        if path.exists() or not (replaced / "catalog.db").is_file():
            continue
        with writer_lock(replaced, "put back", wait_s=_WAIT_S):  # a living rebuild holds it
            if not path.exists():
                replaced.rename(path)


def index_path(index: str, indexes: Path, sources: Sequence[Path] = ()) -> Path:
    """The folder that an index's name or path stands for.

    An index that a killed `rebuild` left aside is put back first.

    Args:
        index: A name, a path, or "" for the only index there is.
        indexes: The folder that holds named indexes.
        sources: What is to be indexed; where no index exists yet, the first gives its name.

    Raises:
        IndexNotFoundError: "" was given, and there is no index or more than one.
    """
    if index:
        is_path = os.sep in index or "/" in index or index in {".", ".."}
        path = Path(index).expanduser() if is_path else indexes / index
        put_back(path.parent)
        return path
    put_back(indexes)
    found = [path.name for path in find_indexes(indexes)]
    if len(found) == 1:
        return indexes / found[0]
    if found:
        names = ", ".join(found)
        msg = f"there are {len(found)} indexes in {indexes}: {names}; choose one with --index"
        raise IndexNotFoundError(msg, indexes)
    if sources:
        source = sources[0].resolve()
        return indexes / ((source.stem if source.is_file() else source.name) or "index")
    msg = f"there is no index in {indexes}; make one with `ragkit index FOLDER`"
    raise IndexNotFoundError(msg, indexes)
