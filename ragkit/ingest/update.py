"""What a user asks of an index: bring it up to date, take documents out, build it anew."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ragkit.config import SplitSettings
from ragkit.errors import (
    ConfigError,
    IndexExistsError,
    IndexMismatchError,
    LoadError,
    ModelUnavailableError,
)
from ragkit.ingest.load import Formats
from ragkit.ingest.plan import Plan, living_sources, make_plan, planned_report
from ragkit.store.open import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragkit.config import Config
    from ragkit.ingest.run import Progress
    from ragkit.ingest.texts import Embedding
    from ragkit.models.choose import Models
    from ragkit.protocols import StoreWriter, VectorStore
    from ragkit.records import DocumentInfo, IndexReport

RebuildSource: TypeAlias = Literal["text", "files"]
"""What an index is built anew from: the text that it holds, or the files."""

_UNKNOWN_TOKENS = 512  # a model's window while its server does not answer


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
    update = _Update(setup, paths, prune=prune)
    store = setup.store
    if store is not None and not dry_run:
        _match_embedder(store, setup.models)
    seen = store.commits() if store else 0
    plan = update.plan()
    if dry_run or (plan.is_current and not (store and store.stats().waiting)):
        return update.told(plan, dry_run=dry_run)  # nothing to index makes no index either
    if store is not None:
        return update.carry_out(store, plan, seen=seen)
    try:
        made = _new_index(setup)
    except IndexExistsError:  # another run has made it meanwhile
        with closing(open_store(setup.location)) as theirs:
            return update_index(replace(setup, store=theirs), paths, prune=prune)
    with closing(made):
        return update.carry_out(made, plan, seen=made.commits())


def _new_index(setup: IngestSetup) -> VectorStore:
    from ragkit.ingest.embed import embedder_record

    embedder = setup.models.new_embedder()
    record = {} if embedder is None else embedder_record(embedder)
    return create_store(setup.location, embedder=record, splitter=asdict(setup.config.split))


def _match_embedder(store: VectorStore, models: Models) -> None:
    """Hold the embedder that was given against the index's; one without vectors takes it.

    Raises:
        IndexMismatchError: It is another one.
    """
    given = models.given_embedder
    if given is None:
        return
    if not store.embedder:
        from ragkit.ingest.embed import cache_keys, embedder_record
        from ragkit.ingest.prepare import own_title
        from ragkit.ingest.split import embedding_text

        record = embedder_record(given)
        store.give_embedder(
            record, lambda hit: cache_keys(record, [embedding_text(hit, own_title(hit))])[0]
        )
    models.embedder_of(store)  # the wrong one is refused even if nothing has to be embedded


class _Update:
    """One update of an index: what it was asked for, and what it does.

    Args:
        setup: The index, models and settings.
        paths: What to index; none: what was indexed before.
        prune: As for `make_plan`.
    """

    def __init__(self, setup: IngestSetup, paths: Sequence[str | Path], *, prune: bool) -> None:
        self._setup, self._paths, self._prune = setup, paths, prune
        self._started = time.monotonic()

    def plan(self) -> Plan:
        """Compare the files with the index as it is now."""
        setup = self._setup
        _check_splitter(setup)
        sources = indexed_sources(setup.store) if setup.store else []
        return make_plan(
            [Path(p) for p in self._paths or sources],
            setup.store.documents() if setup.store else [],
            setup.config.load,
            formats=setup.formats,
            sources=sources,
            prune=self._prune,
        )

    def told(self, plan: Plan, *, dry_run: bool) -> IndexReport:
        """The report of a run that writes nothing."""
        store = self._setup.store
        return replace(
            planned_report(plan),
            dry_run=dry_run,
            generation=store.generation() if store else 0,
            seconds=round(time.monotonic() - self._started, 3),
        )

    def carry_out(self, store: VectorStore, plan: Plan, *, seen: int) -> IndexReport:
        """Write what was planned when the store had seen so many commits, or a newer plan."""
        self._setup = replace(self._setup, store=store)
        command = "index " + " ".join(str(p) for p in self._paths)
        with store.writing(command) as writer:
            if writer.commits != seen:  # another run wrote after the plan was made
                plan = self.plan()
                if plan.is_current and not store.stats().waiting:
                    return self.told(plan, dry_run=False)
            return _carry_out(plan, store, writer, self._setup)


def _carry_out(
    plan: Plan,
    store: VectorStore,
    writer: StoreWriter,
    setup: IngestSetup,
    *,
    older: VectorStore | None = None,
) -> IndexReport:
    """Load, embed and store what was planned.

    Args:
        plan: Made under the writer's lock.
        store: The index, which the writer is of.
        writer: Its run.
        setup: Models and settings.
        older: The index that this one is to replace.
    """
    # Not loaded for a run over unchanged files: NumPy and the splitter cost 0.1 s.
    from ragkit.ingest.prepare import Preparer
    from ragkit.ingest.run import Ingest, carry_out_removals

    writer.ask_for(plan.sources)
    if not (plan.load or plan.keep or store.stats().waiting):
        return carry_out_removals(plan, writer)
    embedding, max_tokens = _embedding(store, setup.models)
    split = {f"split.{name}": value for name, value in store.splitter.items()}
    config = setup.config.with_values(split, "the index")
    preparer = Preparer(config.load, config.split, max_tokens, setup.formats)
    ingest = Ingest(
        plan,
        store,
        writer,
        embedding=embedding,
        preparer=preparer,
        on_progress=setup.on_progress,
        older=older,
    )
    return ingest.run()


def _embedding(store: VectorStore, models: Models) -> tuple[Embedding, int]:
    """What makes the vectors, and its window in tokens, as far as the server tells it now."""
    from ragkit.ingest.texts import Embedding

    record = store.embedder
    if not record:
        return Embedding({}), _UNKNOWN_TOKENS
    try:
        embedder = models.embedder_of(store)
        window = _UNKNOWN_TOKENS if embedder is None else embedder.max_tokens
    except ModelUnavailableError as exc:
        return Embedding(record, None, exc), _UNKNOWN_TOKENS
    return Embedding(record, embedder), window


def indexed_sources(store: VectorStore) -> list[str]:
    """The folders and files that an index's documents come from."""
    return living_sources(set(store.sources()), store.documents())


