"""What an ingest will do: the files of the roots held against what the index knows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import LoadError
from ragkit.load import fingerprint, make_doc_id, root_folder, walk
from ragkit.records import FileOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.config import LoadSettings
    from ragkit.load import WalkEntry
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
    """Everything that an ingest will do, and what it leaves alone and why."""

    load: list[PlannedFile] = field(default_factory=list)
    unchanged: list[DocumentInfo] = field(default_factory=list)
    removed: list[DocumentInfo] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    unreadable: list[FileOutcome] = field(default_factory=list)

    @property
    def bytes_total(self) -> int:
        """Size of the files to load."""
        return sum(planned.size_bytes for planned in self.load)


def make_plan(
    paths: Sequence[Path], known: Sequence[DocumentInfo], settings: LoadSettings, *, prune: bool
) -> Plan:
    """Compare files with documents by content hash.

    Args:
        paths: Folders or files to index. One inside a known root belongs to that root.
        known: The index's documents.
        settings: Which files count.
        prune: Remove documents even where more than half of a root's would go.

    Raises:
        LoadError: A path does not exist or cannot be read. Nothing is planned then, so that a
            disk that is not mounted never empties an index.
    """
    planner = _Planner(known, settings, prune=prune)
    for path in paths:
        planner.add(path)
    planner.find_moves()
    return planner.plan


class _Planner:
    """Documents and files are held against each other by their location: root, ``/``, path."""

    def __init__(
        self, known: Sequence[DocumentInfo], settings: LoadSettings, *, prune: bool
    ) -> None:
        self.plan = Plan()
        self._settings = settings
        self._prune = prune
        self._known = {f"{d.root}/{d.path}": d for d in known}
        self._roots = sorted({d.root for d in known}, key=len)
        self._seen: set[str] = set()

    def add(self, path: Path) -> None:
        """Plan one path's files, and the documents below it whose files are gone."""
        folder = root_folder(path).as_posix()
        root = next((r for r in self._roots if _is_below(folder, r)), folder)
        within = f"{folder}/".removeprefix(f"{root}/")  # "" or "sub/folder/"
        out_of_sight: list[str] = []
        present: set[str] = set()
        for entry in walk(path, self._settings):
            relative = within + entry.relative
            location = f"{root}/{relative}"
            outcome = FileOutcome(relative, entry.reason)
            if entry.status == "unreadable":
                out_of_sight.append(location)
                self.plan.unreadable.append(outcome)
            elif entry.status == "file":
                present.add(location)
                if location not in self._seen:
                    self._add_file(entry, root, relative)
            elif location not in self._seen:
                self.plan.skipped.append(outcome)
            self._seen.add(location)
        scope = folder if path.is_dir() else f"{folder}/{path.name}"
        self._add_removals(scope, present, out_of_sight)

    def _add_file(self, entry: WalkEntry, root: str, relative: str) -> None:
        previous = self._known.get(f"{root}/{relative}")
        doc_id = make_doc_id(root, relative)
        is_same = previous is not None and previous.doc_id == doc_id
        if previous is not None and is_same and _hash(entry.path) == previous.file_sha256:
            self.plan.unchanged.append(previous)
            return
        self.plan.load.append(
            PlannedFile(entry.path, Path(root), relative, doc_id, entry.size_bytes, previous)
        )

    def _add_removals(self, scope: str, present: set[str], out_of_sight: list[str]) -> None:
        below = [location for location in self._known if _is_below(location, scope)]
        gone = [
            location
            for location in below
            if location not in present
            and not any(location == o or location.startswith(o) for o in out_of_sight)
        ]
        if len(gone) > PRUNE_SHARE * len(below) and not self._prune:
            reason = (
                f"{len(gone)} of its {len(below)} documents are gone from the disk; they were "
                "kept: use --prune to remove them"
            )
            self.plan.unreadable.append(FileOutcome(scope, reason))
        else:
            self.plan.removed.extend(self._known[location] for location in gone)

    def find_moves(self) -> None:
        """Mark new files whose content is that of a document which disappears."""
        gone = {(d.size_bytes, d.file_sha256): d.path for d in self.plan.removed}
        sizes = {size for size, _ in gone}
        for i, planned in enumerate(self.plan.load):
            if planned.previous is None and planned.size_bytes in sizes:
                moved_from = gone.get((planned.size_bytes, _hash(planned.file) or ""))
                self.plan.load[i] = replace(planned, moved_from=moved_from)


def _is_below(location: str, folder: str) -> bool:
    return location == folder or location.startswith(folder.rstrip("/") + "/")


def _hash(file: Path) -> str | None:
    try:
        return fingerprint(file).file_sha256
    except LoadError:
        return None  # loading it will say what is wrong
