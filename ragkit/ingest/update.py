"""What a user asks of an index: bring it up to date, take documents out, build it anew."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.config import SplitSettings
from ragkit.errors import IndexMismatchError, LoadError
from ragkit.ingest.load import Formats
from ragkit.ingest.plan import living_sources, make_plan, planned_report
from ragkit.store.open import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragkit.config import Config
    from ragkit.ingest.plan import Plan
    from ragkit.ingest.run import Progress, VectorLookup
    from ragkit.models.choose import Models
    from ragkit.protocols import Embedder, VectorStore
    from ragkit.records import DocumentInfo, IndexReport


@dataclass(frozen=True, slots=True)
class IngestSetup:
    """What an ingest works with.

    Attributes:
        location: Of the index: its folder, or a URL.
        store: The index; None if it has yet to be made.
        models: Asked for the embedder only if a file has to be loaded.
        config: Load and split settings.
        on_progress: Called after every file, in the caller's thread.
        formats: Which formats there are readers for.
    """

    location: str | Path
    store: VectorStore | None
    models: Models
    config: Config
    on_progress: Callable[[Progress], None] = lambda _: None
    formats: Formats = field(default_factory=Formats)


def update_index(
    setup: IngestSetup, paths: Sequence[str | Path], *, prune: bool = False, dry_run: bool = False
) -> IndexReport:
    """Bring an index up to date with folders and files; see `Pipeline.index`.

    Args:
        setup: The index, models and settings.
        paths: What to index; none: what was indexed before.
        prune: Remove documents even where over half of a folder's files are gone.
        dry_run: Only tell what would be done.
    """
    started = time.monotonic()
    store, models = setup.store, setup.models
    if store is not None and models.given_embedder is not None:
        models.embedder_of(store)  # the wrong one is refused even if nothing has to be embedded
    splitter = _splitter(setup)
    known = store.documents() if store else []
    sources = indexed_sources(store, known) if store else []
    plan = make_plan(
        [Path(p) for p in paths or sources],
        known,
        setup.config.load,
        formats=setup.formats,
        sources=sources,
        prune=prune,
    )
    if store is not None and plan.is_current and not dry_run:
        store.recover()
    if dry_run or plan.is_current:  # nothing to index makes no index either
        return replace(
            planned_report(plan),
            dry_run=dry_run,
            generation=store.generation() if store else 0,
            seconds=round(time.monotonic() - started, 3),
        )
    split = {f"split.{name}": value for name, value in splitter.items()}
    setup = replace(setup, config=setup.config.with_values(split))
    command = "index " + " ".join(str(p) for p in paths)
    if store is not None:
        return _carry_out(plan, store, setup, command=command)
    from ragkit.ingest.embed import embedder_record

    embedder = models.new_embedder()
    record = embedder_record(embedder)
    with closing(create_store(setup.location, embedder=record, splitter=splitter)) as made:
        return _carry_out(plan, made, setup, command=command, embedder=embedder)


def _carry_out(
    plan: Plan,
    store: VectorStore,
    setup: IngestSetup,
    *,
    command: str,
    embedder: Embedder | None = None,
    lookup: VectorLookup | None = None,
) -> IndexReport:
    # Not loaded for a run over unchanged files: NumPy and the splitter cost 0.1 s.
    from ragkit.ingest.prepare import Preparer
    from ragkit.ingest.run import Ingest, carry_out_removals

    with store.writing(command) as writer:
        writer.ask_for(plan.sources)
        if not plan.load:
            return carry_out_removals(plan, writer)
        embedder = embedder or setup.models.embedder_of(store)
        config = setup.config
        preparer = Preparer(config.load, config.split, embedder.max_tokens, setup.formats)
        ingest = Ingest(
            plan, writer, embedder, preparer, on_progress=setup.on_progress, lookup=lookup
        )
        return ingest.run()


def indexed_sources(store: VectorStore, documents: Sequence[DocumentInfo]) -> list[str]:
    """The folders and files that an index's documents come from."""
    return living_sources(set(store.sources()), documents)


def _splitter(setup: IngestSetup) -> dict[str, int]:
    """The index's own split settings, else the configured ones."""
    given, store = asdict(setup.config.split), setup.store
    if store is None:
        return given
    stored = dict(store.splitter)
    if given not in (stored, asdict(SplitSettings())):
        msg = (
            f"{store.location} was split with {stored}, not with {given}; build it anew with "
            "`ragkit rebuild`, or leave the settings as they were"
        )
        raise IndexMismatchError(msg, store.location, stored=str(stored), given=str(given))
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


def rebuild_index(setup: IngestSetup) -> IndexReport:
    """Build an index anew and put it in its place; see `Pipeline.rebuild`.

    Args:
        setup: The index, and the models and settings that it is to have.

    Raises:
        LoadError: Over half of a folder's documents are gone from the disk.
    """
    store = setup.store or open_store(setup.location)
    documents = store.documents(whole_only=True)  # to rebuild is what cures the others
    sources = indexed_sources(store, documents)
    paths, load, formats = [Path(s) for s in sources], setup.config.load, setup.formats
    _refuse_emptied(make_plan(paths, documents, load, formats=formats, sources=sources))
    from ragkit.ingest.embed import embedder_record

    embedder = setup.models.new_embedder()
    record, splitter = embedder_record(embedder), asdict(setup.config.split)
    with store.rebuilding(embedder=record, splitter=splitter) as fresh:
        known = fresh.documents()  # of a rebuild that was left unfinished
        plan = make_plan(paths, known, load, formats=formats, sources=sources)
        command = "index " + " ".join(sources)
        return _carry_out(
            plan, fresh, setup, command=command, embedder=embedder, lookup=store.vectors
        )


def _refuse_emptied(plan: Plan) -> None:
    """The guard of `index`: a folder that was emptied or is not mounted removes nothing."""
    if plan.emptied:
        gone = plan.emptied[0]
        msg = (
            f"{gone.reason.partition(';')[0]}; the index was not rebuilt: bring them back, or run "
            "`ragkit index --prune` first to remove them from the index"
        )
        raise LoadError(msg, gone.path)
