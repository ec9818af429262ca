"""Does a sentence turn round what a passage joins: cause and effect, what is more than what?

A word of relation (because, leads to, than, 导致) parts what stands before it from what stands
behind it. Where the sentence shares the one side with the passage's other side, and the other with
the one, it says the reverse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from ragkit.query.proof.analysed import AnalysedText

_FORWARD = late_pattern(
    r"(?:,?\s)(?:leads? to|led to|leading to|causes?|caused(?! by)|causing|results? in|resulted in"
    r"|resulting in|gave rise to|gives rise to"
    r"|brings? about|brought about|produces?|produced(?! by)|triggers?|triggered(?! by)|prevents?"
    r"|prevented(?! by)"
    r"|affects?|influences?|influenced(?! by)|contributes? to|contributed to|so that|therefore"
    r"|consequently|and so)\s"
    r"|导致了?|造成了?|引起了?|引发了?|致使|促使|(?<!不)影响了?|[，,](?:所以|因此|因而)"
)
_BACKWARD = late_pattern(
    r"(?:^|,?\s)(?:because(?: of)?|due to|owing to|as a result of|(?:is|are|was|were) (?:caused"
    r"|produced|triggered|influenced|affected|determined|prevented) by"
    r"|results? from|resulted from|stems? from|arises? from|a result of|thanks to)\s|源于|起因于"
)
_FRONTED = late_pattern(
    r"^(?:because(?: of)?|due to|owing to|as a result of|thanks to)\s([^,]+),\s(.+)|^(?:因为"
    r"|由于)([^，,]+)[，,]\s*(?:所以|因此|因而)?(.+)"
)
_THAN = late_pattern(r"\sthan\s|(?<=[\u4e00-\u9fff])比(?![例赛较如重喻分率利特亚方])")
_END = late_pattern(r"(?<=[.!?;])\s|[。！？；!?;\n]")


class _Link(NamedTuple):
    """What is joined: the cause and the effect, or what is more and what is less."""

    kind: str
    first: frozenset[str]
    second: frozenset[str]


def turned_round(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence joins the same two things the other way round.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> delay = AnalysedText("The strike led to the delay of the trains.")
    >>> turned_round(AnalysedText("The delay of the trains led to the strike."), delay)
    True
    >>> turned_round(AnalysedText("The trains had a delay because of the strike."), delay)
    False
    """
    held = evidence.once(_links)
    return any(
        _is_reverse(one, other)
        for one in sentence.once(_links)
        for other in held
        if one.kind == other.kind
    )


def _is_reverse(said: _Link, held: _Link) -> bool:
    first, second = held.first - held.second, held.second - held.first
    same = len(said.first & first) + len(said.second & second)
    crossed = min(len(said.first & second), len(said.second & first))
    return crossed > same


def _links(text: AnalysedText) -> list[_Link]:
    return [link for part in _END.split(text.simplified) if part for link in _joined(part.strip())]


def _joined(said: str) -> Iterator[_Link]:
    if fronted := _FRONTED.match(said):
        cause, effect = (side for side in fronted.groups() if side)
        yield _link("cause", cause, effect)
    elif match := _FORWARD.search(said):
        yield _link("cause", *_sides(said, match))
    elif match := _BACKWARD.search(said):
        effect, cause = _sides(said, match)
        yield _link("cause", cause, effect)
    if match := _THAN.search(said):
        yield _link("than", *_sides(said, match))


def _sides(said: str, match: re.Match[str]) -> tuple[str, str]:
    return said[: match.start()], said[match.end() :]


def _link(kind: str, first: str, second: str) -> _Link:
    return _Link(kind, frozenset(content_terms(first)), frozenset(content_terms(second)))
