"""A page of a PDF as it is seen: its picture, and where each of its letters stands."""

from __future__ import annotations

import base64
import ctypes
import struct
import zlib
from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError
from ragkit.ingest.load.aids import reading_aids
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.pdfium import PdfiumPages

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURE, LETTERS, BOXES, SIZE = "picture", "letters", "boxes", "size"
"""Where `Parsed.metadata` has what was drawn or measured."""

_WIDTH, _MOST_HEIGHT = 1400, 4000  # pixels
_FINE = 1_000_000  # parts of a page's width and height in which its letters are measured
_PNG = b"\x89PNG\r\n\x1a\n"


def draw_page(data: bytes, name: str) -> Parsed:
    """Draw the page that `ReadingAids.page` names: a PNG, in base64, under `PICTURE`.

    Raises:
        LoadError: It cannot be drawn.
    """
    from pypdfium2 import PdfiumError

    page = _page(data, name)
    try:
        width, height = page.get_size()
        scale = min(_WIDTH / max(width, 1), _MOST_HEIGHT / max(height, 1))
        drawn = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=False)
    except PdfiumError as exc:
        raise _undrawn(name, exc) from exc
    png = _png(bytes(drawn.buffer), (drawn.width, drawn.height), drawn.stride, drawn.n_channels)
    return Parsed("", metadata={PICTURE: base64.b64encode(png).decode()})


def measure_page(data: bytes, name: str) -> Parsed:
    """The letters of the page that `ReadingAids.page` names, and where they stand.

    Returns:
        Under `LETTERS` a text without white space; under `BOXES` left, top, right and bottom of
        each letter, as parts of the page's width and height from its upper left corner; under
        `SIZE` these, in points.

    Raises:
        LoadError: It cannot be read.
    """
    from pypdfium2 import PdfiumError

    page = _page(data, name)
    try:
        found = list(_letters(page))
        size = list(page.get_size())
    except PdfiumError as exc:
        raise _undrawn(name, exc) from exc
    letters = "".join(letter for letter, _ in found)
    boxes = [box for _, box in found]
    return Parsed("", metadata={LETTERS: letters, BOXES: boxes, SIZE: size})


def _page(data: bytes, name: str) -> Any:  # noqa: ANN401 -- pypdfium2's page
    from pypdfium2 import PdfiumError

    aids = reading_aids()
    document = PdfiumPages(data, aids.passwords).open()
    if document is None:
        msg = "cannot be drawn: no reader of PDF pages opens it"
        raise LoadError(msg, name)
    try:
        return document[aids.page - 1]
    except (PdfiumError, IndexError) as exc:
        raise _undrawn(name, exc) from exc


def _undrawn(name: str, exc: Exception) -> LoadError:
    return LoadError(f"its page cannot be drawn: {exc}", name)


def _letters(page: Any) -> Iterator[tuple[str, list[float]]]:  # noqa: ANN401 -- as above
    """The characters of a page, without white space, each with its box."""
    import pypdfium2.raw as raw

    textpage = page.get_textpage()
    for index in range(textpage.count_chars()):
        letter = chr(raw.FPDFText_GetUnicode(textpage, index))
        if letter.isspace() or not letter.isprintable():
            continue
        left, bottom, right, top = textpage.get_charbox(index, loose=True)
        corners = [_seen_at(page, x, y) for x, y in ((left, top), (right, bottom))]
        (xs, ys) = zip(*corners, strict=True)
        yield letter, [min(xs), min(ys), max(xs), max(ys)]


def _seen_at(page: Any, x: float, y: float) -> tuple[float, float]:  # noqa: ANN401 -- as above
    """A point of a page as it is seen: turned, and without what is cut off."""
    import pypdfium2.raw as raw

    right, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(
        page, 0, 0, _FINE, _FINE, 0, x, y, ctypes.byref(right), ctypes.byref(down)
    )
    return tuple(min(max(part.value / _FINE, 0.0), 1.0) for part in (right, down))  # type: ignore[return-value]  # two


def _png(pixels: bytes, size: tuple[int, int], stride: int, channels: int) -> bytes:
    """Rows of 8-bit grey, RGB or RGBA as a PNG; Pillow, which could do it, is large."""
    width, height = size
    kind = {1: 0, 3: 2, 4: 6}[channels]
    rows = b"".join(
        b"\0" + pixels[row * stride : row * stride + width * channels] for row in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 4)), (b"IEND", b""))
    return _PNG + b"".join(map(_png_part, *zip(*parts, strict=True)))


def _png_part(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )
