"""What is read from the catalog: complete hits, documents, runs, sizes.

What is served is checked by the hashes of its rows.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from ragkit import records
from ragkit.records import (
    MODIFIED,
    PROGRAM_ROOT,
    READING_FACTS,
    Hit,
    Page,
    SourceRules,
    copy_fields,
    failed_pages,
    make_chunk_id,
    member_count,
    read_from_picture,
    reading_facts,
    reading_notes,
    told_metadata,
)
from ragkit.store.local.catalog import broken, check_seal, damaged, parsed
from ragkit.store.local.hashes import HASHED, is_whole_document, make_row_hash
from ragkit.store.local.history import account_of, generation_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ragkit.records import Chunk, Decision, Document, DocumentInfo

_HITS = """
SELECT c.id, c.char_start, c.char_end, c.page, c.heading, c.text, c.row_hash,
       CASE WHEN c.page NOT NULL THEN (
           SELECT json_group_array(json_array(number, char_start, char_end)) FROM (
               SELECT p.number, p.char_start, p.char_end FROM pages p
               WHERE p.document = c.document AND p.char_start < min(p.char_end, c.char_end)
                 AND p.char_end > c.char_start ORDER BY p.number)) ELSE '[]' END,
       c.died, c.document
FROM json_each(?) j JOIN chunks c ON c.id = j.value
"""

DOCUMENT_COLUMNS = ("id", *HASHED, "row_hash", "stale", "died", "life_hash")
_ALIKE = ("root", "kind", "encoding", "origin")
_DOCUMENTS = f"SELECT {', '.join(DOCUMENT_COLUMNS)} FROM documents"  # noqa: S608 -- names of columns
_SERVED = f"{_DOCUMENTS} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608 -- as above
# NOT INDEXED: a damaged index would show a document as it was, or not at all.
_LIVING = f"{_DOCUMENTS} NOT INDEXED WHERE build = ? AND died IS NULL ORDER BY path, root"
_EVER = f"{_DOCUMENTS} WHERE build = ? ORDER BY path, root"

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

_MISSED = """
SELECT 1 FROM documents d NOT INDEXED
WHERE d.build = ? AND d.died IS NULL AND d.id IS NOT (
    SELECT e.id FROM documents e INDEXED BY documents_living
    WHERE e.build = d.build AND e.doc_id = d.doc_id AND e.died IS NULL)
LIMIT 1
"""

_WAITING = """
SELECT p.chunk, p.key FROM pending p
JOIN chunks c ON c.id = p.chunk JOIN documents d ON d.id = c.document
WHERE d.build = ?1 AND p.chunk > ?2 ORDER BY p.chunk LIMIT ?3
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


def fetch_hits(
    connection: sqlite3.Connection,
    path: Path,
    chunks: Sequence[int],
    *,
    as_of: int | None = None,
) -> dict[int, Hit]:
    """Read chunks by their row ids; ranks and scores are the caller's to fill in.

    Args:
        connection: To the catalog.
        path: The index folder.
        chunks: Row ids.
        as_of: The generation at which they are to be alive; None: now.

    Raises:
        IndexCorruptError: What would be served is not what its hashes say, or is not alive.
    """
    rows = connection.execute(_HITS, (json.dumps(list(chunks)),)).fetchall()
    if len(rows) != len(set(chunks)):
        raise broken(path, "vector-owner", "a row belongs to a chunk that does not exist")
    ids = sorted({row[-1] for row in rows})
    served = checked_documents(connection.execute(_SERVED, (json.dumps(ids),)), path)
    documents = {document["id"]: document for document in served}
    if len(documents) != len(ids):
        raise broken(path, "document-row", "a chunk belongs to a document that does not exist")
    for document in documents.values():
        if not _is_alive(document, as_of):
            raise broken(path, "alive-bits", f"a chunk of {document['path']} is not alive")
        metadata = parsed(document["metadata"], dict, path, "documents.metadata")
        document["metadata"] = told_metadata(metadata, document["origin"])
    return {row[0]: _hit(row, documents, path) for row in rows}


def _is_alive(document: Mapping[str, Any], as_of: int | None) -> bool:
    born, died = document["born"], document["died"]
    if as_of is None:
        return died is None
    return bool(born <= as_of and (died is None or died > as_of))


