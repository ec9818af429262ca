"""The frozen records that travel between the stages.

Offsets are code points in a document's extracted text, half-open: ``document.text[start:end]``.
Records hold plain values only, so each converts to JSON with :func:`to_json`.
"""

from __future__ import annotations

import operator
import re
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from ragkit.errors import FilterError, InputError, shown_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Mode = Literal["dense", "keyword", "hybrid"]
SentenceStatus = Literal["quoted", "supported", "unsupported", "uncited"]
Scalar: TypeAlias = str | int | float | bool
Operator = Literal["=", "<", "<=", ">", ">=", "in"]

MODIFIED = "modified"
"""The field that each document of a file has: when the file was changed, e.g. 2026-03-31T14:05."""

_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ].*)?)?)?")
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a paged document. A page without text has ``start == end``.

    ``number`` counts from 1; ``start`` and ``end`` are offsets in the document's text.
    """

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SourceRules:
    """Which files of an indexed folder count: globs in gitignore syntax, kept with the folder.

    ``include`` names the files to index, every known kind if empty; ``exclude`` leaves files out.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


NO_RULES: Mapping[str, SourceRules] = {}

Decision = Literal["removed", "accepted"]
"""What a person decided on a file: it is not to be indexed, or is known to be unreadable."""


Origin = Literal["file", "program"]
"""Where a document's text comes from: a file, or a program that gave it to `Pipeline.add`."""

PROGRAM_ROOT = "program:"
"""The root of documents that a program gave: no folder. Their paths are their ids."""


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


MEMBERS = "documents_within"
"""The key of a document's metadata that counts the documents within its file."""

RECOGNISED = "read_from_pictures"
"""The key of a document's metadata for the numbers of pages that text recognition read."""

OWN_METADATA = "ragkit"
"""The key of a document's metadata under which ragkit keeps what it needs itself.

Of a file that is what a later run must know of its reading: ``readers`` names those that left
something of it unread, ``rules`` the choices by which files in it were left out, ``pictures`` the
pages that were recognised, by their hashes.
"""

READING_FACTS = frozenset(
    {"failed_pages", "replacement_characters", "hidden", "notes", MEMBERS, OWN_METADATA}
)
"""The keys of a file's metadata that tell how it was read, not what it says."""


