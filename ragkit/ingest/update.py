"""What a user asks of an index: bring it up to date, take documents out, build it anew."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ragkit.config import SplitSettings
from ragkit.errors import (
    ConfigError,
    IndexExistsError,
    IndexMismatchError,
    InputError,
    LoadError,
    ModelUnavailableError,
)
from ragkit.ingest.account import planned_report
from ragkit.ingest.child import APART_BYTES, reader_ahead
from ragkit.ingest.choices import NO_CHOICES, Choices
from ragkit.ingest.load import Formats
from ragkit.ingest.load.document import document_path, printable
from ragkit.ingest.load.members import container_of
from ragkit.ingest.load.recognised import forget_texts, kept_folder, needed_keys
from ragkit.ingest.moved import find_moves, follow_moves
from ragkit.ingest.named import absolute, comparable, known_paths
from ragkit.ingest.plan import Plan, living_sources, make_plan
from ragkit.records import SourceRules
from ragkit.store.calibration import keep_calibration
from ragkit.store.embedding_keys import cache_keys
from ragkit.store.locate import place_in
from ragkit.store.open import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence, Set
    from subprocess import Popen

    from ragkit.config import Config, HistorySettings
    from ragkit.ingest.prepare import Preparer
    from ragkit.ingest.run import Progress
    from ragkit.ingest.texts import Embedding
    from ragkit.models.choose import Models
    from ragkit.protocols import Splitter, StoreWriter, VectorStore
    from ragkit.records import DocumentInfo, Erasure, Estimate, IndexReport

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
        rules: Which files count below the paths that are indexed; None: those kept with them.
        forgets_removed: Take in again what was removed by hand.
        splitter: A program's own: itself, or its name.
        reader: The process that is to read files, if one was started.
    """

    location: str | Path
    store: VectorStore | None
    models: Models
    config: Config
    on_progress: Callable[[Progress], None] = lambda _: None
    formats: Formats = field(default_factory=Formats)
    rules: SourceRules | None = None
    forgets_removed: bool = False
    splitter: Splitter | str | None = None
    reader: Popen[bytes] | None = None


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
        match_embedder(store, setup.models)
        update.follow()
    seen = store.commits() if store else 0
    plan = update.plan()
    has_work = not plan.is_current or (
        store is not None and bool(store.stats().waiting or plan.choices != kept_choices(store))
    )
    if store is not None and not (dry_run or has_work):
        store.recover()
    if dry_run or not has_work:
        return update.told(plan, dry_run=dry_run)  # nothing to index makes no index either
    with update.reading_ahead(plan):
        if store is not None:
            return update.carry_out(store, plan, seen=seen)
        try:
            made = new_index(setup)
        except IndexExistsError:  # another run has made it meanwhile
            with closing(open_store(setup.location)) as theirs:
                return update_index(replace(setup, store=theirs), paths, prune=prune)
        with closing(made):
            return update.carry_out(made, plan, seen=made.commits())


def new_index(setup: IngestSetup) -> VectorStore:
    """Make the index of a setup, empty.

    Raises:
        IndexExistsError: There is one meanwhile.
    """
    from ragkit.ingest.embed import embedder_record

    embedder = setup.models.new_embedder()
    record = {} if embedder is None else embedder_record(embedder)
    return create_store(setup.location, embedder=record, splitter=asdict(setup.config.split))


