"""What the sheets of an XLSX or XLSB workbook show: what calamine does not tell of them."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from ragkit.ingest.load.readers import xlsb_cells
from ragkit.ingest.load.readers.charts import chart_line, plain_text
from ragkit.ingest.load.readers.number_formats import number_format
from ragkit.ingest.load.readers.sheet_look import (
    SheetLook,
    cell_key,
    column_number,
    is_worth_saying,
)
from ragkit.ingest.load.readers.zip_parts import part_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml.etree import _Element

    from ragkit.ingest.load.readers.number_formats import NumberFormat
    from ragkit.ingest.load.readers.zip_parts import ZipParts

_BOOK, _BINARY_BOOK = "xl/workbook.xml", "xl/workbook.bin"
_STYLE_PARTS = "xl/styles.xml", "xl/styles.bin"
_PLACE = rb'<(?:\w+:)?c r="([A-Z]{1,3})(\d{1,7})"[^>]*?'
_STYLED = re.compile(_PLACE + rb' s="(\d+)"')
_ERROR = re.compile(
    _PLACE + rb' t="e"[^>]*>(?:<(?:\w+:)?f\b(?:[^>]*/>|[^<]*</(?:\w+:)?f>))?'
    rb"<(?:\w+:)?v>([^<]*)<"
)
_FORMULA = re.compile(
    rb"<(?:\w+:)?c\b([^>]*)><(?:\w+:)?f\b(?:[^>]*/>|[^<]*</(?:\w+:)?f>)"
    rb"(?:<(?:\w+:)?v ?/>|<(?:\w+:)?v></(?:\w+:)?v>)?</(?:\w+:)?c>"
)
"""A formula without a value; the value "" of a text is one."""

_HIDDEN = re.compile(rb'<(?:\w+:)?(row|col)\b([^>]*\shidden="(?:1|true)"[^>]*)>')
_GROUPED = re.compile(rb'\soutlineLevel="[1-9]')
_ATTRIBUTE = re.compile(rb'\s(r|min|max)="(\d{1,7})"')
_FILTERED = re.compile(
    rb'<(?:\w+:)?autoFilter\b[^>]*\sref="\$?[A-Z]+\$?(\d+):\$?[A-Z]+\$?(\d+)"(?:[^>]*[^/>])?>'
    rb"\s*<(?:\w+:)?filterColumn\b"
)
_FILTER_MODE = re.compile(rb'<(?:\w+:)?sheetPr\b[^>]*\sfilterMode="(?:1|true)"')
_MOST_COLUMNS = 1 << 14

_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_ID = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"


class WorkbookLooks:
    """The looks of the sheets of a workbook, read one at a time.

    Args:
        parts: The file's.
    """

    def __init__(self, parts: ZipParts) -> None:
        self._parts = parts
        self._book = _BINARY_BOOK if _BINARY_BOOK in parts else _BOOK
        self._formats: dict[int, NumberFormat] = {}
        self._persons: dict[str, str] | None = None
        targets = {key: target for key, _, target in self._relations(self._book)}
        ids = self._read_book()
        self._sheets = {name: targets.get(key, "") for name, key in ids.items()}

    def _read_book(self) -> dict[str, str]:
        """Read the styles; the ids of the sheets' relations by their names."""
        if self._book == _BINARY_BOOK:
            if _STYLE_PARTS[1] in self._parts:
                self._formats = xlsb_cells.cell_styles(self._parts.read(_STYLE_PARTS[1]))
            return xlsb_cells.sheet_relations(self._parts.read(_BINARY_BOOK))
        book, styles = (self._parts.xml_if_any(part) for part in (_BOOK, _STYLE_PARTS[0]))
        if styles is not None:
            self._formats = dict(_styles(styles))
        listed = _local(book, "sheet") if book is not None else ()
        return {sheet.get("name", ""): _relation_id(sheet) for sheet in listed}

    def of_sheet(self, name: str) -> SheetLook:
        """The look of a sheet; an empty one where the file does not have it."""
        look = SheetLook()
        part = self._sheets.get(name, "")
        if part in self._parts:
            if self._book == _BINARY_BOOK:
                xlsb_cells.read_cells(self._parts.read(part), self._formats, look)
            else:
                self._read_cells(self._parts.read(part), look)
            self._read_beside(part, look)
        return look

    def _read_cells(self, raw: bytes, look: SheetLook) -> None:
        columns: dict[bytes, int] = {}

        def key(letters: bytes, row: bytes) -> int:
            if letters not in columns:
                columns[letters] = column_number(letters.decode())
            return cell_key(int(row) - 1, columns[letters])

        formats = {str(style).encode(): shown for style, shown in self._formats.items()}
        for letters, row, style in _STYLED.findall(raw) if formats else ():
            if (shown := formats.get(style)) is not None:
                look.shown[key(letters, row)] = shown
        for letters, row, error in _ERROR.findall(raw) if b' t="e"' in raw else ():
            look.shown[key(letters, row)] = unescape(error.decode("utf-8", "replace"))
        if b' hidden="1"' in raw or b' hidden="true"' in raw:
            _read_hidden(raw, look)
        empty = _FORMULA.findall(raw) if b"</f>" in raw else ()
        look.unknown.append(sum(b't="str"' not in cell for cell in empty))

    def _read_beside(self, part: str, look: SheetLook) -> None:
        related = [(kind, target) for _, kind, target in self._relations(part)]
        for kind, target in related:
            if kind == "threadedComment":
                self._read_threads(target, look)
            elif kind == "drawing":
                self._read_drawing(target, look)
            elif kind == "table" and look.hidden_rows and target in self._parts:
                for first, last in _FILTERED.findall(self._parts.read(target)):
                    look.hidden_rows.difference_update(range(int(first), int(last)))
        # For older programs, a note says again what a thread says.
        in_threads = set(look.comments)
        for kind, target in related:
            if kind == "comments":
                self._read_comments(target, look, in_threads)

    def _read_comments(self, part: str, look: SheetLook, but: set[int]) -> None:
        if self._book == _BINARY_BOOK:
            if part in self._parts:
                xlsb_cells.read_comments(self._parts.read(part), look, but)
        elif (root := self._parts.xml_if_any(part)) is not None:
            _read_comments(root, look, but)

    def _read_threads(self, part: str, look: SheetLook) -> None:
        root = self._parts.xml_if_any(part)
        if self._persons is None:
            self._persons = dict(self._named_persons())
        for comment in _local(root, "threadedComment") if root is not None else ():
            text = "".join(t.text or "" for t in _local(comment, "text"))
            if (cell := _cell_of(comment)) is not None:
                look.comment(cell, self._persons.get(comment.get("personId", ""), ""), text)

    def _named_persons(self) -> Iterator[tuple[str, str]]:
        for _, kind, target in self._relations(self._book):
            root = self._parts.xml_if_any(target) if kind == "person" else None
            for person in _local(root, "person") if root is not None else ():
                yield person.get("id", ""), person.get("displayName", "")

    def _read_drawing(self, part: str, look: SheetLook) -> None:
        root = self._parts.xml_if_any(part)
        if root is None:
            return
        targets = {key: target for key, _, target in self._relations(part)}
        for fallback in _local(root, "Fallback"):
            fallback.clear()
        for element in root.iter():
            tag = element.tag if isinstance(element.tag, str) else ""
            name = tag.rpartition("}")[2]
            if name == "cNvPr" and is_worth_saying(element.get("descr", "")):
                look.draw(f"[{element.get('descr')}]")
            elif name == "txBody" and not _is_hidden(element):
                for paragraph in _local(element, "p"):
                    look.draw(plain_text(paragraph))
            elif tag.endswith("/chart}chart"):
                self._read_chart(targets.get(_relation_id(element), ""), look)

    def _read_chart(self, part: str, look: SheetLook) -> None:
        root = self._parts.xml_if_any(part)
        if root is not None:
            look.draw(chart_line(root))

    def _relations(self, part: str) -> Iterator[tuple[str, str, str]]:
        """What a part refers to: the id, the last word of the kind, the part."""
        folder, _, base = part.rpartition("/")
        root = self._parts.xml_if_any(f"{folder}/_rels/{base}.rels")
        for relation in root if root is not None else ():
            if relation.get("TargetMode") != "External":
                kind = relation.get("Type", "").rpartition("/")[2]
                target = part_path(part, relation.get("Target", ""))
                yield relation.get("Id", ""), kind, target


