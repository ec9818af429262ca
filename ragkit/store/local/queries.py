"""What is read from the catalog: complete hits, documents, runs, sizes.

What is served is checked by the hashes of its rows.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from ragkit.records import (
    Chunk,
    Document,
    DocumentInfo,
    Hit,
    Page,
    SourceRules,
    copy_fields,
    failed_pages,
    make_chunk_id,
    make_doc_id,
    reading_notes,
)
from ragkit.store.local.catalog import broken, parsed
from ragkit.store.local.hashes import HASHED, make_doc_hash, make_row_hash
from ragkit.store.local.history import account_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import SearchRequest
    from ragkit.records import Decision

_HITS = """
SELECT c.id, c.char_start, c.char_end, c.page, c.heading, c.text, c.row_hash,
       CASE WHEN c.page NOT NULL THEN (
           SELECT json_group_array(json_array(number, char_start, char_end)) FROM (
               SELECT p.number, p.char_start, p.char_end FROM pages p
               WHERE p.document = c.document AND p.char_start < min(p.char_end, c.char_end)
                 AND p.char_end > c.char_start ORDER BY p.number)) ELSE '[]' END,
       c.document
FROM json_each(?) j JOIN chunks c ON c.id = j.value
"""

_HASHED = (
    f"SELECT id, row_hash, {', '.join(HASHED)} FROM documents "  # noqa: S608 -- names of columns
    "WHERE id IN (SELECT value FROM json_each(?))"
)

_CHUNKS_AT = """
SELECT c.id FROM documents d
JOIN chunks c ON c.id >= d.first_chunk AND c.id < d.first_chunk + d.chunks
WHERE d.build = ?1 AND d.doc_id = ?2 AND d.died IS NULL AND c.char_start < ?3 AND c.char_end > ?4
ORDER BY c.id
"""

_NEIGHBOURS = """
SELECT n.id FROM documents d
JOIN chunks c ON c.id >= d.first_chunk AND c.id < d.first_chunk + d.chunks
    AND c.char_start = ?4 AND c.char_end = ?5
JOIN chunks n ON n.id >= max(d.first_chunk, c.id - ?6)
    AND n.id <= min(d.first_chunk + d.chunks - 1, c.id + ?6)
WHERE d.build = ?1 AND d.doc_id = ?2 AND d.file_sha256 = ?3 AND d.died IS NULL AND n.id != c.id
ORDER BY abs(n.id - c.id), n.id
"""

_DOCUMENTS = """
SELECT doc_id, root, path, title, kind, encoding, size_bytes, mtime_ns, file_sha256, chunks, stale,
       metadata,
       (SELECT count(*) FROM pages p WHERE p.document = d.id) AS pages,
       (SELECT json_group_array(number) FROM pages p
        WHERE p.document = d.id AND p.char_start = p.char_end) AS pages_without_text
FROM documents d
WHERE build = ?1 AND (?3 OR died IS NULL) AND (?2 IS NULL OR root = ?2) ORDER BY path, root
"""

_WAITING = """
SELECT p.chunk, p.key FROM pending p
JOIN chunks c ON c.id = p.chunk JOIN documents d ON d.id = c.document
WHERE d.build = ?1 AND p.chunk > ?2 ORDER BY p.chunk LIMIT ?3
"""

_RUNS = """
SELECT id, command, started_at, finished_at, state, report FROM generations ORDER BY id DESC
"""

_SIZES = """
SELECT (SELECT ifnull(max(id), 0) FROM generations WHERE build = ?1) AS generation,
       count(*) AS documents, ifnull(sum(chunks), 0) AS chunks, count(stale) AS stale,
       (SELECT ifnull(sum(rows), 0) FROM segments WHERE build = ?1) AS vectors,
       (SELECT count(*) FROM segments WHERE build = ?1) AS segments,
       CASE WHEN (SELECT count(*) FROM builds) = 1 THEN (SELECT count(*) FROM pending)
       ELSE (SELECT count(*) FROM pending p JOIN chunks c ON c.id = p.chunk
             JOIN documents d ON d.id = c.document WHERE d.build = ?1) END AS waiting
