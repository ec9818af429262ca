"""Does a sentence measure the same thing otherwise: all for some, must for may, will for was?

The words that say so are function words, which no rule about terms sees. They are few, and each
stands on a scale: ``scales.txt`` lists them. Two texts speak of one thing with words of one scale;
where these have nothing in common, one does not say what the other says.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.query.proof.analysed import AnalysedText

_REACH = 60
"""Characters in which what a word speaks of is looked for, within its clause."""
_ABOUT, _ABOUT_HAN = 2, 3
"""How many content terms a word speaks of; of Chinese ones, which are pairs, one more."""
_CLAUSE_END = late_pattern(r"[.;:!?](?=\s|\Z)|[。；：！？，,\n]")

_POWERS = frozenset(("may", "can", "could", "might", "is allowed to", "are allowed to"))
_NOBODY = late_pattern(r"\b(?:nobody|no[ -]one|none|no \w+(?: \w+)?)\s\Z")
_REFUSALS = frozenset(("can not", "cannot", "may not", "must not", "not allowed to"))
_WITHOUT = late_pattern(r"[^.;:!?,]{0,60}\b(?:without|unless)\b")


class _Measure(NamedTuple):
    """A word of a scale where it stands: what it says, and the content terms it says it of."""

    scale: str
    says: frozenset[str]
    about: frozenset[str]


class _Word(NamedTuple):
    scale: str
    says: frozenset[str]
    is_behind: bool


def measured_otherwise(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if both measure one thing on one scale, and have nothing in common there.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> rule = AnalysedText("Some guests may use the pool.")
    >>> measured_otherwise(AnalysedText("All guests may use the pool."), rule)
    True
    >>> measured_otherwise(AnalysedText("Several guests can use the pool."), rule)
    False
    """
    held = evidence.once(_measures)
    for one in sentence.once(_measures):
        same = [m for m in held if m.scale == one.scale and not one.about.isdisjoint(m.about)]
        if same and all(one.says.isdisjoint(m.says) for m in same):
            return True
    return False


def _measures(text: AnalysedText) -> list[_Measure]:
    plain, found = text.spelled_out, []
    for match in _pattern().finditer(plain):
        for word in _words()[match[0]]:
            about = _spoken_of(plain, match, word)
            if about:
                also = _also_says(plain, match) if word.scale == "duty" else frozenset()
                found.append(_Measure(word.scale, word.says | also, about))
    return found


def _also_says(text: str, match: re.Match[str]) -> frozenset[str]:
    """What a duty says by the words about it: nobody may, which forbids; cannot without a key."""
    if match[0] in _POWERS and _NOBODY.search(text, max(0, match.start() - _REACH), match.start()):
        return frozenset(("forbid", "unable", "maynot"))
    if match[0] in _REFUSALS and _WITHOUT.match(text, match.end()):
        return frozenset(("oblige",))
    return frozenset()


def _spoken_of(text: str, match: re.Match[str], word: _Word) -> frozenset[str]:
    if word.is_behind:
        before = text[max(0, match.start() - _REACH) : match.start()]
        terms = content_terms(_CLAUSE_END.split(before)[-1])
        return frozenset(terms[-_ABOUT:])
    behind = text[match.end() : match.end() + _REACH]
    terms = content_terms(_CLAUSE_END.split(behind)[0])
    return frozenset(terms[: _ABOUT if match[0].isascii() else _ABOUT_HAN])


@cache
def _words() -> dict[str, list[_Word]]:
    found: dict[str, list[_Word]] = {}
    for scale, says, word in _listed():
        entry = _Word(scale, frozenset(says.split()), word.endswith("<"))
        found.setdefault(word.rstrip("<"), []).append(entry)
    return found


def _listed() -> Iterator[tuple[str, str, str]]:
    lines = files("ragkit.query.proof").joinpath("scales.txt").read_text("utf-8").splitlines()
    for line in lines:
        if not line.startswith("#"):
            scale, says, words = map(str.strip, line.split("|"))
            yield from ((scale, says, word.strip()) for word in words.split(";"))


@cache
def _pattern() -> re.Pattern[str]:
    """The longest of the words that stand at a place."""
    longest = sorted(_words(), key=len, reverse=True)
    latin = "|".join(re.escape(w) for w in longest if w.isascii())
    return re.compile(
        rf"(?<!\bthe )\b(?:{latin})\b|{'|'.join(w for w in longest if not w.isascii())}"
    )
