"""Which text of a slide nobody sees: by its size, its colour, what is painted behind it, its place.

Where that cannot be known, the text counts as seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from ragkit.ingest.load.readers.open_xml import OpenXmlPackage, Relation

    Element: TypeAlias = _Element
    RGB: TypeAlias = tuple[int, int, int]

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_WHITE = (255, 255, 255)
_SIZE_OF_NOTHING = 100  # hundredths of a point: one point
_NO_OPACITY = 0.02
_NEAR = 6  # of 255, in each of red, green and blue
_MOST_PAINTED = 300  # things on a slide; above, what lies behind a text is not looked for
_FILLS = tuple(_A + kind for kind in ("solidFill", "gradFill", "blipFill", "pattFill", "grpFill"))
_NAMED = {"white": _WHITE, "black": (0, 0, 0)}
_SYSTEM = {"window": _WHITE, "windowText": (0, 0, 0)}
_PAINTS = (_P + "sp", _P + "pic", _P + "graphicFrame")


class _Box(NamedTuple):
    """Where something lies, in EMU."""

    left: int
    top: int
    right: int
    bottom: int

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


class _Fill(NamedTuple):
    """What fills an area: nothing, or a colour, which is None where it is not known."""

    is_there: bool = False
    colour: RGB | None = None


@dataclass
class _Ground:
    """What a slide has of its layout: colours by name, background, what is painted."""

    scheme: dict[str, RGB] = field(default_factory=dict)
    background: RGB | None = _WHITE
    painted: list[_Box | None] = field(default_factory=list)
    has_filled_places: bool = False


class SlideGrounds:
    """The layouts of a presentation, each looked at once.

    Args:
        package: The file's parts.
    """

    def __init__(self, package: OpenXmlPackage) -> None:
        self._package = package
        self._known: dict[str, _Ground] = {}
        root = package.xml(package.main)
        size = root.find(_P + "sldSz") if root is not None else None
        sides = [_whole(size.get(side)) for side in ("cx", "cy")] if size is not None else []
        self.page = _Box(0, 0, *sides) if all(sides) and sides else None

    def of(self, relations: dict[str, Relation]) -> _Ground:
        """The ground of a slide with these relations."""
        part = next((r.target for r in relations.values() if r.kind == "slideLayout"), "")
        if part not in self._known:
            self._known[part] = self._read(part)
        return self._known[part]

    def _read(self, layout: str) -> _Ground:
        ground = _Ground()
        parts = [layout, self._next(layout, "slideMaster")]
        roots = [self._package.xml(part) for part in parts if part]
        theme = self._next(parts[1], "theme") if parts[1] else ""
        colours = self._package.xml(theme) if theme else None
        if colours is not None and len(roots) > 1 and roots[1] is not None:
            ground.scheme = _scheme(colours, roots[1])
        found = [root for root in roots if root is not None]
        ground.background = next(
            (b.colour for root in found if (b := _background(root, ground.scheme)).is_there), _WHITE
        )
        for shape in (s for root in found for s in root.iter(*_PAINTS)):
            is_place = shape.find(f".//{_P}nvPr/{_P}ph") is not None
            if _fill(shape, ground).is_there:
                ground.has_filled_places |= is_place
                ground.painted += [] if is_place else [_box(shape)]
        return ground

    def _next(self, part: str, kind: str) -> str:
        relations = self._package.relations(part).values() if part else ()
        return next((r.target for r in relations if r.kind == kind), "")


class SeenText:
    """Says of the texts of a slide whether they are seen.

    Args:
        grounds: The presentation's.
        relations: The slide's.
        root: The slide.
    """

    def __init__(
        self, grounds: SlideGrounds, relations: dict[str, Relation], root: Element
    ) -> None:
        self._grounds = grounds
        self._relations = relations
        self._root = root
        self._behind: dict[Element, RGB | None] = {}

    def is_off(self, shape: Element) -> bool:
        """Whether a shape lies beside the slide."""
        page, box = self._grounds.page, _box(shape)
        return page is not None and box is not None and not box.meets(page)

    def is_unseen(self, run: Element) -> bool:
        """Whether a run of text is too small, transparent, or in the colour of what is behind."""
        look = run.find(_A + "rPr")
        if look is None or not (look.get("sz") or len(look)):
            return False
        if 0 < _whole(look.get("sz")) <= _SIZE_OF_NOTHING:
            return True
        if any(look.find(_A + kind) is not None for kind in ("ln", "effectLst", "highlight")):
            return False
        if look.find(_A + "noFill") is not None:
            return True
        fill = look.find(_A + "solidFill")
        if fill is None:
            return False
        ground = self._grounds.of(self._relations)
        if _opacity(fill) <= _NO_OPACITY:
            return True
        colour = _colour(fill, ground.scheme)
        behind = self._behind_text(run, ground) if colour else None
        return colour is not None and behind is not None and _are_near(colour, behind)

    def _behind_text(self, run: Element, ground: _Ground) -> RGB | None:
        cell = next(run.iterancestors(_A + "tc"), None)
        if cell is not None:
            found = _cell_fill(cell, ground)
            if found.is_there:
                return found.colour
        shape = next(run.iterancestors(*_PAINTS), None)
        if shape is None:
            return None
        if shape not in self._behind:
            self._behind[shape] = self._behind_shape(shape, ground)
        return self._behind[shape]

    def _behind_shape(self, shape: Element, ground: _Ground) -> RGB | None:
        own = _fill(shape, ground) if shape.tag == _P + "sp" else _Fill()
        if own.is_there:
            return own.colour
        if ground.has_filled_places and shape.find(f".//{_P}nvPr/{_P}ph") is not None:
            return None
        box = _box(shape)
        painted = [*ground.painted, *self._painted_before(shape, ground)]
        if len(painted) > _MOST_PAINTED or any(
            box is None or other is None or box.meets(other) for other in painted
        ):
            return None
        own_background = _background(self._root, ground.scheme)
        return own_background.colour if own_background.is_there else ground.background

    def _painted_before(self, shape: Element, ground: _Ground) -> Iterator[_Box | None]:
        for other in self._root.iter(*_PAINTS):
            if other is shape:
                return
            if _fill(other, ground).is_there:
                yield _box(other)


def _fill(shape: Element, ground: _Ground) -> _Fill:
    """What fills a shape; a picture, a table or a chart does so in colours that are not known."""
    if shape.tag != _P + "sp":
        return _Fill(is_there=True)
    properties = shape.find(_P + "spPr")
    if properties is not None:
        if properties.find(_A + "noFill") is not None:
            return _Fill()
        if (found := _stated(properties, ground)) is not None:
            return found
    reference = shape.find(f"{_P}style/{_A}fillRef")
    return _Fill(reference is not None and reference.get("idx", "0") != "0")


def _stated(properties: Element, ground: _Ground) -> _Fill | None:
    fill = next(properties.iterchildren(*_FILLS), None)
    if fill is None:
        return None
    if fill.tag != _A + "solidFill":
        return _Fill(is_there=True)
    if _opacity(fill) <= _NO_OPACITY:
        return _Fill()
    return _Fill(
        is_there=True, colour=_colour(fill, ground.scheme) if _opacity(fill) == 1 else None
    )


def _cell_fill(cell: Element, ground: _Ground) -> _Fill:
    """What fills a cell of a table; unknown where that is left to the style of the table."""
    properties = cell.find(_A + "tcPr")
    if properties is not None:
        if properties.find(_A + "noFill") is not None:
            return _Fill()
        if (found := _stated(properties, ground)) is not None:
            return found
    table = next(cell.iterancestors(_A + "tbl"), None)
    return _Fill(table is not None and table.find(f"{_A}tblPr/{_A}tableStyleId") is not None)


def _background(root: Element, scheme: dict[str, RGB]) -> _Fill:
    """The background that a slide, layout or master states."""
    stated = root.find(f"{_P}cSld/{_P}bg")
    if stated is None:
        return _Fill()
    solid = stated.find(f"{_P}bgPr/{_A}solidFill")
    reference = stated.find(_P + "bgRef")
    if solid is not None:
        return _Fill(is_there=True, colour=_colour(solid, scheme))
    # The first of a theme's fills for backgrounds is one of a single colour.
    is_plain = reference is not None and reference.get("idx") == "1001"
    return _Fill(is_there=True, colour=_colour(reference, scheme) if is_plain else None)


def _scheme(theme: Element, master: Element) -> dict[str, RGB]:
    """The colours that slides name, by the theme and the master's table of names."""
    own: dict[str, RGB] = {}
    for entry in theme.iterfind(f".//{_A}clrScheme/*"):
        if (colour := _colour(entry, {})) is not None:
            own[str(entry.tag).rpartition("}")[2]] = colour
    table = master.find(_P + "clrMap")
    mapped = table.attrib.items() if table is not None else ()
    return own | {str(name): own[str(to)] for name, to in mapped if str(to) in own}


