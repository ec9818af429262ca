"""Words and content terms: what texts are compared by, folded so that variants meet.

Content terms are what is left of a text when its function and question words are gone. They tell
how much of a question the passages speak about, and how much of a sentence they contain. Latin
words are stemmed lightly so that ``notices`` meets ``notice``; CJK text becomes character bigrams
(a lone character: itself).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from ragkit.text.patterns import late_pattern
from ragkit.text.raising import unraise
from ragkit.text.scripts import is_cjk, join_lines, script, script_class
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Set

# Folding -----------------------------------------------------------------------------------------

_JAPANESE_SHARE = 20  # one kana in so many characters; fewer are quotations in a Chinese text


def simplified(text: str) -> str:
    """Fold traditional characters to simplified ones, one for one, so that offsets stay.

    Japanese, which kana mark, is left as it is. For comparing only, not for reading: words that
    differ between regions stay, and a character with several simplified forms gets its commonest.

    >>> simplified("房東應當退還押金"), simplified("東京の天気")
    ('房东应当退还押金', '東京の天気')
    """
    if text.isascii() or len(script("syllables").findall(text)) * _JAPANESE_SHARE > len(text):
        return text
    return text.translate(_table())


@cache
def _table() -> dict[int, int]:
    """The pairs of ``hanzi.txt``, which names their source; 1 ms to read."""
    lines = files("ragkit.text").joinpath("hanzi.txt").read_text("utf-8").splitlines()
    pairs = [pair for line in lines if not line.startswith("#") for pair in line.split()]
    return {ord(pair[0]): ord(pair[1]) for pair in pairs}


def compose(text: str) -> str:
    """Casefold a text in compatibility forms (NFKC), so that full-width letters meet others.

    Raised digits stay apart from the figure or word that they stand behind (`unraise`).
    """
    return unicodedata.normalize("NFKC", unraise(text)).casefold()


# Words -------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """List the words of a text in order, folded, for lexical comparison.

    Folded are compatibility forms (NFKC), case, and traditional characters to simplified ones;
    what nobody sees (soft hyphens, zero-width characters) parts no word.

    A run of CJK becomes its bigrams, a single character itself. Numbers lose the commas
    that group thousands and keep their decimals.
    """
    found: list[str] = []
    folded = simplified(compose(visible(join_lines(text))))
    if folded.isascii():
        return [word.replace(",", "") for word in _word().findall(folded)]
    for word in _word().findall(folded):
        if is_cjk(word):
            found.extend(bigrams(word))
        else:
            found.append(word.replace(",", ""))
    return found


@cache
def _word() -> re.Pattern[str]:
    cjk = script_class("cjk")
    return re.compile(rf"[{cjk}]+|\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)+|[^\W_{cjk}]+")


def bigrams(run: str) -> list[str]:
    """List the overlapping pairs of a run of CJK; a single character is one by itself.

    >>> bigrams("看电影"), bigrams("看")
    (['看电', '电影'], ['看'])
    """
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


# Content terms -----------------------------------------------------------------------------------

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

_CHINESE = late_pattern(
    "什么时候|是不是|为什么|怎么样|有没有|是否|什么|多少|哪些|哪里|哪个|哪位|哪种|哪年|怎么|怎样|如何|为何"
    "|多久|几个|请问|以及|一个|[的了是在吗呢吧啊哪谁何]"
)
"""Particles and question words, simplified; each parts the run in which it stands."""


def content_terms(text: str) -> list[str]:
    """List the content terms of a text in order, repeats kept.

    A text of nothing but function words has none.

    >>> content_terms("How long is the notice period?")
    ['long', 'notic', 'period']
    """
    parted = _CHINESE.sub(" ", simplified(text))
    return [stem(w) for w in words(parted) if w not in _ENGLISH]


_SUFFIXES = ("ings", "ing", "ies", "ied", "ed", "es", "s", "ly", "e")
_SHORTEST_STEM = 3


@lru_cache(1 << 13)
def stem(word: str) -> str:
    """Cut one common English ending off a casefolded word of at least three letters more.

    Figures, words with other than ASCII letters and short words come back unchanged.

    >>> stem("notices"), stem("notice"), stem("ending"), stem("is"), stem("2019")
    ('notic', 'notic', 'end', 'is', '2019')
    """
    if not word.endswith(_SUFFIXES) or word.endswith("ss"):
        return word
    if not (word.isascii() and word.isalpha()):
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM:
            return word[: -len(suffix)] + ("y" if suffix in ("ies", "ied") else "")
    return word


def share_covered(terms: Set[str], by: Set[str]) -> float:
    """The share of `terms` that occur in `by`, in [0, 1]; 0 if there are no terms."""
    return len(terms & by) / len(terms) if terms else 0.0


# Language ----------------------------------------------------------------------------------------

Language = Literal["zh", "ja", "ko", "en"]


def language(text: str) -> Language:
    """Name the language of a text by its script; ``en`` stands for anything else.

    A text that is half CJK is (`cjk_share`). Kana marks Japanese, however few: ideographs alone
    are taken for Chinese.
    """
    if cjk_share(text) < 0.5:
        return "en"
    if len(script("hangul").findall(text)) * 2 > len(script("cjk").findall(text)):
        return "ko"
    return "ja" if script("kana").search(text) else "zh"


def cjk_share(text: str) -> float:
    """How much of a text is CJK, in [0, 1]: characters, among these and words of other scripts.

    One ideograph weighs as much as one word, so that a foreign term does not decide. A text
    without either has none.
    """
    cjk = 0 if text.isascii() else len(script("cjk").findall(text))
    if not cjk:
        return 0.0
    others = sum(not (w[0].isdigit() or is_cjk(w)) for w in _word().findall(text))
    return cjk / (cjk + others)
