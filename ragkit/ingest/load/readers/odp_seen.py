"""What is seen on a slide of OpenDocument: shapes that are shown, and what lies behind text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml.etree import _Element

    Element = _Element

_NS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_DRAW, _STYLE, _PRESENTATION, _SVG, _FO, _TABLE = (
    _NS % name
    for name in ("drawing", "style", "presentation", "svg-compatible", "xsl-fo-compatible", "table")
)
WHITE = ("#ffffff", "#fefefe", "#fdfdfd", "white")
_DISPLAY = (_DRAW + "display", "{http://openoffice.org/2010/draw}display")
_UNSHOWN = ("none", "printer")
_LENGTH = re.compile(r"(-?\d*\.?\d+)(cm|mm|in|pt)")
_CENTIMETRES = {"cm": 1.0, "mm": 0.1, "in": 2.54, "pt": 2.54 / 72}
_COVERING = frozenset((_DRAW + "image", _DRAW + "object", _DRAW + "object-ole", _TABLE + "table"))
_DEEPEST = 20  # styles based on each other


class SlidesSeen:
    """Judges the slides of a presentation.

    Args:
        roots: The part of styles, if there is one, and the content.
    """

    def __init__(self, roots: Iterable[Element | None]) -> None:
        self._styles: dict[str, Element] = {}
        self._masters: dict[str, Element] = {}
        self._layouts: dict[str, Element] = {}
        kinds = (
            ("style", self._styles),
            ("master-page", self._masters),
            ("page-layout", self._layouts),
        )
        for root in roots:
            if root is None:
                continue
            for kind, found in kinds:
                found |= {e.get(_STYLE + "name", ""): e for e in root.iter(_STYLE + kind)}

    def is_shown(self, shape: Element, slide: Element) -> bool:
        """Whether a shape is neither switched off nor beside the slide as a whole."""
        if any(shape.get(name) in _UNSHOWN for name in _DISPLAY):
            return False
        place = [_centimetres(shape.get(_SVG + name)) for name in ("x", "y", "width", "height")]
        size = self._size(slide)
        if size is None or None in place or _DRAW + "transform" in shape.attrib:
            return True
        x, y, width, height = (value or 0.0 for value in place)
        return x < size[0] and y < size[1] and x + width > 0 and y + height > 0

    def is_bare(self, slide: Element) -> bool:
        """Whether a slide is white and nothing on it has a colour that text may lie on."""
        master = self._master(slide)
        pages = [slide] if master is None else [slide, master]
        fills = (self._fill(page, "drawing-page-properties") or "none" for page in pages)
        return all(fill == "none" for fill in fills) and not any(
            shape.tag in _COVERING or self._may_cover(shape)
            for page in pages
            for shape in _shapes(page)
        )

    def _may_cover(self, shape: Element) -> bool:
        named = any(f"{kind}style-name" in shape.attrib for kind in (_DRAW, _PRESENTATION))
        is_group = shape.tag == _DRAW + "g"
        return not is_group and named and self._fill(shape, "graphic-properties") != "none"

    def _fill(self, element: Element, properties: str) -> str | None:
        """``none`` (white counts as it), another kind of fill, or None where none is stated."""
        name = element.get(_PRESENTATION + "style-name", "")
        name = name or element.get(_DRAW + "style-name", "")
        for _ in range(_DEEPEST):
            style = self._styles.get(name)
            if style is None:
                return None
            found = style.find(_STYLE + properties)
            fill = found.get(_DRAW + "fill") if found is not None else None
            if found is not None and fill is not None:
                colour = found.get(_DRAW + "fill-color", "").lower()
                return "none" if fill == "solid" and colour in WHITE else fill
            name = style.get(_STYLE + "parent-style-name", "")
        return None

    def _master(self, slide: Element) -> Element | None:
        return self._masters.get(slide.get(_DRAW + "master-page-name", ""))

    def _size(self, slide: Element) -> tuple[float, float] | None:
        master = self._master(slide)
        name = master.get(_STYLE + "page-layout-name", "") if master is not None else ""
        layout = self._layouts.get(name)
        found = layout.find(_STYLE + "page-layout-properties") if layout is not None else None
        if found is None:
            return None
        width, height = (
            _centimetres(found.get(f"{_FO}page-{side}")) for side in ("width", "height")
        )
        return (width, height) if width and height else None


def _shapes(page: Element) -> Iterator[Element]:
    """All that is drawn on a page, but not what belongs to its notes."""
    for part in page:
        if part.tag != _PRESENTATION + "notes":
            yield from (e for e in part.iter() if str(e.tag).startswith((_DRAW, _TABLE)))


def _centimetres(length: str | None) -> float | None:
    found = _LENGTH.fullmatch(length or "")
    return float(found[1]) * _CENTIMETRES[found[2]] if found else None
