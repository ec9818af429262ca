"""Searching an index: one short read transaction a query, everything checked that is returned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragkit.errors import IndexChangedError, IndexMismatchError
from ragkit.store.local.catalog import broken, read_build, reading
from ragkit.store.local.disk import MissingRowsError
from ragkit.store.local.history import require_searchable
from ragkit.store.local.matching import Words
from ragkit.store.local.queries import fetch_hits
from ragkit.store.local.scan import one_thread
from ragkit.store.local.snapshot import Snapshot
from ragkit.store.ranking import ranked_hits
from ragkit.system import DaemonPool, defer_interrupt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.protocols import SearchRequest, Vectors
    from ragkit.records import Hit
    from ragkit.store.local.catalog import Build
    from ragkit.store.local.snapshot import ScoredRows

MISSING_SEGMENT_TRIES = 3  # a segment can vanish between two transactions when it is compacted


class Reader:
    """Finds chunks in one index.

    Args:
        connection: To the catalog; not shared with another thread at the same time.
        path: The index folder.
        build: The build to look at; None: the living one, whichever that is at each search.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, build: int | None = None
    ) -> None:
        self._connection = connection
        self._path = path
        self._build = build
        self._snapshot: Snapshot | None = None
        self._pool = DaemonPool(1)

    def close(self) -> None:
        """Let go of what was read."""
        self._snapshot = None
        self._pool.close()

    def search(self, request: SearchRequest) -> list[Hit]:
        """See `ragkit.protocols.VectorStore.search`."""
        tries = MISSING_SEGMENT_TRIES
        while True:
            try:
                with reading(self._connection):
                    snapshot = self._current()
                    self._check(request, snapshot.build)
                    snapshot.refresh()
                    found = _Found(request, self._connection, self._path, snapshot, self._pool)
                    return ranked_hits(request, found)
            except MissingRowsError:
                self._snapshot = None
                tries -= 1
                if not tries:
                    raise

    def _current(self) -> Snapshot:
        """The snapshot of the build to look at; a new one after another build took over."""
        build = read_build(self._connection, self._path, self._build)
        if self._snapshot is None or self._snapshot.build != build:
            self._snapshot = Snapshot(self._connection, self._path, build)
        return self._snapshot

    def _check(self, request: SearchRequest, build: Build) -> None:
        if request.vector is not None:
            if request.embedder is not None and request.embedder != build.embedder:
                msg = f"{self._path} was rebuilt with another embedder; embed the question anew"
                raise IndexChangedError(msg, self._path)
            if request.vector.shape != (build.dim,):
                given = str(request.vector.shape[-1])
                msg = (
                    f"the question's vector has {given} dimensions and the index {self._path} has "
                    f"{build.dim}: it was built with another embedder"
                )
                raise IndexMismatchError(msg, self._path, stored=str(build.dim), given=given)
        if request.as_of is not None:
            require_searchable(self._connection, self._path, build.id, request.as_of)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one request finds; satisfies `ragkit.store.ranking.Candidates`."""

    request: SearchRequest
    connection: sqlite3.Connection
    path: Path
    snapshot: Snapshot
    pool: DaemonPool

    def nearest(self, count: int) -> dict[int, float]:
        if self.request.vector is None:
            return {}
        findable = self.snapshot.findable(self.request)
        found = self.snapshot.candidates(self.request.vector, count, findable)
        return self.snapshot.named(found, count)

    def both(self, count: int) -> tuple[dict[int, float], tuple[dict[int, float], float]]:
        vector = self.request.vector
        if vector is None or not self.snapshot.has_codes:
            return self.nearest(count), self.matching(count)
        findable = self.snapshot.findable(self.request)

        def candidates() -> ScoredRows:
            with one_thread():  # the words take the other core
                return self.snapshot.candidates(vector, count, findable)

        # Rows are looked for in a thread that reads no catalog: SQLite works for one at a time.
        found = self.pool.submit(candidates)
        try:
            matching = self.matching(count)
        finally:
            with defer_interrupt():
                found.exception()  # it must not go on while the next search begins
        return self.snapshot.named(found.result(), count), matching

    def matching(self, count: int) -> tuple[dict[int, float], float]:
        now = self.snapshot
        words = Words(self.connection, now.build.keywords, now.chunks, now.dead, now.frequencies)
        # Where meaning counts too, it finds what words leave open.
        fill = self.request.mode == "keyword" and bool(self.request.filter)
        findable = now.findable(self.request)
        return words.matching(self.request.text, count, findable, fill=fill)

    def cosines(self, chunks: Sequence[int]) -> dict[int, float]:
        if self.request.vector is None or not chunks:
            return {}
        named = self._vectors_of(chunks)
        scores = self.snapshot.exact_scores(self.request.vector, [*named.values()])
        return dict(zip(named, scores, strict=True))

    def rows(self, chunks: Sequence[int]) -> Vectors:
        named = self._vectors_of(chunks)
        rows = np.zeros((len(chunks), self.snapshot.build.dim), np.float32)
        has = [i for i, chunk in enumerate(chunks) if chunk in named]
        rows[has] = self.snapshot.checked_rows([*named.values()])
        return rows

    def hits(self, chunks: Sequence[int]) -> dict[int, Hit]:
        self._check_owners(chunks)
        return fetch_hits(self.connection, self.path, chunks, as_of=self.request.as_of)

    def _check_owners(self, chunks: Sequence[int]) -> None:
        """See that what was found by a vector is the chunk that the vector is of."""
        row = self.connection.execute(
            "SELECT 1 FROM json_each(?) j JOIN chunks c ON c.id = j.value "
            "LEFT JOIN vectors v ON v.id = c.vector "
            "WHERE c.vector NOT NULL AND v.chunk IS NOT c.id",
            (json.dumps(list(chunks)),),
        ).fetchone()
        if row is not None:
            raise broken(self.path, "vector-owner", "a chunk's row belongs to another one")

    def _vectors_of(self, chunks: Sequence[int]) -> dict[int, tuple[int, int]]:
        """For each chunk its vector's id and CRC-32, in the order given."""
        named = self.connection.execute(
            "SELECT c.id, v.id, v.crc32 FROM json_each(?) j "
            "JOIN chunks c ON c.id = j.value JOIN vectors v ON v.id = c.vector ORDER BY j.key",
            (json.dumps(list(chunks)),),
        )
        return {chunk: (vector, crc) for chunk, vector, crc in named}
