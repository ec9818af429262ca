"""Searching an index: one short read transaction a query, everything checked that is returned."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from ragkit.errors import IndexMismatchError, StoreError
from ragkit.records import HitRanks
from ragkit.store.local.catalog import reading
from ragkit.store.local.disk import MissingRowsError
from ragkit.store.local.keywords import MAX_TERMS, query_phrases, select_terms
from ragkit.store.local.queries import fetch_hits
from ragkit.store.local.snapshot import Snapshot
from ragkit.store.ranking import diversified, fuse

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

    from ragkit.protocols import SearchRequest, Vectors
    from ragkit.records import Hit

BACKGROUND = range(9, 40)
"""Places, from 0, of the passages that are taken for such as do not answer."""

BACKGROUND_LEAST = 10

MISSING_SEGMENT_TRIES = 3  # a segment can vanish between two transactions when it is compacted


class Reader:
    """Finds chunks in one index.

    Args:
        connection: To the catalog; not shared with another thread at the same time.
        path: The index folder.
        dim: Length of a vector.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, dim: int) -> None:
        self._connection = connection
        self._path = path
        self._dim = dim
        self._snapshot = Snapshot(connection, path, dim)

    def search(self, request: SearchRequest) -> list[Hit]:
        """See `ragkit.protocols.VectorStore.search`."""
        self._check(request)
        for attempt in range(MISSING_SEGMENT_TRIES):
            try:
                with reading(self._connection):
                    self._check_generation(request.as_of)
                    self._snapshot.refresh()
                    return self._search(request)
            except MissingRowsError:
                self._snapshot.forget()
                if attempt + 1 == MISSING_SEGMENT_TRIES:
                    raise
        return []

    def _check(self, request: SearchRequest) -> None:
        if request.k < 1:
            msg = f"k must be at least 1, not {request.k}"
            raise ValueError(msg)
        if request.mode != "keyword" and request.vector is None:
            msg = f"mode {request.mode!r} needs the question's vector"
            raise ValueError(msg)
        if request.vector is not None and request.vector.shape != (self._dim,):
            given = str(request.vector.shape[-1])
            msg = (
                f"the question's vector has {given} dimensions and the index {self._path} has "
                f"{self._dim}: it was built with another embedder"
            )
            raise IndexMismatchError(msg, self._path, stored=str(self._dim), given=given)

    def _check_generation(self, as_of: int | None) -> None:
        if as_of is None:
            return
        row = self._connection.execute(
            "SELECT 1 FROM generations WHERE id = ? AND state = 'closed'", (as_of,)
        ).fetchone()
        if row is None:
            msg = f"{self._path} has no closed generation {as_of} to search"
            raise StoreError(msg, self._path)

    def _search(self, request: SearchRequest) -> list[Hit]:
        if request.diversity:
            among = replace(request, k=max(request.k, request.depth))
            cosines, ranks = self._ranked(among)
            ranks = self._diverse(request, cosines, ranks)
        else:
            cosines, ranks = self._ranked(request)
        hits = fetch_hits(self._connection, self._path, list(ranks))
        return [
            replace(hits[chunk], rank=i, score=cosines.get(chunk), ranks=why)
            for i, (chunk, why) in enumerate(ranks.items(), 1)
        ]

    def _ranked(self, request: SearchRequest) -> tuple[dict[int, float], dict[int, HitRanks]]:
        """Cosines where the mode has them, and the best `request.k` chunks, best first."""
        if request.mode == "dense":
            cosines = self._dense(request, max(request.k, BACKGROUND.stop))
            background = _background(cosines)
            nearest = enumerate(islice(cosines, request.k), 1)
            return cosines, {c: HitRanks(dense=i, background=background) for i, c in nearest}
        if request.mode == "keyword":
            found, _ = self._keyword(request, request.k)
            ranks = enumerate(found.items(), 1)
            return {}, {chunk: HitRanks(keyword=i, bm25=score) for i, (chunk, score) in ranks}
        return self._hybrid(request)

    def _diverse(
        self, request: SearchRequest, cosines: dict[int, float], ranks: dict[int, HitRanks]
    ) -> dict[int, HitRanks]:
        """Those of the ranked chunks that say different things, the first chosen first."""
        chunks = list(ranks)
        relevance = [_score(ranks[chunk], cosines.get(chunk, 0.0)) for chunk in chunks]
        rows = self._snapshot.checked_rows([*self._vectors_of(chunks).values()])
        chosen = diversified(rows, relevance, count=request.k, diversity=request.diversity)
        return {chunks[i]: replace(ranks[chunks[i]], by_score=i + 1) for i in chosen}

    def _dense(self, request: SearchRequest, count: int) -> dict[int, float]:
        """Chunk ids to cosines, best first."""
        if request.vector is None:
            return {}
        allowed = self._snapshot.allowed(request)
        return self._snapshot.nearest(request.vector, count, allowed)

    def _hybrid(self, request: SearchRequest) -> tuple[dict[int, float], dict[int, HitRanks]]:
        """The cosine of each candidate, and the ranks of the best `request.k`, best first."""
        depth = max(request.depth, request.k)
        cosines = self._dense(request, depth)
        by_meaning = {c: i for i, c in enumerate(cosines, 1)}
        background = _background(cosines)
        bm25, reach = self._keyword(request, depth)
        by_word = {c: i for i, c in enumerate(bm25, 1)}
        cosines |= self._cosines(request.vector, [c for c in bm25 if c not in cosines])
        coverage = {c: min(1.0, score / reach) for c, score in bm25.items()}
        fused = fuse(cosines, coverage, request.keyword_weight)
        return cosines, {
            c: HitRanks(
                by_meaning.get(c),
                by_word.get(c),
                bm25=bm25.get(c),
                fused=score,
                background=background,
            )
            for c, score in islice(fused.items(), request.k)
        }

    def _keyword(self, request: SearchRequest, count: int) -> tuple[dict[int, float], float]:
        """Chunk ids to BM25 scores, best first, living chunks within the filter only.

        With it the score that the question could reach; see `select_terms`.
        """
        terms = query_phrases(request.text)
        chosen, reach = select_terms(self._connection, terms, self._snapshot.rows)
        found = self._matching(request, chosen, count)
        if found or len(chosen) == len(terms):
            return found, reach
        # The rare terms stand only in chunks that may not be found: take the frequent ones too.
        return self._matching(request, terms[:MAX_TERMS], count), reach

    def _matching(self, request: SearchRequest, terms: list[str], count: int) -> dict[int, float]:
        if not terms:
            return {}
        query = (
            "SELECT rowid, -rank FROM keywords WHERE keywords MATCH ? ORDER BY rank, rowid LIMIT ?"
        )
        limit = count
        while True:
            found = dict(self._connection.execute(query, (" OR ".join(terms), limit)))
            visible = self._snapshot.visible(request, list(found))
            if len(visible) >= count or len(found) < limit:
                return {chunk: found[chunk] for chunk in visible[:count]}
            limit *= 4

    def _cosines(self, vector: Vectors | None, chunks: list[int]) -> dict[int, float]:
        if vector is None or not chunks:
            return {}
        named = self._vectors_of(chunks)
        return dict(zip(named, self._snapshot.exact_scores(vector, [*named.values()]), strict=True))

    def _vectors_of(self, chunks: list[int]) -> dict[int, tuple[int, int]]:
        """For each chunk its vector's id and CRC-32, in the order given."""
        named = self._connection.execute(
            "SELECT c.id, v.id, v.crc32 FROM json_each(?) j "
            "JOIN chunks c ON c.id = j.value JOIN vectors v ON v.id = c.vector ORDER BY j.key",
            (json.dumps(chunks),),
        )
        return {chunk: (vector, crc) for chunk, vector, crc in named}


def _background(cosines: Mapping[int, float]) -> float | None:
    """See `HitRanks`; None where fewer than `BACKGROUND_LEAST` passages tell it."""
    behind = list(islice(cosines.values(), BACKGROUND.start, BACKGROUND.stop))
    return sum(behind) / len(behind) if len(behind) >= BACKGROUND_LEAST else None


def _score(ranks: HitRanks, cosine: float) -> float:
    """What a mode ranks by: of a hybrid search the fused score, else BM25, else the cosine."""
    scores = (ranks.fused, ranks.bm25, cosine)
    return next(score for score in scores if score is not None)