FROM documents WHERE build = ?1 AND died IS NULL
"""


def fetch_hits(connection: sqlite3.Connection, path: Path, chunks: Sequence[int]) -> dict[int, Hit]:
    """Read chunks by their row ids; ranks and scores are the caller's to fill in.

    Raises:
        IndexCorruptError: What would be served is not what its hashes say.
    """
    rows = connection.execute(_HITS, (json.dumps(list(chunks)),)).fetchall()
    if len(rows) != len(set(chunks)):
        raise broken(path, "vector-owner", "a row belongs to a chunk that does not exist")
    documents = _checked_documents(connection, path, {row[-1] for row in rows})
    return {row[0]: _hit(row, documents, path) for row in rows}


def _checked_documents(
    connection: sqlite3.Connection, path: Path, ids: set[int]
) -> dict[int, dict[str, Any]]:
    found = {}
    for row_id, stored, *values in connection.execute(_HASHED, (json.dumps(sorted(ids)),)):
        document = dict(zip(HASHED, values, strict=True))
        if make_doc_hash(values) != stored or not is_named_rightly(document):
            raise broken(path, "document-row", f"the row of {document['path']} was changed")
        found[row_id] = document
    if len(found) != len(ids):
        raise broken(path, "document-row", "a chunk belongs to a document that does not exist")
    return found


def is_named_rightly(document: Mapping[str, Any]) -> bool:
    """Whether a document's id is the hash of its root and path."""
    return bool(document["doc_id"] == make_doc_id(document["root"], document["path"]))


def _hit(row: tuple[Any, ...], documents: Mapping[int, Mapping[str, Any]], path: Path) -> Hit:
    row_id, start, end, page, heading, text, stored, pages, document = row
    d = documents[document]
    chunk_id = make_chunk_id(d["doc_id"], start, end, text)
    if make_row_hash(chunk_id, page, heading, pages) != stored:
        raise broken(path, "chunk-row", f"a chunk of {d['path']} was changed")
    if not d["first_chunk"] <= row_id < d["first_chunk"] + d["chunks"]:
        raise broken(path, "chunk-row", f"a chunk is not among those of {d['path']}")
    return Hit(
        rank=0, score=None, chunk_id=chunk_id, doc_id=d["doc_id"], root=d["root"], path=d["path"],
        title=d["title"], kind=d["kind"], heading=tuple(json.loads(heading)), page=page,
        start=start, end=end, text=text, file_sha256=d["file_sha256"],
        pages=tuple(Page(*place) for place in json.loads(pages)),
    )  # fmt: skip


def chunks_at(
    connection: sqlite3.Connection, build: int, doc_id: str, span: tuple[int, int]
) -> list[int]:
    """Row ids of the living chunks that touch a span of a document, in order."""
    start, end = span
    return [i for (i,) in connection.execute(_CHUNKS_AT, (build, doc_id, end, start))]


def neighbours(connection: sqlite3.Connection, build: int, hit: Hit, count: int) -> list[int]:
    """Row ids of the chunks within `count` places of a hit, the nearest first."""
    place = (build, hit.doc_id, hit.file_sha256, hit.start, hit.end, count)
    return [i for (i,) in connection.execute(_NEIGHBOURS, place)]


def waiting_chunks(
    connection: sqlite3.Connection, build: int, *, after: int, limit: int
) -> dict[int, bytes]:
    """Row ids of chunks above `after` that wait for a vector, in order, and what for."""
    return dict(connection.execute(_WAITING, (build, after, limit)))


def document_content(
    connection: sqlite3.Connection, path: Path, build: int, doc_id: str
) -> tuple[Document, list[Chunk]] | None:
    """See `ragkit.protocols.VectorStore.content`."""
    row = connection.execute(
        "SELECT id FROM documents WHERE build = ? AND doc_id = ? AND died IS NULL", (build, doc_id)
    ).fetchone()
    if row is None:
        return None
    d = _checked_documents(connection, path, {row[0]})[row[0]]
    places = connection.execute(
        "SELECT id, ordinal, tokens FROM chunks WHERE id >= ? AND id < ? ORDER BY id",
        (d["first_chunk"], d["first_chunk"] + d["chunks"]),
    ).fetchall()
    if len(places) != d["chunks"]:
        raise broken(path, "document-row", f"chunks of {d['path']} are not there")
    hits = fetch_hits(connection, path, [chunk for chunk, *_ in places])
    chunks = [
        copy_fields(hits[chunk], Chunk, ordinal=ordinal, tokens=tokens)
        for chunk, ordinal, tokens in places
    ]
    pages = connection.execute(
        "SELECT number, char_start, char_end FROM pages WHERE document = ? ORDER BY number", row
    )
    given = {f.name for f in fields(Document)} & d.keys()
    document = Document(
        text=_joined(chunks, d["chars"]),
        pages=tuple(Page(*place) for place in pages),
        metadata=parsed(d["metadata"], dict, path, "documents.metadata"),
        **{name: d[name] for name in given - {"metadata"}},
    )
    return document, chunks


