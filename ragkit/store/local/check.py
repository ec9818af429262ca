"""Is an index right? Each invariant of docs/format.md by its name.

Reads only, in one read transaction, a few thousand rows at a time. An index that a writer has
left in the middle of a commit is right: what was never committed is no part of it.
"""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlite_utils import Database

from ragkit.errors import FormatVersionError, IndexCorruptError
from ragkit.protocols import Violation
from ragkit.records import make_chunk_id
from ragkit.store.local.catalog import (
    SEALED,
    TABLES,
    VALUE_ERRORS,
    is_sealed,
    keywords_table,
    reading,
    scalars,
    translated,
)
from ragkit.store.local.connections import connect
from ragkit.store.local.disk import MissingRowsError, read_counter
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.hashes import (
    GENERATION,
    is_whole_document,
    make_generation_hash,
    make_row_hash,
)
from ragkit.store.local.keyword_check import wrong_keywords
from ragkit.store.local.misfits import misfits
from ragkit.store.local.queries import DOCUMENT_COLUMNS
from ragkit.store.local.recover import stray_files
from ragkit.store.local.rows import ROW_MASK, vector_id
from ragkit.store.local.troubles import is_unclear, of_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors
    from ragkit.store.local.files import RowFile
    from ragkit.store.local.ivf import ListsFile

    Encode = Callable[[int, NDArray[np.float16]], NDArray[np.uint8]]

INDEX_AGAIN = "make a new index under another name: `ragkit index FOLDER --index NAME`"
REBUILD = "`ragkit rebuild`"
REPAIR = "`ragkit check --repair`"
NEXT_RUN = "the next `ragkit index` removes it"

_SHOWN = 3  # places that a violation names
_BLOCK_ROWS = 4096
_CODED_ROWS = 512  # encoded at a time: they stay in the processor's cache
_CODED_SHARE = 4  # one block in so many is encoded again where a checksum covers all codes
_IN_INDEX = re.compile(r"\bindex\b")
_FACTOR_BYTES = 8  # two float32 behind a code's sign bits
_FACTOR_TOLERANCE = 1e-3  # other processors and FAISS releases round otherwise


def check(path: Path, *, quick: bool = False, keywords: bool = False) -> list[Violation]:
    """Verify an index.

    Args:
        path: The index folder.
        quick: Verify only that the catalog is whole, its version known, the rows of documents and
            generations as they were written, each segment's file there, and no document there
            twice. Else every invariant, which reads the whole index.
        keywords: Compare the words of every text with the keyword index; else of a sample, where
            there are many.

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
        with translated(path, diagnose=False), reading(connection):
            return _Check(path, connection, seen).run(quick=quick, keywords=keywords)
    except IndexCorruptError as exc:
        return [Violation("catalog", "must", str(exc), INDEX_AGAIN)]
    finally:
        connection.close()


class _Check:
    """One look at an index, in one read transaction.

    Args:
        path: The index folder.
        connection: To its catalog, reading.
        seen: How many commits the file beside the catalog has counted.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, seen: int) -> None:
        self._path = path
        self._connection = connection
        self._seen = seen
        self._database = Database(connection, execute_plugins=False, recursive_triggers=False)

    def run(self, *, quick: bool, keywords: bool) -> list[Violation]:
        """What is broken."""
        found = self._told(_lacking_parts)
        if found:
            return found
        found = self._told(lambda d: _catalog(d, quick=quick))
        found += self._told(lambda d: _commits(d, self._seen))
        found += self._told(lambda _: _values(self._connection, large=not quick))
        for one in _QUICK_CHECKS if quick else (*_QUICK_CHECKS, *_CATALOG_CHECKS):
            found += self._told(one)
        if not quick:
            found += self._told(lambda d: self._words(d, sampled=not keywords))
        folder = self._path / "vectors"
        return found + self._told(lambda d: _vector_files(d, folder, full=not quick))

    def _told(self, look: Callable[[Database], Iterator[Violation]]) -> list[Violation]:
        """What a check finds; what it stumbles over is damage too."""
        found: list[Violation] = []
        try:
            found.extend(look(self._database))
        except VALUE_ERRORS as exc:
            detail = f"a value has no sense: {type(exc).__name__}: {exc}"
            found.append(Violation("catalog", "must", detail, INDEX_AGAIN))
        except sqlite3.Error as exc:
            error = of_sqlite(exc, self._path)
            if not (isinstance(error, IndexCorruptError) or is_unclear(exc)):
                raise
            is_words = "invariant keywords" in str(error)
            found.append(
                Violation("keywords", "should", str(exc), REPAIR) if is_words
                else Violation("catalog", "must", f"SQLite: {exc}", INDEX_AGAIN)
            )  # fmt: skip
        return found

    def _words(self, database: Database, *, sampled: bool) -> Iterator[Violation]:
        for build in _kept_builds(database):
            if wrong := wrong_keywords(self._path, build, sampled=sampled):
                yield Violation("keywords", "should", f"build {build}: {wrong}", REPAIR)


