"""Values of the catalog that are not of the kind that their column has.

SQLite stores any value in any column, and damage makes use of that: what is read is then no number
where one is reckoned with. Which kinds there are is read from the tables of the format themselves.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from ragkit.store.local.catalog import ADDED, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = ("chunks", "vectors", "embedding_cache", "pages", "fields", "pending")
"""Tables that have a row for each chunk, or for each page."""

_KINDS = {"INTEGER": "'integer'", "TEXT": "'text'", "BLOB": "'blob'"}
_JSON = {
    "builds.embedder": "object",
    "builds.splitter": "object",
    "generations.report": "object",
    "sources.include": "array",
    "sources.exclude": "array",
    "documents.metadata": "object",
    "documents.pages_without_text": "array",
    "chunks.heading": "array",
}
_RULES = {
    "segments.dim": "dim IS NOT (SELECT json_extract(b.embedder, '$.dim') FROM builds b "
    "WHERE b.id = build)",
    "segments.rows": "rows NOT BETWEEN 0 AND 4294967295",
    "segments.centre": "length(centre) != 4 * dim",
    "documents.chunks": "chunks < 0",
    "vectors.crc32": "crc32 NOT BETWEEN 0 AND 4294967295",
}


def misfits(connection: sqlite3.Connection, *, large: bool) -> Iterator[str]:
    """Find values of the wrong kind: of each table the first column that has some, with its row.

    Args:
        connection: To the catalog.
        large: Look at the `LARGE` tables too.
    """
    for table, columns in _columns().items():
        if table in LARGE and not large:
            continue
        if table in ADDED:
            there = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
            columns = {name: columns[name] for name in columns if (name,) in there}
        tests = [f"WHEN {bad} THEN '{name}'" for name, bad in columns.items()]
        first = next(iter(columns))
        row = connection.execute(
            f"SELECT * FROM (SELECT CASE {' '.join(tests)} END AS wrong, {first} FROM {table}) "  # noqa: S608 -- ours
            "WHERE wrong NOT NULL LIMIT 1"
        ).fetchone()
        if row is not None:
            yield f"{table}.{row[0]} where {first} is {row[1]!r:.60}"
    (heads,) = connection.execute("SELECT count(*) FROM head").fetchone()
    if heads != 1:
        yield f"head, which has {heads} rows"


def _columns() -> dict[str, dict[str, str]]:
    """For each column of each table the condition that a value of the wrong kind meets."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        names = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        return {
            table: {
                name: _condition(f"{table}.{name}", kind, may_be_null=not (needed or key))
                for _, name, kind, needed, _, key in connection.execute(
                    f"PRAGMA table_info({table})"
                )
            }
            for (table,) in names
        }


def _condition(column: str, kind: str, *, may_be_null: bool) -> str:
    name = column.partition(".")[2]
    kinds = _KINDS.get(kind, "'integer', 'real', 'text'")
    wrong = [f"typeof({name}) NOT IN ({kinds}{', ' + repr('null') if may_be_null else ''})"]
    if column in _JSON:
        json = f"CASE WHEN json_valid({name}) THEN {name} ELSE '0' END"
        wrong.append(f"({name} NOT NULL AND json_type({json}) != '{_JSON[column]}')")
    if column in _RULES:
        wrong.append(_RULES[column])
    return " OR ".join(wrong)
