"""The ingest stage: load, split, embed and store, streaming, with an account of every file."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragkit.errors import LoadError, ModelError, UnsupportedFormatError
from ragkit.ingest.embed import EmbeddingQueue, cache_keys, embedder_record
from ragkit.ingest.plan import Account
from ragkit.ingest.prepare import Preparer
from ragkit.records import FileOutcome, to_json
from ragkit.system import defer_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from ragkit.config import Config
    from ragkit.ingest.embed import EmbeddedBatch
    from ragkit.ingest.plan import Plan, PlannedFile
    from ragkit.ingest.prepare import Prepared, Results
    from ragkit.protocols import Embedder, StoreWriter, Vectors
    from ragkit.records import Chunk, Document, IndexReport

    Remembered: TypeAlias = Callable[[Sequence[bytes]], Mapping[bytes, Vectors]]

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
    return _finish(Account(plan), writer, time.monotonic())


def _finish(account: Account, writer: StoreWriter, started: float) -> IndexReport:
    """Remove what is gone, take back what is stale no more, and close the account."""
    writer.remove([d.doc_id for d in account.plan.removed])
    for document in account.plan.unchanged:
        if document.stale is not None:
            writer.mark_stale(document.doc_id, None)
    seconds = time.monotonic() - started
    report = account.report(generation=writer.generation, seconds=seconds)
    writer.account(to_json(report) | {"sources": sorted(set(account.plan.sources))})
    writer.commit()
    return report


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document that can be stored once so many texts have come back."""

    planned: PlannedFile
    document: Document
    chunks: list[Chunk]
    keys: list[bytes]
    texts_needed: int


