"""Builds: an index is made anew beside the living one, and one commit puts it in its place.

The caller holds the writer's lock. Each step is a commit of its own, so that a kill between two
of them leaves a whole index, and the next call goes on where this one was.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from ragkit.errors import IndexMismatchError
from ragkit.store.local.catalog import (
    add_build,
    commit,
    end_log,
    keywords_table,
    read_build,
    translated,
)
from ragkit.store.local.connections import connect
from ragkit.store.local.queries import fetch_hits
from ragkit.store.local.recover import remove_strays
from ragkit.store.local.sentence_file import empty_sentences

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ragkit.records import Hit

DROPPED_CHUNKS = 20_000  # a commit
_CHUNKS_A_QUERY = 500
_FREED_PAGES = 2_000


def begin_build(path: Path, *, embedder: Mapping[str, Any], splitter: Mapping[str, int]) -> int:
    """Add a build, or find an unfinished one of the same embedder and splitter; returns its id."""
    wanted = (dict(embedder), dict(splitter))
    with _changing(path) as connection:
        unfinished = connection.execute("SELECT id FROM builds WHERE state = 'making'").fetchall()
        builds = [read_build(connection, path, build) for (build,) in unfinished]
        for build in builds:
            if (build.embedder, build.splitter) == wanted:
                return build.id
        connection.execute("BEGIN IMMEDIATE")
        made = add_build(connection, embedder=embedder, splitter=splitter, state="making")
        commit(connection, path)
        return made


def give_embedder(path: Path, embedder: Mapping[str, Any], key_of: Callable[[Hit], bytes]) -> None:
    """Give the living build an embedder; see `ragkit.protocols.VectorStore.give_embedder`."""
    with _changing(path) as connection:
        build = read_build(connection, path)
        if build.embedder:
            _refuse_other(path, build.embedder, embedder)
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "UPDATE builds SET embedder = ? WHERE id = ?",
            (json.dumps(dict(embedder), ensure_ascii=False), build.id),
        )
        documents = connection.execute(
            "SELECT first_chunk, chunks FROM documents WHERE build = ? AND died IS NULL",
            (build.id,),
        ).fetchall()
        chunks = [chunk for first, count in documents for chunk in range(first, first + count)]
        for start in range(0, len(chunks), _CHUNKS_A_QUERY):
            hits = fetch_hits(connection, path, chunks[start : start + _CHUNKS_A_QUERY])
            connection.executemany(
                "INSERT INTO pending VALUES (?, ?)",
                [(chunk, key_of(hit)) for chunk, hit in hits.items()],
            )
        commit(connection, path)


def _refuse_other(path: Path, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse an embedder that is not the one that an index has.

    Raises:
        IndexMismatchError: It is another one.
    """
    if stored != dict(given):
        msg = f"{path} has vectors of {stored['name']}, not of {given['name']}"
        raise IndexMismatchError(msg, path, stored=stored["name"], given=given["name"])


def switch_build(path: Path, build: int) -> None:
    """Put a build in the living one's place, in one commit."""
    with _changing(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE builds SET state = 'retired' WHERE state = 'living'")
        connection.execute("UPDATE builds SET state = 'living' WHERE id = ?", (build,))
        connection.execute("UPDATE head SET build = ?", (build,))
        commit(connection, path)


def drop_builds(path: Path, *, unfinished: bool = False) -> None:
    """Delete what no reader looks at: retired builds, and if asked for unfinished ones.

    A reader that still looks at a retired build, in the middle of a search, searches once more.
    """
    with _changing(path) as connection:
        if unfinished:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE builds SET state = 'retired' WHERE state = 'making'")
            commit(connection, path)
        retired = connection.execute("SELECT id FROM builds WHERE state = 'retired'").fetchall()
        for (build,) in retired:
            _drop(connection, path, build)
        if retired:
            empty_sentences(path)
            remove_strays(connection, path)


def _drop(connection: sqlite3.Connection, path: Path, build: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"DROP TABLE IF EXISTS {keywords_table(build)}")
    commit(connection, path)
    while _drop_documents(connection, build):
        commit(connection, path)
    connection.execute(
        "DELETE FROM embedding_cache WHERE vector >> 32 IN "
        "(SELECT id FROM segments WHERE build = ?)",
        (build,),
    )
    segments = connection.execute("SELECT id FROM segments WHERE build = ?", (build,)).fetchall()
    for (segment,) in segments:
        connection.execute(
            "DELETE FROM vectors WHERE id >= ? AND id < ?", (segment << 32, (segment + 1) << 32)
        )
    connection.execute("DELETE FROM segments WHERE build = ?", (build,))
    connection.execute("DELETE FROM builds WHERE id = ?", (build,))
    commit(connection, path)
    free_pages(connection)


def _drop_documents(connection: sqlite3.Connection, build: int) -> bool:
    """Delete some of a build's documents, in a transaction that is left open; False: none left."""
    connection.execute("BEGIN IMMEDIATE")
    documents = connection.execute(
        "SELECT id, first_chunk, chunks FROM documents WHERE build = ? ORDER BY id", (build,)
    )
    chosen, chunks = [], 0
    for document in documents:
        chosen.append(document)
        chunks += document[2]
        if chunks >= DROPPED_CHUNKS:
            break
    delete_documents(connection, chosen)
    return bool(chosen)


def delete_documents(connection: sqlite3.Connection, documents: list[tuple[int, int, int]]) -> None:
    """Delete rows of documents with all that hangs on them but vectors and keywords.

    Args:
        connection: The writer's, in a transaction.
        documents: Row id, first chunk and number of chunks of each.
    """
    ranges = [(first, first + chunks) for _, first, chunks in documents]
    ids = json.dumps([row_id for row_id, *_ in documents])
    for table in ("chunks", "pending"):
        column = "id" if table == "chunks" else "chunk"
        connection.executemany(
            f"DELETE FROM {table} WHERE {column} >= ? AND {column} < ?",  # noqa: S608 -- ours
            ranges,
        )
    connection.execute(
        "DELETE FROM pages WHERE document IN (SELECT value FROM json_each(?))", (ids,)
    )
    connection.execute(
        "DELETE FROM fields WHERE document IN (SELECT value FROM json_each(?))", (ids,)
    )
    connection.execute(
        "UPDATE builds SET documents = documents - (SELECT count(*) FROM documents d WHERE "
        "d.build = builds.id AND d.died IS NULL AND d.id IN (SELECT value FROM json_each(?)))",
        (ids,),
    )
    connection.execute("DELETE FROM documents WHERE id IN (SELECT value FROM json_each(?))", (ids,))


def free_pages(connection: sqlite3.Connection) -> None:
    """Give the catalog's free pages back to the disk, some at a time.

    One that was made without `auto_vacuum`, as in format 1, cannot: its free pages stay for later
    rows until `allow_shrinking`, and so they do where the log cannot grow.
    """
    free = None
    while True:
        before = free
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        if not free or free == before:
            return
        # Not `execute`: it gives up after the first page, since the rows have no column.
        connection.executescript(f"PRAGMA incremental_vacuum({_FREED_PAGES})")


def allow_shrinking(connection: sqlite3.Connection) -> None:
    """Write a catalog anew that cannot give pages back; once, it can from then on."""
    (can_shrink,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if not can_shrink:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")


@contextmanager
def _changing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path, write=True)) as connection, translated(path):
        yield connection
        end_log(connection)
