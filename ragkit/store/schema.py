"""The catalog's schema and its version; see docs/format.md, which this module follows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ragkit.errors import FormatVersionError, IndexCorruptError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

FORMAT_VERSION = 1
APPLICATION_ID = 0x52414742

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


def create(connection: sqlite3.Connection, manifest: Mapping[str, Any]) -> None:
    """Make the tables of the current format in an empty database, in one transaction."""
    connection.executescript(f"BEGIN IMMEDIATE; {TABLES}")
    connection.executemany(
        "INSERT INTO manifest VALUES (?, ?)",
        [(key, json.dumps(value, ensure_ascii=False)) for key, value in manifest.items()],
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")


def check_version(connection: sqlite3.Connection, path: Path) -> None:
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
