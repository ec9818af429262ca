"""Where in a passage does it say what a sentence says?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.numbers import stated_figures
from ragkit.query.proof.quotation import verbatim_span
from ragkit.text.injection import spans_without
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


class _Part(NamedTuple):
    """A stretch of a passage between two sentences that speak to the model."""

    start: int
    text: AnalysedText


class _Statement(NamedTuple):
    """A sentence of a passage: its offsets, the part in which it stands, what it is found by."""

    start: int
    end: int
    part: int
    terms: Set[str]


class CitedPassage:
    """A passage in which sentences of an answer are looked up; it is analysed once for all.

    A place never runs across a sentence that tells the model what to reply
    (`ragkit.text.injection`).

    Attributes:
        passage: As the model was given it.
    """

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        text = passage.text
        self._parts = [_Part(a, AnalysedText(text[a:b])) for a, b in spans_without(text)]

    @cached_property
    def _statements(self) -> list[_Statement]:
        return [
            _Statement(part.start + a, part.start + b, i, _terms(AnalysedText(part.text.text[a:b])))
            for i, part in enumerate(self._parts)
            for a, b in sentences(part.text.text)
        ]

    def find(self, sentence: AnalysedText) -> Place:
        """Find a sentence word for word, or else what shares most of its terms and figures.

        That is one sentence of the passage or two neighbouring ones; the longest stretch between
        sentences to the model if none shares any.
        """
        for part in self._parts:
            if span := verbatim_span(sentence, part.text):
                return self._place(part.start + span[0], part.start + span[1])
        return self._best_place(_terms(sentence))

    def _best_place(self, wanted: Set[str]) -> Place:
        widest = max(self._parts, key=lambda part: len(part.text.text))
        place = self._place(widest.start, widest.start + len(widest.text.text))
        best, statements = 0.0, self._statements
        for i, first in enumerate(statements):
            for last in statements[i : i + 2]:
                covered = share_covered(wanted, first.terms | last.terms)
                gain = covered - (_PENALTY if last is not first else 0.0)
                if gain > best and first.part == last.part:
                    best, place = gain, self._place(first.start, last.end)
        return place

    def _place(self, start: int, end: int) -> Place:
        return Place(self.passage.number, start, end)


def _terms(text: AnalysedText) -> Set[str]:
    return text.terms | {value for value, _ in text.once(stated_figures)}
