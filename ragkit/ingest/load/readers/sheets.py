"""Spreadsheets: every row a line that explains itself, each sheet a page."""

from __future__ import annotations

import datetime
import re
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.column_names import SAMPLE_ROWS, names_columns
from ragkit.ingest.load.readers.csv import count_titles, explained_lines
from ragkit.ingest.load.readers.document_titles import clean_title
from ragkit.ingest.load.readers.encrypted_office import decrypted, is_encrypted_package
from ragkit.ingest.load.readers.hidden_cells import HiddenCells
from ragkit.ingest.load.readers.markdown_writer import literal_line
from ragkit.ingest.load.readers.ods_cells import read_ods_cells
from ragkit.ingest.load.readers.page_texts import PageTexts
from ragkit.ingest.load.readers.properties import xml_properties
from ragkit.ingest.load.readers.sheet_look import SheetLook, cell_key, cell_place
from ragkit.ingest.load.readers.xls_cells import is_encrypted_workbook, read_xls_cells
from ragkit.ingest.load.readers.xlsx_cells import WorkbookLooks
from ragkit.ingest.load.readers.zip_parts import ZipParts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ragkit.ingest.load.readers.number_formats import NumberFormat

    Cells: TypeAlias = list[str]
    Place: TypeAlias = tuple[int, int]
    Range: TypeAlias = tuple[Place, Place]
    Shown: TypeAlias = Mapping[int, NumberFormat | str]

_ZIP = b"PK\x03\x04"
_UNPACKED = (".xml", ".bin", ".rels")
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_DURATION = re.compile(r"PT(\d+)H(\d\d)M(\d\d)(?:[.,]\d+)?S")
_LONGEST_FILL = 300
_MOST_FILLED = 100_000
_LARGEST_EXACT = 10**15


def read_sheets(data: bytes, name: str) -> Parsed:
    """Read a workbook: XLSX, XLSM, XLSB, XLS or ODS, whichever it is.

    A sheet begins with its name as a heading. Its rows are lines as those of a CSV file: the first
    row names the columns unless its cells tell otherwise, titles stand above. Names in several
    rows, below merged cells, become one. Merged cells stand in each row and column that they cover.
    Dates are ISO 8601; numbers and errors are written as their cells show them. Comments stand
    behind what their cell holds, the texts of boxes and what charts are called below the rows.
    Empty sheets are passed over. Hidden sheets, rows and columns are left out and noted, but not
    rows that a filter hides or that a closed group holds. Formulas without values are noted.

    Raises:
        LoadError: The file is encrypted, broken, or would unpack to too much.
    """
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    if is_encrypted_package(data) or is_encrypted_workbook(data):
        data = decrypted(data, name)
    parts = _checked(data, name)
    try:
        try:
            book = CalamineWorkbook.from_filelike(BytesIO(data))
        except PasswordError:
            data = decrypted(data, name)
            book = CalamineWorkbook.from_filelike(BytesIO(data))
        return _read(book, _Looks(parts, data), *_said(parts))
    except (CalamineError, OSError, ValueError) as exc:
        msg = f"not a readable spreadsheet: {exc}"
        raise LoadError(msg, name) from exc


def _checked(data: bytes, name: str) -> ZipParts | None:
    """The parts of a packed workbook, after a look at what they unpack to; None for XLS."""
    if data.startswith(_ZIP):
        parts = ZipParts(data, name, "spreadsheet")
        for part in parts.names:
            if part.endswith(_UNPACKED):
                parts.allow(part)
        return parts
    return None


def _said(parts: ZipParts | None) -> tuple[str, dict[str, Any]]:
    """The title that the file's properties name, or "", and what else they say."""
    for part in ("docProps/core.xml", "meta.xml"):
        root = parts.xml_if_any(part) if parts else None
        if root is not None:
            found = next(root.iter(_TITLE), None)
            title = found.text if found is not None else None
            return clean_title(title or ""), xml_properties(root)
    return "", {}


