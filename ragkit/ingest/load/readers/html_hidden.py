"""Which parts of an HTML page its reader does not see, by attributes and inline styles.

Style sheets and scripts are not applied: what a class hides (a closed tab, an answer below its
question) is mostly there for a reader to open, and would be lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from ragkit.ingest.load.readers.css_colour import Colour, css_colour
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from lxml.etree import _Element

_CANDIDATES = (
    "//*[@style or @hidden or @color or (@aria-hidden='true' and "
    "(self::span or self::i or self::b or self::em or self::small or self::font or self::a))"
    " or (self::dialog and not(@open))]"
)
"""``aria-hidden`` counts where it marks a decoration; around blocks it hides nothing from eyes,
and pages are often saved while a dialogue has set it on all the rest."""

_PICTURES = "//img | //picture | //svg | //video | //canvas | //object | //iframe"

_TINY_PX = 1.0
_FAR_PX = 999.0
_USUAL_PX = 16.0
_PX = {"px": 1.0, "pt": 4 / 3, "em": 16.0, "rem": 16.0, "ex": 8.0, "vw": 10.0, "vh": 10.0, "%": 10}
"""Rough lengths: they only have to tell one pixel from a screen."""

_RELATIVE = {"em": 1.0, "ex": 0.5, "%": 0.01}
"""Units of a font's size that go by the size around it."""

_LENGTH = late_pattern(r"(-?[\d.]+)(px|pt|em|rem|ex|vw|vh|%)?(?![\w.])")
_NO_SPACE = late_pattern(r"rect\((?:0(?:px)?[,\s]*){4}\)|inset\((?:50|100)%")
_PICTURE = late_pattern(r"url\(|gradient\(|image-set\(")
_OVER = ("absolute", "fixed")


@dataclass
class HiddenParts:
    """What of a page is not seen.

    Attributes:
        whole: Elements of which nothing is seen.
        own: Elements whose own text is not seen; what is in them may be.
        doubtful: How many elements have the colour of an empty page in front of something that
            is not known, such as a picture. Their text counts as seen.
    """

    whole: set[_Element] = field(default_factory=set)
    own: set[_Element] = field(default_factory=set)
    doubtful: int = 0

    def count_with_text(self) -> int:
        """Count the elements that hide any text."""
        return sum(any(str(t).strip() for t in e.itertext()) for e in self.whole) + sum(
            any(str(t).strip() for t in cast("list[str]", e.xpath("text()"))) for e in self.own
        )


@dataclass(frozen=True, slots=True)
class _Look:
    """What a text's look goes by; all of it is handed down from element to element.

    ``behind`` is the colour behind it, None where that is not known.
    """

    size: float = _USUAL_PX
    colour: Colour | None = None
    behind: Colour | None = None
    is_visible: bool = True
    is_outlined: bool = False

    @property
    def is_seen(self) -> bool:
        if not self.is_visible or self.size <= _TINY_PX:
            return False
        if self.colour is None or self.is_outlined:
            return True
        if self.colour.opacity <= 0.01:
            return False
        return self.behind is None or not self.colour.near(self.behind)


_PAGE = Colour(255, 255, 255, 1)


def find_hidden(root: _Element) -> HiddenParts:
    """Find what the reader of a page does not see.

    Hidden with all that is in it is what has the attribute ``hidden``, a closed ``dialog``, and
    what an inline style does not display, makes transparent, shuts in a pixel or moves far off the
    screen. Sizes, colours and visibility are handed down, and what is in an element may set its
    own. Without a style sheet a page is white; with one an unstated background is unknown, and so
    is what lies behind a text that is placed over others, if there are pictures.
    """
    hidden = HiddenParts()
    candidates = cast("list[_Element]", root.xpath(_CANDIDATES))
    if not any(map(_may_hide, candidates)):
        return hidden
    styled = root.find(".//style") is not None or bool(root.xpath("//link[@rel='stylesheet']"))
    pictures = bool(root.xpath(_PICTURES))
    _walk(root, _Look(behind=None if styled else _PAGE), hidden, pictures=pictures)
    return hidden


def _may_hide(element: _Element) -> bool:
    """Say whether an element could hide anything: most styles only set margins and borders."""
    style = element.get("style")
    other = len(element.attrib) > 1 or style is None
    return (style is not None and _HIDING.search(style) is not None) or (
        other and not _HARMLESS.issuperset(map(str, element.attrib))
    )


_HIDING = late_pattern(
    r"display|visib|opac|font-size|color|background|transform|clip|overflow|-\d{3}|text-indent",
    re.IGNORECASE,
)
_HARMLESS = frozenset(("style", "class", "id", "align", "width", "height", "title", "lang", "dir"))


def _walk(root: _Element, look: _Look, hidden: HiddenParts, *, pictures: bool) -> None:
    from lxml import etree

    looks = [look]
    walk: Any = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        if event == "end":
            looks.pop()
            continue
        style = _style(element) if "style" in element.attrib else {}
        if _is_gone(element, style):
            hidden.whole.add(element)
            walk.skip_subtree()
            looks.append(looks[-1])
            continue
        look = _looked(element, style, looks[-1], pictures=pictures)
        looks.append(look)
        if not look.is_seen:
            hidden.own.add(element)
        elif look.behind is None and look.colour is not None and look is not looks[-2]:
            hidden.doubtful += look.colour.near(_PAGE)


