"""Does a passage say of one thing what excludes a word of a sentence: rise and fall, paid, unpaid?

``opposites.txt`` lists words that exclude each other; a denying prefix or ending makes two more
(complete, incomplete; harmful, harmless). The sentence has the one, the passage the other beside
the same word, and neither has both. Where one of the two is negated they agree.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms, stem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ragkit.query.proof.analysed import AnalysedText

_NEAR = 40
"""Characters on either side of a word in which its neighbours are looked for."""
_BESIDE = 2
"""How many content terms on either side are a word's neighbours."""
_SHORTEST = 4
_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non")
_NO_PREFIX = frozenset(
    re.findall(
        r"\w+",
        """inform invest income inside input import discover display discharge disease impress
        under union unit united intend intense discount dispose insight instead intent
        inland increase index""",
    )
)
"""Words that begin so and deny nothing."""
_NEGATES = late_pattern(
    r"\b(?:not|no|never|cannot|neither|nor|without|hardly|\w+n['’]t)(?:\s+\w+){0,2}\s+\Z"
    r"|[不没未无非](?:[能会有被得可]|能够|可以)?\Z"
)
_WORD = late_pattern(r"[a-z]+")


class _Use(NamedTuple):
    """A word where it stands: whether it is negated there, and the content terms beside it."""

    is_negated: bool
    beside: frozenset[str]


class _Uses(NamedTuple):
    """The words of a text: stems of an alphabet, and listed words of Chinese, where they stand."""

    latin: dict[str, list[tuple[int, int]]]
    han: dict[str, list[tuple[int, int]]]


def excludes(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if both speak of one thing with words that exclude each other.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> rent = AnalysedText("The rent rose in May, and the deposit was paid.")
    >>> excludes(AnalysedText("The rent fell."), rent)
    True
    >>> excludes(AnalysedText("The deposit was unpaid."), rent)
    True
    >>> excludes(AnalysedText("The deposit was not unpaid."), rent)
    False
    """
    said, held = sentence.once(_uses), evidence.once(_uses)
    for mine, theirs, opposites in (
        (said.latin, held.latin, _paired(latin=True, with_converses=False)),
        (said.han, held.han, _paired(latin=False, with_converses=False)),
    ):
        for word in mine.keys() - theirs.keys():
            uses = _read(sentence, mine[word])
            for other in _others(word, opposites, theirs):
                if other in mine or not _collide(uses, _read(evidence, theirs[other])):
                    continue
                kin = [k for k in opposites.get(other, ()) if k in theirs]
                if not any(_collide(uses, _read(evidence, theirs[k])) for k in kin):
                    return True  # or the passage says both: it rose, and then it fell
    return False


def _others(
    word: str, opposites: Mapping[str, frozenset[str]], held: Mapping[str, object]
) -> Iterator[str]:
    """What excludes a word, of the words of a passage."""
    yield from (other for other in opposites.get(word, ()) if other in held)
    if word.isascii():
        for other in held:
            if _denied(word, other) or _denied(other, word):
                yield other


def _denied(word: str, other: str) -> bool:
    """Whether the one is the other with a denying prefix or ending."""
    if word not in _NO_PREFIX and len(other) >= _SHORTEST and word.endswith(other):
        return word[: -len(other)] in _PREFIXES
    ending = word.removesuffix("les")
    return ending != word and len(ending) >= _SHORTEST and other in (ending, f"{ending}ful")


def _collide(said: list[_Use], held: list[_Use]) -> bool:
    return any(
        one.is_negated == other.is_negated and one.beside & other.beside
        for one in said
        for other in held
    )


def _uses(text: AnalysedText) -> _Uses:
    said = text.simplified
    latin: dict[str, list[tuple[int, int]]] = {}
    for match in _WORD.finditer(said):
        latin.setdefault(stem(match[0]), []).append(match.span())
    han: dict[str, list[tuple[int, int]]] = {}
    if not said.isascii():
        for match in _listed_han().finditer(said):
            han.setdefault(match[0], []).append(match.span())
    return _Uses(latin, han)


def _read(text: AnalysedText, spans: list[tuple[int, int]]) -> list[_Use]:
    said, found = text.simplified, []
    for start, end in spans:
        before = said[max(0, start - _NEAR) : start]
        terms = content_terms(before)[-_BESIDE:] + content_terms(said[end : end + _NEAR])[:_BESIDE]
        found.append(_Use(_NEGATES.search(before) is not None, frozenset(terms)))
    return found


def exchanged(said: str, held: str) -> bool:
    """Whether one of two short texts, folded, has a word that excludes one of the other.

    >>> exchanged("by the buyer", "by the seller"), exchanged("房东", "租客"), exchanged("a", "b")
    (True, True, False)
    """
    mine, theirs = ({stem(m[0]) for m in _WORD.finditer(text)} for text in (said, held))
    others = _paired(latin=True, with_converses=True)
    for word in mine - theirs:
        if any(other not in mine for other in _others(word, others, dict.fromkeys(theirs))):
            return True
    if said.isascii() or held.isascii():
        return False
    han = _paired(latin=False, with_converses=True)
    pairs = ((one, other) for one in han if one in said and one not in held for other in han[one])
    return any(other in held and other not in said for _, other in pairs)


def _lines(*, with_converses: bool) -> Iterator[list[list[str]]]:
    text = files("ragkit.query.proof").joinpath("opposites.txt").read_text("utf-8")
    for line in text.splitlines():
        if not line.startswith("#") and (with_converses or not line.startswith("~")):
            yield [side.split("|") for side in line.lstrip("~").split("/")]


@cache
def _paired(*, latin: bool, with_converses: bool) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for sides in _lines(with_converses=with_converses):
        if sides[0][0].isascii() != latin:
            continue
        stems = [{stem(word) if latin else word for word in side} for side in sides]
        for one, other in (stems, stems[::-1]):
            for word in one - other:
                found.setdefault(word, set()).update(other - one)
    return {word: frozenset(others) for word, others in found.items()}


@cache
def _listed_han() -> re.Pattern[str]:
    return re.compile(
        "|".join(sorted(_paired(latin=False, with_converses=True), key=len, reverse=True))
    )
