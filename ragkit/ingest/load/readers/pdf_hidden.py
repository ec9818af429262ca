"""Which text of a PDF page its reader does not see: by what is painted, not by its colour alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.ingest.load.readers.pdf_colours import WHITE, is_near
from ragkit.ingest.load.readers.pdf_content import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.ingest.load.readers.pdf_content import PageNotes, Painted, Shown

_INVISIBLE_MODE = 3  # text rendering mode, ISO 32000-1, 9.3.6; 7 only adds to the clipping path
_FILLED_MODES = (0, 4)
_TINY = 1.0  # points of text height; readable print begins at 4
_NO_OPACITY = 0.01


def unseen_texts(notes: PageNotes, page: Box) -> set[int]:
    """Number the shown texts that nobody sees.

    Those are texts on a layer that is switched off, tiny or off the page, transparent, in the
    colour of what lies behind them, and those over which an opaque rectangle was painted later.
    Invisible text counts as seen where a picture lies at its place: there it is the layer of a
    text recognition, and says what the picture shows. What lies behind a text is what was painted
    there last before it, and white paper if nothing was; a picture, a gradient or a pattern there
    leave the text in doubt, and it is kept.

    Args:
        notes: What the page shows and paints.
        page: Its visible part.
    """
    wide = Box(page.left - (page.right - page.left), page.bottom, page.right, page.top)
    return {i for i, shown in enumerate(notes.shown) if _is_unseen(i, shown, notes.painted, wide)}


def _is_unseen(index: int, shown: Shown, painted: Sequence[Painted], page: Box) -> bool:
    if shown.is_off or not page.holds(shown.x, shown.y) or shown.height < _TINY:
        return True
    state = shown.state
    if state.mode == _INVISIBLE_MODE:
        return not any(_is_under(area, shown) for area in painted if area.is_picture)
    if state.opacity <= _NO_OPACITY:
        return True
    before = [area for area in painted if area.after <= index and _is_under(area, shown)]
    behind = before[-1].colour if before else WHITE
    if state.mode in _FILLED_MODES and is_near(state.colour, behind):
        return True
    return any(area.covers and area.after > index and _covers(area.box, shown) for area in painted)


def _middle(shown: Shown) -> tuple[float, float]:
    return (shown.x + max(shown.end, shown.x)) / 2, shown.y + min(shown.height, 100.0) * 0.3


def _is_under(area: Painted, shown: Shown) -> bool:
    return area.box.holds(*_middle(shown)) or area.box.holds(shown.x, shown.y)


def _covers(box: Box, shown: Shown) -> bool:
    """Say whether a rectangle lies over a level text, but for its edges."""
    if not shown.is_level:
        return False
    edge = 0.15 * (shown.end - shown.x)
    _, y = _middle(shown)
    return all(
        box.holds(x, y) for x in (shown.x + edge, (shown.x + shown.end) / 2, shown.end - edge)
    )
