"""Do the passages speak about the question at all? Asked before any model is.

The measure is the larger of two: how near the best passage is in meaning (its cosine, placed
between the two ends known for the embedder), and which share of the question's content terms
one of the best passages holds. Either may speak for a question: legal questions of laymen share
few words with the statute that answers them (the words alone, or the mean of both, lay below 0.25
for 69 % and 20 % of 35 such questions of STARD, each with its own statute).

Measured with ``benchmarks/evidence.py`` and multilingual-e5-small in 4 bits. AUC separates
answerable questions from those whose paragraph was taken out or is of another article; ends and
threshold were chosen on samples of the same sets:

===========================  ======  =====  ======  ==============================
set (answerable / not)       cosine  words  larger  at 0.3: kept / rightly refused
===========================  ======  =====  ======  ==============================
English (50 / 50)            0.977   0.993  0.999   1.00 / 0.78
Chinese (45 / 45)            0.937   0.958  0.944   0.98 / 0.27
Chinese on English (40 / 40) 0.828   0.525  0.828   0.97 / 0.30
English, near misses (50)    0.610   0.570  0.595   -    / 0.00
===========================  ======  =====  ======  ==============================

A near miss (the right subject, a fact that is not there) is beyond such a measure; the chat
model is told to refuse it. For an embedder without known ends only a question of which no
passage holds a single term is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.answer.terms import content_terms, share_covered
from ragkit.text import language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import Hit, Passage

THRESHOLD = 0.3
"""Evidence below which no answer is given; it kept 133 of the 135 answerable questions above."""

BEST = 5
"""How many passages, best first, may hold the question's terms."""

_CJK = frozenset({"zh", "ja", "ko"})


@dataclass(frozen=True, slots=True)
class Ends:
    """Cosines of an embedder that mean nothing (``low``) and certainty (``high``)."""

    low: float
    high: float

    def place(self, cosine: float) -> float:
        """Where a cosine lies between the ends, in [0, 1]."""
        return min(1.0, max(0.0, (cosine - self.low) / (self.high - self.low)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The ends by language of question and passage.

    ``chinese``: a Chinese question on a passage in ideographs; ``same``: any other pair of one
    script; ``across``: ideographs, kana or hangul on one side only.
    """

    chinese: Ends
    same: Ends
    across: Ends


CALIBRATIONS = {
    "multilingual-e5-small-q4": Calibration(
        chinese=Ends(0.84, 0.92), same=Ends(0.78, 0.87), across=Ends(0.74, 0.80)
    ),
}
"""By the embedder's name; measured as the module says."""


def evidence(question: str, hits: Sequence[Hit | Passage], embedder: str = "") -> float:
    """Measure how far passages speak about a question.

    Args:
        question: As searched for.
        hits: Best first; possibly none.
        embedder: The name of the embedder that the scores come from.

    Returns:
        Evidence in [0, 1]; 0 without hits. Where neither measure can judge (other script and
        unknown embedder) it is 1: the model decides.
    """
    if not hits:
        return 0.0
    terms = set(content_terms(question))
    shares = [share_covered(terms, set(content_terms(h.text))) for h in hits[:BEST]]
    nearness = _nearness(question, hits, CALIBRATIONS.get(embedder))
    if nearness is not None:
        return max(nearness, *shares)
    across = (language(question) in _CJK) != (language(hits[0].text) in _CJK)
    return 1.0 if across or not terms or any(shares) else 0.0


def has_evidence(
    question: str, hits: Sequence[Hit | Passage], *, embedder: str = "", minimum: float = -1.0
) -> bool:
    """Tell whether the question is worth asking; see `AnswerSettings.min_evidence`.

    Args:
        question: As searched for.
        hits: Best first; none is no evidence, whatever the minimum.
        embedder: The name of the embedder that the scores come from.
        minimum: In [0, 1]; negative: the calibrated threshold.
    """
    needed = THRESHOLD if minimum < 0 else minimum
    return bool(hits) and evidence(question, hits, embedder) >= needed


def _nearness(
    question: str, hits: Sequence[Hit | Passage], calibration: Calibration | None
) -> float | None:
    """Place the best cosine; None where no cosine is known or the embedder has no ends."""
    scored = [h for h in hits if h.score is not None]
    if calibration is None or not scored:
        return None
    best = max(scored, key=lambda h: h.score or 0.0)
    asked, said = language(question), language(best.text)
    if (asked in _CJK) != (said in _CJK):
        ends = calibration.across
    else:  # a few kana make a Chinese passage look Japanese, a question hardly ever has any
        ends = calibration.chinese if asked == "zh" else calibration.same
    return ends.place(best.score or 0.0)
