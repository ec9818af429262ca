"""Pages of a PDF through pypdfium2, where that is installed: what pypdf cannot read, it often can.

Which text is seen is judged by less than in `pdf_hidden`: the mode, opacity, colour, size and
place of each text, and whether anything at all is painted where it stands.
"""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ragkit.ingest.load.formats import normalise
from ragkit.ingest.load.readers.pdf_content import Box

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HYPHENS = str.maketrans({"\x02": "-", "\ufffe": "-", "\uffff": None})
_INVISIBLE = (3, 7)
_WHITE = 251  # of 255, in each of red, green and blue
_TINY = 1.0  # points
_ALPHA = 2
_SMALL = 0.5  # of 72 dots an inch: enough to see that a page is not empty


def has_pdfium() -> bool:
    """Whether pypdfium2 is installed (the extras ``pdf`` and ``ocr``)."""
    try:
        return find_spec("pypdfium2") is not None
    except ValueError:  # a module that is put there without a spec
        return False


class PdfiumPages:
    """The pages of a PDF as PDFium reads them; it is opened when the first is asked for.

    Args:
        data: The file.
        passwords: Tried in order, after none.
    """

    def __init__(self, data: bytes, passwords: Sequence[str] = ()) -> None:
        self._data = data
        self._passwords = passwords
        self._document: Any = None
        self._is_open = False

    def open(self) -> Any:  # noqa: ANN401 -- pypdfium2's document
        """The document; None where pypdfium2 is missing or cannot open it."""
        if not self._is_open:
            self._is_open = True
            self._document = self._opened() if has_pdfium() else None
        return self._document

    def __len__(self) -> int:
        document = self.open()
        return len(document) if document else 0

    @property
    def title(self) -> str:
        """The title that the file names, "" if none."""
        document = self.open()
        return str(document.get_metadata_value("Title") or "") if document else ""

    def read(self, number: int) -> tuple[str, int]:
        """The text of a page, and how much of it nobody sees, which is left out.

        Args:
            number: From 1.

        Returns:
            "" and 0, too, where the page cannot be read.
        """
        document = self.open()
        if not document or number > len(document):
            return "", 0
        from pypdfium2 import PdfiumError

        try:
            page = document[number - 1]
            text, hidden = _seen_text(page)
        except PdfiumError:
            return "", 0
        text = normalise(text.translate(_HYPHENS))
        return "\n".join(line.rstrip() for line in text.split("\n")).strip(), hidden

    def shows_something(self, number: int) -> bool:
        """Whether a page is not all of one colour."""
        document = self.open()
        if not document or number > len(document):
            return False
        from pypdfium2 import PdfiumError

        try:
            drawn = document[number - 1].render(scale=_SMALL, grayscale=True)
            return len(set(bytes(drawn.buffer))) > 1
        except PdfiumError:
            return False

    def _opened(self) -> Any:  # noqa: ANN401 -- as above
        from pypdfium2 import PdfDocument, PdfiumError

        for password in (None, *self._passwords):
            try:
                return PdfDocument(self._data, password=password)
            except PdfiumError:
                continue
        return None


def _seen_text(page: Any) -> tuple[str, int]:  # noqa: ANN401 -- pypdfium2's page
    textpage = page.get_textpage()
    count = textpage.count_chars()
    if count <= 0:
        return "", 0
    hidden = _hidden_characters(page, textpage, count)
    if not hidden:
        return str(textpage.get_text_range()), 0
    parts, start, runs = [], 0, 0
    for first, end in hidden:
        parts.append(_range(textpage, start, first))
        start, runs = end, runs + 1
    parts.append(_range(textpage, start, count))
    return "".join(parts), runs


def _range(textpage: Any, start: int, end: int) -> str:  # noqa: ANN401 -- as above
    return str(textpage.get_text_range(start, end - start)) if end > start else ""


def _hidden_characters(page: Any, textpage: Any, count: int) -> list[tuple[int, int]]:  # noqa: ANN401
    """The ranges of characters that belong to texts which nobody sees."""
    import pypdfium2.raw as raw

    painted = list(_painted(page))
    visible = Box(*page.get_cropbox())
    known: dict[int, bool] = {}
    ranges: list[tuple[int, int]] = []
    for index in range(count):
        item = raw.FPDFText_GetTextObject(textpage, index)
        address = ctypes.cast(item, ctypes.c_void_p).value if item else None
        if address is None:  # white space that PDFium puts between texts
            continue
        if address not in known:
            known[address] = _is_hidden(item, painted, visible)
        if known[address]:
            if ranges and ranges[-1][1] == index:
                ranges[-1] = ranges[-1][0], index + 1
            else:
                ranges.append((index, index + 1))
    return ranges


def _painted(page: Any) -> Iterator[tuple[bool, Box]]:  # noqa: ANN401 -- pypdfium2's page
    """Whether each thing that is painted and no text is a picture, and where it lies."""
    import pypdfium2.raw as raw

    for item in page.get_objects(max_depth=4):
        if item.type in (raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_SHADING):
            yield item.type == raw.FPDF_PAGEOBJ_IMAGE, Box(*item.get_bounds())


def _is_hidden(item: Any, painted: Sequence[tuple[bool, Box]], visible: Box) -> bool:  # noqa: ANN401
    import pypdfium2.raw as raw

    sides = [ctypes.c_float() for _ in range(4)]
    if not raw.FPDFPageObj_GetBounds(item, *sides):
        return False
    left, bottom, right, top = (side.value for side in sides)
    x, y = (left + right) / 2, (bottom + top) / 2
    if right < visible.left or left > visible.right or not visible.bottom <= y <= visible.top:
        return True
    below = [is_picture for is_picture, box in painted if box.holds(x, y)]
    if raw.FPDFTextObj_GetTextRenderMode(item) in _INVISIBLE:
        return not any(below)
    colour = [ctypes.c_uint() for _ in range(4)]
    if not raw.FPDFPageObj_GetFillColor(item, *colour):
        return False
    *ink, alpha = (part.value for part in colour)
    return (
        alpha < _ALPHA
        or (min(ink) >= _WHITE and not below)
        or max(right - left, top - bottom) < _TINY
    )