def checked_documents(rows: Iterable[Sequence[Any]], path: Path) -> Iterator[dict[str, Any]]:
    """Documents by their columns, each held against its hashes.

    Args:
        rows: Of the columns `DOCUMENT_COLUMNS`.
        path: The index folder.

    Raises:
        IndexCorruptError: A row is not what was written.
    """
    for row in rows:
        document = dict(zip(DOCUMENT_COLUMNS, row, strict=True))
        if not is_whole_document(document):
            raise broken(path, "document-row", f"the row of {document['path']} was changed")
        yield document


def _hit(row: tuple[Any, ...], documents: Mapping[int, Mapping[str, Any]], path: Path) -> Hit:
    row_id, start, end, page, heading, text, stored, pages, died, document = row
    d = documents[document]
    chunk_id = make_chunk_id(d["doc_id"], start, end, text)
    if make_row_hash(chunk_id, page, heading, pages) != stored or died != d["died"]:
        raise broken(path, "chunk-row", f"a chunk of {d['path']} was changed")
    if not d["first_chunk"] <= row_id < d["first_chunk"] + d["chunks"]:
        raise broken(path, "chunk-row", f"a chunk is not among those of {d['path']}")
    touched = tuple(Page(*place) for place in json.loads(pages))
    return Hit(
        rank=0, score=None, chunk_id=chunk_id, doc_id=d["doc_id"], root=d["root"], path=d["path"],
        title=d["title"], kind=d["kind"], heading=tuple(json.loads(heading)), page=page,
        start=start, end=end, text=text, file_sha256=d["file_sha256"],
        pages=touched, metadata=d["metadata"],
        from_picture=read_from_picture(d["metadata"], (place.number for place in touched)),
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
    (d,) = checked_documents(connection.execute(_SERVED, (json.dumps(row),)), path)
    places = connection.execute(
        "SELECT id, ordinal, tokens FROM chunks WHERE id >= ? AND id < ? ORDER BY id",
        (d["first_chunk"], d["first_chunk"] + d["chunks"]),
    ).fetchall()
    if [ordinal for _, ordinal, _ in places] != list(range(d["chunks"])):
        raise broken(path, "document-row", f"chunks of {d['path']} are not there")
    hits = fetch_hits(connection, path, [chunk for chunk, *_ in places])
    chunks = [
        copy_fields(hits[chunk], records.Chunk, ordinal=ordinal, tokens=tokens)
        for chunk, ordinal, tokens in places
    ]
    rows = connection.execute(
        "SELECT number, char_start, char_end FROM pages WHERE document = ? ORDER BY number", row
    )
    pages = tuple(Page(*place) for place in rows)
    given = {f.name for f in fields(records.Document)} & d.keys()
    document = records.Document(
        text=_joined(chunks, d["chars"]),
        pages=pages,
        metadata=parsed(d["metadata"], dict, path, "documents.metadata"),
        **{name: d[name] for name in given - {"metadata", "pages", "pages_without_text"}},
    )
    blank = json.dumps(document.pages_without_text)
    if (len(pages), blank) != (d["pages"], d["pages_without_text"]):
        raise broken(path, "document-row", f"pages of {d['path']} are not those that it had")
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


def are_living(connection: sqlite3.Connection, build: int, versions: Mapping[str, str]) -> bool:
    """Whether the living version of each document, by its id, is the one with this file hash."""
    living = (
        "SELECT 1 FROM documents "
        "WHERE build = ? AND doc_id = ? AND died IS NULL AND file_sha256 = ?"
    )
    found = (connection.execute(living, (build, *version)) for version in versions.items())
    return all(one.fetchone() is not None for one in found)


def stored_documents(
    connection: sqlite3.Connection, path: Path, build: int, *, ever: bool, whole_only: bool
) -> list[DocumentInfo]:
    """The documents by path; see `ragkit.protocols.VectorStore.documents`.

    Raises:
        IndexCorruptError: The row of one is not what was written, or one is missing; with
            `whole_only`, which leaves it out, only that of one that no file has.
    """
    rows = connection.execute(_EVER if ever else _LIVING, (build,))
    once: dict[Any, Any] = {}
    if whole_only:
        return [_info(document, path, once) for document in _whole_documents(rows, path)]
    found, living = [], 0
    for document in checked_documents(rows, path):
        living += document["died"] is None
        found.append(_info(document, path, once))
    (count,) = connection.execute("SELECT documents FROM builds WHERE id = ?", (build,)).fetchone()
    if living != count:
        raise broken(path, "document-row", f"{living} of {count} documents are there")
    return found


def _whole_documents(rows: Iterable[Sequence[Any]], path: Path) -> Iterator[dict[str, Any]]:
    for row in rows:
        document = dict(zip(DOCUMENT_COLUMNS, row, strict=True))
        if is_whole_document(document):
            yield document
        elif document["origin"] != "file" or document["root"] == PROGRAM_ROOT:
            where = f"the row of {document['path']}"
            raise damaged(path, where, "it was changed, and no file has this text")


@cache
def _info_columns() -> frozenset[str]:
    """The columns that a `DocumentInfo` has as they are."""
    made = {"metadata", "pages_without_text"}
    own = {f.name for f in fields(records.DocumentInfo)} & {*DOCUMENT_COLUMNS}
    return frozenset(own - made)


def _info(d: dict[str, Any], path: Path, once: dict[Any, Any]) -> DocumentInfo:
    """A document by its columns.

    Args:
        d: The columns.
        path: The index folder.
        once: What many documents have alike, such as the names of metadata: kept once for all.
    """
    metadata = parsed(d["metadata"], dict, path, "documents.metadata")
    blank = parsed(d["pages_without_text"], list, path, "documents.pages_without_text")
    told = told_metadata(metadata, d["origin"])
    shared = {name: d[name] for name in _info_columns()}
    for name in _ALIKE:
        shared[name] = once.setdefault(d[name], d[name])
    return records.DocumentInfo(
        **shared,
        **_reading_facts(metadata, d["origin"]),
        pages_without_text=tuple(blank),
        metadata={once.setdefault(name, name): value for name, value in told.items()},
    )


def _reading_facts(metadata: dict[str, Any], origin: str) -> dict[str, Any]:
    """What a file's metadata tell of its reading; a program's own mean something else."""
    if origin != "file":
        return {}
    return {
        "failed_pages": failed_pages(metadata),
        "notes": reading_notes(metadata),
        "members": member_count(metadata),
        "reading": reading_facts(metadata),
    }


def all_runs(connection: sqlite3.Connection, path: Path) -> list[dict[str, Any]]:
    """The generations, newest first; see `ragkit.protocols.VectorStore.runs`.

    Raises:
        IndexCorruptError: The row of one is not what was written.
    """
    return [
        run | {"report": account_of(run["report"], path)}
        for run in generation_rows(connection, path)
    ]


def asked_sources(connection: sqlite3.Connection, path: Path) -> list[str]:
    """The folders and files that ingests were asked for, sorted.

    Raises:
        IndexCorruptError: They are not those that were written.
    """
    check_seal(connection, path, "sources")
    return [source for (source,) in connection.execute("SELECT path FROM sources ORDER BY path")]


def check_living(connection: sqlite3.Connection, path: Path, build: int) -> None:
    """See that each living document is found by its id, before one is put in another's place.

    Raises:
        IndexCorruptError: SQLite's index is not that of its table.
    """
    if connection.execute(_MISSED, (build,)).fetchone():
        raise broken(path, "catalog", "the index documents_living is not that of its table")


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


def read_fields(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The names of the fields that documents tell of themselves, and `MODIFIED`, in order."""
    # From one name to the next by the key, instead of through all values of each.
    names = connection.execute(
        "WITH RECURSIVE names (name) AS (SELECT min(name) FROM fields UNION ALL SELECT "
        "(SELECT min(name) FROM fields WHERE name > names.name) FROM names WHERE name NOT NULL) "
        "SELECT name FROM names WHERE name NOT NULL"
    )
    found = {MODIFIED, *chain.from_iterable(names)}
    told = connection.execute(
        "SELECT DISTINCT name FROM fields WHERE name IN (SELECT value FROM json_each(?)) AND "
        "document IN (SELECT id FROM documents WHERE origin = 'program')",
        (json.dumps(sorted(found & READING_FACTS)),),
    )
    return tuple(sorted(found - READING_FACTS | {*chain.from_iterable(told)}))


def sizes(connection: sqlite3.Connection, build: int) -> dict[str, int]:
    """The counts of `ragkit.protocols.StoreStats`, by their names there."""
    cursor = connection.execute(_SIZES, (build,))
    return dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))
