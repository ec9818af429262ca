"""What a PDF page shows and paints, in order, noted while pypdf extracts its text.

pypdf tells a visitor each operator before it acts on it. The visitor notes how and where every
text is shown, and puts a mark before it that comes out in pypdf's text: so each piece of the text
is known by its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.ingest.load.readers.pdf_colours import (
    BLACK,
    RGB,
    colour_in,
    direct_colour,
    first_colour,
)
from ragkit.ingest.load.readers.pdf_fonts import FontFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pypdf import PageObject

    Matrix: TypeAlias = Sequence[float]

MARK = "\U000f0001"
"""Stands before each shown text; a private character that no document holds."""

_SHOWS = frozenset((b"Tj", b"TJ", b"'", b'"'))
_FILLS = frozenset((b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"))
_ENDS = _FILLS | {b"n", b"S", b"s"}
_MOVES = frozenset((b"BT", b"Td", b"TD", b"Tm", b"T*"))
_LINES = frozenset((b"re", b"m", b"l", b"c", b"v", b"y"))
_IDENTITY = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_EVERYWHERE = 1e9
_GAP = -200.0  # thousandths of the font's size: what parts words, and is more than kerning
_OF_STREAM = ("/Length", "/Filter", "/DecodeParms", "/DL")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the page, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def holds(self, x: float, y: float) -> bool:
        """Say whether a point lies in it."""
        return self.left <= x <= self.right and self.bottom <= y <= self.top

    def within(self, other: Box) -> Box:
        """What of it lies in another; of negative size if nothing does."""
        return Box(
            max(self.left, other.left),
            max(self.bottom, other.bottom),
            min(self.right, other.right),
            min(self.top, other.top),
        )


@dataclass(frozen=True, slots=True)
class GraphicsState:
    """What of the graphics state is saved by ``q``, as far as text is seen by it."""

    mode: int = 0
    size: float = 1.0
    font: str = ""
    rise: float = 0.0
    space: Any = "/DeviceGray"
    colour: RGB | None = BLACK
    opacity: float = 1.0
    is_blended: bool = False
    clip: Box = Box(-_EVERYWHERE, -_EVERYWHERE, _EVERYWHERE, _EVERYWHERE)
    is_clip_exact: bool = True


@dataclass(frozen=True, slots=True)
class Painted:
    """An area that was painted: where, when (how many texts were shown before), in what colour.

    ``colour`` is None where it is a picture, a gradient or a pattern; ``covers`` says whether
    nothing below it is seen.
    """

    box: Box
    after: int
    colour: RGB | None
    covers: bool = False
    is_picture: bool = False


@dataclass(slots=True)
class Shown:
    """One text as it is shown: in what state, where its baseline runs, how high it is, in points.

    ``codes`` is what the file has for it, ``text`` what pypdf makes of that, with the white space
    that it puts behind.
    """

    state: GraphicsState
    x: float
    y: float
    end: float
    height: float
    is_level: bool
    is_off: bool
    font: FontFacts | None
    codes: bytes
    text: str = ""


@dataclass
class PageNotes:
    """The visitor of a page; see `read_page`.

    Args:
        off: The ids of optional content that is switched off.
        pdf: What resolves its objects.
    """

    off: frozenset[int]
    pdf: Any
    shown: list[Shown] = field(default_factory=list)
    painted: list[Painted] = field(default_factory=list)
    _state: GraphicsState = field(default_factory=GraphicsState)
    _saved: list[GraphicsState] = field(default_factory=list)
    _paths: list[tuple[bool, list[tuple[float, float]]]] = field(default_factory=list)
    _clips: bool = False
    _advance: float = 0.0
    _marked: list[bool] = field(default_factory=list)
    _outer: list[tuple[GraphicsState, int, Matrix, Any, int]] = field(default_factory=list)
    _base: Matrix = _IDENTITY
    _resources: Any = None
    _fonts: dict[int, FontFacts] = field(default_factory=dict)

    def visit(self, operator: bytes, operands: list[Any], cm: Matrix, tm: Matrix) -> None:
        """Note an operator before it acts; mark the text that it shows."""
        if operator == b"TJ" and operands and isinstance(operands[-1], list):
            self._show(operands, _product(cm, self._base), tm)
        elif operator in _MOVES:
            self._advance = 0.0
        elif operator == b"Do":
            self._enter(operands, _product(cm, self._base))
        elif operator in _ENDS or operator in _LINES:
            self._draw(operator, operands, _product(cm, self._base))
        else:
            act = _ACTS.get(operator)
            if act:
                act(self, operands)
            elif operator in (b"g", b"rg", b"k", b"sc", b"scn", b"cs"):
                self._set_colour(operator, operands)

    def leave(self, operator: bytes, _operands: object, _cm: Matrix, _tm: Matrix) -> None:
        """Note that an operator has acted."""
        if operator == b"Do" and self._outer:
            self._state, depth, self._base, self._resources, marked = self._outer.pop()
            del self._saved[depth:]
            del self._marked[marked:]

    def use(self, resources: object) -> None:
        """Take the resources of the page."""
        self._resources = _resolved(resources)

    # Text ---------------------------------------------------------------------------------------

    def _show(self, operands: list[Any], cm: Matrix, tm: Matrix) -> None:
        # pypdf leaves the text matrix where it was set: what was shown since then moved the pen.
        along, rise = self._advance, self._state.rise
        x, y = _placed(
            tm[4] + along * tm[0] + rise * tm[2], tm[5] + along * tm[1] + rise * tm[3], cm
        )
        # How far one unit upwards and one to the right go on the page, through both matrices.
        up = tm[2] * cm[0] + tm[3] * cm[2], tm[2] * cm[1] + tm[3] * cm[3]
        right = tm[0] * cm[0] + tm[1] * cm[2], tm[0] * cm[1] + tm[1] * cm[3]
        size = abs(self._state.size)
        font = self._font()
        is_drawn = font is not None and font.is_drawn
        shown = _length(operands, font)
        self._advance += size * shown
        length = size * (right[0] ** 2 + right[1] ** 2) ** 0.5 * shown
        self.shown.append(
            Shown(
                self._state,
                x,
                y,
                x + length,
                _EVERYWHERE if is_drawn else size * (up[0] ** 2 + up[1] ** 2) ** 0.5,
                is_level=right[0] > 0 and abs(right[1]) <= 0.02 * right[0],
                is_off=any(self._marked),
                font=font,
                codes=b"".join(item for item in operands[-1] if isinstance(item, bytes)),
            )
        )

    def _font(self) -> FontFacts | None:
        fonts = _entry(self._resources, "/Font")
        font = _entry(fonts, self._state.font)
        if font is None or not hasattr(font, "get"):
            return None
        if id(font) not in self._fonts:
            self._fonts[id(font)] = FontFacts(font)
        return self._fonts[id(font)]

    # Pictures and forms -------------------------------------------------------------------------

    def _enter(self, operands: list[Any], cm: Matrix) -> None:
        found = _entry(_entry(self._resources, "/XObject"), str(operands[0]) if operands else "")
        is_form = hasattr(found, "get") and found.get("/Subtype") == "/Form"
        depth, marked = len(self._saved), len(self._marked)
        self._outer.append((self._state, depth, self._base, self._resources, marked))
        if hasattr(found, "get") and self._is_off(found.raw_get("/OC") if "/OC" in found else None):
            self._marked.append(True)
        if is_form:
            numbers = _numbers(found.get("/Matrix", _IDENTITY))
            self._base = _product(numbers if len(numbers) == 6 else _IDENTITY, cm)
            self._resources = _entry(found, "/Resources") or self._resources
            self._mark_form(operands, found)
        elif not any(self._marked):
            box = _bounds([(0, 0), (1, 0), (0, 1), (1, 1)], cm).within(self._state.clip)
            self.painted.append(Painted(box, len(self.shown), None, is_picture=True))

    def _mark_form(self, operands: list[Any], form: Any) -> None:  # noqa: ANN401 -- any PDF object
        """Put a form with marks in the place of one that is about to be read."""
        from pypdf.generic import ContentStream

        if not isinstance(form, ContentStream):
            marked = _with_marks(form, self.pdf)
            marked.update({k: form.raw_get(k) for k in form if k not in _OF_STREAM})
            forms = _entry(self._outer[-1][3], "/XObject")
            forms[operands[0]] = marked

    # Areas --------------------------------------------------------------------------------------

    def _draw(self, operator: bytes, operands: list[Any], cm: Matrix) -> None:
        if operator in _ENDS:
            if operator in _FILLS and not any(self._marked):
                self._fill()
            if self._clips:
                self._narrow_clip()
            self._paths, self._clips = [], False
            return
        numbers = _numbers(operands)
        if operator == b"re" and len(numbers) == 4:
            x, y, width, height = numbers
            corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
            self._paths.append((True, [_placed(*p, cm) for p in corners]))
            return
        points = [_placed(*p, cm) for p in zip(numbers[::2], numbers[1::2], strict=False)]
        if operator == b"m" or not self._paths:
            self._paths.append((True, points))
        else:
            is_straight, path = self._paths[-1]
            self._paths[-1] = (is_straight and operator == b"l", path + points)

    def _fill(self) -> None:
        state = self._state
        is_solid = state.opacity > 0.99 and not state.is_blended and state.is_clip_exact
        one = len(self._paths) == 1 or not _are_nested([path for _, path in self._paths])
        for is_straight, path in self._paths:
            if path and state.opacity > 0.01:
                box = _bounds(path, _IDENTITY).within(state.clip)
                covers = is_solid and one and is_straight and _is_upright(path)
                covers = covers and state.colour is not None
                self.painted.append(Painted(box, len(self.shown), state.colour, covers))

    def _narrow_clip(self) -> None:
        points = [point for _, path in self._paths for point in path]
        if points:
            exact = len(self._paths) == 1 and self._paths[0][0] and _is_upright(points)
            clip = _bounds(points, _IDENTITY).within(self._state.clip)
            exact = exact and self._state.is_clip_exact
            self._state = replace(self._state, clip=clip, is_clip_exact=exact)

    # State --------------------------------------------------------------------------------------

    def _set_colour(self, operator: bytes, operands: list[Any]) -> None:
        numbers = _numbers(operands)
        if operator == b"cs":
            name = str(operands[0]) if operands else ""
            space = _entry(_entry(self._resources, "/ColorSpace"), name)
            space = space if space is not None else name
            self._state = replace(self._state, space=space, colour=first_colour(space))
        elif operator in (b"sc", b"scn"):
            colour = (
                colour_in(self._state.space, numbers) if len(numbers) == len(operands) else None
            )
            self._state = replace(self._state, colour=colour)
        else:
            self._state = replace(self._state, colour=direct_colour(operator, numbers))

    def save(self, _operands: list[Any]) -> None:
        """Save the state."""
        self._saved.append(self._state)

    def restore(self, _operands: list[Any]) -> None:
        """Bring the saved state back."""
        self._state = self._saved.pop() if self._saved else self._state

    def set_font(self, operands: list[Any]) -> None:
        """Take a font and its size."""
        numbers = _numbers(operands[1:])
        if numbers:
            self._state = replace(self._state, font=str(operands[0]), size=numbers[0])

    def set_mode(self, operands: list[Any]) -> None:
        """Take how text is painted."""
        if numbers := _numbers(operands):
            self._state = replace(self._state, mode=int(numbers[0]))

    def set_rise(self, operands: list[Any]) -> None:
        """Take how far text is raised."""
        if numbers := _numbers(operands):
            self._state = replace(self._state, rise=numbers[0])

    def set_extended(self, operands: list[Any]) -> None:
        """Take opacity, blending and masks."""
        name = str(operands[0]) if operands else ""
        found = _entry(_entry(self._resources, "/ExtGState"), name)
        if found is None or not hasattr(found, "get"):
            return
        opacity = _numbers([found.get("/ca", self._state.opacity)])
        blend, mask = found.get("/BM"), found.get("/SMask")
        is_blended = self._state.is_blended
        if blend is not None or mask is not None:
            is_blended = str(blend) not in ("None", "/Normal", "/Compatible") or (
                mask is not None and str(mask) != "/None"
            )
        self._state = replace(
            self._state, opacity=opacity[0] if opacity else 1.0, is_blended=is_blended
        )

    def shade(self, _operands: list[Any]) -> None:
        """Note that a gradient fills the clipping area."""
        self.painted.append(Painted(self._state.clip, len(self.shown), None))

    def clip(self, _operands: list[Any]) -> None:
        """Note that the path at hand clips what follows."""
        self._clips = True

    def open_marked(self, operands: list[Any]) -> None:
        """Open marked content, which may be a layer that is switched off."""
        is_off = False
        if len(operands) > 1 and str(operands[0]) == "/OC" and isinstance(operands[1], str):
            named = _entry(self._resources, "/Properties")
            if named is not None and operands[1] in named:
                is_off = self._is_off(named.raw_get(operands[1]))
        self._marked.append(is_off)

    def close_marked(self, _operands: list[Any]) -> None:
        """Close marked content."""
        if self._marked:
            self._marked.pop()

    def _is_off(self, reference: Any) -> bool:  # noqa: ANN401 -- any PDF object
        """Say whether optional content, one group or several, is switched off."""
        if reference is None or not self.off:
            return False
        number = getattr(reference, "idnum", None)
        found = _resolved(reference)
        if not hasattr(found, "get") or found.get("/Type") != "/OCMD":
            return number in self.off
        groups = found.raw_get("/OCGs") if "/OCGs" in found else []
        members = groups if isinstance(groups, list) else [groups]
        states = [getattr(member, "idnum", None) in self.off for member in members]
        policy = str(found.get("/P", "/AnyOn"))
        if not states:
            return False
        return {
            "/AllOn": any(states),
            "/AnyOff": not any(states),
            "/AllOff": not all(states),
        }.get(policy, all(states))


_ACTS: dict[bytes, Callable[[PageNotes, list[Any]], None]] = {
    b"q": PageNotes.save,
    b"Q": PageNotes.restore,
    b"Tf": PageNotes.set_font,
    b"Tr": PageNotes.set_mode,
    b"Ts": PageNotes.set_rise,
    b"gs": PageNotes.set_extended,
    b"sh": PageNotes.shade,
    b"W": PageNotes.clip,
    b"W*": PageNotes.clip,
    b"BDC": PageNotes.open_marked,
    b"BMC": PageNotes.open_marked,
    b"EMC": PageNotes.close_marked,
}


def read_page(page: PageObject, off: frozenset[int]) -> PageNotes | str:
    """Read a page: what is shown on it, each text with its place, and what is painted.

    Where pypdf turns texts around (right to left), their places are lost, and the text alone
    comes back. Errors are those of pypdf.

    Args:
        page: The page.
        off: The ids of optional content that is switched off.
    """
    from pypdf.generic import NameObject

    contents = page.get("/Contents")
    if contents is None:
        return ""
    notes = PageNotes(off, page.pdf)
    notes.use(page.get("/Resources"))
    page[NameObject("/Contents")] = _with_marks(contents.get_object(), page.pdf)
    text = page.extract_text(visitor_operand_before=notes.visit, visitor_operand_after=notes.leave)
    head, *pieces = text.split(MARK)
    are_told = all(shown.font is None or shown.font.tells_letters for shown in notes.shown)
    if len(pieces) != len(notes.shown) or head.strip() or (are_told and _is_turned(text)):
        return text.replace(MARK, "")
    for shown, piece in zip(notes.shown, pieces, strict=True):
        shown.text = piece
    return notes


def _is_turned(text: str) -> bool:
    return not text.isascii() and any("\u0590" <= char <= "\u08ff" for char in text)


def _with_marks(stream: Any, pdf: Any) -> Any:  # noqa: ANN401 -- any PDF object
    """A content stream that puts the mark before each text, as a string that needs no font."""
    from pypdf.generic import ArrayObject, ContentStream

    content = ContentStream(stream, pdf, "bytes")
    mark = _own_string(MARK)
    operations: list[tuple[Any, bytes]] = []
    for operands, operator in content.operations:
        if operator not in _SHOWS or not operands:
            operations.append((operands, operator))
            continue
        if operator == b'"' and len(operands) > 2:
            operations += [([operands[0]], b"Tw"), ([operands[1]], b"Tc")]
        if operator in (b"'", b'"'):
            operations.append(([], b"T*"))
        shown = operands[-1]
        items = shown if isinstance(shown, list) else [shown]
        operations.append(([ArrayObject([mark, *_with_spaces(items)])], b"TJ"))
    content.operations = operations
    return content


def _with_spaces(items: Sequence[Any]) -> Iterator[Any]:
    """Put a space where a gap parts words; pypdf takes a font's space for wider than it may be."""
    for item in items:
        if isinstance(item, (int, float)) and item <= _GAP:
            yield _own_string(" ")
        yield item


