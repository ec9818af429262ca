"""The catalog: its tables, connections to it, and SQLite's errors made ours."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ragkit.errors import (
    FormatVersionError,
    IndexCorruptError,
    IndexLockedError,
    IndexNotFoundError,
    StorageFullError,
    StoreError,
)
from ragkit.store.local.disk import MissingRowsError, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SQLITE_VERSION = sqlite3.sqlite_version
FORMAT_VERSION = 1
APPLICATION_ID = 0x52414742
BUSY_MS = 10_000  # a commit by another connection takes milliseconds

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# SQLite reports a quota or a limit on file size as these, and keeps the reason to itself.
_WRITE_FAILED = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}

# How FTS5 is set makes taking in 34,000 chunks a third quicker (2.0 s for 3.0 of CPU, 1,000 or 400
# a commit): it holds a commit's words in memory and merges its parts less often. Questions took
# the same time.
TABLES = """
CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), commits INTEGER NOT NULL);
INSERT INTO head VALUES (1, 0);
CREATE TABLE generations (
    id INTEGER PRIMARY KEY, command TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'interrupted')), report TEXT);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, doc_id TEXT NOT NULL, root TEXT NOT NULL, path TEXT NOT NULL,
    title TEXT NOT NULL, kind TEXT NOT NULL, encoding TEXT, size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, file_sha256 TEXT NOT NULL, chars INTEGER NOT NULL,
    chunks INTEGER NOT NULL, metadata TEXT NOT NULL, stale TEXT,
    born INTEGER NOT NULL, died INTEGER);
CREATE UNIQUE INDEX documents_living ON documents (doc_id) WHERE died IS NULL;
CREATE TABLE pages (
    document INTEGER NOT NULL, number INTEGER NOT NULL, char_start INTEGER NOT NULL,
    char_end INTEGER NOT NULL, born INTEGER NOT NULL, died INTEGER,
    PRIMARY KEY (document, number)) WITHOUT ROWID;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, chunk_id BLOB NOT NULL, document INTEGER NOT NULL,
    ordinal INTEGER NOT NULL, char_start INTEGER NOT NULL, char_end INTEGER NOT NULL,
    page INTEGER, tokens INTEGER NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL,
    vector INTEGER NOT NULL,
    born INTEGER NOT NULL, died INTEGER);
CREATE UNIQUE INDEX chunks_document ON chunks (document, ordinal);
CREATE TABLE vectors (id INTEGER PRIMARY KEY, crc32 INTEGER NOT NULL, chunk INTEGER);
CREATE TABLE embedding_cache (key BLOB PRIMARY KEY, vector INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, dim INTEGER NOT NULL, rows INTEGER NOT NULL,
    centre BLOB, alive BLOB NOT NULL);
CREATE VIRTUAL TABLE keywords USING fts5 (
    heading, body, content='', tokenize='porter unicode61 remove_diacritics 2');
INSERT INTO keywords (keywords, rank)
    VALUES ('hashsize', 8388608), ('automerge', 16), ('crisismerge', 32);
"""


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
            _create_tables(connection, manifest)
        finally:
            connection.close()
        file.replace(path / "catalog.db")
        sync_folder(path)
        sync_folder(path.parent)


def _create_tables(connection: sqlite3.Connection, manifest: Mapping[str, Any]) -> None:
    """Make the tables of the current format in an empty database, in one transaction."""
    connection.executescript(f"BEGIN IMMEDIATE; {TABLES}")
    connection.executemany(
        "INSERT INTO manifest VALUES (?, ?)",
        [(key, json.dumps(value, ensure_ascii=False)) for key, value in manifest.items()],
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open the catalog of an index folder; its version is checked.

    Transactions are explicit. A reader's connection refuses to write.

    Raises:
        IndexNotFoundError: There is no catalog.
        IndexCorruptError, FormatVersionError: It is damaged or not ragkit's, or newer.
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
            _check_version(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _access(file: Path) -> str:
    if os.access(file.parent, os.W_OK) and os.access(file, os.W_OK):
        return "mode=rw"
    log = file.with_name(file.name + "-wal")
    return "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a catalog that is not ours or was written by a newer ragkit.

    Raises:
        IndexCorruptError: The database is not a ragkit catalog.
        FormatVersionError: Its format is newer than this ragkit reads.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID or version < 1:
        msg = f"{path} is not a ragkit index: its catalog.db was made by something else"
        raise IndexCorruptError(msg, path)
    if version > FORMAT_VERSION:
        msg = (
            f"{path} has index format {version}; this ragkit reads up to {FORMAT_VERSION}: "
            "install a newer ragkit"
        )
        raise FormatVersionError(msg, path)


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """One short read transaction: everything inside sees the same commit."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # some errors end it
            connection.execute("COMMIT")


class Bulk:
    """Rows of one table that wait until many are inserted at once.

    SQLite runs without Python's lock within a statement only. With a statement a row the lock
    goes back and forth between the writer and the threads that parse a model's replies, which
    costs more than the inserts and lets neither use a second core.

    Args:
        connection: The writer's.
        table: The table's name, with its columns where not all are given.
        columns: How many values a row has; the first is never None.
        rows: Most rows a statement.
    """

    def __init__(
        self, connection: sqlite3.Connection, table: str, *, columns: int, rows: int
    ) -> None:
        most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        rows = min(rows, most // columns)
        # Of one length, and filled up with NULL, so that it is compiled only once.
        marks = ",".join([f"({','.join('?' * columns)})"] * rows)
        filled = f"SELECT * FROM (VALUES {marks}) WHERE column1 NOT NULL"  # noqa: S608 -- only marks
        self._insert = f"INSERT INTO {table} {filled}"
        self._connection = connection
        self._size = rows * columns
        self._values: list[Any] = []

    @property
    def is_full(self) -> bool:
        """Whether a whole statement's rows are waiting."""
        return len(self._values) >= self._size

    def add(self, *values: Any) -> None:  # noqa: ANN401 -- whatever SQLite stores
        """Add a row."""
        self._values += values

    def write(self) -> None:
        """Insert the waiting rows; they wait no more even where that fails."""
        values, self._values = self._values, []
        for start in range(0, len(values), self._size):
            part = values[start : start + self._size]
            part += [None] * (self._size - len(part))
            self._connection.execute(self._insert, part)

    def clear(self) -> None:
        """Forget the waiting rows."""
        self._values.clear()


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into ours, for the index at `path`."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _sqlite_error(exc, path) from exc
    except MissingRowsError as exc:
        raise broken(path, "rows-exist", str(exc)) from exc
    except OSError as exc:
        if exc.errno in _FULL:
            raise StorageFullError(_full(path), path) from exc
        msg = f"{path}: {exc.strerror or exc}"
        raise StoreError(msg, path) from exc


def broken(path: Path, invariant: str, detail: str) -> IndexCorruptError:
    """The error that names an invariant of docs/format.md and what breaks it."""
    msg = f"{path}: invariant {invariant} is broken: {detail}; build it anew with `ragkit rebuild`"
    return IndexCorruptError(msg, path)


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
