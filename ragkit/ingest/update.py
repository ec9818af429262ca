"""Bringing an index up to date: the plan, and the ingest that carries it out."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.config import SplitSettings
from ragkit.errors import IndexMismatchError, LoadError
from ragkit.ingest.plan import living_sources, make_plan, planned_report
from ragkit.store.open import create_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragkit.config import Config
    from ragkit.ingest.plan import Plan
    from ragkit.ingest.run import Progress, Remembered
    from ragkit.protocols import Embedder, VectorStore
    from ragkit.records import IndexReport


def update_index(
    path: Path,
    store: VectorStore | None,
    config: Config,
    paths: Sequence[str | Path],
    embedder: Callable[[], Embedder],
    on_progress: Callable[[Progress], None],
    *,
    prune: bool = False,
    dry_run: bool = False,
    remembered: Remembered | None = None,
) -> IndexReport:
    """Bring an index up to date with folders and files; see `Pipeline.index`.

    Args:
        path: The index folder.
        store: The index, or None where it has yet to be made.
        config: Load and split settings.
        paths: What to index; none: what was indexed before.
        embedder: Gives the index's embedder; called only if a file has to be loaded.
        on_progress: Called after every file.
        prune: Remove documents even where over half of a folder's files are gone.
        dry_run: Only tell what would be done.
        remembered: Gives the vectors that another index has under cache keys.
    """
    started = time.monotonic()
    splitter = _splitter(path, store, config)
    known = store.documents() if store else []
    sources = indexed_sources(store) if store else []
    chosen = [Path(p) for p in paths or sources]
    plan = make_plan(chosen, known, config.load, sources=sources, prune=prune)
    if dry_run or _is_current(plan):  # nothing to index makes no index either
        return replace(
            planned_report(plan),
            dry_run=dry_run,
            generation=store.generation() if store else 0,
            seconds=round(time.monotonic() - started, 3),
        )
    command = "index " + " ".join(str(p) for p in paths)
    config = config.with_values({f"split.{name}": value for name, value in splitter.items()})
    if store is not None:
        return _carry_out(plan, store, command, config, embedder, on_progress, remembered)
    from ragkit.ingest.embed import embedder_record

    made = create_store(path, embedder=embedder_record(embedder()), splitter=splitter)
    with closing(made):
        return _carry_out(plan, made, command, config, embedder, on_progress, remembered)


def _carry_out(
    plan: Plan,
    store: VectorStore,
    command: str,
    config: Config,
    embedder: Callable[[], Embedder],
    on_progress: Callable[[Progress], None],
    remembered: Remembered | None,
) -> IndexReport:
    # Not loaded for a run over unchanged files: NumPy and the splitter cost 0.1 s.
    from ragkit.ingest.run import Ingest, carry_out_removals

    with store.writing(command) as writer:
        writer.ask_for(plan.sources)
        if not plan.load:
            return carry_out_removals(plan, writer)
        return Ingest(plan, embedder(), writer, config, on_progress, remembered).run()


def indexed_sources(store: VectorStore) -> list[str]:
    """The folders and files that an index's documents come from."""
    return living_sources(set(store.sources()), store.documents())


def _is_current(plan: Plan) -> bool:
    return not plan.load and not plan.removed and not any(d.stale for d in plan.unchanged)


def _splitter(path: Path, store: VectorStore | None, config: Config) -> dict[str, int]:
    """The index's own split settings, else the configured ones."""
    given = asdict(config.split)
    if store is None:
        return given
    stored = dict(store.splitter)
    if given not in (stored, asdict(SplitSettings())):
        msg = (
            f"{path} was split with {stored}, not with {given}; build it anew with "
            "`ragkit rebuild`, or leave the settings as they were"
        )
        raise IndexMismatchError(msg, path, stored=str(stored), given=str(given))
    return stored


def remove_documents(store: VectorStore, paths: Sequence[str | Path]) -> tuple[str, ...]:
    """Remove documents from an index; see `Pipeline.remove`."""
    wanted = {Path(os.path.abspath(p)) for p in paths}  # noqa: PTH100 -- links stay as they are
    names = {str(p) for p in paths}
    chosen = [
        d
        for d in store.documents()
        if d.path in names or not wanted.isdisjoint(_with_parents(Path(d.root) / d.path))
    ]
    if chosen:
        with store.writing("remove " + " ".join(sorted(names))) as writer:
            writer.remove([d.doc_id for d in chosen])
    return tuple(d.path for d in chosen)


def _with_parents(path: Path) -> set[Path]:
    return {path, *path.parents}


def rebuild_index(
    path: Path,
    store: VectorStore,
    config: Config,
    embedder: Callable[[], Embedder],
    on_progress: Callable[[Progress], None],
) -> IndexReport:
    """Build an index anew and put it in its place; see `Pipeline.rebuild`.

    Args:
        path: The index folder.
        store: The old index; it is closed when the new one has its place.
        config: Load and split settings.
        embedder: Gives the new index's embedder.
        on_progress: Called after every file.

    Raises:
        ForeignFilesError: The index shares its folder with files that are not its own.
        LoadError: Over half of a folder's documents are gone from the disk.
    """
    sources = indexed_sources(store)
    _refuse_emptied_folders(store, sources, config)
    from ragkit.ingest.embed import embedder_record

    record = embedder_record(embedder())
    with store.rebuilding(embedder=record, splitter=asdict(config.split)) as fresh:
        return update_index(
            path, fresh, config, sources, embedder, on_progress, remembered=store.vectors
        )


def _refuse_emptied_folders(store: VectorStore, sources: Sequence[str], config: Config) -> None:
    """The guard of `index`: a folder that was emptied or is not mounted removes nothing."""
    known = store.documents()
    plan = make_plan([Path(source) for source in sources], known, config.load, sources=sources)
    if plan.emptied:
        gone = plan.emptied[0]
        msg = (
            f"{gone.reason.partition(';')[0]}; the index was not rebuilt: bring them back, or run "
            "`ragkit index --prune` first to remove them from the index"
        )
        raise LoadError(msg, gone.path)
