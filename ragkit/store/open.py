"""From an index's path or URL to its store: the only place that knows which stores there are."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import StoreError
from ragkit.store.local import disk
from ragkit.store.local.catalog import (
    SQLITE_VERSION,
    WAL_RESET_FROM,
    WAL_RESET_MENDED,
    translated,
)
from ragkit.store.local.store import LocalStore
from ragkit.store.locate import index_folder, index_path, is_index, url_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ragkit.protocols import StoreDriver, VectorStore, Violation

GROUP = "ragkit.stores"
"""The entry points under which installed packages offer a `StoreDriver` for a URL scheme each."""

REMOTE = ("opensearch", "opensearch-http")
"""The URL schemes of indexes on a cluster; see `ragkit.store.remote.endpoint`."""

ENGINE = f"SQLite {SQLITE_VERSION}"  # what holds an index on this machine


def engine_note() -> str:
    """What is known to be wrong with the engine of this machine, and why it does no harm."""
    version = tuple(int(part) for part in SQLITE_VERSION.split("."))
    if not WAL_RESET_FROM <= version < WAL_RESET_MENDED:
        return ""
    return (
        f"ragkit is safe with {ENGINE}: let no other program write to catalog.db. A database is "
        "damaged if two programs move its log into it at once, and in ragkit only the one writer "
        "does that (mended in 3.51.3, https://sqlite.org/wal.html#the_wal_reset_bug)"
    )


def open_store(location: str | Path) -> VectorStore:
    """Open an index.

    Args:
        location: As `VectorStore.location` has it: a folder of this machine, or a URL that an
            installed package opens.

    Raises:
        IndexNotFoundError: There is none.
        FormatVersionError: It was written by a newer ragkit.
        IndexCorruptError: It is damaged, or not ragkit's.
        StoreError: No store is known for a URL of this scheme.
    """
    if driver := find_driver(location):
        return driver.open(str(location))
    return LocalStore(index_folder(location))


def create_store(
    location: str | Path, *, embedder: Mapping[str, Any], splitter: Mapping[str, Any]
) -> VectorStore:
    """Make an empty index.

    Args:
        location: Where it is to lie.
        embedder: ``backend``, ``name``, ``digest``, ``dim``, ``options``.
        splitter: The settings that chunks are made with.

    Raises:
        IndexExistsError: There is one already.
        ForeignFilesError: The folder holds files that are not an index's own.
        StoreError: No store is known for a URL of this scheme.
    """
    if driver := find_driver(location):
        return driver.create(str(location), embedder=embedder, splitter=splitter)
    return LocalStore.create(index_folder(location), embedder=embedder, splitter=splitter)


def index_exists(location: str | Path) -> bool:
    """Whether there is an index, damaged or not."""
    if driver := find_driver(location):
        return driver.exists(str(location))
    return is_index(index_folder(location))


def find_driver(location: str | Path) -> StoreDriver | None:
    """What opens a URL, from the installed packages; None for a folder.

    Raises:
        StoreError: No package opens such URLs, or its entry point cannot be loaded.
    """
    scheme = url_scheme(location)
    if not scheme:
        return None
    if scheme in REMOTE:
        from ragkit.store.remote.driver import RemoteDriver  # loads requests

        return RemoteDriver()
    from importlib.metadata import entry_points  # 20 ms that an index in a folder need not pay

    for entry in entry_points(group=GROUP, name=scheme):
        try:
            driver: StoreDriver = entry.load()
        except Exception as exc:  # a stranger's module
            msg = f"{location}: the store {entry.value} cannot be loaded: {exc!r}"
            raise StoreError(msg, location) from exc
        return driver
    msg = (
        f"{location}: there is no store for {scheme} URLs: name an index or its folder, or install "
        f"a package that offers one under the entry point {GROUP}"
    )
    raise StoreError(msg, location)


def restore_store(
    file: Path,
    indexes: Path,
    index: str = "",
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make an index of a file that `VectorStore.backup` wrote; returns its folder.

    Args:
        file: The backup.
        indexes: The folder that holds named indexes.
        index: The new index's name or path; "": the name of the one that was backed up.
        on_progress: Called now and then with the bytes done and the bytes there are.

    Raises:
        IndexExistsError: There is an index, or anything else, already.
        StoreError: The file is no whole backup.
    """
    from ragkit.store.local.archive import read_contents, restore_archive

    contents = read_contents(file)
    name = Path(contents["index"]).name
    if not index and (not name or name.startswith(".")):
        msg = f"{file} does not say which name its index had: give one with --index"
        raise StoreError(msg, file)
    path = index_path(index or name, indexes)
    restore_archive(file, path, contents, on_progress)
    return path


def delete_store(location: str | Path) -> list[str]:
    """Delete an index, damaged or not.

    Returns:
        The names of files in its folder that are not its own; they and the folder stay.

    Raises:
        IndexLockedError: Another process is writing to it.
        StoreError: This user may not delete it, or it is a link to an index.
    """
    if url_scheme(location) in REMOTE:
        from ragkit.store.remote.driver import RemoteDriver

        RemoteDriver().delete(str(location))
        return []
    folder = index_folder(location)
    if folder.is_symlink():
        msg = f"{folder} is a link to {folder.resolve()}: name that, or take the link away yourself"
        raise StoreError(msg, folder)
    with translated(folder):
        with disk.writer_lock(folder, "delete", wait_s=disk.WRITER_WAIT_S):
            disk.delete_index(folder)
        return disk.foreign_files(folder)


def check_index(
    location: str | Path, *, quick: bool = False, keywords: bool = False
) -> list[Violation]:
    """Find what is broken, as `VectorStore.check`; also in an index that cannot be opened."""
    if driver := find_driver(location):
        with closing(driver.open(str(location))) as store:
            return list(store.check(quick=quick, keywords=keywords))
    from ragkit.store.local.check import check  # loads NumPy and sqlite-utils

    return check(index_folder(location), quick=quick, keywords=keywords)
