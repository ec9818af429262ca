"""Which terms of a question are worth searching for, and what BM25 may reach; for every store.

The weights are those of SQLite's FTS5, https://www.sqlite.org/fts5.html#the_bm25_function: a store
that scores otherwise brings its scores to them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

BM25_K1 = 1.2
LEAST_IDF = 1e-6
MAX_TERMS = 32
FREQUENT_MIN, FREQUENT_MOST = 500, 20_000
FREQUENT_SHARE = 0.1

Term = TypeVar("Term")


def frequent_from(chunks: int) -> int:
    """In how many of so many chunks a term must occur to be frequent."""
    return min(max(FREQUENT_MIN, int(chunks * FREQUENT_SHARE)), FREQUENT_MOST)


def choose_terms(counts: Mapping[Term, int], chunks: int) -> tuple[list[Term], float]:
    """Keep the terms worth searching for, and tell the highest BM25 score in reach.

    Terms that are frequent are left out while rarer ones are there: BM25 gives them almost no
    weight. At most `MAX_TERMS` are kept, the rarest.

    Args:
        counts: In how many chunks each term occurs; above `frequent_from` any such number will do.
        chunks: How many chunks there are.

    Returns:
        The terms, rarest first, and the score that a chunk full of them would come near to. Terms
        that occur nowhere count in it: what a question asks for and no chunk says.
    """
    limit = frequent_from(chunks)
    present = [term for term, count in counts.items() if count > 0]
    rare = [term for term in present if counts[term] < limit]
    kept = sorted(rare or present, key=lambda term: counts[term])[:MAX_TERMS]
    absent = len(counts) - len(present)
    weights = [term_weight(min(counts[t], limit), chunks) for t in kept]
    return kept, sum(weights) + absent * term_weight(0, chunks)


def term_weight(frequency: int, chunks: int) -> float:
    """The most that a term adds to a score of FTS5."""
    odds = (chunks - frequency + 0.5) / (frequency + 0.5)
    return (BM25_K1 + 1) * max(math.log(max(odds, 1.0)), LEAST_IDF)
