"""What the parts of an XLSB workbook hold that calamine does not tell of (MS-XLSB)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ragkit.ingest.load.readers.number_formats import ERRORS, number_format
from ragkit.ingest.load.readers.sheet_look import SheetLook, cell_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.ingest.load.readers.number_formats import NumberFormat

_ROW, _ERRORS, _NUMBERS = 0, (3, 11), (2, 5, 9)
_FORMAT, _STYLE, _STYLES, _STYLES_END = 44, 47, 617, 618
_COLUMNS, _FILTER, _FILTER_COLUMN = 60, 161, 163
_OF_SIZES, _LONGEST_SIZE = (_ROW, _COLUMNS, _FILTER, _FILTER_COLUMN), 18
_ZERO_HEIGHT, _ROW_LEVEL, _HIDDEN, _COLUMN_LEVEL = 0x10, 0x07, 0x0001, 0x0700
_MOST_COLUMNS = 1 << 14
_SHEET = 156
_AUTHOR, _COMMENT, _COMMENT_TEXT = 632, 635, 637


def sheet_relations(raw: bytes) -> dict[str, str]:
    """The id of each sheet's relation by the sheet's name, of the part of the workbook."""
    found = {}
    for kind, body in _records(raw):
        if kind == _SHEET:
            relation, place = _text(body, 8)
            found[_text(body, place)[0]] = relation
    return found


def cell_styles(raw: bytes) -> dict[int, NumberFormat]:
    """The styles that show numbers in a way of their own, of the part of styles."""
    codes: dict[int, str] = {}
    numbers: list[int] = []
    is_inside = False
    for kind, body in _records(raw):
        if kind == _FORMAT and len(body) >= 6:
            codes[int.from_bytes(body[:2], "little")] = _text(body, 2)[0]
        elif kind in (_STYLES, _STYLES_END):
            is_inside = kind == _STYLES
        elif kind == _STYLE and is_inside:
            numbers.append(int.from_bytes(body[2:4], "little"))
    shown = {place: number_format(number, codes) for place, number in enumerate(numbers)}
    return {place: found for place, found in shown.items() if found is not None}


def read_cells(raw: bytes, styles: dict[int, NumberFormat], look: SheetLook) -> None:
    """Look at the cells of a sheet's part."""
    sizes = _Sizes(look)
    for kind, body in _records(raw):
        if kind in _OF_SIZES:
            sizes.take(kind, body)
        elif kind in _NUMBERS and len(body) >= 8:
            column, style = struct.unpack_from("<II", body)
            if (shown := styles.get(style & 0xFFFFFF)) is not None:
                look.shown[cell_key(sizes.row, column)] = shown
        elif kind in _ERRORS and len(body) >= 9:
            column = int.from_bytes(body[:4], "little")
            look.shown[cell_key(sizes.row, column)] = ERRORS.get(body[8], "#?")


class _Sizes:
    """Notes rows and columns that are hidden, but not by a filter or in a closed group.

    Attributes:
        row: The one whose cells follow.
    """

    def __init__(self, look: SheetLook) -> None:
        self.row = 0
        self._look = look
        self._filtered = range(0)

    def take(self, kind: int, body: bytes) -> None:
        """Take a record of a row, of columns or of a filter."""
        body = body.ljust(_LONGEST_SIZE, b"\0")
        first, last = struct.unpack_from("<II", body)
        if kind == _ROW:
            self.row = first
            if body[11] & _ZERO_HEIGHT and not body[11] & _ROW_LEVEL:
                self._look.hidden_rows.add(first)
        elif kind == _COLUMNS:
            flags = int.from_bytes(body[16:18], "little")
            if flags & _HIDDEN and not flags & _COLUMN_LEVEL:
                self._look.hidden_columns.update(range(first, min(last + 1, _MOST_COLUMNS)))
        elif kind == _FILTER:
            self._filtered = range(first + 1, last + 1)
        else:
            self._look.hidden_rows.difference_update(self._filtered)


def read_comments(raw: bytes, look: SheetLook, but: set[int]) -> None:
    """Read the comments of a part of them, but those to the cells ``but``."""
    authors: list[str] = []
    author, cell = "", -1
    for kind, body in _records(raw):
        if kind == _AUTHOR:
            authors.append(_text(body, 0)[0])
        elif kind == _COMMENT and len(body) >= 20:
            number, row, _, column, _ = struct.unpack_from("<5I", body)
            author = authors[number] if number < len(authors) else ""
            cell = cell_key(row, column)
        elif kind == _COMMENT_TEXT and cell not in but:
            look.comment(cell, author, _text(body, 1)[0])


def _records(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The records of a part: what each is, and its content."""
    place, end = 0, len(raw)
    while place < end:
        kind = raw[place]
        place += 1
        if kind & 0x80 and place < end:
            kind = kind & 0x7F | raw[place] << 7
            place += 1
        size = shift = 0
        while place < end:
            byte = raw[place]
            place += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift > 21:
                break
        yield kind, raw[place : place + size]
        place += size


def _text(body: bytes, place: int) -> tuple[str, int]:
    """A text behind its length, and where it ends."""
    end = place + 4 + 2 * int.from_bytes(body[place : place + 4], "little")
    return body[place + 4 : end].decode("utf-16-le", "replace"), end
