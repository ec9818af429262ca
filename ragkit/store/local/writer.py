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
from ragkit.records import NO_RULES, SourceRules
from ragkit.store.local.cache_entries import cache_checksum, point_cache
from ragkit.store.local.catalog import (
    commit,
    end_log,
    read_build,
    scalars,
    seal_generation,
    translated,
)
from ragkit.store.local.connections import connect
from ragkit.store.local.disk import MissingRowsError
from ragkit.store.local.hashes import (
    HASHED,
    make_doc_hash,
    make_life_hash,
    make_row_hash,
    pages_json,
)
from ragkit.store.local.history import let_go
from ragkit.store.local.keyword_parts import merge_after_run
from ragkit.store.local.moving import living_below, read_moved
from ragkit.store.local.queries import (
    check_living,
    last_generation,
    read_commits,
    read_decisions,
    read_rules,
)
from ragkit.store.local.recover import recover_killed
from ragkit.store.local.rows import LiveRows, find_cached, find_pending
from ragkit.store.local.run_changes import RunBulks, RunChanges
from ragkit.store.local.segments import SegmentWriter
from ragkit.store.relocation import is_below, moved_location
from ragkit.text.analysis import index_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors
    from ragkit.records import Chunk, Decision, Document
    from ragkit.store.local.segments import SegmentSizes

_log = logging.getLogger(__name__)

_MOVED_CHUNKS = 20_000  # a commit
_json = json.JSONEncoder(ensure_ascii=False).encode  # `dumps` makes an encoder at each call


