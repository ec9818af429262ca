"""PDF through pypdf: text by page, exact page offsets."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed, normalise
from ragkit.ingest.load.readers.pdf_hidden import visible_text
from ragkit.records import Page

if TYPE_CHECKING:
    from pypdf import PdfReader

PAGE_BREAK = "\n\n"


def read_pdf(data: bytes, name: str) -> Parsed:
    """Read a PDF; its pages are joined by a blank line.

    A page whose content cannot be read counts as a page without text, and
    ``metadata["failed_pages"]`` maps its number to the reason. Text that nobody sees is left out
    (`visible_text`), and ``metadata["hidden"]`` counts it.

    Raises:
        LoadError: The file is encrypted, broken, or none of its pages can be read.
    """
    from pypdf.errors import DependencyError, PyPdfError

    try:
        reader = _open(data, name)
        texts, failed, hidden = _texts(reader)
        title = reader.metadata.title if reader.metadata else None
    except DependencyError as exc:
        msg = f"is encrypted in a way that needs another package: {exc}"
        raise LoadError(msg, name) from exc
    except (PyPdfError, OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
        msg = f"not a readable PDF: {exc}"
        raise LoadError(msg, name) from exc
    if failed and len(failed) == len(texts):
        number, reason = next(iter(failed.items()))
        msg = f"no page can be read; page {number}: {reason}"
        raise LoadError(msg, name)
    metadata: dict[str, Any] = {"failed_pages": failed} if failed else {}
    if hidden:
        metadata["hidden"] = hidden
    pages = tuple(_pages(texts))
    return Parsed(PAGE_BREAK.join(texts), _title(title), None, pages, metadata)


def _open(data: bytes, name: str) -> PdfReader:
    from pypdf import PdfReader

    reader = PdfReader(BytesIO(data), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        msg = "is encrypted: it opens with a password only"
        raise LoadError(msg, name)
    return reader


def _texts(reader: PdfReader) -> tuple[list[str], dict[str, str], int]:
    """Read all pages: their texts, why pages failed, how much of the texts nobody sees."""
    texts: list[str] = []
    hidden = 0
    failed: dict[str, str] = {}
    for number in range(1, len(reader.pages) + 1):
        try:
            text, unseen = visible_text(reader.pages[number - 1])
        except MemoryError:
            raise
        except Exception as exc:  # noqa: BLE001 -- pypdf fails on odd pages in any manner
            text, unseen, failed[str(number)] = "", 0, f"{type(exc).__name__}: {exc}"
        texts.append(normalise(text).strip())
        hidden += unseen
    return texts, failed, hidden


def _pages(texts: list[str]) -> list[Page]:
    pages: list[Page] = []
    start = 0
    for number, text in enumerate(texts, start=1):
        pages.append(Page(number, start, start + len(text)))
        start += len(text) + len(PAGE_BREAK)
    return pages


def _title(title: object) -> str:
    text = str(title or "").strip()
    return "" if text.lower() in ("untitled", "title") else text
