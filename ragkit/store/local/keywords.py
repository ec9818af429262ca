"""The keyword index in SQLite's FTS5: a question as its query, and what BM25 may reach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ragkit.store.bm25 import choose_terms, frequent_from, term_weight
from ragkit.text.analysis import query_terms

if TYPE_CHECKING:
    import sqlite3

MOST_KNOWN = 10_000  # terms whose frequency is kept
# Of a large index the first rows tell which terms need not be counted to the end: in 980,000 of a
# million chunks that took 50 ms.
PROBED_FROM = 100_000
PROBED_SHARE = 1 / 64
CLEARLY = 4  # times as frequent as what is frequent


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
    known: dict[str, int] | None = None,
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
        known: In how many chunks a term occurs, if that was counted before since the last commit;
            what is counted now is added. About, of frequent ones.

    Returns:
        The terms, rarest first, and the score that a chunk full of them would come near to. Terms
        that occur nowhere count in it: what a question asks for and no chunk says.
    """
    found = {} if known is None else known
    if len(found) > MOST_KNOWN:
        found.clear()
    for term in terms:
        if term not in found:
            found[term] = _frequency(connection, table, term, chunks)
    return choose_terms({term: found[term] for term in terms}, chunks)


def _frequency(connection: sqlite3.Connection, table: str, term: str, chunks: int) -> int:
    """In how many chunks a term occurs; about, if it is frequent."""
    matching = f"FROM {table} WHERE {table} MATCH ?"
    if chunks >= PROBED_FROM:
        limit = frequent_from(chunks)
        first = f"SELECT count(*) {matching} AND rowid <= ?"
        (probed,) = connection.execute(first, (term, int(chunks * PROBED_SHARE))).fetchone()
        if probed > CLEARLY * limit * PROBED_SHARE:
            some = f"SELECT rowid {matching} LIMIT 1 OFFSET ?"
            last = connection.execute(some, (term, limit - 1)).fetchone()
            if last is not None:
                return max(limit, int(limit * chunks / max(last[0], 1)))
    (count,) = connection.execute(f"SELECT count(*) {matching}", (term,)).fetchone()
    return int(count)


def most_of(term: str, frequency: int, chunks: int) -> float:
    """The most that a term, as `query_phrases` gives it, adds to the score of a chunk.

    Each form of a term that has several is scored by its own frequency, which is not known.
    """
    if term.startswith("("):
        return math.inf
    return term_weight(min(frequency, frequent_from(chunks)), chunks)
