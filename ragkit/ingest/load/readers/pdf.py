"""PDF through pypdf, and pypdfium2 where that is installed: text by page, exact page offsets."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError
from ragkit.ingest.load.aids import locked, reading_aids
from ragkit.ingest.load.encoding import decode
from ragkit.ingest.load.formats import Parsed, normalise
from ragkit.ingest.load.ocr import PARTLY_UNREAD, PICTURES, has_ocr
from ragkit.ingest.load.readers.document_titles import clean_title
from ragkit.ingest.load.readers.page_furniture import goes_on, without_furniture
from ragkit.ingest.load.readers.pdf_content import MARK, Box, read_page
from ragkit.ingest.load.readers.pdf_fields import fields_and_notes
from ragkit.ingest.load.readers.pdf_garbage import garbled_fonts, is_garbled
from ragkit.ingest.load.readers.pdf_hidden import unseen_texts
from ragkit.ingest.load.readers.pdf_layout import Line, page_text, top_lines
from ragkit.ingest.load.readers.pdfium import PdfiumPages
from ragkit.ingest.load.readers.properties import pdf_properties
from ragkit.records import Page

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

PAGE_BREAK = "\n\n"
_GOING_ON = "\n"
_MOSTLY = 0.5  # share of a page's letters in fonts that do not tell them, which makes it unreadable
_APART = 1.8  # of the height of the lines: how far a running head stands above them


@dataclass
class _PageText:
    """A page's text; how much of it nobody sees; what else is told of it."""

    text: str = ""
    hidden: int = 0
    top: tuple[Line, Line] | None = None
    is_unreadable: bool = False
    is_partly_unreadable: bool = False
    needs_tables: bool = False  # of Adobe's collections, which pypdfium2 has
    is_garbled: bool = False  # for a table of letters that is wrong, at least as pypdf reads it
    is_second: bool = False  # pypdfium2 read it


def read_pdf(data: bytes, name: str) -> Parsed:
    """Read a PDF; its pages are joined by a blank line, or a line end where a sentence goes on.

    Running heads and feet stand in the text once, page numbers not at all. The values of a form
    and the notes of a page stand at its end. A page whose content cannot be read counts as a page
    without text, and ``metadata["failed_pages"]`` maps its number to the reason. Text that nobody
    sees is left out (`unseen_texts`), and ``metadata["hidden"]`` counts it. So is text in a font
    that does not tell its letters, or tells wrong ones (`garbled_fonts`), which is noted.

    Where pypdfium2 is installed, it reads the pages that pypdf cannot, and those on which pypdf
    finds nothing or garbage; that is noted, too.

    Raises:
        LoadError: The file is encrypted, broken, or none of its pages can be read.
    """
    second = PdfiumPages(data, reading_aids().passwords)
    try:
        pages, failed, title, said = _first(data, name)
    except LoadError:
        if not (len(second) and any(second.read(n)[0] for n in range(1, len(second) + 1))):
            raise
        pages, failed = [_PageText()] * len(second), {}
        title, said = clean_title(second.title), {}
    _read_again(pages, failed, second)
    if failed and len(failed) == len(pages) and not has_ocr():
        number, reason = next(iter(failed.items()))
        msg = f"no page can be read; page {number}: {reason}"
        raise LoadError(msg, name)
    metadata: dict[str, Any] = said | ({"failed_pages": failed} if failed else {})
    if hidden := sum(page.hidden for page in pages):
        metadata["hidden"] = hidden
    if notes := _notes(pages):
        metadata["notes"] = notes
    if any(page.is_unreadable or page.is_partly_unreadable for page in pages):
        metadata[PARTLY_UNREAD] = True
    if pictures := _pictures(pages, second):
        metadata[PICTURES] = pictures
    text, places = _whole(pages)
    return Parsed(text, title, None, places, metadata)


