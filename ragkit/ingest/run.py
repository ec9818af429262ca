"""One run: load, split, embed and store, streaming, with an account of every file."""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.account import IngestReportBuilder
from ragkit.ingest.commits import Commits
from ragkit.ingest.given import whole_document
from ragkit.ingest.load.formats import normalise
from ragkit.ingest.load.members import MARK
from ragkit.ingest.plan import PlannedFile
from ragkit.ingest.prepare import Prepared, own_title
from ragkit.ingest.split import embedding_text
from ragkit.ingest.texts import Texts
from ragkit.records import (
    MEMBERS,
    OWN_METADATA,
    FileOutcome,
    make_doc_id,
    reading_facts,
    to_json,
)
from ragkit.store.relocation import is_below
from ragkit.system import defer_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ragkit.ingest.load.ocr import PageAtWork
    from ragkit.ingest.plan import Plan
    from ragkit.ingest.prepare import TextSource
    from ragkit.ingest.texts import Embedding
    from ragkit.protocols import StoreWriter, VectorStore
    from ragkit.records import Chunk, Document, DocumentInfo, Hit, IndexReport

T = TypeVar("T")

# For how long a document may wait for its vectors; then its words are stored without them. One
# insert of both takes less time, which matters where vectors come quickly.
WORDS_S = 2.0
TAKE_APART_S = 0.25
# Documents that may wait for vectors, and their characters, so that memory stays bounded.
MOST_WAITING = 512
MOST_WAITING_CHARS = 32_000_000
# How many waiting chunks are looked at together.
GROUP = 64
LEFT_TO_WORDS = "what was read can be searched by its words; `ragkit index` adds the vectors"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is. Bytes are those of source files whose documents are dealt with.

    ``texts_waiting`` counts the chunks that have no vector yet, once all files are dealt with;
    ``texts_read`` those of all files so far, ``texts_reused`` those of them that needed no model.
    ``path`` is of the file that was dealt with last, or whose texts are embedded. While pages are
    read as pictures, it is the name of their file, and ``page`` says at which of ``pages`` it is.
    """

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    texts_embedded: int
    path: str
    texts_waiting: int = 0
    texts_read: int = 0
    texts_reused: int = 0
    makes_vectors: bool = False
    page: int = 0
    pages: int = 0


def carry_out_removals(plan: Plan, writer: StoreWriter) -> IndexReport:
    """Carry out a plan that loads nothing; no model is needed for that."""
    return _finish(IngestReportBuilder(plan), writer, time.monotonic())


def _finish(builder: IngestReportBuilder, writer: StoreWriter, started: float) -> IndexReport:
    """Remove what is gone, take back what is stale no more, and close the account."""
    _remove(builder.plan, writer)
    seconds = time.monotonic() - started
    report = builder.report(generation=writer.generation, seconds=seconds)
    writer.account(to_json(report))
    writer.commit()
    return report


def _remove(plan: Plan, writer: StoreWriter) -> None:
    writer.remove([d.doc_id for d in plan.removed])
    for document in plan.unchanged:
        if document.stale is not None:
            writer.mark_stale(document.doc_id, None)


class Ingest:
    """One run over a plan: files are read and their words stored, vectors come beside or after.

    Args:
        plan: What to do.
        store: The index.
        writer: Its writer; committed now and then, and at the end.
        embedding: Called only for texts that the store does not know.
        preparer: Gives the documents of what was planned, split.
        on_progress: Called after every file and batch of vectors, in the caller's thread.
        older: An index whose vectors are taken over, and whose text where a file cannot be read.
    """

    def __init__(
        self,
        plan: Plan,
        store: VectorStore,
        writer: StoreWriter,
        *,
        embedding: Embedding,
        preparer: TextSource,
        on_progress: Callable[[Progress], None],
        older: VectorStore | None = None,
    ) -> None:
        self._plan, self._store, self._older = plan, store, older
        self._preparer = preparer
        self._commits = Commits(writer)
        self._texts = Texts(embedding, self._commits, older)
        self._account = _Account(plan, on_progress, makes_vectors=self._texts.is_on)
        self._waiting: deque[_Waiting] = deque()
        self._chars = 0  # of the documents that wait
        self._is_behind = store.stats().waiting > 0  # words are stored whose vectors are not there
        self._started = self._taken = time.monotonic()

    def run(self) -> IndexReport:
        """Do it all.

        Whatever ends it early (Ctrl-C, a server that stops), what was read is committed with its
        words, and so are the vectors that came back. If the model fails, all files are read
        before the run ends with its error.

        Raises:
            ModelError: The embedder failed for good.
        """
        try:
            self._read()
            self._embed_waiting()
        except KeyboardInterrupt:
            with defer_interrupt():
                self._keep()
            raise
        finally:
            self._texts.close()
        with defer_interrupt():
            return self._end()

    def _end(self) -> IndexReport:
        builder, writer = self._account.builder, self._commits.writer
        builder.not_embedded = self._texts.refused
        if (failure := self._texts.failure) is not None:
            _remove(self._plan, writer)
            writer.commit()
            failure.add_note(LEFT_TO_WORDS)
            raise failure
        return _finish(builder, writer, self._started)

    def _keep(self) -> None:
        """Commit what there is, the batches that came back meanwhile too."""
        self._account.is_shown = False
        for _ in self._texts.take():
            continue
        self._store_waiting()
        self._commits.commit()

    def _read(self) -> None:
        """Read the files and store their documents, with their vectors if these come in time."""
        planned = self._plan.load
        sources = [(p.file, p.root) for p in planned]
        prepared = self._preparer.prepare(
            sources, size_bytes=self._account.bytes_total, on_page=self._account.show_page
        )
        with closing(prepared) as results:
            for file, result in zip(planned, results, strict=True):
                self._load(file, result)
                self._take_if_due()
        for document in self._plan.keep:
            self._take_over(document)
            self._take_if_due()
        while self._waiting and self._patience_s > 0 and self._texts.is_on:
            self._take(wait_s=self._patience_s)
        with defer_interrupt():
            self._store_waiting()

    def _load(self, planned: PlannedFile, result: Prepared | LoadError) -> bool:
        """Store a file; returns whether the index has a document of it then."""
        if isinstance(result, LoadError):
            is_unsupported = isinstance(result, UnsupportedFormatError)
            with defer_interrupt():
                reason = normalise(str(result))  # a reader's words may be anything
                is_kept = self._give_up(planned, reason, is_unsupported=is_unsupported)
                self._keep_members(planned, f"its file: {reason}")
            return is_kept
        if result.members or planned.members:
            result = self._load_members(planned, result)
        self._add(planned, result)
        return True

    def _keep_members(self, planned: PlannedFile, reason: str) -> None:
        """Keep the documents within a file that cannot be read, those of an older index too."""
        for member in planned.members:
            self._commits.writer.mark_stale(member.doc_id, reason)
        if self._older is None or planned.is_member:
            return
        for kept in self._older.documents():
            if kept.root == str(planned.root) and kept.path.startswith(planned.path + MARK):
                self._take_over(replace(kept, stale=reason))

    def _load_members(self, planned: PlannedFile, outer: Prepared) -> Prepared:
        """Store the documents within a file, before that of the file, which says they are there.

        Returns:
            The file's document, with the number of them.
        """
        root, before = outer.document.root, {m.path: m for m in planned.members}
        builder, choices = self._account.builder, self._plan.choices
        stored, left_out = 0, False
        for path, size, result in outer.members:
            if reason := choices.left_out(f"{root}/{path}"):
                left_out = True
                builder.skipped.append(FileOutcome(path, reason))
                continue
            previous = before.pop(path, None)
            member = PlannedFile(
                planned.file, planned.root, path, make_doc_id(root, path), size, previous,
                is_member=True,
            )  # fmt: skip
            if previous is not None and _is_same(previous, result):
                builder.unchanged.append(previous)
                stored += 1
            else:
                builder.members.append(member)
                stored += self._load(member, result)
        with defer_interrupt():
            self._commits.writer.remove([gone.doc_id for gone in before.values()])
            builder.removed += before.values()
        metadata = outer.document.metadata | ({MEMBERS: stored} if stored else {})
        if left_out:
            rules = {"rules": choices.within(f"{root}/{outer.document.path}")}
            metadata[OWN_METADATA] = reading_facts(metadata) | rules
        return outer._replace(document=replace(outer.document, metadata=metadata))

    def _add(self, planned: PlannedFile | None, prepared: Prepared) -> None:
        """Store a document, now or when its vectors are there."""
        document, chunks, texts, _ = prepared
        keys = self._texts.keys(texts)
        known = self._texts.known(keys)
        new = {k: text for k, text in zip(keys, texts, strict=bool(keys)) if k not in known}
        needed = 0
        self._account.builder.reused += len(keys) - sum(not self._texts.was_sent(k) for k in new)
        if new and self._texts.is_on and not self._texts.is_full:
            needed = self._texts.send(list(new), list(new.values()), document.path)
        if prepared.members and self._waiting:  # they are stored first
            needed = max(needed, self._waiting[-1].texts_needed)
        item = _Waiting(planned, document, chunks, keys, needed, time.monotonic())
        with defer_interrupt():
            if needed > self._texts.back:
                self._waiting.append(item)
                self._chars += len(document.text)
            else:
                self._store_document(item, is_whole=not new)
            self._commits.commit_if_due()

    def _take_over(self, kept: DocumentInfo) -> None:
        """Store a document as an older index has it, its file unread."""
        content = self._older.content(kept.doc_id) if self._older is not None else None
        if content is None:
            return
        if kept.origin == "program":  # its text is whole: it can be split as is set now
            self._add(None, self._preparer.of_document(whole_document(*content)))
        else:
            self._add(None, Prepared.of(*content))
        if kept.stale is not None:
            with defer_interrupt():
                self._store_waiting()
                self._commits.writer.mark_stale(kept.doc_id, kept.stale)
                self._account.builder.stale.append(FileOutcome(kept.path, kept.stale))

    def _take_if_due(self) -> None:
        """Store what came back: not at once, but when the embedder has work for that time."""
        is_much = len(self._waiting) >= MOST_WAITING or self._chars >= MOST_WAITING_CHARS
        is_full, now = is_much or self._texts.is_full, time.monotonic()
        if is_full or now - self._taken >= TAKE_APART_S:
            self._take(wait_s=self._patience_s if is_full else 0.0)
            self._taken = now
        if self._waiting and (self._patience_s <= 0 or not self._texts.is_on):
            with defer_interrupt():
                self._store_waiting()

    @property
    def _patience_s(self) -> float:
        """How long the documents that wait may still do so, in seconds."""
        oldest = time.monotonic() - self._waiting[0].since if self._waiting else 0.0
        return WORDS_S - max(oldest, self._texts.lag_s)

    def _take(self, *, wait_s: float = 0.0, rest: bool = False) -> None:
        for _ in self._texts.take(wait_s=wait_s, rest=rest):
            self._account.builder.embedded = self._texts.embedded
            with defer_interrupt():
                while self._waiting and self._waiting[0].texts_needed <= self._texts.back:
                    self._store_document(self._next(), is_whole=True)
                self._commits.commit_if_due()
            self._show()

    def _show(self) -> None:
        """Show how far the run is, with the file whose passages are with the model."""
        self._account.path = self._texts.at_work or self._account.path
        self._account.show()

    def _store_waiting(self) -> None:
        """Store the words of documents whose vectors are not there yet."""
        while self._waiting:
            self._store_document(self._next(), is_whole=False)
        self._commits.commit_if_due()

    def _next(self) -> _Waiting:
        item = self._waiting.popleft()
        self._chars -= len(item.document.text)
        return item

    def _store_document(self, item: _Waiting, *, is_whole: bool) -> None:
        writer = self._commits.writer
        previous = item.planned.previous if item.planned else None
        if previous is not None and previous.doc_id != item.document.doc_id:
            writer.remove([previous.doc_id])
        if is_whole or not self._texts.has_vectors:
            writer.add(item.document, item.chunks, item.keys)
        else:
            self._is_behind = True
            self._commits.add_words(item.document, item.chunks, item.keys)
        self._account.stored(item.planned, item.document, len(item.chunks))

    def _give_up(self, planned: PlannedFile, reason: str, *, is_unsupported: bool = False) -> bool:
        """Account for a file that cannot be indexed; its older chunks, if any, stay.

        Returns:
            Whether there are any.
        """
        previous = planned.previous
        if previous is None and self._older is not None:
            content = self._older.content(planned.doc_id)
            if content is not None:
                self._add(None, Prepared.of(*content))
                self._store_waiting()
                self._commits.writer.mark_stale(planned.doc_id, reason)
                self._account.gave_up(planned, reason, is_kept=True)
                return True
        if previous is not None:
            self._commits.writer.mark_stale(previous.doc_id, reason)
        is_kept = previous is not None
        self._account.gave_up(planned, reason, is_kept=is_kept, is_unsupported=is_unsupported)
        return is_kept

    def _embed_waiting(self) -> None:
        """Make the vectors that chunks wait for: of this run, and of those that ended early."""
        if not (self._is_behind and self._texts.is_on):
            return
        with defer_interrupt():
            _remove(self._plan, self._commits.writer)
            self._commits.commit()
        while self._embed_all():
            continue

    def _embed_all(self) -> bool:
        """Send what waits; returns whether documents had to be added again, which wait now."""
        doubtful: set[str] = set()
        self._account.texts_total = self._store.stats().waiting + self._texts.embedded
        self._account.show()
        for group in _grouped(self._waiting_chunks(), GROUP):
            doubtful |= self._send(group)
            self._show()
            self._take()
            while self._texts.is_full and self._texts.is_on:
                self._take(wait_s=TAKE_APART_S)
            if not self._texts.is_on:
                break
        self._take(rest=True)
        with defer_interrupt():
            self._commits.commit()
            return self._add_again(doubtful)

    def _waiting_chunks(self) -> Iterator[tuple[bytes, Hit]]:
        """The chunks that wait for a vector; not those that another run may be at."""
        roots = self._commits.writer.roots
        for key, hit in self._store.waiting():
            if roots is None or any(is_below(hit.root, root) for root in roots):
                yield key, hit

    def _send(self, group: Sequence[tuple[bytes, Hit]]) -> set[str]:
        """Send the texts of chunks that wait.

        Returns:
            The documents of those whose key is not that of their text, as another version of
            ragkit made it, or whose vector is there and was not given to them.
        """
        doubtful = set()
        known = self._texts.known([k for k, _ in group if not self._texts.was_sent(k)])
        for key, hit in group:
            text = embedding_text(hit, own_title(hit))
            if self._texts.was_sent(key):
                continue
            if key in known or self._texts.keys([text]) != [key]:
                doubtful.add(hit.doc_id)
            else:
                self._texts.send([key], [text], hit.path)
        return doubtful

    def _add_again(self, doc_ids: set[str]) -> bool:
        """Add those of the documents anew of which chunks wait still; False: there are none."""
        left = {hit.doc_id for _, hit in self._waiting_chunks()} & doc_ids if doc_ids else set()
        for doc_id in left:
            if (content := self._store.content(doc_id)) is not None:
                prepared = Prepared.of(*content)
                self._commits.writer.add(*content, self._texts.keys(prepared.texts))
        self._commits.commit()
        return bool(left)


def _is_same(previous: DocumentInfo, result: Prepared | LoadError) -> bool:
    """Whether a document within a file is as the index has it."""
    if previous.stale is not None or isinstance(result, LoadError):
        return False
    now = result.document
    return (now.doc_id, now.file_sha256, reading_facts(now.metadata)) == (
        previous.doc_id,
        previous.file_sha256,
        previous.reading,
    )


def _grouped(items: Iterator[T], count: int) -> Iterator[list[T]]:
    while group := list(islice(items, count)):
        yield group


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document that is stored once so many texts have come back, or time is up."""

    planned: PlannedFile | None
    document: Document
    chunks: list[Chunk]
    keys: list[bytes]
    texts_needed: int
    since: float


