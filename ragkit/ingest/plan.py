"""What an ingest will do: the files of the roots held against what the index knows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.choices import NO_CHOICES, Choices, upwards
from ragkit.ingest.load import (
    WalkEntry,
    fingerprint,
    make_doc_id,
    root_folder,
    walk_files,
)
from ragkit.ingest.load.document import document_path
from ragkit.ingest.load.members import MARK, container_of
from ragkit.records import FileOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

    from ragkit.config import LoadSettings
    from ragkit.ingest.load import Formats
    from ragkit.records import DocumentInfo

    # The size and hash of a file; no hash: it cannot be read, which loading it will tell.
    _Content: TypeAlias = tuple[int, str | None]

PRUNE_SHARE = 0.5  # losing more than this share of a root's documents must be confirmed


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to load. ``previous`` is its document in the index, if there is one.

    ``file`` is a text, since a `Path` takes three times the memory, and a plan may hold many.
    ``members`` are the documents within the file that the index has; one of these is planned
    when the file is read.
    """

    file: str
    root: Path
    path: str
    doc_id: str
    size_bytes: int
    previous: DocumentInfo | None = None
    moved_from: str | None = None
    members: tuple[DocumentInfo, ...] = ()
    is_member: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that an ingest will do, and what it leaves alone and why.

    ``sources`` are the absolute paths of the folders and files that were asked for, now or before.
    ``emptied`` are those of them that lost too many documents to be meant; all of them are kept.
    ``unseen`` are documents below what cannot be read now; they stay. ``keep`` are documents that
    a rebuild takes over from the older index, their files unread. ``targets`` are the roots to
    which documents of what was asked for now belong.
    """

    sources: list[str] = field(default_factory=list)
    load: list[PlannedFile] = field(default_factory=list)
    unchanged: list[DocumentInfo] = field(default_factory=list)
    removed: list[DocumentInfo] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    unreadable: list[FileOutcome] = field(default_factory=list)
    emptied: list[FileOutcome] = field(default_factory=list)
    unseen: list[DocumentInfo] = field(default_factory=list)
    keep: list[DocumentInfo] = field(default_factory=list)
    choices: Choices = NO_CHOICES
    targets: tuple[str, ...] = ()

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots of all documents that carrying it out may change."""
        loaded = [d for p in self.load for d in (p.previous, *p.members) if d is not None]
        stale = [d for d in self.unchanged if d.stale is not None]
        found = {d.root for d in (*loaded, *self.removed, *stale)}
        return tuple(sorted(found.union(self.targets)))

    @property
    def bytes_total(self) -> int:
        """Size of the files to load."""
        return sum(planned.size_bytes for planned in self.load)

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.load or self.keep or self.removed or any(d.stale for d in self.unchanged))


def make_plan(
    paths: Sequence[Path],
    known: Sequence[DocumentInfo],
    settings: LoadSettings,
    *,
    formats: Formats | None = None,
    sources: Sequence[str] = (),
    prune: bool = False,
    choices: Choices = NO_CHOICES,
) -> Plan:
    """Compare files with documents by content hash.

    Documents that a program gave are none of its business.

    Args:
        paths: Folders or files to index. What lies in one of the folders, or of those indexed
            before, belongs to the outermost of them. One that is missing now and was indexed
            before keeps its documents, and is among the unreadable ones.
        known: The index's documents.
        settings: Which files count.
        formats: Which there are readers for; as `walk_files` has them where None.
        sources: What was indexed before, as `living_sources` gives it.
        prune: Remove documents even where more than half of a root's would go.
        choices: What was chosen by hand.

    Raises:
        LoadError: A path does not exist or cannot be read, and it was not indexed before, or
            all are so. Nothing is planned then, so that a disk that is not mounted never empties
            an index.
    """
    # Documents and files are held against each other by their location: root, ``/``, path.
    documents = {f"{d.root}/{d.path}": d for d in known if d.origin == "file"}
    targets = _targets(paths, _folders(sources, documents))
    walked = _walked(targets, settings, formats, set(sources))
    sight = _compared(walked, documents, choices, _Readers(settings, formats))
    losses = _losses(documents, {target.location for target in targets}, sight)
    load, moved = _with_moves(sight.load, losses)
    removed, emptied = _removals(losses, moved, sight.left_out, prune=prune)
    return Plan(
        sources=[*sources, *(target.source for target in targets)],
        load=load,
        unchanged=sight.unchanged,
        removed=removed,
        skipped=sight.skipped,
        unreadable=sight.unreadable,
        emptied=emptied,
        unseen=[d for location, d in documents.items() if sight.hides(location)],
        choices=choices,
        targets=tuple(sorted({target.root for target in targets})),
    )


def _folders(sources: Sequence[str], documents: Mapping[str, DocumentInfo]) -> list[str]:
    """Those of the sources that are no documents themselves."""
    files: Set[str] = documents.keys()
    if not all(map(str.isascii, sources)):
        files = {document_path(location) for location in documents}
    return [source for source in sources if document_path(source) not in files]


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
    found, named = set(), {document_path(path): path for path in asked}
    for document in (d for d in known if d.origin == "file"):
        places = upwards(document_path(_location(document)))
        above = [named[place] for place in places if place in named]
        found.add(above[-1] if above else document.root)
    return sorted(found)


