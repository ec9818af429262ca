"""Is an index right? Each invariant of docs/format.md by its name.

Reads only, in one read transaction, a few thousand rows at a time. An index that a writer has
left in the middle of a commit is right: what was never committed is no part of it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlite_utils import Database

from ragkit.errors import FormatVersionError, IndexCorruptError
from ragkit.protocols import Violation
from ragkit.records import make_chunk_id
from ragkit.store.local.catalog import TABLES, keywords_table, reading, scalars, translated
from ragkit.store.local.connections import connect
from ragkit.store.local.disk import MissingRowsError, read_counter
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.hashes import HASHED, make_doc_hash, make_row_hash
from ragkit.store.local.queries import is_named_rightly
from ragkit.store.local.rows import ROW_MASK, vector_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors

INDEX_AGAIN = "make a new index under another name: `ragkit index FOLDER --index NAME`"
REBUILD = "`ragkit rebuild`"
NEXT_WRITE = "the next `ragkit index` removes it"

_SHOWN = 3  # places that a violation names
_BLOCK_ROWS = 4096
_FACTOR_BYTES = 8  # two float32 behind a code's sign bits
_FACTOR_TOLERANCE = 1e-3  # other processors and FAISS releases round otherwise


def check(path: Path, *, quick: bool = False) -> list[Violation]:
    """Verify an index.

    Args:
        path: The index folder.
        quick: Verify only that the catalog is whole, its version known, each segment's file there,
            and no document there twice. Else every invariant, which reads the whole index.

    Returns:
        What is broken, at most one violation for each invariant and segment; empty: all is right.

    Raises:
        IndexNotFoundError: There is no index.
    """
    seen = read_counter(path)  # before the catalog, which may go on meanwhile
    try:
        connection = connect(path)
    except FormatVersionError as exc:
        return [Violation("version", "must", str(exc), "install a newer ragkit")]
    except IndexCorruptError as exc:
        return [Violation("catalog", "must", str(exc), INDEX_AGAIN)]
    try:
        with translated(path), reading(connection):
            database = Database(connection, execute_plugins=False, recursive_triggers=False)
            if lacking := _lacking(database):
                return [Violation("catalog", "must", f"it lacks the {lacking}", INDEX_AGAIN)]
            found = [*_catalog(database, quick=quick), *_commits(database, seen)]
            for one in _QUICK_CHECKS if quick else (*_QUICK_CHECKS, *_CATALOG_CHECKS):
                found += _told(one, database)
            return [*found, *_vector_files(database, path / "vectors", full=not quick)]
    except IndexCorruptError as exc:
        return [Violation("catalog", "must", str(exc), INDEX_AGAIN)]
    finally:
        connection.close()


def _told(
    check_one: Callable[[Database], Iterator[Violation]], database: Database
) -> list[Violation]:
    """What a check finds; values that it cannot even compute with are damage too."""
    try:
        return [*check_one(database)]
    except (TypeError, ValueError, KeyError) as exc:
        what = check_one.__name__.strip("_").replace("_", "-")
        return [Violation("catalog", "must", f"{what}: a value has no sense: {exc}", INDEX_AGAIN)]


def _lacking(database: Database) -> str:
    """The first table or column of the format that is not there; "" if all are."""
    with closing(sqlite3.connect(":memory:")) as connection:
        whole = Database(connection)
        whole.executescript(TABLES)
        for table in whole.tables:
            if not database[table.name].exists():
                return f"table {table.name}"
            there = database[table.name].columns_dict
            for column in table.columns_dict:
                if column not in there:
                    return f"column {table.name}.{column}"
    return ""


def _catalog(database: Database, *, quick: bool) -> Iterator[Violation]:
    query = "PRAGMA quick_check" if quick else "PRAGMA integrity_check"
    verdict = [str(value) for row in database.query(query) for value in row.values()]
    if verdict != ["ok"]:
        yield Violation("catalog", "must", f"SQLite: {'; '.join(verdict[:_SHOWN])}", INDEX_AGAIN)


def _commits(database: Database, seen: int) -> Iterator[Violation]:
    (head,) = database.query("SELECT commits FROM head")
    if not isinstance(head["commits"], int) or seen > head["commits"]:
        detail = f"{seen} were made and the catalog knows {head['commits']}: its log was damaged"
        yield Violation("commits", "must", detail, "`ragkit index`, which finds what is missing")


def _builds(database: Database) -> Iterator[Violation]:
    living = [row["id"] for row in database.query("SELECT id FROM builds WHERE state = 'living'")]
    (head,) = database.query("SELECT build FROM head")
    if living != [head["build"]]:
        detail = f"build {head['build']} is named, and {living} live"
        yield Violation("one-build", "must", detail, INDEX_AGAIN)
    for row in database.query("SELECT id, embedder, splitter FROM builds WHERE state != 'retired'"):
        for name in ("embedder", "splitter"):
            if row[name] is not None and not isinstance(json.loads(row[name]), dict):
                raise ValueError(f"builds.{name} of {row['id']}")  # noqa: EM102 -- told by `_told`
        if not database[keywords_table(row["id"])].exists():
            detail = f"build {row['id']} has no keyword index"
            yield Violation("keywords", "should", detail, REBUILD)


def _documents(database: Database) -> Iterator[Violation]:
    names = ", ".join(HASHED)
    rows = database.query(f"SELECT id AS place, row_hash, {names} FROM documents")  # noqa: S608 -- names of columns
    wrong = (
        row for row in rows
        if make_doc_hash([row[name] for name in HASHED]) != row["row_hash"]
        or not is_named_rightly(row)
    )  # fmt: skip
    yield from _listed("document-row", "documents whose row was changed", wrong)
    yield from _listed("document-row", "documents whose chunks are not all there", database.query(
        "SELECT d.id AS place FROM documents d WHERE d.chunks != (SELECT count(*) FROM chunks c "
        "WHERE c.id >= d.first_chunk AND c.id < d.first_chunk + d.chunks AND c.document = d.id)"
    ))  # fmt: skip


def _fields(database: Database) -> Iterator[Violation]:
    """The index of metadata, made again from the metadata themselves."""
    for document in database.query("SELECT id, metadata FROM documents"):
        made = set(scalars(json.loads(document["metadata"])))
        stored = {
            (row["name"], row["value"])
            for row in database.query(
                "SELECT name, value FROM fields WHERE document = ?", (document["id"],)
            )
        }
        if made != stored:
            detail = f"those of document {document['id']} are not its metadata"
            yield Violation("fields", "should", detail, REBUILD)
            return


def _one_version(database: Database) -> Iterator[Violation]:
    # NOT INDEXED: the index that should prevent this must not hide it.
    yield from _listed("one-version", "documents that live twice", database.query(
        "SELECT doc_id AS place FROM documents NOT INDEXED WHERE died IS NULL "
        "GROUP BY build, doc_id HAVING count(*) > 1"
    ))  # fmt: skip


def _rows_exist(database: Database) -> Iterator[Violation]:
    yield from _listed("rows-exist", "rows of segments that do not exist", database.query(
        "SELECT id AS place FROM vectors WHERE id >> 32 NOT IN (SELECT id FROM segments)"
    ))  # fmt: skip


def _vector_owner(database: Database) -> Iterator[Violation]:
    yield from _listed("vector-owner", "chunks whose row is not theirs", database.query(
        "SELECT c.id AS place FROM chunks c LEFT JOIN vectors v ON v.id = c.vector "
        "WHERE c.vector NOT NULL AND v.chunk IS NOT c.id"
    ))  # fmt: skip
    yield from _listed("vector-owner", "rows whose chunk is not theirs", database.query(
        "SELECT v.id AS place FROM vectors v LEFT JOIN chunks c ON c.id = v.chunk "
        "WHERE v.chunk IS NOT NULL AND c.vector IS NOT v.id"
    ))  # fmt: skip
    yield from _listed("vector-owner", "chunks whose row is of another build", database.query(
        "SELECT c.id AS place FROM chunks c JOIN documents d ON d.id = c.document "
        "JOIN segments s ON s.id = c.vector >> 32 WHERE s.build != d.build"
    ))  # fmt: skip


def _pending(database: Database) -> Iterator[Violation]:
    yield from _listed("pending", "chunks that lack a vector and wait for none", database.query(
        "SELECT c.id AS place FROM chunks c JOIN documents d ON d.id = c.document "
        "JOIN builds b ON b.id = d.build WHERE c.vector IS NULL AND c.died IS NULL "
        "AND b.embedder NOT NULL AND c.id NOT IN (SELECT chunk FROM pending)"
    ))  # fmt: skip
    yield from _listed("pending", "entries whose chunk waits for nothing", database.query(
        "SELECT p.chunk AS place FROM pending p LEFT JOIN chunks c ON c.id = p.chunk "
        "WHERE c.id IS NULL OR c.vector NOT NULL OR c.died NOT NULL"
    ))  # fmt: skip


def _chunks(database: Database) -> Iterator[Violation]:
    rows = database.query(
        "SELECT c.id AS place, d.doc_id, c.char_start, c.char_end, c.text, c.page, c.heading, "
        "c.row_hash, c.died IS d.died AS same, CASE WHEN c.page NOT NULL THEN ("
        "  SELECT json_group_array(json_array(number, char_start, char_end)) FROM ("
        "    SELECT p.number, p.char_start, p.char_end FROM pages p WHERE p.document = c.document"
        "    AND p.char_start < min(p.char_end, c.char_end) AND p.char_end > c.char_start"
        "    ORDER BY p.number)) ELSE '[]' END AS pages "
        "FROM chunks c LEFT JOIN documents d ON d.id = c.document"
    )
    wrong = (row for row in rows if not _is_whole(row))
    yield from _listed("chunk-row", "chunks whose row was changed", wrong)


def _is_whole(row: dict[str, Any]) -> bool:
    place = (row["char_start"], row["char_end"])
    chunk_id = make_chunk_id(str(row["doc_id"]), *place, row["text"])
    made = make_row_hash(chunk_id, row["page"], row["heading"], row["pages"])
    return bool(row["same"]) and made == row["row_hash"]


def _cache_rows(database: Database) -> Iterator[Violation]:
    yield from _listed("cache-rows", "cache entries whose row does not exist", database.query(
        "SELECT hex(c.key) AS place FROM embedding_cache c "
        "LEFT JOIN vectors v ON v.id = c.vector WHERE v.id IS NULL"
    ))  # fmt: skip


_CHUNKS_OF_DOCUMENTS = (
    "documents d JOIN chunks c ON c.id >= d.first_chunk AND c.id < d.first_chunk + d.chunks"
)


def _keywords(database: Database) -> Iterator[Violation]:
    for build in [
        row["id"] for row in database.query("SELECT id FROM builds WHERE state != 'retired'")
    ]:
        table = keywords_table(build)
        if not database[table].exists():
            continue  # told with the build
        chunks = f"SELECT c.id FROM {_CHUNKS_OF_DOCUMENTS} WHERE d.build = {build}"  # noqa: S608 -- ours
        yield from _listed("keywords", "chunks without keywords", database.query(
            f"SELECT id AS place FROM ({chunks}) WHERE id NOT IN (SELECT rowid FROM {table})"  # noqa: S608 -- ours
        ), should=True)  # fmt: skip
        yield from _listed("keywords", "keywords without a chunk", database.query(
            f"SELECT rowid AS place FROM {table} WHERE rowid NOT IN ({chunks})"  # noqa: S608 -- ours
        ), should=True)  # fmt: skip


def _listed(
    invariant: str, what: str, rows: Iterable[dict[str, Any]], *, should: bool = False
) -> Iterator[Violation]:
    """One violation for all rows that broke an invariant, with the first few places."""
    count, shown = 0, []
    for row in rows:
        count += 1
        if count <= _SHOWN:
            shown.append(str(row["place"]))
    if not count:
        return
    more = ", …" if count > _SHOWN else ""
    detail = f"{what}: {count} ({', '.join(shown)}{more})"
    yield Violation(invariant, "should" if should else "must", detail, REBUILD)


_QUICK_CHECKS: tuple[Callable[[Database], Iterator[Violation]], ...] = (_builds, _one_version)
_CATALOG_CHECKS: tuple[Callable[[Database], Iterator[Violation]], ...] = (
    _rows_exist,
    _vector_owner,
    _pending,
    _documents,
    _fields,
    _chunks,
    _cache_rows,
    _keywords,
)


def _vector_files(database: Database, folder: Path, *, full: bool) -> Iterator[Violation]:
    """Verify rows-exist and, if `full`, all else that concerns the files below `folder`."""
    known = set()
    for segment in database.query("SELECT id, dim, rows, centre, alive FROM segments"):
        known.add(segment["id"])
        files = SegmentFiles(folder, segment["dim"])
        try:
            rows = files.map_rows(segment["id"], segment["rows"])
        except MissingRowsError as exc:
            yield Violation("rows-exist", "must", str(exc), REBUILD)
            continue
        if full:
            yield from _checksums(database, segment, rows)
            yield from _alive(database, segment)
            yield from _codes(files, segment, rows)
    if full:
        for path in SegmentFiles(folder, 0).stray(known):
            yield Violation("orphans", "should", f"{path.name} belongs to no segment", NEXT_WRITE)


def _checksums(
    database: Database, segment: dict[str, Any], rows: NDArray[np.float16]
) -> Iterator[Violation]:
    first, end = vector_id(segment["id"], 0), vector_id(segment["id"] + 1, 0)
    named = database.query(
        "SELECT id, crc32 FROM vectors WHERE id >= ? AND id < ? ORDER BY id", (first, end)
    )
    wrong: list[int] = []
    row = 0
    for entry in named:
        here = entry["id"] & ROW_MASK
        wrong += range(row, min(here, len(rows)))  # rows that the catalog skips
        row = here + 1
        if here >= len(rows) or zlib.crc32(rows[here]) != entry["crc32"]:
            wrong.append(here)
    wrong += range(row, len(rows))
    if wrong:
        detail = f"segment {segment['id']}: {len(wrong)} rows, the first is row {wrong[0]}"
        yield Violation("row-checksum", "must", detail, REBUILD)


def _alive(database: Database, segment: dict[str, Any]) -> Iterator[Violation]:
    owned = np.zeros(segment["rows"], np.uint8)
    first, end = vector_id(segment["id"], 0), vector_id(segment["id"], segment["rows"])
    living = (row["vector"] & ROW_MASK for row in database.query(
        "SELECT c.vector FROM vectors v JOIN chunks c ON c.id = v.chunk "
        "WHERE v.id >= ? AND v.id < ? AND c.vector = v.id AND c.died IS NULL", (first, end)
    ))  # fmt: skip
    while block := list(islice(living, _BLOCK_ROWS)):
        owned[block] = 1
    expected = np.packbits(owned, bitorder="little").tobytes()
    if segment["alive"].rstrip(b"\0") != expected.rstrip(b"\0"):
        detail = f"segment {segment['id']}: the bits are not the rows of living chunks"
        yield Violation("alive-bits", "must", detail, REBUILD)


def _codes(
    files: SegmentFiles, segment: dict[str, Any], rows: NDArray[np.float16]
) -> Iterator[Violation]:
    if segment["centre"] is None:
        return
    from ragkit.store.local.scan import RowEncoder

    encoder = RowEncoder(np.frombuffer(segment["centre"], "<f4"))
    codes = files.read_codes(segment["id"], len(rows), encoder.code_bytes)
    if codes is None:
        reason = "is missing or too short"
    elif not _same_codes(encoder, rows, codes):
        reason = "does not hold the codes of its rows"
    else:
        return
    name = files.codes_path(segment["id"]).name
    yield Violation("codes", "should", f"{name} {reason}: slower or worse search", REBUILD)


def _same_codes(
    encoder: Any,  # noqa: ANN401 -- RowEncoder; its module loads FAISS
    rows: NDArray[np.float16],
    codes: NDArray[np.uint8],
) -> bool:
    for start in range(0, len(rows), _BLOCK_ROWS):
        stored = codes[start : start + _BLOCK_ROWS]
        made = encoder.encode(rows[start : start + _BLOCK_ROWS])
        bits = slice(None, -_FACTOR_BYTES)
        if (stored[:, bits] != made[:, bits]).any() or not np.allclose(
            _factors(stored), _factors(made), rtol=_FACTOR_TOLERANCE, atol=_FACTOR_TOLERANCE
        ):
            return False
    return True


def _factors(codes: NDArray[np.uint8]) -> Vectors:
    return np.ascontiguousarray(codes[:, -_FACTOR_BYTES:]).view("<f4")
