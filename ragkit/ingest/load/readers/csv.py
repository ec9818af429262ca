"""CSV and TSV: every row becomes a line that explains itself, ``name: value; name: value``."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from io import StringIO
from itertools import chain, islice
from statistics import mode
from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.column_names import SAMPLE_ROWS, names_columns
from ragkit.ingest.load.readers.text import decode_text
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DELIMITERS = ",;\t|"
_SAMPLE_CHARS = 65_536
_SEPARATOR = late_pattern(r'\A"?sep=(.)"?[ \t]*(?:\n|\Z)', re.IGNORECASE)
_COMMENTS = late_pattern(r"\A(?:[ \t]*#[^\n]*(?:\n|\Z))+")
_ESCAPED = late_pattern(r'(?<!\\)\\"(?![,;\t|\r\n]|\Z)')
_MOST_TITLES = 10
_EVEN = 0.95


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a file is written: its delimiter, "" where it is of one column, and its escapes."""

    delimiter: str
    escapes: bool


def read_csv(data: bytes, name: str) -> Parsed:
    r"""Read delimiter-separated rows, one line each; empty cells are left out.

    Lines above the table (titles, ``#`` comments) stand before it; ``sep=;`` only names the
    delimiter. The first row names the columns unless its cells tell otherwise (`names_columns`).
    Cells without a name are called ``column N``. Line ends within a cell become spaces. A quote
    that nothing closes is a character like any other; ``\"`` within quotes is a quote.

    Raises:
        LoadError: A row cannot be read; names the line.
    """
    text, encoding, metadata = decode_text(data, name)
    csv.field_size_limit(2**31 - 1)  # the module's only limit is global; ours is the file's size
    stated = _SEPARATOR.match(text)
    text = text[stated.end() :] if stated else text
    comments = _COMMENTS.match(text)
    above = [line.strip(" \t#") for line in comments[0].split("\n")] if comments else []
    text = text[comments.end() :] if comments else text
    dialect = _Dialect(stated[1] if stated else guess_delimiter(text), bool(_ESCAPED.search(text)))
    lines = chain(filter(None, above), _lines(_rows(text, dialect, name)))
    return Parsed("\n".join(lines), "", encoding, metadata=metadata)


def guess_delimiter(text: str) -> str:
    """Choose the delimiter that cuts the first rows into the most columns, most evenly.

    "" where none does: lines of a single column, whose commas belong to its sentences.

    The standard library's Sniffer was not used: it guesses letters as delimiters, and its
    regular expressions take time quadratic in the sample on unlucky quotes.
    """
    sample = text[:_SAMPLE_CHARS]
    if len(text) > len(sample) and "\n" in sample:
        sample = sample[: sample.rindex("\n")]
    best = max(_DELIMITERS, key=lambda d: _evenness(sample, d))
    return "" if _is_one_column(sample, best) else best


def _evenness(sample: str, delimiter: str) -> float:
    widths = _widths(sample, delimiter)
    usual = mode(widths) if widths else 1
    return (usual - 1) * (widths.count(usual) / len(widths)) ** 2 if usual > 1 else 0.0


def _widths(sample: str, delimiter: str) -> list[int]:
    try:
        reader = csv.reader(StringIO(sample, newline="\n"), delimiter=delimiter)
        return [len(row) for row in islice(reader, SAMPLE_ROWS) if row]
    except csv.Error:
        return []


def _is_one_column(sample: str, delimiter: str) -> bool:
    """Say whether the first line is one name, and the delimiters below it part sentences."""
    widths = _widths(sample, delimiter)
    if len(widths) < 2 or widths[0] > 1:
        return False
    if max(widths) == 1 or delimiter not in ",;":
        return max(widths) == 1 and delimiter in sample
    below = _without_titles(widths[1:])
    if below.count(mode(below)) < _EVEN * len(below) or mode(below) == 1:
        return not any(width > 2 and below.count(width) > 2 for width in below)
    return not re.search(rf"{re.escape(delimiter)}(?! )", sample)


def _without_titles(widths: list[int]) -> list[int]:
    """The widths of rows without those of titles that stand above a table of several rows."""
    titles = next((i for i, width in enumerate(widths) if width > 1), 0)
    table = widths[titles:]
    is_table = len(table) > max(2, titles) and len(set(table)) == 1
    return table if titles <= _MOST_TITLES and is_table else widths


def _rows(text: str, dialect: _Dialect, name: str) -> Iterator[list[str]]:
    """The rows with anything in them; white space within cells is one space."""
    for row in _raw_rows(text, dialect, name):
        cells = [" ".join(cell.split()) for cell in row]
        if any(cells):
            yield cells


