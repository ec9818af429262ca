"""The keyword index in SQLite's FTS5: a question as its query, and what BM25 may reach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ragkit.text.analysis import query_terms

if TYPE_CHECKING:
    import sqlite3

MAX_TERMS = 32
FREQUENT_MIN, FREQUENT_MOST = 500, 20_000
FREQUENT_SHARE = 0.1
MOST_KNOWN = 10_000  # terms whose frequency is kept
BM25_K1 = 1.2  # FTS5's constants, https://www.sqlite.org/fts5.html#the_bm25_function
BM25_LEAST_IDF = 1e-6


class Frequency(NamedTuple):
    """In how many chunks a term occurs.

    They are counted up to what is frequent; ``last`` is the row id of the last one counted.
    """

    chunks: int
    last: int


def query_phrases(question: str) -> list[str]:
    """The distinct terms of a question as FTS5 phrases, in order.

    >>> query_phrases("東京 VPN")
    ['("东京" OR "東京")', '"VPN"']
    """
    phrases = []
    for term in query_terms(question):
        forms = [f'"{form}"{"*" if term.is_prefix else ""}' for form in term.forms]
        phrases.append(forms[0] if len(forms) == 1 else f"({' OR '.join(forms)})")
    return phrases


def select_terms(
    connection: sqlite3.Connection,
    table: str,
    terms: list[str],
    *,
    chunks: int,
    known: dict[str, Frequency] | None = None,
) -> tuple[list[str], float]:
    """Keep the terms worth searching for, and tell the highest BM25 score in reach.

    FTS5's time goes with the number of rows that a query matches. Terms found in more than a
    tenth of the chunks (and over 500) are left out while rarer ones are there: BM25 gives them
    almost no weight. So are those found in over 20,000, since time goes with rows and not with
    shares: questions of 6 to 16 words on 300,000 generated chunks took 83 ms so (median), and 191
    with the tenth alone. At most 32 terms are kept, the rarest.

    Args:
        connection: The catalog.
        table: The build's keyword index.
        terms: As `query_phrases` gives them.
        chunks: How many chunks it holds.
        known: In how many chunks a term occurs, where that was counted before since the last
            commit; what is counted now is added.

    Returns:
        The terms, rarest first, and the score that a chunk full of them would come near to. Terms
        that occur nowhere count in it: what a question asks for and no chunk says.
    """
    limit = min(max(FREQUENT_MIN, int(chunks * FREQUENT_SHARE)), FREQUENT_MOST)
    count = (
        "SELECT count(*), ifnull(max(rowid), 0) "  # noqa: S608 -- ours
        f"FROM (SELECT rowid FROM {table} WHERE {table} MATCH ? LIMIT ?)"
    )
    found = {} if known is None else known
    if len(found) > MOST_KNOWN:
        found.clear()
    for term in terms:
        if term not in found:
            found[term] = Frequency(*connection.execute(count, (term, limit)).fetchone())
    present = [t for t in terms if found[t].chunks > 0]
    rare = [t for t in present if found[t].chunks < limit]
    kept = sorted(rare or present, key=lambda t: found[t].chunks)[:MAX_TERMS]
    absent = len(terms) - len(present)
    weights = [_weight(found[t].chunks, chunks) for t in kept] + [_weight(0, chunks)] * absent
    return kept, sum(weights)


def most_of(term: str, frequency: Frequency, chunks: int) -> float:
    """The most that a term, as `query_phrases` gives it, adds to the score of a chunk.

    Each form of a term that has several is scored by its own frequency, which is not known.
    """
    return math.inf if term.startswith("(") else _weight(frequency.chunks, chunks)


def _weight(frequency: int, chunks: int) -> float:
    """The most that a term adds to a score of FTS5, whose formula and constants these are."""
    odds = (chunks - frequency + 0.5) / (frequency + 0.5)
    return (BM25_K1 + 1) * max(math.log(max(odds, 1.0)), BM25_LEAST_IDF)
