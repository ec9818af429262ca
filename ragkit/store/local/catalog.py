"""The catalog: its tables, its commits, and SQLite's errors made ours."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ragkit.errors import IndexCorruptError, StorageFullError
from ragkit.store.local.disk import MissingRowsError, sync_folder, write_counter
from ragkit.store.local.hashes import GENERATION, make_generation_hash, make_seal
from ragkit.store.local.troubles import REPAIR, RESTORE, full, is_unclear, of_sqlite, of_system

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

SQLITE_VERSION = sqlite3.sqlite_version
# Versions in which two checkpoints at once can lose what was committed.
WAL_RESET_FROM, WAL_RESET_MENDED = (3, 7, 0), (3, 51, 3)
FORMAT_VERSION = 2
APPLICATION_ID = 0x52414742
BUSY_MS = 10_000  # a commit by another connection takes milliseconds
ANALYSIS = {"analysis": 3}  # how text is prepared for the keyword index, see docs/format.md
# The log is moved into the catalog when it is so long: the keyword index writes the same pages
# again and again, which cost 10 % of an ingest's inserts when each 4 MB of them were moved.
LOG_LONG_BYTES = 16 << 20
PAGE_BYTES = 4096
LOG_KEPT_BYTES = 16 << 20
END_LOG_MS = 200

_EMBEDDER = {"backend", "name", "digest", "dim", "options"}
TABLES = """
CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE builds (
    id INTEGER PRIMARY KEY, embedder TEXT, splitter TEXT NOT NULL, started_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('making', 'living', 'retired')),
    documents INTEGER NOT NULL);
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1), commits INTEGER NOT NULL, build INTEGER NOT NULL);
CREATE TABLE generations (
    id INTEGER PRIMARY KEY, build INTEGER NOT NULL, command TEXT NOT NULL,
    started_at TEXT NOT NULL, finished_at TEXT,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'interrupted')), report TEXT,
    row_hash BLOB NOT NULL);
CREATE TABLE sources (
    path TEXT PRIMARY KEY, include TEXT NOT NULL, exclude TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE decisions (
    location TEXT PRIMARY KEY, what TEXT NOT NULL CHECK (what IN ('removed', 'accepted')),
    made_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE seals (name TEXT PRIMARY KEY, hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, build INTEGER NOT NULL, doc_id TEXT NOT NULL, root TEXT NOT NULL,
    path TEXT NOT NULL, title TEXT NOT NULL, kind TEXT NOT NULL, encoding TEXT,
    size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, file_sha256 TEXT NOT NULL,
    chars INTEGER NOT NULL, first_chunk INTEGER NOT NULL, chunks INTEGER NOT NULL,
    pages INTEGER NOT NULL, pages_without_text TEXT NOT NULL, metadata TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('file', 'program')), row_hash BLOB NOT NULL,
    stale TEXT, born INTEGER NOT NULL, died INTEGER, life_hash BLOB NOT NULL);
CREATE UNIQUE INDEX documents_living ON documents (build, doc_id) WHERE died IS NULL;
CREATE TABLE fields (
    name TEXT NOT NULL, value NOT NULL, document INTEGER NOT NULL,
    PRIMARY KEY (name, value, document)) WITHOUT ROWID;
CREATE TABLE pages (
    document INTEGER NOT NULL, number INTEGER NOT NULL, char_start INTEGER NOT NULL,
    char_end INTEGER NOT NULL, PRIMARY KEY (document, number)) WITHOUT ROWID;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    char_start INTEGER NOT NULL, char_end INTEGER NOT NULL, page INTEGER, tokens INTEGER NOT NULL,
    heading TEXT NOT NULL, text TEXT NOT NULL, vector INTEGER, row_hash BLOB NOT NULL,
    born INTEGER NOT NULL, died INTEGER);
CREATE TABLE pending (chunk INTEGER PRIMARY KEY, key BLOB NOT NULL);
CREATE INDEX pending_key ON pending (key);
CREATE TABLE vectors (id INTEGER PRIMARY KEY, crc32 INTEGER NOT NULL, chunk INTEGER);
CREATE TABLE embedding_cache (
    key BLOB PRIMARY KEY, vector INTEGER NOT NULL, crc32 INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, build INTEGER NOT NULL, dim INTEGER NOT NULL,
    rows INTEGER NOT NULL, centre BLOB, rotation INTEGER, codes_crc INTEGER, alive BLOB NOT NULL);
