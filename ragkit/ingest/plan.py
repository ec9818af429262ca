"""What an ingest will do: the files of the roots held against what the index knows."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import LoadError
from ragkit.ingest.load import fingerprint, make_doc_id, root_folder, walk_files
from ragkit.ingest.load.document import document_path
from ragkit.records import FileOutcome, IndexReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from ragkit.config import LoadSettings
    from ragkit.ingest.load import WalkEntry
    from ragkit.records import DocumentInfo

PRUNE_SHARE = 0.5  # losing more than this share of a root's documents must be confirmed


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to load. ``previous`` is its document in the index, if there is one."""

    file: Path
    root: Path
    path: str
    doc_id: str
    size_bytes: int
    previous: DocumentInfo | None = None
    moved_from: str | None = None


@dataclass(slots=True)
class Plan:
    """Everything that an ingest will do, and what it leaves alone and why.

    ``sources`` are the absolute paths of the folders and files that were asked for, now or before.
    ``emptied`` are those of them that lost too many documents to be meant; all of them are kept.
    """

    sources: list[str] = field(default_factory=list)
    load: list[PlannedFile] = field(default_factory=list)
    unchanged: list[DocumentInfo] = field(default_factory=list)
    removed: list[DocumentInfo] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    unreadable: list[FileOutcome] = field(default_factory=list)
    emptied: list[FileOutcome] = field(default_factory=list)

    @property
    def bytes_total(self) -> int:
        """Size of the files to load."""
        return sum(planned.size_bytes for planned in self.load)

    @property
    def pages_without_text(self) -> dict[str, tuple[int, ...]]:
        """The pages without text of unchanged documents, by path."""
        return {d.path: d.pages_without_text for d in self.unchanged if d.pages_without_text}

    @property
    def without_text(self) -> tuple[str, ...]:
        """The unchanged documents without pages that hold no text at all."""
        return tuple(d.path for d in self.unchanged if not (d.chunks or d.pages))


def make_plan(
    paths: Sequence[Path],
    known: Sequence[DocumentInfo],
    settings: LoadSettings,
    *,
    sources: Sequence[str] = (),
    prune: bool = False,
) -> Plan:
    """Compare files with documents by content hash.

    Args:
        paths: Folders or files to index. What lies in one of the folders, or of those indexed
            before, belongs to the outermost of them.
        known: The index's documents.
        settings: Which files count.
        sources: What was indexed before, as `living_sources` gives it.
        prune: Remove documents even where more than half of a root's would go.

    Raises:
        LoadError: A path does not exist or cannot be read. Nothing is planned then, so that a
            disk that is not mounted never empties an index.
    """
    planner = _Planner(known, settings)
    planner.add_roots(sources, paths)
    for path in paths:
        planner.add(path)
    planner.find_lost()
    planner.find_moves()
    planner.plan_removals(prune=prune)
    return planner.plan


def living_sources(asked: Set[str], known: Sequence[DocumentInfo]) -> list[str]:
    """The folders and files from which an index's documents come.

    Args:
        asked: What earlier runs were asked for, absolute. It tells a file that was indexed alone
            from the folder it lies in.
        known: The index's documents. One that is below nothing in `asked` (its run was killed)
            stands for its root.

    Returns:
        The outermost paths, sorted.
    """
    found = set()
    for document in known:
        above = [path for path in _upwards(f"{document.root}/{document.path}") if path in asked]
        found.add(above[-1] if above else document.root)
    return sorted(found)