class Ingest:
    """One run over a plan.

    Args:
        plan: What to do.
        embedder: Called only for texts that the store does not know.
        writer: Where the result goes; committed now and then, and at the end.
        config: Load and split settings.
        on_progress: Called after every file, in the caller's thread.
        remembered: Asked for the vectors of cache keys that the writer does not know.
    """

    def __init__(
        self,
        plan: Plan,
        embedder: Embedder,
        writer: StoreWriter,
        config: Config,
        on_progress: Callable[[Progress], None],
        remembered: Remembered | None = None,
    ) -> None:
        self._plan = plan
        self._writer = writer
        self._config = config
        self._on_progress = on_progress
        self._remembered = remembered
        self._embedder = embedder
        self._record = embedder_record(embedder)
        self._queue = EmbeddingQueue(embedder)
        self._in_queue: set[bytes] = set()
        self._texts_sent = 0
        self._texts_back = 0
        self._waiting: list[_Waiting] = []
        self._unembeddable: dict[bytes, str] = {}
        self._account = Account(plan)
        self._files_done = 0
        self._bytes_done = 0
        self._bytes_total = plan.bytes_total  # it is summed up at each call
        self._uncommitted = 0
        self._started = self._committed = self._taken = time.monotonic()

    def run(self) -> IndexReport:
        """Do it all.

        Whatever ends it early (Ctrl-C, a server that stops), documents that are complete and
        vectors that came back are committed first.

        Raises:
            ModelError: The embedder failed for good.
        """
        try:
            with closing(self._prepared()) as results:
                for planned, result in zip(self._plan.load, results, strict=True):
                    self._load(planned, result)
                    self._take_if_due()
            self._take(self._queue.drain())
        except (KeyboardInterrupt, ModelError):
            with defer_interrupt():
                self._keep()
            raise
        finally:
            self._queue.close()
        with defer_interrupt():
            return _finish(self._account, self._writer, self._started)

    def _keep(self) -> None:
        """Commit what there is, the batches that came back meanwhile too."""
        with suppress(ModelError):  # what ended the run is raised already
            for batch in self._queue.ready():
                self._store(batch)
        self._writer.commit()

    def _prepared(self) -> Results:
        sources = [(planned.file, planned.root) for planned in self._plan.load]
        config = self._config
        preparer = Preparer(config.load, config.split, self._embedder.max_tokens)
        return preparer.prepare(sources, size_bytes=self._bytes_total)

    def _load(self, planned: PlannedFile, result: Prepared | LoadError) -> None:
        if isinstance(result, LoadError):
            is_unsupported = isinstance(result, UnsupportedFormatError)
            where = self._account.skipped if is_unsupported else self._account.failed
            with defer_interrupt():
                self._give_up(planned, str(result), where)
            return
        document, chunks, texts = result
        keys = cache_keys(self._record, texts)
        known = self._known(keys)
        for key, text in zip(keys, texts, strict=True):
            if key not in known and key not in self._in_queue:
                self._in_queue.add(key)
                self._texts_sent += 1
                self._queue.put(key, text)
        needed = 0 if known.issuperset(keys) else self._texts_sent
        with defer_interrupt():
            self._settle(_Waiting(planned, document, chunks, keys, needed))
            self._commit_if_due()

    def _known(self, keys: Sequence[bytes]) -> set[bytes]:
        """The keys whose vectors need no model, after taking over those remembered elsewhere."""
        known = self._writer.known(keys)
        if self._remembered is None or known.issuperset(keys):
            return known
        found = self._remembered([key for key in keys if key not in known])
        if found:
            with defer_interrupt():
                self._writer.add_vectors(list(found), np.stack(list(found.values())))
            self._uncommitted += len(found)
        return known | found.keys()

    def _take_if_due(self) -> None:
        """Store what came back: not at once, but when the embedder has work for that time."""
        chars = sum(len(item.document.text) for item in self._waiting)
        is_full = len(self._waiting) >= MOST_WAITING or chars >= MOST_WAITING_CHARS
        now = time.monotonic()
        if is_full or self._queue.is_deep or now - self._taken >= COMMIT_APART_S:
            self._take(self._queue.ready(wait=is_full))
            self._taken = now

    def _take(self, batches: Iterable[EmbeddedBatch]) -> None:
        for batch in batches:
            with defer_interrupt():
                self._store(batch)

    def _store(self, batch: EmbeddedBatch) -> None:
        self._writer.add_vectors(batch.keys, batch.vectors)
        self._in_queue.difference_update(batch.keys, batch.failed)
        self._unembeddable |= batch.failed
        self._account.embedded += len(batch.keys)
        self._texts_back += len(batch.keys) + len(batch.failed)
        self._uncommitted += len(batch.keys)
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            self._settle(item)
        self._commit_if_due()

    def _settle(self, item: _Waiting) -> None:
        if item.texts_needed > self._texts_back:
            self._waiting.append(item)
            return
        broken = next((self._unembeddable[k] for k in item.keys if k in self._unembeddable), None)
        if broken is not None:
            self._give_up(item.planned, f"cannot be embedded: {broken}", self._account.failed)
            return
        previous = item.planned.previous
        if previous is not None and previous.doc_id != item.document.doc_id:
            self._writer.remove([previous.doc_id])
        self._writer.add(item.document, item.chunks, item.keys)
        pages = item.document.pages_without_text  # not the document: its text would be kept
        self._account.pages_without_text[item.document.doc_id] = pages
        self._account.chunks += len(item.chunks)
        if not (item.chunks or item.document.pages):
            self._account.without_text.append(item.planned.path)
        self._advance(item.planned, item.document.size_bytes)

    def _give_up(self, planned: PlannedFile, reason: str, where: list[FileOutcome]) -> None:
        """Account for a file that cannot be indexed; its older chunks, if any, stay."""
        outcome = FileOutcome(planned.path, reason)
        if planned.previous is None:
            where.append(outcome)
        else:
            self._writer.mark_stale(planned.previous.doc_id, reason)
            self._account.stale.append(outcome)
        self._advance(planned, planned.size_bytes)

    def _advance(self, planned: PlannedFile, size_bytes: int) -> None:
        self._files_done += 1
        self._bytes_done += size_bytes
        self._on_progress(
            Progress(
                self._files_done,
                len(self._plan.load),
                self._bytes_done,
                self._bytes_total,
                self._account.embedded,
                planned.path,
            )
        )

    def _commit_if_due(self) -> None:
        now = time.monotonic()
        apart = COMMIT_APART_S if self._uncommitted >= COMMIT_TEXTS else COMMIT_S
        if now - self._committed >= apart:
            self._writer.commit()
            self._uncommitted, self._committed = 0, now