class Writer:
    """A run that changes an index; satisfies `ragkit.protocols.StoreWriter`.

    The caller holds the index's lock for as long as the writer lives.

    Args:
        path: The index folder.
        command: What runs, for the list of generations.
        build: The build to write to; None: the living one.
        sizes: When to begin a segment and when to make codes.
    """

    roots = None  # it runs alone

    def __init__(
        self, path: Path, command: str, *, build: int | None = None, sizes: SegmentSizes
    ) -> None:
        self._path = path
        self._command = command
        self._connection = connect(path, write=True)
        try:
            with translated(path):
                self.build = read_build(self._connection, path, build)
        except BaseException:
            self._connection.close()
            raise
        self._segments = SegmentWriter(self._connection, path, self.build, sizes=sizes)
        self._live = LiveRows(self._connection)
        self._in_transaction = False
        self._generation_committed = False
        self._broken = False
        self._next_chunk = 0
        self._has_pending = True  # whether chunks may wait for vectors
        self._new: dict[bytes, int] = {}  # vectors of this transaction by their keys
        self._taken: set[int] = set()  # vectors that chunks of this transaction own
        self._moved: dict[bytes, int] = {}  # cached vectors that lay in another build
        self._lost: set[bytes] = set()  # keys of cached vectors that are damaged
        self._bulk = RunBulks.of(self._connection, self.build)
        try:
            with translated(path):
                recover_killed(self._connection, path)
                self._segments.load()
                check_living(self._connection, path, self.build.id)
                self._history = RunChanges(self._connection)
                self.generation = last_generation(self._connection) + 1
                self.commits = read_commits(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """The cache keys whose vector is stored already, this run's own included."""
        stored = [key for key in keys if key not in self._new]
        with translated(self._path):
            found = find_cached(self._connection, stored)
            # A row of another build is copied: one that is damaged is as good as none.
            lost = {
                key
                for key, (vector, crc, _) in found.items()
                if not (self._segments.has(vector) or self._segments.is_whole(vector, crc))
            }
        self._lost |= lost
        return {key for key in keys if key in self._new or (key in found and key not in lost)}

    def add_vectors(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Store vectors, float32 (len(keys), dim), unit rows, under keys that are not known."""
        if not keys:
            return
        with self._changing():
            ids = self._segments.append(vectors)
            self._new.update(zip(keys, ids, strict=True))
            self._moved |= {key: self._new[key] for key in keys if key in self._lost}
            self._lost.difference_update(keys)
            self._bring_vectors(keys)

    def add(self, document: Document, chunks: Sequence[Chunk], keys: Sequence[bytes]) -> None:
        """Replace a document and its chunks; one whose key is not known has no vector yet."""
        if not self.build.embedder:
            with self._changing():
                self._replace(document, chunks, [None] * len(chunks))
            return
        with self._changing():
            vectors = self._own_vectors(keys)
            first = self._replace(document, chunks, vectors)
            for chunk, (key, vector) in enumerate(zip(keys, vectors, strict=True), first):
                if vector is None:
                    self._bulk.pending.add(chunk, key)
                    self._has_pending = True

    def _replace(
        self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[int | None]
    ) -> int:
        """Put a document in its older version's place; returns the row id of its first chunk."""
        self._retire(document.doc_id)
        first = self._next_chunk
        row_id = self._insert_document(document, len(chunks), chars=len(document.text))
        for chunk, vector in zip(chunks, vectors, strict=True):
            self._insert_chunk(row_id, document, chunk, vector)
        return first

    def remove(self, doc_ids: Sequence[str]) -> int:
        """Remove documents; unknown ids are passed over. Returns how many there were."""
        if not doc_ids:
            return 0
        with self._changing():
            return sum(self._retire(doc_id) for doc_id in doc_ids)

    def move(self, old: str, new: str) -> int:
        """Give documents a new place; see `ragkit.protocols.StoreWriter.move`.

        Many are moved in several commits: a move that was ended goes on when it is asked for again.
        """
        with translated(self._path):
            documents = living_below(self._connection, self.build.id, (old, new))
        written = 0
        for row_id, doc_id, place in documents:
            with self._changing():
                written += self._move_document(row_id, doc_id, place)
            if written >= _MOVED_CHUNKS:
                self.commit()
                written = 0
        with translated(self._path):
            rules = read_rules(self._connection, self._path)
            decided = read_decisions(self._connection)
        moved = {moved_location(source, old, new): held for source, held in rules.items()}
        self.ask_for(list(moved), moved)
        for location, decision in decided.items():
            if is_below(location, old):
                self.decide([location], None)
                self.decide([moved_location(location, old, new)], decision)
        return len(documents)

    def _move_document(self, row_id: int, doc_id: str, place: tuple[str, str]) -> int:
        """Move one document; returns how many chunks were written."""
        self._write_chunks()  # they may be this document's
        moved = read_moved(self._connection, self._path, row_id, place)
        is_there = self._connection.execute(
            "SELECT 1 FROM documents WHERE build = ? AND doc_id = ? AND died IS NULL",
            (self.build.id, moved.document.doc_id),
        ).fetchone()
        self._retire(doc_id)
        if is_there:
            return 0
        made = self._insert_document(moved.document, len(moved.chunks), chars=moved.chars)
        for chunk, vector, key in zip(moved.chunks, moved.vectors, moved.keys, strict=True):
            copied = None if vector is None else self._segments.copy(vector)
            self._insert_chunk(made, moved.document, chunk, copied)
            if copied is None and key is not None:
                self._bulk.pending.add(self._next_chunk - 1, key)
                self._has_pending = True
        if moved.stale is not None:
            (row_hash,) = self._connection.execute(
                "SELECT row_hash FROM documents WHERE id = ?", (made,)
            ).fetchone()
            self._set_life(made, row_hash, stale=moved.stale, died=None)
        return len(moved.chunks)

    def mark_stale(self, doc_id: str, reason: str | None) -> None:
        """Note that a document's newer content could not be loaded; None takes it back."""
        self._refuse_if_broken()
        with translated(self._path):
            stored = self._connection.execute(
                "SELECT stale FROM documents WHERE build = ? AND doc_id = ? AND died IS NULL",
                (self.build.id, doc_id),
            ).fetchone()
        if stored is None or stored[0] == reason:  # a run that changes nothing is no generation
            return
        with self._changing():
            row = self._connection.execute(
                "SELECT id, row_hash FROM documents "
                "WHERE build = ? AND doc_id = ? AND died IS NULL",
                (self.build.id, doc_id),
            ).fetchone()
            if row is not None:
                self._set_life(*row, stale=reason, died=None)

    def _set_life(
        self, document: int, row_hash: bytes, *, stale: str | None, died: int | None
    ) -> None:
        self._connection.execute(
            "UPDATE documents SET stale = ?, died = ?, life_hash = ? WHERE id = ?",
            (stale, died, make_life_hash(row_hash, stale, died), document),
        )

    def ask_for(self, sources: Sequence[str], rules: Mapping[str, SourceRules] = NO_RULES) -> None:
        """Note what the index is about; see `ragkit.protocols.StoreWriter.ask_for`."""
        with translated(self._path):
            stored = read_rules(self._connection, self._path)
        wanted = {s: rules.get(s, stored.get(s, SourceRules())) for s in sorted(set(sources))}
        if stored == wanted:
            return
        with self._changing():
            self._connection.execute("DELETE FROM sources")
            self._connection.executemany(
                "INSERT INTO sources VALUES (?, ?, ?)",
                [(s, _list_json(r.include), _list_json(r.exclude)) for s, r in wanted.items()],
            )

    def decide(self, locations: Sequence[str], decision: Decision | None) -> None:
        """Note what a person decided; see `ragkit.protocols.StoreWriter.decide`."""
        with translated(self._path):
            stored = read_decisions(self._connection)
        news = [location for location in locations if stored.get(location) != decision]
        if not news:
            return
        with self._changing():
            self._connection.executemany(
                "DELETE FROM decisions WHERE location = ?", [(location,) for location in news]
            )
            if decision:
                self._connection.executemany(
                    "INSERT INTO decisions VALUES (?, ?, ?)",
                    [(location, decision, _now()) for location in news],
                )

    def account(self, report: Mapping[str, Any]) -> None:
        """Keep the run's account with its generation, if it opened one."""
        if self._has_generation:
            with self._changing():
                self._history.report = dict(report)
                self._connection.execute(
                    "UPDATE generations SET report = ? WHERE id = ?",
                    (_json(report), self.generation),
                )
                seal_generation(self._connection, self.generation)

    def retain(self, *, last: int, days: int) -> int:
        """Keep the newest generations alone; see `ragkit.protocols.StoreWriter.retain`."""
        if not self._has_generation:
            return 0
        with self._changing():
            return let_go(self._connection, self._path, self.generation, last=last, days=days)

    def commit(self) -> None:
        """Make everything so far visible; nothing to do where nothing was written."""
        if not self._in_transaction:
            return
        with self._changing():
            self._segments.flush()
            for key, vector in sorted(self._new.items()):  # neighbours share a page
                if key not in self._moved:
                    self._bulk.cache.add(key, vector, cache_checksum(key, vector))
            self._bulk.cache.write()
            point_cache(self._connection, self._moved.items())
            self._write_chunks()
            self._live.flush()
            if self._history.documents:
                self._connection.execute(
                    "UPDATE builds SET documents = documents + ? WHERE id = ?",
                    (self._history.documents, self.build.id),
                )
            self._commit()
        self._generation_committed = True
        with translated(self._path):
            try:
                self._segments.make_lists()
            except (OSError, MissingRowsError) as exc:  # they are derived: a search goes without
                _log.warning("%s: no inverted lists were made: %s", self._path, exc)

    def _commit(self) -> None:
        commit(self._connection, self._path)
        self._in_transaction = False

    def close(self, *, failed: bool) -> None:
        """End the run: commit and close the generation, or roll back to the last commit."""
        broken = self._broken
        try:
            if failed or broken:
                self._roll_back()
            else:
                self._end_generation("closed")
                self._merge_keywords()
            with translated(self._path):
                end_log(self._connection)
        finally:
            self._connection.close()
        if broken and not failed:
            raise StoreError(_broken(self._path), self._path)

    def _merge_keywords(self) -> None:
        """Let questions read few parts of the keyword index after a large run."""
        try:
            with translated(self._path):
                merge_after_run(
                    self._connection, self._path, self.build.keywords, self._history.chunks
                )
        except StoreError as exc:  # the run is kept: questions take a little longer
            _log.warning("%s: the keyword index was not merged: %s", self._path, exc)

    @property
    def _has_generation(self) -> bool:
        return self._in_transaction or self._generation_committed

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One step of the run. After one that failed halfway nothing more is committed."""
        self._refuse_if_broken()
        try:
            with translated(self._path):
                self._begin()
                yield
        except BaseException:
            self._broken = True
            raise

    def _refuse_if_broken(self) -> None:
        if self._broken:
            raise StoreError(_broken(self._path), self._path)

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
            self._write_chunks()  # they are compared
            report = self._history.account(self._connection, self.build.id, self.generation)
            self._connection.execute(
                "UPDATE generations SET state = ?, finished_at = ?, report = ? WHERE id = ?",
                (state, _now(), report, self.generation),
            )
            seal_generation(self._connection, self.generation)
        self.commit()

    def _begin(self) -> None:
        if self._in_transaction:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._in_transaction = True
        self._segments.load()
        self._new.clear()
        self._moved.clear()
        for waiting in (self._taken, self._live, *self._bulk):
            waiting.clear()
        (last,) = self._connection.execute("SELECT max(id) FROM chunks").fetchone()
        self._next_chunk = (last or 0) + 1
        self._history.documents = 0
        (self._has_pending,) = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM pending)"
        ).fetchone()
        if not self._generation_committed:
            self._connection.execute(
                "INSERT INTO generations VALUES (?, ?, ?, ?, NULL, 'open', NULL, x'')",
                (self.generation, self.build.id, self._command, _now()),
            )
            seal_generation(self._connection, self.generation)

    def _retire(self, doc_id: str) -> int:
        row = self._connection.execute(
            "SELECT id, row_hash, stale, first_chunk, first_chunk + chunks FROM documents "
            "WHERE build = ? AND doc_id = ? AND died IS NULL",
            (self.build.id, doc_id),
        ).fetchone()
        if row is None:
            return 0
        self._write_chunks()  # they may be this document's
        document, row_hash, stale, *chunks = row
        self._history.retired.append(document)
        vectors = self._connection.execute(
            "SELECT vector FROM chunks WHERE id >= ? AND id < ? AND vector NOT NULL", chunks
        )
        for (vector,) in vectors:
            self._live.set(vector, alive=False)
        died = self.generation
        self._set_life(document, row_hash, stale=stale, died=died)
        self._history.documents -= 1
        self._connection.execute(
            "UPDATE chunks SET died = ? WHERE id >= ? AND id < ?", (died, *chunks)
        )
        self._connection.execute("DELETE FROM pending WHERE chunk >= ? AND chunk < ?", chunks)
        return 1

    def _insert_document(self, document: Document, chunks: int, *, chars: int) -> int:
        d = document
        values = {
            "build": self.build.id, "doc_id": d.doc_id, "root": d.root, "path": d.path,
            "title": d.title, "kind": d.kind, "encoding": d.encoding, "size_bytes": d.size_bytes,
            "mtime_ns": d.mtime_ns, "file_sha256": d.file_sha256, "chars": chars,
            "first_chunk": self._next_chunk, "chunks": chunks, "pages": len(d.pages),
            "pages_without_text": json.dumps(d.pages_without_text),
            "metadata": _json(d.metadata), "origin": d.origin,
            "born": self.generation,
        }  # fmt: skip
        row_hash = make_doc_hash([values[name] for name in HASHED])
        values |= {"row_hash": row_hash, "life_hash": make_life_hash(row_hash, None, None)}
        cursor = self._connection.execute(
            f"INSERT INTO documents ({','.join(values)}) VALUES ({','.join('?' * len(values))})",  # noqa: S608 -- names of columns
            tuple(values.values()),
        )
        row_id = cursor.lastrowid or 0
        self._history.documents += 1
        pages = [(row_id, p.number, p.start, p.end) for p in d.pages]
        fields = [(name, value, row_id) for name, value in scalars(d.metadata)]
        if pages:
            self._connection.executemany("INSERT INTO pages VALUES (?, ?, ?, ?)", pages)
        if fields:
            self._connection.executemany("INSERT OR IGNORE INTO fields VALUES (?, ?, ?)", fields)
        return row_id

    def _own_vectors(self, keys: Sequence[bytes]) -> list[int | None]:
        """A row for each chunk: the cached one, or a copy if another chunk owns that; else None."""
        stored = find_cached(self._connection, [key for key in keys if key not in self._new])
        vectors: list[int | None] = []
        for key in keys:
            if key in self._new:
                vector, owner = self._new[key], None
            elif key in stored:
                vector, _, owner = stored[key]
            else:
                vectors.append(None)
                continue
            is_foreign = not self._segments.has(vector)
            if owner is not None or is_foreign or vector in self._taken:
                vector = self._segments.copy(vector)
                if is_foreign:
                    self._moved[key] = vector
            self._taken.add(vector)
            vectors.append(vector)
        return vectors

    def _bring_vectors(self, keys: Sequence[bytes]) -> None:
        """Give the chunks that waited for these keys their vectors."""
        if not self._has_pending:
            return
        self._bulk.pending.write()
        waiting = find_pending(self._connection, keys)
        if not waiting:
            return
        self._bulk.chunks.write()  # they may be among them
        vectors = self._own_vectors([key for key, _ in waiting])
        brought = [
            (vector, chunk)
            for (_, chunk), vector in zip(waiting, vectors, strict=True)
            if vector is not None
        ]
        for vector, chunk in brought:
            self._give(chunk, vector)
        self._connection.executemany("UPDATE chunks SET vector = ? WHERE id = ?", brought)
        self._connection.executemany(
            "DELETE FROM pending WHERE chunk = ?", [(chunk,) for _, chunk in brought]
        )

    def _give(self, chunk: int, vector: int) -> None:
        self._segments.own(vector, chunk)
        self._live.set(vector, alive=True)

    def _insert_chunk(
        self, row_id: int, document: Document, chunk: Chunk, vector: int | None
    ) -> None:
        c, i = chunk, self._next_chunk
        self._next_chunk += 1
        self._history.chunks += 1
        if vector is not None:
            self._give(i, vector)
        heading = _heading_json(c.heading)
        pages = pages_json(document.pages, c.start, c.end) if c.page is not None else "[]"
        row_hash = make_row_hash(c.chunk_id, c.page, heading, pages)
        place = (c.ordinal, c.start, c.end, c.page, c.tokens, heading, c.text)
        self._bulk.chunks.add(i, row_id, *place, vector, row_hash, self.generation, None)
        self._bulk.keywords.add(i, _heading_text(c.heading), index_text(c.text))
        if self._bulk.keywords.is_full:
            self._write_chunks()

    def _write_chunks(self) -> None:
        self._bulk.chunks.write()
        self._bulk.pending.write()
        self._bulk.keywords.write()


def _list_json(globs: Sequence[str]) -> str:
    return _json(list(globs))


@lru_cache
def _heading_json(heading: tuple[str, ...]) -> str:
    return _json(heading)


@lru_cache
def _heading_text(heading: tuple[str, ...]) -> str:
    return index_text(" ".join(heading))


def _broken(path: Path) -> str:
    return f"{path}: a step of this run failed, so nothing after it was kept; run it again"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