def match_embedder(store: VectorStore, models: Models) -> None:
    """Hold the embedder that was given against the index's; one without vectors takes it.

    Where none was given, what the server has under its name is held against it.

    Raises:
        IndexMismatchError: It is another one.
    """
    given = models.given_embedder
    if given is None:
        models.check_weights(store)
        return
    if not store.embedder:
        from ragkit.ingest.embed import embedder_record
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
        self._setup, self._prune = setup, prune
        self._paths = known_paths(paths, setup.store.sources() if setup.store else ())
        self._started = time.monotonic()

    def follow(self) -> None:
        """Let the documents of a folder that was moved follow it."""
        store = self._setup.store
        if store is not None:
            moves = find_moves(self._paths, store.documents(), indexed_sources(store))
            follow_moves(store, moves, self._setup.config.history)

    def plan(self) -> Plan:
        """Compare the files with the index as it is now.

        Of the folders indexed before, one that is missing does not keep the others from being
        updated.
        """
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
            choices=self._choices(),
        )

    def _choices(self) -> Choices:
        """What was chosen by hand, with what this run changes of it."""
        setup, named = self._setup, {document_path(absolute(path)) for path in self._paths}
        kept = kept_choices(setup.store) if setup.store else NO_CHOICES
        rules = dict(kept.rules)
        if setup.rules is not None:
            rules |= dict.fromkeys(named or rules, setup.rules)
        removed = set() if setup.forgets_removed else kept.removed - named
        return kept._replace(rules=rules, removed=removed)

    @contextmanager
    def reading_ahead(self, plan: Plan) -> Iterator[None]:
        """Start the process that reads much, so that it is there when the model server is found."""
        setup = self._setup
        is_importable = setup.formats.are_importable and not callable(setup.splitter)
        if plan.bytes_total < APART_BYTES or not is_importable:
            yield
            return
        with reader_ahead() as reader:
            self._setup = replace(setup, reader=reader)
            yield

    def told(self, plan: Plan, *, dry_run: bool) -> IndexReport:
        """The report of a run that writes nothing."""
        store = self._setup.store
        return replace(
            planned_report(plan),
            generation=store.generation() if store else 0,
            estimate=self._estimate(plan) if dry_run else None,
            seconds=round(time.monotonic() - self._started, 3),
        )

    def _estimate(self, plan: Plan) -> Estimate:
        from ragkit.ingest.estimate import estimated_work  # only a dry run needs it

        setup = self._setup
        return estimated_work(
            plan,
            setup.store,
            location=setup.location,
            models=setup.config.models,
            formats=setup.formats,
        )

    def carry_out(self, store: VectorStore, plan: Plan, *, seen: int) -> IndexReport:
        """Write what was planned when the store had seen so many commits, or a newer plan."""
        self._setup = replace(self._setup, store=store)
        command = " ".join(["index", *(str(p) for p in self._paths)])
        while True:
            roots = plan.roots if self._paths else None
            with store.writing(command, roots=roots) as writer:
                if writer.commits != seen:  # another run wrote after the plan was made
                    plan = self.plan()
                    if plan.is_current and not store.stats().waiting:
                        return self.told(plan, dry_run=False)
                    if roots is not None and not set(plan.roots) <= set(roots):
                        continue  # it has to hold other roots
                report = _carry_out(plan, store, writer, self._setup)
                break
        plan.load.clear()  # a record a file, which would stay while the index is measured
        keep_calibration(store, self._setup.models.embedder_of)
        return report


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
    from ragkit.ingest.run import Ingest, carry_out_removals

    _keep_choices(plan, store, writer)
    if not (plan.load or plan.keep or store.stats().waiting):
        report = carry_out_removals(plan, writer)
        writer.retain(**asdict(setup.config.history))
        return report
    embedding, max_tokens = make_embedding(store, setup.models)
    ingest = Ingest(
        plan,
        store,
        writer,
        embedding=embedding,
        preparer=make_preparer(store, setup, max_tokens),
        on_progress=setup.on_progress,
        older=older,
    )
    report = ingest.run()
    writer.retain(**asdict(setup.config.history))
    return report


def kept_choices(store: VectorStore) -> Choices:
    """What was chosen by hand for an index."""
    decided = store.decisions()
    by_kind = {
        kind: {document_path(place) for place, decision in decided.items() if decision == kind}
        for kind in ("removed", "accepted")
    }
    rules = {document_path(s): held for s, held in store.rules().items() if held != SourceRules()}
    return Choices(rules, by_kind["removed"], by_kind["accepted"])


def _keep_choices(plan: Plan, store: VectorStore, writer: StoreWriter) -> None:
    """Keep what a run was asked for, and what it chose."""
    stored = store.rules()
    sources = sorted(set(plan.sources))
    chosen = plan.choices.rules
    rules = {s: chosen.get(document_path(s), SourceRules()) for s in {*sources, *stored}}
    writer.ask_for(sources, rules)
    removed = {s for s, decision in store.decisions().items() if decision == "removed"}
    forgotten = {s for s in removed if document_path(s) not in plan.choices.removed}
    writer.decide(sorted(forgotten), None)


def make_preparer(store: VectorStore, setup: IngestSetup, max_tokens: int) -> Preparer:
    """What loads and splits files as an index has it, for a window of so many tokens."""
    from ragkit.ingest.prepare import Preparer

    split = {f"split.{name}": value for name, value in store.splitter.items()}
    config = setup.config.with_values(split, "the index")
    kept = kept_folder(store.location)
    return Preparer(
        config.load,
        config.split,
        max_tokens,
        setup.formats,
        setup.splitter,
        recognised=kept,
        started=setup.reader,
    )


def forget_recognised(store: VectorStore, *, without: Set[str] = frozenset()) -> int:
    """Delete the kept texts of pictures that no document of an index has, or had in a kept run.

    Args:
        store: The index.
        without: Ids of documents that are about to be erased, and do not count.

    Returns:
        How many.
    """
    folder = kept_folder(store.location)
    if not os.path.isdir(folder):  # noqa: PTH112 -- a text
        return 0
    kept = [d.reading for d in store.documents(ever=True) if d.doc_id not in without]
    return forget_texts(Path(folder), needed_keys(kept))


