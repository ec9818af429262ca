"""Ties a sentence of an answer to the places in the cited passages that say it.

The check is lexical and needs no model, so it can be made again later: it proves that the
words, figures, names and negations of a sentence stand in one place of a passage, not that they
follow from it. A translation therefore counts as unsupported.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.query.links import HTML_REMOVED, REMOVED
from ragkit.query.proof.marks import find_marks, without_marks
from ragkit.query.proof.names import names_missing
from ragkit.query.proof.negation import opposed
from ragkit.query.proof.numbers import figures, figures_missing
from ragkit.text.injection import spans_without, without_injections
from ragkit.text.scripts import is_cjk
from ragkit.text.sentences import sentences
from ragkit.text.words import content_terms, share_covered, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.records import Passage, SentenceStatus

MIN_COVERED = 0.6
"""Share of a sentence's content terms that the cited places must hold to support it.

The lowest tenth from one half up that reached a precision of 0.97 in English and in Chinese on
the first half of what ``benchmarks/support.py`` makes; docs/proof.md has the other half's figures.
"""

MIN_QUOTED_WORDS = 3
"""Shortest verbatim text that is called a quotation: words, or pairs of CJK characters."""

_PENALTY = 0.25
"""What a second sentence must add to the terms covered to widen a place."""

_NOTE = re.compile("|".join(map(re.escape, (REMOVED, HTML_REMOVED))))
"""What stands where a link or HTML was taken out; it says nothing."""

_LINE_END = re.compile(r"[ \t]*\n\s*")
_QUOTED = re.compile(r"“([^“”]+)”|\"([^\"]+)\"|「([^「」]+)」|『([^『』]+)』|«([^«»]+)»")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage speaks for a sentence: offsets in the passage's text, half-open."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """A text that may say a sentence; ``above`` it stand its title and headings."""

    text: str
    above: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far texts say a sentence: ``score`` is in [0, 1], 1 where it stands word for word."""

    status: SentenceStatus
    score: float


@dataclass(frozen=True, slots=True)
class Support:
    """What the cited passages say to a sentence: a verdict and one place a passage."""

    status: SentenceStatus
    places: tuple[Place, ...] = ()
    score: float = 0.0


def answer_sentences(text: str) -> list[tuple[int, int]]:
    """Split an answer; marks that follow a sentence's full stop belong to that sentence.

    A mark at the end of a line ends a sentence too, whatever stands before it.
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
    return spans


def _cut(
    spans: Sequence[tuple[int, int]], cuts: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Take cuts out of spans."""
    for start, end in spans:
        inner = [cut for cut in cuts if start < cut[0] < end]
        starts, ends = (start, *(right for _, right in inner)), (*(left for left, _ in inner), end)
        yield from zip(starts, ends, strict=True)


def check_sentence(sentence: str, cited: Sequence[Passage]) -> Support:
    """Judge one sentence of an answer against the passages that it cites.

    Args:
        sentence: With or without its marks.
        cited: The passages that its marks name, each once.

    Returns:
        ``uncited`` where no passage is cited, else as `judge` finds for the places that fit best.
        Every cited passage has one, be it the longest stretch between orders to the model
        (`ragkit.text.injection`) where nothing in it fits; none runs across such an order.
    """
    bare = without_marks(sentence)
    places = tuple(find_verbatim(bare, c) or best_place(bare, c) for c in cited)
    pairs = zip(cited, places, strict=True)
    verdict = judge(
        bare, [Evidence(c.text[p.start : p.end], (c.title, *c.heading)) for c, p in pairs]
    )
    return Support(verdict.status, places, verdict.score)


def judge(sentence: str, evidence: Sequence[Evidence]) -> Verdict:
    """Judge a sentence by the places that it cites, and by nothing else.

    Args:
        sentence: Its marks are no part of it.
        evidence: The places. What gives orders to the model in them (`ragkit.text.injection`) says
            nothing.

    Returns:
        ``uncited``: there is no place. ``quoted``: the sentence stands in one word for word, or
        all that it puts in quotation marks does and the rest is supported. ``supported``: the
        places hold its figures, its names, `MIN_COVERED` of its content terms, and no opposite.
        ``unsupported``: anything else.
    """
    if not evidence:
        return Verdict("uncited", 0.0)
    bare = _NOTE.sub(" ", without_marks(sentence))
    evidence = [
        Evidence(without_injections(e.text), tuple(map(without_injections, e.above))) for e in evidence
    ]
    if _stands(bare, evidence):
        return Verdict("quoted", 1.0)
    quotations = [next(filter(None, m.groups())) for m in _QUOTED.finditer(bare)]
    quotations = [q for q in quotations if len(words(q)) >= MIN_QUOTED_WORDS]
    if not all(_stands(quotation, evidence) for quotation in quotations):
        return Verdict("unsupported", 0.0)
    score = weigh(bare, evidence)
    if score < MIN_COVERED:
        return Verdict("unsupported", score)
    return Verdict("quoted" if quotations else "supported", score)


