"""Which text of a PDF page its reader does not see: invisible, tiny, white on white, off the page.

pypdf tells a visitor each operator before it acts on it. A first reading notes where and how every
text is shown; where some cannot be seen, a second one empties those and so leaves them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypdf import PageObject

    Matrix: TypeAlias = Sequence[float]

_INVISIBLE_MODE = 3  # text rendering mode, ISO 32000-1, 9.3.6; 7 only adds to the clipping path
_TINY = 1.0  # points of text height; readable print begins at 4
_UNKNOWN = 1000.0
_WHITE = 0.99  # of each component
_SCAN_SHARE = 0.5
"""Share of a page that images cover at least where invisible text is the layer of a text
recognition: what the reader of a scan sees is its image, and the layer says what stands there."""

_SHOWS = frozenset((b"Tj", b"TJ", b"'", b'"'))
_PAINTS = frozenset((b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"))
_ENDS = _PAINTS | {b"n", b"S", b"s"}


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def holds(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.bottom <= y <= self.top

    @property
    def area(self) -> float:
        return max(0.0, self.right - self.left) * max(0.0, self.top - self.bottom)

    def within(self, other: _Box) -> _Box:
        return _Box(
            max(self.left, other.left),
            max(self.bottom, other.bottom),
            min(self.right, other.right),
            min(self.top, other.top),
        )


@dataclass(frozen=True, slots=True)
class _State:
    """The part of the graphics state that ``q`` and ``Q`` save and that text is seen by."""

    mode: int = 0
    size: float = 1.0
    white: bool = False


@dataclass(frozen=True, slots=True)
class _Shown:
    """One text as it is shown: how, where its baseline begins, how high it is, in points."""

    state: _State
    x: float
    y: float
    height: float
    in_form: bool


@dataclass
class _Notes:
    """What a reading notes; its `visit` is a visitor of pypdf's ``extract_text``.

    Args:
        unmeasured: Names of fonts whose size says nothing about the height of their letters.
    """

    unmeasured: frozenset[str]
    shown: list[_Shown] = field(default_factory=list)
    painted: list[_Box] = field(default_factory=list)
    images: list[_Box] = field(default_factory=list)
    _state: _State = field(default_factory=_State)
    _saved: list[_State] = field(default_factory=list)
    _path: list[tuple[float, float]] = field(default_factory=list)
    _outside: list[tuple[_State, int]] = field(default_factory=list)

    def visit(self, operator: bytes, operands: list[Any], cm: Matrix, tm: Matrix) -> None:
        """Note an operator before it acts."""
        if operator in _SHOWS:
            self._show(cm, tm)
        elif operator == b"q":
            self._saved.append(self._state)
        elif operator == b"Q":
            self._state = self._saved.pop() if self._saved else self._state
        elif operator == b"Do":
            # An image, or a form whose extent is not asked: both lie under what comes later.
            self.images.append(_bounds([(0, 0), (1, 0), (0, 1), (1, 1)], cm))
            self._outside.append((self._state, len(self._saved)))
        elif operator in _ENDS or operator in (b"re", b"m", b"l", b"c", b"v", b"y"):
            self._draw(operator, operands, cm)
        else:
            self._set(operator, operands)

    def leave(self, operator: bytes, _operands: object, _cm: Matrix, _tm: Matrix) -> None:
        """Note that an operator has acted."""
        if operator == b"Do" and self._outside:
            self._state, depth = self._outside.pop()
            del self._saved[depth:]

    def _show(self, cm: Matrix, tm: Matrix) -> None:
        x, y = _placed(tm[4], tm[5], cm)
        # How far one unit upwards goes on the page, through both matrices.
        up_x = tm[2] * cm[0] + tm[3] * cm[2]
        up_y = tm[2] * cm[1] + tm[3] * cm[3]
        height = abs(self._state.size) * (up_x**2 + up_y**2) ** 0.5
        self.shown.append(_Shown(self._state, x, y, height, bool(self._outside)))

    def _draw(self, operator: bytes, operands: list[Any], cm: Matrix) -> None:
        if operator in _ENDS:
            if operator in _PAINTS and self._path and not self._state.white:
                self.painted.append(_bounds(self._path, (1, 0, 0, 1, 0, 0)))
            self._path = []
            return
        numbers = _numbers(operands)
        if operator == b"re" and len(numbers) == 4:
            x, y, width, height = numbers
            numbers = [x, y, x + width, y + height]
        self._path += [_placed(*p, cm) for p in zip(numbers[::2], numbers[1::2], strict=False)]

    def _set(self, operator: bytes, operands: list[Any]) -> None:
        numbers = _numbers(operands)
        if operator == b"Tr" and numbers:
            self._state = replace(self._state, mode=int(numbers[0]))
        elif operator == b"Tf" and numbers:
            size = _UNKNOWN if operands[0] in self.unmeasured else numbers[0]
            self._state = replace(self._state, size=size)
        elif operator in (b"g", b"rg", b"k", b"sc", b"scn", b"cs"):
            self._state = replace(self._state, white=_is_white(operator, operands))


def visible_text(page: PageObject) -> tuple[str, int]:
    """Extract a page's text without what its reader does not see.

    Inside a form, whose place pypdf does not tell, only invisible text is left out. Errors are
    those of pypdf.

    Returns:
        The text, and how many shown strings were left out.
    """
    notes = _Notes(_type3_fonts(page))
    text = page.extract_text(visitor_operand_before=notes.visit, visitor_operand_after=notes.leave)
    box = _Box(*(float(n) for n in page.cropbox))
    unseen = _unseen(notes, box)
    if not unseen:
        return text, 0
    count = 0

    def empty(operator: bytes, operands: list[Any], _cm: Matrix, _tm: Matrix) -> None:
        nonlocal count
        if operator in _SHOWS:
            if count in unseen:
                _empty(operator, operands)
            count += 1

    return page.extract_text(visitor_operand_before=empty), len(unseen)


def _type3_fonts(page: PageObject) -> frozenset[str]:
    """Fonts that draw their letters themselves, at any scale: TeX's old bitmaps."""
    resources = page.get("/Resources")
    fonts = resources.get_object().get("/Font") if resources is not None else None
    found = fonts.get_object().items() if fonts is not None else ()
    return frozenset(name for name, font in found if font.get_object().get("/Subtype") == "/Type3")


