"""The account of an ingest: what became of each planned file, as the report tells it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import starmap
from typing import TYPE_CHECKING, NamedTuple

from ragkit.ingest.load.document import document_path
from ragkit.records import FileOutcome, IndexReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.ingest.plan import Plan, PlannedFile
    from ragkit.records import Document, DocumentInfo


def planned_report(plan: Plan) -> IndexReport:
    """What an ingest of the plan would report if every file could be loaded; for a dry run."""
    return _report(plan, plan.load, [])


class _Reading(NamedTuple):
    """What the report says of a document's text."""

    path: str
    pages_without_text: tuple[int, ...]
    failed_pages: tuple[int, ...]
    notes: tuple[str, ...]
    is_without_text: bool

    @classmethod
    def of(cls, document: Document | DocumentInfo, chunks: int) -> _Reading:
        return cls(
            document.path,
            document.pages_without_text,
            document.failed_pages,
            document.notes,
            is_without_text=not chunks,
        )


def _report(plan: Plan, done: Sequence[PlannedFile], readings: Sequence[_Reading]) -> IndexReport:
    """What the plan says, of the files to load only what it says of those that are done."""
    moved_from = {p.moved_from for p in done}
    texts = [*(_Reading.of(d, d.chunks) for d in plan.unchanged), *readings]
    return IndexReport(
        added=tuple(p.path for p in done if not p.previous and not p.moved_from),
        changed=tuple(p.path for p in done if p.previous),
        moved=tuple(p.path for p in done if p.moved_from),
        unchanged=tuple(d.path for d in plan.unchanged),
        removed=tuple(d.path for d in plan.removed if d.path not in moved_from),
        skipped=tuple(plan.skipped),
        unreadable=(*plan.unreadable, *plan.emptied),
        pages_without_text={t.path: t.pages_without_text for t in texts if t.pages_without_text},
        failed_pages={t.path: t.failed_pages for t in texts if t.failed_pages},
        without_text=tuple(t.path for t in texts if t.is_without_text),
        notes=tuple(FileOutcome(t.path, note) for t in texts for note in t.notes),
    )


@dataclass(slots=True)
class IngestReportBuilder:
    """Gathers what becomes of each planned file.

    Attributes:
        plan: What was planned.
        members: Documents within files that were met and are not as the index had them.
        unchanged: Those that are.
        removed: Those that are gone.
        skipped, failed, stale: What could not be read, and why.
    """

    plan: Plan
    members: list[PlannedFile] = field(default_factory=list)
    unchanged: list[DocumentInfo] = field(default_factory=list)
    removed: list[DocumentInfo] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    failed: list[FileOutcome] = field(default_factory=list)
    stale: list[FileOutcome] = field(default_factory=list)
    not_embedded: Mapping[str, str] = field(default_factory=dict)  # why, by path
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    _readings: dict[str, _Reading | None] = field(default_factory=dict)  # by document id

    def stored(self, planned: PlannedFile, document: Document, chunks: int) -> None:
        """Note that a document was stored; its text is not kept."""
        # With the plan's own texts, and None where there is nothing to tell: there may be many.
        reading = _Reading.of(document, chunks)._replace(path=planned.path)
        self._readings[planned.doc_id] = reading if any(reading[1:]) else None

    def gave_up(
        self, planned: PlannedFile, reason: str, *, is_kept: bool, is_unsupported: bool = False
    ) -> None:
        """Note that a file could not be indexed, and whether its older chunks stay."""
        where = self.stale if is_kept else self.skipped if is_unsupported else self.failed
        location = document_path(f"{planned.root.as_posix()}/{planned.path}")
        if location in self.plan.choices.accepted:
            where, reason = self.skipped, f"accepted as it is ({reason})"
        where.append(FileOutcome(planned.path, reason))

    def report(self, *, generation: int, seconds: float) -> IndexReport:
        """The account so far; files that were not reached are in none of its lists."""
        done = [p for p in (*self.plan.load, *self.members) if p.doc_id in self._readings]
        readings = [reading for p in done if (reading := self._readings[p.doc_id])]
        readings += [_Reading.of(d, d.chunks) for d in self.unchanged]
        planned = _report(self.plan, done, readings)
        return replace(
            planned,
            unchanged=(*planned.unchanged, *(d.path for d in self.unchanged)),
            removed=(*planned.removed, *(d.path for d in self.removed)),
            skipped=(*planned.skipped, *self.skipped),
            failed=tuple(self.failed),
            stale=tuple(self.stale),
            notes=(*planned.notes, *starmap(FileOutcome, self.not_embedded.items())),
            chunks=self.chunks,
            embedded=self.embedded,
            reused=self.reused,
            generation=generation,
            seconds=round(seconds, 3),
        )
