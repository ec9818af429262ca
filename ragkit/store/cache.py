"""The embedding cache of an index: which texts were embedded, and where their vectors lie."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.bits import segment_and_row
from ragkit.store.files import ROW_DTYPE, SegmentFiles

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors

_KEYS_A_QUERY = 500  # SQLite takes 999 parameters, and more since 3.32


def find_cached(
    connection: sqlite3.Connection, keys: Sequence[bytes]
) -> dict[bytes, tuple[int, int, int | None]]:
    """The vector id of each cache key that is known, its checksum, and the chunk that owns it.

    Many keys a statement: SQLite lets other threads run at each, and getting Python's lock back
    from one that parses a reply took longer than the look-up.
    """
    found: dict[bytes, tuple[int, int, int | None]] = {}
    for start in range(0, len(keys), _KEYS_A_QUERY):
        part = keys[start : start + _KEYS_A_QUERY]
        rows = connection.execute(
            "SELECT c.key, v.id, v.crc32, v.chunk FROM embedding_cache c "  # noqa: S608 -- only marks
            f"JOIN vectors v ON v.id = c.vector WHERE c.key IN ({','.join('?' * len(part))})",
            part,
        )
        found.update((key, (vector, crc, owner)) for key, vector, crc, owner in rows)
    return found


def cached_vectors(
    connection: sqlite3.Connection, path: Path, dim: int, keys: Sequence[bytes]
) -> dict[bytes, Vectors]:
    """The stored vectors of those keys that are known: float32, shape (dim,), unit length.

    A row that does not match its checksum counts as not known: its text is embedded again.
    """
    files = SegmentFiles(path / "vectors", dim)
    vectors = {}
    for key, (vector, crc, _) in find_cached(connection, keys).items():
        row = files.read_row(*segment_and_row(vector))
        if zlib.crc32(row) == crc:
            vectors[key] = np.frombuffer(row, ROW_DTYPE).astype(np.float32)
    return vectors
