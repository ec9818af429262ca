"""Do the passages speak about the question at all? Asked before any model is.

A question is measured by a few features (`FEATURES`): how near the best passages are in meaning,
as the index's calibration scales it; how much of the question, rare terms counting more, stands in
one passage and in one of its sentences with its neighbours; whether its names and figures stand
there, whether the kind of answer that it expects does, and whether something speaks against it.

Logistic regressions read them. Whether the documents are about the question's subject is told by
one for passages in its own script, by one for the other script, where only nearness tells
anything, and by one for words alone: for an index without vectors, and for an embedder that cannot
tell. Whether a passage on the subject answers is told by one more, for English questions only:
there were no Chinese near misses to fit it on. The lower of the two decides, each measured by how
far it lies between the threshold, which keeps 99 in 100 questions of its script that have an
answer, and their median. The weights stand in ``evidence.json`` with what they were fitted on.
"""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from ragkit.query.answer_kinds import content_of, holds_kind, kind_expected
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.entities import find_names, names_missing
from ragkit.query.proof.negation import denies
from ragkit.query.proof.numbers import figures_missing
from ragkit.store.calibration import NO_CALIBRATION
from ragkit.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.records import Hit
    from ragkit.store.calibration import Calibration, Scale

THRESHOLD = 0.4
"""Evidence below which no answer is given."""

BEST = 3
"""How many passages, best first, may speak for a question."""

LOOKED_AT = 8
"""How many passages, best first, are looked through for a term before it is called absent."""

MIXED = 0.1
"""CJK in a passage (`ragkit.text.words.cjk_share`) from which a CJK question is as near to it as
to a page in CJK: twelve Chinese questions about other subjects were 0.84 to 0.87 near to manuals
with a tenth to a half, and 0.82 to 0.83 to Chinese pages."""

LONGEST = 1200
"""Characters of a question that are compared; what follows is no question any more."""

_RARE = 0.02
"""Share of the passages that a term is taken to stand in if it is none of the common ones."""

_FIGURE_LENGTH = 2

_BEHIND = 4
"""Place, from 0, of the passage that the best one is compared with."""

Head = Literal["same", "cross", "words", "answer"]

FEATURES: dict[Head, tuple[str, ...]] = {
    "same": ("near", "lead", "share", "window", "terms"),
    "cross": ("near", "lead", "gap", "names"),
    "words": ("window", "together", "absent"),
    "answer": (
        *("opposite", "lacks", "heaviest", "names", "kind_missing", "terms", "share", "lead"),
    ),
}
"""What each model looks at, by the names of the measures that `measures` gives."""

_STEEP = 2.0
"""Evidence is `THRESHOLD` where a question is just kept, 0.83 at the median of those kept."""


def evidence(
    question: AnalysedText, hits: Sequence[Hit], calibration: Calibration = NO_CALIBRATION
) -> float:
    """Measure how far passages speak about a question.

    Args:
        question: As searched for.
        hits: Best first; possibly none.
        calibration: The index's.

    Returns:
        Evidence in [0, 1]; 0 without hits, or for a question without a single word.
    """
    found = measures(question, hits, calibration)
    if not found:
        return 0.0
    script = "c" if question.is_cjk else "a"
    margin = max(margin_of(head, measured, script) for head, measured in found)
    kept = math.log(THRESHOLD / (1 - THRESHOLD))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, kept + _STEEP * margin))))


def has_evidence(
    question: AnalysedText,
    hits: Sequence[Hit],
    *,
    calibration: Calibration = NO_CALIBRATION,
    minimum: float = -1.0,
) -> bool:
    """Tell whether the question is worth asking; see `AnswerSettings.min_evidence`.

    Args:
        question: As searched for.
        hits: Best first; none is no evidence, whatever the minimum.
        calibration: The index's.
        minimum: In [0, 1]; negative: the calibrated threshold.
    """
    needed = THRESHOLD if minimum < 0 else minimum
    return bool(hits) and evidence(question, hits, calibration) >= needed


def margin_of(head: Head, measured: Mapping[str, float], script: str) -> float:
    """How far a question lies above the threshold, 1 at the median of those that have an answer.

    Args:
        head: The model that tells whether the documents are about its subject.
        measured: As `measures` gives it.
        script: Of the question, ``a`` or ``c``.
    """
    subject = _scaled(head, measured, script)
    if head == "cross" or script == "c":
        return subject
    return min(subject, _scaled("answer", measured, script))


def _scaled(head: Head, measured: Mapping[str, float], script: str) -> float:
    model = _models()[head]
    logit = sum(weight * measured.get(name, 0.0) for name, weight in model["weights"].items())
    least, median = model["ends"][script]
    return float((model["intercept"] + logit - least) / (median - least))


def measures(
    question: AnalysedText, hits: Sequence[Hit], calibration: Calibration
) -> list[tuple[Head, dict[str, float]]]:
    """Measure a question by the best passages in its own script, and by those in the other.

    Returns:
        The model for each of the two that there is, with the measures that it looks at.
    """
    if not question.words:
        return []
    asked = question if len(question.text) <= LONGEST else AnalysedText(question.text[:LONGEST])
    sides: dict[str, list[tuple[Hit, AnalysedText]]] = {"same": [], "cross": []}
    for hit in hits[:BEST]:
        text = AnalysedText(hit.text)
        sides["same" if _is_same(asked, text) else "cross"].append((hit, text))
    own, other = ("c", "a") if asked.is_cjk else ("a", "c")
    found: list[tuple[Head, dict[str, float]]] = []
    weights = {term: _weight(term, calibration) for term in content_of(asked)}
    absent = 1.0 - _held(weights, _terms_of(hits[:LOOKED_AT]))
    for side, passages in sides.items():
        if not passages:
            continue
        scale = calibration.scales.get(own + (own if side == "same" else other))
        near = _nearness([hit for hit, _ in passages], hits, scale)
        said = _words(asked, passages, weights) | {"absent": absent}
        head: Head = "words" if near is None else "same" if side == "same" else "cross"
        found.append((head, said if near is None else said | near))
    return found


