"""Ties a sentence of an answer to the places in the cited passages that say it.

The check is lexical and needs no model, so it can be made again later: it proves that the
words, figures, names and negations of a sentence stand in one place of a passage, not that they
follow from it. A translation therefore counts as unsupported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.query.links import HTML_REMOVED, REMOVED
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.bounds import bounded_otherwise
from ragkit.query.proof.edits import edited
from ragkit.query.proof.entities import names_missing
from ragkit.query.proof.limits import oversteps
from ragkit.query.proof.listed import items_missing
from ragkit.query.proof.marks import find_marks, without_marks
from ragkit.query.proof.negation import opposed
from ragkit.query.proof.numbers import compared_terms, figures_missing
from ragkit.query.proof.opposites import excludes
from ragkit.query.proof.places import headings_of
from ragkit.query.proof.quotation import MIN_QUOTED_WORDS, quoted_span, verbatim_span
from ragkit.query.proof.relations import turned_round
from ragkit.query.proof.roles import roles_swapped
from ragkit.query.proof.scales import measured_otherwise
from ragkit.text.injection import without_injections
from ragkit.text.patterns import late_pattern
from ragkit.text.sentences import sentences
from ragkit.text.words import share_covered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.query.proof.places import CitedPassage, Place
    from ragkit.records import SentenceStatus

MIN_COVERED = {"alphabet": 0.5, "cjk": 0.6}
"""Share of a sentence's content terms that the cited places must hold to support it, by script.

For alphabets the lowest tenth from one half up that reached a precision of 0.97 on the first half
of what ``benchmarks/support.py`` makes. Pairs of Chinese characters coincide more often: they reach
0.97 at one half on the first half of the articles and not on the other, so they keep 0.6.
docs/proof.md has the figures.
"""

_NOTE = late_pattern("|".join(map(re.escape, (REMOVED, HTML_REMOVED))))
"""What stands where a link or HTML was taken out; it says nothing."""

_SEMICOLON = late_pattern(r"；|;(?=\s)")
_LINE_END = late_pattern(r"[ \t]*\n\s*")
_QUOTED = late_pattern(r"“([^“”]+)”|\"([^\"]+)\"|「([^「」]+)」|『([^『』]+)』|«([^«»]+)»")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A text that may say a sentence; ``above`` it stand its title and headings."""

    text: str
    above: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far texts say a sentence: ``score`` is in [0, 1], 1 if it stands word for word."""

    status: SentenceStatus
    score: float


@dataclass(frozen=True, slots=True)
class Support:
    """What the cited passages say to a sentence: a verdict and one place a passage."""

    status: SentenceStatus
    places: tuple[Place, ...] = ()
    score: float = 0.0


_WANTED = (figures_missing, names_missing, items_missing)
"""What says that a place lacks a thing that a sentence names."""
_AGAINST = (
    opposed,
    roles_swapped,
    turned_round,
    excludes,
    measured_otherwise,
    bounded_otherwise,
    oversteps,
    edited,
)
"""What speaks against a sentence, though its figures and names stand there."""


def answer_sentences(text: str) -> list[tuple[int, int]]:
    """Split an answer; marks that follow a sentence's full stop belong to that sentence.

    A mark at the end of a line ends a sentence too, whatever stands before it. Clauses that end in
    a semicolon are one sentence with what follows them, up to the first mark.
    """
    spans: list[tuple[int, int]] = []
    marks = {m.start: m.end for m in find_marks(text)}
    cuts = [m.span() for end in marks.values() if (m := _LINE_END.match(text, end))]
    for start, end in _cut(sentences(text), cuts):
        begin = start
        while begin in marks:
            begin = marks[begin]
            begin += len(text[begin:end]) - len(text[begin:end].lstrip(" \n.。"))
        if begin > start and spans:
            spans[-1] = (spans[-1][0], start + len(text[start:begin].rstrip()))
        else:
            begin = start
        if begin < end:
            spans.append((begin, end))
    return list(_with_clauses(text, spans, sorted(marks)))


def _with_clauses(
    text: str, spans: Sequence[tuple[int, int]], marks: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Join each clause without a mark that ends in a semicolon to what follows it."""
    begin: int | None = None
    for number, (start, end) in enumerate(spans):
        begin = start if begin is None else begin
        is_marked = any(begin <= mark < end for mark in marks)
        follows = number + 1 < len(spans) and "\n\n" not in text[end : spans[number + 1][0]]
        if not is_marked and follows and text[:end].endswith(("；", ";")):
            continue
        yield begin, end
        begin = None


