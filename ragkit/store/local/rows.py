"""Rows as the catalog names them: their ids, which of them live, whose text they embed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.cache_entries import cache_checksum, has_cache_checksums
from ragkit.store.local.files import ROW_DTYPE, SegmentFiles

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors

ROW_MASK = (1 << 32) - 1


def vector_id(segment: int, row: int) -> int:
    """The id of a row in the catalog."""
    return segment << 32 | row


def segment_and_row(vector: int) -> tuple[int, int]:
    """The place that a vector id names."""
    return vector >> 32, vector & ROW_MASK


class LiveRows:
    """Changes to ``segments.alive``, gathered within a transaction and written by `flush`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._changed: dict[int, bytearray] = {}

    def clear(self) -> None:
        """Forget what was not flushed; call at the beginning of a transaction."""
        self._changed.clear()

    def set(self, vector: int, *, alive: bool) -> None:
        """Set or clear one row's bit."""
        segment, row = segment_and_row(vector)
        byte, mask = row >> 3, 1 << (row & 7)
        bits = self._changed.get(segment)
        if bits is None or byte >= len(bits):
            bits = self._bits(segment, byte + 1)
        bits[byte] = bits[byte] | mask if alive else bits[byte] & ~mask

    def set_all(self, vectors: Sequence[int], *, alive: bool) -> None:
        """Set or clear the bits of many rows."""
        ids = np.array(vectors, np.int64)
        for segment in np.unique(ids >> 32).tolist():
            rows = ids[ids >> 32 == segment] & ROW_MASK
            bits = self._bits(segment, (int(rows.max()) >> 3) + 1)
            flags = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
            flags[rows] = alive
            bits[:] = np.packbits(flags, bitorder="little").tobytes()

    def _bits(self, segment: int, size: int) -> bytearray:
        """The bits of a segment as they are to be, at least so many bytes."""
        bits = self._changed.get(segment)
        if bits is None:
            (stored,) = self._connection.execute(
                "SELECT alive FROM segments WHERE id = ?", (segment,)
            ).fetchone()
            bits = self._changed[segment] = bytearray(stored)
        bits.extend(bytes(max(0, size - len(bits))))
        return bits

    def flush(self) -> None:
        """Write the changed bits inside the transaction."""
        self._connection.executemany(
            "UPDATE segments SET alive = ? WHERE id = ?",
            [(bytes(bits), segment) for segment, bits in self._changed.items()],
        )
        self._changed.clear()


_KEYS_A_QUERY = 500  # SQLite takes 999 parameters, and more since 3.32


def find_cached(
    connection: sqlite3.Connection, keys: Sequence[bytes], *, has_checksums: bool = True
) -> dict[bytes, tuple[int, int, int | None]]:
    """The vector id of each cache key that is known, its checksum, and the chunk that owns it.

    An entry that is damaged counts as not known. Whoever may write has given all of them checksums.

    Many keys a statement: SQLite lets other threads run at each, and getting Python's lock back
    from one that parses a reply took longer than the look-up.
    """
    found: dict[bytes, tuple[int, int, int | None]] = {}
    stored = "c.crc32" if has_checksums else "NULL"
    for start in range(0, len(keys), _KEYS_A_QUERY):
        part = keys[start : start + _KEYS_A_QUERY]
        rows = connection.execute(
            f"SELECT c.key, {stored}, v.id, v.crc32, v.chunk FROM embedding_cache c "  # noqa: S608 -- only marks
            f"JOIN vectors v ON v.id = c.vector WHERE c.key IN ({','.join('?' * len(part))})",
            part,
        )
        found.update(
            (key, (vector, crc, owner))
            for key, checksum, vector, crc, owner in rows
            if checksum in (None, cache_checksum(key, vector))
        )
    return found


def find_pending(connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """The chunks that wait for vectors of these keys: each key with a chunk's row id, in order."""
    found: list[tuple[bytes, int]] = []
    for start in range(0, len(keys), _KEYS_A_QUERY):
        part = keys[start : start + _KEYS_A_QUERY]
        found += connection.execute(
            f"SELECT key, chunk FROM pending WHERE key IN ({','.join('?' * len(part))})",  # noqa: S608 -- only marks
            part,
        )
    return sorted(found, key=lambda entry: entry[1])


def cached_vectors(
    connection: sqlite3.Connection, path: Path, dim: int, keys: Sequence[bytes]
) -> dict[bytes, Vectors]:
    """The stored vectors of those keys that are known: float32, shape (dim,), unit length.

    A row that does not match its checksum counts as not known: its text is embedded again.
    """
    files = SegmentFiles(path / "vectors", dim)
    vectors = {}
    found = find_cached(connection, keys, has_checksums=has_cache_checksums(connection))
    for key, (vector, crc, _) in found.items():
        row = files.read_row(*segment_and_row(vector))
        if zlib.crc32(row) == crc:
            vectors[key] = np.frombuffer(row, ROW_DTYPE).astype(np.float32)
    return vectors
