"""LocalStore: an index in a folder of this machine."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ragkit import records
from ragkit._version import __version__
from ragkit.errors import (
    ForeignFilesError,
    IndexChangedError,
    IndexExistsError,
    IndexLockedError,
)
from ragkit.protocols import StoreStats
from ragkit.store.local import disk, history, queries
from ragkit.store.local.catalog import (
    ANALYSIS,
    check_seal,
    create,
    read_build,
    read_identity,
    reading,
    translated,
)
from ragkit.store.local.connections import connect

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import SearchRequest, Vectors, Violation
    from ragkit.records import (
        Chunk,
        Compaction,
        Decision,
        Document,
        DocumentInfo,
        Erasure,
        Generation,
        Hit,
        IndexChanges,
        SourceRules,
    )
    from ragkit.store.local.catalog import Build
    from ragkit.store.local.reader import Reader
    from ragkit.store.local.segments import SegmentSizes
    from ragkit.store.local.writer import Writer

_log = logging.getLogger(__name__)

WAITING_A_READ = 512

LOST_COMMITS = (
    "its log was damaged and {seen} commits became {commits}: what was indexed last is not there; "
    "run `ragkit index` again, which finds what is missing"
)


class LocalStore:
    """Satisfies `ragkit.protocols.VectorStore`; opening never writes.

    Usage::

        store = LocalStore.create(path, embedder=..., splitter=...)
        with store.writing("index") as writer: ...
        hits = LocalStore(path).search(request)

    Threads take turns. What NumPy, FAISS or sqlite-utils are needed for loads them: listing
    documents needs none.

    Args:
        path: The index folder.
        sizes: When to begin a segment and when to make codes; the default was measured.
        build: The build to look at and to write to, by one who holds the writer's lock; None: the
            living one, whichever that is at each call.

    Raises:
        IndexNotFoundError: There is no index at the path.
        FormatVersionError: It was written by a newer ragkit.
        IndexCorruptError: Its catalog is damaged or not ragkit's.
    """

    def __init__(
        self, path: Path, *, sizes: SegmentSizes | None = None, build: int | None = None
    ) -> None:
        self.path = path
        self._sizes = sizes
        self._build = build
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        seen = disk.read_counter(path)  # before the catalog, which may go on meanwhile
        self._connection: sqlite3.Connection = connect(path)
        try:
            with self._reading() as connection:
                self._identity = read_identity(connection, path)
                read_build(connection, path, build)
                commits = queries.read_commits(connection)
        except BaseException:
            self._connection.close()
            raise
        if seen > commits:
            _log.warning("%s: %s", path, LOST_COMMITS.format(seen=seen, commits=commits))

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        embedder: Mapping[str, Any],
        splitter: Mapping[str, int],
        sizes: SegmentSizes | None = None,
    ) -> LocalStore:
        """Make an empty index.

        Args:
            path: The folder to make; its parents are made too.
            embedder: ``backend``, ``name``, ``digest``, ``dim``, ``options``; empty: an index
                without vectors, for mode ``keyword``.
            splitter: The settings that chunks are made with.
            sizes: As for the class.

        Raises:
            IndexExistsError: There is an index already.
            ForeignFilesError: The folder holds files that are not an index's own.
        """
        with translated(path):
            if not (path / "catalog.db").exists() and (foreign := disk.foreign_files(path)):
                msg = (
                    f"{path} is no index, and it is not empty: it holds {disk.in_short(foreign)}; "
                    "an index needs a folder of its own: name one that is empty or not there yet"
                )
                raise ForeignFilesError(msg, path)
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # an index holds the whole text
            (path / "vectors").mkdir(mode=0o700, exist_ok=True)
            with disk.writer_lock(path, "create", wait_s=disk.WRITER_WAIT_S):
                if (path / "catalog.db").exists():
                    msg = f"there is an index at {path} already"
                    raise IndexExistsError(msg, path)
                manifest = {
                    "id": uuid4().hex,
                    "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "ragkit": __version__,
                    "keywords": ANALYSIS,
                }
                create(path, manifest, embedder=embedder, splitter=splitter)
                disk.write_counter(path, 0)
        return cls(path, sizes=sizes)

    @property
    def location(self) -> str:
        """The index folder's path."""
        return str(self.path)

    @property
    def embedder(self) -> dict[str, Any]:
        """The record of the living build's embedder; empty for an index without vectors."""
        return self._living().embedder

    @property
    def splitter(self) -> dict[str, int]:
        """The settings that the living build's chunks were made with."""
        return self._living().splitter

    def generation(self) -> int:
        """The newest generation, 0 if nothing was ever written."""
        with self._reading() as connection:
            return queries.newest_generation(connection, self._current(connection).id)

    def commits(self) -> int:
        """How many commits the index has seen; see `VectorStore.commits`."""
        with self._reading() as connection:
            return queries.read_commits(connection)

    def fields(self) -> tuple[str, ...]:
        """The names of all fields; see `ragkit.protocols.VectorStore.fields`."""
        with self._reading() as connection:
            return queries.read_fields(connection)

    @contextmanager
    def writing(
        self,
        command: str,
        *,
        roots: Sequence[str] | None = None,  # noqa: ARG002 -- there is one lock for all
        wait_s: float = disk.WRITER_WAIT_S,
    ) -> Iterator[Writer]:
        """Begin a run that changes the index; see `ragkit.protocols.VectorStore.writing`."""
        from ragkit.store.local.builds import drop_builds
        from ragkit.store.local.segments import SegmentSizes
        from ragkit.store.local.writer import Writer

        with ExitStack() as held:
            if self._build is None:
                held.enter_context(self._locked(command, wait_s))
                drop_builds(self.path)  # what a killed rebuild left
            sizes = self._sizes or SegmentSizes()
            writer = Writer(self.path, command, build=self._build, sizes=sizes)
            try:
                yield writer
            except BaseException:
                writer.close(failed=True)
                raise
            writer.close(failed=False)

    @contextmanager
    def _locked(self, command: str, wait_s: float) -> Iterator[None]:
        """Hold the writer's lock of the index that was opened, and of no other at its path."""
        with ExitStack() as held:
            with translated(self.path):  # not around the block: its errors are the caller's
                held.enter_context(disk.writer_lock(self.path, command, wait_s=wait_s))
                with closing(connect(self.path)) as fresh:
                    is_same = read_identity(fresh, self.path) == self._identity
            if not is_same:
                msg = f"{self.path} was replaced by another index; open it again"
                raise IndexChangedError(msg, self.path)
            yield

    def search(self, request: SearchRequest) -> list[Hit]:
        """Find chunks; see `ragkit.protocols.VectorStore.search`."""
        from ragkit.store.local.reader import Reader

        with self._lock, translated(self.path):
            if self._reader is None:
                self._reader = Reader(self._connection, self.path, self._build)
            return self._reader.search(request)

    def neighbours(self, hit: Hit, count: int) -> list[Hit]:
        """The chunks around a hit; see `ragkit.protocols.VectorStore.neighbours`."""
        with self._reading() as connection:
            build = self._current(connection).id
            ids = queries.neighbours(connection, build, hit, count)
            hits = queries.fetch_hits(connection, self.path, ids)
        return [hits[chunk] for chunk in ids]

    def chunks_at(self, doc_id: str, start: int, end: int) -> list[Hit]:
        """The chunks of a range; see `ragkit.protocols.VectorStore.chunks_at`."""
        with self._reading() as connection:
            build = self._current(connection).id
            ids = queries.chunks_at(connection, build, doc_id, (start, end))
            hits = queries.fetch_hits(connection, self.path, ids)
        return [hits[chunk] for chunk in ids]

    def waiting(self) -> Iterator[tuple[bytes, Hit]]:
        """The chunks that wait for a vector; see `ragkit.protocols.VectorStore.waiting`."""
        last = 0
        while True:
            with self._reading() as connection:
                build = self._current(connection).id
                keys = queries.waiting_chunks(connection, build, after=last, limit=WAITING_A_READ)
                hits = queries.fetch_hits(connection, self.path, list(keys))
            if not keys:
                return
            for last, key in keys.items():
                yield key, hits[last]

    def content(self, doc_id: str) -> tuple[Document, list[Chunk]] | None:
        """A document with its chunks; see `ragkit.protocols.VectorStore.content`."""
        with self._reading() as connection:
            build = self._current(connection).id
            return queries.document_content(connection, self.path, build, doc_id)

    def give_embedder(self, embedder: Mapping[str, Any], key_of: Callable[[Hit], bytes]) -> None:
        """Let chunks wait for vectors; see `ragkit.protocols.VectorStore.give_embedder`."""
        from ragkit.store.local.builds import give_embedder

        with self._locked("index", disk.WRITER_WAIT_S):
            give_embedder(self.path, embedder, key_of)

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The stored vectors of those keys that are known; see `VectorStore.vectors`."""
        from ragkit.store.local.rows import cached_vectors

        with self._reading() as connection:
            return cached_vectors(connection, self.path, self._current(connection).dim, keys)

    def sentence_vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The kept vectors of sentences; see `ragkit.protocols.VectorStore.sentence_vectors`."""
        from ragkit.store.local.sentence_file import read_sentences

        return read_sentences(self.path, self._living().dim, keys)

    def keep_sentence_vectors(
        self, vectors: Mapping[bytes, Vectors], sources: Mapping[str, str]
    ) -> None:
        """Keep them beside the catalog; see `VectorStore.keep_sentence_vectors`."""
        from ragkit.store.local.sentence_file import keep_sentences

        def is_current() -> bool:
            with self._reading() as connection:
                build = self._current(connection).id
                return queries.are_living(connection, build, sources)

        keep_sentences(self.path, self._living().dim, vectors, is_current)

    def documents(
        self, *, root: str | None = None, ever: bool = False, whole_only: bool = False
    ) -> list[DocumentInfo]:
        """The documents by path; see `ragkit.protocols.VectorStore.documents`."""
        with self._reading() as connection:
            build = self._current(connection).id
            found = queries.stored_documents(
                connection, self.path, build, ever=ever, whole_only=whole_only
            )
        return [document for document in found if root in (None, document.root)]

    def sources(self) -> list[str]:
        """The folders and files that ingests were asked for; none before the first."""
        with self._reading() as connection:
            return queries.asked_sources(connection, self.path)

    def rules(self) -> dict[str, SourceRules]:
        """Which files of each source count; see `ragkit.protocols.VectorStore.rules`."""
        with self._reading() as connection:
            check_seal(connection, self.path, "sources")
            return queries.read_rules(connection, self.path)

    def decisions(self) -> dict[str, Decision]:
        """What persons decided; see `ragkit.protocols.VectorStore.decisions`."""
        with self._reading() as connection:
            check_seal(connection, self.path, "decisions")
            return queries.read_decisions(connection)

    def runs(self) -> list[dict[str, Any]]:
        """The generations, newest first; see `ragkit.protocols.VectorStore.runs`."""
        with self._reading() as connection:
            return queries.all_runs(connection, self.path)

    def log(self, limit: int | None = None) -> list[Generation]:
        """The generations with what each changed; see `ragkit.protocols.VectorStore.log`."""
        with self._reading() as connection:
            return history.read_generations(connection, self.path, limit)

    def diff(self, before: int, after: int | None = None) -> IndexChanges:
        """What changed between two; see `ragkit.protocols.VectorStore.diff`."""
        with self._reading() as connection:
            build = self._current(connection).id
            return history.read_difference(connection, self.path, build, (before, after))

    def generation_at(self, when: datetime) -> int:
        """The last one closed by a moment; see `ragkit.protocols.VectorStore.generation_at`."""
        with self._reading() as connection:
            build = self._current(connection).id
            return history.last_closed_by(connection, self.path, build, when)

    def stats(self) -> StoreStats:
        """The size and state now."""
        with self._reading() as connection:
            build = self._current(connection)
            return StoreStats(
                **queries.sizes(connection, build.id),
                dim=build.dim,
                size_bytes=_size_bytes(self.path),
                embedder=build.embedder,
                splitter=build.splitter,
            )

    def compact(self, on_progress: Callable[[int, int], None] | None = None) -> Compaction:
        """Give space back; see `ragkit.protocols.VectorStore.compact`."""
        from ragkit.store.local.builds import drop_builds
        from ragkit.store.local.compaction import compact_index
        from ragkit.store.local.erasure import finish_erasing
        from ragkit.store.local.segments import SegmentSizes

        sizes = self._sizes or SegmentSizes()
        with self._locked("compact", disk.WRITER_WAIT_S):
            before = _size_bytes(self.path)
            drop_builds(self.path)
            dropped = compact_index(self.path, sizes, on_progress)
            finish_erasing(self.path, sizes)
            after = _size_bytes(self.path)
        return records.Compaction(
            **asdict(dropped), size_bytes_before=before, size_bytes_after=after
        )

    def erase(
        self,
        doc_ids: Sequence[str],
        command: str,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Erasure:
        """Take documents out of every generation; see `ragkit.protocols.VectorStore.erase`.

        A rebuild that was left unfinished is dropped, since it may hold their text.
        """
        from ragkit.store.local.builds import drop_builds
        from ragkit.store.local.erasure import erase_documents, finish_erasing
        from ragkit.store.local.segments import SegmentSizes

        with self._locked(command, disk.WRITER_WAIT_S):
            drop_builds(self.path, unfinished=True)
            erased = erase_documents(self.path, doc_ids, command)
            is_complete = finish_erasing(self.path, self._sizes or SegmentSizes(), on_progress)
        return replace(erased, is_complete=is_complete)

    def backup(self, file: Path, on_progress: Callable[[int, int], None] | None = None) -> int:
        """Write the index to one file; see `ragkit.protocols.VectorStore.backup`."""
        from ragkit.store.local.archive import write_archive

        return write_archive(self.path, file, on_progress)

    def note(self, name: str) -> Any:  # noqa: ANN401 -- any JSON value
        """A note kept in ``learned.json``, None if there is none."""
        return disk.read_notes(self.path).get(name)

    def keep_note(self, name: str, value: Any) -> None:  # noqa: ANN401 -- any JSON value
        """Keep a note in ``learned.json``, if the folder can be written."""
        disk.keep_note(self.path, name, value)

    def recover(self) -> None:
        """Put right what a killed run left, unless a run goes on; see `VectorStore.recover`."""
        from ragkit.store.local.builds import drop_builds
        from ragkit.store.local.recover import has_leftovers, recover

        with self._reading() as connection:
            is_right = not has_leftovers(connection, self.path)
        if is_right or not os.access(self.path, os.W_OK):
            return
        with suppress(IndexLockedError), self._locked("recover", 0.0):
            drop_builds(self.path)
            recover(self.path)

    def check(self, *, quick: bool = False, keywords: bool = False) -> Iterator[Violation]:
        """Verify the index; see `ragkit.store.local.check.check`."""
        from ragkit.store.local.check import check

        yield from check(self.path, quick=quick, keywords=keywords)

    def repair(self) -> list[Violation]:
        """Make anew what is derived and broken; see `VectorStore.repair`."""
        from ragkit.store.local.repair import repair

        with self._locked("check --repair", disk.WRITER_WAIT_S):
            return repair(self.path)

    @contextmanager
    def rebuilding(
        self, *, embedder: Mapping[str, Any], splitter: Mapping[str, int]
    ) -> Iterator[LocalStore]:
        """A new build beside the living one, in its place at the end; see `VectorStore.rebuilding`.

        One that was left unfinished with the same embedder and splitter is taken up again.

        Raises:
            IndexLockedError: Another process is writing.
        """
        from ragkit.store.local.builds import begin_build, drop_builds, switch_build

        with self._locked("rebuild", disk.WRITER_WAIT_S):
            build = begin_build(self.path, embedder=embedder, splitter=splitter)
            with closing(LocalStore(self.path, sizes=self._sizes, build=build)) as made:
                yield made
            switch_build(self.path, build)
            drop_builds(self.path)

    def close(self) -> None:
        """Release the index's files; calling it again does nothing."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            self._reader = None
            self._connection.close()

    def _living(self) -> Build:
        with self._reading() as connection:
            return self._current(connection)

    def _current(self, connection: sqlite3.Connection) -> Build:
        return read_build(connection, self.path, self._build)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self.path), reading(self._connection):
            yield self._connection


def _size_bytes(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a log that another process has just done with
            total += file.stat().st_size if file.is_file() else 0
    return total
