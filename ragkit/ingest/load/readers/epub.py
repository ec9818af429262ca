"""EPUB: the chapters in reading order, each a page, read as the web pages that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.document_titles import clean_title
from ragkit.ingest.load.readers.html import read_html
from ragkit.ingest.load.readers.page_texts import PageTexts
from ragkit.ingest.load.readers.properties import file_metadata
from ragkit.ingest.load.readers.zip_parts import DAMAGE, ZipParts, part_path

if TYPE_CHECKING:
    from lxml.etree import _Element

    Element: TypeAlias = _Element

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_DC = "{http://purl.org/dc/elements/1.1/}"
_PAGES = ("application/xhtml+xml", "text/html", "application/xml", "text/x-oeb1-document")
_FONT_KEYS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_ASIDE = frozenset(("cover", "toc", "title-page-cover"))


class _Item(NamedTuple):
    """A file of the book: its part, media type and properties."""

    part: str
    media: str
    properties: frozenset[str]


def read_epub(data: bytes, name: str) -> Parsed:
    """Read a book; each chapter of the reading order is a page.

    The cover and the table of contents are left out. A chapter without a heading gets the one that
    the table of contents gives it. ``metadata`` has author, subject, language and date, as far as
    the book names them.

    Raises:
        LoadError: The book is encrypted (DRM), broken, or would unpack to too much.
    """
    book = _Book(data, name)
    pages = PageTexts()
    notes: dict[str, None] = {}
    hidden = 0
    for number, part in enumerate(book.chapters(), start=1):
        try:
            chapter = read_html(book.parts.read(part), part)
        except (*DAMAGE, UnsupportedFormatError) as exc:
            reason = "it is missing" if isinstance(exc, KeyError) else str(exc)
            pages.fail(number, f"{part}: {reason}")
            continue
        hidden += chapter.metadata.get("hidden", 0)
        notes |= dict.fromkeys(f"{part}: {note}" for note in chapter.metadata.get("notes", ()))
        pages.add(number, _headed(chapter.text, book.labels.get(part, "")))
    pages.check(name)
    text, found = pages.joined()
    metadata = book.metadata() | pages.failures()
    metadata |= {"hidden": hidden} if hidden else {}
    metadata |= {"notes": list(notes)} if notes else {}
    return Parsed(text, book.title(), None, found, metadata)


def _headed(text: str, label: str) -> str:
    """A chapter with the heading that the table of contents gives it, if it has none."""
    if not label or not text or any(line.startswith("#") for line in text.split("\n", 8)[:8]):
        return text
    first, _, rest = text.partition("\n")
    return f"# {label}\n{rest}" if first.strip() == label else f"# {label}\n\n{text}"


class _Book:
    """A book's parts, and what its package document says of them.

    Attributes:
        parts: The files.
        labels: What the table of contents calls a chapter, by its part.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.parts = ZipParts(data, name, "EPUB")
        self._name = name
        self._refuse_encrypted()
        container = self.parts.xml_if_any(_CONTAINER)
        roots = _named(container, "rootfile")
        paths = [root.get("full-path", "") for root in roots] + [
            part for low, part in self.parts.names.items() if low.endswith(".opf")
        ]
        path = next((p for p in paths if p in self.parts), None)
        if path is None:
            raise self.parts.broken(ValueError("there is no package document"))
        self._package = self.parts.xml(path)
        self._items = {
            item.get("id", ""): _Item(
                part_path(path, item.get("href", "")),
                item.get("media-type", ""),
                frozenset(item.get("properties", "").split()),
            )
            for item in _named(self._package, "item")
        }
        self._covers = {
            part_path(path, reference.get("href", ""))
            for reference in _named(self._package, "reference")
            if reference.get("type", "").lower() in _ASIDE
        }
        self.labels = self._labels()

    def chapters(self) -> list[str]:
        """The parts of the reading order that are read."""
        found = []
        for reference in _named(self._package, "itemref"):
            item = self._items.get(reference.get("idref", ""))
            if item and item.media in _PAGES and not self._is_aside(item):
                found.append(item.part)
        return found

    def title(self) -> str:
        """The book's title, or ""."""
        return clean_title(next(iter(self._said("title")), ""))

    def metadata(self) -> dict[str, Any]:
        """Authors, subjects, the language and the day of publication."""
        said = {
            "author": ", ".join(self._said("creator")),
            "subject": ", ".join(self._said("subject")),
            "language": next(iter(self._said("language")), ""),
            "date": next(iter(self._said("date")), ""),
        }
        return file_metadata(said)

    def _said(self, term: str) -> list[str]:
        texts = (" ".join((e.text or "").split()) for e in self._package.iter(_DC + term))
        return [text for text in texts if text]

    def _is_aside(self, item: _Item) -> bool:
        """Whether a part is the table of contents or the cover."""
        return bool(item.properties & {"nav", "cover-image"}) or item.part in self._covers

    def _refuse_encrypted(self) -> None:
        root = self.parts.xml_if_any(_ENCRYPTION)
        for data in _named(root, "EncryptedData"):
            methods = [m.get("Algorithm", "") for m in _named(data, "EncryptionMethod")]
            if not all(method.startswith(_FONT_KEYS) for method in methods):
                msg = "is encrypted (DRM): only the reader that it was sold for opens it"
                raise LoadError(msg, self._name)

    def _labels(self) -> dict[str, str]:
        """What the tables of contents, EPUB 3's and 2's, call the parts; the first name counts."""
        found: dict[str, str] = {}
        for item in self._items.values():
            if "nav" in item.properties:
                links = _named(self.parts.xml_if_any(item.part), "a")
                pairs = [(a.get("href", ""), "".join(map(str, a.itertext()))) for a in links]
            elif item.media == "application/x-dtbncx+xml":
                points = _named(self.parts.xml_if_any(item.part), "navPoint")
                pairs = [_point(point) for point in points]
            else:
                continue
            for href, label in pairs:
                # A place within a chapter (`one.xhtml#part2`) does not name the whole of it.
                if href and "#" not in href:
                    found.setdefault(part_path(item.part, href), " ".join(label.split()))
        return found


def _point(point: Element) -> tuple[str, str]:
    """Where a point of an EPUB 2 table of contents leads, and what it is called."""
    source = next((c.get("src", "") for c in point if _local(c) == "content"), "")
    label = next((c for c in point if _local(c) == "navLabel"), None)
    return source, "".join(map(str, label.itertext())) if label is not None else ""


def _named(root: Element | None, name: str) -> list[Element]:
    """The elements of a local name, whatever their namespace, in order."""
    return [e for e in root.iter() if _local(e) == name] if root is not None else []


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
