"""LocalStore: an index in a folder of this machine."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ragkit._version import __version__
from ragkit.errors import ForeignFilesError, IndexExistsError
from ragkit.protocols import StoreStats
from ragkit.store.local import disk, queries
from ragkit.store.local.catalog import connect, create, reading, translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import SearchRequest, Vectors, Violation
    from ragkit.records import DocumentInfo, Hit
    from ragkit.store.local.reader import Reader
    from ragkit.store.local.segments import SegmentSizes
    from ragkit.store.local.writer import Writer

KEYWORDS = {"analysis": 2}  # how text is prepared for the keyword index, see docs/format.md


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

    Raises:
        IndexNotFoundError: There is no index at the path.
        FormatVersionError: It was written by a newer ragkit.
        IndexCorruptError: Its catalog is damaged or not ragkit's.
    """

    def __init__(self, path: Path, *, sizes: SegmentSizes | None = None) -> None:
        self.path = path
        self._sizes = sizes
        self._connection: sqlite3.Connection = connect(path)
        with translated(path):
            rows = self._connection.execute("SELECT key, value FROM manifest")
            manifest = {key: json.loads(value) for key, value in rows}
        self.embedder: dict[str, Any] = manifest["embedder"]
        self.splitter: dict[str, int] = manifest["splitter"]
        self.dim: int = self.embedder["dim"]
        self._reader: Reader | None = None
        self._lock = threading.Lock()

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
            embedder: ``backend``, ``name``, ``digest``, ``dim``, ``options``.
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
            (path / "vectors").mkdir(parents=True, exist_ok=True)
            with disk.writer_lock(path, "create", wait_s=disk.WRITER_WAIT_S):
                if (path / "catalog.db").exists():
                    msg = f"there is an index at {path} already"
                    raise IndexExistsError(msg, path)
                create(path, {
                    "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "ragkit": __version__,
                    "embedder": dict(embedder),
                    "splitter": dict(splitter),
                    "keywords": KEYWORDS,
                })  # fmt: skip
        return cls(path, sizes=sizes)

    @property
    def location(self) -> str:
        """The index folder's path."""
        return str(self.path)

    def generation(self) -> int:
        """The newest generation, 0 if nothing was ever written."""
        with self._reading() as connection:
            return queries.newest_generation(connection)

    @contextmanager
    def writing(self, command: str, *, wait_s: float = disk.WRITER_WAIT_S) -> Iterator[Writer]:
        """Begin a run that changes the index; see `ragkit.protocols.VectorStore.writing`."""
        from ragkit.store.local.segments import SegmentSizes
        from ragkit.store.local.writer import Writer

        with ExitStack() as held:
            with translated(self.path):  # not around the block: its errors are the caller's
                held.enter_context(disk.writer_lock(self.path, command, wait_s=wait_s))
            writer = Writer(self.path, self.dim, command, sizes=self._sizes or SegmentSizes())
            try:
                yield writer
            except BaseException:
                writer.close(failed=True)
                raise
            writer.close(failed=False)

    def search(self, request: SearchRequest) -> list[Hit]:
        """Find chunks; see `ragkit.protocols.VectorStore.search`."""
        from ragkit.store.local.reader import Reader

        with self._lock, translated(self.path):
            if self._reader is None:
                self._reader = Reader(self._connection, self.path, self.dim)
            return self._reader.search(request)

    def neighbours(self, hit: Hit, count: int) -> list[Hit]:
        """The chunks around a hit; see `ragkit.protocols.VectorStore.neighbours`."""
        with self._reading() as connection:
            ids = queries.neighbours(connection, hit, count)
            hits = queries.fetch_hits(connection, self.path, ids)
        return [hits[chunk] for chunk in ids]

    def chunks_at(self, doc_id: str, start: int, end: int) -> list[Hit]:
        """The chunks of a range; see `ragkit.protocols.VectorStore.chunks_at`."""
        with self._reading() as connection:
            ids = queries.chunks_at(connection, doc_id, start, end)
            hits = queries.fetch_hits(connection, self.path, ids)
        return [hits[chunk] for chunk in ids]

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The stored vectors of those keys that are known; see `VectorStore.vectors`."""
        from ragkit.store.local.rows import cached_vectors

        with self._lock, translated(self.path):
            return cached_vectors(self._connection, self.path, self.dim, keys)

    def documents(self, *, root: str | None = None) -> list[DocumentInfo]:
        """The documents of the newest commit by path, of one root or of all."""
        with self._reading() as connection:
            return queries.living_documents(connection, root)

    def sources(self) -> list[str]:
        """The folders and files that the newest ingest was about; none before the first."""
        with self._reading() as connection:
            return queries.newest_sources(connection)

    def runs(self) -> list[dict[str, Any]]:
        """The generations, newest first; see `ragkit.protocols.VectorStore.runs`."""
        with self._reading() as connection:
            return queries.all_runs(connection)

    def stats(self) -> StoreStats:
        """The size and state now."""
        with self._reading() as connection:
            return StoreStats(
                **queries.sizes(connection),
                dim=self.dim,
                size_bytes=_size_bytes(self.path),
                embedder=self.embedder,
                splitter=self.splitter,
            )

    def note(self, name: str) -> Any:  # noqa: ANN401 -- any JSON value
        """A note kept in ``learned.json``, None if there is none."""
        return disk.read_notes(self.path).get(name)

    def keep_note(self, name: str, value: Any) -> None:  # noqa: ANN401 -- any JSON value
        """Keep a note in ``learned.json``, if the folder can be written."""
        disk.keep_note(self.path, name, value)

    def check(self, *, quick: bool = False) -> Iterator[Violation]:
        """Verify the index; see `ragkit.store.local.check.check`."""
        from ragkit.store.local.check import check

        yield from check(self.path, quick=quick)

    @contextmanager
    def rebuilding(
        self, *, embedder: Mapping[str, Any], splitter: Mapping[str, int]
    ) -> Iterator[LocalStore]:
        """An empty index that takes this one's place; see `VectorStore.rebuilding`.

        When it has, both are closed, and this one is deleted.

        Raises:
            ForeignFilesError: The folder, which is renamed, holds files that are not the index's.
            IndexLockedError: Another process is writing.
        """
        if foreign := disk.foreign_files(self.path):
            msg = (
                f"{self.path} holds files that are not the index's own: {disk.in_short(foreign)}; "
                "rebuilding replaces the folder, so move them out of it, or index into a folder "
                "of its own"
            )
            raise ForeignFilesError(msg, self.path)
        fresh = self.path.with_name(f".{self.path.name}.rebuilding")
        disk.delete_index(fresh)
        try:
            with self.writing("rebuild"):
                made = self.create(fresh, embedder=embedder, splitter=splitter, sizes=self._sizes)
                with closing(made):
                    yield made
                replaced = disk.put_aside(self.path)
                fresh.rename(self.path)
        finally:
            disk.delete_index(fresh)
        self.close()
        disk.delete_index(replaced)

    def close(self) -> None:
        """Release the index's files; calling it again does nothing."""
        with self._lock:
            self._reader = None
            self._connection.close()

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
