"""Do the passages speak about the question at all? Asked before any model is.

The measure of a passage is the larger of two: how near it is in meaning (its cosine, normalised by
the range known for the embedder; for a question in another script its lead over the passages
ranked 10 to 40), and which share of the question's content terms it holds. Either may speak for a
question: legal questions of laymen share few words with the statute that answers them. A passage
that speaks against the question, or lacks a name or figure of it, counts less. The best of the
first three passages decides; docs/proof.md has the figures.

What speaks against a question is looked for in English only: there were no Chinese near misses to
measure it on, and it refused 24 in 1,000 laymen's legal questions. For an embedder without a known
range only a question of which no passage holds a single term is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.entities import names_missing
from ragkit.query.proof.negation import denies
from ragkit.query.proof.numbers import figures_missing
from ragkit.text.words import share_covered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import Hit

THRESHOLD = 0.4
"""Evidence below which no answer is given."""

BEST = 3
"""How many passages, best first, may speak for a question."""

DENIED = 0.5
"""What is left of a passage's measure if the question is about the opposite."""

LACKING = 0.85
"""What is left of it if a passage of the same script lacks a name or figure of the question."""

MIXED = 0.1
"""CJK in a passage (`ragkit.text.words.cjk_share`) from which a CJK question is as near to it as
to a page in CJK: twelve Chinese questions about other subjects were 0.84 to 0.87 near to manuals
with a tenth to a half, and 0.82 to 0.83 to Chinese pages."""


@dataclass(frozen=True, slots=True)
class CosineRange:
    """Cosines of an embedder, or leads, that mean nothing (``low``) and certainty (``high``)."""

    low: float
    high: float

    def normalise(self, cosine: float) -> float:
        """Bring a cosine to [0, 1]: 0 at or below the range, 1 at or above it."""
        return min(1.0, max(0.0, (cosine - self.low) / (self.high - self.low)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The ranges of an embedder's cosines by the language of question and passage.

    ``chinese``: a Chinese question on a passage in ideographs; ``same``: any other pair of one
    script; ``into_cjk`` and ``out_of_cjk``: ideographs, kana or hangul on the passage's side only
    and (but for less than `MIXED`) on the question's side only. Of these two the cosines say
    little, and are used only if the index is too small for a background; ``lead`` is the range
    of a passage's lead over it (as the WIG of Zhou and Croft, SIGIR 2007, compares scores with the
    collection's). With 120 questions a set on eight indexes, those about other subjects had a lead
    of 0.02 to 0.03 (median), those with an answer 0.05; the AUC of the lead is 0.94 and 0.95, of
    the cosine 0.74 and 0.57.
    """

    chinese: CosineRange
    same: CosineRange
    into_cjk: CosineRange
    out_of_cjk: CosineRange
    lead: CosineRange


CALIBRATIONS = {
    "multilingual-e5-small-q4": Calibration(
        chinese=CosineRange(0.84, 0.92),
        same=CosineRange(0.78, 0.87),
        into_cjk=CosineRange(0.70, 0.77),
        out_of_cjk=CosineRange(0.72, 0.79),
        lead=CosineRange(0.01, 0.045),
    ),
}
"""By the embedder's name; chosen by ``benchmarks/evidence.py``."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What one passage says for a question, and whether it speaks against it.

    ``nearness`` is its cosine, normalised, 0 if there is none; ``share`` the share of the
    question's content terms that it holds. It ``is_opposite`` to a question about what it denies,
    and ``lacks_entity`` if it lacks a name or figure of the question.
    """

    nearness: float
    share: float
    is_opposite: bool
    lacks_entity: bool

    def value(self, denied: float = DENIED, lacking: float = LACKING) -> float:
        """The measure, in [0, 1]; what is left of it if the passage speaks against."""
        left = denied if self.is_opposite else lacking if self.lacks_entity else 1.0
        return max(self.nearness, self.share) * left


def evidence(question: AnalysedText, hits: Sequence[Hit], embedder: str = "") -> float:
    """Measure how far passages speak about a question.

    Args:
        question: As searched for.
        hits: Best first; possibly none.
        embedder: The name of the embedder that the scores come from.

    Returns:
        Evidence in [0, 1]; 0 without hits. If neither measure can judge (other script and
        unknown embedder) it is 1: the model decides.
    """
    best = hits[:BEST]
    if not best:
        return 0.0
    calibration = CALIBRATIONS.get(embedder)
    if calibration is not None and any(h.score is not None for h in best):
        return max(measure(question, hit, calibration).value() for hit in best)
    texts = [AnalysedText(hit.text) for hit in best]
    if question.is_cjk != texts[0].is_cjk or not question.terms:
        return 1.0
    return 0.0 if all(question.terms.isdisjoint(text.terms) for text in texts) else 1.0


def measure(question: AnalysedText, hit: Hit, calibration: Calibration) -> Measure:
    """Measure one passage for a question as searched for."""
    text = AnalysedText(hit.text)
    is_opposite = not question.is_cjk and denies(question, text)
    return Measure(
        _nearness(question, hit, text, calibration),
        share_covered(question.terms, text.terms),
        is_opposite,
        not is_opposite and _lacks_entity(question, hit, text),
    )


def has_evidence(
    question: AnalysedText, hits: Sequence[Hit], *, embedder: str = "", minimum: float = -1.0
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
    question: AnalysedText, hit: Hit, text: AnalysedText, calibration: Calibration
) -> float:
    """Normalise a passage's cosine; 0 if it is not known."""
    if hit.score is None:
        return 0.0
    if not question.is_cjk and text.is_cjk:
        cosines = calibration.into_cjk
    elif question.is_cjk and text.cjk_share < MIXED:
        cosines = calibration.out_of_cjk
    else:  # a few kana make a Chinese passage look Japanese, a question hardly ever has any
        cosines = calibration.chinese if question.language == "zh" else calibration.same
        return cosines.normalise(hit.score)
    if hit.ranks.background is None:
        return cosines.normalise(hit.score)
    return calibration.lead.normalise(hit.score - hit.ranks.background)


def _lacks_entity(question: AnalysedText, hit: Hit, text: AnalysedText) -> bool:
    if question.is_cjk != text.is_cjk:  # names are written in other letters there
        return False
    said = AnalysedText("\n".join([hit.title, *hit.heading, hit.text]))
    asked = question.uncapitalised  # its first word may be no name
    return names_missing(asked, said) or figures_missing(asked, said)
