"""A reader's view of the vectors at one commit."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.catalog import broken
from ragkit.store.local.coded import CodedSegments, Segment
from ragkit.store.local.files import ROW_DTYPE, SegmentFiles
from ragkit.store.local.findable import Ranges, find_findable
from ragkit.store.local.rows import ROW_MASK
from ragkit.store.local.scan import RowScan

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import SearchRequest, Vectors
    from ragkit.records import Filter
    from ragkit.store.local.catalog import Build
    from ragkit.store.local.files import RowFile
    from ragkit.store.local.findable import Findable

    Bits = dict[int, NDArray[np.uint8]]

LEAST_RESCORED = 100  # candidates by code that are scored again from their rows
MOST_RESCORED = 1000  # the same where estimates err much; see `candidates`
RESCORED_STEP = 100
BEST = 10  # ranks that the widening is to get right
SPREAD = 3.5  # standard deviations that an estimate errs by at most
KEPT_FILTERS = 8  # whose chunks are known until the next commit; a million rows take 125 KB


# How many chunks there are, and where those lie that died: one pass through the documents.
_CHUNKS = """
SELECT ifnull(sum(chunks), 0),
       json_group_array(json_array(first_chunk, chunks)) FILTER (WHERE died NOT NULL AND chunks > 0)
FROM documents WHERE build = ?
"""


class Snapshot:
    """The segments of an index, brought up to date by `refresh` within a read transaction."""

    def __init__(self, connection: sqlite3.Connection, path: Path, build: Build) -> None:
        self.build = build
        self._connection = connection
        self._path = path
        self._dim = build.dim
        self._files = SegmentFiles(path / "vectors", build.dim)
        self.chunks = 0  # living or not: all that the keyword index holds
        self.dead = Ranges.of([])  # of those, the ones that died
        self.frequencies: dict[str, int] = {}  # of terms; see `keywords`
        self._commits = -1
        self._rows: dict[int, RowFile] = {}
        self._alive: Bits = {}
        self._findable: dict[tuple[Filter, int | None], Findable] = {}
        self._scans: dict[int, RowScan] = {}
        self._coded = CodedSegments(self._files)

    @property
    def has_codes(self) -> bool:
        """Whether there are so many rows that a search scans codes."""
        return len(self._rows) > len(self._scans)

    def refresh(self) -> None:
        """Follow the newest commit; reads only what was added since."""
        (commits,) = self._connection.execute("SELECT commits FROM head").fetchone()
        if commits == self._commits:
            return
        segments = self._connection.execute(
            "SELECT id, rows, centre, rotation, codes_crc, alive FROM segments "
            "WHERE build = ? AND rows > 0 ORDER BY id",
            (self.build.id,),
        ).fetchall()
        for gone in self._rows.keys() - {segment for segment, *_ in segments}:
            del self._rows[gone], self._alive[gone]
            self._scans.pop(gone, None)
        coded = []
        for segment, rows, centre, rotation, codes_crc, alive in segments:
            if segment not in self._rows:
                self._rows[segment] = self._files.open_rows(segment, rows)
            self._rows[segment].grow(rows)
            self._alive[segment] = _bitmap(alive, rows)
            if centre is None:
                self._extend(segment)
            else:
                self._scans.pop(segment, None)
                mean = np.frombuffer(centre, "<f4")
                coded.append(Segment(segment, rows, mean, rotation, codes_crc))
        self._coded.follow(coded, self._rows)
        self.chunks, dead = self._connection.execute(_CHUNKS, (self.build.id,)).fetchone()
        self.dead = Ranges.of(sorted(json.loads(dead)))
        self._findable.clear()
        self.frequencies.clear()
        self._commits = commits

    def _extend(self, segment: int) -> None:
        """Give an exact scan the rows that it lacks."""
        rows = self._rows[segment]
        scan = self._scans.get(segment)
        if scan is None or scan.rows > len(rows):
            scan = self._scans[segment] = RowScan(self._dim)
        if scan.rows < len(rows):
            scan.add(rows.block(scan.rows, len(rows)))

    def findable(self, request: SearchRequest) -> Findable | None:
        """What a request may find; None: all that lives."""
        if request.as_of is None and not request.filter:
            return None
        key = (request.filter, request.as_of)
        found = self._findable.pop(key, None)
        if found is None:
            found = find_findable(self._connection, self.build.id, request, self._alive)
        self._findable[key] = found  # the last asked for stands last
        while len(self._findable) > KEPT_FILTERS:
            del self._findable[next(iter(self._findable))]
        return found

    def candidates(self, query: Vectors, count: int, findable: Findable | None) -> ScoredRows:
        """Rows with their exact cosines, enough of them that the nearest are among them.

        Those found by code are scored again in the order of their estimates. An estimate errs by
        more for some models and texts than for others; how much is seen from those that were
        scored. It goes on as long as the next could belong to the `BEST`.

        The catalog is not read: this can run beside what reads it.
        """
        allowed = self._alive if findable is None else findable.bits
        found = ScoredRows(self._dim)
        for segment, scan in self._scans.items():
            rows, _ = scan.nearest(query, count, allowed[segment])
            self._score(query, rows + (segment << 32), found)
        least = max(LEAST_RESCORED, 2 * count)
        for ids, estimates in self._coded.nearest(query, max(MOST_RESCORED, least), allowed):
            before, done = len(found.ids), 0
            while done < len(ids):
                end = min(done + (RESCORED_STEP if done else least), len(ids))
                self._score(query, ids[done:end], found)
                done = end
                errors = found.scores[before:] - estimates[:done]
                reach = errors.mean() + SPREAD * errors.std()
                tenth = np.sort(found.scores)[-BEST:][0]
                if done < len(ids) and estimates[done] + reach < tenth:
                    break
        return found

    def named(self, found: ScoredRows, count: int) -> dict[int, float]:
        """The chunks of the best candidates with their cosines, best first, ties by chunk.

        Not by row: a compaction moves some rows, and others that tie with them stay.

        Raises:
            IndexCorruptError: A row is not what the catalog says.
        """
        if not len(found.ids):
            return {}
        least = np.sort(found.scores)[-count:][0]
        best = np.flatnonzero(found.scores >= least)
        ids = found.ids[best].tolist()
        named = {vector: names for vector, *names in self._connection.execute(
            "SELECT v.id, v.crc32, v.chunk, c.vector FROM json_each(?) j "
            "JOIN vectors v ON v.id = j.value LEFT JOIN chunks c ON c.id = v.chunk",
            (json.dumps(ids),),
        )}  # fmt: skip
        if len(named) != len(ids):
            what = "the catalog does not name every living row"
            raise broken(self._path, "row-checksum", what)
        chunks = np.array([named[vector][1] or 0 for vector in ids], np.int64)
        order = np.lexsort((chunks, -found.scores[best]))[:count]
        best, ids = best[order], [ids[i] for i in order.tolist()]
        for vector, row in zip(ids, found.rows[best], strict=True):
            checksum, _, owned = named[vector]
            self._check(vector, row, checksum)
            if owned != vector:
                what = "a row belongs to another chunk, or to none"
                raise broken(self._path, "vector-owner", what)
        scores = np.clip(found.scores[best], -1.0, 1.0).tolist()
        return {named[vector][1]: score for vector, score in zip(ids, scores, strict=True)}

    def _score(self, query: Vectors, ids: NDArray[np.int64], found: ScoredRows) -> None:
        rows = self._read(ids)
        found.append(ids, rows, _products(rows.astype(np.float32), query))

    def exact_scores(self, query: Vectors, vectors: list[tuple[int, int]]) -> list[float]:
        """Cosine similarities computed from the rows, in [-1, 1].

        Args:
            query: float32, shape (dim,), unit length.
            vectors: Vector ids, each with the CRC-32 that its row must have.

        Raises:
            IndexCorruptError: A row does not match its checksum.
        """
        products = _products(self.checked_rows(vectors), query)
        scores: list[float] = np.clip(products, -1.0, 1.0).tolist()
        return scores

    def checked_rows(self, vectors: list[tuple[int, int]]) -> Vectors:
        """The rows of vector ids, each checked by its CRC-32: float32, shape (n, dim).

        Raises:
            IndexCorruptError: A row does not match its checksum.
        """
        rows = self._read(np.array([vector for vector, _ in vectors], np.int64))
        for (vector, checksum), row in zip(vectors, rows, strict=True):
            self._check(vector, row, checksum)
        return rows.astype(np.float32)

    def _read(self, ids: NDArray[np.int64]) -> NDArray[np.float16]:
        """The rows of vector ids, in their order: float16, shape (n, dim)."""
        read = {segment: rows.read for segment, rows in self._rows.items()}
        data = b"".join([read[i >> 32](i & ROW_MASK) for i in ids.tolist()])
        return np.frombuffer(data, ROW_DTYPE).reshape(-1, self._dim)

    def _check(self, vector: int, row: NDArray[np.float16], checksum: int) -> None:
        if zlib.crc32(row.data) != checksum:
            where = f"segment {vector >> 32}, row {vector & ROW_MASK}"
            raise broken(self._path, "row-checksum", where)


class ScoredRows:
    """Vector ids, their rows and exact scores, as they are found."""

    def __init__(self, dim: int) -> None:
        self.ids = np.empty(0, np.int64)
        self.rows = np.empty((0, dim), ROW_DTYPE)
        self.scores = np.empty(0, np.float32)

    def append(self, ids: NDArray[np.int64], rows: NDArray[np.float16], scores: Vectors) -> None:
        """Take in more: vectors' ids, shape (n,), their rows, (n, dim), and scores, (n,)."""
        self.ids = np.concatenate([self.ids, ids])
        self.rows = np.concatenate([self.rows, rows])
        self.scores = np.concatenate([self.scores, scores])


def _products(rows: Vectors, query: Vectors) -> Vectors:
    # Not `rows @ query`: BLAS rounds a row by its place in the matrix, and ties would break.
    products: Vectors = np.einsum("ij,j->i", rows, query)
    return products


def _bitmap(alive: bytes, rows: int) -> NDArray[np.uint8]:
    bits = np.zeros((rows + 7) // 8, np.uint8)
    stored = np.frombuffer(alive, np.uint8)[: len(bits)]
    bits[: len(stored)] = stored
    return bits
