"""What the keyword index is given, and how a question becomes its query.

FTS5's tokenizer takes an unbroken run of Chinese for one word, so that nothing is ever found in
it. Here each run of CJK characters becomes its overlapping pairs, in text and question alike.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING

from ragkit.text.scripts import script_class
from ragkit.text.visible import visible
from ragkit.text.words import bigrams, simplified

if TYPE_CHECKING:
    import sqlite3

_CJK = script_class("indexed")
_CJK_RUN = re.compile(f"[{_CJK}]+")
_TERM = re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+")

MAX_TERMS = 32
FREQUENT_MIN, FREQUENT_MOST = 500, 20_000
FREQUENT_SHARE = 0.1
BM25_K1 = 1.2  # FTS5's constants, https://www.sqlite.org/fts5.html#the_bm25_function
BM25_LEAST_IDF = 1e-6


def index_text(text: str) -> str:
    """Prepare a text for the keyword index: its terms folded, CJK runs as overlapping pairs.

    A run's last character stands behind its pairs, so that it too begins a term. Only letters
    and digits are kept, since FTS5's tokenizer, of Unicode 6.1, takes newer emoji and currency
    signs for letters of the word beside them. Of ASCII text only what nobody sees is left out.

    >>> index_text("用iPhone看电影🤔")
    '用 iPhone 看电 电影 影'
    """
    if text.isascii():
        return visible(text)
    return " ".join(map(_spread, _TERM.findall(simplified(_composed(text)))))


def query_terms(question: str) -> list[str]:
    """The distinct terms of a question as FTS5 phrases, in order.

    A single CJK character becomes a prefix query: each character of a run begins a term. What is
    folded is searched for as written, too: so it stands in Japanese texts, which are not folded.

    >>> query_terms("東京 VPN")
    ['("东京" OR "東京")', '"VPN"']
    """
    written = _composed(question)
    folded = simplified(written)  # one for one: a term stands at the same place in both
    terms: dict[str, None] = {}
    for match in _TERM.finditer(folded):
        word, end = match[0], "*" if len(match[0]) == 1 else ""
        if not _CJK_RUN.match(word):
            terms[f'"{word}"'] = None
            continue
        for pair, other in zip(bigrams(word), bigrams(written[slice(*match.span())]), strict=True):
            either = f'("{pair}"{end} OR "{other}"{end})'
            terms[f'"{pair}"{end}' if pair == other else either] = None
    return list(terms)


def select_terms(
    connection: sqlite3.Connection, terms: list[str], chunks: int
) -> tuple[list[str], float]:
    """Keep the terms worth searching for, and tell the highest BM25 score in reach.

    FTS5's time goes with the number of rows that a query matches. Terms found in more than a
    tenth of the chunks (and over 500) are left out while rarer ones are there: BM25 gives them
    almost no weight. So are those found in over 20,000, since time goes with rows and not with
    shares: questions of 6 to 16 words on 300,000 generated chunks took 83 ms so (median), and 191
    with the tenth alone. At most 32 terms are kept, the rarest.

    Args:
        connection: The catalog.
        terms: As `query_terms` gives them.
        chunks: How many chunks the index holds.

    Returns:
        The terms, rarest first, and the score that a chunk full of them would come near to. Terms
        that occur nowhere count in it: what a question asks for and no chunk says.
    """
    limit = min(max(FREQUENT_MIN, int(chunks * FREQUENT_SHARE)), FREQUENT_MOST)
    count = "SELECT count(*) FROM (SELECT 1 FROM keywords WHERE keywords MATCH ? LIMIT ?)"
    frequency = {t: connection.execute(count, (t, limit)).fetchone()[0] for t in terms}
    present = [t for t in terms if frequency[t] > 0]
    rare = [t for t in present if frequency[t] < limit]
    kept = sorted(rare or present, key=lambda t: frequency[t])[:MAX_TERMS]
    absent = len(terms) - len(present)
    weights = [_weight(frequency[t], chunks) for t in kept] + [_weight(0, chunks)] * absent
    return kept, sum(weights)


def _weight(frequency: int, chunks: int) -> float:
    """The most that a term adds to a score of FTS5, whose formula and constants these are."""
    odds = (chunks - frequency + 0.5) / (frequency + 0.5)
    return (BM25_K1 + 1) * max(math.log(max(odds, 1.0)), BM25_LEAST_IDF)


def _composed(text: str) -> str:
    # A word with a soft hyphen or a zero-width space in it is the word that its reader sees.
    return unicodedata.normalize("NFKC", visible(text))


def _spread(term: str) -> str:
    if not _CJK_RUN.match(term):
        return term
    pairs = bigrams(term)
    return " ".join(pairs if len(term) == 1 else [*pairs, term[-1]])
