"""What the routes of ragkit's own reply, where it is no record of the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ragkit.records import Hit, Mode, Origin, Page
from ragkit.verify.answers import SentenceCheck
from ragkit.verify.resolver import CitationCheck


@dataclass(frozen=True, slots=True)
class LimitsReply:
    """What a request may be."""

    body_bytes: int
    upload_bytes: int
    messages: int
    asks: int


@dataclass(frozen=True, slots=True)
class SearchDefaults:
    """How is searched where a request does not say."""

    k: int
    mode: Mode


@dataclass(frozen=True, slots=True)
class InfoReply:
    """What a server is and allows.

    ``allow_index``: whether clients may bring indexes up to date; ``roots`` are then the folders
    below which they may add some. ``pictures``: whether pages of a PDF can be drawn.
    """

    ragkit: str
    indexes: tuple[str, ...]
    chat: str
    allow_index: bool
    limits: LimitsReply
    search: SearchDefaults
    roots: tuple[str, ...] = ()
    pictures: bool = False


@dataclass(frozen=True, slots=True)
class IndexReply:
    """The size and state of an index.

    ``embedder``: None for one of words alone. ``waiting`` chunks have no vector yet; ``stale``
    documents changed and could not be read again. ``changed_at``: ISO 8601.
    """

    name: str
    generation: int
    documents: int
    chunks: int
    waiting: int
    stale: int
    size_bytes: int
    embedder: str | None
    changed_at: str | None
    is_indexing: bool


@dataclass(frozen=True, slots=True)
class ToldError:
    """What went wrong with an index."""

    type: str
    message: str
    status: int


@dataclass(frozen=True, slots=True)
class BrokenIndexReply:
    """An index that cannot be opened."""

    name: str
    error: ToldError


@dataclass(frozen=True, slots=True)
class IndexesReply:
    """The indexes of a server."""

    indexes: tuple[IndexReply | BrokenIndexReply, ...]


@dataclass(frozen=True, slots=True)
class HitsReply:
    """What a search found, best first."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class VerificationReply:
    """An answer that was checked again.

    ``holds``: everything is as the answer records it. ``proved``: and every sentence is quoted or
    supported.
    """

    holds: bool
    proved: bool
    sentences: tuple[SentenceCheck, ...]
    citations: tuple[CitationCheck, ...]


@dataclass(frozen=True, slots=True)
class DocumentReply:
    """A document, as `ragkit.records.DocumentInfo` has it, with its state."""

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
    stale: str | None
    failed_pages: tuple[int, ...]
    notes: tuple[str, ...]
    members: int
    metadata: dict[str, Any]
    origin: Origin
    state: Literal["indexed", "stale", "without_text"]


@dataclass(frozen=True, slots=True)
class UnindexedReply:
    """A file that is no document, and why."""

    path: str
    state: Literal["failed", "skipped", "unreadable"]
    reason: str


@dataclass(frozen=True, slots=True)
class DocumentsReply:
    """The documents of an index, and the files that are none, as the newest run tells of them."""

    documents: tuple[DocumentReply, ...]
    not_indexed: tuple[UnindexedReply, ...]


@dataclass(frozen=True, slots=True)
class NeighbourReply:
    """A chunk before or behind a place. ``start`` and ``end``: offsets in the document."""

    side: Literal["before", "behind"]
    chunk_id: str
    start: int
    end: int
    heading: tuple[str, ...]
    page: int | None
    text: str


@dataclass(frozen=True, slots=True)
class PassageReply:
    """A place of a document with what stands around it.

    The place is ``text[start - text_start : end - text_start]``. ``chunks`` are the ids of those
    that it touches, ``pages`` the pages that ``text`` touches.
    """

    doc_id: str
    path: str
    title: str
    kind: str
    length: int
    start: int
    end: int
    text_start: int
    text_end: int
    text: str
    heading: tuple[str, ...]
    pages: tuple[Page, ...]
    chunks: tuple[str, ...]
    neighbours: tuple[NeighbourReply, ...] = ()


@dataclass(frozen=True, slots=True)
class PageMarks:
    """Where the words of a place stand on a page.

    ``width`` and ``height``: of the page, in points. Each of ``boxes`` is left, top, right and
    bottom, as parts of the page's width and height from its upper left corner. ``is_whole``: all
    words that the place has on this page were found.
    """

    number: int
    width: float
    height: float
    boxes: tuple[tuple[float, ...], ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class MarksReply:
    """The pages that a place touches, with its words."""

    doc_id: str
    pages: tuple[PageMarks, ...]


@dataclass(frozen=True, slots=True)
class TextEvent:
    """What follows of an answer's text. ``quoted``: it is a quotation, ``closest``: its best."""

    text: str
    quoted: bool = False
    closest: bool = False


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """What ended a stream: what came before is no answer."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class NoFields:
    """Nothing: that the event came says all."""