def _is_same(question: AnalysedText, text: AnalysedText) -> bool:
    # A few kana make a Chinese passage look Japanese, a question hardly ever has any.
    return text.cjk_share >= MIXED if question.is_cjk else not text.is_cjk


def _nearness(
    found: Sequence[Hit], hits: Sequence[Hit], scale: Scale | None
) -> dict[str, float] | None:
    """How near the best passage is, 0 as what is foreign, 1 as a sentence of its own.

    ``near`` is its cosine, ``lead`` that over the background, ``gap`` that over the fifth
    passage found. In an index too small for them the cosine stands for both.
    """
    scores = [hit.score for hit in found if hit.score is not None]
    if scale is None or not scores:
        return None
    best, width = max(scores), scale.high - scale.low
    near = _bounded((best - scale.low) / width)
    background = found[0].ranks.background
    others = sorted((hit.score for hit in hits if hit.score is not None), reverse=True)
    if background is None or len(others) <= _BEHIND:
        return {"near": near, "lead": near, "gap": near}
    lead = (best - background - scale.lead_low) / (scale.lead_high - scale.lead_low)
    return {
        "near": near,
        "lead": _bounded(lead),
        "gap": _bounded((best - others[_BEHIND]) / width),
    }


def _bounded(value: float) -> float:
    return max(-1.0, min(2.0, value))


def _words(
    question: AnalysedText,
    passages: Sequence[tuple[Hit, AnalysedText]],
    weights: Mapping[str, float],
) -> dict[str, float]:
    """What the words of the passage say that holds most of the question in one place."""
    found = []
    for hit, text in passages:
        whole = AnalysedText(_whole(hit))
        found.append((_held(weights, whole.terms), *_best_window(weights, text), whole))
    share, window, place, whole = max(found, key=lambda one: one[0] + one[1])
    missing = [weight for term, weight in weights.items() if term not in whole.terms]
    kind = kind_expected(question)
    is_opposite = not question.is_cjk and denies(question, whole)
    return {
        "share": share,
        "window": window,
        "together": sum(weight for term, weight in weights.items() if term in place.terms),
        "heaviest": max(missing, default=0.0) / max(weights.values(), default=1.0),
        "names": _names_held(question, place),
        "opposite": float(is_opposite),
        "lacks": float(not is_opposite and _lacks_entity(question, whole)),
        "kind_missing": float(kind is not None and not holds_kind(kind, question, place)),
        "terms": math.log1p(len(weights)),
    }


def _weight(term: str, calibration: Calibration) -> float:
    """How much a term carries: the logarithm of how seldom passages have it."""
    return -math.log(min(0.9, max(_RARE, calibration.common.get(term, _RARE))))


def _whole(hit: Hit) -> str:
    """What a passage says with what stands above it."""
    return "\n".join([hit.title, *hit.heading, hit.text])


def _terms_of(hits: Sequence[Hit]) -> frozenset[str]:
    return AnalysedText("\n".join(map(_whole, hits))).terms


def _held(weights: Mapping[str, float], terms: frozenset[str]) -> float:
    total = sum(weights.values())
    return sum(w for term, w in weights.items() if term in terms) / total if total else 0.0


def _best_window(weights: Mapping[str, float], text: AnalysedText) -> tuple[float, AnalysedText]:
    """The sentence, with its neighbours, that holds most of the question, and how much."""
    spans = sentences(text.text)
    if len(spans) <= 1:
        return _held(weights, text.terms), text
    said = [AnalysedText(text.text[start:end]).terms for start, end in spans]
    shares = [
        _held(weights, terms)
        + 0.5 * _held(weights, frozenset().union(*said[max(0, i - 1) : i + 2]))
        for i, terms in enumerate(said)
    ]
    best = shares.index(max(shares))
    start, end = spans[max(0, best - 1)][0], spans[min(len(spans) - 1, best + 1)][1]
    return shares[best] / 1.5, AnalysedText(text.text[start:end])


def _names_held(question: AnalysedText, place: AnalysedText) -> float:
    """The share of the question's names, years and figures in a place; 1 if it has none."""
    names = set(question.uncapitalised.once(find_names))
    names |= {w for w in question.words if w.isdigit() and len(w) >= _FIGURE_LENGTH}
    return len(names & place.terms) / len(names) if names else 1.0


def _lacks_entity(question: AnalysedText, said: AnalysedText) -> bool:
    if question.is_cjk != said.is_cjk:  # names are written in other letters there
        return False
    asked = question.uncapitalised  # its first word may be no name
    return names_missing(asked, said) or figures_missing(asked, said)


@cache
def _models() -> dict[str, Any]:
    """The weights of ``evidence.json``, which names their source."""
    text = files("ragkit.query").joinpath("evidence.json").read_text("utf-8")
    models: dict[str, Any] = json.loads(text)["models"]
    return models
