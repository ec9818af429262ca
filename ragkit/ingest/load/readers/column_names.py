"""Whether the first row of a table names its columns: told by several signs, not by one."""

from __future__ import annotations

import re
from itertools import pairwise, zip_longest
from statistics import mode
from typing import TYPE_CHECKING

from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = Sequence[str]

SAMPLE_ROWS = 50
"""Rows below the first that are looked at."""

_NUMBER = late_pattern(r"[\s\d.,:/%+\-€$£¥()'’]*\d[\s\d.,:/%+\-€$£¥()'’]*(?:[a-zA-Z%°]{1,3})?")
_DATE = late_pattern(
    r"\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|(?:19|20)\d\d"
)
_LONGEST_NAME = 80
_WORDS_OF_NAME = 8


def names_columns(first: Row, below: Sequence[Row], *, unless: bool = True) -> bool:
    """Say whether the first row of a table names its columns.

    Names are distinct, short, and do not come again below. A figure among them counts against it,
    unless it is a date, a year or one of a row of figures that go up evenly (2021, 2022; 10 %,
    20 %), and what stands below it is of another kind or size. What speaks for it is a column of
    figures below a word.

    Args:
        first: Its cells.
        below: The rows that follow, as many as are known.
        unless: The answer where nothing speaks for or against it.
    """
    cells = [cell.strip() for cell in first]
    filled = [cell for cell in cells if cell]
    if not filled or len(set(filled)) < len(filled) or not below:
        return unless and bool(filled) and not any(map(is_number, filled))
    if any(len(cell) > _LONGEST_NAME for cell in filled):
        return False
    columns = [
        [c for c in column if c] for column in zip_longest(*below[:SAMPLE_ROWS], fillvalue="")
    ]
    columns += [[]] * (len(cells) - len(columns))
    figures = [i for i, cell in enumerate(cells) if is_number(cell)]
    if figures and not _are_names(cells, figures, columns):
        return False
    words = [i for i, cell in enumerate(cells) if cell and i not in figures]
    if any(cells[i] in columns[i] for i in words) and tuple(cells) not in map(tuple, below):
        return False
    told = sum(bool(columns[i]) and all(map(is_number, columns[i])) for i in words)
    return bool(told) or bool(figures) or unless


def is_number(cell: str) -> bool:
    """Say whether a cell is a figure: a number, a date, a time, an amount with its unit.

    >>> [is_number(c) for c in ("1,200.50 €", "07:40", "12 kg", "A4", "")]
    [True, True, True, False, False]
    """
    return _NUMBER.fullmatch(cell) is not None


def _are_names(cells: Row, figures: Sequence[int], columns: Sequence[Sequence[str]]) -> bool:
    """Say whether figures in a first row name columns as dates, years or even steps do."""
    found = [cells[i] for i in figures]
    kinds = [_kind(cell) for cell in found]
    if len(set(kinds)) > 1:
        return False
    below = [_kind(mode(columns[i])) for i in figures if columns[i]]
    if kinds[0] == "date":
        alike = sum(kind == "date" for kind in below)
        return alike * 2 <= len(below) and (len(found) > 1 or len(columns[figures[0]]) > 1)
    if not _is_even(found):
        return False
    words = [cell for i, cell in enumerate(cells) if cell and i not in figures]
    return bool(words) or all(kind == "text" for kind in below)


def _kind(cell: str) -> str:
    if _DATE.fullmatch(cell.strip()):
        return "date"
    if is_number(cell):
        return "percent" if "%" in cell else "number"
    return "text"


def _is_even(cells: Row) -> bool:
    """Say whether three figures or more go up or down by equal steps or factors."""
    numbers = [
        float(re.sub(r"[^\d.]", "", cell.replace(",", ".")) or 0) for cell in cells if _plain(cell)
    ]
    if len(numbers) < max(3, len(cells)):
        return len(numbers) == len(cells) == 2 and "%" in cells[0]
    steps = {round(b - a, 6) for a, b in pairwise(numbers)}
    factors = {round(b / a, 6) for a, b in pairwise(numbers) if a}
    return (len(steps) == 1 or len(factors) == 1) and 0 not in steps


def _plain(cell: str) -> bool:
    return len(re.sub(r"[^.,]", "", cell)) <= 1 and bool(re.search(r"\d", cell))
