"""The one writer of an index: what changes, and in which order it reaches the disk.

docs/format.md states the order and why a kill at any point leaves the index right.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ragkit.errors import StoreError
from ragkit.store.local.catalog import Bulk, connect, translated
from ragkit.store.local.disk import MissingRowsError
from ragkit.store.local.keywords import index_text
from ragkit.store.local.rows import AliveBits, find_cached
from ragkit.store.local.segments import SegmentTail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors
    from ragkit.records import Chunk, Document
    from ragkit.store.local.segments import SegmentSizes

_log = logging.getLogger(__name__)


class Writer:
    """A run that changes an index; satisfies `ragkit.protocols.StoreWriter`.

    The caller holds the index's lock for as long as the writer lives.

    Args:
        path: The index folder.
        dim: Length of a vector.
        command: What runs, for the list of generations.
        sizes: When to begin a segment and when to make codes.
    """

    def __init__(self, path: Path, dim: int, command: str, *, sizes: SegmentSizes) -> None:
        self._path = path
        self._command = command
        self._connection = connect(path, write=True)
        self._tail = SegmentTail(self._connection, path / "vectors", dim, sizes=sizes)
        self._bits = AliveBits(self._connection)
        self._in_transaction = False
        self._generation_committed = False
        self._broken = False
        self._next_chunk = 0
        self._new: dict[bytes, int] = {}  # vectors of this transaction by their keys
        self._taken: set[int] = set()  # vectors that chunks of this transaction own
        self._cache = Bulk(self._connection, "embedding_cache", columns=2, rows=256)
        self._chunks = Bulk(self._connection, "chunks", columns=13, rows=128)
        # FTS5 writes out what it holds whenever a statement of several rows begins: few and large.
        self._keywords = Bulk(
            self._connection, "keywords (rowid, heading, body)", columns=3, rows=1024
        )
        try:
            with translated(path):
                self._recover()
                row = self._connection.execute("SELECT max(id) FROM generations").fetchone()
        except BaseException:
            self._connection.close()
            raise
        self.generation: int = (row[0] or 0) + 1

    def _recover(self) -> None:
        """Close what a killed writer left open and remove the files it never committed."""
        if self._connection.execute("SELECT 1 FROM generations WHERE state = 'open'").fetchone():
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "UPDATE generations SET state = 'interrupted' WHERE state = 'open'"
            )
            self._connection.execute("UPDATE head SET commits = commits + 1")
            self._connection.execute("COMMIT")
        self._tail.remove_strays()

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """The cache keys whose vector is stored already, this run's own included."""
        stored = [key for key in keys if key not in self._new]
        with translated(self._path):
            found = find_cached(self._connection, stored)
        return {key for key in keys if key in self._new or key in found}

    def add_vectors(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Store vectors, float32 (len(keys), dim), unit rows, under keys that are not known."""
        if not keys:
            return
        with self._changing():
            ids = self._tail.append(vectors)
            self._new.update(zip(keys, ids, strict=True))

    def add(self, document: Document, chunks: Sequence[Chunk], keys: Sequence[bytes]) -> None:
        """Replace a document and its chunks; each key must be known."""
        with self._changing():
            vectors = self._own_vectors(keys)
            self._kill(document.doc_id)
            row_id = self._insert_document(document, len(chunks))
            self._insert_chunks(row_id, chunks, vectors)

    def remove(self, doc_ids: Sequence[str]) -> int:
        """Remove documents; unknown ids are passed over. Returns how many there were."""
        if not doc_ids:
            return 0
        with self._changing():
            return sum(self._kill(doc_id) for doc_id in doc_ids)

    def mark_stale(self, doc_id: str, reason: str | None) -> None:
        """Note that a document's newer content could not be loaded; None takes it back."""
        with self._changing():
            self._connection.execute(
                "UPDATE documents SET stale = ? WHERE doc_id = ? AND died IS NULL",
                (reason, doc_id),
            )

    def account(self, report: Mapping[str, Any]) -> None:
        """Keep the run's account with its generation, if it opened one."""
        if not self._has_generation:
            return
        with self._changing():
            self._connection.execute(
                "UPDATE generations SET report = ? WHERE id = ?",
                (json.dumps(report, ensure_ascii=False), self.generation),
            )

    def commit(self) -> None:
        """Make everything so far visible; nothing to do where nothing was written."""
        if not self._in_transaction:
            return
        with self._changing():
            self._tail.flush()
            for entry in self._new.items():
                self._cache.add(*entry)
            self._cache.write()
            self._write_chunks()
            self._bits.flush()
            self._connection.execute("UPDATE head SET commits = commits + 1")
            self._connection.execute("COMMIT")
        self._in_transaction = False
        self._generation_committed = True
        self._make_lists()

    def close(self, *, failed: bool) -> None:
        """End the run: commit and close the generation, or roll back to the last commit."""
        broken = self._broken
        try:
            if failed or broken:
                self._roll_back()
            else:
                self._end_generation("closed")
        finally:
            self._connection.close()
        if broken and not failed:
            raise StoreError(_broken(self._path), self._path)

    @property
    def _has_generation(self) -> bool:
        return self._in_transaction or self._generation_committed

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One step of the run. After one that failed halfway nothing more is committed."""
        if self._broken:
            raise StoreError(_broken(self._path), self._path)
        try:
            with translated(self._path):
                self._begin()
                yield
        except BaseException:
            self._broken = True
            raise

    def _roll_back(self) -> None:
        try:
            with translated(self._path):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            self._in_transaction = self._broken = False
            self._end_generation("interrupted")
        except StoreError as exc:  # what made the run fail matters more; the next writer ends it
            _log.warning("generation %d stays open: %s", self.generation, exc)

    def _end_generation(self, state: str) -> None:
        if not self._has_generation:
            return
        with self._changing():
            self._connection.execute(
                "UPDATE generations SET state = ?, finished_at = ? WHERE id = ?",
                (state, _now(), self.generation),
            )
        self.commit()

    def _make_lists(self) -> None:
        try:
            self._tail.make_lists()
        except (OSError, MissingRowsError) as exc:  # they are derived: a search goes without
            _log.warning("%s: no inverted lists were made: %s", self._path, exc)

    def _begin(self) -> None:
        if self._in_transaction:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._in_transaction = True
        self._tail.load()
        self._new.clear()
        for waiting in (self._taken, self._cache, self._chunks, self._keywords, self._bits):
            waiting.clear()
        (last,) = self._connection.execute("SELECT max(id) FROM chunks").fetchone()
        self._next_chunk = (last or 0) + 1
        if not self._generation_committed:
            self._connection.execute(
                "INSERT INTO generations VALUES (?, ?, ?, NULL, 'open', NULL)",
                (self.generation, self._command, _now()),
            )

    def _kill(self, doc_id: str) -> int:
        row = self._connection.execute(
            "SELECT id FROM documents WHERE doc_id = ? AND died IS NULL", (doc_id,)
        ).fetchone()
        if row is None:
            return 0
        self._write_chunks()  # they may be this document's
        vectors = self._connection.execute("SELECT vector FROM chunks WHERE document = ?", row)
        for (vector,) in vectors:
            self._bits.set(vector, alive=False)
        died = (self.generation, *row)
        self._connection.execute("UPDATE documents SET died = ? WHERE id = ?", died)
        self._connection.execute("UPDATE pages SET died = ? WHERE document = ?", died)
        self._connection.execute("UPDATE chunks SET died = ? WHERE document = ?", died)
        return 1

    def _insert_document(self, document: Document, chunks: int) -> int:
        d = document
        metadata = json.dumps(d.metadata, ensure_ascii=False)
        of_file = (d.encoding, d.size_bytes, d.mtime_ns, d.file_sha256)
        cursor = self._connection.execute(
            "INSERT INTO documents VALUES "
            "(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, NULL)",
            (d.doc_id, d.root, d.path, d.title, d.kind, *of_file, len(d.text), chunks, metadata,
             self.generation),
        )  # fmt: skip
        row_id = cursor.lastrowid or 0
        self._connection.executemany(
            "INSERT INTO pages VALUES (?, ?, ?, ?, ?, NULL)",
            [(row_id, p.number, p.start, p.end, self.generation) for p in d.pages],
        )
        return row_id

    def _own_vectors(self, keys: Sequence[bytes]) -> list[int]:
        """A row for each chunk: the cached one, or a copy where another chunk owns that."""
        stored = find_cached(self._connection, [key for key in keys if key not in self._new])
        vectors = []
        for key in keys:
            if key in self._new:
                vector, owner = self._new[key], None
            elif key in stored:
                vector, _, owner = stored[key]
            else:
                msg = f"no vector is stored under the key {key.hex()}"
                raise ValueError(msg)
            if owner is not None or vector in self._taken:
                vector = self._tail.copy(vector)
            self._taken.add(vector)
            vectors.append(vector)
        return vectors

    def _insert_chunks(self, row_id: int, chunks: Sequence[Chunk], vectors: Sequence[int]) -> None:
        for c, vector in zip(chunks, vectors, strict=True):
            i, self._next_chunk = self._next_chunk, self._next_chunk + 1
            self._tail.own(vector, i)
            self._bits.set(vector, alive=True)
            place = (c.ordinal, c.start, c.end, c.page, c.tokens, _heading_json(c.heading), c.text)
            named = (i, bytes.fromhex(c.chunk_id), row_id)
            self._chunks.add(*named, *place, vector, self.generation, None)
            self._keywords.add(i, _heading_text(c.heading), index_text(c.text))
            if self._keywords.is_full:
                self._write_chunks()

    def _write_chunks(self) -> None:
        self._chunks.write()
        self._keywords.write()


@lru_cache
def _heading_json(heading: tuple[str, ...]) -> str:
    return json.dumps(heading, ensure_ascii=False)


@lru_cache
def _heading_text(heading: tuple[str, ...]) -> str:
    return index_text(" ".join(heading))


def _broken(path: Path) -> str:
    return f"{path}: a step of this run failed, so nothing after it was kept; run it again"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
