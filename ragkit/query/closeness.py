"""How near is a sentence to a question? A linear ranker over a few features that can be told.

Every sentence of the passages is ranked by its words. Where no sentence holds much of the question,
as in another language, the few best are embedded and ranked with their nearness in meaning.
The weights stand in ``closeness.json`` with what they were fitted on. A score is a logarithm: of
two sentences whose scores differ by 1, the upper is 2.7 times as likely to hold the answer.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ragkit.query.answer_kinds import content_of, holds_kind, kind_expected
from ragkit.query.proof.analysed import AnalysedText
from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from ragkit.query.answer_kinds import Kind
    from ragkit.query.quotable import Quotable

Stage = Literal["words", "meaning"]

_BY_WORDS = ("share", "window", "under", "passage", "kind")

FEATURES: dict[Stage, tuple[str, ...]] = {"words": _BY_WORDS, "meaning": (*_BY_WORDS, "near")}
"""What each stage looks at, by the names of the measures that `measured` gives."""

FRAGMENT = 1.5
"""What the score of a field, a row or a line of code is lowered by: it has the names of a question,
and more seldom the answer. Set by hand: what the weights are fitted on has sentences only."""

OWN_SHARE = 0.6
"""What the terms of a follow-up itself count for at least, of 1, beside those of the question that
it is completed with. Set by hand: else "What damage did it have?" is answered with the earlier
question's answer, since that question has more terms."""

_PLACED = late_pattern(
    r"位[于於]|坐落|地处|境内|分布|出生[于於在]|在[^，。；]{1,12}[省市县区州国岛湖海山河镇村路街]"
)


class OwnPart(NamedTuple):
    """What a follow-up question asks by itself, as it stands before the one it was completed with.

    Attributes:
        text: Its words.
        is_question: Whether it says what kind of answer it wants; a fragment such as "apprentices"
            wants that of the earlier question.
    """

    text: AnalysedText
    is_question: bool


def scores(stage: Stage, measures: Sequence[Mapping[str, float]]) -> list[float]:
    """Score sentences by their measures; higher is nearer."""
    weights = _models()[stage]["weights"] | {"fragment": -FRAGMENT}
    return [sum(w * one.get(name, 0.0) for name, w in weights.items()) for one in measures]


def measured(
    question: AnalysedText, quotables: Sequence[Quotable], own: OwnPart | None = None
) -> list[dict[str, float]]:
    """Measure what can be quoted by its words.

    Args:
        question: As it was searched for.
        quotables: Of all passages.
        own: Of a follow-up that was completed with an earlier question; its terms count more.

    Returns:
        For each: ``share`` of the question's terms that it holds, in [0, 1], rare ones counting
        more; ``window``, the same of what is shown with it; ``under``, the same of it with its
        title and headings; ``passage``, 1 for the first, 1/2 for the second, and so on; ``kind``,
        whether it holds the kind of thing that the question asks for; ``fragment``, whether it
        is no sentence.
    """
    asked = content_of(question)
    held = [frozenset(content_terms(f"{q.lent} {q.said}")) for q in quotables]
    weights = _rarity(asked, held)
    if own is not None:
        weights = _stressed(weights, own.text.terms & frozenset[str]().union(*held))
    expected = kind_expected(own.text if own is not None and own.is_question else question)
    kinds: dict[str, bool] = {}
    told = []
    for quotable, terms in zip(quotables, held, strict=True):
        said = quotable.said
        if expected is not None and said not in kinds:
            kinds[said] = _holds(expected, question, AnalysedText(said))
        told.append(
            {
                "share": _share(asked & terms, weights),
                "window": _share(asked & (terms | set(content_terms(quotable.around))), weights),
                "under": _share(asked & (terms | set(content_terms(quotable.above))), weights),
                "passage": 1 / quotable.number,
                "kind": float(kinds.get(said, False)),
                "fragment": float(not quotable.is_whole),
            }
        )
    return told


def _holds(kind: Kind, question: AnalysedText, text: AnalysedText) -> bool:
    """As `holds_kind`; a place in Chinese is told by what stands before or behind it."""
    if kind == "place" and text.is_cjk:
        return _PLACED.search(text.simplified) is not None
    return holds_kind(kind, question, text)


def _rarity(asked: Set[str], held: Sequence[Set[str]]) -> dict[str, float]:
    """What each of the question's terms counts; together 1."""
    frequency = Counter(term for terms in held for term in terms & asked)
    weights = {t: math.log(1 + len(held) / (frequency[t] or 0.5)) for t in asked}
    total = sum(weights.values()) or 1.0
    return {term: weight / total for term, weight in weights.items()}


def _stressed(weights: Mapping[str, float], own: Set[str]) -> dict[str, float]:
    """The same weights, together 1, with those of a follow-up's own terms raised."""
    share = _share(own & weights.keys(), weights)
    if not 0 < share < OWN_SHARE:
        return dict(weights)
    more, less = OWN_SHARE / share, (1 - OWN_SHARE) / (1 - share)
    return {term: weight * (more if term in own else less) for term, weight in weights.items()}


def _share(terms: Set[str], weights: Mapping[str, float]) -> float:
    return sum(weights[term] for term in terms)


@cache
def _models() -> dict[str, Any]:
    text = files("ragkit.query").joinpath("closeness.json").read_text("utf-8")
    models: dict[str, Any] = json.loads(text)["models"]
    return models
