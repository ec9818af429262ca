"""What the cells of an ODS file show, and which are merged: what calamine does not tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ragkit.ingest.load.readers.number_formats import cell_key

if TYPE_CHECKING:
    from lxml.etree import _Element

    from ragkit.ingest.load.readers.zip_parts import ZipParts

    Range: TypeAlias = tuple[tuple[int, int], tuple[int, int]]

_NS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_OFFICE, _TABLE, _TEXT = (_NS % name for name in ("office", "table", "text"))
_SHOWN = ("percentage", "currency", "boolean")
_CELLS = (_TABLE + "table-cell", _TABLE + "covered-table-cell")


@dataclass(frozen=True, slots=True)
class OdsSheet:
    """What the cells of a sheet show, by `cell_key`, and the ranges of merged ones, from 0."""

    shown: dict[int, str] = field(default_factory=dict)
    merged: list[Range] = field(default_factory=list)


def read_ods_cells(parts: ZipParts) -> dict[str, OdsSheet]:
    """Look at the cells of all sheets, by the names of these."""
    root = parts.xml_if_any("content.xml")
    tables = root.iter(_TABLE + "table") if root is not None else ()
    return {table.get(_TABLE + "name", ""): _sheet(table) for table in tables}


def _sheet(table: _Element) -> OdsSheet:
    sheet, number = OdsSheet(), 0
    for row in table.iter(_TABLE + "table-row"):
        column = 0
        for cell in row.iterchildren(*_CELLS):
            _look_at(cell, number, column, sheet)
            column += _count(cell, "number-columns-repeated")
        number += _count(row, "number-rows-repeated")
    return sheet


def _look_at(cell: _Element, row: int, column: int, sheet: OdsSheet) -> None:
    if cell.get(_OFFICE + "value-type") in _SHOWN:
        lines = ("".join(map(str, p.itertext())) for p in cell.iterchildren(_TEXT + "p"))
        text = " ".join(" ".join(lines).split())
        for place in range(column, column + min(_count(cell, "number-columns-repeated"), 256)):
            sheet.shown[cell_key(row, place)] = text
    wide, tall = _count(cell, "number-columns-spanned"), _count(cell, "number-rows-spanned")
    if wide > 1 or tall > 1:
        sheet.merged.append(((row, column), (row + tall - 1, column + wide - 1)))


def _count(element: _Element, name: str) -> int:
    value = element.get(_TABLE + name, "1")
    return int(value) if value.isdigit() else 1