def _lacking_parts(database: Database) -> Iterator[Violation]:
    if lacking := _lacking(database):
        yield Violation("catalog", "must", f"it lacks the {lacking}", INDEX_AGAIN)


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
        repair = REPAIR if all(_IN_INDEX.search(line) for line in verdict) else INDEX_AGAIN
        yield Violation("catalog", "must", f"SQLite: {'; '.join(verdict[:_SHOWN])}", repair)


def _values(connection: sqlite3.Connection, *, large: bool) -> Iterator[Violation]:
    wrong = [*misfits(connection, large=large)]
    if wrong:
        detail = f"a value has no sense: {'; '.join(wrong[:_SHOWN])}"
        yield Violation("catalog", "must", detail, INDEX_AGAIN)


def _seals(database: Database) -> Iterator[Violation]:
    for table in SEALED:
        if not is_sealed(database.conn, table):
            detail = f"the rows of {table} are not those that were written"
            yield Violation("seals", "must", detail, INDEX_AGAIN)


def _generations(database: Database) -> Iterator[Violation]:
    rows = database.query("SELECT id AS place, * FROM generations")
    wrong = (
        row
        for row in rows
        if make_generation_hash([row[name] for name in GENERATION]) != row["row_hash"]
    )
    yield from _listed("generation-row", "generations whose row was changed", wrong, INDEX_AGAIN)


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
    for build in _kept_builds(database, there=False):
        detail = f"build {build} has no keyword index"
        yield Violation("keywords", "should", detail, REPAIR)


def _kept_builds(database: Database, *, there: bool = True) -> list[int]:
    """The builds that are not being deleted, whose keyword index is there, or is not."""
    rows = database.query("SELECT id FROM builds WHERE state != 'retired'")
    return [row["id"] for row in rows if database[keywords_table(row["id"])].exists() == there]


def _document_rows(database: Database) -> Iterator[Violation]:
    names = ", ".join(DOCUMENT_COLUMNS)
    rows = database.query(f"SELECT id AS place, {names} FROM documents NOT INDEXED")  # noqa: S608 -- names of columns
    wrong = (row for row in rows if not is_whole_document(row))
    yield from _listed("document-row", "documents whose row was changed", wrong)
    yield from _listed("document-row", "builds that lack documents", database.query(
        "SELECT b.id AS place FROM builds b WHERE b.documents != "
        "(SELECT count(*) FROM documents d NOT INDEXED WHERE d.build = b.id AND d.died IS NULL) "
        "AND b.state != 'retired'"
    ))  # fmt: skip


def _documents(database: Database) -> Iterator[Violation]:
    yield from _listed("document-row", "documents whose chunks are not all there", database.query(
        "SELECT d.id AS place FROM documents d WHERE d.chunks != (SELECT count(*) FROM chunks c "
        "WHERE c.id >= d.first_chunk AND c.id < d.first_chunk + d.chunks AND c.document = d.id)"
    ))  # fmt: skip
    yield from _listed("document-row", "documents whose pages are others", database.query(
        "SELECT d.id AS place FROM documents d "
        "LEFT JOIN (SELECT document, count(*) AS pages FROM pages GROUP BY document) p "
        "ON p.document = d.id WHERE d.pages != ifnull(p.pages, 0)"
    ))  # fmt: skip
    yield from _listed("document-row", "pages without a document", database.query(
        "SELECT document AS place FROM pages WHERE document NOT IN (SELECT id FROM documents)"
    ))  # fmt: skip


