"""One run: load, split, embed and store, streaming, with an account of every file."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragkit.errors import LoadError, ModelError, UnsupportedFormatError
from ragkit.ingest.embed import EmbeddingQueue, cache_keys, embedder_record
from ragkit.ingest.plan import IngestReportBuilder
from ragkit.records import to_json
from ragkit.system import defer_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from ragkit.ingest.embed import EmbeddedBatch
    from ragkit.ingest.plan import Plan, PlannedFile
    from ragkit.ingest.prepare import Prepared, Preparer
    from ragkit.protocols import Embedder, StoreWriter, Vectors
    from ragkit.records import Chunk, Document, IndexReport

    # From cache keys to the vectors that another index has under them.
    VectorLookup: TypeAlias = Callable[[Sequence[bytes]], Mapping[bytes, Vectors]]

# A commit costs up to 50 ms, a kill the texts since the last one: commit when so many texts have
# come and the commits are so far apart, and whatever comes after the longest wait.
COMMIT_TEXTS = 256
COMMIT_APART_S = 0.25
COMMIT_S = 5.0
# Documents that may wait for vectors, and their characters, so that memory stays bounded.
MOST_WAITING = 512
MOST_WAITING_CHARS = 32_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is. Bytes are those of source files whose documents are dealt with."""

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    texts_embedded: int
    path: str


def carry_out_removals(plan: Plan, writer: StoreWriter) -> IndexReport:
    """Carry out a plan that loads nothing; no model is needed for that."""
    return _finish(IngestReportBuilder(plan), writer, time.monotonic())


def _finish(builder: IngestReportBuilder, writer: StoreWriter, started: float) -> IndexReport:
    """Remove what is gone, take back what is stale no more, and close the account."""
    writer.remove([d.doc_id for d in builder.plan.removed])
    for document in builder.plan.unchanged:
        if document.stale is not None:
            writer.mark_stale(document.doc_id, None)
    seconds = time.monotonic() - started
    report = builder.report(generation=writer.generation, seconds=seconds)
    writer.account(to_json(report))
    writer.commit()
    return report


