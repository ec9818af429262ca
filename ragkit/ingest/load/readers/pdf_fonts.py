"""What the fonts of a PDF tell: how wide a text is, and whether its letters can be known."""

from __future__ import annotations

import re
from typing import Any

from ragkit.text.patterns import late_pattern

_UNKNOWN_GLYPH = late_pattern(r"/(?:g|c|cid|glyph|index|uni?known)[-_.]?\d+", re.IGNORECASE)
_NARROW, _BROAD = frozenset(b"fijlrtI.,;:'|!()[] -/"), frozenset(b"mwMWOQGD@%&")
_USUAL = 500.0
_KNOWN_TO_PYPDF = frozenset(
    f"/{name}-{way}"
    for name in ("GB-EUC", "GBpc-EUC", "GBK-EUC", "GBK2K", "ETen-B5", "ETenms-B5", "90ms-RKSJ")
    for way in ("H", "V")
)
_COLLECTIONS = frozenset(("Japan1", "Japan2", "GB1", "CNS1", "Korea1", "KR"))


class FontFacts:
    """A font of a page.

    Args:
        font: Its dictionary, resolved.

    Attributes:
        is_drawn: It draws its letters itself, at any scale (Type 3): its size tells nothing.
        tells_letters: A text in it can be read: there is a table of its letters, or its
            encoding is one that pypdf knows.
        is_of_collection: It numbers its shapes as Adobe's collections do (Japan1, GB1, ...):
            who has their tables can read it.
        is_guessed: It is a TrueType font that says nothing of its letters: their codes may be
            those of ASCII, or any.
    """

    def __init__(self, font: Any) -> None:  # noqa: ANN401 -- pypdf's dictionaries
        self._is_wide = font.get("/Subtype") == "/Type0"
        self.is_drawn = font.get("/Subtype") == "/Type3"
        self.tells_letters = True
        self.is_of_collection = False
        self.is_guessed = False
        self._widths: dict[int, float] = {}
        self._default = _USUAL
        try:
            self._read_widths(font)
            self.is_of_collection = self._is_wide and _collection(font) in _COLLECTIONS
            self.tells_letters = "/ToUnicode" in font or not _is_nameless(font)
            is_silent = "/ToUnicode" not in font and "/Encoding" not in font
            self.is_guessed = is_silent and font.get("/Subtype") == "/TrueType"
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):  # estimated then
            self._widths = {}

    def width(self, data: bytes) -> float:
        """The width of a shown string, in thousandths of the font's size; estimated if unsaid."""
        if self._is_wide:
            codes = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
            return sum(self._widths.get(code, self._default) for code in codes)
        if self._widths:
            return sum(self._widths.get(code, self._default) for code in data)
        return sum(280 if c in _NARROW else 830 if c in _BROAD else 545 for c in data)

    def codes(self, data: bytes) -> set[int]:
        """The different codes in a shown string, as many as can be told from its bytes."""
        if not self._is_wide:
            return set(data)
        return {int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data) - 1, 2)}

    def _read_widths(self, font: Any) -> None:  # noqa: ANN401 -- pypdf's dictionaries
        if not self._is_wide:
            first = int(font.get("/FirstChar", 0))
            widths = font["/Widths"].get_object() if "/Widths" in font else []
            self._widths = {first + i: float(w.get_object()) for i, w in enumerate(widths)}
            return
        descendant = font["/DescendantFonts"].get_object()[0].get_object()
        self._default = float(descendant.get("/DW", 1000))
        items = descendant["/W"].get_object() if "/W" in descendant else []
        position = 0
        while position + 1 < len(items):
            start, following = int(items[position]), items[position + 1].get_object()
            if isinstance(following, list):
                self._widths |= {start + i: float(w.get_object()) for i, w in enumerate(following)}
                position += 2
            else:
                codes = range(start, min(int(following), 0xFFFF) + 1)
                self._widths |= dict.fromkeys(codes, float(items[position + 2]))
                position += 3


def _is_nameless(font: Any) -> bool:  # noqa: ANN401 -- pypdf's dictionaries
    """Say whether a font without a table of letters numbers its shapes and names none."""
    stated = font.get("/Encoding")
    encoding: Any = stated.get_object() if stated is not None else None
    if font.get("/Subtype") == "/Type0":
        name = str(encoding)
        is_known = name in _KNOWN_TO_PYPDF or "-UCS2-" in name or "-UTF16-" in name
        is_numbered = name.startswith("/Identity")
        return is_numbered or (not is_known and _collection(font) in _COLLECTIONS)
    if not hasattr(encoding, "get") or "/Differences" not in encoding:
        return False
    names = [str(item) for item in encoding["/Differences"].get_object() if isinstance(item, str)]
    return len(names) > 0 and sum(map(bool, map(_UNKNOWN_GLYPH.fullmatch, names))) * 2 > len(names)


def _collection(font: Any) -> str:  # noqa: ANN401 -- pypdf's dictionaries
    """The collection of shapes that a composite font numbers its own by."""
    descendant = font["/DescendantFonts"].get_object()[0].get_object()
    system = descendant.get("/CIDSystemInfo")
    return str(system.get_object().get("/Ordering", "Identity")) if system else "Identity"