def _cut(
    spans: Sequence[tuple[int, int]], cuts: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Take cuts out of spans."""
    for start, end in spans:
        inner = [cut for cut in cuts if start < cut[0] < end]
        starts, ends = (start, *(right for _, right in inner)), (*(left for left, _ in inner), end)
        yield from zip(starts, ends, strict=True)


def check_sentence(sentence: str, cited: Sequence[CitedPassage]) -> Support:
    """Judge one sentence of an answer against the passages that it cites.

    Args:
        sentence: With or without its marks.
        cited: The passages that its marks name, each once.

    Returns:
        ``uncited`` if no passage is cited, else as `judge` finds for the places that fit best.
        Every cited passage has one, even if nothing in it fits.
    """
    bare = AnalysedText(without_marks(sentence))
    places = tuple(passage.find(bare) for passage in cited)
    evidence = [
        Evidence(p.text[place.start : place.end], (p.title, *headings_of(p, place.start)))
        for p, place in zip((c.passage for c in cited), places, strict=True)
    ]
    verdict = _judge(_stated(bare), evidence)
    return Support(verdict.status, places, verdict.score)


def judge(sentence: str, evidence: Sequence[Evidence]) -> Verdict:
    """Judge a sentence by the places that it cites, and by nothing else.

    Args:
        sentence: Its marks are no part of it.
        evidence: The places. A title or heading that tells a model what to reply
            (`ragkit.text.injection`) says nothing; a place that does is marked by its citation.

    Returns:
        ``uncited``: there is no place. ``quoted``: the sentence stands in one word for word, or
        all that it puts in quotation marks does and the rest is supported. ``supported``: the
        places hold its figures, its names, `MIN_COVERED` of its content terms, and no opposite.
        ``unsupported``: anything else.
    """
    return _judge(_stated(AnalysedText(sentence)), evidence)


def _stated(sentence: AnalysedText) -> AnalysedText:
    """A sentence without its marks and the notes that stand for what was taken out."""
    bare = _NOTE.sub(" ", without_marks(sentence.text))
    return sentence if bare == sentence.text else AnalysedText(bare)


def _judge(sentence: AnalysedText, evidence: Sequence[Evidence]) -> Verdict:
    if not evidence:
        return Verdict("uncited", 0.0)
    above = [without_injections(line) for e in evidence for line in e.above]
    texts = [AnalysedText(e.text) for e in evidence]
    if any(quoted_span(sentence, e) for e in texts):
        return Verdict("quoted", 1.0)
    if _stands(sentence, texts):  # it is cut off from what denies or limits it
        return Verdict("unsupported", 0.0)
    quotations = [
        AnalysedText(next(filter(None, m.groups()))) for m in _QUOTED.finditer(sentence.text)
    ]
    quotations = [q for q in quotations if len(q.words) >= MIN_QUOTED_WORDS]
    if not all(_stands(quotation, texts) for quotation in quotations):
        return Verdict("unsupported", 0.0)
    score = min(_score(clause, texts, above) for clause in _clauses(sentence))
    if score < least_covered(sentence):
        return Verdict("unsupported", score)
    return Verdict("quoted" if quotations else "supported", score)


def least_covered(sentence: AnalysedText) -> float:
    """The entry of `MIN_COVERED` that holds for a sentence."""
    return MIN_COVERED["cjk" if sentence.is_cjk else "alphabet"]


def _clauses(sentence: AnalysedText) -> list[AnalysedText]:
    """What a semicolon parts, each to be proved; the sentence itself if nothing does."""
    parts = [AnalysedText(p) for p in _SEMICOLON.split(sentence.text)]
    parts = [part for part in parts if part.words]
    return parts if len(parts) > 1 else [sentence]


def _stands(text: AnalysedText, evidence: Sequence[AnalysedText]) -> bool:
    return any(verbatim_span(text, e) for e in evidence)


def _score(sentence: AnalysedText, evidence: Sequence[AnalysedText], above: Sequence[str]) -> float:
    """How far texts say a sentence, in [0, 1]: the share of its content terms that they hold.

    It is 0 if they lack a figure or a name of the sentence, or say the opposite or the reverse. A
    name may stand in a title or heading, which often names it once and for all.
    """
    said = evidence[0] if len(evidence) == 1 else AnalysedText("\n".join(e.text for e in evidence))
    whole = AnalysedText("\n".join([*above, said.text])) if above else said
    if any(lacks(sentence, whole) for lacks in _WANTED):
        return 0.0
    if any(speaks(sentence, said) for speaks in _AGAINST):
        return 0.0
    return share_covered(compared_terms(sentence), compared_terms(whole))
