"""From format 1 to format 2, in one transaction: a kill leaves the one or the other."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from ragkit.errors import FormatVersionError
from ragkit.store.local import disk
from ragkit.store.local.catalog import (
    BUSY_MS,
    FORMAT_VERSION,
    TABLES,
    VALUE_ERRORS,
    damaged,
    keywords_table,
    parsed,
    scalars,
    translated,
    write_seals,
)
from ragkit.store.local.hashes import (
    GENERATION,
    HASHED,
    make_doc_hash,
    make_generation_hash,
    make_life_hash,
    make_row_hash,
)

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

_CHANGED = ("head", "generations", "documents", "pages", "chunks", "segments")
_KEPT = {"manifest", "vectors", "embedding_cache"}
_MADE = {"build", "first_chunk", "origin", "pages", "pages_without_text"}
_BUILD = 1

_COPIES = (
    "INSERT INTO head SELECT 1, commits, 1 FROM old_head",
    "INSERT INTO generations SELECT id, 1, command, started_at, finished_at, state, report, "
    "generation_hash(id, 1, command, started_at, finished_at, state, report) FROM old_generations",
    "INSERT INTO pages SELECT document, number, char_start, char_end FROM old_pages",
    "INSERT INTO segments SELECT id, 1, dim, rows, centre, NULL, NULL, alive FROM old_segments",
    """
    INSERT INTO chunks SELECT id, document, ordinal, char_start, char_end, page, tokens, heading,
        text, vector, row_hash(lower(hex(chunk_id)), page, heading, CASE WHEN page NOT NULL THEN (
            SELECT json_group_array(json_array(number, char_start, char_end))
            FROM (SELECT p.number, p.char_start, p.char_end FROM pages p
                WHERE p.document = c.document AND p.char_start < min(p.char_end, c.char_end)
                  AND p.char_end > c.char_start ORDER BY p.number)) ELSE '[]' END), born, died
    FROM old_chunks c
    """,
)


def migrate(path: Path) -> None:
    """Bring an index of format 1 to the format of this ragkit; texts and vectors stay as they are.

    Raises:
        FormatVersionError: Its folder cannot be written.
        IndexLockedError: Another process is writing to it.
    """
    if not (os.access(path, os.W_OK) and os.access(path / "catalog.db", os.W_OK)):
        msg = (
            f"{path} has index format 1 and cannot be written; make it writable once, e.g. for "
            "`ragkit info`, which brings it to the format of this ragkit"
        )
        raise FormatVersionError(msg, path)
    with (
        translated(path, diagnose=False),
        disk.writer_lock(path, "migrate", wait_s=disk.WRITER_WAIT_S),
        closing(sqlite3.connect(path / "catalog.db", isolation_level=None)) as connection,
    ):
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == FORMAT_VERSION:  # another process was first
            connection.execute("ROLLBACK")
            return
        _log.warning("%s: bringing the index to format %d, once.", path, FORMAT_VERSION)
        try:
            _to_format_2(connection, path)
        except VALUE_ERRORS as exc:
            raise damaged(path, "a value has no sense", str(exc)) from exc
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        connection.execute("COMMIT")


def _to_format_2(connection: sqlite3.Connection, path: Path) -> None:
    connection.create_function("row_hash", 4, make_row_hash, deterministic=True)
    connection.create_function("generation_hash", len(GENERATION), _generation_hash)
    for table in _CHANGED:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    connection.execute("DROP INDEX IF EXISTS documents_living")
    connection.execute("DROP INDEX IF EXISTS chunks_document")
    for statement in TABLES.strip().split(";\n"):
        name = statement.split("(")[0].split()[2]
        if name not in _KEPT:
            connection.execute(statement)
    connection.execute(f"ALTER TABLE keywords RENAME TO {keywords_table(_BUILD)}")
    _take_over_manifest(connection, path)
    for statement in _COPIES:
        connection.execute(statement)
    _take_over_documents(connection, path)
    write_seals(connection)
    for table in _CHANGED:
        connection.execute(f"DROP TABLE old_{table}")


def _generation_hash(*values: object) -> bytes:
    return make_generation_hash(values)


def _take_over_manifest(connection: sqlite3.Connection, path: Path) -> None:
    manifest = dict(connection.execute("SELECT key, value FROM manifest"))
    connection.execute("DELETE FROM manifest WHERE key IN ('embedder', 'splitter')")
    connection.execute("INSERT INTO manifest VALUES ('id', ?)", (json.dumps(uuid4().hex),))
    connection.execute(
        "INSERT INTO builds SELECT ?, ?, ?, ?, 'living', count(*) FROM old_documents "
        "WHERE died IS NULL",
        (_BUILD, manifest["embedder"], manifest["splitter"], datetime.now(UTC).isoformat()),
    )
    row = connection.execute(
        "SELECT json_extract(report, '$.sources') FROM old_generations "
        "WHERE json_extract(report, '$.sources') NOT NULL ORDER BY id DESC LIMIT 1"
    ).fetchone()
    sources = parsed(row[0], list, path, "generations.report") if row else []
    connection.executemany(
        "INSERT INTO sources VALUES (?, '[]', '[]')", [(source,) for source in set(sources)]
    )


def _take_over_documents(connection: sqlite3.Connection, path: Path) -> None:
    columns = [name for name in HASHED if name not in _MADE]
    documents = connection.execute(
        f"SELECT id, stale, died, {', '.join(columns)}, "  # noqa: S608 -- names of columns
        "(SELECT min(c.id) FROM old_chunks c WHERE c.document = d.id) AS first_chunk, "
        "(SELECT max(c.id) - min(c.id) + 1 FROM old_chunks c WHERE c.document = d.id), "
        "(SELECT count(*) FROM pages p WHERE p.document = d.id), "
        "(SELECT json_group_array(number) FROM (SELECT number FROM pages p "
        "WHERE p.document = d.id AND p.char_start = p.char_end ORDER BY number)) "
        "FROM old_documents d"
    ).fetchall()
    for row_id, stale, died, *values, first, reach, pages, blank in documents:
        document = dict(zip(columns, values, strict=True))
        if (reach or 0) != document["chunks"]:
            raise damaged(path, "chunks", f"those of {document['path']} are not all there")
        document |= {
            "build": _BUILD, "first_chunk": first or 1, "origin": "file", "pages": pages,
            "pages_without_text": json.dumps(json.loads(blank)),
        }  # fmt: skip
        row_hash = make_doc_hash([document[name] for name in HASHED])
        stored = {"id": row_id, "stale": stale, "died": died, **document}
        stored |= {"row_hash": row_hash, "life_hash": make_life_hash(row_hash, stale, died)}
        connection.execute(
            f"INSERT INTO documents ({','.join(stored)}) VALUES ({','.join('?' * len(stored))})",  # noqa: S608 -- names of columns
            tuple(stored.values()),
        )
        metadata = parsed(document["metadata"], dict, path, "documents.metadata")
        connection.executemany(
            "INSERT OR IGNORE INTO fields VALUES (?, ?, ?)",
            [(name, value, row_id) for name, value in scalars(metadata)],
        )
