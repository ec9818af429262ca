"""What is derived is made anew: bits, codes, keyword rows, fields, SQLite's own indexes.

The caller holds the writer's lock. Each part is one commit.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.cache_entries import wrong_entries
from ragkit.store.local.catalog import (
    KEYWORDS,
    Bulk,
    commit,
    end_log,
    keywords_table,
    scalars,
    translated,
)
from ragkit.store.local.check import check, wrong_fields
from ragkit.store.local.connections import connect
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.recover import recover_killed, remove_strays
from ragkit.store.local.vector_check import NEXT_RUN, REPAIR, owned_bits, wrong_codes
from ragkit.text.analysis import index_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ragkit.protocols import Violation

_BLOCK_ROWS = 4096  # encoded at a time


def repair(path: Path) -> list[Violation]:
    """Make anew what is derived and broken.

    Args:
        path: The index folder.

    Returns:
        What was broken and was made anew.

    Raises:
        IndexCorruptError: The damage lies deeper.
    """
    found = [one for one in check(path, keywords=True) if one.repair in {REPAIR, NEXT_RUN}]
    broken = {one.invariant for one in found}
    with closing(connect(path, write=True)) as connection, translated(path):
        mended = {name for name, mend in _MENDERS.items() if name in broken
                  and mend(connection, path)}  # fmt: skip
        recover_killed(connection, path)
        end_log(connection)
    return [one for one in found if one.invariant in mended]


def _mend_indexes(connection: sqlite3.Connection, path: Path) -> bool:
    """Make SQLite's indexes anew from their tables; False where these contradict themselves."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("REINDEX")
    except sqlite3.DatabaseError:
        connection.execute("ROLLBACK")  # the tables are damaged too: `check` goes on saying so
        return False
    commit(connection, path)
    return True


def _mend_bits(connection: sqlite3.Connection, path: Path) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    for segment, rows in connection.execute("SELECT id, rows FROM segments").fetchall():
        bits = owned_bits(connection, segment, rows)
        connection.execute("UPDATE segments SET alive = ? WHERE id = ?", (bits, segment))
    commit(connection, path)
    return True


def _mend_fields(connection: sqlite3.Connection, path: Path) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    for document, metadata in list(wrong_fields(connection)):
        connection.execute("DELETE FROM fields WHERE document = ?", (document,))
        connection.executemany(
            "INSERT OR IGNORE INTO fields VALUES (?, ?, ?)",
            [(name, value, document) for name, value in scalars(json.loads(metadata))],
        )
    connection.execute("DELETE FROM fields WHERE document NOT IN (SELECT id FROM documents)")
    commit(connection, path)
    return True


def _mend_keywords(connection: sqlite3.Connection, path: Path) -> bool:
    """Make each keyword index anew from the texts, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    builds = connection.execute("SELECT id FROM builds WHERE state != 'retired'").fetchall()
    for (build,) in builds:
        table = keywords_table(build)
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in KEYWORDS.format(table=table).split(";\n"):
            connection.execute(statement)
        bulk = Bulk(connection, f"{table} (rowid, heading, body)", columns=3, rows=1024)
        chunks = connection.execute(
            "SELECT c.id, c.heading, c.text FROM documents d "
            "JOIN chunks c ON c.id >= d.first_chunk AND c.id < d.first_chunk + d.chunks "
            "WHERE d.build = ? ORDER BY d.first_chunk, c.id",
            (build,),
        )
        for chunk, heading, text in chunks:
            bulk.add(chunk, index_text(" ".join(json.loads(heading))), index_text(text))
            if bulk.is_full:
                bulk.write()
        bulk.write()
    commit(connection, path)
    return True


def _mend_codes(connection: sqlite3.Connection, path: Path) -> bool:
    """Make damaged codes anew from the rows; lists are made of them by the next writer."""
    from ragkit.store.local.scan import RowEncoder

    connection.execute("BEGIN IMMEDIATE")
    cursor = connection.execute("SELECT * FROM segments WHERE centre NOT NULL")
    names = [column[0] for column in cursor.description]
    for segment in (dict(zip(names, row, strict=True)) for row in cursor.fetchall()):
        files = SegmentFiles(path / "vectors", segment["dim"])
        rows = files.open_rows(segment["id"], segment["rows"])
        if not any(wrong_codes(files, segment, rows)):
            continue
        encoder = RowEncoder(np.frombuffer(segment["centre"], "<f4"), segment["rotation"])
        checksum = 0
        for first in range(0, len(rows), _BLOCK_ROWS):
            codes = encoder.encode(rows.block(first, min(first + _BLOCK_ROWS, len(rows))))
            files.write_codes(segment["id"], first, codes)
            checksum = zlib.crc32(codes.data, checksum)
        files.lists_path(segment["id"]).unlink(missing_ok=True)
        connection.execute(
            "UPDATE segments SET codes_crc = ? WHERE id = ?", (checksum, segment["id"])
        )
    commit(connection, path)
    return True


def _mend_cache(connection: sqlite3.Connection, path: Path) -> bool:
    """Drop entries that were changed: their texts are embedded again when they come up."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "DELETE FROM embedding_cache WHERE key = ?",
        [(key,) for key in list(wrong_entries(connection))],
    )
    commit(connection, path)
    return True


def _mend_orphans(connection: sqlite3.Connection, path: Path) -> bool:
    remove_strays(connection, path)
    return True


_MENDERS: dict[str, Callable[[sqlite3.Connection, Path], bool]] = {
    "catalog": _mend_indexes,
    "alive-bits": _mend_bits,
    "fields": _mend_fields,
    "keywords": _mend_keywords,
    "codes": _mend_codes,
    "lists": _mend_codes,
    "cache-rows": _mend_cache,
    "orphans": _mend_orphans,
}
"""What each derived thing is made anew by, in the order in which they rest on one another."""