class _Target(NamedTuple):
    """A path to walk, and the root that its documents belong to.

    ``within`` leads from the root to what is walked: "" or ``sub/folder/``. ``location`` is what
    documents lie below; ``source`` is the path itself, absolute.
    """

    path: Path
    root: str
    within: str
    location: str
    source: str


def _targets(paths: Sequence[Path], folders_before: Sequence[str]) -> list[_Target]:
    # `Path.is_dir` raises where a folder above is closed; to walk it tells the reason.
    folders = {root_folder(path).as_posix() for path in paths if os.path.isdir(path)}  # noqa: PTH112
    roots = sorted(folders.union(folders_before), key=len)
    targets = []
    for path in paths:
        folder = root_folder(path).as_posix()
        root = next((r for r in roots if _is_below(folder, r)), folder)
        within = document_path(f"{folder}/".removeprefix(f"{root}/"))
        name = path.name if os.path.isfile(path) else ""  # noqa: PTH113 -- as above
        location = f"{root}/{within}{document_path(name)}".rstrip("/")
        targets.append(_Target(path, root, within, location, f"{folder}/{name}".rstrip("/")))
    return targets


class _Found(NamedTuple):
    """Something that a walk met, and the root, relative path and location of its document."""

    entry: WalkEntry
    root: str
    path: str
    location: str


def _walked(
    targets: Sequence[_Target], settings: LoadSettings, formats: Formats | None, known: Set[str]
) -> Iterator[_Found]:
    """What the walks meet, each location once; a missing target that is `known` is one entry.

    Raises:
        LoadError: A target is missing and not known, or all are missing.
    """
    begun = [_begun(target, settings, formats) for target in targets]
    missing = [walk for walk in begun if isinstance(walk, LoadError)]
    for target, walk in zip(targets, begun, strict=True):
        if isinstance(walk, LoadError) and (
            target.source not in known or len(missing) == len(targets)
        ):
            raise walk
    seen = set()
    for target, walk in zip(targets, begun, strict=True):
        for found in [_gone(target, walk)] if isinstance(walk, LoadError) else walk:
            if found.location not in seen:
                seen.add(found.location)
                yield found


def _begun(
    target: _Target, settings: LoadSettings, formats: Formats | None
) -> Iterator[_Found] | LoadError:
    """What lies below a target, or why it cannot be walked."""
    walk = walk_files(target.path, settings, formats)
    try:
        first = list(islice(walk, 1))
    except LoadError as exc:
        return exc
    paths = ((entry, target.within + entry.relative) for entry in chain(first, walk))
    return (_Found(entry, target.root, path, f"{target.root}/{path}") for entry, path in paths)


