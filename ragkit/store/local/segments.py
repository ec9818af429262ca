"""The growing end of the vector files: rows are gathered, and written before the commit."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ragkit.errors import IndexCorruptError, IndexMismatchError
from ragkit.store.local.catalog import Bulk
from ragkit.store.local.files import SegmentFiles, encode_rows
from ragkit.store.local.rows import segment_and_row, vector_id

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors
    from ragkit.store.local.catalog import Build
    from ragkit.store.local.ivf import Grid

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SegmentSizes:
    """When a segment is full, from how many rows on it has codes, and rows a list of a full one.

    A full segment is a file of 100 MB at 768 dimensions: few files at a million rows, and the
    bits that a commit rewrites stay within 8 KB. All codes of one that is not full are scanned.
    From `coded` rows on a scan of codes is faster than an exact one.
    """

    rows: int = 1 << 16
    coded: int = 1 << 13
    listed: int = 1 << 8


@dataclass(slots=True)
class _Row:
    """A row that is not on the disk yet: its bytes, their CRC-32, and the chunk that owns it."""

    data: bytes
    crc: int
    chunk: int | None = None


@dataclass(frozen=True, slots=True)
class _Coding:
    """How a segment's codes are made, as the catalog has it; see docs/format.md."""

    centre: Vectors
    rotation: int | None
    checksum: int | None


