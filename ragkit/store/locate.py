"""Where an index lies: names, paths, and which index is meant when none is named."""

from __future__ import annotations

import os
import re
import stat
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import IndexNotFoundError, StoreError
from ragkit.store.local.disk import put_back
from ragkit.store.relocation import is_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AUTO = Path("auto")
"""The setting `indexes` that leaves the choice of a folder to `indexes_folder`."""

_OWN_FOLDER = Path("indexes")
_DEFAULT = "default-index"
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def indexes_folder(setting: Path) -> Path:
    """The folder that holds the indexes, absolute.

    Args:
        setting: Of `indexes`. `AUTO`: ``indexes`` in the working folder if an index lies there,
            else the place that the system has for a user's data.
    """
    if setting != AUTO:
        return setting.absolute()
    if find_indexes(_OWN_FOLDER):
        return _OWN_FOLDER.absolute()
    from platformdirs import user_data_path

    return user_data_path("ragkit", appauthor=False) / "indexes"


def url_scheme(location: str | Path) -> str:
    """The scheme of a URL, in lower case; "" for a folder."""
    url = _URL.match(location) if isinstance(location, str) else None
    return url[1].lower() if url else ""


def index_location(index: str | Path, indexes: Path, sources: Sequence[Path] = ()) -> str | Path:
    """The location that an index's name, path or URL stands for; a folder's as `index_path`."""
    return str(index) if url_scheme(index) else index_path(str(index), indexes, sources)


def location_name(location: str | Path) -> str:
    """The name of the index at a location."""
    return (
        str(location).rstrip("/").rpartition("/")[2]
        if url_scheme(location)
        else Path(location).name
    )


def place_in(path: str | Path, sources: Iterable[str | Path]) -> str | None:
    """Where a file or folder lies in folders or files, named as these are; None: in none of them.

    What leads there by a link, or by another spelling where the system takes both for one, counts.

    Args:
        path: As a user gave it.
        sources: Absolute.

    Returns:
        Its absolute path with ``/``, below the source's own name.
    """
    there = Path(os.path.abspath(path)).as_posix()  # noqa: PTH100 -- links stay in the name
    named = [Path(source).as_posix() for source in sources]
    if any(is_below(there, source) for source in named):
        return there
    known = {identity: source for source in named if (identity := _identity(source))}
    real = Path(os.path.realpath(there))
    for above in (real, *real.parents) if known else ():
        if (identity := _identity(above)) in known:
            return (Path(known[identity]) / real.relative_to(above)).as_posix()
    return None


def _identity(path: str | Path) -> tuple[int, int] | str | None:
    """What tells a folder from every other, whatever its name; None: it is not there.

    Of a file it is the path, links followed: files with one content may be parted again.
    """
    try:
        info = os.stat(path)  # noqa: PTH116 -- a text or a path
    except OSError:
        return None
    is_folder = stat.S_ISDIR(info.st_mode)
    return (info.st_dev, info.st_ino) if is_folder else os.path.realpath(path)


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
    """The indexes in a folder, by name; those that this user may not read are among them."""
    try:
        found = sorted(path for path in indexes.iterdir() if not path.name.startswith("."))
    except OSError:  # there is no such folder, or it is somebody else's
        return []
    return [path for path in found if is_index(path)]


def is_index(path: Path) -> bool:
    """Whether a folder is an index, damaged or not. A folder that is closed may be one."""
    try:
        return (path / "catalog.db").is_file()
    except PermissionError:  # to open it tells what to do
        return True
    except OSError:  # a name that the system does not take
        return False


def index_path(index: str, indexes: Path, sources: Sequence[Path] = ()) -> Path:
    """The folder that an index's name or path stands for, absolute.

    An index that a killed `rebuild` of ragkit 0.1 left aside is put back first.

    Args:
        index: A name, a path, or "" for the one that is meant: the index that holds the sources,
            a new one for others, and without sources the default or the only one.
        indexes: The setting of that name: the folder that holds named indexes.
        sources: What is to be indexed.

    Raises:
        IndexNotFoundError: "" was given, and it cannot be told which index is meant.
    """
    if index and (os.sep in index or "/" in index or index in {".", ".."}):
        path = index_folder(index).absolute()
        put_back(path.parent)
        return path
    folder = indexes_folder(indexes)
    put_back(folder)
    if index:
        return folder / index
    return _for_sources(sources, folder) if sources else _meant(folder)


def default_index(indexes: Path) -> str:
    """The name of the index that is meant when none is named; "" if none was chosen."""
    try:
        name = (indexes_folder(indexes) / _DEFAULT).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return name


