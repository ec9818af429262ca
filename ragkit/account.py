"""The account of an ingest: what became of every file, and what would become of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragkit.records import FileOutcome, IndexReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.plan import Plan, PlannedFile


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
