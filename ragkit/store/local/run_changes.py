"""What a run of the writer gathers: rows that wait to be inserted, and its account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ragkit.store.local.catalog import Bulk
from ragkit.store.local.history import count_changes, with_counts

if TYPE_CHECKING:
    import sqlite3

    from ragkit.store.local.catalog import Build


class RunBulks(NamedTuple):
    """Rows that wait to be inserted, many at once."""

    cache: Bulk
    chunks: Bulk
    pending: Bulk
    keywords: Bulk

    @classmethod
    def of(cls, connection: sqlite3.Connection, build: Build) -> RunBulks:
        """Those of a build, through the writer's connection."""
        return cls(
            Bulk(connection, "embedding_cache", columns=3, rows=256, verb="REPLACE"),
            Bulk(connection, "chunks", columns=13, rows=128),
            Bulk(connection, "pending", columns=2, rows=256),
            # FTS5 writes out what it holds whenever a statement of several rows begins: few and
            # large ones.
            Bulk(connection, f"{build.keywords} (rowid, heading, body)", columns=3, rows=1024),
        )


class RunChanges:
    """What a run changed, and its account.

    Attributes:
        documents: How many more of them there are by the transaction that is open.
        chunks: How many were written; those of a step that was taken back are no harm.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        (self.since,) = connection.execute("SELECT ifnull(max(id), 0) FROM documents").fetchone()
        self.documents = 0
        self.chunks = 0
        self.retired: list[int] = []  # those of a step that was taken back are no harm
        self.report: dict[str, Any] | None = None

    def account(self, connection: sqlite3.Connection, build: int, generation: int) -> str:
        """What is stored with the generation."""
        counts = count_changes(
            connection, build, generation, since=self.since, retired=self.retired
        )
        return with_counts(self.report, counts)
