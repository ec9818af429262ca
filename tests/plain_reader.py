"""A reader of the disk format written from docs/format.md alone: sqlite3 and NumPy, no ragkit."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class PlainChunk:
    """A living chunk: its text and the bytes of its row, none while it waits for its vector."""

    text: str
    row: bytes


def read_living(index: Path, as_of: int | None = None) -> dict[str, list[PlainChunk]]:
    """The living documents of an index: path to chunks in order."""
    at = 1 << 60 if as_of is None else as_of
    alive = "x.born <= ?1 AND (x.died IS NULL OR x.died > ?1)"
    with closing(sqlite3.connect(index / "catalog.db")) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        living = "" if version == 1 else "x.build = (SELECT build FROM head) AND "
        documents = connection.execute(
            f"SELECT id, path FROM documents x WHERE {living}{alive} ORDER BY path",  # noqa: S608 -- ours
            (at,),
        ).fetchall()
        chunks = connection.execute(
            "SELECT x.document, x.text, x.vector, s.dim FROM chunks x "  # noqa: S608 -- ours
            f"LEFT JOIN segments s ON s.id = x.vector >> 32 WHERE {alive} "
            "ORDER BY x.document, x.ordinal",
            (at,),
        ).fetchall()
    found: dict[int, list[PlainChunk]] = {}
    files: dict[int, bytes] = {}
    for document, text, vector, dim in chunks:
        if vector is None:
            found.setdefault(document, []).append(PlainChunk(text, b""))
            continue
        segment, row = vector >> 32, vector & 0xFFFFFFFF
        if segment not in files:
            files[segment] = (index / "vectors" / f"{segment:08d}.f16").read_bytes()
        raw = files[segment][row * 2 * dim : (row + 1) * 2 * dim]
        found.setdefault(document, []).append(PlainChunk(text, raw))
    return {path: found.get(row_id, []) for row_id, path in documents}


def edit(index: Path, statement: str, *values: object) -> None:
    """Change the catalog behind ragkit's back."""
    with closing(sqlite3.connect(index / "catalog.db")) as connection, connection:
        connection.execute(statement, values)
