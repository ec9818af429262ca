"""Where in a passage does it say what a sentence says?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.numbers import compared_terms
from ragkit.query.proof.quotation import quoted_span
from ragkit.text.injection import find_injections, spans_without
from ragkit.text.markdown import headings_above
from ragkit.text.sentences import sentences
from ragkit.text.words import share_covered

if TYPE_CHECKING:
    from collections.abc import Set

    from ragkit.records import Passage

_PENALTY = 0.25
"""What a second sentence must add to the terms covered to widen a place."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage speaks for a sentence: offsets in the passage's text, half-open."""

    number: int
    start: int
    end: int


def headings_of(passage: Passage, start: int) -> tuple[str, ...]:
    """The headings above a place of a passage; those of the passage where a text has none."""
    if not passage.heading:
        return passage.heading
    return headings_above(passage.text, start, passage.heading)


class _Part(NamedTuple):
    """A stretch of a passage: a sentence that speaks to a model, or what stands between two."""

    start: int
    text: AnalysedText
    to_model: bool


class _Statement(NamedTuple):
    """A sentence of a passage: its offsets, the part in which it stands, what it is found by."""

    start: int
    end: int
    part: int
    terms: Set[str]


class CitedPassage:
    """A passage in which sentences of an answer are looked up; it is analysed once for all.

    A place never runs from what tells a model what to reply (`ragkit.text.injection`) into what
    does not, so that a citation of the former can be marked.

    Attributes:
        passage: As the model was given it.
    """

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self._parts = [*_parts(passage.text, to_model=False), *_parts(passage.text, to_model=True)]

    @cached_property
    def _statements(self) -> list[_Statement]:
        return [
            _Statement(
                part.start + a, part.start + b, i, compared_terms(AnalysedText(part.text.text[a:b]))
            )
            for i, part in enumerate(self._parts)
            for a, b in sentences(part.text.text)
        ]

    def find(self, sentence: AnalysedText) -> Place:
        """Find a sentence word for word, or else what shares most of its terms and figures.

        Words that are cut off from what denies or limits them in their sentence are not found so.
        That is one sentence of the passage or two neighbouring ones, or as many as the sentence
        has clauses with a semicolon and one more; the longest stretch between sentences to a model
        if none shares any. Of equals, one that speaks to no model.
        """
        for part in self._parts:
            if span := quoted_span(sentence, part.text):
                return self._place(part.start + span[0], part.start + span[1])
        clauses = len(sentences(sentence.text))
        return self._best_place(compared_terms(sentence), clauses)

    def _best_place(self, wanted: Set[str], clauses: int) -> Place:
        """As many neighbours as the sentence has clauses, or one more that adds enough."""
        others = [part for part in self._parts if not part.to_model and part.text.words]
        widest = max(others or self._parts, key=lambda part: len(part.text.text))
        place = self._place(widest.start, widest.start + len(widest.text.text))
        best, statements = 0.0, self._statements
        for i, first in enumerate(statements):
            held: Set[str] = frozenset()
            for count, last in enumerate(statements[i : i + 1 + clauses], start=1):
                held = held | last.terms
                gain = share_covered(wanted, held) - (_PENALTY if count > clauses else 0.0)
                if gain > best and first.part == last.part:
                    best, place = gain, self._place(first.start, last.end)
        return place

    def _place(self, start: int, end: int) -> Place:
        return Place(self.passage.number, start, end)


def _parts(text: str, *, to_model: bool) -> list[_Part]:
    spans = find_injections(text) if to_model else spans_without(text)
    return [_Part(a, AnalysedText(text[a:b]), to_model) for a, b in spans]
