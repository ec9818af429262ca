"""The keyword index in SQLite's FTS5: a question as its query, and what BM25 may reach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ragkit.store.bm25 import choose_terms, frequent_from, term_weight
from ragkit.text.analysis import query_terms

if TYPE_CHECKING:
    import sqlite3

MOST_KNOWN = 10_000  # terms whose frequency is kept


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
    limit = frequent_from(chunks)
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
    return choose_terms({term: found[term].chunks for term in terms}, chunks)


def most_of(term: str, frequency: Frequency, chunks: int) -> float:
    """The most that a term, as `query_phrases` gives it, adds to the score of a chunk.

    Each form of a term that has several is scored by its own frequency, which is not known.
    """
    return math.inf if term.startswith("(") else term_weight(frequency.chunks, chunks)