def set_default_index(indexes: Path, name: str) -> None:
    """Choose the index that is meant when none is named.

    Raises:
        IndexNotFoundError: There is none of that name.
        StoreError: The choice cannot be written down.
    """
    folder = indexes_folder(indexes)
    if folder / name not in find_indexes(folder):
        raise unknown_index(folder / name)
    try:
        (folder / _DEFAULT).write_text(name + "\n", "utf-8")
    except OSError as exc:
        msg = f"{folder / _DEFAULT} cannot be written: {exc.strerror}; use --index {name} instead"
        raise StoreError(msg, folder) from exc


def unknown_index(path: str | Path) -> IndexNotFoundError:
    """The error for an index that is not there; it names those that are."""
    if not isinstance(path, Path):
        return IndexNotFoundError(
            f"no index at {path}; `ragkit index FOLDER -i {path}` makes one", path
        )
    names = [found.name for found in find_indexes(path.parent)]
    none = "`ragkit index FOLDER` makes one, and one that lies elsewhere is named by its path"
    others = f"there are: {', '.join(names)}" if names else none
    what = f"{path} is no index" if os.path.lexists(path) else f"no index at {path}"
    return IndexNotFoundError(f"{what}; {others}", path)


def _meant(folder: Path) -> Path:
    found = find_indexes(folder)
    chosen = folder / (default_index(folder) or ".")
    if chosen in found:
        return chosen
    if len(found) == 1:
        return found[0]
    if not found:
        msg = f"there is no index in {folder}; make one with `ragkit index FOLDER`"
        raise IndexNotFoundError(msg, folder)
    names = ", ".join(path.name for path in found)
    msg = (
        f"there are {len(found)} indexes in {folder}: {names}; name one with `--index NAME`, or "
        "choose one for good with `ragkit use NAME`"
    )
    raise IndexNotFoundError(msg, folder)


def _for_sources(sources: Sequence[Path], folder: Path) -> Path:
    """The index that holds the sources, or the path of a new one that is named after the first."""
    wanted = [Path(os.path.abspath(source)) for source in sources]  # noqa: PTH100 -- links stay
    found = find_indexes(folder)
    holding = {path: held for path in found if (held := _held(path, wanted))}
    holding = holding or {path: wanted[0] for path in found if _has_moved(path, wanted)}
    if len(holding) > 1:
        listed = "; ".join(f"{held} is in {path.name}" for path, held in holding.items())
        msg = (
            f"these paths belong to several indexes: {listed}; name one with `--index NAME`, or "
            "index them one after the other"
        )
        raise StoreError(msg, folder)
    if holding:
        return next(iter(holding))
    first = wanted[0].resolve()
    name = (first.stem if os.path.isfile(first) else first.name) or "index"  # noqa: PTH113 -- never raises
    path, number = folder / name, 1
    # Another folder's; one that fails to open tells why.
    while os.path.exists(path) and _opens(path):  # noqa: PTH110 -- never raises
        number += 1
        path = folder / f"{name}-{number}"
    return path


def _held(path: Path, wanted: Sequence[Path]) -> Path | None:
    """The first of some paths that an index holds; one that cannot be opened holds none."""
    held = _sources(path) or ()
    return next((w for w in wanted if place_in(w, held) is not None), None)


def _has_moved(path: Path, wanted: Sequence[Path]) -> bool:
    """Whether a folder that an index misses seems to lie at a path now: half its files do."""
    gone = [source for source in _sources(path) or () if not os.path.lexists(source)]
    if not gone:
        return False
    from contextlib import closing

    from ragkit.store.local.store import LocalStore

    with closing(LocalStore(path)) as store:
        files = [(Path(d.root, d.path), d.size_bytes) for d in store.documents()]
    for source in gone:
        below = [(f.relative_to(source), size) for f, size in files if source in f.parents]
        places = chain.from_iterable((w, w / source.name) for w in wanted)
        for place in places if below else ():
            if 2 * sum(_has_size(place / name, size) for name, size in below) >= len(below):
                return True
    return False


def _has_size(file: Path, size_bytes: int) -> bool:
    try:
        return file.stat().st_size == size_bytes
    except OSError:
        return False


def _opens(path: Path) -> bool:
    return path not in find_indexes(path.parent) or _sources(path) is not None


def _sources(path: Path) -> list[Path] | None:
    """What an index was made of, None if it cannot be opened."""
    from contextlib import closing

    from ragkit.store.local.store import LocalStore

    try:
        with closing(LocalStore(path)) as store:
            return [Path(source) for source in store.sources()]
    except StoreError:
        return None