def _read_hidden(raw: bytes, look: SheetLook) -> None:
    """Note the rows and columns of a sheet's part that are hidden by hand."""
    for tag, attributes in _HIDDEN.findall(raw):
        found = {key: int(value) for key, value in _ATTRIBUTE.findall(attributes)}
        if _GROUPED.search(attributes):
            continue
        if tag == b"row" and b"r" in found:
            look.hidden_rows.add(found[b"r"] - 1)
        elif tag == b"col" and b"min" in found and b"max" in found:
            columns = range(found[b"min"] - 1, min(found[b"max"], _MOST_COLUMNS))
            look.hidden_columns.update(columns)
    filtered = _FILTERED.findall(raw) if look.hidden_rows else ()
    for first, last in filtered:
        look.hidden_rows.difference_update(range(int(first), int(last)))
    if look.hidden_rows and not filtered and _FILTER_MODE.search(raw):
        look.hidden_rows.clear()  # a filter whose range stands elsewhere


def _read_comments(root: _Element, look: SheetLook, but: set[int]) -> None:
    """Read the comments of a part of them, but those to the cells ``but``."""
    authors = [" ".join((author.text or "").split()) for author in _local(root, "author")]
    for comment in _local(root, "comment"):
        cell = _cell_of(comment)
        if cell is None or cell in but:
            continue
        number = comment.get("authorId", "")
        author = authors[int(number)] if number.isdigit() and int(number) < len(authors) else ""
        readings = {t for reading in _local(comment, "rPh") for t in _local(reading, "t")}
        text = "".join(t.text or "" for t in _local(comment, "t") if t not in readings)
        look.comment(cell, author, text)


def _cell_of(comment: _Element) -> int | None:
    found = _REFERENCE.match(comment.get("ref", ""))
    return cell_key(int(found[2]) - 1, column_number(found[1])) if found else None


def _is_hidden(body: _Element) -> bool:
    """Whether the shape of a text is hidden."""
    shape = body.getparent()
    named = _local(shape, "cNvPr") if shape is not None else []
    return bool(named) and named[0].get("hidden") in ("1", "true")


def _relation_id(element: _Element) -> str:
    return element.get(_ID) or element.get(_STRICT_ID) or ""


def _styles(root: _Element) -> Iterable[tuple[int, NumberFormat]]:
    """The styles that show numbers in a way of their own, by their place in the list."""
    codes = {int(e.get("numFmtId", "0")): e.get("formatCode", "") for e in _local(root, "numFmt")}
    lists = _local(root, "cellXfs")
    for place, style in enumerate(lists[0] if lists else ()):
        shown = number_format(int(style.get("numFmtId", "0")), codes)
        if shown is not None:
            yield place, shown


def _local(root: _Element, name: str) -> list[_Element]:
    return list(root.iter(f"{{*}}{name}"))
