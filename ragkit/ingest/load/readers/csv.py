"""CSV and TSV: every row becomes a line that explains itself, ``name: value; name: value``."""

from __future__ import annotations

import csv
import re
from io import StringIO
from itertools import islice
from statistics import mode
from typing import TYPE_CHECKING

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_DELIMITERS = ",;\t|"
_SAMPLE_CHARS = 65_536
_SAMPLE_ROWS = 50
_NUMBER = re.compile(r"[\s\d.,:/%+\-€$£¥]*\d[\s\d.,:/%+\-€$£¥]*")


def read_csv(data: bytes, name: str) -> Parsed:
    """Read delimiter-separated rows, one line each; empty cells are left out.

    The first row names the columns unless one of its cells is a number. Cells without a name
    are called ``column N``. Line ends within a cell become spaces.

    Raises:
        LoadError: A row cannot be read; names the line.
    """
    text, encoding, metadata = decode_text(data, name)
    csv.field_size_limit(2**31 - 1)  # the module's only limit is global; ours is the file's size
    rows = _rows(text, guess_delimiter(text), name)
    lines = list(_lines(rows))
    return Parsed("\n".join(lines), "", encoding, metadata=metadata)


def guess_delimiter(text: str) -> str:
    """Choose the delimiter that cuts the first rows into the most columns, most evenly.

    The standard library's Sniffer was not used: it guesses letters as delimiters, and its
    regular expressions take time quadratic in the sample on unlucky quotes.
    """
    sample = text[:_SAMPLE_CHARS]
    if len(text) > len(sample) and "\n" in sample:
        sample = sample[: sample.rindex("\n")]
    return max(_DELIMITERS, key=lambda d: _evenness(sample, d))


def _evenness(sample: str, delimiter: str) -> float:
    try:
        reader = csv.reader(StringIO(sample, newline="\n"), delimiter=delimiter)
        widths = [len(row) for row in islice(reader, _SAMPLE_ROWS) if row]
    except csv.Error:
        return 0.0
    usual = mode(widths) if widths else 1
    return (usual - 1) * (widths.count(usual) / len(widths)) ** 2 if usual > 1 else 0.0


def _rows(text: str, delimiter: str, name: str) -> Iterator[list[str]]:
    reader = csv.reader(StringIO(text, newline="\n"), delimiter=delimiter)
    try:
        for row in reader:
            cells = [" ".join(cell.split()) for cell in row]
            if any(cells):
                yield cells
    except csv.Error as exc:
        msg = f"not readable as CSV at line {reader.line_num}: {exc}"
        raise LoadError(msg, name) from exc


def _lines(rows: Iterator[list[str]]) -> Iterator[str]:
    first = next(rows, [])
    header = [] if any(_NUMBER.fullmatch(cell) for cell in first) else first
    body = _chain(first, rows) if not header else rows
    empty = True
    for row in body:
        empty = False
        yield "; ".join(f"{_column(header, i)}: {cell}" for i, cell in enumerate(row) if cell)
    if empty and header:
        yield "; ".join(cell for cell in header if cell)


def _chain(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    if first:
        yield first
    yield from rest


def _column(header: list[str], index: int) -> str:
    return (header[index] if index < len(header) else "") or f"column {index + 1}"
