"""What the sheets of an ODS file show: what calamine does not tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.ingest.load.readers.charts import written_chart
from ragkit.ingest.load.readers.sheet_look import SheetLook, cell_key, is_worth_saying
from ragkit.ingest.load.readers.zip_parts import part_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from ragkit.ingest.load.readers.zip_parts import ZipParts

_NS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_OFFICE, _TABLE, _TEXT, _DRAW, _CHART, _SVG = (
    _NS % name for name in ("office", "table", "text", "drawing", "chart", "svg-compatible")
)
_CALC = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_CREATOR = "{http://purl.org/dc/elements/1.1/}creator"
_HREF = "{http://www.w3.org/1999/xlink}href"
_SHOWN = ("percentage", "currency", "boolean", "float")
_CELLS = (_TABLE + "table-cell", _TABLE + "covered-table-cell")
_GROUPS = (_TABLE + "table-row-group", _TABLE + "table-column-group")
_MOST_SHEET_COLUMNS = 1 << 14
_MOST_COLUMNS, _MOST_ROWS = 256, 1_000  # of a cell that is repeated


def read_ods_cells(parts: ZipParts) -> dict[str, SheetLook]:
    """Look at all sheets, by their names."""
    root = parts.xml_if_any("content.xml")
    tables = root.iter(_TABLE + "table") if root is not None else ()
    return {table.get(_TABLE + "name", ""): _look_at_sheet(table, parts) for table in tables}


def _look_at_sheet(table: _Element, parts: ZipParts) -> SheetLook:
    look, number = SheetLook(), 0
    _find_hidden_columns(table, look)
    for row in table.iter(_TABLE + "table-row"):
        column = 0
        rows = _count(row, "number-rows-repeated")
        if _is_hidden(row):
            look.hidden_rows.update(range(number, number + min(rows, _MOST_ROWS)))
        for cell in row.iterchildren(*_CELLS):
            if len(cell) or cell.get(_TABLE + "number-columns-spanned"):
                _look_at_cell(cell, range(number, number + rows), column, look)
            column += _count(cell, "number-columns-repeated")
        number += rows
    for frame in table.iter(_DRAW + "frame", _DRAW + "custom-shape"):
        for line in _drawn(frame, parts):
            look.draw(line)
    return look


def _find_hidden_columns(table: _Element, look: SheetLook) -> None:
    place = 0
    for columns in table.iter(_TABLE + "table-column"):
        end = place + _count(columns, "number-columns-repeated")
        if _is_hidden(columns):
            look.hidden_columns.update(range(place, min(end, _MOST_SHEET_COLUMNS)))
        place = end


def _is_hidden(part: _Element) -> bool:
    """Whether a row or columns are hidden by hand: not by a filter, nor in a closed group."""
    if part.get(_TABLE + "visibility") != "collapse":
        return False
    return all(outer.get(_TABLE + "display") != "false" for outer in part.iterancestors(*_GROUPS))


def _look_at_cell(cell: _Element, rows: range, column: int, look: SheetLook) -> None:
    is_error = cell.get(_CALC + "value-type") == "error"
    if is_error or cell.get(_OFFICE + "value-type") in _SHOWN:
        text = " ".join(_paragraphs(cell).split())
        # What is written as it is held shows no format: it may be 0.30000000000000004.
        if text and text != cell.get(_OFFICE + "value"):
            width = min(_count(cell, "number-columns-repeated"), _MOST_COLUMNS)
            for row in rows[:_MOST_ROWS]:
                keys = (cell_key(row, place) for place in range(column, column + width))
                look.shown.update(dict.fromkeys(keys, text))
    for note in cell.iterchildren(_OFFICE + "annotation"):
        look.comment(cell_key(rows[0], column), note.findtext(_CREATOR) or "", _paragraphs(note))
    wide, tall = _count(cell, "number-columns-spanned"), _count(cell, "number-rows-spanned")
    if wide > 1 or tall > 1:
        look.merged.append(((rows[0], column), (rows[0] + tall - 1, column + wide - 1)))


def _drawn(frame: _Element, parts: ZipParts) -> Iterator[str]:
    """The texts of a box, the text alternative of a picture, and what a chart is called."""
    for alternative in frame.iterchildren(_SVG + "title", _SVG + "desc"):
        if is_worth_saying(alternative.text or ""):
            yield f"[{alternative.text}]"
    texts = frame.iter(_TEXT + "p", _TEXT + "h") if frame.find(f"{_DRAW}object") is None else ()
    yield from ("".join(map(str, text.itertext())) for text in texts)
    for thing in frame.iterchildren(_DRAW + "object"):
        root = parts.xml_if_any(part_path("content.xml", thing.get(_HREF, "") + "/content.xml"))
        for chart in root.iter(_CHART + "chart") if root is not None else ():
            titles = [_paragraphs(title) for title in chart.iterfind(_CHART + "title")]
            axes = [_paragraphs(t) for t in chart.iterfind(f".//{_CHART}axis/{_CHART}title")]
            yield written_chart(" ".join(titles), axes, [])


def _paragraphs(element: _Element) -> str:
    """The paragraphs right below an element."""
    return " ".join("".join(map(str, p.itertext())) for p in element.iterchildren(_TEXT + "p"))


def _count(element: _Element, name: str) -> int:
    value = element.get(_TABLE + name, "1")
    return int(value) if value.isdigit() else 1