def _unseen(notes: _Notes, box: _Box) -> set[int]:
    covered = sum(image.within(box).area for image in notes.images)
    scan = covered >= _SCAN_SHARE * box.area
    behind = notes.painted + notes.images
    return {i for i, shown in enumerate(notes.shown) if _is_unseen(shown, box, behind, scan=scan)}


def _is_unseen(shown: _Shown, box: _Box, behind: list[_Box], *, scan: bool) -> bool:
    if shown.state.mode == _INVISIBLE_MODE:
        return not scan
    if shown.in_form:
        return False
    # A line may begin left of the page and reach into it.
    width = box.right - box.left
    outside = not replace(box, left=box.left - width).holds(shown.x, shown.y)
    bare = not any(b.holds(shown.x, shown.y) for b in behind)
    return outside or shown.height < _TINY or (shown.state.white and bare)


def _empty(operator: bytes, operands: list[Any]) -> None:
    from pypdf.generic import ArrayObject, TextStringObject

    if operands:
        operands[-1] = ArrayObject() if operator == b"TJ" else TextStringObject("")


def _numbers(operands: list[Any]) -> list[float]:
    return [float(n) for n in operands if isinstance(n, (int, float))]


def _placed(x: float, y: float, matrix: Matrix) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _bounds(points: Sequence[tuple[float, float]], matrix: Matrix) -> _Box:
    xs, ys = zip(*(_placed(x, y, matrix) for x, y in points), strict=True)
    return _Box(min(xs), min(ys), max(xs), max(ys))


def _is_white(operator: bytes, operands: list[Any]) -> bool:
    """Say whether a fill colour is white. A colour space alone begins with black."""
    if operator == b"cs" or not all(isinstance(n, (int, float)) for n in operands):
        return False
    if operator == b"k" or len(operands) == 4:
        return all(n <= 1 - _WHITE for n in operands)
    return bool(operands) and all(n >= _WHITE for n in operands)