def make_embedding(store: VectorStore, models: Models) -> tuple[Embedding, int]:
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
    return living_sources(set(store.sources()), store.documents(whole_only=True))


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


def remove_documents(
    store: VectorStore, paths: Sequence[str | Path], history: HistorySettings
) -> tuple[str, ...]:
    """Remove documents from an index; see `Pipeline.remove`."""
    chosen, command = _chosen(store, paths)
    if chosen:
        with store.writing(command) as writer:
            writer.remove([d.doc_id for d in chosen])
            writer.decide(_locations(_wanted(store, paths), chosen), "removed")
            writer.retain(**asdict(history))
    return tuple(d.path for d in chosen)


def erase_documents_of(
    store: VectorStore,
    paths: Sequence[str | Path],
    on_progress: Callable[[int, int], None] | None = None,
) -> Erasure:
    """Erase documents from every generation of an index; see `Pipeline.erase`."""
    chosen, command = _chosen(store, paths, ever=True)
    doc_ids = _with_former_places(store, {document.doc_id for document in chosen})
    command = command.replace("remove", "remove --erase", 1)
    if chosen:
        with store.writing(command) as writer:
            writer.decide(_locations(_wanted(store, paths), chosen), "removed")
    forget_recognised(store, without=set(doc_ids))
    return store.erase(doc_ids, command, on_progress=on_progress)


def _with_former_places(store: VectorStore, doc_ids: set[str]) -> list[str]:
    """The documents, and those that they were before they were moved: dead, with the same file."""
    every = store.documents(ever=True)
    living = {document.doc_id for document in store.documents()}
    while True:
        files = {document.file_sha256 for document in every if document.doc_id in doc_ids}
        former = {d.doc_id for d in every if d.file_sha256 in files} - living - doc_ids
        if not former:
            return sorted(doc_ids)
        doc_ids = doc_ids | former


def _chosen(
    store: VectorStore, paths: Sequence[str | Path], *, ever: bool = False
) -> tuple[list[DocumentInfo], str]:
    """The documents that paths name, and the command for the list of generations."""
    wanted, names = _wanted(store, paths), {document_path(str(p)) for p in paths}
    chosen = [
        d
        for d in store.documents(ever=ever)
        if d.path in names or not wanted.isdisjoint(_with_parents(_spelt(d)))
    ]
    return chosen, "remove " + " ".join(sorted({printable(str(p)) for p in paths}))


def _wanted(store: VectorStore, paths: Sequence[str | Path]) -> set[Path]:
    """What paths name, as `_spelt` has it."""
    sources = store.sources()
    return {Path(comparable(path, sources)) for path in paths}


def _spelt(document: DocumentInfo) -> Path:
    return Path(document_path(str(Path(document.root, document.path))))


def _locations(wanted: Set[Path], chosen: Sequence[DocumentInfo]) -> list[str]:
    """What stays out of the index from now on: the folders that were named, single documents."""
    found = set[Path]()
    for document in (d for d in chosen if d.origin == "file"):
        place, spelt = Path(document.root, document.path), _spelt(document)
        above = zip(place.parents, spelt.parents, strict=True)
        found |= {folder for folder, named in above if named in wanted} or {place}
    return sorted(place.as_posix() for place in found)


def accept_files(
    store: VectorStore, paths: Sequence[str | Path], *, undo: bool = False
) -> tuple[str, ...]:
    """Note files as known to be unreadable; see `Pipeline.accept`."""
    sources = sorted({*store.sources(), *indexed_sources(store)})
    decided = store.decisions().items()
    kept = {document_path(place): place for place, what in decided if what == "accepted"}
    chosen = tuple(_file_of(sources, path, kept if undo else {}) for path in paths)
    command = "accept " + " ".join(printable(str(path)) for path in paths)
    with store.writing(command) as writer:
        writer.decide([kept.get(f, f) for f in chosen], None if undo else "accepted")
    return chosen


def _file_of(sources: Sequence[str], path: str | Path, kept: Container[str]) -> str:
    """The file that a path names: from the working folder, or as reports name it, from a source.

    Args:
        sources: The folders and files of the index, absolute.
        path: As it was given.
        kept: What was accepted before; it need not be there any more.

    Raises:
        LoadError: There is no such file in the folders of the index.
    """
    # What a report names below a source that is a file stands beside it: the file itself.
    folders = [source if os.path.isdir(source) else os.path.dirname(source) for source in sources]  # noqa: PTH112, PTH120 -- texts
    places = [absolute(path), *(absolute(f"{folder}/{path}") for folder in folders)]
    for place in places:
        spelt, is_ours = comparable(place, sources), place_in(place, sources) is not None
        if spelt in kept or (is_ours and os.path.isfile(place)):  # noqa: PTH113 -- texts
            return spelt
    msg = f"{path}: there is no such file in the folders of this index: {', '.join(sources)}"
    raise LoadError(msg, path)


