"""Numbers as a spreadsheet shows them: ``0.19`` in a cell of per cent is ``19%``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.ingest.load.readers.zip_parts import ZipParts, part_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lxml.etree import _Element

_BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 37: "#,##0",
    38: "#,##0", 39: "#,##0.00", 40: "#,##0.00",
}  # fmt: skip
"""Formats that a file names by number only (ECMA-376 part 1, 18.8.30), but dates and currencies."""

_CURRENCY = re.compile(r"\[\$([^\]-]*)[^\]]*\]")
_UNSEEN = re.compile(r"\[[^\]]*\]|_.|\*.")
_LITERAL = re.compile(r'"([^"]*)"|\\(.)')
_DIGITS = re.compile(r"^(?P<before>[^#0?]*)(?P<whole>[#0?,]+?)(?:\.(?P<part>[#0?]*))?"
                     r"(?P<scale>,*)(?P<after>[^#0?,.]*)$")  # fmt: skip
_CODES = re.compile(r"[A-Za-z@]")
_CELL = re.compile(rb'<(?:\w+:)?c r="([A-Z]{1,3})(\d{1,7})"[^>]*? s="(\d+)"')
_MOST_DECIMALS = 15


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a number is shown. ``optional`` of the decimals are left out where they are zeros."""

    before: str
    after: str
    decimals: int
    optional: int
    is_grouped: bool
    divisor: float

    def show(self, number: float) -> str:
        """Write a number.

        >>> parse_format('#,##0.00 [$€-407]').show(-1234.5)
        '-1,234.50 €'
        """
        text = f"{abs(number) / self.divisor:{',' if self.is_grouped else ''}.{self.decimals}f}"
        for _ in range(self.optional):
            text = text.removesuffix("0")
        sign = "-" if number < 0 and text.strip("0.,") else ""
        return f"{sign}{self.before}{text.rstrip('.')}{self.after}".strip()


def parse_format(code: str) -> NumberFormat | None:
    """Read the code of a format; None for a date, a text, and what is not known here.

    >>> parse_format("0.0%").show(0.075), parse_format("yyyy-mm-dd"), parse_format("General")
    ('7.5%', None, None)
    """
    bare = _UNSEEN.sub("", _CURRENCY.sub(r'"\1"', code.partition(";")[0]))
    literals: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literals.append(found[1] if found[1] is not None else found[2])
        return chr(0xE000 + len(literals) - 1)

    bare = _LITERAL.sub(keep, bare)
    found = _DIGITS.match(bare)
    if not found or _CODES.search(bare) or "/" in bare:
        return None
    before, after = (_said(found[side], literals) for side in ("before", "after"))
    part = found["part"] or ""
    percents = found["before"].count("%") + found["after"].count("%")
    return NumberFormat(
        before,
        after,
        min(len(part), _MOST_DECIMALS),
        part.count("#"),
        "," in found["whole"],
        1000.0 ** len(found["scale"]) / 100.0**percents,
    )


def _said(text: str, literals: list[str]) -> str:
    return "".join(
        literals[ord(char) - 0xE000] if 0xE000 <= ord(char) < 0xE000 + len(literals) else char
        for char in text
    )


class WorkbookFormats:
    """The formats of the cells of an XLSX workbook.

    Args:
        parts: The file's.
    """

    def __init__(self, parts: ZipParts) -> None:
        self._parts = parts
        self._formats: dict[int, NumberFormat] = {}
        self._sheets: dict[str, str] = {}
        workbook = parts.xml_if_any("xl/workbook.xml")
        styles = parts.xml_if_any("xl/styles.xml")
        if workbook is None or styles is None:
            return
        self._formats = dict(_styles(styles))
        relations = parts.xml_if_any("xl/_rels/workbook.xml.rels")
        targets = {
            relation.get("Id", ""): part_path("xl/workbook.xml", relation.get("Target", ""))
            for relation in (relations if relations is not None else ())
        }
        for sheet in _local(workbook, "sheet"):
            key = next((v for k, v in sheet.attrib.items() if str(k).endswith("}id")), "")
            self._sheets[sheet.get("name", "")] = targets.get(str(key), "")

    def of_sheet(self, name: str) -> dict[int, NumberFormat]:
        """The formats of a sheet's cells that have one, by `cell_key`."""
        part = self._sheets.get(name, "")
        if not self._formats or part not in self._parts:
            return {}
        known = {str(style).encode(): shown for style, shown in self._formats.items()}
        columns: dict[bytes, int] = {}
        found: dict[int, NumberFormat] = {}
        for letters, row, style in _CELL.findall(self._parts.read(part)):
            if (shown := known.get(style)) is not None:
                if letters not in columns:
                    columns[letters] = _column(letters)
                found[cell_key(int(row) - 1, columns[letters])] = shown
        return found


def cell_key(row: int, column: int) -> int:
    """One number for a cell, both from 0."""
    return row << 14 | column


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _styles(root: _Element) -> Iterable[tuple[int, NumberFormat]]:
    """The styles that show numbers in a way of their own, by their place in the list."""
    codes = dict(_BUILT_IN)
    for entry in _local(root, "numFmt"):
        codes[int(entry.get("numFmtId", "0"))] = entry.get("formatCode", "")
    lists = _local(root, "cellXfs")
    for place, style in enumerate(lists[0] if lists else ()):
        shown = parse_format(codes.get(int(style.get("numFmtId", "0")), ""))
        if shown is not None:
            yield place, shown


def _local(root: _Element, name: str) -> list[_Element]:
    return [e for e in root.iter() if isinstance(e.tag, str) and e.tag.rpartition("}")[2] == name]