"""

ADDED = {"embedding_cache": {"crc32"}}
"""Columns that an index of this format gets when it is next written to, if it lacks them."""

SEALED = ("manifest", "builds", "sources", "decisions")
"""The small tables whose rows are covered by one hash each, in the table `seals`."""

# How FTS5 is set makes taking in 34,000 chunks a third quicker (2.0 s for 3.0 of CPU, 1,000 or 400
# a commit): it holds a commit's words in memory and merges its parts less often. Questions took
# the same time. FTS5 writes the column of a word unless it is the first: the body stands there, so
# that a million chunks take 190 MB less.
KEYWORDS = """
CREATE VIRTUAL TABLE {table} USING fts5 (
    body, heading, content='', tokenize='porter unicode61 remove_diacritics 2');
INSERT INTO {table} ({table}, rank)
    VALUES ('hashsize', 8388608), ('automerge', 16), ('crisismerge', 32);
"""


def keywords_table(build: int) -> str:
    """The name of a build's keyword index."""
    return f"keywords_{build}"


@dataclass(frozen=True, slots=True)
class Build:
    """One making of an index: all its chunks are split alike, all its vectors of one embedder.

    ``embedder`` is empty for an index without vectors.
    """

    id: int
    embedder: dict[str, Any]
    splitter: dict[str, int]
    state: str

    @property
    def dim(self) -> int:
        """Length of a vector, 0 without an embedder."""
        return int(self.embedder.get("dim", 0))

    @property
    def keywords(self) -> str:
        """The name of its keyword index."""
        return keywords_table(self.id)


