"""The chunks that match a question's words best, by BM25; as few of them are scored as that takes.

Nearly all time of FTS5 is the score of each chunk that matches. A term adds at most a known weight
to it, so a chunk that has one light term cannot be among the best once others have reached more
(Turtle and Flood, 1995): such chunks are passed over, and what is found is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.bm25 import MAX_TERMS
from ragkit.store.local.keywords import most_of, query_phrases, select_terms

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ragkit.store.local.findable import Findable, Ranges

LISTED_CHUNKS = 20_000  # fewer that may be found are given to the keyword index as a list
SPARE = 3.0  # standard deviations by which fewer than expected may be left
SMALL = 0.01
WORTHWHILE = 2_000  # matches; of fewer all are scored
SLACK = 0.99  # of what the best reach: for how the weights and FTS5's scores are rounded


@dataclass(frozen=True, slots=True)
class Words:
    """One build's keyword index at one commit.

    Args:
        connection: Within a read transaction.
        table: The keyword index.
        chunks: How many chunks it holds, living or not.
        dead: Those that died.
        known: See `select_terms`.
    """

    connection: sqlite3.Connection
    table: str
    chunks: int
    dead: Ranges
    known: dict[str, int]

    def matching(
        self, question: str, count: int, findable: Findable | None, *, fill: bool
    ) -> tuple[dict[int, float], float]:
        """The chunks that match best with their scores, best first, and the score in reach.

        Args:
            question: In a person's words.
            count: Chunks wanted, at most.
            findable: What may be found; None: all that lives.
            fill: Whether terms that are left out as frequent are looked for as well where the
                others give too few chunks.
        """
        terms = query_phrases(question)
        chosen, reach = select_terms(
            self.connection, self.table, terms, chunks=self.chunks, known=self.known
        )
        found = self._best(chosen, count, findable)
        left = sorted(set(terms) - set(chosen), key=lambda term: (self.known[term], term))
        left = [term for term in left if self.known[term]]
        if not found:  # the rare terms stand only in chunks that may not be found
            return self._best([*chosen, *left][:MAX_TERMS], count, findable), reach
        while fill and left and len(found) < count and len(chosen) < MAX_TERMS:
            chosen = [*chosen, left.pop(0)]
            found = self._best(chosen, count, findable)
        return found, reach

    def _best(
        self, terms: Sequence[str], count: int, findable: Findable | None
    ) -> dict[int, float]:
        """The chunks with any of some terms that may be found, best first."""
        if not terms:
            return {}
        if findable is not None and findable.chunks <= LISTED_CHUNKS:
            listed = "SELECT value FROM json_each(?)"
            return self._scored(terms, count, listed, findable.listed)
        # As many more as may not be found, and some, so that one pass is mostly enough.
        able = self.chunks - self.dead.chunks if findable is None else findable.chunks
        share = max(able / max(self.chunks, 1), SMALL)
        limit = math.ceil((count + SPARE * math.sqrt(count * (1 - min(share, 1)))) / share)
        while True:
            found = self._of_all(terms, limit)
            visible = self._visible(list(found), findable)
            if len(visible) >= count or len(found) < limit:
                return {chunk: found[chunk] for chunk in visible[:count]}
            limit *= 4

    def _of_all(self, terms: Sequence[str], count: int) -> dict[int, float]:
        """The chunks with any of some terms, rarest first, that match best."""
        if len(terms) == 1 or sum(self.known[term] for term in terms) < WORTHWHILE:
            return self._scored(terms, count)
        able = f"SELECT rowid FROM {self.table} WHERE {self.table} MATCH ?"  # noqa: S608 -- ours
        found = self._scored(terms, count, able, " OR ".join(_two_of(terms)))
        # What two terms reach, a light one does not reach alone.
        least = SLACK * min(found.values()) if len(found) == count else 0.0
        heavy = [t for t in terms if most_of(t, self.known[t], self.chunks) >= least]
        if len(heavy) == len(terms):
            return self._scored(terms, count)
        if heavy:
            for chunk, score in self._scored(heavy, count).items():
                found[chunk] = max(score, found.get(chunk, 0.0))
        best = sorted(found, key=lambda chunk: (-found[chunk], chunk))[:count]
        return {chunk: found[chunk] for chunk in best}

    def _scored(
        self, terms: Sequence[str], count: int, among: str = "", *values: str
    ) -> dict[int, float]:
        """The chunks with any of some terms that match best, with their scores.

        Args:
            terms: As FTS5 phrases.
            count: Chunks wanted, at most.
            among: What selects the row ids of those that count; "": all do. What it leaves out
                costs little.
            values: Its parameters.
        """
        query = (
            f"SELECT rowid, -rank FROM {self.table} WHERE {self.table} MATCH ? "  # noqa: S608 -- ours
            f"{f'AND +rowid IN ({among})' if among else ''} ORDER BY rank, rowid LIMIT ?"
        )
        return dict(self.connection.execute(query, (" OR ".join(terms), *values, count)))

    def _visible(self, chunks: list[int], findable: Findable | None) -> list[int]:
        ids = np.array(chunks, np.int64)
        visible = ~self.dead.has(ids) if findable is None else findable.has(ids)
        found: list[int] = ids[visible].tolist()
        return found


def _two_of(terms: Sequence[str]) -> list[str]:
    """The ways in which a chunk can have two of some terms, as FTS5 queries.

    Halved again and again: each term is read as often as that goes, and not once for each other.
    """
    if len(terms) == 1:
        return []
    some, others = terms[: len(terms) // 2], terms[len(terms) // 2 :]
    ways = f"(({' OR '.join(some)}) AND ({' OR '.join(others)}))"
    return [*_two_of(some), *_two_of(others), ways]
