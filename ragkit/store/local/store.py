"""LocalStore: an index in a folder of this machine."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._version import __version__
from ragkit.errors import ForeignFilesError, IndexExistsError
from ragkit.protocols import StoreStats
from ragkit.records import DocumentInfo
from ragkit.store.local.catalog import connect, create, reading, translated
from ragkit.store.local.disk import (
    WRITER_WAIT_S,
    delete_index,
    foreign_files,
    in_short,
    keep_note,
    read_notes,
    replaced_path,
    writer_lock,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from ragkit.protocols import SearchRequest, Vectors, Violation
    from ragkit.records import Hit
    from ragkit.store.local.reader import Reader
    from ragkit.store.local.segments import SegmentSizes
    from ragkit.store.local.writer import Writer

KEYWORDS = {"analysis": 2}  # how text is prepared for the keyword index, see docs/format.md

_DOCUMENTS = """
SELECT d.*, (SELECT count(*) FROM pages p WHERE p.document = d.id) AS pages,
       (SELECT json_group_array(number) FROM pages p
        WHERE p.document = d.id AND p.char_start = p.char_end) AS blank
FROM documents d WHERE d.died IS NULL AND (?1 IS NULL OR d.root = ?1) ORDER BY d.path, d.root
"""

_CHUNKS_AT = """
SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document
WHERE d.doc_id = ? AND d.died IS NULL AND c.died IS NULL AND c.char_start < ? AND c.char_end > ?
ORDER BY c.ordinal
"""

_NEIGHBOURS = """
SELECT n.id FROM documents d
JOIN chunks c ON c.document = d.id AND c.char_start = ?3 AND c.char_end = ?4
JOIN chunks n ON n.document = d.id AND n.ordinal BETWEEN c.ordinal - ?5 AND c.ordinal + ?5
WHERE d.doc_id = ?1 AND d.file_sha256 = ?2 AND d.died IS NULL AND n.id != c.id
ORDER BY abs(n.ordinal - c.ordinal), n.ordinal
"""


class LocalStore:
    """Satisfies `ragkit.protocols.VectorStore`; opening never writes.

    Usage::

        store = LocalStore.create(path, embedder=..., splitter=...)
        with store.writing("index") as writer: ...
        hits = LocalStore(path).search(request)

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
        splitter: Mapping[str, Any],
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
            if not (path / "catalog.db").exists() and (foreign := foreign_files(path)):
                msg = (
                    f"{path} is no index, and it is not empty: it holds {in_short(foreign)}; "
                    "an index needs a folder of its own: name one that is empty or not there yet"
                )
                raise ForeignFilesError(msg, path)
            (path / "vectors").mkdir(parents=True, exist_ok=True)
            with writer_lock(path, "create", wait_s=WRITER_WAIT_S):
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

    @contextmanager
    def writing(self, command: str, *, wait_s: float = WRITER_WAIT_S) -> Iterator[Writer]:
        """Begin a run that changes the index; see `ragkit.protocols.VectorStore.writing`."""
        from ragkit.store.local.segments import SegmentSizes
        from ragkit.store.local.writer import Writer  # reading needs none of it

        with ExitStack() as held:
            with translated(self.path):  # not around the block: its errors are the caller's
                held.enter_context(writer_lock(self.path, command, wait_s=wait_s))
            writer = Writer(self.path, self.dim, command, sizes=self._sizes or SegmentSizes())
            try:
                yield writer
            except BaseException:
                writer.close(failed=True)
                raise
            writer.close(failed=False)

    def search(self, request: SearchRequest) -> list[Hit]:
        """Find chunks; see `ragkit.protocols.VectorStore.search`. Threads take turns."""
        from ragkit.store.local.reader import (
            Reader,  # loads FAISS, which listing documents must not
        )

        with self._lock, translated(self.path):
            if self._reader is None:
                self._reader = Reader(self._connection, self.path, self.dim)
            return self._reader.search(request)

    def chunks_at(self, doc_id: str, start: int, end: int) -> list[Hit]:
        """The living chunks of a document that touch a range of its text, in order; no ranks."""
        return self._chunks(_CHUNKS_AT, doc_id, end, start)

    def neighbours(self, hit: Hit, count: int) -> list[Hit]:
        """The chunks within `count` places of a hit in its document, the nearest first; no ranks.

        None where the document has changed since the hit was found.
        """
        place = (hit.doc_id, hit.file_sha256, hit.start, hit.end)
        return self._chunks(_NEIGHBOURS, *place, count)

    def _chunks(self, query: str, *values: str | int) -> list[Hit]:
        from ragkit.store.local.queries import fetch_hits

        with self._lock, translated(self.path), reading(self._connection):
            ids = [row[0] for row in self._connection.execute(query, values)]
            hits = fetch_hits(self._connection, self.path, ids)
        return [hits[chunk] for chunk in ids]

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The vectors that are stored under those cache keys: float32, shape (dim,), unit rows.

        Keys that are not known are left out; `ragkit.ingest.embed.cache_keys` makes them.
        """
        from ragkit.store.local.rows import cached_vectors  # loads NumPy

        with self._lock, translated(self.path):
            return cached_vectors(self._connection, self.path, self.dim, keys)

    def documents(self, *, root: str | None = None) -> list[DocumentInfo]:
        """The documents of the newest commit, by path."""
        with self._lock, translated(self.path):
            cursor = self._connection.execute(_DOCUMENTS, (root,))
            names = [column[0] for column in cursor.description]
            return [_info(dict(zip(names, row, strict=True))) for row in cursor]

    def runs(self) -> list[dict[str, Any]]:
        """The generations, newest first: id, command, times, state, report."""
        with self._lock, translated(self.path):
            names = ("id", "command", "started_at", "finished_at", "state", "report")
            rows = self._connection.execute(
                "SELECT id, command, started_at, finished_at, state, report "
                "FROM generations ORDER BY id DESC"
            )
            runs = [dict(zip(names, row, strict=True)) for row in rows]
        return [run | {"report": json.loads(run["report"] or "null")} for run in runs]

    def sources(self) -> list[str]:
        """The folders and files that the newest ingest was about; none before the first."""
        with self._lock, translated(self.path):
            row = self._connection.execute(
                "SELECT json_extract(report, '$.sources') FROM generations "
                "WHERE json_extract(report, '$.sources') NOT NULL ORDER BY id DESC LIMIT 1"
            ).fetchone()
        return json.loads(row[0]) if row else []

    def generation(self) -> int:
        """The newest generation, 0 if nothing was ever written."""
        with self._lock, translated(self.path):
            row = self._connection.execute("SELECT max(id) FROM generations").fetchone()
            return row[0] or 0

    def stats(self) -> StoreStats:
        """The size and state now."""
        with self._lock, translated(self.path), reading(self._connection):
            one = self._one
            return StoreStats(
                generation=one("SELECT ifnull(max(id), 0) FROM generations"),
                documents=one("SELECT count(*) FROM documents WHERE died IS NULL"),
                chunks=one("SELECT ifnull(sum(chunks), 0) FROM documents WHERE died IS NULL"),
                vectors=one("SELECT ifnull(sum(rows), 0) FROM segments"),
                dim=self.dim,
                size_bytes=_size_bytes(self.path),
                segments=one("SELECT count(*) FROM segments"),
                embedder=self.embedder,
                splitter=self.splitter,
                stale=one("SELECT count(*) FROM documents WHERE died IS NULL AND stale NOT NULL"),
            )

    def _one(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    def note(self, name: str) -> Any:  # noqa: ANN401 -- any JSON value
        """A note kept in ``learned.json``, None if there is none."""
        return read_notes(self.path).get(name)

    def keep_note(self, name: str, value: Any) -> None:  # noqa: ANN401 -- any JSON value
        """Keep a note in ``learned.json``, if the folder can be written."""
        keep_note(self.path, name, value)

    def check(self, *, quick: bool = False) -> Iterator[Violation]:
        """Verify the index; see `ragkit.store.local.check.check`."""
        from ragkit.store.local.check import check  # loads sqlite-utils

        return check(self.path, quick=quick)

    @contextmanager
    def rebuilding(
        self, *, embedder: Mapping[str, Any], splitter: Mapping[str, Any]
    ) -> Iterator[LocalStore]:
        """An empty index that takes this one's place; see `VectorStore.rebuilding`.

        When it has, both are closed, and this one is deleted.

        Raises:
            ForeignFilesError: The folder, which is renamed, holds files that are not the index's.
            IndexLockedError: Another process is writing.
        """
        foreign = foreign_files(self.path)
        if foreign:
            msg = (
                f"{self.path} holds files that are not the index's own: {in_short(foreign)}; "
                "rebuilding replaces the folder, so move them out of it, or index into a folder "
                "of its own"
            )
            raise ForeignFilesError(msg, self.path)
        fresh = self.path.with_name(f".{self.path.name}.rebuilding")
        old = replaced_path(self.path)
        delete_index(fresh)
        try:
            with self.writing("rebuild"):
                made = LocalStore.create(
                    fresh, embedder=embedder, splitter=splitter, sizes=self._sizes
                )
                with closing(made):
                    yield made
                delete_index(old)
                self.path.rename(old)
                fresh.rename(self.path)
        finally:
            delete_index(fresh)
        self.close()
        delete_index(old)

    def close(self) -> None:
        """Release the index's files; calling it again does nothing."""
        with self._lock:
            self._reader = None
            self._connection.close()


def _size_bytes(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a log that another process has just done with
            total += file.stat().st_size if file.is_file() else 0
    return total


def _info(row: dict[str, Any]) -> DocumentInfo:
    names = ("doc_id", "root", "path", "title", "kind", "encoding", "size_bytes", "mtime_ns")
    return DocumentInfo(
        **{name: row[name] for name in (*names, "file_sha256", "chunks", "pages", "stale")},
        pages_without_text=tuple(json.loads(row["blank"])),
    )
