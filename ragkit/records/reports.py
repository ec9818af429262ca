"""What runs and verbs tell: the account of an ingest, generations, what was changed or erased."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable


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