@cache
def _own_string(text: str) -> Any:  # noqa: ANN401 -- a string of pypdf's
    from pypdf.generic import TextStringObject

    class OwnString(TextStringObject):
        """A text of ours; pypdf, which measures it by its characters, finds none."""

        def __iter__(self) -> Iterator[str]:
            return iter(())

        def __len__(self) -> int:
            return 0

    return OwnString(text)


def _length(operands: list[Any], font: FontFacts | None) -> float:
    """The width of what is shown, in units of the font's size."""
    if not operands or font is None:
        return 0.0
    total = 0.0
    for item in operands[-1]:
        if isinstance(item, bytes):
            total += font.width(item)
        elif isinstance(item, (int, float)):
            total -= float(item)
    return total / 1000


def _entry(container: Any, key: str) -> Any:  # noqa: ANN401 -- any PDF object
    if container is None or not hasattr(container, "get") or not key:
        return None
    return _resolved(container.get(key))


def _resolved(value: Any) -> Any:  # noqa: ANN401 -- any PDF object
    return value.get_object() if hasattr(value, "get_object") else value


def _numbers(operands: Any) -> list[float]:  # noqa: ANN401 -- a list of PDF objects
    return [float(n) for n in operands if isinstance(n, (int, float))]


def _product(one: Matrix, other: Matrix) -> Matrix:
    """The matrix that acts as one does and then another."""
    a, b, c, d, e, f = one
    p, q, r, s, t, u = other
    if (p, q, r, s, t, u) == _IDENTITY:
        return one
    return (
        a * p + b * r,
        a * q + b * s,
        c * p + d * r,
        c * q + d * s,
        e * p + f * r + t,
        e * q + f * s + u,
    )


def _placed(x: float, y: float, matrix: Matrix) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _bounds(points: Sequence[tuple[float, float]], matrix: Matrix) -> Box:
    xs, ys = zip(*(_placed(x, y, matrix) for x, y in points), strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def _is_upright(path: Sequence[tuple[float, float]]) -> bool:
    """Say whether a path is one rectangle with level sides."""
    corners = {(round(x, 2), round(y, 2)) for x, y in path}
    return len(corners) == 4 and len({x for x, _ in corners}) == len({y for _, y in corners}) == 2


def _are_nested(paths: list[list[tuple[float, float]]]) -> bool:
    """Say whether a path lies in another, so that it may be a hole."""
    boxes = [_bounds(path, _IDENTITY) for path in paths if path]
    if len(boxes) > 64:
        return True
    return any(a is not b and a.within(b) == a for a in boxes for b in boxes)
