"""Connections to the catalog, and the one place where SQLite's errors become ours."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ragkit.errors import (
    IndexCorruptError,
    IndexLockedError,
    IndexNotFoundError,
    StorageFullError,
    StoreError,
)
from ragkit.store import schema
from ragkit.store.disk import MissingRowsError, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# SQLite reports a quota or a limit on file size as these, and keeps the reason to itself.
_WRITE_FAILED = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
SQLITE_VERSION = sqlite3.sqlite_version
BUSY_MS = 10_000  # a commit by another connection takes milliseconds


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into ours, for the index at `path`."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _sqlite_error(exc, path) from exc
    except MissingRowsError as exc:
        msg = f"{path}: invariant rows-exist is broken: {exc}; build it anew with `ragkit rebuild`"
        raise IndexCorruptError(msg, path) from exc
    except OSError as exc:
        if exc.errno in _FULL:
            raise StorageFullError(_full(path), path) from exc
        msg = f"{path}: {exc.strerror or exc}"
        raise StoreError(msg, path) from exc


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open the catalog of an index folder; its version is checked.

    Transactions are explicit. A reader's connection refuses to write.

    Raises:
        IndexNotFoundError: There is no catalog.
        IndexCorruptError, FormatVersionError: As `schema.check_version`.
    """
    file = path / "catalog.db"
    if not file.is_file():
        msg = f"no index at {path}; `ragkit index FOLDER` makes one"
        raise IndexNotFoundError(msg, path)
    with translated(path):
        connection = sqlite3.connect(
            f"file:{quote(str(file))}?{_access(file)}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            if write:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA cache_size = -32768")
            else:
                connection.execute("PRAGMA query_only = ON")
            schema.check_version(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def create(path: Path, manifest: Mapping[str, Any]) -> None:
    """Make a catalog without documents in an existing folder, in WAL mode.

    It gets its name when it is whole: a kill on the way leaves a folder without an index.
    """
    file = path / "catalog.db.new"
    with translated(path):
        for left_over in path.glob(file.name + "*"):
            left_over.unlink()
        connection = sqlite3.connect(file, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            schema.create(connection, manifest)
        finally:
            connection.close()
        file.replace(path / "catalog.db")
        sync_folder(path)
        sync_folder(path.parent)


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """One short read transaction: everything inside sees the same commit."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # some errors end it
            connection.execute("COMMIT")


def _access(file: Path) -> str:
    if os.access(file.parent, os.W_OK) and os.access(file, os.W_OK):
        return "mode=rw"
    log = file.with_name(file.name + "-wal")
    return "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"


def _sqlite_error(exc: sqlite3.Error, path: Path) -> StoreError:
    text = str(exc)
    extended = getattr(exc, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code == sqlite3.SQLITE_FULL or extended in _WRITE_FAILED:
        return StorageFullError(_full(path), path)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return IndexLockedError(f"{path} is locked by another program: {text}; try again", path)
    is_garbled = text.startswith("Could not decode")  # of the module's own, without a code
    if is_garbled or code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return IndexCorruptError(
            f"{path}/catalog.db is damaged: {text}; restore it from a backup, or make a new "
            "one under another name: `ragkit index FOLDER --index NAME`",
            path,
        )
    return StoreError(f"{path}: {text}", path)


def _full(path: Path) -> str:
    return (
        f"the disk that holds {path} is full; what was committed before is intact: free some "
        "space and run the same command again"
    )
