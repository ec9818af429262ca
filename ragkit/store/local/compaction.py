"""Giving space back: what no generation can see leaves the catalog, the keywords and the vectors.

Each step is a commit that leaves every invariant of docs/format.md true, so that a compaction may
end anywhere, and the next one finds what is left to do in the index itself.
"""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from contextlib import closing
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any

from ragkit.errors import IndexCorruptError
from ragkit.store.local.builds import allow_shrinking, delete_documents, free_pages
from ragkit.store.local.cache_entries import point_cache
from ragkit.store.local.catalog import ANALYSIS, Bulk, commit, end_log, read_build, translated
from ragkit.store.local.connections import connect
from ragkit.store.local.disk import MissingRowsError
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.history import searchable
from ragkit.store.local.keyword_parts import MERGED_PAGES, merge_some
from ragkit.store.local.recover import recover_killed, remove_strays
from ragkit.store.local.rows import ROW_MASK, LiveRows, segment_and_row, vector_id
from ragkit.store.local.segments import SegmentWriter
from ragkit.store.local.sentence_file import empty_sentences
from ragkit.text.analysis import index_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from ragkit.store.local.catalog import Build
    from ragkit.store.local.segments import SegmentSizes

_log = logging.getLogger(__name__)

# How much a commit does: half a second at most, so that a log stays short and Ctrl-C is quick.
DROPPED_CHUNKS = 10_000
MOVED_ROWS = 8_192
_CACHE_ENTRIES = 20_000
WASTE = 0.05  # a segment with a larger share of rows that nobody needs is written anew
MERGING = "merging"  # in `manifest` while keywords of dropped chunks may lie in the index yet

_ROWS = (
    "SELECT v.id, v.crc32, v.chunk, c.died IS NULL FROM vectors v JOIN chunks c ON c.id = v.chunk "
    "WHERE v.id >= ? AND v.id < ? ORDER BY v.id"
)


def _no_progress(_done: int, _total: int) -> None:
    pass


@dataclass
class TakenOut:
    """How much a compaction took out."""

    documents: int = 0
    chunks: int = 0
    vectors: int = 0


