"""Text in pictures and in pages without text, through RapidOCR (the extra ``ocr``).

Each page is a call of its own, in a process with limits of its own: see `ragkit.ingest.load.ocr`.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn

from ragkit.errors import LoadError
from ragkit.ingest.load.aids import reading_aids
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.ocr import PICTURES
from ragkit.ingest.load.recognised import PICTURE_KEY, kept_text, picture_key
from ragkit.records import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DPI = 200
_MOST_PIXELS = 3000  # of the longer side
_MOST_FRAMES = 200
_SAME_LINE = 0.5  # of the height: how far the middles of one line lie apart


def read_picture(data: bytes, name: str) -> Parsed:
    """Tell how many pages a picture has; what stands on them is read one by one.

    Raises:
        LoadError: It is no picture that can be read.
    """
    with _opened(data, name) as picture:
        count = min(getattr(picture, "n_frames", 1), _MOST_FRAMES)
    numbers = list(range(1, count + 1))
    pages = tuple(Page(number, 0, 0) for number in numbers) if count > 1 else ()
    return Parsed("", "", None, pages, {PICTURES: numbers})


def recognise_picture(data: bytes, name: str) -> Parsed:
    """Read the page of a picture that `ReadingAids.page` names.

    Raises:
        LoadError: It cannot be read.
    """
    with _opened(data, name) as picture:
        try:
            picture.seek(reading_aids().page - 1)
            picture.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
            return _read(_on_white(picture))
        except (OSError, EOFError, ValueError, SyntaxError) as exc:
            msg = f"not a readable picture: {exc}"
            raise LoadError(msg, name) from exc


def recognise_pdf_page(data: bytes, name: str) -> Parsed:
    """Read the page of a PDF that `ReadingAids.page` names as it is seen.

    Raises:
        LoadError: It cannot be drawn.
    """
    from pypdfium2 import PdfiumError

    from ragkit.ingest.load.readers.pdfium import PdfiumPages

    aids = reading_aids()
    document = PdfiumPages(data, aids.passwords).open()
    if document is None:
        msg = "cannot be drawn"
        raise LoadError(msg, name)
    try:
        page = document[aids.page - 1]
        scale = min(_DPI / 72, _MOST_PIXELS / max(page.get_size()))
        return _read(page.render(scale=scale).to_pil().convert("RGB"))
    except PdfiumError as exc:
        msg = f"cannot be drawn: {exc}"
        raise LoadError(msg, name) from exc


def _read(picture: Any) -> Parsed:  # noqa: ANN401 -- Pillow's picture
    """The text of a picture, as it was read before if it was, and the picture's key."""
    key = picture_key(picture.tobytes(), picture.size, _version())
    return read_once(key, lambda: _recognised(picture))


def read_once(key: str, recognise: Callable[[], str]) -> Parsed:
    """The text that is kept under a picture's key; if there is none, it is recognised."""
    kept = kept_text(reading_aids().recognised, key)
    return Parsed(recognise() if kept is None else kept, metadata={PICTURE_KEY: key})


@cache
def _version() -> str:
    """What reads pictures; another version reads them again."""
    from importlib.metadata import version

    return f"rapidocr {version('rapidocr')}"


def _opened(data: bytes, name: str) -> Any:  # noqa: ANN401 -- Pillow's picture
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(BytesIO(data))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError) as exc:
        msg = f"not a readable picture: {exc}"
        raise LoadError(msg, name) from exc
    except Image.DecompressionBombError as exc:
        msg = "has too many pixels"
        raise LoadError(msg, name) from exc


def _on_white(picture: Any) -> Any:  # noqa: ANN401 -- as above
    """A picture in red, green and blue, what is clear in it white."""
    from PIL import Image

    coloured = picture.convert("RGBA")
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")


def _recognised(picture: Any) -> str:  # noqa: ANN401 -- as above
    import numpy as np

    found = _engine()(np.asarray(picture)[:, :, ::-1])
    if found.txts is None or found.boxes is None:
        return ""
    return in_lines(
        [(str(text), box.tolist()) for text, box in zip(found.txts, found.boxes, strict=True)]
    )


def in_lines(found: Sequence[tuple[str, Sequence[Sequence[float]]]]) -> str:
    r"""Put recognised texts, each with its four corners, into lines from top to bottom.

    >>> box = lambda x, y: [[x, y], [x + 9, y], [x + 9, y + 8], [x, y + 8]]
    >>> in_lines([("b", box(20, 1)), ("c", box(0, 12)), ("a", box(0, 0))])
    'a b\nc'
    """
    placed = []
    for text, box in found:
        ys = [y for _, y in box]
        placed.append(((min(ys) + max(ys)) / 2, max(ys) - min(ys), min(x for x, _ in box), text))
    lines: list[list[tuple[float, float, float, str]]] = []
    for item in sorted(placed):
        if lines and item[0] - lines[-1][0][0] <= _SAME_LINE * min(item[1], lines[-1][0][1]):
            lines[-1].append(item)
        else:
            lines.append([item])
    return "\n".join(
        " ".join(text for *_, text in sorted(line, key=lambda item: item[2])) for line in lines
    )


@cache
def _engine() -> Any:  # noqa: ANN401 -- RapidOCR's
    """The recogniser, on one thread, with the models of its wheel and no network."""
    import socket

    import cv2
    from rapidocr import RapidOCR

    def refuse(*_: object) -> NoReturn:
        msg = "text recognition has no network"
        raise OSError(msg)

    socket.socket.connect = refuse  # type: ignore[method-assign]  # this process only reads
    cv2.setNumThreads(1)
    return RapidOCR(
        params={
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
