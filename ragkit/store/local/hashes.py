"""Hashes over what an index serves, so that damage is told and never served; see docs/format.md."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ragkit.records import Page

DOCUMENT_BYTES = 16
CHUNK_BYTES = 12

HASHED = (
    "doc_id", "root", "path", "title", "kind", "encoding", "size_bytes", "mtime_ns", "file_sha256",
    "chars", "first_chunk", "chunks", "metadata", "origin", "born",
)  # fmt: skip
"""The columns of a document's row that its hash covers, in this order."""


def make_doc_hash(values: Sequence[object]) -> bytes:
    """The hash of a document's row, 16 bytes.

    Args:
        values: Of the columns `HASHED`, as they are stored.
    """
    return sha256(_joined(values)).digest()[:DOCUMENT_BYTES]


def make_row_hash(chunk_id: str, page: int | None, heading: str, pages: str) -> bytes:
    """The hash of a chunk's row, 12 bytes; by the chunk's id it covers document, place and text.

    Args:
        chunk_id: 32 hex digits.
        page: The page on which it starts.
        heading: The headings, JSON as it is stored.
        pages: The pages that it touches, as `pages_json` gives them.
    """
    return sha256(_joined((chunk_id, page, heading, pages))).digest()[:CHUNK_BYTES]


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
