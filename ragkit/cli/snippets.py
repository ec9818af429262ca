"""What is shown of a passage that was found: the part that has the words of the question."""

from __future__ import annotations

import re
from typing import NamedTuple

from ragkit.cli.output import QUOTE_CHARS, shortened
from ragkit.text.sentences import sentences
from ragkit.text.words import content_terms

_PIECE = re.compile(r"[^\s，。！？；：、]+[\s，。！？；：、]*")
_LEAD = 40  # characters shown before the first such word where its sentence begins too far away


class _Piece(NamedTuple):
    """A word, or a run of Chinese between signs, that has terms of the question."""

    start: int
    end: int
    terms: frozenset[str]


def snippet(text: str, question: str, limit: int = QUOTE_CHARS) -> str:
    """The part of a passage that has most of a question's terms, on one line.

    It is the beginning of the passage unless another part has more of them.

    Args:
        text: The passage.
        question: Each of its content terms counts once.
        limit: Most characters, besides the signs for what is left out.

    >>> snippet("Form 7. Staff only. The notice period is a month.", "notice period", 30)
    '… The notice period is a month.'
    """
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    pieces = _pieces(line, frozenset(content_terms(question)))
    ahead = set[str]().union(*(piece.terms for piece in pieces if piece.end <= limit))
    most, first, last = max(
        (_window(pieces[number:], limit) for number in range(len(pieces))),
        key=lambda window: window[0],
        default=(0, 0, 0),
    )
    if most <= len(ahead):
        return shortened(line, limit)
    return f"… {shortened(line[_start(line, first, last, limit) :], limit)}"


def _pieces(line: str, wanted: frozenset[str]) -> list[_Piece]:
    found = (
        _Piece(m.start(), m.end(), wanted.intersection(content_terms(m[0])))
        for m in _PIECE.finditer(line)
    )
    return [piece for piece in found if piece.terms]


def _window(pieces: list[_Piece], limit: int) -> tuple[int, int, int]:
    """How many terms a part has that begins with the first piece, and from where to where."""
    start, end = pieces[0].start, pieces[0].end
    terms: set[str] = set()
    for piece in pieces:
        if piece.end - start > limit:
            break
        if not piece.terms <= terms:
            terms |= piece.terms
            end = piece.end
    return len(terms), start, end


def _start(line: str, first: int, last: int, limit: int) -> int:
    """Where to begin so that what stands from `first` to `last` is shown, best at a sentence."""
    earliest = max(0, last - limit)
    begun = max((start for start, _ in sentences(line[:last]) if start <= first), default=0)
    if begun >= earliest:
        return begun
    words = (m.start() for m in _PIECE.finditer(line, 0, first))
    return next((word for word in words if word >= max(earliest, first - _LEAD)), first)