def _raw_rows(text: str, dialect: _Dialect, name: str) -> Iterator[list[str]]:
    if not dialect.delimiter:
        yield from _one_column(text)
    elif '"' in text and _has_odd_quotes(text, dialect):
        yield from _tolerant_rows(text, dialect)
    else:
        reader = _reader(text, dialect)
        try:
            yield from reader
        except csv.Error as exc:
            msg = f"not readable as CSV at line {reader.line_num}: {exc}"
            raise LoadError(msg, name) from exc


def _reader(text: str, dialect: _Dialect, *, strict: bool = False) -> Any:  # noqa: ANN401 -- csv names no type
    return csv.reader(
        StringIO(text, newline="\n"),
        delimiter=dialect.delimiter,
        escapechar="\\" if dialect.escapes else None,
        strict=strict,
    )


def _has_odd_quotes(text: str, dialect: _Dialect) -> bool:
    """Say whether a row goes over lines, as a quote that nothing closes makes it, or is broken."""
    reader = _reader(text, dialect, strict=True)
    try:
        return any(reader.line_num != number for number, _ in enumerate(reader, start=1))
    except csv.Error:
        return True


def _one_column(text: str) -> Iterator[list[str]]:
    for line in text.split("\n"):
        bare = line.strip()
        is_quoted = len(bare) > 1 and bare[0] == bare[-1] == '"'
        yield [bare[1:-1].replace('""', '"') if is_quoted else bare]


def _tolerant_rows(text: str, dialect: _Dialect) -> Iterator[list[str]]:
    """Read rows some of which go over lines: by cells of several lines, or by stray quotes.

    A quote opens a cell only if another closes it before a delimiter or line end, and if the lines
    between are no whole rows by themselves.
    """
    mark = re.escape(dialect.delimiter)
    inner = r'(?:[^"\\]|""|\\.)*' if dialect.escapes else r'(?:[^"]|"")*'
    quoted = re.compile(rf'[ ]*"({inner}+)"[ ]*(?={mark}|\n|\Z)', re.DOTALL)
    bare = re.compile(rf"[^\n{mark}]*")
    width = mode([line.count(dialect.delimiter) for line in islice(text.split("\n"), 200)])
    row: list[str] = []
    position = 0
    while position < len(text):
        found = quoted.match(text, position)
        if found and _holds_rows(text, found, dialect.delimiter, width):
            found = None
        if found:
            cell = found[1].replace('""', '"')
            row.append(re.sub(r'\\(["\\])', r"\1", cell) if dialect.escapes else cell)
        else:
            found = bare.match(text, position)
            row.append(found[0] if found else "")
        position = found.end() if found else len(text)
        if position >= len(text) or text[position] == "\n":
            yield row
            row = []
        position += 1


def _holds_rows(text: str, found: re.Match[str], delimiter: str, width: int) -> bool:
    """Say whether the lines that a quoted cell touches are each a row of the usual width."""
    if "\n" not in found[1] or not width:
        return False
    begin = text.rfind("\n", 0, found.start()) + 1
    end = text.find("\n", found.end())
    lines = text[begin : end if end >= 0 else len(text)].split("\n")
    return all(line.count(delimiter) == width for line in lines)


def _lines(rows: Iterator[list[str]]) -> Iterator[str]:
    sample = list(islice(rows, SAMPLE_ROWS + 1 + _MOST_TITLES))
    titles = count_titles(sample)
    for row in sample[:titles]:
        yield " ".join(filter(None, row))
    sample = sample[titles:]
    if not sample:
        return
    first, below = sample[0], sample[1:]
    if not names_columns(first, below):
        header, body = [], chain(sample, rows)
    else:
        header, body = first, chain(below, rows)
    if header and not below:
        yield "; ".join(cell for cell in header if cell)
    yield from explained_lines(header, body)


def count_titles(rows: list[list[str]]) -> int:
    """Count the rows above a table that hold one cell of text each, of the rows that begin it."""
    rows = rows[: SAMPLE_ROWS + 1 + _MOST_TITLES]
    filled = [sum(map(bool, row)) for row in rows]
    if len(rows) < 3 or mode(filled) < 2:
        return 0
    count = next((i for i, number in enumerate(filled) if number > 1), 0)
    return count if count <= _MOST_TITLES and filled[count] >= mode(filled) - 1 else 0


def explained_lines(header: list[str], body: Iterable[list[str]]) -> Iterator[str]:
    """Write each row as a line that names its columns; empty cells are left out.

    >>> list(explained_lines(["Craft", ""], [["yacht", "12"], ["", "3"]]))
    ['Craft: yacht; column 2: 12', 'column 2: 3']
    """
    for row in body:
        yield "; ".join(f"{_column(header, i)}: {cell}" for i, cell in enumerate(row) if cell)


def _column(header: list[str], index: int) -> str:
    return (header[index] if index < len(header) else "") or f"column {index + 1}"