def _check_splitter(setup: IngestSetup) -> None:
    """Refuse split settings that are neither the index's nor the default.

    Raises:
        IndexMismatchError: They were set to something else.
    """
    given, store = asdict(setup.config.split), setup.store
    stored = dict(store.splitter) if store else given
    if store is not None and given not in (stored, asdict(SplitSettings())):
        msg = (
            f"{store.location} was split with {stored}, not with {given}; build it anew with "
            "`ragkit rebuild`, or leave the settings as they were"
        )
        raise IndexMismatchError(msg, store.location, stored=str(stored), given=str(given))


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


def rebuild_index(setup: IngestSetup, source: RebuildSource | None = None) -> IndexReport:
    """Build an index anew and put it in its place; see `Pipeline.rebuild`.

    Args:
        setup: The index, and the models and settings that it is to have.
        source: What from; None: from the stored text if only the embedder is another one.

    Raises:
        LoadError: Over half of a folder's documents are gone from the disk.
        ConfigError: Stored text cannot be split anew.
    """
    from ragkit.ingest.embed import embedder_record

    store = setup.store or open_store(setup.location)
    splitter = asdict(setup.config.split)
    is_split_alike = dict(store.splitter) == splitter
    if source == "text" and not is_split_alike:
        msg = (
            f"{store.location} was split with {dict(store.splitter)}, and stored text cannot be "
            "split anew: use `ragkit rebuild --from files`, or leave the settings as they were"
        )
        raise ConfigError(msg)
    embedder = setup.models.new_embedder()
    record = {} if embedder is None else embedder_record(embedder)
    if source is None:
        source = "text" if is_split_alike and record != store.embedder else "files"
    known = store.documents()
    guard = _guarded_plan(setup, store) if source == "files" else Plan()
    with store.rebuilding(embedder=record, splitter=splitter) as fresh:
        if source == "text":
            plan = _plan_from_text(store, fresh)
        else:
            # Another run may have written before this one had the lock.
            guard = guard if store.documents() == known else _guarded_plan(setup, store)
            plan = _plan_from_files(setup, guard, fresh)
        with fresh.writing("rebuild") as writer:
            return _carry_out(plan, fresh, writer, setup, older=store)


def _plan_from_text(store: VectorStore, fresh: VectorStore) -> Plan:
    """Take over all documents of a store that a rebuild of it does not have yet."""
    known, made = store.documents(), fresh.documents()
    ids = {d.doc_id for d in known}
    return Plan(
        sources=indexed_sources(store),
        unchanged=[d for d in known if d.stale is None],
        keep=_missing(known, made),
        removed=[d for d in made if d.doc_id not in ids],
    )


def _plan_from_files(setup: IngestSetup, guard: Plan, fresh: VectorStore) -> Plan:
    """Read all files again; what cannot be seen now is taken over as it is."""
    made = fresh.documents()  # by a rebuild that was left unfinished
    plan = _planned(setup, guard.sources, made, prune=True)
    return replace(plan, keep=_missing(guard.unseen, made))


def _missing(wanted: Sequence[DocumentInfo], made: Sequence[DocumentInfo]) -> list[DocumentInfo]:
    there = {(d.doc_id, d.file_sha256) for d in made}
    return [d for d in wanted if (d.doc_id, d.file_sha256) not in there]


def _guarded_plan(setup: IngestSetup, store: VectorStore) -> Plan:
    """What `index` would do; its guard holds here too.

    Raises:
        LoadError: A folder was emptied or is not mounted.
    """
    plan = _planned(setup, indexed_sources(store), store.documents())
    _refuse_emptied(plan)
    return plan


def _planned(
    setup: IngestSetup,
    sources: Sequence[str],
    known: Sequence[DocumentInfo],
    *,
    prune: bool = False,
) -> Plan:
    paths, load = [Path(s) for s in sources], setup.config.load
    return make_plan(paths, known, load, formats=setup.formats, sources=sources, prune=prune)


def _refuse_emptied(plan: Plan) -> None:
    """The guard of `index`: a folder that was emptied or is not mounted removes nothing."""
    if plan.emptied:
        gone = plan.emptied[0]
        msg = (
            f"{gone.reason.partition(';')[0]}; the index was not rebuilt: bring them back, or run "
            "`ragkit index --prune` first to remove them from the index"
        )
        raise LoadError(msg, gone.path)
