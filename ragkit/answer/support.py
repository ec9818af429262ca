"""Ties a sentence of an answer to the places in the cited passages that say it.

The check is lexical and needs no model, so it can be made again later: it proves that the
words, figures and negations of a sentence stand in a passage, not that they follow from it.
A translation therefore counts as unsupported.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.answer.figures import figures, figures_read, negated
from ragkit.answer.markers import find_marks, without_marks
from ragkit.answer.terms import content_terms, share_covered
from ragkit.text import is_cjk, sentences, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import Passage, SentenceStatus

MIN_COVERED = 0.6
"""Share of a sentence's content terms that the cited places must hold to support it.

Measured with ``benchmarks/support.py``. Statements are a question and its gold answer (XQuAD,
400 a language), expert claims (SciFact), or sentences of the passage:

=====================================================  =======  =======  =======
judged `quoted` or `supported` by                      English  Chinese  SciFact
=====================================================  =======  =======  =======
the passage that says it, in other words                  0.83     0.68     0.37
the passage that says it, one word in four left out       0.93     0.97
another passage of the article (SciFact: any)             0.00     0.00     0.00
the same passage after figures were changed               0.10     0.02
the same passage after a negation was put in              0.01     0.33
the abstract that contradicts the claim                                     0.32
=====================================================  =======  =======  =======

At 0.5 the first row is 0.90, 0.81, 0.60, the third 0.01, 0.01, 0.00, the last 0.50. A wrong
name that stands in the same place of the passage is beyond such a check.
"""

MIN_QUOTED_WORDS = 3
"""Shortest verbatim text that is called a quotation: words, or pairs of CJK characters."""

_LONGEST_PLACE = 3
_PENALTY = 0.15
"""What a further sentence must add to the terms covered to widen a place."""

_QUOTED = re.compile(r"“([^“”]+)”|\"([^\"]+)\"|「([^「」]+)」|『([^『』]+)』|«([^«»]+)»")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage speaks for a sentence: offsets in the passage's text, half-open."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Support:
    """What the cited passages say to a sentence: a verdict and one place a passage."""

    status: SentenceStatus
    places: tuple[Place, ...] = ()


def answer_sentences(text: str) -> list[tuple[int, int]]:
    """Split an answer; marks that follow a sentence's full stop belong to that sentence."""
    spans: list[tuple[int, int]] = []
    marks = {m.start: m.end for m in find_marks(text)}
    for start, end in sentences(text):
        begin = start
        while begin in marks:
            begin = marks[begin]
            begin += len(text[begin:end]) - len(text[begin:end].lstrip(" .。"))
        if begin > start and spans:
            spans[-1] = (spans[-1][0], start + len(text[start:begin].rstrip()))
        else:
            begin = start
        if begin < end:
            spans.append((begin, end))
    return spans


def check_sentence(sentence: str, cited: Sequence[Passage]) -> Support:
    """Judge one sentence of an answer against the passages that it cites.

    Args:
        sentence: With or without its marks.
        cited: The passages that its marks name, each once.

    Returns:
        ``quoted``: the sentence stands in a passage word for word, or all that it puts in
        quotation marks does and the rest is supported. ``supported``: the places found hold
        every figure, `MIN_COVERED` of the content terms, and no opposite negation.
        ``uncited``: no passage is cited. ``unsupported``: anything else. Every cited passage
        has a place, be it the whole passage where nothing in it fits.
    """
    if not cited:
        return Support("uncited")
    bare = without_marks(sentence)
    exact = [p for p in (find_verbatim(bare, c) for c in cited) if p]
    if exact:
        found = {p.number for p in exact}
        others = [best_place(bare, c) for c in cited if c.number not in found]
        return Support("quoted", tuple(sorted([*exact, *others], key=lambda p: p.number)))
    places = tuple(best_place(bare, c) for c in cited)
    quotations = [next(filter(None, m.groups())) for m in _QUOTED.finditer(bare)]
    quotations = [q for q in quotations if len(words(q)) >= MIN_QUOTED_WORDS]
    verbatim = all(any(find_verbatim(q, c) for c in cited) for q in quotations)
    evidence = "\n".join(c.text[p.start : p.end] for c, p in zip(cited, places, strict=True))
    if not verbatim or not _says(evidence, bare):
        return Support("unsupported", places)
    return Support("quoted" if quotations else "supported", places)


def find_verbatim(sentence: str, passage: Passage) -> Place | None:
    """Find a text word for word in a passage; case, white space and punctuation aside.

    Text of fewer than `MIN_QUOTED_WORDS` words is never found: it could stand anywhere.
    """
    if len(words(sentence)) < MIN_QUOTED_WORDS:
        return None
    needle, _ = fold(sentence)
    hay, offsets = fold(passage.text)
    begin = hay.find(needle)
    while begin >= 0:
        end = begin + len(needle)
        if _parted(hay, begin) and _parted(hay, end):
            return Place(passage.number, offsets[begin], offsets[end - 1] + 1)
        begin = hay.find(needle, begin + 1)
    return None


def best_place(sentence: str, passage: Passage) -> Place:
    """Find the one to three neighbouring sentences of a passage that share most with a text."""
    wanted = _terms(sentence)
    spans = sentences(passage.text)
    held = [_terms(passage.text[start:end]) for start, end in spans]
    best, place = 0.0, Place(passage.number, 0, len(passage.text))
    for first in range(len(spans)):
        covered: set[str] = set()
        for last in range(first, min(first + _LONGEST_PLACE, len(spans))):
            covered |= held[last]
            gain = share_covered(wanted, covered) - _PENALTY * (last - first)
            if gain > best:
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


def _says(evidence: str, sentence: str) -> bool:
    terms = set(content_terms(sentence))
    if not terms or not figures(sentence) <= figures_read(evidence):
        return False
    if share_covered(terms, set(content_terms(evidence))) < MIN_COVERED:
        return False
    return not (_turned(sentence, evidence) or _turned(evidence, sentence))


def _turned(one: str, other: str) -> bool:
    """True where one text negates a word that the other states without any negation."""
    stated = set(content_terms(other)) - negated(other)
    return any(word in stated for word in negated(one))
