"""A reader's view of the vectors at one commit."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ragkit.errors import IndexCorruptError
from ragkit.store.local.coded import CodedSegments, Segment
from ragkit.store.local.files import ROW_DTYPE, SegmentFiles
from ragkit.store.local.queries import filtered_documents
from ragkit.store.local.rows import ROW_MASK
from ragkit.store.local.vectors import RowScan

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import SearchRequest, Vectors
    from ragkit.store.local.files import RowFile

    Bits = dict[int, NDArray[np.uint8]]

LEAST_RESCORED = 100  # candidates by code that are scored again from their rows
MOST_RESCORED = 1000  # the same where estimates err much; see `_rescored`
RESCORED_STEP = 100
BEST = 10  # ranks that the widening is to get right
SPREAD = 4.0  # standard deviations that an estimate errs by at most


class Snapshot:
    """The segments of an index, brought up to date by `refresh` within a read transaction."""

    def __init__(self, connection: sqlite3.Connection, path: Path, dim: int) -> None:
        self._connection = connection
        self._path = path
        self._dim = dim
        self._files = SegmentFiles(path / "vectors", dim)
        self.forget()

    def forget(self) -> None:
        """Drop all that was read; the next refresh reads everything anew."""
        self._commits = -1
        self._rows: dict[int, RowFile] = {}
        self._alive: Bits = {}
        self._scans: dict[int, RowScan] = {}
        self._coded = CodedSegments(self._files)

    @property
    def rows(self) -> int:
        """Rows in all segments, living or not."""
        return sum(len(rows) for rows in self._rows.values())

    def refresh(self) -> None:
        """Follow the newest commit; reads only what was added since."""
        (commits,) = self._connection.execute("SELECT commits FROM head").fetchone()
        if commits == self._commits:
            return
        # Format 1 has no rotation.
        cursor = self._connection.execute("SELECT * FROM segments ORDER BY id")
        names = [column[0] for column in cursor.description]
        segments = [dict(zip(names, row, strict=True)) for row in cursor]
        if self._rows.keys() - {segment["id"] for segment in segments}:
            self.forget()  # some were compacted away
        coded = []
        for segment in segments:
            number, rows = segment["id"], segment["rows"]
            if number not in self._rows:
                self._rows[number] = self._files.open_rows(number, rows)
            self._rows[number].grow(rows)
            self._alive[number] = _bitmap(segment["alive"], rows)
            if segment["centre"] is None:
                self._extend(number)
            else:
                self._scans.pop(number, None)
                centre = np.frombuffer(segment["centre"], "<f4")
                coded.append(Segment(number, rows, centre, segment.get("rotation")))
        self._coded.follow(coded, self._rows)
        self._commits = commits

    def _extend(self, segment: int) -> None:
        """Give an exact scan the rows that it lacks."""
        rows = self._rows[segment]
        scan = self._scans.get(segment)
        if scan is None or scan.rows > len(rows):
            scan = self._scans[segment] = RowScan(self._dim)
        if scan.rows < len(rows):
            scan.add(rows.block(scan.rows, len(rows)))

    def allowed(self, request: SearchRequest) -> Bits:
        """The rows that a request may find, as bits, a segment at a time."""
        if request.as_of is None and not request.filter:
            return self._alive
        documents = filtered_documents(self._connection, request)
        vectors = self._connection.execute(
            "SELECT c.vector FROM json_each(?) j JOIN chunks c ON c.document = j.value",
            (json.dumps(documents),),
        )
        ids = np.fromiter((v for (v,) in vectors), np.int64)
        bits: Bits = {}
        for segment, rows in self._rows.items():
            flags = np.zeros(len(rows), np.uint8)
            flags[ids[ids >> 32 == segment] & ROW_MASK] = 1
            bits[segment] = np.packbits(flags, bitorder="little")
        return bits

    def visible(self, request: SearchRequest, chunks: list[int]) -> list[int]:
        """Those of the chunks that a request may find, in the order given."""
        if request.as_of is None and not request.filter:
            query = (
                "SELECT c.id FROM json_each(?) j JOIN chunks c ON c.id = j.value "
                "WHERE c.died IS NULL"
            )
            living = {i for (i,) in self._connection.execute(query, (json.dumps(chunks),))}
        else:
            documents = set(filtered_documents(self._connection, request))
            query = "SELECT c.id, c.document FROM json_each(?) j JOIN chunks c ON c.id = j.value"
            rows = self._connection.execute(query, (json.dumps(chunks),))
            living = {chunk for chunk, document in rows if document in documents}
        return [chunk for chunk in chunks if chunk in living]

    def nearest(self, query: Vectors, count: int, allowed: Bits) -> dict[int, float]:
        """The chunks nearest to a query, float32 (dim,), with their rows' exact cosines."""
        candidates = self._rescored(query, count, allowed)
        best = np.lexsort((candidates.ids, -candidates.scores))[:count]
        ids, rows = candidates.ids[best].tolist(), candidates.rows[best]
        named = {vector: (crc, chunk) for vector, crc, chunk in self._connection.execute(
            "SELECT v.id, v.crc32, v.chunk FROM json_each(?) j JOIN vectors v ON v.id = j.value",
            (json.dumps(ids),),
        )}  # fmt: skip
        if len(named) != len(ids):
            self._broken("row-checksum", "the catalog does not name every living row")
        for vector, row in zip(ids, rows, strict=True):
            self._check(vector, row, named[vector][0])
        scores = np.clip(candidates.scores[best], -1.0, 1.0).tolist()
        return {named[vector][1]: score for vector, score in zip(ids, scores, strict=True)}

    def _rescored(self, query: Vectors, count: int, allowed: Bits) -> _Candidates:
        """Candidates with their exact cosines, enough of them that the best are among them.

        Those found by code are scored again in the order of their estimates. An estimate errs by
        more for some models and texts than for others; how much is seen from those that were
        scored. It goes on as long as the next could belong to the `BEST`.
        """
        found = _Candidates(self._dim)
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

    def _score(self, query: Vectors, ids: NDArray[np.int64], found: _Candidates) -> None:
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
        scores: list[float] = np.clip(
            _products(self.checked_rows(vectors), query), -1.0, 1.0
        ).tolist()
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
        rows = np.empty((len(ids), self._dim), ROW_DTYPE)
        segments = ids >> 32
        for segment in set(segments.tolist()):
            places = np.flatnonzero(segments == segment)
            rows[places] = self._rows[segment].take((ids[places] & ROW_MASK).tolist())
        return rows

    def _check(self, vector: int, row: NDArray[np.float16], checksum: int) -> None:
        if zlib.crc32(row.tobytes()) != checksum:
            self._broken("row-checksum", f"segment {vector >> 32}, row {vector & ROW_MASK}")

    def _broken(self, invariant: str, where: str) -> NoReturn:
        msg = (
            f"{self._path}: invariant {invariant} is broken: {where}; "
            "build it anew with `ragkit rebuild`"
        )
        raise IndexCorruptError(msg, self._path)


class _Candidates:
    """Vector ids, their rows and exact scores, as they are found."""

    def __init__(self, dim: int) -> None:
        self.ids = np.empty(0, np.int64)
        self.rows = np.empty((0, dim), ROW_DTYPE)
        self.scores = np.empty(0, np.float32)

    def append(self, ids: NDArray[np.int64], rows: NDArray[np.float16], scores: Vectors) -> None:
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