class SegmentWriter:
    """Appends rows to the open segment and opens the next when it is full.

    Args:
        connection: The writer's; its transaction is the caller's business.
        path: The index folder.
        build: Whose segments they are.
        sizes: When to begin a segment and when to make codes.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, build: Build, *, sizes: SegmentSizes
    ) -> None:
        self._connection = connection
        self._build = build.id
        self._dim = build.dim
        self._files = SegmentFiles(path / "vectors", self._dim)
        self._own: set[int] = set()
        self._sizes = sizes
        self._segment = 0
        self._rows = sizes.rows
        self._coding: _Coding | None = None
        self._first = 0
        self._pending: list[_Row] = []
        self._bulk = Bulk(connection, "vectors", columns=3, rows=256)
        self._owned: list[tuple[int, int]] = []
        self._listed: set[int] = set()

    def load(self) -> None:
        """Read the committed end; call at the beginning of a transaction."""
        self._pending.clear()
        self._owned.clear()
        self._bulk.clear()
        rows = self._connection.execute(
            "SELECT id, rows, centre, rotation, codes_crc FROM segments "
            "WHERE build = ? ORDER BY id",
            (self._build,),
        ).fetchall()
        self._own = {row[0] for row in rows}
        if not rows:
            self._segment, self._rows, self._coding = 0, self._sizes.rows, None
        else:
            self._segment, self._rows, centre, *how = rows[-1]
            self._coding = None if centre is None else _Coding(np.frombuffer(centre, "<f4"), *how)
        self._first = self._rows

    def has(self, vector: int) -> bool:
        """Whether a vector lies in a segment of this build."""
        return segment_and_row(vector)[0] in self._own

    def is_whole(self, vector: int, crc: int) -> bool:
        """Whether a row that is on the disk matches its checksum."""
        return zlib.crc32(self._files.read_row(*segment_and_row(vector))) == crc

    def append(self, vectors: Vectors) -> list[int]:
        """Take unit rows, float32 (n, dim); returns their vector ids, in order.

        Raises:
            IndexMismatchError: They are not `dim` long.
        """
        given = str(vectors.shape[-1])
        if vectors.shape[1:] != (self._dim,):
            folder = self._files.folder.parent
            msg = f"vectors of {given} dimensions do not fit {folder}, which holds {self._dim}"
            raise IndexMismatchError(msg, folder, stored=str(self._dim), given=given)
        data, checksums = encode_rows(vectors)
        size = self._files.row_bytes
        rows = [_Row(data[i * size : (i + 1) * size], crc) for i, crc in enumerate(checksums)]
        ids: list[int] = []
        while len(ids) < len(rows):
            ids += self._append_rows(rows[len(ids) :])
        return ids

    def copy(self, vector: int) -> int:
        """Append a copy of a row; returns the copy's vector id.

        Raises:
            IndexCorruptError: The row does not match its checksum.
        """
        row = self._waiting(vector) or self._stored(vector)
        return self._append_rows([_Row(row.data, row.crc)])[0]

    def begin(self) -> None:
        """Let the next row be the first of a new segment."""
        self._next_segment()

    def take_over(self, segment: int, rows: Sequence[tuple[int, int, int]]) -> list[int]:
        """Append copies of rows of another segment that are on the disk.

        Args:
            segment: Theirs, of the same build.
            rows: Of each its number, its CRC-32 and the chunk that owns the copy; by number.

        Returns:
            The copies' vector ids, in order.

        Raises:
            IndexCorruptError: A row is not there or does not match its checksum.
        """
        size, first = self._files.row_bytes, rows[0][0]
        block = self._files.read_rows(segment, first, rows[-1][0] + 1 - first)
        copies = [
            _Row(block[(row - first) * size : (row - first + 1) * size], crc, chunk)
            for row, crc, chunk in rows
        ]
        for copy in copies:
            self._require_whole(copy)
        ids: list[int] = []
        while len(ids) < len(copies):
            ids += self._append_rows(copies[len(ids) :])
        return ids

    def own(self, vector: int, chunk: int) -> None:
        """Note that a row belongs to a chunk."""
        if row := self._waiting(vector):
            row.chunk = chunk
        else:
            self._owned.append((chunk, vector))

    def flush(self) -> None:
        """Write the gathered rows and their codes to the disk and name them in the catalog."""
        if self._pending:
            data = b"".join([row.data for row in self._pending])
            self._files.write_rows(self._segment, self._first, data)
            self._write_codes()
            for i, row in enumerate(self._pending, vector_id(self._segment, self._first)):
                self._bulk.add(i, row.crc, row.chunk)
            self._bulk.write()
            self._connection.execute(
                "UPDATE segments SET rows = ? WHERE id = ?", (self._rows, self._segment)
            )
            self._pending.clear()
            self._first = self._rows
        self._connection.executemany("UPDATE vectors SET chunk = ? WHERE id = ?", self._owned)
        self._owned.clear()

    def make_lists(self) -> None:
        """Part the codes of a full segment into lists, if one has none; call it after a commit.

        One at a time: those of an older index are made over its next commits. The lists take the
        place of the codes that were written as the segment grew.
        """
        if self._sizes.rows < self._sizes.coded:
            return
        full = self._connection.execute(
            "SELECT id, rows FROM segments WHERE build = ? AND rows >= ? AND centre NOT NULL",
            (self._build, self._sizes.rows),
        ).fetchall()
        for segment, rows in full:
            if segment in self._listed:
                continue
            self._listed.add(segment)
            if self._make_lists_of(segment, rows):
                return

    def _make_lists_of(self, segment: int, rows: int) -> bool:
        """Make a full segment's lists; False if they are there."""
        from ragkit.store.local.ivf import MOST_LISTS, build, open_lists

        try:
            found = open_lists(self._files.lists_path(segment), rows, self._dim)
        except ValueError as exc:
            _log.info("%s; they are made anew", exc)
            found = None
        if found is not None:
            self._files.drop_codes(segment)  # a kill may have come between
            return False
        read = self._files.open_rows(segment, rows).block
        count = min(MOST_LISTS, -(-rows // self._sizes.listed))
        lists = build(read, rows, count, like=self._last_grid(rows))
        self._files.write_lists(segment, lists.to_bytes())
        return True

    def _last_grid(self, rows: int) -> Grid | None:
        """What the last full segment that has lists is parted by; None if there is none.

        Of a grid that several have, as the first one has it: or they would drift from it.
        """
        from ragkit.store.local.ivf import open_lists

        last = None
        for segment in sorted(self._own):
            try:
                lists = open_lists(self._files.lists_path(segment), rows, self._dim)
            except ValueError:  # a search tells of it
                continue
            if lists is not None and (
                last is None or not np.array_equal(lists.centres, last.centres)
            ):
                last = lists.grid
        return last

    def _append_rows(self, rows: Sequence[_Row]) -> list[int]:
        """Append as many of the rows as the segment has room for; returns their vector ids."""
        if self._rows >= self._sizes.rows:
            self._next_segment()
        room = self._sizes.rows - self._rows
        fitting = rows[:room]
        first = vector_id(self._segment, self._rows)
        self._pending += fitting
        self._rows += len(fitting)
        return list(range(first, first + len(fitting)))

    def _next_segment(self) -> None:
        self.flush()
        cursor = self._connection.execute(
            "INSERT INTO segments VALUES (NULL, ?, ?, 0, NULL, NULL, NULL, x'')",
            (self._build, self._dim),
        )
        self._segment, self._rows, self._coding = cursor.lastrowid or 0, 0, None
        self._own.add(self._segment)
        self._first = 0

    def _waiting(self, vector: int) -> _Row | None:
        """The row if it was not flushed yet."""
        segment, row = segment_and_row(vector)
        if segment != self._segment or row < self._first:
            return None
        return self._pending[row - self._first]

    def _stored(self, vector: int) -> _Row:
        found = self._connection.execute("SELECT crc32 FROM vectors WHERE id = ?", (vector,))
        row = _Row(self._files.read_row(*segment_and_row(vector)), found.fetchone()[0])
        self._require_whole(row)
        return row

    def _require_whole(self, row: _Row) -> None:
        if zlib.crc32(row.data) != row.crc:
            folder = self._files.folder.parent
            msg = f"{folder}: invariant row-checksum is broken; run `ragkit check` to see how far"
            raise IndexCorruptError(msg, folder)

    def _write_codes(self) -> None:
        if self._coding is None and self._rows < self._sizes.coded:
            return
        from ragkit.store.local.rotation import ROTATION
        from ragkit.store.local.scan import (  # small indexes never load FAISS
            RowEncoder,
            centre_of,
        )

        rows = self._files.open_rows(self._segment, self._rows)
        first, coding = self._first, self._coding
        if coding is None:
            coding, first = _Coding(centre_of(rows.block(0, self._rows)), ROTATION, None), 0
        encoder = RowEncoder(coding.centre, coding.rotation)
        if not self._files.has_codes(self._segment, first, encoder.code_bytes):
            first = 0  # the file was lost: a hole would pass for codes
        codes = encoder.encode(rows.block(first, self._rows))
        self._files.write_codes(self._segment, first, codes)
        # That of an older ragkit's codes, which took none, is not known.
        if first == 0 or coding.checksum is not None:
            checksum = zlib.crc32(codes.data, coding.checksum or 0 if first else 0)
            coding = replace(coding, checksum=checksum)
        self._coding = coding
        self._connection.execute(
            "UPDATE segments SET centre = ?, rotation = ?, codes_crc = ? WHERE id = ?",
            (
                coding.centre.astype("<f4").tobytes(),
                coding.rotation,
                coding.checksum,
                self._segment,
            ),
        )