def told_metadata(metadata: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """A document's metadata without what ragkit keeps there for itself."""
    own = {OWN_METADATA} if origin == "program" else READING_FACTS
    return {key: value for key, value in metadata.items() if key not in own}


def read_from_picture(metadata: Mapping[str, Any], pages: Iterable[int]) -> bool:
    """Whether text recognition read any of a document's pages; without pages, the document."""
    recognised, numbers = metadata.get(RECOGNISED), set(pages)
    if not isinstance(recognised, list) or not recognised:
        return False
    return not (numbers and numbers.isdisjoint(recognised))


def reading_facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a later run must know of how a document's file was read; see `OWN_METADATA`."""
    found = metadata.get(OWN_METADATA, {})
    return found if isinstance(found, dict) else {}


def failed_pages(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """Numbers of the pages that could not be read, in order, by a document's metadata."""
    return tuple(int(number) for number in metadata.get("failed_pages", {}))


def member_count(metadata: Mapping[str, Any]) -> int:
    """How many documents lie within a document's file, by its metadata."""
    count = metadata.get(MEMBERS, 0)
    return count if isinstance(count, int) else 0


def reading_notes(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader found wrong with a file, in words, gravest first.

    Args:
        metadata: A document's. ``failed_pages`` maps numbers of pages to why they could not be
            read, ``replacement_characters`` and ``hidden`` are counts, and ``notes`` are
            sentences of a reader's own.
    """
    pages: dict[str, list[str]] = {}
    for number, reason in metadata.get("failed_pages", {}).items():
        pages.setdefault(reason, []).append(number)
    notes = [
        f"page{'s' if len(numbers) > 1 else ''} {', '.join(numbers)} cannot be read: {reason}"
        for reason, numbers in pages.items()
    ]
    if count := metadata.get("replacement_characters"):
        notes.append(f"{_times(count, 'character')} cannot be decoded and became U+FFFD")
    notes += metadata.get("notes", ())
    if count := metadata.get("hidden"):
        notes.append(f"text that nobody sees was left out in {_times(count, 'place')}")
    return tuple(notes)


def _times(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def modified_text(mtime_ns: int) -> str:
    """The value of `MODIFIED` for a time in nanoseconds.

    Examples:
        >>> modified_text(1_774_965_900_000_000_000)
        '2026-03-31T14:05:00'
    """
    return datetime.fromtimestamp(mtime_ns // 1_000_000_000, UTC).isoformat()[:19]


def make_doc_id(root: str, path: str) -> str:
    """The id of a document, 32 hex digits: it names root and relative path."""
    import hashlib  # 3 ms that importing the records need not pay

    return hashlib.sha256(f"{root}\0{path}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def make_chunk_id(doc_id: str, start: int, end: int, text: str) -> str:
    """The id of a chunk, 32 hex digits: it names the document, the place and the text."""
    import hashlib  # 3 ms that listing documents need not pay

    named = f"{doc_id}\0{start}\0{end}\0{text}".encode()
    return hashlib.sha256(named).hexdigest()[:32]


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
class Condition:
    """What a field of a document's metadata must be.

    A field that has a list meets it if one of the items does. A number is compared with numbers,
    and with texts as it is written; case counts. Of a date as much is compared as was given, so
    that ``date <= 2024-03`` holds on all days of March. The field `MODIFIED` is the time of the
    document's file, in UTC.

    Args:
        field: The field's name.
        operator: How it is compared.
        value: With what; for ``in`` a tuple, of which one must be equal.

    Raises:
        InputError: There is no such operator, a value is no text, number or bool, or a tuple is
            given to an operator other than ``in``.

    Examples:
        >>> Condition("date", "<=", "2024-03").is_met_by("2024-03-31")
        True
        >>> Condition("year", "in", (2023, 2024)).is_met_by("2023")
        True
    """

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if not isinstance(self.field, str):
            msg = f"a field is the name of a value in metadata, not {shown_value(self.field)}"
            raise InputError(msg)
        if self.operator not in _COMPARED:
            msg = f"the operator {self.operator!r} is none of {', '.join(_COMPARED)}"
            raise InputError(msg)
        if isinstance(self.value, tuple) is not (self.operator == "in"):
            msg = (
                "with the operator 'in' goes a tuple of values, as ('Chen', 'Lee'), with any other "
                f"a single value: {self.operator!r} was given {shown_value(self.value)}"
            )
            raise InputError(msg)
        for value in values:
            if not isinstance(value, (str, int, float)) or value != value:
                msg = (
                    "a field is compared with a text, a number or a bool, not with "
                    f"{shown_value(value)}; "
                    "of a date give its isoformat()"
                )
                raise InputError(msg)

    def is_met_by(self, found: Scalar) -> bool:
        """Say whether a field's value, or an item of it, is what is asked for."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        compared = _COMPARED[self.operator]
        return any(compared(*pair) for pair in (_alike(found, v) for v in values) if pair)


def _alike(found: Scalar, wanted: Scalar) -> tuple[Any, Any] | None:
    """Two values in a form in which they compare, None if there is none."""
    text = str(wanted).lower() if isinstance(wanted, bool) else str(wanted)
    if isinstance(found, str):
        both_dates = _DATE.fullmatch(found) and _DATE.fullmatch(text)
        return (found[: len(text)] if both_dates else found), text
    try:
        return float(found), float(wanted)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Filter:
    """What a search is restricted to. Empty tuples restrict nothing; what is given must all hold.

    ``paths`` are shell globs over the document's relative path (``*`` crosses ``/``), of which one
    must match; ``kinds`` are document kinds such as ``pdf``; ``where`` are conditions on metadata.

    Raises:
        InputError: One of them is no tuple or list of texts, or of conditions.
    """

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        kinds: dict[str, type] = {"paths": str, "kinds": str, "where": Condition}
        for name, kind in kinds.items():
            given: object = getattr(self, name)
            if not isinstance(given, (tuple, list)) or not all(isinstance(g, kind) for g in given):
                one = "Condition('author', '=', 'Chen')" if kind is Condition else "'...'"
                msg = f"{name} of a Filter is a tuple, as {name}=({one},), not {given!r:.60}"
                raise InputError(msg)

    def __bool__(self) -> bool:
        """True where it restricts anything."""
        return bool(self.paths or self.kinds or self.where)

    def require_fields(self, known: Iterable[str]) -> None:
        """Refuse a condition on a field that is not known.

        Raises:
            FilterError: There is one; the message names the known ones.
        """
        known = sorted(known)
        for condition in self.where:
            if condition.field not in known:
                msg = (
                    f"no document has the field {condition.field!r}; "
                    f"the fields of this index: {', '.join(known)}"
                )
                raise FilterError(msg)


NO_FILTER = Filter()


@dataclass(frozen=True, slots=True)
class HitRanks:
    """Why a hit stands where it does. Ranks count from 1; None: not found that way.

    ``bm25`` is FTS5's score with its sign turned, higher is better; ``fused``, in [0, 1], is the
    score that ordered a hybrid search. ``by_score`` is the rank before diversity moved hits,
    ``before_rerank`` that before a chat model's ``grade``, from 0 to 3, did; None where they did
    not come into it. ``background`` is the mean cosine of the passages ranked 10 to 40 by meaning,
    the same for every hit: how near the question is to what does not answer it.
    """

    dense: int | None = None
    keyword: int | None = None
    bm25: float | None = None
    fused: float | None = None
    by_score: int | None = None
    before_rerank: int | None = None
    grade: int | None = None
    background: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found, complete: nothing more needs to be fetched to show it.

    ``rank`` counts from 1. ``score`` is the cosine similarity of chunk and question in
    [-1, 1]; None in mode ``keyword``, which computes none. ``page`` is the number of the page on
    which the chunk starts; ``pages`` are all that it touches, with their offsets. ``metadata``
    are what its document says of itself, as `told_metadata` gives it. ``from_picture``: some of it
    was read by text recognition, so letters may be wrong.
    """

    rank: int
    score: float | None
    chunk_id: str
    doc_id: str
    root: str
    path: str
    title: str
    kind: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    text: str
    file_sha256: str
    ranks: HitRanks = HitRanks()
    pages: tuple[Page, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    from_picture: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """One numbered part of a context: one hit, or several neighbouring hits joined.

    ``metadata`` are what its document says of itself.
    """

    number: int
    doc_id: str
    root: str
    path: str
    title: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    text: str
    file_sha256: str
    score: float | None
    chunk_ids: tuple[str, ...]
    tokens: int
    pages: tuple[Page, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)

    def page_at(self, offset: int) -> int | None:
        """The number of the page on which a place of the document lies, None without pages."""
        before = [page.number for page in self.pages if page.start <= offset]
        return before[-1] if before else self.page


@dataclass(frozen=True, slots=True)
class Dropped:
    """A hit, or part of one, that did not enter the context, and why.

    ``repeat``: it is given already; ``budget``: it does not fit; ``order``: it tells the model
    what to reply (`ragkit.text.injection`), and is left out of the passage around it.
    """

    chunk_id: str
    path: str
    start: int
    end: int
    reason: Literal["repeat", "budget", "order"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a model is given: numbered passages within a token budget."""

    passages: tuple[Passage, ...]
    tokens: int
    budget_tokens: int
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in a document that an answer relies on.

    ``start`` and ``end`` are offsets in the document's extracted text and ``quote`` is that
    text. ``number`` is the passage's number, as the answer's ``[n]`` names it. ``to_model``: the
    quote holds a sentence that tells a model what to reply (`ragkit.text.injection`). ``metadata``
    are what the document says of itself. ``from_picture``: text recognition read the quote, so
    letters may be wrong.
    """

    number: int
    chunk_id: str
    doc_id: str
    path: str
    title: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    quote: str
    file_sha256: str
    to_model: bool = False
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    from_picture: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer: its place in the answer, its status, what it cites.

    ``start`` and ``end`` are offsets in ``Answer.text``. ``citations`` are indexes into
    ``Answer.citations``.
    """

    start: int
    end: int
    status: SentenceStatus
    citations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an answer's text, by half-open offsets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """A hit that an answer could be given from: its place, and why it stands where it does."""

    rank: int
    score: float | None
    chunk_id: str
    path: str
    page: int | None
    start: int
    end: int
    ranks: HitRanks


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was found, what was sent to the model and what it said it read.

    All counts are tokens; None: the model did not say. ``num_ctx`` is the window asked for,
    ``reserve_tokens`` the part of it kept for the answer. ``prompt_tokens`` is the model's own
    count. ``turns_given`` and ``turns_dropped`` are of the conversation's earlier turns.
    ``found`` is in the order of ranks. ``citations_removed`` counts the ``[n]`` that the reply
    gave for passages that were not given, ``links_removed`` the addresses and HTML tags in it that
    do not stand in the passages: both were left out of the answer. ``conversions`` name figures
    of unsupported sentences that a cited place gives in another unit. ``waiting`` counts the chunks
    of the index that had no vector yet, and could be found by their words only.
    """

    num_ctx: int
    reserve_tokens: int
    prompt_tokens_estimated: int
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    done_reason: str | None = None
    passages_given: int = 0
    dropped: tuple[Dropped, ...] = ()
    turns_given: int = 0
    turns_dropped: int = 0
    found: tuple[Found, ...] = ()
    citations_removed: int = 0
    links_removed: int = 0
    conversions: tuple[str, ...] = ()
    waiting: int = 0


_HARMFUL = re.compile(r"!(?=\[)|<(?=[a-zA-Z/!?])")
_MARKDOWN = re.compile(r"[\\`*_\[\]<>!#|&~$]")


def _in_markdown(text: str) -> str:
    """A text in one line that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its proof: what was asked, said, cited, by which models, over what.

    ``refused`` is true where the documents do not say; the last line of the text then says so
    in the question's language. ``chat_model`` is None for an extractive answer, which quotes the
    closest passages: ``closest`` are the sentences among its text that answer best, one a
    quotation. ``searched`` is the question as it was searched for, where a conversation completed
    it; else empty.
    """

    question: str
    text: str
    refused: bool
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    embedder: str
    embedder_digest: str
    chat_model: str | None
    chat_digest: str | None
    index: str
    generation: int
    receipt: Receipt
    seconds: float = 0.0
    searched: str = ""
    closest: tuple[Span, ...] = ()

    def __str__(self) -> str:
        """The text of the answer."""
        return self.text

    def _repr_markdown_(self) -> str:
        """What a notebook shows: the text, and the sources below it.

        What documents say can neither load an image nor be HTML there.
        """
        lines = [_HARMFUL.sub(r"\\\g<0>", self.text), ""]
        for c in self.citations:
            page = "" if c.page is None else f", page {c.page}"
            page += ", read from a picture" if c.from_picture else ""
            quote = "" if self.closest else f": “{_in_markdown(c.quote)}”"
            lines.append(f"- \\[{c.number}\\] {_in_markdown(c.path)}{page}{quote}")
        return "\n".join([*lines[:2], *dict.fromkeys(lines[2:])])


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file that was not simply indexed, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an ingest is thought to cost before it runs.

    Attributes:
        passages: To be made, from the sizes of files; of PDF files that says little.
        seconds: That it takes; None: nothing was measured on this machine that it could rest on.
        basis: The earlier run whose pace the seconds rest on, for people; empty if there is none.
    """

    passages: int
    seconds: float | None = None
    basis: str = ""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """The account of one ingest: every file is in exactly one of the tuples of paths.

    ``moved`` files were known under another path and cost no embedding. ``stale`` files
    changed but could not be loaded, so their old chunks stay. ``pages_without_text`` maps a
    path to page numbers; those that could not be read are also in ``failed_pages``.
    ``without_text`` names the documents that hold no text at all, e.g. scans. ``notes`` say
    what is wrong with files that are in the index nevertheless, and of which the embedder refused
    a text. ``embedded`` counts texts that got a vector, ``reused`` those found in the cache.
    ``estimate`` is what a dry run tells of the work; any other run has none.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    skipped: tuple[FileOutcome, ...] = ()
    failed: tuple[FileOutcome, ...] = ()
    stale: tuple[FileOutcome, ...] = ()
    unreadable: tuple[FileOutcome, ...] = ()
    pages_without_text: dict[str, tuple[int, ...]] = field(default_factory=dict)
    failed_pages: dict[str, tuple[int, ...]] = field(default_factory=dict)
    without_text: tuple[str, ...] = ()
    notes: tuple[FileOutcome, ...] = ()
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    generation: int = 0
    seconds: float = 0.0
    estimate: Estimate | None = None

    @property
    def dry_run(self) -> bool:
        """Whether it tells what would be done: nothing was written."""
        return self.estimate is not None


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


@dataclass(frozen=True, slots=True)
class Generation:
    """A run that changed an index, and what it changed.

    ``started_at`` and ``finished_at`` are ISO 8601 in UTC, the latter None until the run's end;
    ``state`` is ``open``, ``closed`` or ``interrupted``. A chunk is named by its document and its
    text: one whose text changed was removed, and another one added.
    """

    id: int
    build: int
    command: str
    started_at: str
    finished_at: str | None
    state: Literal["open", "closed", "interrupted"]
    documents_added: int = 0
    documents_changed: int = 0
    documents_removed: int = 0
    chunks_added: int = 0
    chunks_removed: int = 0


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """What became of a document between two generations; chunks are told apart by their text."""

    root: str
    path: str
    change: Literal["added", "changed", "removed"]
    chunks_added: int
    chunks_removed: int
    chunks_kept: int = 0


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """What changed from generation ``before`` to generation ``after``.

    The counts are sums over ``documents``, which are those that changed, by path and root.
    """

    before: int
    after: int
    documents_added: int
    documents_changed: int
    documents_removed: int
    chunks_added: int
    chunks_removed: int
    documents: tuple[DocumentChange, ...]


def make_changes(before: int, after: int, documents: Iterable[DocumentChange]) -> IndexChanges:
    """The difference between two generations by its documents, which are sorted and summed up."""
    ordered = tuple(sorted(documents, key=lambda d: (d.path, d.root)))
    counts = {
        f"documents_{change}": sum(d.change == change for d in ordered)
        for change in ("added", "changed", "removed")
    }
    added, removed = (sum(getattr(d, f"chunks_{n}") for d in ordered) for n in ("added", "removed"))
    return IndexChanges(
        before, after, **counts, chunks_added=added, chunks_removed=removed, documents=ordered
    )


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction took out of an index, and the bytes of its files before and after."""

    documents: int
    chunks: int
    vectors: int
    size_bytes_before: int
    size_bytes_after: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased: the paths of the documents that lived, and all versions with their chunks.

    ``is_complete`` is False where a reader still held an older state: the text then leaves the
    write-ahead log with the next writing run that finds no reader in its way.
    """

    documents: tuple[str, ...]
    versions: int
    chunks: int
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """A stage that ended, for one who traces what a pipeline does.

    ``stage`` is ``embed``, ``search``, ``rerank``, ``context``, ``chat`` or ``prove`` of a
    question, or the verb ``index``, ``add`` or ``rebuild``. ``seconds`` are of the wall. ``counts``
    say how much there was, e.g. ``{"hits": 8}``; ``error`` is the name of the exception that ended
    it, or "".
    """

    stage: str
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    error: str = ""


_Record = TypeVar("_Record")


def copy_fields(record: object, kind: type[_Record], **others: object) -> _Record:
    """Make a record of a kind from the fields that it shares with another one.

    Args:
        record: A dataclass, such as a `Hit`.
        kind: A dataclass, such as `Passage`.
        others: Its other fields, and those that differ.
    """
    shared = {f.name for f in fields(kind)} & {f.name for f in fields(record)}  # type: ignore[arg-type]  # dataclasses both
    return kind(**{name: getattr(record, name) for name in shared} | others)


def to_json(record: Any) -> dict[str, Any]:  # noqa: ANN401 -- any record of this module
    """Convert a record to plain JSON values, field by field."""
    return asdict(record)
