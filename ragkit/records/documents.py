"""What an index is made of: documents and their chunks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragkit.errors import InputError
from ragkit.records.hits import Page
from ragkit.records.metadata import failed_pages, reading_notes
from ragkit.records.sources import PROGRAM_ROOT, Origin, make_doc_id

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Document:
    """One loaded source: its extracted text and where it came from.

    ``path`` is relative to ``root``, NFC, with ``/``; ``root`` is an absolute path.
    ``file_sha256`` hashes the file's bytes (64 hex digits). ``encoding`` is None for formats
    that carry their own. ``text`` holds neither NUL nor lone surrogates; line ends are line feeds.
    A document of a program has the root `PROGRAM_ROOT`, its id as its path, and the size and hash
    of its text in UTF-8.
    """

    doc_id: str
    root: str
    path: str
    title: str
    kind: str
    text: str
    file_sha256: str
    size_bytes: int
    mtime_ns: int
    encoding: str | None = None
    pages: tuple[Page, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    origin: Origin = "file"

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        id: str = "",  # noqa: A002 -- what every program calls it
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
        kind: str = "text",
    ) -> Document:
        """Make a document of a text that is no file, for `Pipeline.add`.

        Args:
            text: The whole text; line ends become line feeds when it is added.
            id: Names the document; one that is added under the same id takes its place. Empty:
                made of the text, so that the same text is the same document.
            title: Shown with what is found, and embedded with it. Empty: the id.
            metadata: JSON values by name, which `Condition` can ask for.
            kind: How the text is written, which decides where it is cut: ``text``,
                ``markdown``, ``rst``, ``code`` or the kind of any other format.

        Raises:
            InputError: The text is no str.
        """
        import hashlib

        if not isinstance(text, str):
            msg = f"a text is a str, not {type(text).__name__}"
            raise InputError(msg)

        data = text.encode("utf-8", "surrogatepass")
        sha256 = hashlib.sha256(data).hexdigest()
        name = id or f"text-{sha256[:16]}"
        doc_id = make_doc_id(PROGRAM_ROOT, name)
        return cls(
            doc_id, PROGRAM_ROOT, name, title, kind, text, sha256, len(data), 0,
            metadata=dict(metadata or {}), origin="program",
        )  # fmt: skip

    @property
    def pages_without_text(self) -> tuple[int, ...]:
        """Numbers of the pages that yielded no text, in order: scans, and `failed_pages`."""
        return tuple(p.number for p in self.pages if p.start == p.end)

    @property
    def failed_pages(self) -> tuple[int, ...]:
        """Numbers of the pages that could not be read, in order."""
        return failed_pages(self.metadata) if self.origin == "file" else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What its reader found wrong with the file, in words; see `reading_notes`."""
        return reading_notes(self.metadata) if self.origin == "file" else ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: ``document.text[start:end] == text``, exactly.

    ``heading`` is the heading path that leads to the chunk, outermost first. ``page`` is the
    number of the page on which the chunk starts, or None. ``tokens`` is an estimate.
    """

    chunk_id: str
    doc_id: str
    ordinal: int
    start: int
    end: int
    text: str
    heading: tuple[str, ...] = ()
    page: int | None = None
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document as the index knows it, without its text.

    ``pages_without_text`` has those of ``failed_pages``, which could not be read. ``notes`` say
    what its reader found wrong with the file. ``members`` counts the documents within its file.
    ``metadata`` are those of the document, without how it was read; ``reading`` says what a later
    run must know of that (`OWN_METADATA`).
    """

    doc_id: str
    root: str
    path: str
    title: str
    kind: str
    encoding: str | None
    size_bytes: int
    mtime_ns: int
    file_sha256: str
    chunks: int
    pages: int
    pages_without_text: tuple[int, ...]
    stale: str | None = None
    failed_pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    members: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    origin: Origin = "file"
    reading: dict[str, Any] = field(default_factory=dict)
