"""The entries of the embedding cache: a checksum over key and vector tells damage of either."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator


def cache_checksum(key: bytes, vector: int) -> int:
    """What tells whether a cache entry still names the vector that it was written with."""
    return zlib.crc32(vector.to_bytes(8, "little", signed=True), zlib.crc32(key))


def has_cache_checksums(connection: sqlite3.Connection) -> bool:
    """False for an index that was made without them and not written to since."""
    found = connection.execute(
        "SELECT 1 FROM pragma_table_info('embedding_cache') WHERE name = 'crc32'"
    )
    return found.fetchone() is not None


def add_cache_checksums(connection: sqlite3.Connection) -> None:
    """Give the entries of an older index checksums, as they are now, in one commit.

    Args:
        connection: A writer's, outside of a transaction.
    """
    if has_cache_checksums(connection):
        return
    connection.create_function("cache_checksum", 2, cache_checksum, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    if not has_cache_checksums(connection):  # no other process was first
        connection.execute(
            "ALTER TABLE embedding_cache ADD COLUMN crc32 INTEGER NOT NULL DEFAULT 0"
        )
        connection.execute("UPDATE embedding_cache SET crc32 = cache_checksum(key, vector)")
    connection.execute("COMMIT")


def wrong_entries(connection: sqlite3.Connection) -> Iterator[bytes]:
    """The keys of entries that are not what was written, or whose vector does not exist."""
    stored = "c.crc32" if has_cache_checksums(connection) else "NULL"
    entries = connection.execute(
        f"SELECT c.key, c.vector, {stored}, v.id FROM embedding_cache c "  # noqa: S608 -- ours
        "LEFT JOIN vectors v ON v.id = c.vector"
    )
    for key, vector, checksum, found in entries:
        if found is None or checksum not in (None, cache_checksum(key, vector)):
            yield key


def point_cache(connection: sqlite3.Connection, entries: Iterable[tuple[bytes, int]]) -> None:
    """Let cache entries name other vectors, given keys and vector ids, inside a transaction."""
    connection.executemany(
        "UPDATE embedding_cache SET vector = ?, crc32 = ? WHERE key = ?",
        [(vector, cache_checksum(key, vector), key) for key, vector in entries],
    )