def _gone(target: _Target, error: LoadError) -> _Found:
    reason = str(error).removeprefix(f"{target.path}: ")
    told = (
        f"{reason}; its documents were kept: if it was moved, `ragkit move OLD NEW`; if it is gone "
        "for good, `ragkit remove` takes them out"
    )
    entry = WalkEntry(target.path, "", "unreadable", told)
    return _Found(entry, target.root, target.source, target.location)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What the walks met.

    ``present`` has the locations of files, ``left_out`` of those that are not meant,
    ``out_of_sight`` those of what is unreadable: a file, or a folder with all that is below it.
    """

    load: list[PlannedFile] = field(default_factory=list)
    unchanged: list[DocumentInfo] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    unreadable: list[FileOutcome] = field(default_factory=list)
    present: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)
    out_of_sight: list[str] = field(default_factory=list)

    def hides(self, location: str) -> bool:
        """Whether a document is out of sight."""
        return any(
            _is_below(location, hidden) or location.startswith(hidden + MARK)
            for hidden in self.out_of_sight
        )


class _Readers:
    """What there is to read with now; it is found out when the first document asks."""

    def __init__(self, settings: LoadSettings, formats: Formats | None) -> None:
        self._settings, self._formats = settings, formats

    def may_read_more(self, document: DocumentInfo) -> bool:
        """Whether something of a file was left unread, and there were other readers then."""
        is_unread = bool(document.pages_without_text)  # in an index that tells no readers yet
        then = document.reading.get("readers", "" if is_unread else None)
        return then is not None and then != self._now

    @cached_property
    def _now(self) -> str:
        from ragkit.ingest.load import Formats
        from ragkit.ingest.load.reader_set import reader_set

        return reader_set(self._settings, self._formats or Formats())


def _compared(
    walked: Iterable[_Found],
    documents: Mapping[str, DocumentInfo],
    choices: Choices,
    readers: _Readers,
) -> _Sight:
    """Tell new and changed files from unchanged ones, and both from what cannot be loaded."""
    sight, folders, inside = _Sight(), dict[str, Path](), _by_container(documents)
    for entry, root, path, location in walked:
        if entry.status == "unreadable":
            sight.out_of_sight.append(location)
            sight.unreadable.append(FileOutcome(path, entry.reason))
        elif entry.status == "skipped":
            sight.skipped.append(FileOutcome(path, entry.reason))
        elif reason := choices.left_out(location, is_file=True):
            sight.left_out.update((location, *map(_location, inside.get(location, ()))))
            sight.skipped.append(FileOutcome(path, reason))
        else:
            members = inside.get(location, ())
            sight.present.update((location, *map(_location, members)))
            previous, doc_id = documents.get(location), make_doc_id(root, path)
            is_same = previous is not None and previous.doc_id == doc_id
            is_whole = previous is None or (
                _has_all(previous, members, choices) and not readers.may_read_more(previous)
            )
            if previous and is_same and is_whole and _hash(entry.path) == previous.file_sha256:
                sight.unchanged.extend((previous, *members))
                continue
            folder = folders.setdefault(root, Path(root))  # one for many files
            size = entry.size_bytes
            planned = PlannedFile(str(entry.path), folder, path, doc_id, size, previous)
            sight.load.append(replace(planned, members=tuple(members)) if members else planned)
    return sight


def _by_container(documents: Mapping[str, DocumentInfo]) -> dict[str, list[DocumentInfo]]:
    """The documents within files, by the locations of the files."""
    found: dict[str, list[DocumentInfo]] = {}
    for location, document in documents.items():
        if MARK in location and (within := container_of(document.path)):
            found.setdefault(f"{document.root}/{within[0]}", []).append(document)
    return found


def _has_all(outer: DocumentInfo, members: Sequence[DocumentInfo], choices: Choices) -> bool:
    """Whether the index has what lies within a file, as it was when it was read.

    Not if a member is stale, was left out by a rule that is no more, is left out by one that is
    new, or was lost with a run that was killed, or when the file was moved.
    """
    rules = outer.reading.get("rules")
    if rules is not None and rules != choices.within(_location(outer)):
        return False
    if not (outer.members or members):
        return True
    if any(m.stale is not None or choices.left_out(_location(m)) for m in members):
        return False
    within = document_path(_location(outer)) + MARK
    # What was taken out before the file was read is not among its documents.
    removed = sum(place.startswith(within) for place in choices.removed) if rules is None else 0
    return len(members) + removed >= outer.members


def _location(document: DocumentInfo) -> str:
    return f"{document.root}/{document.path}"


@dataclass(frozen=True, slots=True)
class _Loss:
    """The documents below a location whose files are gone, ``of`` how many there."""

    location: str
    of: int
    lost: list[DocumentInfo]


def _losses(documents: Mapping[str, DocumentInfo], scopes: Set[str], sight: _Sight) -> list[_Loss]:
    """The losses below each location that was walked; a document counts for the innermost."""
    below: dict[str, list[str]] = {}
    for location in documents:
        scope = next((above for above in upwards(location) if above in scopes), None)
        if scope is not None:
            below.setdefault(scope, []).append(location)
    return [
        _Loss(
            scope,
            len(locations),
            [
                documents[location]
                for location in locations
                if location not in sight.present and not sight.hides(location)
            ],
        )
        for scope, locations in below.items()
    ]


def _with_moves(
    load: Sequence[PlannedFile], losses: Sequence[_Loss]
) -> tuple[list[PlannedFile], set[_Content]]:
    """Mark new files whose content is that of a document which disappears.

    Returns:
        All files, and the contents that moved.
    """
    lost = {_content(d): d.path for loss in losses for d in loss.lost}
    sizes = {size for size, _ in lost}
    files, moved = [], set()
    for planned in load:
        file = planned
        if planned.previous is None and planned.size_bytes in sizes:
            content = planned.size_bytes, _hash(Path(planned.file))
            if content in lost:
                moved.add(content)
                file = replace(planned, moved_from=lost[content])
        files.append(file)
    return files, moved


def _removals(
    losses: Sequence[_Loss], moved: Set[_Content], left_out: Set[str], *, prune: bool
) -> tuple[list[DocumentInfo], list[FileOutcome]]:
    """What to remove: all that is lost, unless it is too much to be meant.

    What moved is not lost, and what is left out by a rule is meant.

    Returns:
        The documents, and why those of other locations are kept.
    """
    removed, emptied = [], []
    for loss in losses:
        elsewhere = [
            d for d in loss.lost if _content(d) in moved or f"{d.root}/{d.path}" in left_out
        ]
        gone = len(loss.lost) - len(elsewhere)
        is_too_much = gone > PRUNE_SHARE * loss.of and not prune
        if is_too_much:
            reason = (
                f"{gone} of its {loss.of} documents are gone from the disk; they were kept: "
                "use --prune to remove them"
            )
            emptied.append(FileOutcome(loss.location, reason))
        removed += elsewhere if is_too_much else loss.lost
    return removed, emptied


def _content(document: DocumentInfo) -> _Content:
    return document.size_bytes, document.file_sha256


def _is_below(location: str, folder: str) -> bool:
    return location == folder or location.startswith(folder.rstrip("/") + "/")


def _hash(file: Path) -> str | None:
    try:
        return fingerprint(file).file_sha256
    except LoadError:
        return None