def _joined(chunks: Sequence[Chunk], chars: int) -> str:
    """The texts of chunks at their places in a text of that length, with spaces between them."""
    parts, end = [], 0
    for chunk in chunks:
        if chunk.end > end:
            begin = max(end, chunk.start)
            parts += [" " * (begin - end), chunk.text[begin - chunk.start :]]
            end = chunk.end
    return "".join([*parts, " " * (chars - end)])


def filtered_documents(
    connection: sqlite3.Connection, build: int, request: SearchRequest
) -> list[tuple[int, int]]:
    """The chunks of the documents that a request may find, as ranges of row ids, half-open."""
    alive = (
        "died IS NULL" if request.as_of is None else "born <= ?2 AND (died IS NULL OR died > ?2)"
    )
    rows = connection.execute(
        f"SELECT first_chunk, chunks, path, kind FROM documents WHERE build = ?1 AND {alive} "  # noqa: S608 -- ours
        "ORDER BY first_chunk",
        (build, request.as_of) if request.as_of is not None else (build,),
    )
    paths = [re.compile(translate(glob)) for glob in request.filter.paths]
    kinds = set(request.filter.kinds)
    return [
        (first, first + chunks)
        for first, chunks, path, kind in rows
        if (not kinds or kind in kinds) and (not paths or any(p.match(path) for p in paths))
    ]


def stored_documents(
    connection: sqlite3.Connection, path: Path, build: int, *, root: str | None, ever: bool
) -> list[DocumentInfo]:
    """The documents by path; see `ragkit.protocols.VectorStore.documents`."""
    return [_info(row, path) for row in _rows(connection, _DOCUMENTS, build, root, ever)]


def _info(row: dict[str, Any], path: Path) -> DocumentInfo:
    metadata = parsed(row.pop("metadata"), dict, path, "documents.metadata")
    blank = parsed(row.pop("pages_without_text"), list, path, "pages")
    return DocumentInfo(
        **row,
        pages_without_text=tuple(blank),
        failed_pages=failed_pages(metadata),
        notes=reading_notes(metadata),
    )


def all_runs(connection: sqlite3.Connection, path: Path) -> list[dict[str, Any]]:
    """The generations, newest first; see `ragkit.protocols.VectorStore.runs`."""
    return [run | {"report": account_of(run["report"], path)} for run in _rows(connection, _RUNS)]


def asked_sources(connection: sqlite3.Connection) -> list[str]:
    """The folders and files that ingests were asked for, sorted."""
    return [path for (path,) in connection.execute("SELECT path FROM sources ORDER BY path")]


def read_rules(connection: sqlite3.Connection, path: Path) -> dict[str, SourceRules]:
    """Which files of each source count."""
    rows = connection.execute("SELECT path, include, exclude FROM sources ORDER BY path")
    return {
        source: SourceRules(
            tuple(parsed(include, list, path, "sources.include")),
            tuple(parsed(exclude, list, path, "sources.exclude")),
        )
        for source, include, exclude in rows
    }


def read_decisions(connection: sqlite3.Connection) -> dict[str, Decision]:
    """What was decided by hand, by location."""
    return dict(connection.execute("SELECT location, what FROM decisions ORDER BY location"))


def newest_generation(connection: sqlite3.Connection, build: int) -> int:
    """The newest generation of a build, 0 if nothing was ever written."""
    (newest,) = connection.execute(
        "SELECT ifnull(max(id), 0) FROM generations WHERE build = ?", (build,)
    ).fetchone()
    return int(newest)


def last_generation(connection: sqlite3.Connection) -> int:
    """The newest generation of all builds, 0 if nothing was ever written."""
    (newest,) = connection.execute("SELECT ifnull(max(id), 0) FROM generations").fetchone()
    return int(newest)


def read_commits(connection: sqlite3.Connection) -> int:
    """How many commits the index has seen."""
    (commits,) = connection.execute("SELECT commits FROM head").fetchone()
    return int(commits)


def sizes(connection: sqlite3.Connection, build: int) -> dict[str, int]:
    """The counts of `ragkit.protocols.StoreStats`, by their names there."""
    return _rows(connection, _SIZES, build)[0]


def _rows(
    connection: sqlite3.Connection, query: str, *values: str | int | None
) -> list[dict[str, Any]]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
