"""Which parts of an HTML page its reader does not see, by attributes and inline styles.

Style sheets and scripts are not applied: what a class hides (a closed tab, an answer below its
question) is mostly there for a reader to open, and would be lost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from lxml.etree import _Element

_CANDIDATES = (
    "//*[@style or @hidden or @color or (@aria-hidden='true' and "
    "(self::span or self::i or self::b or self::em or self::small or self::font or self::a))"
    " or (self::dialog and not(@open))]"
)
"""``aria-hidden`` counts where it marks a decoration; around blocks it hides nothing from eyes,
and pages are often saved while a dialogue has set it on all the rest."""

_TINY_PX = 1.0
_FAR_PX = 999.0
_PX = {"px": 1.0, "pt": 4 / 3, "em": 16.0, "rem": 16.0, "ex": 8.0, "vw": 10.0, "vh": 10.0, "%": 10}
"""Rough lengths: they only have to tell one pixel from a screen."""

_LENGTH = re.compile(r"(-?[\d.]+)(px|pt|em|rem|ex|vw|vh|%)?(?![\w.])")
_NO_SPACE = re.compile(r"rect\((?:0(?:px)?[,\s]*){4}\)|inset\((?:50|100)%")
_SIDES = ("left", "top", "right", "bottom", "margin-left", "margin-top", "text-indent")

_NAMES = {
    "white": "#ffffff", "snow": "#fffafa", "ivory": "#fffff0", "whitesmoke": "#f5f5f5",
    "black": "#000000", "red": "#ff0000", "green": "#008000", "blue": "#0000ff",
    "yellow": "#ffff00", "gray": "#808080", "grey": "#808080", "silver": "#c0c0c0",
    "navy": "#000080", "transparent": "#00000000",
}  # fmt: skip
_HEX = re.compile(r"#([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})\b")
_RGB = re.compile(r"rgba?\(([^)]*)\)")
_PICTURE = re.compile(r"url\(|gradient\(")
_NEAR = 8
"""Difference of a colour channel, of 255, that nobody sees."""


class _Colour(NamedTuple):
    red: float
    green: float
    blue: float
    opacity: float

    def near(self, other: _Colour) -> bool:
        return all(abs(a - b) <= _NEAR for a, b in zip(self[:3], other[:3], strict=True))


_WHITE = _Colour(255, 255, 255, 1)


def hidden_elements(root: _Element) -> set[_Element]:
    """The elements of a page that its reader does not see, with all that is in them.

    That is by the attribute ``hidden``, a closed ``dialog``, or an inline style: not displayed,
    invisible, transparent, of at most one pixel, far off the screen, or in the colour of its
    background. Without a style sheet a page is white; with one an unstated background is unknown.
    """
    styled = root.find(".//style") is not None or bool(root.xpath("//link[@rel='stylesheet']"))
    found: set[_Element] = set()
    for element in cast("list[_Element]", root.xpath(_CANDIDATES)):
        style = _style(element)
        if (
            "hidden" in element.attrib
            or element.get("aria-hidden") == "true"
            or element.tag == "dialog"
            or _unseen(style)
            or _in_its_background(element, style, styled=styled)
        ):
            found.add(element)
    return found


def count_with_text(elements: set[_Element]) -> int:
    """Count the elements that hold any text."""
    return sum(any(str(text).strip() for text in e.itertext()) for e in elements)


def _style(element: _Element) -> dict[str, str]:
    pairs = (part.partition(":") for part in element.get("style", "").lower().split(";"))
    return {name.strip(): value.split("!")[0].strip() for name, _, value in pairs}


def _unseen(style: dict[str, str]) -> bool:
    return (
        style.get("display") == "none"
        or style.get("visibility") in ("hidden", "collapse")
        or _number(style.get("opacity"), 1) <= 0.01
        or abs(_number(style.get("font-size"), 16)) <= _TINY_PX
        or style.get("transform", "").replace(" ", "").startswith("scale(0)")
        or bool(_NO_SPACE.search(style.get("clip", "") + style.get("clip-path", "")))
        or _shut(style)
        or any(_number(style.get(side), 0) <= -_FAR_PX for side in _SIDES)
    )


def _shut(style: dict[str, str]) -> bool:
    sizes = ("width", "height", "max-width", "max-height")
    return style.get("overflow") == "hidden" and any(
        _number(style.get(size), 100) <= _TINY_PX for size in sizes
    )


def _number(value: str | None, default: float) -> float:
    """A length in pixels, or a plain number; the default where there is none."""
    found = _LENGTH.match(value or "")
    try:
        return float(found[1]) * _PX.get(found[2] or "px", 1.0) if found else default
    except ValueError:  # several points
        return default


def _in_its_background(element: _Element, style: dict[str, str], *, styled: bool) -> bool:
    colour = _colour(style.get("color") or element.get("color", "").lower())
    if colour is None:
        return False
    behind = _background(element, styled=styled)
    return colour.opacity == 0 or (behind is not None and colour.near(behind))


def _background(element: _Element, *, styled: bool) -> _Colour | None:
    """The nearest background that is stated; None where it is a picture or not known."""
    for around in (element, *element.iterancestors()):
        style = _style(around)
        stated = style.get("background-color") or style.get("background")
        if stated := stated or around.get("bgcolor", "").lower() or around.get("background"):
            colour = None if _PICTURE.search(stated) else _colour(stated)
            if colour is None or colour.opacity:
                return colour
    return None if styled else _WHITE


def _colour(text: str) -> _Colour | None:
    """Read a colour as CSS or a ``color`` attribute writes it; None where it is none known here."""
    text = _NAMES.get(text.split(" ")[0], text)
    if found := _HEX.search(text):
        digits = (found[1] if len(found[1]) > 4 else "".join(d * 2 for d in found[1])) + "ff"
        channels = [int(digits[i : i + 2], 16) for i in (0, 2, 4, 6)]
        return _Colour(channels[0], channels[1], channels[2], channels[3] / 255)
    if found := _RGB.search(text):
        numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?|\.\d+", found[1])]
        if len(numbers) >= 3:
            red, green, blue, opacity = (*numbers, 1.0)[:4]
            return _Colour(red, green, blue, opacity)
    return None