class _Planner:
    """Documents and files are held against each other by their location: root, ``/``, path."""

    def __init__(self, known: Sequence[DocumentInfo], settings: LoadSettings) -> None:
        self.plan = Plan()
        self._settings = settings
        self._known = {f"{d.root}/{d.path}": d for d in known}
        self._roots: list[str] = []
        self._folders: dict[str, Path] = {}
        self._seen: set[str] = set()
        self._present: set[str] = set()
        self._out_of_sight: list[str] = []
        self._scopes: set[str] = set()
        self._documents_below: Counter[str] = Counter()
        self._lost: defaultdict[str, list[DocumentInfo]] = defaultdict(list)
        self._moved: set[tuple[int, str]] = set()

    def add_roots(self, sources: Sequence[str], paths: Sequence[Path]) -> None:
        """Say which folders documents may belong to: those asked for, now or before."""
        self.plan.sources.extend(sources)
        folders = {source for source in sources if source not in self._known}
        folders |= {root_folder(path).as_posix() for path in paths if path.is_dir()}
        self._roots = sorted(folders, key=len)

    def add(self, path: Path) -> None:
        """Plan one path's files."""
        folder = root_folder(path).as_posix()
        root = next((r for r in self._roots if _is_below(folder, r)), folder)
        within = document_path(f"{folder}/".removeprefix(f"{root}/"))  # "" or "sub/folder/"
        name = "" if path.is_dir() else path.name
        self.plan.sources.append(f"{folder}/{name}".rstrip("/"))
        self._scopes.add(f"{root}/{within}{document_path(name)}".rstrip("/"))
        for entry in walk_files(path, self._settings):
            relative = within + entry.relative
            location = f"{root}/{relative}"
            if location not in self._seen:
                self._seen.add(location)
                self._add_entry(entry, root, relative)

    def _add_entry(self, entry: WalkEntry, root: str, relative: str) -> None:
        location = f"{root}/{relative}"
        if entry.status == "file":
            self._present.add(location)
            self._add_file(entry, root, relative)
        elif entry.status == "unreadable":
            self._out_of_sight.append(location)
            self.plan.unreadable.append(FileOutcome(relative, entry.reason))
        else:
            self.plan.skipped.append(FileOutcome(relative, entry.reason))

    def _add_file(self, entry: WalkEntry, root: str, relative: str) -> None:
        previous = self._known.get(f"{root}/{relative}")
        doc_id = make_doc_id(root, relative)
        is_same = previous is not None and previous.doc_id == doc_id
        if previous is not None and is_same and _hash(entry.path) == previous.file_sha256:
            self.plan.unchanged.append(previous)
            return
        folder = self._folders.setdefault(root, Path(root))  # one for many files
        self.plan.load.append(
            PlannedFile(entry.path, folder, relative, doc_id, entry.size_bytes, previous)
        )

    def find_lost(self) -> None:
        """Find the documents below the paths whose files are not there any more."""
        for location, document in self._known.items():
            scope = next((s for s in _upwards(location) if s in self._scopes), None)
            if scope is None:
                continue
            self._documents_below[scope] += 1
            in_sight = not location.startswith(tuple(self._out_of_sight))
            if in_sight and location not in self._present:
                self._lost[scope].append(document)

    def find_moves(self) -> None:
        """Mark new files whose content is that of a document which disappears."""
        lost = {_content(d): d.path for documents in self._lost.values() for d in documents}
        sizes = {size for size, _ in lost}
        for i, planned in enumerate(self.plan.load):
            if planned.previous is None and planned.size_bytes in sizes:
                content = (planned.size_bytes, _hash(planned.file) or "")
                if content in lost:
                    self._moved.add(content)
                    self.plan.load[i] = replace(planned, moved_from=lost[content])

    def plan_removals(self, *, prune: bool) -> None:
        """Remove what is lost, unless it is too much to be meant; what moved is not lost."""
        for scope, lost in self._lost.items():
            moved = [document for document in lost if _content(document) in self._moved]
            gone, of = len(lost) - len(moved), self._documents_below[scope]
            is_too_much = gone > PRUNE_SHARE * of and not prune
            if is_too_much:
                reason = (
                    f"{gone} of its {of} documents are gone from the disk; they were kept: "
                    "use --prune to remove them"
                )
                self.plan.emptied.append(FileOutcome(scope, reason))
            self.plan.removed.extend(moved if is_too_much else lost)


def _content(document: DocumentInfo) -> tuple[int, str]:
    return document.size_bytes, document.file_sha256


def _upwards(location: str) -> Iterator[str]:
    """A location and the folders above it, innermost first."""
    while location:
        yield location
        location = location.rpartition("/")[0]


def _is_below(location: str, folder: str) -> bool:
    return location == folder or location.startswith(folder.rstrip("/") + "/")


def _hash(file: Path) -> str | None:
    try:
        return fingerprint(file).file_sha256
    except LoadError:
        return None  # loading it will say what is wrong


def planned_report(plan: Plan) -> IndexReport:
    """What an ingest of the plan would report if every file could be loaded; for a dry run."""
    return replace(_report(plan, plan.load), dry_run=True)


def _report(plan: Plan, done: Sequence[PlannedFile]) -> IndexReport:
    """What the plan says, of the files to load only what it says of those that are done."""
    moved_from = {p.moved_from for p in done}
    return IndexReport(
        added=tuple(p.path for p in done if not p.previous and not p.moved_from),
        changed=tuple(p.path for p in done if p.previous),
        moved=tuple(p.path for p in done if p.moved_from),
        unchanged=tuple(d.path for d in plan.unchanged),
        removed=tuple(d.path for d in plan.removed if d.path not in moved_from),
        skipped=tuple(plan.skipped),
        unreadable=(*plan.unreadable, *plan.emptied),
        pages_without_text=plan.pages_without_text,
        without_text=plan.without_text,
    )


@dataclass(slots=True)
class Account:
    """Gathers what becomes of each planned file.

    ``pages_without_text`` has every document that was stored, by its id.
    """

    plan: Plan
    pages_without_text: dict[str, tuple[int, ...]] = field(default_factory=dict)
    without_text: list[str] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    failed: list[FileOutcome] = field(default_factory=list)
    stale: list[FileOutcome] = field(default_factory=list)
    chunks: int = 0
    embedded: int = 0

    def report(self, *, generation: int, seconds: float) -> IndexReport:
        """The account so far; files that were not reached are in none of its lists."""
        done = [p for p in self.plan.load if p.doc_id in self.pages_without_text]
        planned = _report(self.plan, done)
        blank = {p.path: pages for p in done if (pages := self.pages_without_text[p.doc_id])}
        return replace(
            planned,
            skipped=(*planned.skipped, *self.skipped),
            failed=tuple(self.failed),
            stale=tuple(self.stale),
            pages_without_text=planned.pages_without_text | blank,
            without_text=(*planned.without_text, *self.without_text),
            chunks=self.chunks,
            embedded=self.embedded,
            reused=self.chunks - self.embedded,
            generation=generation,
            seconds=round(seconds, 3),
        )
