"""What the keyword index is given, and how a question becomes its query.

FTS5's tokenizer takes an unbroken run of Chinese for one word, so that nothing is ever found in
it. Here each run of CJK characters becomes its overlapping pairs, in text and question alike.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

# Ideographs (with extensions and compatibility forms), kana, hangul.
_CJK = (
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_CJK_RUN = re.compile(f"[{_CJK}]+")
_TERM = re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+")

MAX_TERMS = 32
FREQUENT_MIN = 1000
FREQUENT_SHARE = 0.1


def index_text(text: str) -> str:
    """Prepare a text for the keyword index: NFKC, its terms, CJK runs as overlapping pairs.

    A run's last character stands behind its pairs, so that it too begins a term. Only letters
    and digits are kept, since FTS5's tokenizer, of Unicode 6.1, takes newer emoji and currency
    signs for letters of the word beside them. ASCII text needs none of this.

    >>> index_text("用iPhone看电影🤔")
    '用 iPhone 看电 电影 影'
    """
    if text.isascii():
        return text
    return " ".join(map(_spread, _TERM.findall(_normal(text))))


def query_terms(question: str) -> list[str]:
    """The distinct terms of a question as FTS5 phrases, in order.

    A single CJK character becomes a prefix query: each character of a run begins a term.
    """
    terms: dict[str, None] = {}
    for match in _TERM.finditer(_normal(question)):
        word = match[0]
        if not _CJK_RUN.match(word):
            terms[f'"{word}"'] = None
        elif len(word) == 1:
            terms[f'"{word}"*'] = None
        else:
            terms.update(dict.fromkeys(f'"{pair}"' for pair in _pairs(word)))
    return list(terms)


def select_terms(connection: sqlite3.Connection, terms: list[str], chunks: int) -> list[str]:
    """Keep the terms worth searching for.

    FTS5's time goes with the number of rows that a query matches. Terms found in more than a
    tenth of the chunks (and over 1,000) are left out while rarer ones are there: BM25 gives them
    almost no weight. At most 32 terms are kept, the rarest.

    Args:
        connection: The catalog.
        terms: As `query_terms` gives them.
        chunks: How many chunks the index holds.
    """
    limit = max(FREQUENT_MIN, int(chunks * FREQUENT_SHARE))
    if chunks <= limit and len(terms) <= MAX_TERMS:
        return terms
    count = "SELECT count(*) FROM (SELECT 1 FROM keywords WHERE keywords MATCH ? LIMIT ?)"
    frequency = {t: connection.execute(count, (t, limit)).fetchone()[0] for t in terms}
    present = [t for t in terms if frequency[t] > 0]
    rare = [t for t in present if frequency[t] < limit]
    return sorted(rare or present, key=lambda t: frequency[t])[:MAX_TERMS]


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _spread(term: str) -> str:
    if not _CJK_RUN.match(term):
        return term
    pairs = _pairs(term)
    return " ".join(pairs if len(term) == 1 else [*pairs, term[-1]])


def _pairs(run: str) -> list[str]:
    if len(run) == 1:
        return [run]
    return [run[i : i + 2] for i in range(len(run) - 1)]
