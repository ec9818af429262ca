"""A reader's view of the vectors at one commit."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.catalog import broken
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.queries import filtered_documents
from ragkit.store.local.rows import ROW_MASK
from ragkit.store.local.scan import RowEncoder, SegmentScan, row_codes

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import SearchRequest, Vectors

    Bits = dict[int, NDArray[np.uint8]]

# Candidates by code that are scored again from their rows: recall@10 0.9995 with 100 against
# 0.989 with 30; see benchmarks/recall.py.
RESCORED = 100


class Snapshot:
    """The segments of an index, brought up to date by `refresh` within a read transaction."""

    def __init__(self, connection: sqlite3.Connection, path: Path, dim: int) -> None:
        self._connection = connection
        self._path = path
        self._dim = dim
        self._files = SegmentFiles(path / "vectors", dim)
        self._commits = -1
        self.forget()

    def forget(self) -> None:
        """Drop all that was read; the next refresh reads everything anew."""
        self._commits = -1
        self._scans: dict[int, SegmentScan] = {}
        self._rows: dict[int, NDArray[np.float16]] = {}
        self._alive: Bits = {}

    @property
    def rows(self) -> int:
        """Rows in all segments, living or not."""
        return sum(len(rows) for rows in self._rows.values())

    def refresh(self) -> None:
        """Follow the newest commit; reads only what was added since."""
        (commits,) = self._connection.execute("SELECT commits FROM head").fetchone()
        if commits == self._commits:
            return
        segments = self._connection.execute("SELECT id, rows, centre, alive FROM segments")
        seen = set()
        for segment, rows, centre, alive in segments:
            seen.add(segment)
            self._rows[segment] = self._files.map_rows(segment, rows)
            self._alive[segment] = _bitmap(alive, rows)
            self._extend(segment, rows, centre)
        for gone in self._scans.keys() - seen:
            del self._scans[gone], self._rows[gone], self._alive[gone]
        self._commits = commits

    def _extend(self, segment: int, rows: int, centre: bytes | None) -> None:
        scan = self._scans.get(segment)
        mean = None if centre is None else np.frombuffer(centre, "<f4")
        if scan is None or (scan.centre is None) != (mean is None) or scan.rows > rows:
            scan = self._scans[segment] = SegmentScan(self._dim, mean)
        if scan.rows == rows:
            return
        fresh = self._rows[segment][scan.rows :]
        if mean is None:
            scan.add(row_codes(fresh))
            return
        codes = self._files.read_codes(segment, rows, scan.code_bytes)
        # Codes are derived: where their file is missing or short they are made again in memory.
        scan.add(RowEncoder(mean).encode(fresh) if codes is None else codes[scan.rows :])

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
        vectors: list[NDArray[np.int64]] = []
        approximate: list[Vectors] = []
        for segment, scan in self._scans.items():
            wanted = count if scan.centre is None else max(RESCORED, 2 * count)
            rows, scores = scan.nearest(query, wanted, allowed[segment])
            vectors.append(rows + (segment << 32))
            approximate.append(scores)
        if not vectors:
            return {}
        candidates = np.concatenate(vectors)
        if len(vectors) > 1:
            best = np.argsort(-np.concatenate(approximate), kind="stable")
            candidates = candidates[best[: max(RESCORED, 2 * count)]]
        named = self._connection.execute(
            "SELECT v.id, v.crc32, v.chunk FROM json_each(?) j JOIN vectors v ON v.id = j.value",
            (json.dumps(candidates.tolist()),),
        ).fetchall()
        if len(named) != len(candidates):
            what = "the catalog does not name every living row"
            raise broken(self._path, "row-checksum", what)
        exact = self.exact_scores(query, [(vector, crc) for vector, crc, _ in named])
        order = sorted(range(len(named)), key=lambda i: (-exact[i], named[i][0]))
        return {named[i][2]: exact[i] for i in order[:count]}

    def exact_scores(self, query: Vectors, vectors: list[tuple[int, int]]) -> list[float]:
        """Cosine similarities computed from the rows, in [-1, 1].

        Args:
            query: float32, shape (dim,), unit length.
            vectors: Vector ids, each with the CRC-32 that its row must have.

        Raises:
            IndexCorruptError: A row does not match its checksum.
        """
        # Not `rows @ query`: BLAS rounds a row by its place in the matrix, and ties would break.
        products = np.einsum("ij,j->i", self.checked_rows(vectors), query)
        scores: list[float] = np.clip(products, -1.0, 1.0).tolist()
        return scores

    def checked_rows(self, vectors: list[tuple[int, int]]) -> Vectors:
        """The rows of vector ids, each checked by its CRC-32: float32, shape (n, dim).

        Raises:
            IndexCorruptError: A row does not match its checksum.
        """
        rows = np.empty((len(vectors), self._dim), np.float32)
        ids = np.array([vector for vector, _ in vectors], np.int64)
        for segment in set((ids >> 32).tolist()):
            places = np.flatnonzero(ids >> 32 == segment)
            found = self._rows[segment][ids[places] & ROW_MASK]  # a copy: it stays as it is checked
            for place, row in zip(places.tolist(), found, strict=True):
                vector, checksum = vectors[place]
                if zlib.crc32(row) != checksum:
                    where = f"segment {segment}, row {vector & ROW_MASK}"
                    raise broken(self._path, "row-checksum", where)
            rows[places] = found
        return rows


def _bitmap(alive: bytes, rows: int) -> NDArray[np.uint8]:
    bits = np.zeros((rows + 7) // 8, np.uint8)
    stored = np.frombuffer(alive, np.uint8)[: len(bits)]
    bits[: len(stored)] = stored
    return bits