class _Account:
    """What became of the files so far, and the progress that is shown of it."""

    def __init__(
        self, plan: Plan, on_progress: Callable[[Progress], None], *, makes_vectors: bool
    ) -> None:
        self.builder = IngestReportBuilder(plan)
        self._makes_vectors = makes_vectors
        self.bytes_total = plan.bytes_total  # it is summed up at each call
        self._files_done = 0
        self._bytes_done = 0
        self.path = ""
        self.texts_total = 0  # once all files are read: with a vector, and waiting for one
        self.is_shown = True
        self._on_progress = on_progress

    def stored(self, planned: PlannedFile | None, document: Document, chunks: int) -> None:
        """Note that a document was stored; None: as an older index has it."""
        self.builder.chunks += chunks
        if planned is not None:
            self.builder.stored(planned, document, chunks)
        if planned is None or not planned.is_member:
            self._bytes_done += document.size_bytes if planned else 0
            self._advance(document.path)

    def gave_up(
        self, planned: PlannedFile, reason: str, *, is_kept: bool, is_unsupported: bool = False
    ) -> None:
        """Note that a file could not be indexed."""
        self.builder.gave_up(planned, reason, is_kept=is_kept, is_unsupported=is_unsupported)
        if not planned.is_member:
            self._bytes_done += planned.size_bytes
            self._advance(planned.path)

    def _advance(self, path: str) -> None:
        self._files_done += 1
        self.path = path
        self.show()

    def show_page(self, at_work: PageAtWork) -> None:
        """Show at which page of a file, that is read as a picture, the run is."""
        self.path = at_work.path.rpartition("/")[2]
        self.show(at_work.page, at_work.pages)

    def show(self, page: int = 0, pages: int = 0) -> None:
        """Show how far the run is."""
        if not self.is_shown:
            return
        plan = self.builder.plan
        self._on_progress(
            Progress(
                self._files_done,
                len(plan.load) + len(plan.keep),
                self._bytes_done,
                self.bytes_total,
                self.builder.embedded,
                self.path,
                max(self.texts_total - self.builder.embedded, 0),
                self.builder.chunks,
                self.builder.reused,
                self._makes_vectors,
                page,
                pages,
            )
        )
