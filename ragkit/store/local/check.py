"""Is an index right? Each invariant of docs/format.md by its name.

Reads only, in one read transaction, a few thousand rows at a time. An index that a writer has
left in the middle of a commit is right: what was never committed is no part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.errors import FormatVersionError, IndexCorruptError
from ragkit.protocols import Violation
from ragkit.store.local.catalog import connect, reading, translated
from ragkit.store.local.check_vectors import INDEX_AGAIN, REBUILD, vector_problems
from ragkit.store.local.queries import chunk_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

_SHOWN = 3  # places that a problem names


def _catalog(database: Database) -> Iterator[Violation]:
    verdict = [str(value) for row in database.query("PRAGMA quick_check") for value in row.values()]
    if verdict != ["ok"]:
        yield Violation("catalog", "must", f"SQLite: {'; '.join(verdict[:_SHOWN])}", INDEX_AGAIN)


def _one_version(database: Database) -> Iterator[Violation]:
    # NOT INDEXED: the index that should prevent this must not hide it.
    yield from _listed("one-version", "documents that live twice", database.query(
        "SELECT doc_id AS place FROM documents NOT INDEXED WHERE died IS NULL "
        "GROUP BY doc_id HAVING count(*) > 1"
    ))  # fmt: skip


def _rows_exist(database: Database) -> Iterator[Violation]:
    yield from _listed("rows-exist", "rows of segments that do not exist", database.query(
        "SELECT id AS place FROM vectors WHERE id >> 32 NOT IN (SELECT id FROM segments)"
    ))  # fmt: skip


def _vector_owner(database: Database) -> Iterator[Violation]:
    yield from _listed("vector-owner", "chunks whose row is not theirs", database.query(
        "SELECT c.id AS place FROM chunks c LEFT JOIN vectors v ON v.id = c.vector "
        "WHERE v.chunk IS NOT c.id"
    ))  # fmt: skip
    yield from _listed("vector-owner", "rows whose chunk is not theirs", database.query(
        "SELECT v.id AS place FROM vectors v LEFT JOIN chunks c ON c.id = v.chunk "
        "WHERE v.chunk IS NOT NULL AND c.vector IS NOT v.id"
    ))  # fmt: skip


def _chunk_text(database: Database) -> Iterator[Violation]:
    rows = database.query(
        "SELECT c.id AS place, hex(c.chunk_id) AS chunk_id, d.doc_id, c.char_start, c.char_end, "
        "c.text FROM chunks c LEFT JOIN documents d ON d.id = c.document"
    )
    wrong = (row for row in rows if not _is_named_rightly(row))
    yield from _listed("chunk-text", "chunks that are not what their id names", wrong)


def _is_named_rightly(row: dict[str, Any]) -> bool:
    named = chunk_hash(str(row["doc_id"]), row["char_start"], row["char_end"], row["text"])
    return named == str(row["chunk_id"]).lower()


def _cache_rows(database: Database) -> Iterator[Violation]:
    yield from _listed("cache-rows", "cache entries whose row does not exist", database.query(
        "SELECT hex(c.key) AS place FROM embedding_cache c "
        "LEFT JOIN vectors v ON v.id = c.vector WHERE v.id IS NULL"
    ))  # fmt: skip


def _keywords(database: Database) -> Iterator[Violation]:
    yield from _listed("keywords", "chunks without keywords", database.query(
        "SELECT id AS place FROM chunks WHERE id NOT IN (SELECT rowid FROM keywords)"
    ), should=True)  # fmt: skip
    yield from _listed("keywords", "keywords without a chunk", database.query(
        "SELECT rowid AS place FROM keywords WHERE rowid NOT IN (SELECT id FROM chunks)"
    ), should=True)  # fmt: skip


def _listed(
    invariant: str, what: str, rows: Iterable[dict[str, Any]], *, should: bool = False
) -> Iterator[Violation]:
    """One problem for all rows that broke an invariant, with the first few places."""
    count, shown = 0, []
    for row in rows:
        count += 1
        if count <= _SHOWN:
            shown.append(str(row["place"]))
    if not count:
        return
    more = ", …" if count > _SHOWN else ""
    detail = f"{what}: {count} ({', '.join(shown)}{more})"
    if should:
        yield Violation(invariant, "should", detail, REBUILD)
    else:
        yield Violation(invariant, "must", detail, REBUILD)


QUICK_CHECKS: tuple[Callable[[Database], Iterator[Violation]], ...] = (_catalog, _one_version)
CATALOG_CHECKS: tuple[Callable[[Database], Iterator[Violation]], ...] = (
    _rows_exist,
    _vector_owner,
    _chunk_text,
    _cache_rows,
    _keywords,
)


def check(path: Path, *, quick: bool = False) -> Iterator[Violation]:
    """Verify an index.

    Args:
        path: The index folder.
        quick: Verify only that the catalog is whole, its version known, each segment's file there,
            and no document there twice. Else every invariant, which reads the whole index.

    Yields:
        What is broken, at most one violation for each invariant and segment; none: all is right.

    Raises:
        IndexNotFoundError: There is no index.
    """
    try:
        connection = connect(path)
    except FormatVersionError as exc:
        yield Violation("version", "must", str(exc), "install a newer ragkit")
        return
    except IndexCorruptError as exc:
        yield Violation("catalog", "must", str(exc), INDEX_AGAIN)
        return
    from sqlite_utils import Database  # 50 ms that a search must not pay

    try:
        with translated(path), reading(connection):
            database = Database(connection, execute_plugins=False, recursive_triggers=False)
            for one in QUICK_CHECKS if quick else (*QUICK_CHECKS, *CATALOG_CHECKS):
                yield from one(database)
            yield from vector_problems(database, path / "vectors", full=not quick)
    except IndexCorruptError as exc:
        yield Violation("catalog", "must", str(exc), INDEX_AGAIN)
    finally:
        connection.close()