def _first(data: bytes, name: str) -> tuple[list[_PageText], dict[str, str], str, dict[str, Any]]:
    """What pypdf makes of the file: its pages, why pages failed, its title and properties."""
    from pypdf.errors import DependencyError, PyPdfError

    try:
        reader = _open(data, name)
        pages, failed = _read_pages(reader)
        return pages, failed, _title(reader), pdf_properties(reader)
    except DependencyError as exc:
        msg = f"is encrypted in a way that needs another package: {exc}"
        raise LoadError(msg, name) from exc
    except (PyPdfError, OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
        msg = f"not a readable PDF: {exc}"
        raise LoadError(msg, name) from exc


def _read_again(pages: list[_PageText], failed: dict[str, str], second: PdfiumPages) -> None:
    """Have pypdfium2 read the pages that failed or are empty, but not what nobody sees on them."""
    for place, page in enumerate(pages):
        is_empty = not (page.text or page.hidden or page.is_unreadable)
        if not (is_empty or page.needs_tables or page.is_garbled):
            continue
        text, hidden = second.read(place + 1)
        if text and not is_garbled(text):
            pages[place] = _PageText(text, hidden, is_second=True)
            failed.pop(str(place + 1), None)


def _pictures(pages: list[_PageText], second: PdfiumPages) -> list[int]:
    """The numbers of the pages without text that show something, if pictures can be read."""
    if not has_ocr():
        return []
    wanted = [n for n, page in enumerate(pages, 1) if page.is_unreadable or not page.text]
    return [number for number in wanted if second.shows_something(number)]


def _open(data: bytes, name: str) -> PdfReader:
    from pypdf import PdfReader

    reader = PdfReader(BytesIO(data), strict=False)
    passwords = ("", *reading_aids().passwords)
    if reader.is_encrypted and not any(map(reader.decrypt, passwords)):
        raise locked(name)
    return reader


def _read_pages(reader: PdfReader) -> tuple[list[_PageText], dict[str, str]]:
    """Read all pages, and tell why pages failed."""
    pages: list[_PageText] = []
    failed: dict[str, str] = {}
    off = _switched_off(reader)
    for number in range(1, len(reader.pages) + 1):
        try:
            page = _read(reader.pages[number - 1], off)
        except MemoryError:
            raise
        except Exception as exc:  # noqa: BLE001 -- pypdf fails on odd pages in any manner
            page, failed[str(number)] = _PageText(), f"{type(exc).__name__}: {exc}"
        pages.append(page)
    return pages, failed


def _read(page: PageObject, off: frozenset[int]) -> _PageText:
    notes = read_page(page, off)
    beside = fields_and_notes(page)
    if isinstance(notes, str):
        text = normalise(notes).strip()
        is_none = is_garbled(text)
        whole = "\n".join(beside if is_none else [text, *beside]).strip()
        return _PageText(whole, is_unreadable=is_none, is_garbled=is_none)
    unseen = unseen_texts(notes, Box(*(float(n) for n in page.cropbox)))
    seen = [shown for i, shown in enumerate(notes.shown) if i not in unseen]
    garbled = garbled_fonts(seen)
    known = [
        shown
        for shown in seen
        if shown.font is None or (shown.font.tells_letters and id(shown.font) not in garbled)
    ]
    lost = sum(len(s.text.strip()) for s in seen) - sum(len(s.text.strip()) for s in known)
    total = sum(len(shown.text.strip()) for shown in seen)
    by_collection = bool(lost) and all(
        s.font is None or s.font.tells_letters or s.font.is_of_collection for s in seen
    )
    if lost > _MOSTLY * total:
        text = "\n".join(beside)
        return _PageText(
            text,
            len(unseen),
            is_unreadable=True,
            needs_tables=by_collection,
            is_garbled=bool(garbled),
        )
    text = normalise(page_text(known)).replace(MARK, "").strip()
    return _PageText(
        "\n".join([text, *beside]).strip(),
        len(unseen),
        top_lines(known),
        is_partly_unreadable=lost > 0,
        needs_tables=by_collection,
    )


def _switched_off(reader: PdfReader) -> frozenset[int]:
    """The ids of the layers that are switched off when the file is opened."""
    catalog: Any = reader.trailer["/Root"].get_object()
    properties = catalog.get("/OCProperties")
    if properties is None:
        return frozenset()
    properties = properties.get_object()
    standard = properties.get("/D")
    standard = standard.get_object() if standard is not None else {}
    off = _ids(standard, "/OFF")
    if str(standard.get("/BaseState", "/ON")) == "/OFF":
        off |= _ids(properties, "/OCGs") - _ids(standard, "/ON")
    return frozenset(off)


def _ids(container: Any, key: str) -> set[int]:  # noqa: ANN401 -- pypdf's dictionaries
    found = container.get(key)
    items = found.get_object() if found is not None else ()
    return {item.idnum for item in items if hasattr(item, "idnum")}


def _notes(pages: list[_PageText]) -> list[str]:
    notes: list[str] = []
    if second := [i for i, page in enumerate(pages, 1) if page.is_second]:
        which = f"page{'s' if len(second) > 1 else ''} {', '.join(map(str, second))}"
        was = "were" if len(second) > 1 else "was"
        notes.append(f"{which} {was} read by pypdfium2, since pypdf could not")
    for is_whole, numbers in (
        (True, [i for i, page in enumerate(pages, 1) if page.is_unreadable]),
        (False, [i for i, page in enumerate(pages, 1) if page.is_partly_unreadable]),
    ):
        if numbers:
            which = f"page{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
            have = "have" if len(numbers) > 1 else "has"
            what = "no readable text" if is_whole else "some text that cannot be read"
            notes.append(f"{which} {have} {what}: a font does not tell its letters")
    return notes


def _whole(pages: list[_PageText]) -> tuple[str, tuple[Page, ...]]:
    """Join the texts of pages; with the place of each."""
    texts = without_furniture([page.text for page in pages])
    for i in range(1, len(pages)):
        texts[i] = _without_head(texts[i - 1], texts[i], pages[i].top)
    parts: list[str] = []
    places: list[Page] = []
    start, before = 0, ""
    for number, text in enumerate(texts, start=1):
        if number > 1:
            parts.append(_GOING_ON if goes_on(before, text) else PAGE_BREAK)
            start += len(parts[-1])
        parts.append(text)
        places.append(Page(number, start, start + len(text)))
        start, before = start + len(text), text
    return "".join(parts), tuple(places)


def _without_head(before: str, text: str, top: tuple[Line, Line] | None) -> str:
    """Move a line that stands apart above a sentence which goes on to the end of its page."""
    first, _, rest = text.partition("\n")
    if top is None or not rest or " ".join(first.split()) != top[0].text:
        return text
    is_apart = top[0].y - top[1].y > _APART * max(top[0].height, top[1].height)
    if not is_apart or goes_on(before, first) or not goes_on(before, rest.lstrip()):
        return text
    return f"{rest.lstrip()}{PAGE_BREAK}{first}"


def _title(reader: PdfReader) -> str:
    title = reader.metadata.get("/Title") if reader.metadata else None
    title = title.get_object() if title is not None else None
    raw = getattr(title, "original_bytes", None)
    if isinstance(title, bytes):
        raw = bytes(title)
    # A title without a byte order mark should be in PDFDocEncoding, and often is in any other.
    if raw and not raw.isascii() and not raw.startswith((b"\xfe\xff", b"\xff\xfe")):
        return clean_title(decode(raw).text)
    return clean_title(str(title or ""))
