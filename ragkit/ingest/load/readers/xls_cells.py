"""What the sheets of an XLS workbook show (BIFF8): what calamine does not tell of them."""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING

from ragkit.ingest.load.readers.number_formats import ERRORS, number_format
from ragkit.ingest.load.readers.ole_streams import OleStreams
from ragkit.ingest.load.readers.sheet_look import SheetLook, cell_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.ingest.load.readers.number_formats import NumberFormat

    Record = tuple[int, bytes]

_BEGIN, _END, _GOES_ON = 0x809, 0x0A, 0x3C
_SHEET, _FORMAT, _STYLE = 0x85, 0x41E, 0xE0
_NUMBERS, _MANY_NUMBERS, _FORMULA, _TRUTH = (0x203, 0x27E), 0xBD, 0x06, 0x205
_NOTE, _OBJECT, _TEXT = 0x1C, 0x5D, 0x1B6
_ROW, _COLUMNS, _FILTER_MODE = 0x208, 0x7D, 0x9B
_ZERO_HEIGHT, _ROW_LEVEL, _HIDDEN, _COLUMN_LEVEL = 0x20, 0x07, 0x0001, 0x0700
_ENCRYPTION, _FIRST = 0x2F, 10  # it is among the first records
_OF_NOTE = 0x19  # the kind of an object that shows a note
_BIFF8 = b"\x00\x06"


def read_xls_cells(data: bytes) -> dict[str, SheetLook]:
    """Look at all sheets, by their names; none of a file older than Excel 97."""
    raw = OleStreams(data).read("Workbook")
    if raw[4:6] != _BIFF8:
        return {}
    formats: dict[int, str] = {}
    sheets: dict[str, int] = {}
    numbers: list[int] = []
    for kind, body in _records(raw, 0):
        if kind == _FORMAT:
            formats[_unsigned(body)] = _text(body[2:], wide=True)
        elif kind == _STYLE:
            numbers.append(_unsigned(body[2:]))
        elif kind == _SHEET:
            sheets[_text(body[6:])] = int.from_bytes(body[:4], "little")
    styles = [number_format(number, formats) for number in numbers]
    return {name: _Sheet(styles).read(_records(raw, start)) for name, start in sheets.items()}


def is_encrypted_workbook(data: bytes) -> bool:
    """Whether an XLS file opens with a password only."""
    raw = OleStreams(data).read("Workbook")
    return any(kind == _ENCRYPTION for kind, _ in islice(_records(raw, 0), _FIRST))


class _Sheet:
    """Reads the records of one sheet."""

    def __init__(self, styles: list[NumberFormat | None]) -> None:
        self._styles = styles
        self._look = SheetLook()
        self._texts: dict[int, str] = {}
        self._object = (0, 0)
        self._notes: list[tuple[int, int, str]] = []
        self._is_filtered = False

    def read(self, records: Iterator[Record]) -> SheetLook:
        """Look at the cells, then give the notes to theirs."""
        for kind, body in records:
            if kind in _NUMBERS or kind in (_FORMULA, _TRUTH):
                self._read_cell(kind, body)
            elif kind == _MANY_NUMBERS and len(body) >= 4:
                row, first = struct.unpack_from("<HH", body)
                for place in range(4, len(body) - 7, 6):
                    self._style(row, first + (place - 4) // 6, _unsigned(body[place:]))
            elif kind in (_OBJECT, _TEXT, _NOTE):
                self._read_object(kind, body)
            else:
                self._read_size(kind, body)
        if self._is_filtered:
            self._look.hidden_rows.clear()  # which rows are filtered, the file says elsewhere
        for cell, number, author in self._notes:
            self._look.comment(cell, author, self._texts.get(number, ""))
        return self._look

    def _read_size(self, kind: int, body: bytes) -> None:
        """Note a row or columns that are hidden, but not in a closed group, and a filter."""
        if kind == _ROW and len(body) >= 14:
            if body[12] & _ZERO_HEIGHT and not body[12] & _ROW_LEVEL:
                self._look.hidden_rows.add(_unsigned(body))
        elif kind == _COLUMNS and len(body) >= 10:
            first, last, _, _, flags = struct.unpack_from("<5H", body)
            if flags & _HIDDEN and not flags & _COLUMN_LEVEL:
                self._look.hidden_columns.update(range(first, last + 1))
        self._is_filtered |= kind == _FILTER_MODE

    def _read_object(self, kind: int, body: bytes) -> None:
        if kind == _TEXT:
            self._read_text(body)
        elif kind == _OBJECT and len(body) >= 8:
            self._object = struct.unpack_from("<HH", body, 4)
        elif kind == _NOTE and len(body) > 10:
            row, column, _, number = struct.unpack_from("<4H", body)
            self._notes.append((cell_key(row, column), number, _text(body[8:], wide=True)))

    def _read_cell(self, kind: int, body: bytes) -> None:
        if len(body) < 8:
            return
        row, column, style = struct.unpack_from("<3H", body)
        error = None
        if kind == _FORMULA and body[12:14] == b"\xff\xff":
            error = body[8] if body[6] == 2 else -1
        elif kind == _TRUTH:
            error = body[6] if body[7] else -1
        if error is None:
            self._style(row, column, style)
        elif error >= 0:
            self._look.shown[cell_key(row, column)] = ERRORS.get(error, "#?")

    def _style(self, row: int, column: int, style: int) -> None:
        if style < len(self._styles) and (shown := self._styles[style]) is not None:
            self._look.shown[cell_key(row, column)] = shown

    def _read_text(self, body: bytes) -> None:
        """Take the text of an object: of a note, which its cell names later, or of a box."""
        text = body[_TEXT_HEAD:].decode("utf-16-le", "replace")
        kind, number = self._object
        if kind == _OF_NOTE:
            self._texts[number] = text
        else:
            for line in text.splitlines():
                self._look.draw(line)


_TEXT_HEAD = 18


def _records(raw: bytes, start: int) -> Iterator[Record]:
    """The records of a sheet, or of what all share, up to its end; nested ones are passed over.

    A text's letters, which are records of their own, stand in UTF-16 behind the text's head.
    """
    depth, place = 0, start
    while place + 4 <= len(raw):
        kind, size = struct.unpack_from("<HH", raw, place)
        body = raw[place + 4 : place + 4 + size]
        place += 4 + size
        depth += (kind == _BEGIN) - (kind == _END)
        if depth <= 0:
            return
        if kind == _TEXT and len(body) >= 12:
            left, letters = _unsigned(body[10:]), b""
            while left > 0 and raw[place : place + 2] == _GOES_ON.to_bytes(2, "little"):
                size = _unsigned(raw[place + 2 :])
                part = raw[place + 4 : place + 4 + size]
                place += 4 + size
                decoded = part[1:].decode(
                    "utf-16-le" if part[:1] == b"\1" else "latin-1", "replace"
                )
                letters += decoded[:left].encode("utf-16-le", "surrogatepass")
                left -= len(decoded) or left
            body = body[:_TEXT_HEAD].ljust(_TEXT_HEAD, b"\0") + letters
        if depth == 1:
            yield kind, body


def _text(raw: bytes, *, wide: bool = False) -> str:
    """A text behind its length, of one byte or two, and the byte that says how it is written."""
    size = 2 if wide else 1
    length, flags = int.from_bytes(raw[:size], "little"), raw[size : size + 1]
    if flags == b"\1":
        return raw[size + 1 : size + 1 + 2 * length].decode("utf-16-le", "replace")
    return raw[size + 1 : size + 1 + length].decode("latin-1")


def _unsigned(raw: bytes) -> int:
    return int.from_bytes(raw[:2], "little")
