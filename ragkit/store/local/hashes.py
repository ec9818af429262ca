"""Hashes over what an index serves, so that damage is told and never served; see docs/format.md."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ragkit.records import make_doc_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ragkit.records import Page

ROW_BYTES = 16
CHUNK_BYTES = 12
LIFE_BYTES = 8

HASHED = (
    "build", "doc_id", "root", "path", "title", "kind", "encoding", "size_bytes", "mtime_ns",
    "file_sha256", "chars", "first_chunk", "chunks", "pages", "pages_without_text", "metadata",
    "origin", "born",
)  # fmt: skip
"""The columns of a document's row that `row_hash` covers, in this order."""

GENERATION = ("id", "build", "command", "started_at", "finished_at", "state", "report")
"""The columns of a generation that its hash covers, in this order."""


def make_doc_hash(values: Sequence[object]) -> bytes:
    """The hash of what never changes in a document's row, 16 bytes.

    Args:
        values: Of the columns `HASHED`, as they are stored.
    """
    return sha256(_joined(values)).digest()[:ROW_BYTES]


def make_life_hash(row_hash: bytes, stale: str | None, died: int | None) -> bytes:
    """The hash of what changes in a document's row, 8 bytes."""
    return sha256(_joined((row_hash.hex(), stale, died))).digest()[:LIFE_BYTES]


def is_whole_document(row: Mapping[str, Any]) -> bool:
    """Whether a document's row is what its hashes say, and its id that of root and path."""
    row_hash = row["row_hash"]
    return bool(
        isinstance(row_hash, bytes)
        and make_doc_hash([row[name] for name in HASHED]) == row_hash
        and make_life_hash(row_hash, row["stale"], row["died"]) == row["life_hash"]
        and make_doc_id(row["root"], row["path"]) == row["doc_id"]
    )


def make_generation_hash(values: Sequence[object]) -> bytes:
    """The hash of a generation's row, 16 bytes.

    Args:
        values: Of the columns `GENERATION`, as they are stored.
    """
    return sha256(_joined(values)).digest()[:ROW_BYTES]


def make_seal(rows: Iterable[Sequence[object]]) -> bytes:
    """The hash of a whole table, 16 bytes.

    Args:
        rows: All its values, ordered by the first column.
    """
    made = sha256()
    for row in rows:
        made.update(_joined(row) + b"\0")
    return made.digest()[:ROW_BYTES]


def make_row_hash(chunk_id: str, page: int | None, heading: str, pages: str) -> bytes:
    """The hash of a chunk's row, 12 bytes; by the chunk's id it covers document, place and text.

    Args:
        chunk_id: 32 hex digits.
        page: The page on which it starts.
        heading: The headings, JSON as it is stored.
        pages: The pages that it touches, as `pages_json` gives them.
    """
    number = "" if page is None else str(page)
    return sha256(f"{chunk_id}\0{number}\0{heading}\0{pages}".encode()).digest()[:CHUNK_BYTES]


def pages_json(pages: Iterable[Page], start: int, end: int) -> str:
    """The pages of a document that a range of its text touches: ``[[number,start,end],...]``.

    An empty page touches nothing.
    """
    touched = [
        [page.number, page.start, page.end]
        for page in pages
        if page.start < min(page.end, end) and page.end > start
    ]
    return json.dumps(touched, separators=(",", ":"))


def _joined(values: Sequence[object]) -> bytes:
    return "\0".join("" if value is None else str(value) for value in values).encode()
