"""Word's styles: what a paragraph or a run has of its style, and of those it is based on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from lxml.etree import _Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
HEADING_NAME = late_pattern(
    r"(?:heading|überschrift|titre|título|titulo|titolo|kop|rubrik|overskrift|otsikko|nagłówek"
    r"|nadpis|naslov|címsor|titlu|başlık|заголовок|επικεφαλίδα|标题|標題|見出し|제목) ?(\d)",
    re.IGNORECASE,
)
"""Names of the heading styles; Word keeps the English one in the file, other programs do not."""

_BODY_LEVEL = 9  # of an outline: text
_OFF = ("0", "false", "off")
_TINY_HALF_POINTS = 2
_NEAR_WHITE = 247  # of 255, of each channel
_LONGEST_CHAIN = 32


@dataclass(frozen=True, slots=True)
class RunLook:
    """How a run looks; None where nothing says it.

    Attributes:
        is_hidden: It is marked as hidden.
        colour: Six hex digits, or ``auto``.
        shade: The colour behind it.
        half_points: The size of its letters.
        shift: 1 if raised, -1 if lowered, 0 on the line.
        is_struck: A line goes through it.
        font: The name of its font.
    """

    is_hidden: bool | None = None
    colour: str | None = None
    shade: str | None = None
    half_points: int | None = None
    shift: int | None = None
    is_struck: bool | None = None
    font: str | None = None

    def over(self, other: RunLook) -> RunLook:
        """This look, and what it does not say as another says it."""
        mine = {n: v for n in self.__slots__ if (v := getattr(self, n)) is not None}
        return replace(other, **mine) if mine else other

    def is_unseen(self, behind: str | None) -> bool:
        """Say whether nobody sees it.

        Args:
            behind: The colour of what it stands on; None for white paper.
        """
        if self.is_hidden:
            return True
        if self.half_points is not None and self.half_points <= _TINY_HALF_POINTS:
            return True
        ground = self.shade or behind or "FFFFFF"
        return self.colour is not None and _is_near(self.colour, ground)


_NO_LOOK = RunLook()


@dataclass(frozen=True, slots=True)
class Style:
    """A style, resolved: its name, heading level (0: none), list and look."""

    name: str = ""
    level: int = 0
    numbering: tuple[str, int] | None = None
    look: RunLook = _NO_LOOK
    shade: str | None = None


class Styles:
    """The styles of a document.

    Args:
        root: The part with the styles; None if there is none.
    """

    def __init__(self, root: _Element | None) -> None:
        elements = root.iter(W + "style") if root is not None else ()
        self._elements = {e.get(W + "styleId", ""): e for e in elements}
        self._known: dict[str, Style] = {}
        defaults = root.find(f"{W}docDefaults/{W}rPrDefault/{W}rPr") if root is not None else None
        self._default = look_of(defaults)
        self.paragraph = next(
            (
                key
                for key, e in self._elements.items()
                if e.get(W + "default") in ("1", "true") and e.get(W + "type") == "paragraph"
            ),
            "",
        )

    @property
    def default(self) -> RunLook:
        """How a run looks that has no style."""
        return self._default

    def get(self, style_id: str) -> Style:
        """A style by its id; one that is not in the document says nothing but its id."""
        if style_id not in self._known:
            self._known[style_id] = self._resolved(style_id)
        return self._known[style_id]

    def _resolved(self, style_id: str) -> Style:
        chain: list[_Element] = []
        while style_id in self._elements and len(chain) < _LONGEST_CHAIN:
            element = self._elements[style_id]
            chain.append(element)
            style_id = value_of(element, "basedOn")
        if not chain:
            return Style(style_id, _level_by_name(re.sub(r"(?<=[^\W\d])(?=\d)", " ", style_id)))
        made = Style()
        for element in reversed(chain):
            made = _extended(made, element)
        return replace(made, name=value_of(chain[0], "name"))


def _extended(base: Style, element: _Element) -> Style:
    """A style from the one it is based on."""
    name = value_of(element, "name")
    level = outline_level(element)
    if level is None:
        level = _level_by_name(name) or base.level
    return replace(
        base,
        level=level,
        numbering=numbering_of(element) or base.numbering,
        look=look_of(element.find(W + "rPr")).over(base.look),
        shade=shade_of(element.find(W + "pPr")) or base.shade,
    )


def _level_by_name(name: str) -> int:
    found = HEADING_NAME.match(name)
    if found:
        return int(found[1])
    return 1 if name.casefold() in ("title", "titel") else 0


def outline_level(element: _Element) -> int | None:
    """The heading level that a paragraph's or style's properties state: 0 is text, None unsaid."""
    stated = value_of(element, "pPr/outlineLvl")
    if not stated.isdigit():
        return None
    return 0 if int(stated) >= _BODY_LEVEL else int(stated) + 1


def numbering_of(element: _Element) -> tuple[str, int] | None:
    """The list and the level in it that a paragraph's or style's properties name."""
    properties = element.find(_path("pPr/numPr"))
    if properties is None:
        return None
    level = value_of(properties, "ilvl")
    return value_of(properties, "numId"), int(level) if level.isdigit() else 0


def look_of(properties: _Element | None) -> RunLook:
    """How a run looks by its own properties."""
    if properties is None or not len(properties):
        return _NO_LOOK
    size = value_of(properties, "sz")
    shift = {"superscript": 1, "subscript": -1, "baseline": 0}.get(
        value_of(properties, "vertAlign")
    )
    position = value_of(properties, "position")
    if shift is None and size.isdigit() and re.fullmatch(r"-?[1-9]\d?", position):
        shift = 1 if int(position) > 0 else -1
    fonts = properties.find(W + "rFonts")
    struck = (_is_on(properties, "strike"), _is_on(properties, "dstrike"))
    return RunLook(
        is_hidden=_is_on(properties, "vanish"),
        colour=value_of(properties, "color") or None,
        shade=shade_of(properties),
        half_points=int(size) if size.isdigit() else None,
        shift=shift,
        is_struck=None if struck == (None, None) else any(struck),
        font=fonts.get(W + "ascii") if fonts is not None else None,
    )


def shade_of(properties: _Element | None) -> str | None:
    """The colour that properties put behind a text; None where they say nothing."""
    if properties is None:
        return None
    highlight = value_of(properties, "highlight")
    if highlight and highlight != "none":
        return _HIGHLIGHTS.get(highlight.lower(), "FFFF00")
    found = properties.find(W + "shd")
    fill = found.get(W + "fill", "") if found is not None else ""
    return fill if len(fill) == 6 else None


_HIGHLIGHTS = {"white": "FFFFFF", "black": "000000"}


def _is_on(properties: _Element, name: str) -> bool | None:
    found = properties.find(W + name)
    return None if found is None else found.get(W + "val", "1") not in _OFF


def _is_near(colour: str, ground: str) -> bool:
    try:
        pairs = [(int(colour[i : i + 2], 16), int(ground[i : i + 2], 16)) for i in (0, 2, 4)]
    except ValueError:  # auto
        return False
    return all(abs(a - b) <= 255 - _NEAR_WHITE for a, b in pairs)


def value_of(element: _Element, path: str) -> str:
    """The ``w:val`` of an element below another, "" if there is none."""
    found = element.find(_path(path))
    return (found.get(W + "val") or "") if found is not None else ""


def _path(path: str) -> str:
    return "/".join(W + part for part in path.split("/"))