def _with_parents(path: Path) -> set[Path]:
    within = container_of(path.as_posix())
    return {path, *path.parents, *(_with_parents(Path(within[0])) if within else ())}


def rebuild_index(setup: IngestSetup, source: RebuildSource | None = None) -> IndexReport:
    """Build an index anew and put it in its place; see `Pipeline.rebuild`.

    Args:
        setup: The index, and the models and settings that it is to have.
        source: What from; None: from the stored text if only the embedder is another one.

    Raises:
        InputError: There is no such source.
        LoadError: Over half of a folder's documents are gone from the disk.
        ConfigError: Stored text cannot be split anew.
    """
    from ragkit.ingest.embed import embedder_record

    if source not in {None, *get_args(RebuildSource)}:
        msg = f"an index is rebuilt from {' or '.join(get_args(RebuildSource))}, not {source!r}"
        raise InputError(msg)
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
    known = store.documents(whole_only=True)  # to read the files again cures the others
    guard = _guarded_plan(setup, store) if source == "files" else Plan()
    with store.rebuilding(embedder=record, splitter=splitter) as fresh:
        if source == "text":
            plan = _plan_from_text(store, fresh)
        else:
            # Another run may have written before this one had the lock.
            guard = (
                guard if store.documents(whole_only=True) == known else _guarded_plan(setup, store)
            )
            plan = _plan_from_files(setup, guard, fresh, texts=_given(store))
        with fresh.writing("rebuild") as writer:
            report = _carry_out(plan, fresh, writer, setup, older=store)
        keep_calibration(fresh, setup.models.embedder_of)
        return report


def _plan_from_text(store: VectorStore, fresh: VectorStore) -> Plan:
    """Take over all documents of a store that a rebuild of it does not have yet."""
    known, made = store.documents(), fresh.documents()
    ids = {d.doc_id for d in known}
    return Plan(
        sources=indexed_sources(store),
        unchanged=[d for d in known if d.stale is None],
        keep=_missing(known, made),
        removed=[d for d in made if d.doc_id not in ids],
        choices=kept_choices(store),
    )


def _plan_from_files(
    setup: IngestSetup, guard: Plan, fresh: VectorStore, *, texts: Sequence[DocumentInfo]
) -> Plan:
    """Read all files again; what cannot be seen now, and what is no file, is taken over."""
    made = fresh.documents()  # by a rebuild that was left unfinished
    plan = _planned(setup, guard.sources, made, prune=True, choices=guard.choices)
    ids = {d.doc_id for d in texts}
    gone = [d for d in made if d.origin == "program" and d.doc_id not in ids]
    keep = _missing([*guard.unseen, *texts], made)
    return replace(plan, keep=keep, removed=[*plan.removed, *gone])


def _given(store: VectorStore) -> list[DocumentInfo]:
    """The documents that a program gave: there is no file to read them from."""
    return [d for d in store.documents(whole_only=True) if d.origin == "program"]


def _missing(wanted: Sequence[DocumentInfo], made: Sequence[DocumentInfo]) -> list[DocumentInfo]:
    there = {_state(d) for d in made}
    return [d for d in wanted if _state(d) not in there]


def _state(document: DocumentInfo) -> tuple[str, ...]:
    """What tells whether a document is as it was; a program may give a text other metadata."""
    d = document
    given = (d.title, d.kind, json.dumps(d.metadata)) if d.origin == "program" else ()
    return (d.doc_id, d.file_sha256, *given)


def _guarded_plan(setup: IngestSetup, store: VectorStore) -> Plan:
    """What `index` would do; its guard holds here too.

    Raises:
        LoadError: A folder was emptied or is not mounted.
    """
    kept, known = kept_choices(store), store.documents(whole_only=True)
    plan = _planned(setup, indexed_sources(store), known, choices=kept)
    _refuse_emptied(plan)
    return plan


def _planned(
    setup: IngestSetup,
    sources: Sequence[str],
    known: Sequence[DocumentInfo],
    *,
    prune: bool = False,
    choices: Choices,
) -> Plan:
    return make_plan(
        [Path(s) for s in sources],
        known,
        setup.config.load,
        formats=setup.formats,
        sources=sources,
        prune=prune,
        choices=choices,
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