@dataclass
class Compactor:
    """One compaction of the living build; its caller holds the writer's lock.

    Args:
        connection: A writer's, outside of a transaction.
        path: The index folder.
        sizes: Of segments.
        on_progress: As for `VectorStore.compact`; a step is a chunk or a row.
        rewrite: Segments to write anew however little of them is waste.
    """

    connection: sqlite3.Connection
    path: Path
    sizes: SegmentSizes
    on_progress: Callable[[int, int], None] = _no_progress
    rewrite: Collection[int] = ()
    dropped: TakenOut = field(default_factory=TakenOut)
    _done: int = 0
    _total: int = 0

    def run(self) -> TakenOut:
        """Do all steps, each in commits of its own."""
        build = read_build(self.connection, self.path)
        recover_killed(self.connection, self.path)
        renew_keywords(self.connection, self.path, build)
        self._drop_documents(build)
        if build.dim:
            self._drop_cache(build)
            self._rewrite_segments(build)
        self._merge_keywords(build)
        allow_shrinking(self.connection)
        free_pages(self.connection)
        return self.dropped

    def _advance(self, steps: int) -> None:
        self._done += steps
        self.on_progress(self._done, max(self._done, self._total))

    # Documents and chunks --------------------------------------------------------------------

    def _drop_documents(self, build: Build) -> None:
        unseen = unseen_documents(self.connection, build.id)
        self._total += sum(chunks for *_, chunks in unseen)
        for batch in _batches(unseen):
            self.connection.execute("BEGIN IMMEDIATE")
            drop_versions(self.connection, build, batch)
            commit(self.connection, self.path)
            chunks = sum(chunks for *_, chunks in batch)
            self.dropped.documents += len(batch)
            self.dropped.chunks += chunks
            self._advance(chunks)

    # Vectors ---------------------------------------------------------------------------------

    def _drop_cache(self, build: Build) -> None:
        """Cache entries whose row no chunk owns: another one's of the same text takes its place."""
        entries = self.connection.execute(
            "SELECT c.key, v.id, v.crc32 FROM embedding_cache c JOIN vectors v ON v.id = c.vector "
            "WHERE v.chunk IS NULL AND v.id >> 32 IN (SELECT id FROM segments WHERE build = ?)",
            (build.id,),
        ).fetchall()
        twins = self._twins(build, entries)
        for start in range(0, len(entries), _CACHE_ENTRIES):
            part = entries[start : start + _CACHE_ENTRIES]
            self.connection.execute("BEGIN IMMEDIATE")
            point_cache(
                self.connection,
                [(key, twins[vector]) for key, vector, _ in part if vector in twins],
            )
            self.connection.executemany(
                "DELETE FROM embedding_cache WHERE key = ?",
                [(key,) for key, vector, _ in part if vector not in twins],
            )
            commit(self.connection, self.path)

    def _twins(self, build: Build, entries: Sequence[tuple[bytes, int, int]]) -> dict[int, int]:
        """For rows that no chunk owns, a row with the same bytes that one does."""
        wanted: dict[int, list[int]] = {}
        for _, vector, crc in entries:
            wanted.setdefault(crc, []).append(vector)
        if not wanted:
            return {}
        files, twins = SegmentFiles(self.path / "vectors", build.dim), dict[int, int]()
        owned = self.connection.execute(
            "SELECT id, crc32 FROM vectors WHERE chunk NOT NULL AND id >> 32 IN "
            "(SELECT id FROM segments WHERE build = ?)",
            (build.id,),
        )
        for twin, crc in owned:
            for vector in wanted.get(crc, ()):
                if vector not in twins and files.read_row(*segment_and_row(twin)) == (
                    files.read_row(*segment_and_row(vector))
                ):
                    twins[vector] = twin
        return twins

    def _rewrite_segments(self, build: Build) -> None:
        chosen = self._chosen(build)
        if not chosen:
            return
        self._total += sum(owned for _, owned, _ in chosen)
        segments = SegmentWriter(self.connection, self.path, build, sizes=self.sizes)
        (newest,) = self.connection.execute(
            "SELECT max(id) FROM segments WHERE build = ?", (build.id,)
        ).fetchone()
        must_begin = newest in {segment for segment, *_ in chosen}
        for segment, _, rows in chosen:
            try:
                if self._move_rows(segments, segment, must_begin=must_begin):
                    must_begin = False
            except (IndexCorruptError, MissingRowsError) as exc:
                self.connection.execute("ROLLBACK")
                if segment in self.rewrite:
                    raise
                _log.warning("segment %d stays as it is: %s", segment, exc)
                continue
            self._drop_segment(segment, rows)
            segments.make_lists()

    def _chosen(self, build: Build) -> list[tuple[int, int, int]]:
        """The segments to write anew: id, rows that chunks own, rows."""
        counted = self.connection.execute(
            "SELECT s.id, (SELECT count(v.chunk) FROM vectors v "
            "WHERE v.id >= s.id << 32 AND v.id < (s.id + 1) << 32), s.rows "
            "FROM segments s WHERE s.build = ? ORDER BY s.id",
            (build.id,),
        ).fetchall()
        last = counted[-1][0] if counted else 0
        chosen = []
        for segment, owned, rows in counted:
            is_wasteful = rows - owned > WASTE * rows or (rows == 0 and segment != last)
            is_small = rows < self.sizes.rows // 2 and segment != last
            if is_wasteful or is_small or segment in self.rewrite:
                chosen.append((segment, owned, rows))
        return chosen

    def _move_rows(self, segments: SegmentWriter, segment: int, *, must_begin: bool) -> bool:
        """Move the rows of a segment that chunks own to the open one; True if there were any."""
        rows = self.connection.execute(
            _ROWS, (vector_id(segment, 0), vector_id(segment + 1, 0))
        ).fetchall()
        keys: dict[int, bytes] = dict(
            self.connection.execute(
                "SELECT vector, key FROM embedding_cache WHERE vector >> 32 = ?", (segment,)
            )
        )
        live = LiveRows(self.connection)
        for start in range(0, len(rows), MOVED_ROWS):
            part = rows[start : start + MOVED_ROWS]
            self.connection.execute("BEGIN IMMEDIATE")
            live.clear()
            segments.load()
            if must_begin:
                segments.begin()
                must_begin = False
            ids = segments.take_over(
                segment, [(vector & ROW_MASK, crc, chunk) for vector, crc, chunk, _ in part]
            )
            segments.flush()
            self._rename_rows(part, ids, keys)
            living = [is_alive for *_, is_alive in part]
            live.set_all([old for old, *_ in compress(part, living)], alive=False)
            live.set_all([*compress(ids, living)], alive=True)
            live.flush()
            commit(self.connection, self.path)
            self._advance(len(part))
        return bool(rows)

    def _rename_rows(
        self, rows: Sequence[tuple[int, int, int, int]], ids: Sequence[int], keys: dict[int, bytes]
    ) -> None:
        pairs = [(new, old, chunk) for new, (old, _, chunk, _) in zip(ids, rows, strict=True)]
        self.connection.executemany(
            "UPDATE chunks SET vector = ? WHERE id = ?", [(new, chunk) for new, _, chunk in pairs]
        )
        self.connection.execute(
            "UPDATE vectors SET chunk = NULL WHERE id >= ? AND id <= ?", (rows[0][0], rows[-1][0])
        )
        point_cache(self.connection, [(keys[old], new) for new, old, _ in pairs if old in keys])

    def _drop_segment(self, segment: int, rows: int) -> None:
        place = (vector_id(segment, 0), vector_id(segment + 1, 0))
        self.connection.execute("BEGIN IMMEDIATE")
        # A row that is not owned may still be cached, if it came to be so since.
        self.connection.execute(
            "DELETE FROM embedding_cache WHERE vector >= ? AND vector < ?", place
        )
        self.connection.execute("DELETE FROM vectors WHERE id >= ? AND id < ?", place)
        self.connection.execute("DELETE FROM segments WHERE id = ?", (segment,))
        commit(self.connection, self.path)
        self.dropped.vectors += rows
        remove_strays(self.connection, self.path)

    # Keywords --------------------------------------------------------------------------------

    def _merge_keywords(self, build: Build) -> None:
        """Merge the parts of the keyword index into one, which has nothing of dropped chunks."""
        if not read_note(self.connection, MERGING):
            return
        pages = -MERGED_PAGES
        while True:
            self.connection.execute("BEGIN IMMEDIATE")
            is_done = not merge_some(self.connection, build.keywords, pages)
            if is_done:
                write_note(self.connection, MERGING, None)
            commit(self.connection, self.path)
            if is_done:
                return
            pages = MERGED_PAGES
            self._advance(0)