class _Looks:
    """How sheets look, as far as the kind of the file lets that be known."""

    def __init__(self, parts: ZipParts | None, data: bytes) -> None:
        self._workbook: WorkbookLooks | None = None
        self._sheets: dict[str, SheetLook] = {}
        if parts is None:
            self._sheets = read_xls_cells(data)
        elif "content.xml" in parts:
            self._sheets = read_ods_cells(parts)
        else:
            self._workbook = WorkbookLooks(parts)

    def of_sheet(self, name: str) -> SheetLook:
        """The look of a sheet."""
        if self._workbook:
            return self._workbook.of_sheet(name)
        return self._sheets.get(name) or SheetLook()


def _read(
    book: Any,  # noqa: ANN401 -- untyped
    looks: _Looks,
    title: str,
    properties: dict[str, Any],
) -> Parsed:
    pages = PageTexts()
    hidden: list[str] = []
    away: list[str] = []
    unknown = 0
    for number, about in enumerate(book.sheets_metadata, start=1):
        kind = str(about.typ).rpartition(".")[2]
        if kind not in ("WorkSheet", "ChartSheet"):
            continue
        sheet = book.get_sheet_by_name(about.name) if kind == "WorkSheet" else None
        if "Visible" not in str(about.visible).rpartition(".")[2]:
            hidden += [about.name] if sheet is None or sheet.height else []
            continue
        look = looks.of_sheet(about.name)
        unknown += sum(look.unknown)
        lines, left_out = _lines(sheet, look) if sheet is not None else ([], "")
        away += [f"{left_out} of the sheet {about.name!r}"] if left_out else []
        lines += look.drawn
        if lines:
            head = f"# {' '.join(about.name.split())}"
            pages.add(number, "\n".join([head, "", *map(literal_line, lines)]))
    text, found = pages.joined()
    notes = [f"the hidden sheet {name!r} was left out" for name in hidden]
    notes += [f"left out: {left_out}" for left_out in away]
    if unknown:
        cells = "1 cell holds a formula" if unknown == 1 else f"{unknown:,} cells hold formulas"
        notes.append(f"{cells} without a value: save the file in a spreadsheet program")
    return Parsed(text, title, None, found, properties | ({"notes": notes} if notes else {}))


def _lines(sheet: Any, look: SheetLook) -> tuple[list[str], str]:  # noqa: ANN401 -- untyped
    """The lines of a sheet's cells, and what of them is left out."""
    top, left = sheet.start or (0, 0)
    merged = sheet.merged_cell_ranges or look.merged
    comments = {cell_place(key): said for key, said in look.comments.items()}
    table = list(_cells(sheet, look.shown))
    hidden = HiddenCells(
        {row - top for row in look.hidden_rows if row >= top},
        {column - left for column in look.hidden_columns if column >= left},
    )
    left_out = hidden.told(table)
    lines = sheet_lines(
        table,
        [((a - top, b - left), (c - top, d - left)) for (a, b), (c, d) in merged],
        {(row - top, column - left): said for (row, column), said in comments.items()},
        hidden,
    )
    return list(lines), left_out


def _cells(sheet: Any, shown: Shown) -> Iterator[Cells]:  # noqa: ANN401
    """The rows of a sheet as text, from the first that holds anything."""
    top, left = sheet.start or (0, 0)
    for number, row in enumerate(sheet.to_python(skip_empty_area=True), start=top):
        if not shown:
            yield [cell_text(value) for value in row]
            continue
        keys = count(cell_key(number, left))
        yield [cell_text(value, shown.get(key)) for key, value in zip(keys, row, strict=False)]


def cell_text(value: object, shown: NumberFormat | str | None = None) -> str:
    """What a cell shows.

    >>> [cell_text(v) for v in (12.0, 0.1 + 0.2, True, datetime.time(7, 40))]
    ['12', '0.3', 'TRUE', '07:40']
    """
    if isinstance(shown, str):
        return shown
    if isinstance(value, str):
        text = " ".join(value.split())
        found = _DURATION.fullmatch(text)
        return ":".join(found.groups()) if found else text
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float | int):
        return shown.show(value) if shown else _plain_number(value)
    return _moment(value)


def _plain_number(value: float) -> str:
    if abs(value) < _LARGEST_EXACT and value == int(value):
        return str(int(value))
    return f"{value:.15g}"


def _moment(value: object) -> str:
    """A date, a time, both, or a span of time; midnight is a date alone."""
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    if isinstance(value, datetime.datetime):
        is_day = value.time() == datetime.time()
        return value.date().isoformat() if is_day else f"{value.date()} {_clock(value.time())}"
    if isinstance(value, datetime.time):
        return _clock(value)
    return str(value)


