"""What a keyword index is given of a text, and which terms a question is searched by.

Tokenizers take an unbroken run of Chinese for one word, so that nothing is ever found in it. Here
each run of CJK characters becomes its overlapping pairs, in text and question alike. A change of
these rules makes another keyword index: their number is in docs/format.md.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ragkit.text.scripts import script_class
from ragkit.text.visible import visible
from ragkit.text.words import bigrams, simplified

_CJK = script_class("indexed")
_CJK_RUN = re.compile(f"[{_CJK}]+")
_TERM = re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+")


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term of a question: a text has it if it has one of the `forms`.

    If `is_prefix`, a term that begins with a form is enough.
    """

    forms: tuple[str, ...]
    is_prefix: bool = False


def index_text(text: str) -> str:
    """Prepare a text for a keyword index: its terms folded, CJK runs as overlapping pairs.

    A run's last character stands behind its pairs, so that it too begins a term. Only letters
    and digits are kept, since FTS5's tokenizer, of Unicode 6.1, takes newer emoji and currency
    signs for letters of the word beside them. Of ASCII text only what nobody sees is left out.

    >>> index_text("用iPhone看电影🤔")
    '用 iPhone 看电 电影 影'
    """
    if text.isascii():
        return visible(text)
    return " ".join(map(_spread, _TERM.findall(simplified(_composed(text)))))


def query_terms(question: str) -> list[QueryTerm]:
    """List the distinct terms of a question, in order.

    A single CJK character becomes a prefix: each character of a run begins a term. What is
    folded is searched for as written, too: so it stands in Japanese texts, which are not folded.

    >>> query_terms("東京 VPN")
    [QueryTerm(forms=('东京', '東京'), is_prefix=False), QueryTerm(forms=('VPN',), is_prefix=False)]
    """
    written = _composed(question)
    folded = simplified(written)  # one for one: a term stands at the same place in both
    terms: dict[QueryTerm, None] = {}
    for match in _TERM.finditer(folded):
        word = match[0]
        if not _CJK_RUN.match(word):
            terms[QueryTerm((word,))] = None
            continue
        for forms in zip(bigrams(word), bigrams(written[slice(*match.span())]), strict=True):
            terms[QueryTerm(tuple(dict.fromkeys(forms)), is_prefix=len(word) == 1)] = None
    return list(terms)


def _composed(text: str) -> str:
    # A word with a soft hyphen or a zero-width space in it is the word that its reader sees.
    return unicodedata.normalize("NFKC", visible(text))


def _spread(term: str) -> str:
    if not _CJK_RUN.match(term):
        return term
    pairs = bigrams(term)
    return " ".join(pairs if len(term) == 1 else [*pairs, term[-1]])
