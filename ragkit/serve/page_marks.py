"""Finds the words of a passage among the letters of a page, which another reader found there."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_JOINED = 1.2
"""Two letters of a line belong together if no more than so many of their heights part them."""


class FoundWords(NamedTuple):
    """The places of the letters that were found, and whether all were."""

    places: list[int]
    is_whole: bool


def find_words(wanted: str, letters: str, near: float = 0.0) -> FoundWords:
    r"""Find a passage among the letters of a page, letters and digits counting alone.

    What stands nowhere in one piece is looked for line by line, since readers differ in the order
    of what stands side by side.

    Args:
        wanted: The passage's words on the page.
        letters: Of the page.
        near: Where on the page the passage begins, of 0 to 1; of several places the nearest counts.

    >>> find_words("the fee", "Thefee is: thefee", near=0.9)
    FoundWords(places=[11, 12, 13, 14, 15, 16], is_whole=True)
    >>> find_words("the fee\nis lost", "Thefee is five")
    FoundWords(places=[0, 1, 2, 3, 4, 5], is_whole=False)
    """
    page, at = _folded(letters)
    target = round(near * len(page))
    whole, _ = _folded(wanted)
    if not whole:
        return FoundWords([], is_whole=True)
    start = _nearest(whole, page, target)
    if start >= 0:
        return FoundWords(_places(at, start, len(whole)), is_whole=True)
    places, is_whole = set[int](), True
    for line in wanted.split("\n"):
        piece, _ = _folded(line)
        start = _nearest(piece, page, target) if piece else 0
        if start < 0:
            is_whole = False
            continue
        places.update(_places(at, start, len(piece)))
        target = start + len(piece)
    return FoundWords(sorted(places), is_whole)


def line_boxes(boxes: Iterable[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """Join the boxes of letters that follow each other on a line.

    >>> line_boxes([(0, 0, 1, 1), (1.1, 0, 2, 1), (0, 2, 1, 3)])
    ((0, 0, 2, 1), (0, 2, 1, 3))
    """
    joined: list[tuple[float, ...]] = []
    for box in boxes:
        if joined and _follows(joined[-1], box):
            last = joined[-1]
            joined[-1] = (
                min(last[0], box[0]),
                min(last[1], box[1]),
                max(last[2], box[2]),
                max(last[3], box[3]),
            )
        else:
            joined.append(tuple(box))
    return tuple(joined)


def _follows(line: Sequence[float], box: Sequence[float]) -> bool:
    height = min(line[3] - line[1], box[3] - box[1])
    shared = min(line[3], box[3]) - max(line[1], box[1])
    return shared > height / 2 and -height < box[0] - line[2] < _JOINED * height


def _nearest(piece: str, page: str, target: int) -> int:
    """The beginning of a piece in a page, the nearest to a place if many; -1: there is none."""
    found, start = -1, page.find(piece)
    while start >= 0:
        if found < 0 or abs(start - target) < abs(found - target):
            found = start
        start = page.find(piece, start + 1)
    return found


def _places(at: Sequence[int], start: int, count: int) -> list[int]:
    return sorted(set(at[start : start + count]))


def _folded(text: str) -> tuple[str, list[int]]:
    """A text's letters and digits, alike however they are written, and whence each is."""
    found: list[str] = []
    at: list[int] = []
    for place, char in enumerate(text):
        for part in unicodedata.normalize("NFKC", char).casefold():
            if part.isalnum():
                found.append(part)
                at.append(place)
    return "".join(found), at