def _colour(fill: Element | None, scheme: dict[str, RGB]) -> RGB | None:
    """The colour of a fill; None where it is not known, as one that is made lighter or darker."""
    stated = next(iter(fill), None) if fill is not None else None
    if stated is None or any(child.tag != _A + "alpha" for child in stated):
        return None
    kind, value = str(stated.tag).rpartition("}")[2], stated.get("val", "")
    if kind == "schemeClr":
        return scheme.get(value)
    if kind == "prstClr":
        return _NAMED.get(value)
    if kind == "sysClr":
        return _parsed(stated.get("lastClr", "")) or _SYSTEM.get(value)
    return _parsed(value) if kind == "srgbClr" else None


def _parsed(value: str) -> RGB | None:
    try:
        red, green, blue = bytes.fromhex(value)
    except ValueError:
        return None
    return red, green, blue


def _opacity(fill: Element) -> float:
    stated = fill.find(f"*/{_A}alpha")
    value = stated.get("val", "") if stated is not None else ""
    return int(value) / 100_000 if value.isdigit() else 1.0


def _are_near(colour: RGB, other: RGB) -> bool:
    return all(abs(a - b) <= _NEAR for a, b in zip(colour, other, strict=True))


def _box(shape: Element) -> _Box | None:
    """Where a shape lies; None where it does not say, or lies within a group."""
    parent = shape.getparent()
    if parent is None or parent.tag != _P + "spTree":
        return None
    paths = (f"{_P}spPr/{_A}xfrm", f"{_P}grpSpPr/{_A}xfrm", _P + "xfrm")
    place = next((found for path in paths if (found := shape.find(path)) is not None), None)
    start = place.find(_A + "off") if place is not None else None
    size = place.find(_A + "ext") if place is not None else None
    if start is None or size is None:
        return None
    left, top = _whole(start.get("x")), _whole(start.get("y"))
    return _Box(left, top, left + _whole(size.get("cx")), top + _whole(size.get("cy")))


def _whole(value: str | None) -> int:
    return int(value) if value and value.removeprefix("-").isdigit() else 0
