"""Complete hits from the catalog: text, place and document of a chunk, its hash checked."""

from __future__ import annotations

import hashlib
import json
import re
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from ragkit.errors import IndexCorruptError
from ragkit.records import Hit, Page

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.protocols import SearchRequest

_QUERY = """
SELECT c.id, c.chunk_id, c.char_start, c.char_end, c.page, c.heading, c.text,
       CASE WHEN c.page NOT NULL THEN (
           SELECT json_group_array(json_array(p.number, p.char_start, p.char_end)) FROM pages p
           WHERE p.document = c.document AND p.number >= c.page
             AND p.char_start < min(p.char_end, c.char_end) AND p.char_end > c.char_start) END,
       d.doc_id, d.root, d.path, d.title, d.kind, d.file_sha256
FROM json_each(?) j JOIN chunks c ON c.id = j.value JOIN documents d ON d.id = c.document
"""


def chunk_hash(doc_id: str, start: int, end: int, text: str) -> str:
    """The id of a chunk, 32 hex digits; docs/format.md defines it."""
    named = f"{doc_id}\0{start}\0{end}\0{text}".encode()
    return hashlib.sha256(named).hexdigest()[:32]


def fetch_hits(connection: sqlite3.Connection, path: Path, chunks: Sequence[int]) -> dict[int, Hit]:
    """Read chunks by their row ids; ranks and scores are the caller's to fill in.

    Raises:
        IndexCorruptError: A chunk's text is not what its id says.
    """
    rows = connection.execute(_QUERY, (json.dumps(list(chunks)),))
    hits = {row[0]: _hit(row, path) for row in rows}
    if len(hits) != len(chunks):
        msg = (
            f"{path}: invariant vector-owner is broken: a row belongs to a chunk that does not "
            "exist; build it anew with `ragkit rebuild`"
        )
        raise IndexCorruptError(msg, path)
    return hits


def _hit(row: tuple[Any, ...], path: Path) -> Hit:
    _, stored_id, start, end, page, heading, text, pages, doc_id, *document = row
    root, relative, title, kind, file_sha256 = document
    chunk_id = chunk_hash(doc_id, start, end, text)
    if chunk_id != stored_id.hex():
        msg = (
            f"{path}: invariant chunk-text is broken for a chunk of {relative}; "
            "build it anew with `ragkit rebuild`"
        )
        raise IndexCorruptError(msg, path)
    return Hit(
        rank=0, score=None, chunk_id=chunk_id, doc_id=doc_id, root=root, path=relative,
        title=title, kind=kind, heading=tuple(json.loads(heading)), page=page, start=start,
        end=end, text=text, file_sha256=file_sha256,
        pages=tuple(Page(*place) for place in json.loads(pages or "[]")),
    )  # fmt: skip


def filtered_documents(connection: sqlite3.Connection, request: SearchRequest) -> list[int]:
    """Row ids of the documents alive at the request's generation that pass its filter."""
    if request.as_of is None:
        rows = connection.execute("SELECT id, path, kind FROM documents WHERE died IS NULL")
    else:
        rows = connection.execute(
            "SELECT id, path, kind FROM documents WHERE born <= ?1 AND (died IS NULL OR died > ?1)",
            (request.as_of,),
        )
    paths = [re.compile(translate(glob)) for glob in request.filter.paths]
    kinds = set(request.filter.kinds)
    return [
        row_id
        for row_id, path, kind in rows
        if (not kinds or kind in kinds) and (not paths or any(p.match(path) for p in paths))
    ]
