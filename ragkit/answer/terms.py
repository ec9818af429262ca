"""Content terms: what is left of a text when its function and question words are gone.

Grounding compares texts by these terms: how much of a question do the passages speak about,
how much of a sentence do the cited passages contain. Latin words are stemmed lightly so that
``notices`` meets ``notice``; CJK text becomes character bigrams (a lone character: itself).
"""

from __future__ import annotations

import re

from ragkit.hanzi import simplified
from ragkit.text import words

_ENGLISH_WORDS = """
    a about above after again all also am an and any are aren as at be because been before being
    below between both but by can could couldn d did didn do does doesn doing don down during each
    few for from further give given had hadn has hasn have haven having he her here hers him his
    how i if in into is isn it its just ll m many may me might more most much must my name of off
    on once one only or other our out over own per please re s same shall she should shouldn so
    some such t tell than that the their them then there these they this those through to too
    under until up us ve very was wasn we were weren what when where whether which while who whom
    whose why will with would wouldn you your"""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
"""Function and question words. Negations are handled apart and do not belong here."""

_CHINESE = re.compile(
    "什么时候|是不是|为什么|怎么样|有没有|是否|什么|多少|哪些|哪里|哪个|哪位|哪种|哪年|怎么|怎样|如何|为何"
    "|多久|几个|请问|以及|一个|[的了是在吗呢吧啊哪谁何]"
)
"""Particles and question words, simplified; each parts the run in which it stands."""

_SUFFIXES = ("ings", "ing", "ies", "ied", "ed", "es", "s", "ly", "e")
_SHORTEST_STEM = 3


def stem(word: str) -> str:
    """Cut one common English ending off a casefolded word of at least three letters more.

    Figures, words with other than ASCII letters and short words come back unchanged.

    >>> stem("notices"), stem("notice"), stem("ending"), stem("is"), stem("2019")
    ('notic', 'notic', 'end', 'is', '2019')
    """
    if not (word.isascii() and word.isalpha()) or word.endswith("ss"):
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM:
            return word[: -len(suffix)] + ("y" if suffix in ("ies", "ied") else "")
    return word


def content_terms(text: str) -> list[str]:
    """List the content terms of a text in order, repeats kept.

    A text of nothing but function words has none.

    >>> content_terms("How long is the notice period?")
    ['long', 'notic', 'period']
    """
    parted = _CHINESE.sub(" ", simplified(text))
    return [stem(w) for w in words(parted) if w not in _ENGLISH]


def share_covered(terms: set[str], by: set[str]) -> float:
    """The share of `terms` that occur in `by`, in [0, 1]; 0 where there are no terms."""
    return len(terms & by) / len(terms) if terms else 0.0
