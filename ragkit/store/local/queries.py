"""What is read from the catalog: complete hits, documents, runs, sizes.

A hit's text is checked by the hash that its chunk's id is.
"""

from __future__ import annotations

import json
import re
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from ragkit.records import DocumentInfo, Hit, Page, failed_pages, make_chunk_id, reading_notes
from ragkit.store.local.catalog import broken

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.protocols import SearchRequest

_HITS = """
SELECT c.id, c.chunk_id, c.char_start, c.char_end, c.page, c.heading, c.text,
       CASE WHEN c.page NOT NULL THEN (
           SELECT json_group_array(json_array(p.number, p.char_start, p.char_end)) FROM pages p
           WHERE p.document = c.document AND p.number >= c.page
             AND p.char_start < min(p.char_end, c.char_end) AND p.char_end > c.char_start) END,
       d.doc_id, d.root, d.path, d.title, d.kind, d.file_sha256
FROM json_each(?) j JOIN chunks c ON c.id = j.value JOIN documents d ON d.id = c.document
"""

_CHUNKS_AT = """
SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document
WHERE d.doc_id = ? AND d.died IS NULL AND c.died IS NULL AND c.char_start < ? AND c.char_end > ?
ORDER BY c.ordinal
"""

_NEIGHBOURS = """
SELECT n.id FROM documents d
JOIN chunks c ON c.document = d.id AND c.char_start = ?3 AND c.char_end = ?4
JOIN chunks n ON n.document = d.id AND n.ordinal BETWEEN c.ordinal - ?5 AND c.ordinal + ?5
WHERE d.doc_id = ?1 AND d.file_sha256 = ?2 AND d.died IS NULL AND n.id != c.id
ORDER BY abs(n.ordinal - c.ordinal), n.ordinal
"""

_DOCUMENTS = """
SELECT doc_id, root, path, title, kind, encoding, size_bytes, mtime_ns, file_sha256, chunks, stale,
       metadata,
       (SELECT count(*) FROM pages p WHERE p.document = d.id) AS pages,
       (SELECT json_group_array(number) FROM pages p
        WHERE p.document = d.id AND p.char_start = p.char_end) AS pages_without_text
FROM documents d WHERE died IS NULL AND (?1 IS NULL OR root = ?1) ORDER BY path, root
"""

_RUNS = """
SELECT id, command, started_at, finished_at, state, report FROM generations ORDER BY id DESC
"""

_SOURCES = """
SELECT json_extract(report, '$.sources') FROM generations
WHERE json_extract(report, '$.sources') NOT NULL ORDER BY id DESC LIMIT 1
"""

_SIZES = """
SELECT (SELECT ifnull(max(id), 0) FROM generations) AS generation,
       count(*) AS documents, ifnull(sum(chunks), 0) AS chunks, count(stale) AS stale,
       (SELECT ifnull(sum(rows), 0) FROM segments) AS vectors,
       (SELECT count(*) FROM segments) AS segments
FROM documents WHERE died IS NULL
"""


def fetch_hits(connection: sqlite3.Connection, path: Path, chunks: Sequence[int]) -> dict[int, Hit]:
    """Read chunks by their row ids; ranks and scores are the caller's to fill in.

    Raises:
        IndexCorruptError: A chunk's text is not what its id says.
    """
    rows = connection.execute(_HITS, (json.dumps(list(chunks)),))
    hits = {row[0]: _hit(row, path) for row in rows}
    if len(hits) != len(chunks):
        raise broken(path, "vector-owner", "a row belongs to a chunk that does not exist")
    return hits


def _hit(row: tuple[Any, ...], path: Path) -> Hit:
    _, stored_id, start, end, page, heading, text, pages, doc_id, *document = row
    root, relative, title, kind, file_sha256 = document
    chunk_id = make_chunk_id(doc_id, start, end, text)
    if chunk_id != stored_id.hex():
        raise broken(path, "chunk-text", f"a chunk of {relative} is not what its id names")
    return Hit(
        rank=0, score=None, chunk_id=chunk_id, doc_id=doc_id, root=root, path=relative,
        title=title, kind=kind, heading=tuple(json.loads(heading)), page=page, start=start,
        end=end, text=text, file_sha256=file_sha256,
        pages=tuple(Page(*place) for place in json.loads(pages or "[]")),
    )  # fmt: skip


def chunks_at(connection: sqlite3.Connection, doc_id: str, start: int, end: int) -> list[int]:
    """Row ids of the living chunks that touch a range of a document, in order."""
    return [i for (i,) in connection.execute(_CHUNKS_AT, (doc_id, end, start))]


def neighbours(connection: sqlite3.Connection, hit: Hit, count: int) -> list[int]:
    """Row ids of the chunks within `count` places of a hit, the nearest first."""
    place = (hit.doc_id, hit.file_sha256, hit.start, hit.end, count)
    return [i for (i,) in connection.execute(_NEIGHBOURS, place)]


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


def living_documents(connection: sqlite3.Connection, root: str | None) -> list[DocumentInfo]:
    """The documents of the newest commit by path, of one root or of all."""
    return [_info(row) for row in _rows(connection, _DOCUMENTS, root)]


def _info(row: dict[str, Any]) -> DocumentInfo:
    metadata = json.loads(row.pop("metadata"))
    row["pages_without_text"] = tuple(json.loads(row["pages_without_text"]))
    return DocumentInfo(**row, failed_pages=failed_pages(metadata), notes=reading_notes(metadata))


def all_runs(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """The generations, newest first; see `ragkit.protocols.VectorStore.runs`."""
    runs = _rows(connection, _RUNS)
    return [run | {"report": json.loads(run["report"] or "null")} for run in runs]


def newest_sources(connection: sqlite3.Connection) -> list[str]:
    """What the newest account with sources names; nothing before the first."""
    row = connection.execute(_SOURCES).fetchone()
    return json.loads(row[0]) if row else []


def newest_generation(connection: sqlite3.Connection) -> int:
    """The newest generation, 0 if nothing was ever written."""
    (newest,) = connection.execute("SELECT ifnull(max(id), 0) FROM generations").fetchone()
    return int(newest)


def sizes(connection: sqlite3.Connection) -> dict[str, int]:
    """The counts of `ragkit.protocols.StoreStats`, by their names there."""
    return _rows(connection, _SIZES)[0]


def _rows(
    connection: sqlite3.Connection, query: str, *values: str | int | None
) -> list[dict[str, Any]]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