def wrong_fields(connection: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """The documents whose fields are not those of their metadata: row id and metadata."""
    documents = connection.execute("SELECT id, metadata FROM documents").fetchall()
    for document, metadata in documents:
        made = set(scalars(json.loads(metadata)))
        stored = connection.execute(
            "SELECT name, value FROM fields WHERE document = ?", (document,)
        )
        if made != set(stored):
            yield document, metadata


def _fields(database: Database) -> Iterator[Violation]:
    """The index of metadata, made again from the metadata themselves."""
    rows = [{"place": document} for document, _ in wrong_fields(database.conn)]
    rows += database.query(
        "SELECT document AS place FROM fields WHERE document NOT IN (SELECT id FROM documents)"
    )
    what = "documents whose fields are not their metadata"
    yield from _listed("fields", what, rows, REPAIR)


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


# A build that is deleted loses its chunks before its vectors.
_KEPT_SEGMENTS = (
    "SELECT s.id FROM segments s JOIN builds b ON b.id = s.build WHERE b.state != 'retired'"
)


def _vector_owner(database: Database) -> Iterator[Violation]:
    yield from _listed("vector-owner", "chunks whose row is not theirs", database.query(
        "SELECT c.id AS place FROM chunks c LEFT JOIN vectors v ON v.id = c.vector "
        "WHERE c.vector NOT NULL AND v.chunk IS NOT c.id"
    ))  # fmt: skip
    yield from _listed("vector-owner", "rows whose chunk is not theirs", database.query(
        "SELECT v.id AS place FROM vectors v LEFT JOIN chunks c ON c.id = v.chunk "  # noqa: S608
        f"WHERE v.chunk NOT NULL AND c.vector IS NOT v.id AND v.id >> 32 IN ({_KEPT_SEGMENTS})"
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
        "c.row_hash, c.died IS d.died AND c.born IS d.born AS same, "
        "CASE WHEN c.page NOT NULL THEN ("
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
    "documents d CROSS JOIN chunks c ON c.id >= d.first_chunk AND c.id < d.first_chunk + d.chunks"
)


def _keywords(database: Database) -> Iterator[Violation]:
    for build in _kept_builds(database):
        table = keywords_table(build)
        chunks = f"SELECT c.id FROM {_CHUNKS_OF_DOCUMENTS} WHERE d.build = {build}"  # noqa: S608 -- ours
        yield from _listed("keywords", "chunks without keywords", database.query(
            f"SELECT id AS place FROM ({chunks}) WHERE id NOT IN (SELECT rowid FROM {table})"  # noqa: S608 -- ours
        ), REPAIR)  # fmt: skip
        yield from _listed("keywords", "keywords without a chunk", database.query(
            f"SELECT rowid AS place FROM {table} WHERE rowid NOT IN ({chunks})"  # noqa: S608 -- ours
        ), REPAIR)  # fmt: skip


def _listed(
    invariant: str, what: str, rows: Iterable[dict[str, Any]], repair: str = REBUILD
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
    yield Violation(invariant, "should" if invariant in _DERIVED else "must", detail, repair)


_DERIVED = {"keywords", "fields"}
_QUICK_CHECKS: tuple[Callable[[Database], Iterator[Violation]], ...] = (
    _seals,
    _builds,
    _generations,
    _one_version,
    _document_rows,
)
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
    kept = f"SELECT * FROM segments WHERE rows > 0 AND id IN ({_KEPT_SEGMENTS})"  # noqa: S608 -- ours
    for segment in database.query(kept):
        files = SegmentFiles(folder, segment["dim"])
        try:
            rows = files.open_rows(segment["id"], segment["rows"])
        except MissingRowsError as exc:
            yield Violation("rows-exist", "must", str(exc), REBUILD)
            continue
        if full:
            yield from _checksums(database, segment, rows)
            yield from _alive(database, segment)
            if segment["centre"] is not None:
                yield from wrong_codes(files, segment, rows)
    if full:
        for path in stray_files(database.conn, folder.parent):
            yield Violation("orphans", "should", f"{path.name} belongs to no segment", NEXT_RUN)


def _checksums(database: Database, segment: dict[str, Any], rows: RowFile) -> Iterator[Violation]:
    first, end = vector_id(segment["id"], 0), vector_id(segment["id"] + 1, 0)
    named = database.query(
        "SELECT id, crc32 FROM vectors WHERE id >= ? AND id < ? ORDER BY id", (first, end)
    )
    wrong: list[int] = []
    row = 0
    stored = _stored_checksums(rows)
    for entry in named:
        here = entry["id"] & ROW_MASK
        wrong += range(row, min(here, len(rows)))  # rows that the catalog skips
        row = here + 1
        if here >= len(rows) or stored[here] != entry["crc32"]:
            wrong.append(here)
    wrong += range(row, len(rows))
    if wrong:
        detail = f"segment {segment['id']}: {len(wrong)} rows, the first is row {wrong[0]}"
        yield Violation("row-checksum", "must", detail, REBUILD)


def _stored_checksums(rows: RowFile) -> list[int]:
    checksums: list[int] = []
    for first in range(0, len(rows), _BLOCK_ROWS):
        block = rows.block(first, min(first + _BLOCK_ROWS, len(rows)))
        checksums += [zlib.crc32(row) for row in block]
    return checksums


def owned_bits(connection: sqlite3.Connection, segment: int, rows: int) -> bytes:
    """The bits of a segment's rows: set where a row is owned by a living chunk."""
    owned = np.zeros(rows, np.uint8)
    first, end = vector_id(segment, 0), vector_id(segment, rows)
    living = connection.execute(
        "SELECT c.vector FROM vectors v JOIN chunks c ON c.id = v.chunk "
        "WHERE v.id >= ? AND v.id < ? AND c.vector = v.id AND c.died IS NULL", (first, end)
    )  # fmt: skip
    while block := living.fetchmany(_BLOCK_ROWS):
        owned[[vector & ROW_MASK for (vector,) in block]] = 1
    return np.packbits(owned, bitorder="little").tobytes()


def _alive(database: Database, segment: dict[str, Any]) -> Iterator[Violation]:
    expected = owned_bits(database.conn, segment["id"], segment["rows"])
    if segment["alive"].rstrip(b"\0") != expected.rstrip(b"\0"):
        detail = f"segment {segment['id']}: the bits are not the rows of living chunks"
        yield Violation("alive-bits", "must", detail, REPAIR)


def wrong_codes(files: SegmentFiles, segment: dict[str, Any], rows: RowFile) -> Iterator[Violation]:
    """Verify lists or, of a segment that is not full, codes: each is what its rows give."""
    from ragkit.store.local.ivf import open_lists

    path = files.lists_path(segment["id"])
    try:
        lists = open_lists(path, len(rows), files.dim)
        is_right = lists is None or _same_codes(rows, *_lists_codes(lists), every=_CODED_SHARE)
    except ValueError:
        is_right = False
    if not is_right:
        detail = f"{path.name} does not hold the codes of its rows: slower search"
        yield Violation("lists", "should", detail, REPAIR)
    elif lists is None:
        yield from _plain_codes(files, segment, rows)


def _lists_codes(lists: ListsFile) -> tuple[NDArray[np.uint8], Encode]:
    """The codes of a segment's rows as its lists hold them, and what makes them.

    Raises:
        ValueError: A list is damaged.
    """
    from ragkit.store.local.rotation import rotated
    from ragkit.store.local.scan import CodeEncoder, code_bytes

    encoder = CodeEncoder(lists.centres)
    codes = np.empty((lists.rows, code_bytes(lists.dim)), np.uint8)
    for place in range(len(lists.centres)):
        found = lists.codes(place)
        if found is None:
            raise ValueError(str(lists.path))
        codes[lists.numbers(place)] = found

    def encode(first: int, block: NDArray[np.float16]) -> NDArray[np.uint8]:
        turned = rotated(block.astype(np.float32), lists.rotation)
        return encoder.encode(turned, lists.members[first : first + len(block)])

    return codes, encode


def _plain_codes(
    files: SegmentFiles, segment: dict[str, Any], rows: RowFile
) -> Iterator[Violation]:
    from ragkit.store.local.scan import RowEncoder

    encoder = RowEncoder(np.frombuffer(segment["centre"], "<f4"), segment["rotation"])
    codes = files.read_codes(segment["id"], range(len(rows)), encoder.code_bytes)
    checksum = segment["codes_crc"]
    if codes is None:
        reason = "is missing or too short"
    elif (checksum is not None and zlib.crc32(codes.data) != checksum) or not _same_codes(
        rows,
        codes,
        lambda _, block: encoder.encode(block),
        every=1 if checksum is None else _CODED_SHARE,
    ):
        reason = "does not hold the codes of its rows"
    else:
        return
    name = files.codes_path(segment["id"]).name
    yield Violation("codes", "should", f"{name} {reason}: slower search", REPAIR)


def _same_codes(rows: RowFile, codes: NDArray[np.uint8], encode: Encode, *, every: int) -> bool:
    """Whether the codes are what `encode` makes of one block in `every`, given its first number."""
    for start in range(0, len(rows), every * _CODED_ROWS):
        stored = codes[start : start + _CODED_ROWS]
        made = encode(start, rows.block(start, start + len(stored)))
        bits = slice(None, -_FACTOR_BYTES)
        if (stored[:, bits] != made[:, bits]).any() or not np.allclose(
            _factors(stored), _factors(made), rtol=_FACTOR_TOLERANCE, atol=_FACTOR_TOLERANCE
        ):
            return False
    return True


def _factors(codes: NDArray[np.uint8]) -> Vectors:
    return np.ascontiguousarray(codes[:, -_FACTOR_BYTES:]).view("<f4")
