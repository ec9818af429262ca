"""Numbers as a spreadsheet shows them: ``0.19`` in a cell of per cent is ``19%``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 37: "#,##0",
    38: "#,##0", 39: "#,##0.00", 40: "#,##0.00",
}  # fmt: skip
"""Formats that a file names by number only (ECMA-376 part 1, 18.8.30), but dates and currencies."""

ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?",
    0x24: "#NUM!", 0x2A: "#N/A", 0x2B: "#GETTING_DATA",
}  # fmt: skip
"""What a cell shows for the number of an error in a binary workbook (MS-XLSB, 2.5.97.2)."""

_CURRENCY = re.compile(r"\[\$([^\]-]*)[^\]]*\]")
_UNSEEN = re.compile(r"\[[^\]]*\]|_.|\*.")
_LITERAL = re.compile(r'"([^"]*)"|\\(.)')
_DIGITS = re.compile(r"^(?P<before>[^#0?]*)(?P<whole>[#0?,]+?)(?:\.(?P<part>[#0?]*))?"
                     r"(?P<scale>,*)(?P<after>[^#0?,.]*)$")  # fmt: skip
_CODES = re.compile(r"[A-Za-z@]")
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


def number_format(number: int, codes: Mapping[int, str]) -> NumberFormat | None:
    """The format of a number that a file names so, by its own codes or those that all have.

    >>> number_format(10, {}).show(0.5), number_format(164, {164: "0.0"}).show(2)
    ('50.00%', '2.0')
    """
    return parse_format(codes.get(number, _BUILT_IN.get(number, "")))
