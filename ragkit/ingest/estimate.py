"""What an ingest would cost, told before it runs: passages, and time by what was measured here."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ragkit.errors import RagkitError
from ragkit.ingest.load import Formats
from ragkit.models.choose import NONE
from ragkit.records import Estimate
from ragkit.store.locate import find_indexes, location_name, url_scheme
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ragkit.config import ModelSettings
    from ragkit.ingest.plan import Plan, PlannedFile
    from ragkit.protocols import VectorStore
    from ragkit.records import DocumentInfo

# Bytes of a file to each of its passages, as found in English and Chinese documents of each kind.
_USUAL = {"csv": 400.0, "json": 500.0, "docx": 1000.0, "html": 1400.0, "pdf": 6000.0}
_OTHERS = 600.0
_ENOUGH_FILES = 3  # of a kind in the index, for its own share to count
_ENOUGH_PASSAGES = 20  # of a run, for its speed to count
_SLOW = 10.0  # passages a second, below which a digit more is told


class _Pace(NamedTuple):
    """How fast a run was, and how a person is told which one that was."""

    passages_per_s: float
    told: str


def estimated_work(
    plan: Plan,
    store: VectorStore | None,
    *,
    location: str | Path,
    models: ModelSettings,
    formats: Formats,
) -> Estimate:
    """Estimate what a plan costs, without a model and without reading a file.

    Args:
        plan: What is to be done.
        store: The index; None if it has yet to be made.
        location: Of the index. The indexes beside it tell how fast this machine is, if its own
            runs do not.
        models: Which embedder a new index would get.
        formats: Which format a file is of.
    """
    sizes = _bytes_per_passage(store.documents() if store else ())
    passages = sum(
        _passages(file, sizes, formats) for file in plan.load if file.moved_from is None
    ) + (store.stats().waiting if store else 0)
    pace = next(_paces(store, location, models), None)
    if pace is None:
        return Estimate(passages)
    return Estimate(passages, round(passages / pace.passages_per_s, 1), pace.told)


def _bytes_per_passage(documents: Iterable[DocumentInfo]) -> dict[str, float]:
    """By kind, as the index's own documents have it where there are enough of them."""
    by_kind: dict[str, list[DocumentInfo]] = {}
    for document in documents:
        if document.chunks:
            by_kind.setdefault(document.kind, []).append(document)
    return _USUAL | {
        kind: sum(d.size_bytes for d in found) / sum(d.chunks for d in found)
        for kind, found in by_kind.items()
        if len(found) >= _ENOUGH_FILES
    }


def _passages(file: PlannedFile, sizes: Mapping[str, float], formats: Formats) -> int:
    before = file.previous
    if before is not None and before.chunks:
        return max(1, round(before.chunks * file.size_bytes / max(before.size_bytes, 1)))
    row = formats.find(file.path)
    size = sizes.get(row.kind, _OTHERS) if row else _OTHERS
    return max(1, round(file.size_bytes / size))


def _paces(
    store: VectorStore | None, location: str | Path, models: ModelSettings
) -> Iterator[_Pace]:
    """How fast runs were: the index's own, the newest first, then those of indexes beside it."""
    if store is not None:
        yield from _run_paces(store.runs(), store.embedder, location_name(location))
    if url_scheme(location):
        return
    location = Path(location)
    for path in find_indexes(location.parent):
        if path == location:
            continue
        try:
            with closing(open_store(path)) as other:
                record, runs = other.embedder, other.runs()
        except RagkitError:  # it says so itself when it is asked; here it only tells no speed
            continue
        if _is_meant(record, store.embedder if store else None, models):
            yield from _run_paces(runs, record, path.name)


def _run_paces(
    runs: Sequence[Mapping[str, Any]], record: Mapping[str, Any], name: str
) -> Iterator[_Pace]:
    counted = "embedded" if record else "chunks"
    for run in runs:
        report = run["report"] or {}
        count, seconds = report.get(counted, 0), report.get("seconds", 0.0)
        if count >= _ENOUGH_PASSAGES and seconds > 0:
            speed = count / seconds
            model = record["name"] if record else "no vectors"
            shown = f"{speed:.1f}" if speed < _SLOW else f"{speed:.0f}"
            day = run["started_at"][:10]
            yield _Pace(speed, f"index {name} ({model}) on {day}, {shown} passages/s")


def _is_meant(
    record: Mapping[str, Any], own: Mapping[str, Any] | None, models: ModelSettings
) -> bool:
    """Whether an index's embedder is the one that will be at work, as far as can be told."""
    if own is not None:
        return bool(record) == bool(own) and record.get("name") == own.get("name")
    if models.embedder == NONE or not record:
        return models.embedder == NONE and not record
    if models.backend == "auto":
        return True
    is_named = record["name"].partition(":")[0] == models.embedder.partition(":")[0]
    return bool(record["backend"] == models.backend) and (models.backend == "embedded" or is_named)
