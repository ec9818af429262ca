"""What is seen on a sheet beside the values of its cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ragkit.ingest.load.readers.number_formats import NumberFormat

    Range: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SheetLook:
    """How a sheet looks. Rows and columns count from 0; cells are named by `cell_key`.

    Attributes:
        shown: What a cell shows, or the format in which it shows its number.
        merged: The first and last row and column of merged cells.
        comments: What was written to a cell, in brackets.
        drawn: Lines of what lies over the cells: text boxes, names of charts and pictures.
        unknown: The numbers of formulas whose values the file does not hold.
        hidden_rows: Rows that were hidden by hand: not by a filter, nor as a group that is closed.
        hidden_columns: Columns that were hidden so.
    """

    shown: dict[int, NumberFormat | str] = field(default_factory=dict)
    merged: list[Range] = field(default_factory=list)
    comments: dict[int, str] = field(default_factory=dict)
    drawn: list[str] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)

    def comment(self, cell: int, author: str, text: str) -> None:
        """Note a comment to a cell, behind those that it has."""
        text = " ".join(text.split())
        text = text.removeprefix(f"{author}:").strip() if author else text
        if text:
            said = f"[Comment by {author}: {text}]" if author else f"[Comment: {text}]"
            self.comments[cell] = f"{self.comments.get(cell, '')} {said}".strip()

    def draw(self, text: str) -> None:
        """Note a line of what lies over the cells; none of white space alone."""
        if text := " ".join(text.split()):
            self.drawn.append(text)


def cell_key(row: int, column: int) -> int:
    """One number for a cell, both from 0.

    >>> divmod(cell_key(3, 2), 1 << 14)
    (3, 2)
    """
    return row << 14 | column


def cell_place(key: int) -> tuple[int, int]:
    """The row and column of a `cell_key`."""
    return key >> 14, key & 0x3FFF


def column_number(letters: str) -> int:
    """The number of a column, from 0.

    >>> [column_number(name) for name in ("A", "Z", "AA")]
    [0, 25, 26]
    """
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def is_worth_saying(alternative: str) -> bool:
    """Whether a picture's text alternative says something: some words, or one in other letters."""
    return len(alternative.split()) > 1 or not alternative.isascii()