def _style(element: _Element) -> dict[str, str]:
    pairs = (part.partition(":") for part in element.get("style", "").lower().split(";"))
    return {name.strip(): value.split("!")[0].strip() for name, _, value in pairs}


def _is_gone(element: _Element, style: dict[str, str]) -> bool:
    """Say whether nothing of an element is seen, whatever is in it."""
    attributes = element.attrib
    return (
        "hidden" in attributes
        or (element.tag == "dialog" and "open" not in attributes)
        or (attributes.get("aria-hidden") == "true" and element.tag in _DECORATIONS)
        or (bool(style) and _is_shut(style))
    )


_DECORATIONS = frozenset(("span", "i", "b", "em", "small", "font", "a"))


def _is_shut(style: dict[str, str]) -> bool:
    clipped = style.get("clip", "") + style.get("clip-path", "")
    return (
        style.get("display") == "none"
        or _number(style.get("opacity"), 1) <= 0.01
        or style.get("transform", "").replace(" ", "").startswith("scale(0)")
        or bool(_NO_SPACE.search(clipped))
        or (
            style.get("overflow") in ("hidden", "clip")
            and any(_number(style.get(s), 100) <= _TINY_PX for s in _SIZES)
            and not any(_number(v, 0) > _TINY_PX for v in _paddings(style))
        )
        or _is_far(style)
    )


_SIZES = ("width", "height", "max-width", "max-height")


def _paddings(style: dict[str, str]) -> list[str]:
    return [value for name, value in style.items() if name.startswith("padding")]


def _is_far(style: dict[str, str]) -> bool:
    """Say whether a style moves its element off the screen, and no padding makes up for it."""
    for side, across in (("left", True), ("right", True), ("top", False), ("bottom", False)):
        shorthand = _side(style.get("margin"), side), _side(style.get("padding"), side)
        moved = _number(style.get(f"margin-{side}"), shorthand[0])
        if style.get("position", "static") != "static":
            moved += _number(style.get(side), 0)
        if across and side == "left":
            moved += min(_number(style.get("text-indent"), 0), 0)
        if moved + max(_number(style.get(f"padding-{side}"), shorthand[1]), 0) <= -_FAR_PX:
            return True
    return False


def _side(shorthand: str | None, side: str) -> float:
    """What a ``margin`` or ``padding`` of one to four lengths says of a side."""
    parts = (shorthand or "").split()
    index = ("top", "right", "bottom", "left").index(side)
    if not parts or len(parts) > 4:
        return 0.0
    while index >= len(parts):  # left is as right, bottom as top, right as top
        index = index - 2 if index > 1 else 0
    return _number(parts[index], 0)


def _number(value: str | None, default: float) -> float:
    """A length in pixels, or a plain number; the default where there is none."""
    found = _LENGTH.match(value or "")
    try:
        return float(found[1]) * _PX.get(found[2] or "px", 1.0) if found else default
    except ValueError:  # several points
        return default


def _looked(element: _Element, style: dict[str, str], look: _Look, *, pictures: bool) -> _Look:
    """The look of an element, from that of the one around it."""
    attributes = element.attrib
    if not style and not any(name in attributes for name in _PAINTS):
        return look
    stated = style.get("color") or attributes.get("color", "").lower()
    colour = css_colour(stated) if stated and stated not in _KEPT else look.colour
    visibility = style.get("visibility")
    outlined = any(name in style for name in ("text-shadow", "-webkit-text-stroke"))
    return replace(
        look,
        size=_font_size(style, look.size),
        colour=colour,
        behind=_behind(element, style, look.behind, pictures=pictures),
        is_visible=visibility not in ("hidden", "collapse") if visibility else look.is_visible,
        is_outlined=look.is_outlined or outlined,
    )


_PAINTS = ("color", "bgcolor", "background")
_KEPT = ("inherit", "currentcolor", "unset")


def _font_size(style: dict[str, str], around: float) -> float:
    found = _LENGTH.match(style.get("font-size", ""))
    if found is None:
        return _USUAL_PX if style.get("font-size", "").endswith(_SIZE_NAMES) else around
    try:
        number = abs(float(found[1]))
    except ValueError:  # several points
        return around
    unit = found[2] or "px"
    return number * (around * _RELATIVE[unit] if unit in _RELATIVE else _PX[unit])


_SIZE_NAMES = ("small", "medium", "large")


def _behind(
    element: _Element, style: dict[str, str], around: Colour | None, *, pictures: bool
) -> Colour | None:
    stated = [style[name] for name in ("background", "background-color") if name in style]
    if any(_PICTURE.search(style.get(name, "")) for name in ("background", "background-image")):
        return None
    if element.get("background"):
        return None
    stated += [bgcolor.lower() for bgcolor in (element.get("bgcolor"),) if bgcolor]
    if not stated:
        is_over = style.get("position") in _OVER or _side(style.get("margin"), "top") < 0
        return None if is_over and pictures else around
    colour = css_colour(stated[-1])
    if colour is not None and not colour.opacity:
        return around
    return colour if colour is None or colour.opacity > 0.5 else None