class Ingest:
    """One run over a plan.

    Args:
        plan: What to do.
        writer: Where the result goes; committed now and then, and at the end.
        embedder: Called only for texts that the store does not know.
        preparer: Loads and splits the files.
        on_progress: Called after every file, in the caller's thread.
        lookup: Asked for the vectors of cache keys that the writer does not know.
    """

    def __init__(
        self,
        plan: Plan,
        writer: StoreWriter,
        embedder: Embedder,
        preparer: Preparer,
        *,
        on_progress: Callable[[Progress], None],
        lookup: VectorLookup | None = None,
    ) -> None:
        self._plan = plan
        self._preparer = preparer
        self._commits = _Commits(writer)
        self._texts = _Texts(embedder, self._commits, lookup)
        self._account = _Account(plan, on_progress)
        self._waiting: list[_Waiting] = []
        self._started = self._taken = time.monotonic()

    def run(self) -> IndexReport:
        """Do it all.

        Whatever ends it early (Ctrl-C, a server that stops), documents that are complete and
        vectors that came back are committed first.

        Raises:
            ModelError: The embedder failed for good.
        """
        planned = self._plan.load
        sources = [(p.file, p.root) for p in planned]
        queue = self._texts.queue
        try:
            prepared = self._preparer.prepare(sources, size_bytes=self._account.bytes_total)
            with closing(prepared) as results:
                for file, result in zip(planned, results, strict=True):
                    self._load(file, result)
                    self._take_if_due()
            self._take(queue.drain())
        except (KeyboardInterrupt, ModelError):
            with defer_interrupt():
                self._keep()
            raise
        finally:
            queue.close()
        with defer_interrupt():
            return _finish(self._account.builder, self._commits.writer, self._started)

    def _keep(self) -> None:
        """Commit what there is, the batches that came back meanwhile too."""
        with suppress(ModelError):  # what ended the run is raised already
            for batch in self._texts.queue.ready():
                self._texts.store(batch)
        # A batch that failed came back too: not how many did, but which vectors are there tells.
        for item in self._waiting:
            if self._commits.writer.known(item.keys).issuperset(item.keys):
                self._store_document(item)
        self._commits.writer.commit()

    def _load(self, planned: PlannedFile, result: Prepared | LoadError) -> None:
        if isinstance(result, LoadError):
            is_unsupported = isinstance(result, UnsupportedFormatError)
            with defer_interrupt():
                self._give_up(planned, str(result), is_unsupported=is_unsupported)
            return
        keys, needed = self._texts.send(result.texts)
        with defer_interrupt():
            self._settle(_Waiting(planned, result.document, result.chunks, keys, needed))
            self._commits.commit_if_due()

    def _take_if_due(self) -> None:
        """Store what came back: not at once, but when the embedder has work for that time."""
        chars = sum(len(item.document.text) for item in self._waiting)
        is_full = len(self._waiting) >= MOST_WAITING or chars >= MOST_WAITING_CHARS
        now, queue = time.monotonic(), self._texts.queue
        if is_full or queue.is_deep or now - self._taken >= COMMIT_APART_S:
            self._take(queue.ready(wait=is_full))
            self._taken = now

    def _take(self, batches: Iterable[EmbeddedBatch]) -> None:
        for batch in batches:
            with defer_interrupt():
                self._store(batch)

    def _store(self, batch: EmbeddedBatch) -> None:
        self._texts.store(batch)
        self._account.builder.embedded += len(batch.keys)
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            self._settle(item)
        self._commits.commit_if_due()

    def _settle(self, item: _Waiting) -> None:
        """Store a document whose vectors are there; any other waits on."""
        if item.texts_needed > self._texts.back:
            self._waiting.append(item)
            return
        failure = self._texts.failure(item.keys)
        if failure is not None:
            self._give_up(item.planned, f"cannot be embedded: {failure}")
            return
        self._store_document(item)

    def _store_document(self, item: _Waiting) -> None:
        previous, writer = item.planned.previous, self._commits.writer
        if previous is not None and previous.doc_id != item.document.doc_id:
            writer.remove([previous.doc_id])
        writer.add(item.document, item.chunks, item.keys)
        self._account.builder.stored(item.document, len(item.chunks))
        self._account.advance(item.planned, item.document.size_bytes)

    def _give_up(self, planned: PlannedFile, reason: str, *, is_unsupported: bool = False) -> None:
        """Account for a file that cannot be indexed; its older chunks, if any, stay."""
        if planned.previous is not None:
            self._commits.writer.mark_stale(planned.previous.doc_id, reason)
        self._account.builder.gave_up(planned, reason, is_unsupported=is_unsupported)
        self._account.advance(planned, planned.size_bytes)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document that can be stored once so many texts have come back."""

    planned: PlannedFile
    document: Document
    chunks: list[Chunk]
    keys: list[bytes]
    texts_needed: int


class _Texts:
    """The texts of a run on their way to the embedder and back; each is sent once.

    Attributes:
        queue: Where they are embedded.
        back: How many have come back, as vectors or as failures.
    """

    def __init__(self, embedder: Embedder, commits: _Commits, lookup: VectorLookup | None) -> None:
        self.queue = EmbeddingQueue(embedder)
        self.back = 0
        self._sent = 0
        self._under_way: set[bytes] = set()
        self._failed: dict[bytes, str] = {}
        self._record = embedder_record(embedder)
        self._commits = commits
        self._lookup = lookup

    def send(self, texts: Sequence[str]) -> tuple[list[bytes], int]:
        """Send those texts whose vectors are not known.

        Returns:
            The cache keys of all, and how many texts of the run must be `back` for their vectors.
        """
        keys = cache_keys(self._record, texts)
        known = self._known(keys)
        for key, text in zip(keys, texts, strict=True):
            if key not in known and key not in self._under_way:
                self._under_way.add(key)
                self._sent += 1
                self.queue.put(key, text)
        return keys, 0 if known.issuperset(keys) else self._sent

    def _known(self, keys: Sequence[bytes]) -> set[bytes]:
        """The keys whose vectors need no model, after taking over those found elsewhere."""
        known = self._commits.writer.known(keys)
        if self._lookup is None or known.issuperset(keys):
            return known
        found = self._lookup([key for key in keys if key not in known])
        if found:
            with defer_interrupt():
                self._commits.add_vectors(list(found), np.stack(list(found.values())))
        return known | found.keys()

    def store(self, batch: EmbeddedBatch) -> None:
        """Store what came back."""
        self._commits.add_vectors(batch.keys, batch.vectors)
        self._under_way.difference_update(batch.keys, batch.failed)
        self._failed |= batch.failed
        self.back += len(batch.keys) + len(batch.failed)

    def failure(self, keys: Sequence[bytes]) -> str | None:
        """Why the first of these texts that failed did, None if all have vectors."""
        return next((self._failed[key] for key in keys if key in self._failed), None)


class _Commits:
    """The writer of a run, committed when it is time."""

    def __init__(self, writer: StoreWriter) -> None:
        self.writer = writer
        self._texts = 0
        self._last = time.monotonic()

    def add_vectors(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        self.writer.add_vectors(keys, vectors)
        self._texts += len(keys)

    def commit_if_due(self) -> None:
        now = time.monotonic()
        apart = COMMIT_APART_S if self._texts >= COMMIT_TEXTS else COMMIT_S
        if now - self._last >= apart:
            self.writer.commit()
            self._texts, self._last = 0, now


class _Account:
    """What became of the files so far, and the progress that is shown of it."""

    def __init__(self, plan: Plan, on_progress: Callable[[Progress], None]) -> None:
        self.builder = IngestReportBuilder(plan)
        self.bytes_total = plan.bytes_total  # it is summed up at each call
        self._files_done = 0
        self._bytes_done = 0
        self._on_progress = on_progress

    def advance(self, planned: PlannedFile, size_bytes: int) -> None:
        """Show that a file is dealt with."""
        self._files_done += 1
        self._bytes_done += size_bytes
        self._on_progress(
            Progress(
                self._files_done,
                len(self.builder.plan.load),
                self._bytes_done,
                self.bytes_total,
                self.builder.embedded,
                planned.path,
            )
        )
