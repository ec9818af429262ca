"""Statements turned false by one swap: a figure, a name or a negation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spelled import numbers, other_word

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from statements import Statement

_NAME = {
    "en": re.compile(r"(?:[A-Z][\w.'-]*)(?: (?:(?:of|the|de|van|and) )?[A-Z][\w.'-]*){0,4}"),
    "zh": re.compile("[\u4e00-\u9fff·《》]{2,10}"),
}
_NOT_EN = re.compile(r"\b(?:not|never) ")
_AUXILIARY = re.compile(
    r"\b(?:is|was|were|are|did|does|do|has|had|have|can|could|will|would|should|must|may)\b"
)
_NOT_ZH = re.compile("并不|并非|不|没有|未")
_VERB_ZH = re.compile(
    "(?P<bu>可以|能够|属于|是(?!否)|位于|应该|需要|叫|在|为(?!了))|(?P<mei>有|被|由|获得|成为|采用)|(?P<wei>..于|..了)"
)


def other_figure(said: str, language: str, rng: random.Random) -> str | None:
    """Replace one figure by another of the same length; None where there is none."""
    found = list(numbers(language).finditer(said))
    if not found:
        return None
    match = rng.choice(found)
    if not match[0].isdigit():
        return said[: match.start()] + other_word(match[0], language, rng) + said[match.end() :]
    low = 10 ** (len(match[0]) - 1) if len(match[0]) > 1 else 1
    near = int(match[0]) + rng.choice([-1, 1]) * rng.randint(1, 30)
    new = near if low <= near < low * 10 and len(match[0]) > 1 else rng.randrange(low, low * 10)
    if new == int(match[0]):
        new = low + (new - low + 1) % (low * 9)
    return f"{said[: match.start()]}{new}{said[match.end() :]}"


def is_name(answer: str, kind: str, language: str) -> bool:
    """True for what is written as a name: capitals, or a Chinese answer to who and where."""
    fits = _NAME[language].fullmatch(answer) is not None
    return fits and (language == "en" or kind in ("who", "where") or answer.startswith("《"))


def other_name(
    one: Statement, names: Iterable[str], references: Iterable[str], rng: random.Random
) -> str | None:
    """Replace the answer by another name; None where none is left.

    Args:
        one: Its answer is a name.
        names: Of the same kind, to choose from.
        references: The right answers: no name that shares text with one is taken.
        rng: Chooses.
    """
    right = [r.casefold() for r in references]
    left = [n for n in names if not any(n.casefold() in r or r in n.casefold() for r in right)]
    left = [n for n in left if n not in one.said]
    return one.said.replace(_cased(one), rng.choice(sorted(left))) if left else None


def _cased(one: Statement) -> str:
    at = one.said.casefold().find(one.answer.casefold())
    return one.said[at : at + len(one.answer)]


def negated(said: str, language: str, rng: random.Random) -> str | None:
    """Put a negation in, or take one out; None where no verb is known."""
    if language == "en":
        if _NOT_EN.search(said):
            return _NOT_EN.sub("", said, count=1)
        return (
            _AUXILIARY.sub(lambda m: f"{m[0]} not", said, count=1)
            if _AUXILIARY.search(said)
            else None
        )
    if _NOT_ZH.search(said):
        return _NOT_ZH.sub("", said, count=1)
    match = _VERB_ZH.search(said)
    if match is None:
        return None
    lead = {"bu": ("不", "并不"), "mei": ("没有", "并没有"), "wei": ("没有", "并未")}
    word = rng.choice(lead[str(match.lastgroup)])
    if match[0] == "有":
        word = "没"
    return said[: match.start()] + word + said[match.start() :]
