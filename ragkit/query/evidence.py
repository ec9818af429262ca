"""Do the passages speak about the question at all? Asked before any model is.

The measure of a passage is the larger of two: how near it is in meaning (its cosine, placed
between the two ends known for the embedder; for a question in another script its lead over the
passages ranked 10 to 40), and which share of the question's content terms it holds. Either may
speak for a question: legal questions of laymen share few words with the statute that answers them.
It is lowered where the passage speaks against the question; so often does the first passage of
questions that have an answer, of near misses, and of those whose passage was taken out:

======================================================  ==========  =========  =========
the first passage                                       answerable  near miss  taken out
======================================================  ==========  =========  =========
says the opposite, or what the question denies          0.02        0.26
lacks a name or a figure of the question                0.08        0.18       0.77
======================================================  ==========  =========  =========

The first is looked for in English only: there were no Chinese near misses to measure it on, and
it refused 24 in 1,000 laymen's legal questions. The best of the first three passages counts.
``ragkit evaluate SET`` measures it; multilingual-e5-small in 4 bits, `THRESHOLD` 0.4:

==============================================  =====  ====================  =============
set                                             AUC    answerable and kept   rightly refused
==============================================  =====  ====================  =============
cmrc2018-noanswer: the passage was taken out    0.987  0.99                  0.71
squad2-noanswer: a near miss is there           0.70   0.99                  0.08
stard-a: laymen's questions, all answerable            0.99
xquad-zh: translated apart from the passages           0.98
==============================================  =====  ====================  =============

A near miss (the right subject, a fact that is not there) is mostly beyond such a measure; the chat
model is told to refuse it. ``benchmarks/evidence.py`` chose the constants below by seven articles
of squad2-noanswer at a time: on the eighth the AUC was 0.70 too (0.57 to 0.83). For an embedder
without known ends only a question of which no passage holds a single term is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.query.proof.names import names_missing
from ragkit.query.proof.negation import denies
from ragkit.query.proof.numbers import figures_missing
from ragkit.text.words import cjk_share, content_terms, language, share_covered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import Hit

THRESHOLD = 0.4
"""Evidence below which no answer is given."""

BEST = 3
"""How many passages, best first, may speak for a question."""

DENIED = 0.5
"""What is left of a passage's measure where the question is about the opposite."""

FOREIGN = 0.85
"""What is left of it where a passage of the same script lacks a name or figure of the question."""

MIXED = 0.1
"""CJK in a passage (`ragkit.text.words.cjk_share`) from which a CJK question is as near to it as
to a page in CJK: twelve Chinese questions about other subjects were 0.84 to 0.87 near to manuals
with a tenth to a half, and 0.82 to 0.83 to Chinese pages."""

_CJK = frozenset({"zh", "ja", "ko"})


@dataclass(frozen=True, slots=True)
class Ends:
    """Cosines of an embedder, or leads, that mean nothing (``low``) and certainty (``high``)."""

    low: float
    high: float

    def place(self, cosine: float) -> float:
        """Where a cosine lies between the ends, in [0, 1]."""
        return min(1.0, max(0.0, (cosine - self.low) / (self.high - self.low)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The ends by language of question and passage.

    ``chinese``: a Chinese question on a passage in ideographs; ``same``: any other pair of one
    script; ``into_cjk`` and ``out_of_cjk``: ideographs, kana or hangul on the passage's side only
    and (but for less than `MIXED`) on the question's side only. Of these two the cosines say
    little, and are used only where the index is too small for a background; ``apart`` are the ends
    of a passage's lead over it (as the WIG of Zhou and Croft, SIGIR 2007, compares scores with the
    collection's). With 120 questions a set on eight indexes, those about other subjects had a lead
    of 0.02 to 0.03 (median), those with an answer 0.05; the AUC of the lead is 0.94 and 0.95, of
    the cosine 0.74 and 0.57.
    """

    chinese: Ends
    same: Ends
    into_cjk: Ends
    out_of_cjk: Ends
    apart: Ends


CALIBRATIONS = {
    "multilingual-e5-small-q4": Calibration(
        chinese=Ends(0.84, 0.92),
        same=Ends(0.78, 0.87),
        into_cjk=Ends(0.70, 0.77),
        out_of_cjk=Ends(0.72, 0.79),
        apart=Ends(0.01, 0.045),
    ),
}
"""By the embedder's name; measured as the module says."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What one passage says for a question, and whether it speaks against it.

    ``nearness`` is its cosine as `Ends.place` places it, 0 where there is none; ``share`` the share
    of the question's content terms that it holds. It ``is_opposite`` to a question about what it
    denies, and ``is_foreign`` to one with a name or figure that it lacks.
    """

    nearness: float
    share: float
    is_opposite: bool
    is_foreign: bool

    def value(self, denied: float = DENIED, foreign: float = FOREIGN) -> float:
        """The measure, in [0, 1]; what is left of it where the passage speaks against."""
        left = denied if self.is_opposite else foreign if self.is_foreign else 1.0
        return max(self.nearness, self.share) * left


def evidence(question: str, hits: Sequence[Hit], embedder: str = "") -> float:
    """Measure how far passages speak about a question.

    Args:
        question: As searched for.
        hits: Best first; possibly none.
        embedder: The name of the embedder that the scores come from.

    Returns:
        Evidence in [0, 1]; 0 without hits. Where neither measure can judge (other script and
        unknown embedder) it is 1: the model decides.
    """
    best = hits[:BEST]
    if not best:
        return 0.0
    calibration = CALIBRATIONS.get(embedder)
    if calibration is not None and any(h.score is not None for h in best):
        return max(measure(question, hit, calibration).value() for hit in best)
    if _is_across(question, best[0]):
        return 1.0
    terms = set(content_terms(question))
    return 1.0 if not terms or any(_share(terms, hit) for hit in best) else 0.0


def measure(question: str, hit: Hit, calibration: Calibration) -> Measure:
    """Measure one passage for a question as searched for."""
    is_opposite = language(question) not in _CJK and denies(question, hit.text)
    return Measure(
        _nearness(question, hit, calibration),
        _share(set(content_terms(question)), hit),
        is_opposite,
        not is_opposite and _is_foreign(question, hit),
    )


def has_evidence(
    question: str, hits: Sequence[Hit], *, embedder: str = "", minimum: float = -1.0
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


def _nearness(question: str, hit: Hit, calibration: Calibration) -> float:
    """Place a passage's cosine; 0 where it is not known."""
    if hit.score is None:
        return 0.0
    asked = language(question)
    if asked not in _CJK and language(hit.text) in _CJK:
        ends = calibration.into_cjk
    elif asked in _CJK and cjk_share(hit.text) < MIXED:
        ends = calibration.out_of_cjk
    else:  # a few kana make a Chinese passage look Japanese, a question hardly ever has any
        ends = calibration.chinese if asked == "zh" else calibration.same
        return ends.place(hit.score)
    if hit.ranks.background is None:
        return ends.place(hit.score)
    return calibration.apart.place(hit.score - hit.ranks.background)


def _share(terms: set[str], hit: Hit) -> float:
    return share_covered(terms, set(content_terms(hit.text)))


def _is_foreign(question: str, hit: Hit) -> bool:
    if _is_across(question, hit):  # names are written in other letters there
        return False
    said = "\n".join([hit.title, *hit.heading, hit.text])
    asked = question[:1].lower() + question[1:]  # its first word may be no name
    return names_missing(asked, said) or figures_missing(asked, said)


def _is_across(question: str, hit: Hit) -> bool:
    """True where question and passage are of different scripts."""
    return (language(question) in _CJK) != (language(hit.text) in _CJK)