def weigh(sentence: str, evidence: Sequence[Evidence]) -> float:
    """How far texts say a sentence, in [0, 1]: the share of its content terms that they hold.

    It is 0 where they lack a figure or a name of the sentence, or say the opposite. A name may
    stand in a title or heading, where it often stands once and for all.
    """
    said = "\n".join(e.text for e in evidence)
    whole = "\n".join([*(line for e in evidence for line in e.above), said])
    if figures_missing(sentence, whole) or names_missing(sentence, whole):
        return 0.0
    if opposed(sentence, said):
        return 0.0
    return share_covered(set(content_terms(sentence)), set(content_terms(whole)))


def _stands(text: str, evidence: Sequence[Evidence]) -> bool:
    return any(verbatim_span(text, e.text) for e in evidence)


def find_verbatim(sentence: str, passage: Passage) -> Place | None:
    """Find a text word for word in a passage, not across an order; see `verbatim_span`."""
    for begin, stop in spans_without(passage.text):
        if span := verbatim_span(sentence, passage.text[begin:stop]):
            return Place(passage.number, begin + span[0], begin + span[1])
    return None


def verbatim_span(sentence: str, text: str) -> tuple[int, int] | None:
    """Find where a sentence stands in a text; case, white space and punctuation aside.

    A sentence of fewer than `MIN_QUOTED_WORDS` words is never found: it could stand anywhere.
    """
    if len(words(sentence)) < MIN_QUOTED_WORDS:
        return None
    needle, _ = fold(sentence)
    hay, offsets = fold(text)
    begin = hay.find(needle)
    while begin >= 0:
        end = begin + len(needle)
        if _parted(hay, begin) and _parted(hay, end):
            return offsets[begin], offsets[end - 1] + 1
        begin = hay.find(needle, begin + 1)
    return None


def best_place(sentence: str, passage: Passage) -> Place:
    """Find the one or two neighbouring sentences of a passage that share most with a text."""
    wanted = _terms(sentence)
    free = spans_without(passage.text)
    spans = [
        (begin + start, begin + end, stop)
        for begin, stop in free
        for start, end in sentences(passage.text[begin:stop])
    ]
    held = [_terms(passage.text[start:end]) for start, end, _ in spans]
    widest = max(free, key=lambda span: span[1] - span[0])
    best, place = 0.0, Place(passage.number, *widest)
    for first in range(len(spans)):
        for last in range(first, min(first + 2, len(spans))):
            gain = share_covered(wanted, held[first] | held[last]) - _PENALTY * (last - first)
            if gain > best and spans[first][2] == spans[last][2]:
                best, place = gain, Place(passage.number, spans[first][0], spans[last][1])
    return place


def fold(text: str) -> tuple[str, list[int]]:
    """Reduce a text to what a quotation must keep, with the offset of each character kept.

    Letters and digits stay, folded in case and width; so do decimal points, per cent signs
    and a minus before a figure. Between two words of an alphabet one space stays.
    """
    chars: list[str] = []
    offsets: list[int] = []
    apart = False
    for i, raw in enumerate(text):
        folded = unicodedata.normalize("NFKC", raw).casefold()
        if not _kept(folded, text[i - 1 : i], text[i + 1 : i + 2]):
            apart = apart or unicodedata.category(raw) != "Cf"
            continue
        if apart and chars and not (is_cjk(chars[-1]) or is_cjk(folded[0])):
            chars.append(" ")
            offsets.append(i)
        chars += folded
        offsets += [i] * len(folded)
        apart = False
    return "".join(chars), offsets


def _kept(folded: str, before: str, after: str) -> bool:
    if folded in (".", "-", "−"):
        return after.isdigit() and (before.isdigit() if folded == "." else not before.isalnum())
    return folded == "%" or (folded.isalnum() and bool(folded))


def _parted(folded: str, at: int) -> bool:
    """True where no word or figure of a folded text runs across an offset."""
    before, after = folded[at - 1 : at] if at else "", folded[at : at + 1]
    if not before or not after or " " in (before, after):
        return True
    return (is_cjk(before) or is_cjk(after)) and not (before.isdigit() and after == ".")


def _terms(text: str) -> set[str]:
    return set(content_terms(text)) | figures(text)
