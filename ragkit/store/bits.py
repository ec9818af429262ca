"""Which rows of a segment belong to living chunks, as one bit a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

ROW_MASK = (1 << 32) - 1


def vector_id(segment: int, row: int) -> int:
    """The id of a row in the catalog."""
    return segment << 32 | row


def segment_and_row(vector: int) -> tuple[int, int]:
    """The place that a vector id names."""
    return vector >> 32, vector & ROW_MASK


class AliveBits:
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
        bits = self._changed.get(segment)
        if bits is None:
            (stored,) = self._connection.execute(
                "SELECT alive FROM segments WHERE id = ?", (segment,)
            ).fetchone()
            bits = self._changed[segment] = bytearray(stored)
        byte, mask = row >> 3, 1 << (row & 7)
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits)))
        bits[byte] = bits[byte] | mask if alive else bits[byte] & ~mask

    def flush(self) -> None:
        """Write the changed bits inside the transaction."""
        self._connection.executemany(
            "UPDATE segments SET alive = ? WHERE id = ?",
            [(bytes(bits), segment) for segment, bits in self._changed.items()],
        )
        self._changed.clear()
