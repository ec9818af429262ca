"""The parts of a keyword index: FTS5 makes one a commit, and a question reads each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.store.local.catalog import commit

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

MERGED_PAGES = 2_000  # a commit: 8 MB, so that the log stays short
# A run that wrote so many chunks or more ends by merging. FTS5 itself leaves up to 16 parts of
# each size: a million chunks lay in 31, and a question of words took a fifth longer there.
LARGE_RUN = 10_000
# Chunks a page that is merged. All parts of a first run are merged so; a later one that is large
# pays for its own, and not for those of the index that it adds to.
CHUNKS_A_PAGE = 8


def merge_some(connection: sqlite3.Connection, table: str, pages: int = MERGED_PAGES) -> bool:
    """Merge parts of a keyword index, inside a transaction; False where none are left to merge.

    Args:
        connection: A writer's.
        table: The keyword index.
        pages: About how many to write, of parts of which four or more are alike in size; negative:
            of any parts.
    """
    before = connection.total_changes
    connection.execute(
        f"INSERT INTO {table} ({table}, rank) VALUES ('merge', ?)",  # noqa: S608 -- ours
        (pages,),
    )
    return connection.total_changes - before >= 2


def merge_after_run(connection: sqlite3.Connection, path: Path, table: str, chunks: int) -> None:
    """Merge parts at the end of a large run, in commits of their own.

    Args:
        connection: The writer's, outside of a transaction.
        path: The index folder.
        table: The keyword index.
        chunks: How many the run wrote.
    """
    left = chunks // CHUNKS_A_PAGE if chunks >= LARGE_RUN else 0
    while left > 0:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not merge_some(connection, table, min(left, MERGED_PAGES)):
                return
            commit(connection, path)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        left -= MERGED_PAGES