def _clock(time: datetime.time) -> str:
    return time.strftime("%H:%M:%S" if time.second else "%H:%M")


def sheet_lines(
    rows: Iterable[Cells],
    merged: Sequence[Range] = (),
    comments: Mapping[Place, str] | None = None,
    hidden: HiddenCells | None = None,
) -> Iterator[str]:
    """The rows of a sheet as lines, the tables that blank rows part each with its column names.

    A table whose first row does not name columns goes on with the names of the one above it.

    Args:
        rows: All of the same length.
        merged: The first and last row and column of merged cells, from 0.
        comments: What was said of cells, by row and column; of cells that hold nothing at the end.
        hidden: Rows and columns that are left out.
    """
    hidden = hidden or HiddenCells()
    spanning = _fill(table := list(rows), merged, hidden)
    table, spanning, said = hidden.without(table, spanning, dict(comments or {}))
    names: Cells | None = None
    for first, last in _blocks(table):
        block = table[first:last]
        titles = count_titles(block)
        for row in range(first, first + titles):
            yield " ".join(filter(None, _with_comments(table[row], row, said)))
        body = block[titles:]
        tall = sum(1 for _ in _while_spanning(range(first + titles, last - 1), spanning))
        if tall:
            body = [_joined(body[: tall + 1]), *body[tall + 1 :]]
        is_first = names is None
        if tall or names_columns(body[0], body[1 : SAMPLE_ROWS + 1], unless=is_first):
            names, body = body[0], body[1:]
            if not body:
                yield "; ".join(filter(None, names))
            for row in range(first + titles, last - len(body)):
                about = _with_comments([""] * len(names), row, said)
                yield from explained_lines(names, [about] if any(about) else [])
        elif is_first:
            names = []
        noted = (_with_comments(cells, last - len(body) + i, said) for i, cells in enumerate(body))
        yield from explained_lines(names or [], noted)
    yield from said.values()


def _with_comments(cells: Cells, row: int, said: dict[Place, str]) -> Cells:
    """The cells of a row, each with what was said of it, which is taken out."""
    if not said:
        return cells
    return [
        f"{cell} {said.pop((row, column))}".lstrip() if (row, column) in said else cell
        for column, cell in enumerate(cells)
    ]


def _while_spanning(rows: Iterable[int], spanning: set[int]) -> Iterator[int]:
    for row in rows:
        if row not in spanning:
            return
        yield row


def _fill(table: list[Cells], merged: Sequence[Range], hidden: HiddenCells) -> set[int]:
    """Write merged cells into all that they cover; a title over a whole row stays where it is.

    Returns:
        The rows in which a cell goes over several columns, as the names of groups do.
    """
    spanning: set[int] = set()
    left = _MOST_FILLED
    for (top, first), (bottom, last) in sorted(merged):
        if not (0 <= top < len(table) and 0 <= first < len(table[top])):
            continue
        text = table[top][first][:_LONGEST_FILL]
        seen = (cell for column, cell in enumerate(table[top]) if column not in hidden.columns)
        last = min(last, len(table[top]) - 1)
        if not set(filter(None, seen)) - {text}:
            first = last = hidden.first_seen(first, last)
        bottom = min(bottom, len(table) - 1)
        left -= (bottom - top + 1) * (last - first + 1)
        if not text or left < 0:
            continue
        if last > first and top == bottom:
            spanning.add(top)
        for row in range(top, bottom + 1):
            table[row][first : last + 1] = [text] * (last - first + 1)
    return spanning


def _joined(rows: Sequence[Cells]) -> Cells:
    """One row of names from several above each other: ``Member Day``."""
    return [" ".join(dict.fromkeys(filter(None, column))) for column in zip(*rows, strict=True)]


def _blocks(table: Sequence[Cells]) -> Iterator[tuple[int, int]]:
    """The first row of each run of rows that hold anything, and the row behind its last."""
    start: int | None = None
    for number, row in enumerate(table):
        is_filled = any(row)
        if is_filled and start is None:
            start = number
        elif not is_filled and start is not None:
            yield start, number
            start = None
    if start is not None:
        yield start, len(table)
