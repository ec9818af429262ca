"""What a moved document takes with it: read from the catalog as records of its new place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ragkit.records import Chunk, Document, Page, make_chunk_id, make_doc_id
from ragkit.store.local.catalog import parsed
from ragkit.store.relocation import moved_place

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_DOCUMENT = (
    "SELECT path, title, kind, file_sha256, size_bytes, mtime_ns, encoding, metadata, chars, "
    "stale, first_chunk, chunks FROM documents WHERE id = ?"
)
_CHUNKS = (
    "SELECT c.ordinal, c.char_start, c.char_end, c.text, c.heading, c.page, c.tokens, c.vector, "
    "p.key FROM chunks c LEFT JOIN pending p ON p.chunk = c.id "
    "WHERE c.id >= ? AND c.id < ? ORDER BY c.id"
)


@dataclass(frozen=True, slots=True)
class MovedDocument:
    """A document at its new place.

    Attributes:
        document: Without its text, which is not stored as a whole.
        chars: The length of its text.
        stale: Why it is, or None.
        chunks: In order.
        vectors: Of each chunk the vector at the old place, None where it has none yet.
        keys: Of each chunk the cache key that it waits for, or None.
    """

    document: Document
    chars: int
    stale: str | None
    chunks: list[Chunk]
    vectors: list[int | None]
    keys: list[bytes | None]


def living_below(
    connection: sqlite3.Connection, build: int, move: tuple[str, str]
) -> list[tuple[int, str, tuple[str, str]]]:
    """The living documents that a move concerns: row id, document id, new root and path."""
    old, new = move
    rows = connection.execute(
        "SELECT id, doc_id, root, path FROM documents WHERE build = ? AND died IS NULL "
        "ORDER BY first_chunk",
        (build,),
    ).fetchall()
    roots = {root for *_, root, _ in rows}
    places = (
        (row_id, doc_id, moved_place((root, path), old, new, roots=roots))
        for row_id, doc_id, root, path in rows
    )
    return [(row_id, doc_id, place) for row_id, doc_id, place in places if place is not None]


def read_moved(
    connection: sqlite3.Connection, path: Path, row_id: int, place: tuple[str, str]
) -> MovedDocument:
    """Read a document as it is at its new place.

    Args:
        connection: The writer's.
        path: The index folder.
        row_id: The document's row.
        place: Its new root and path.
    """
    root, there = place
    row = connection.execute(_DOCUMENT, (row_id,)).fetchone()
    before, title, kind, sha256, size, mtime, encoding, metadata, chars, stale, first, count = row
    pages = connection.execute(
        "SELECT number, char_start, char_end FROM pages WHERE document = ? ORDER BY number",
        (row_id,),
    )
    if title == PurePosixPath(before).stem:  # it is named after its file, which may be renamed
        title = PurePosixPath(there).stem
    document = Document(
        make_doc_id(root, there), root, there, title, kind, "", sha256, size, mtime, encoding,
        tuple(Page(*page) for page in pages), parsed(metadata, dict, path, "documents.metadata"),
    )  # fmt: skip
    chunks, vectors, keys = [], [], []
    for ordinal, start, end, text, heading, page, tokens, vector, key in connection.execute(
        _CHUNKS, (first, first + count)
    ).fetchall():
        chunk_id = make_chunk_id(document.doc_id, start, end, text)
        headings = tuple(json.loads(heading))
        chunks.append(
            Chunk(chunk_id, document.doc_id, ordinal, start, end, text, headings, page, tokens)
        )
        vectors.append(vector)
        keys.append(key)
    return MovedDocument(document, chars, stale, chunks, vectors, keys)
