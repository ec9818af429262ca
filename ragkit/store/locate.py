"""Where an index lies: names, paths, and the only index there is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import IndexNotFoundError, StoreError
from ragkit.store.local.disk import put_back

if TYPE_CHECKING:
    from collections.abc import Sequence

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def index_folder(location: str | Path) -> Path:
    """The folder that a location names.

    Raises:
        StoreError: It is a URL, and no store is known for such.
    """
    if isinstance(location, Path):
        return location
    if url := _URL.match(location):
        msg = f"{location}: there is no store for {url[1]} URLs; name an index or its folder"
        raise StoreError(msg, location)
    return Path(location).expanduser()


def find_indexes(indexes: Path) -> list[Path]:
    """The indexes in a folder, by name. One that `rebuild` is still making has a hidden name."""
    found = (catalog.parent for catalog in indexes.glob("*/catalog.db"))
    return sorted(path for path in found if not path.name.startswith("."))


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
        path = index_folder(index) if is_path else indexes / index
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
