"""Is an index right? Each invariant of docs/format.md by its name.

Reads only, in one read transaction, a few thousand rows at a time. An index that a writer has
left in the middle of a commit is right: what was never committed is no part of it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sqlite_utils import Database

from ragkit.errors import FormatVersionError, IndexCorruptError
from ragkit.protocols import Violation
from ragkit.records import make_chunk_id
from ragkit.store.local.cache_entries import wrong_entries
from ragkit.store.local.catalog import (
    ADDED,
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
from ragkit.store.local.disk import read_counter
from ragkit.store.local.hashes import (
    GENERATION,
    is_whole_document,
    make_generation_hash,
    make_row_hash,
)
from ragkit.store.local.keyword_check import wrong_keywords
from ragkit.store.local.misfits import misfits
from ragkit.store.local.queries import DOCUMENT_COLUMNS
from ragkit.store.local.troubles import is_unclear, of_sqlite
from ragkit.store.local.vector_check import KEPT_SEGMENTS, REBUILD, REPAIR, vector_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path


INDEX_AGAIN = "make a new index under another name: `ragkit index FOLDER --index NAME`"

_SHOWN = 3  # places that a violation names
_IN_INDEX = re.compile(r"\bindex\b")


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
        if quick:
            return self._looked_at(quick=True)
        builds: list[int] = []
        found = self._told(lambda d: _noted(_kept_builds(d), builds))
        # SQLite lets go of Python's lock, so words are compared on a core of their own.
        with ThreadPoolExecutor(1) as threads:
            words = threads.submit(
                lambda: self._told(lambda _: self._words(builds, sampled=not keywords))
            )
            return found + self._looked_at(quick=False) + words.result()

    def _looked_at(self, *, quick: bool) -> list[Violation]:
        """What is broken, words apart."""
        found = self._told(lambda d: _catalog(d, quick=quick))
        found += self._told(lambda d: _commits(d, self._seen))
        found += self._told(lambda _: _values(self._connection, large=not quick))
        for one in _QUICK_CHECKS if quick else (*_QUICK_CHECKS, *_CATALOG_CHECKS):
            found += self._told(one)
        folder = self._path / "vectors"
        return found + self._told(lambda d: vector_files(d, folder, full=not quick))

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

    def _words(self, builds: Sequence[int], *, sampled: bool) -> Iterator[Violation]:
        for build in builds:
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
            for column in table.columns_dict.keys() - ADDED.get(table.name, set()):
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


def _noted(ids: list[int], builds: list[int]) -> Iterator[Violation]:
    builds += ids
    yield from ()


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


def _vector_owner(database: Database) -> Iterator[Violation]:
    yield from _listed("vector-owner", "chunks whose row is not theirs", database.query(
        "SELECT c.id AS place FROM chunks c LEFT JOIN vectors v ON v.id = c.vector "
        "WHERE c.vector NOT NULL AND v.chunk IS NOT c.id"
    ))  # fmt: skip
    yield from _listed("vector-owner", "rows whose chunk is not theirs", database.query(
        "SELECT v.id AS place FROM vectors v LEFT JOIN chunks c ON c.id = v.chunk "  # noqa: S608
        f"WHERE v.chunk NOT NULL AND c.vector IS NOT v.id AND v.id >> 32 IN ({KEPT_SEGMENTS})"
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
    wrong = [{"place": key.hex()} for key in wrong_entries(database.conn)]
    yield from _listed("cache-rows", "cache entries that were changed", wrong, REPAIR)


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


_DERIVED = {"keywords", "fields", "cache-rows"}
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