def create(
    path: Path,
    manifest: Mapping[str, Any],
    *,
    embedder: Mapping[str, Any],
    splitter: Mapping[str, int],
) -> None:
    """Make a catalog without documents in an existing folder, in WAL mode.

    It gets its name when it is whole and on the disk: a kill or a full disk on the way leaves a
    folder without an index. There is no log beside it then: WAL mode comes last.
    """
    file = path / "catalog.db.new"
    with translated(path):
        for left_over in path.glob(file.name + "*"):
            left_over.unlink()
        file.touch(mode=0o600)  # SQLite gives its log the same mode
        connection = sqlite3.connect(file, isolation_level=None)
        try:
            make_durable(connection)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # `compact` gives pages back
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES}")
            connection.executemany(
                "INSERT INTO manifest VALUES (?, ?)",
                [(key, _json(value)) for key, value in manifest.items()],
            )
            add_build(connection, embedder=embedder, splitter=splitter, state="living")
            connection.execute("INSERT INTO head VALUES (1, 0, 1)")
            write_seals(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        log = file.with_name(file.name + "-wal")
        if log.exists() and log.stat().st_size:  # closing could not write it into the catalog
            raise StorageFullError(full(path), path)
        file.replace(path / "catalog.db")
        sync_folder(path)
        sync_folder(path.parent)


def add_build(
    connection: sqlite3.Connection,
    *,
    embedder: Mapping[str, Any],
    splitter: Mapping[str, int],
    state: str,
) -> int:
    """Add a build with its keyword index, inside a transaction; returns its id."""
    stored = _json(dict(embedder)) if embedder else None
    started = datetime.now(UTC).isoformat(timespec="seconds")
    cursor = connection.execute(
        "INSERT INTO builds VALUES (NULL, ?, ?, ?, ?, 0)",
        (stored, _json(dict(splitter)), started, state),
    )
    build = cursor.lastrowid or 0
    for statement in KEYWORDS.format(table=keywords_table(build)).split(";\n"):
        connection.execute(statement)
    return build


def read_build(connection: sqlite3.Connection, path: Path, build: int | None = None) -> Build:
    """A build by its id, or the living one.

    Raises:
        IndexCorruptError: There is no such build, or its row cannot be read.
    """
    check_seal(connection, path, "builds")
    row = connection.execute(
        "SELECT id, embedder, splitter, state FROM builds "
        "WHERE id = coalesce(?, (SELECT build FROM head))",
        (build,),
    ).fetchone()
    if row is None:
        raise damaged(path, "builds", "the build that is named is not there")
    if build is None and row[3] != "living":
        raise damaged(path, "head", f"it names build {row[0]}, which is {row[3]}")
    embedder = {} if row[1] is None else parsed(row[1], dict, path, "builds.embedder")
    if embedder and not embedder.keys() >= _EMBEDDER:
        raise damaged(path, "builds.embedder", f"it lacks {min(_EMBEDDER - embedder.keys())}")
    return Build(row[0], embedder, parsed(row[2], dict, path, "builds.splitter"), row[3])


def read_identity(connection: sqlite3.Connection, path: Path) -> str:
    """What tells an index from every other, also from one that took its place.

    Raises:
        IndexCorruptError: It is not there.
    """
    check_seal(connection, path, "manifest")
    row = connection.execute("SELECT value FROM manifest WHERE key = 'id'").fetchone()
    if row is None:
        raise damaged(path, "manifest", "the index has no id")
    return str(row[0])


def write_seals(connection: sqlite3.Connection) -> None:
    """Cover the small tables as they are now, inside a transaction; see `check_seal`."""
    stored = dict(connection.execute("SELECT name, hash FROM seals"))
    made = {table: _seal(connection, table) for table in SEALED}
    connection.executemany(
        "REPLACE INTO seals VALUES (?, ?)",
        [(table, seal) for table, seal in made.items() if seal != stored.get(table)],
    )


def check_seal(connection: sqlite3.Connection, path: Path, table: str) -> None:
    """See that a small table holds what was written, before its rows are used.

    Raises:
        IndexCorruptError: It does not.
    """
    if not is_sealed(connection, table):
        raise damaged(path, table, "its rows are not those that were written")


def is_sealed(connection: sqlite3.Connection, table: str) -> bool:
    """Whether a small table holds what was written."""
    row = connection.execute("SELECT hash FROM seals WHERE name = ?", (table,)).fetchone()
    return bool(row and row[0] == _seal(connection, table))


def _seal(connection: sqlite3.Connection, table: str) -> bytes:
    return make_seal(connection.execute(f"SELECT * FROM {table} ORDER BY 1"))  # noqa: S608 -- ours


def seal_generation(connection: sqlite3.Connection, generation: int) -> None:
    """Cover a generation's row as it is now, inside a transaction."""
    row = connection.execute(
        f"SELECT {', '.join(GENERATION)} FROM generations WHERE id = ?",  # noqa: S608 -- names of columns
        (generation,),
    ).fetchone()
    connection.execute(
        "UPDATE generations SET row_hash = ? WHERE id = ?", (make_generation_hash(row), generation)
    )


def parsed(text: object, kind: type[T], path: Path, where: str) -> T:
    """A JSON value of the catalog.

    Args:
        text: As it is stored.
        kind: What it must be: ``dict`` or ``list``.
        path: The index folder.
        where: Table and column, for the error.

    Raises:
        IndexCorruptError: It is no JSON of that kind.
    """
    try:
        value = json.loads(text)  # type: ignore[arg-type]  # whatever SQLite gives
    except (TypeError, ValueError) as exc:
        raise damaged(path, where, str(exc)) from exc
    if not isinstance(value, kind):
        raise damaged(path, where, f"expected {kind.__name__}, not {type(value).__name__}")
    return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def make_durable(connection: sqlite3.Connection) -> None:
    """Let commits survive a loss of power; macOS must be asked to empty the drive's cache."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")


def shorten_log(connection: sqlite3.Connection, path: Path) -> None:
    """Move a long write-ahead log into the catalog; called by the writer, between commits.

    Readers that never pause keep SQLite from beginning the log anew by itself. This waits for
    those that still look at an older commit; new ones are not held up.
    """
    log = path / "catalog.db-wal"
    try:
        is_long = log.stat().st_size > LOG_LONG_BYTES
    except FileNotFoundError:
        return
    if is_long:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def commit(connection: sqlite3.Connection, path: Path) -> None:
    """Commit a transaction of the writer and count it, in the catalog and beside it.

    The file ``commits`` tells what SQLite cannot: that a damaged log took back commits. It is
    written after each commit and never before, so it is never ahead of a whole catalog.
    """
    connection.execute("UPDATE head SET commits = commits + 1")
    write_seals(connection)
    (commits,) = connection.execute("SELECT commits FROM head").fetchone()
    connection.execute("COMMIT")
    write_counter(path, commits)
    shorten_log(connection, path)


def end_log(connection: sqlite3.Connection, wait_ms: int = END_LOG_MS) -> bool:
    """Move the whole log into the catalog at the end of a run, unless a reader is in the way.

    So an index at rest is one file, and can be read in a folder that cannot be written.

    Args:
        connection: The writer's, which waits no longer afterwards either.
        wait_ms: How long to wait for readers.

    Returns:
        Whether the log is empty now.
    """
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """One short read transaction: everything inside sees the same commit."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # some errors end it
            connection.execute("COMMIT")


def scalars(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str | int | float]]:
    """The values of metadata that a filter can compare: a name and a scalar, one a list's item."""
    for name, value in metadata.items():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, int) and not -(2**63) <= item < 2**63:
                with suppress(OverflowError):  # larger than any number that is compared
                    yield name, float(item)
            elif isinstance(item, (str, int, float)):
                yield name, item


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
        verb: ``INSERT``, or ``REPLACE`` for rows of which some may be there.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        table: str,
        *,
        columns: int,
        rows: int,
        verb: str = "INSERT",
    ) -> None:
        most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        rows = min(rows, most // columns)
        # Of one length, and filled up with NULL, so that it is compiled only once.
        marks = ",".join([f"({','.join('?' * columns)})"] * rows)
        filled = f"SELECT * FROM (VALUES {marks}) WHERE column1 NOT NULL"  # noqa: S608 -- only marks
        self._insert = f"{verb} INTO {table} {filled}"
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


VALUE_ERRORS = (
    TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError,
    RuntimeError, MemoryError,
)  # fmt: skip
"""What Python, NumPy and FAISS raise where a damaged value is computed with."""


@contextmanager
def translated(path: Path, *, diagnose: bool = True) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into ours, for the index at `path`.

    Args:
        path: The index folder.
        diagnose: Where Python itself stumbles, see if the index is damaged: then that is the error,
            and any other is a fault of the program that goes on as it is.
    """
    try:
        yield
    except sqlite3.Error as exc:
        damage = _diagnosis(path) if diagnose and is_unclear(exc) else None
        raise damage or of_sqlite(exc, path) from exc
    except MissingRowsError as exc:
        raise broken(path, "rows-exist", str(exc)) from exc
    except OSError as exc:
        raise of_system(exc, path) from exc
    except VALUE_ERRORS as exc:
        if isinstance(exc, UnicodeDecodeError) and not diagnose:  # SQLite quotes a damaged schema
            raise damaged(path, "catalog", f"its schema is no text: {exc}") from exc
        damage = _diagnosis(path) if diagnose else None
        if damage is None:
            raise
        raise damage from exc


def _diagnosis(path: Path) -> IndexCorruptError | None:
    """What `check` finds first of what must hold; None where the index is right."""
    from ragkit.store.local.check import check  # it is above this module, and seldom needed

    found = [one for one in check(path) if one.severity == "must"]
    return damaged(path, found[0].invariant, found[0].detail) if found else None


_ADVICE = {
    "catalog": REPAIR,
    "alive-bits": REPAIR,
    "keywords": REPAIR,
    "generation-row": RESTORE,
    "document-row": "build it anew with `ragkit rebuild --from files`",
}


def broken(path: Path, invariant: str, detail: str) -> IndexCorruptError:
    """The error that names an invariant of docs/format.md and what breaks it."""
    advice = _ADVICE.get(invariant, "build it anew with `ragkit rebuild`")
    msg = f"{path}: invariant {invariant} is broken: {detail}; {advice}"
    return IndexCorruptError(msg, path)


def damaged(path: Path, where: str, detail: str) -> IndexCorruptError:
    """The error for what no invariant can be told by: a value of the catalog that has no sense."""
    return IndexCorruptError(f"{path}/catalog.db is damaged: {where}: {detail}; {RESTORE}", path)