def compact_index(
    path: Path, sizes: SegmentSizes, on_progress: Callable[[int, int], None] | None = None
) -> TakenOut:
    """Compact an index whose writer's lock the caller holds; see `VectorStore.compact`."""
    with closing(connect(path, write=True)) as connection, translated(path):
        dropped = Compactor(connection, path, sizes, on_progress or _no_progress).run()
        empty_sentences(path)
        end_log(connection)
    return dropped


def renew_keywords(connection: sqlite3.Connection, path: Path, build: Build) -> None:
    """Make the keywords anew that were prepared by older rules, in one commit; else do nothing.

    A contentless table of FTS5 forgets a row only if it is told its words again, as they were.
    """
    row = connection.execute("SELECT value FROM manifest WHERE key = 'keywords'").fetchone()
    if row is not None and json.loads(row[0]) == ANALYSIS:
        return
    table = build.keywords
    words = Bulk(connection, f"{table} (rowid, heading, body)", columns=3, rows=1024)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")  # noqa: S608 -- ours
    chunks = connection.execute(
        "SELECT c.id, c.heading, c.text FROM documents d JOIN chunks c "
        "ON c.id >= d.first_chunk AND c.id < d.first_chunk + d.chunks WHERE d.build = ?",
        (build.id,),
    )
    for chunk, heading, text in chunks:
        words.add(chunk, index_text(" ".join(json.loads(heading))), index_text(text))
        if words.is_full:
            words.write()
    words.write()
    write_note(connection, "keywords", ANALYSIS)
    commit(connection, path)


def unseen_documents(connection: sqlite3.Connection, build: int) -> list[tuple[int, int, int]]:
    """Versions of documents that no kept generation sees: row id, first chunk, chunks."""
    kept = searchable(connection, build)
    rows = connection.execute(
        "SELECT id, first_chunk, chunks, born, died FROM documents "
        "WHERE build = ? AND died NOT NULL ORDER BY first_chunk",
        (build,),
    )
    found = []
    for row_id, first, chunks, born, died in rows:
        seen_by = bisect_left(kept, born)
        if seen_by == len(kept) or kept[seen_by] >= died:
            found.append((row_id, first, chunks))
    return found


def _batches(documents: Sequence[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    batch: list[tuple[int, int, int]] = []
    chunks = 0
    for document in documents:
        if batch and chunks + document[2] > DROPPED_CHUNKS:
            yield batch
            batch, chunks = [], 0
        batch.append(document)
        chunks += document[2]
    if batch:
        yield batch


def drop_versions(
    connection: sqlite3.Connection, build: Build, documents: list[tuple[int, int, int]]
) -> None:
    """Delete versions of documents with their keywords, inside a transaction.

    Their rows of vectors stay, without an owner, until their segment is written anew.

    Args:
        connection: The writer's.
        build: Theirs.
        documents: Row id, first chunk and number of chunks of each.
    """
    table = build.keywords
    forget = Bulk(connection, f"{table} ({table}, rowid, heading, body)", columns=4, rows=1024)
    for _, first, chunks in documents:
        place = (first, first + chunks)
        rows = connection.execute(
            "SELECT id, heading, text FROM chunks WHERE id >= ? AND id < ?", place
        )
        for chunk, heading, text in rows.fetchall():
            headings = index_text(" ".join(json.loads(heading)))
            forget.add("delete", chunk, headings, index_text(text))
        connection.execute(
            "UPDATE vectors SET chunk = NULL WHERE id IN (SELECT vector FROM chunks "
            "WHERE id >= ? AND id < ? AND vector NOT NULL)",
            place,
        )
    forget.write()
    delete_documents(connection, documents)
    write_note(connection, MERGING, value=True)


def read_note(connection: sqlite3.Connection, key: str) -> Any:  # noqa: ANN401 -- any JSON value
    """What the manifest notes of work that is not finished; None: nothing."""
    row = connection.execute("SELECT value FROM manifest WHERE key = ?", (key,)).fetchone()
    return None if row is None else json.loads(row[0])


def write_note(connection: sqlite3.Connection, key: str, value: Any) -> None:  # noqa: ANN401 -- any JSON value
    """Note unfinished work in the manifest, inside a transaction; None takes it back."""
    if value is None:
        connection.execute("DELETE FROM manifest WHERE key = ?", (key,))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO manifest VALUES (?, ?)", (key, json.dumps(value))
        )
