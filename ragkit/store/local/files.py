"""The vector files of an index: where rows lie, how they reach the disk."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.disk import MissingRowsError, sync, sync_folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors

ROW_DTYPE = np.dtype("<f2")


class SegmentFiles:
    """The ``.f16`` and ``.rbq`` files below one ``vectors`` folder.

    Args:
        folder: The ``vectors`` folder; it must exist for writing.
        dim: Length of a vector.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder = folder
        self.dim = dim
        self.row_bytes = dim * ROW_DTYPE.itemsize

    def rows_path(self, segment: int) -> Path:
        """The file that holds a segment's rows."""
        return self.folder / f"{segment:08d}.f16"

    def codes_path(self, segment: int) -> Path:
        """The file that holds a segment's RaBitQ codes."""
        return self.folder / f"{segment:08d}.rbq"

    def map_rows(self, segment: int, rows: int) -> NDArray[np.float16]:
        """Map a segment's committed rows: float16, shape (rows, dim), read-only.

        Raises:
            MissingRowsError: The file is missing or shorter than that.
        """
        if rows == 0:
            return np.empty((0, self.dim), ROW_DTYPE)
        path = self.rows_path(segment)
        try:
            mapped = np.memmap(path, ROW_DTYPE, "r", shape=(rows, self.dim))
        except (FileNotFoundError, ValueError) as exc:
            msg = f"{path.name} does not hold the {rows} rows that the catalog names"
            raise MissingRowsError(msg) from exc
        return np.asarray(mapped)  # the same memory; taking a row of a memmap costs ten times more

    def read_row(self, segment: int, row: int) -> bytes:
        """Read the bytes of one committed row; fewer where the file is short or missing."""
        return self.read_rows(segment, row, 1)

    def read_rows(self, segment: int, first: int, count: int) -> bytes:
        """Read the bytes of committed rows; fewer where the file is short or missing."""
        try:
            with self.rows_path(segment).open("rb") as file:
                file.seek(first * self.row_bytes)
                return file.read(count * self.row_bytes)
        except FileNotFoundError:
            return b""

    def read_codes(self, segment: int, rows: int, code_bytes: int) -> NDArray[np.uint8] | None:
        """Read a segment's codes, shape (rows, code_bytes); None where the file has fewer."""
        try:
            codes = np.fromfile(self.codes_path(segment), np.uint8, rows * code_bytes)
        except FileNotFoundError:
            return None
        return codes.reshape(rows, code_bytes) if len(codes) == rows * code_bytes else None

    def write_rows(self, segment: int, first: int, rows: bytes) -> None:
        """Write rows at row number `first` and flush them to the disk.

        Raises:
            MissingRowsError: The file ends before that row; a hole would pass for rows.
        """
        self._write(self.rows_path(segment), first * self.row_bytes, rows)

    def has_codes(self, segment: int, rows: int, code_bytes: int) -> bool:
        """True where the codes' file is long enough for so many rows."""
        path = self.codes_path(segment)
        return path.exists() and path.stat().st_size >= rows * code_bytes

    def write_codes(self, segment: int, first: int, codes: NDArray[np.uint8]) -> None:
        """Write codes, shape (n, code_bytes), at row number `first` and flush them."""
        self._write(self.codes_path(segment), first * codes.shape[1], codes.tobytes())

    def _write(self, path: Path, offset: int, data: bytes) -> None:
        is_new = not path.exists()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            if os.lseek(fd, 0, os.SEEK_END) < offset:
                msg = f"{path.name} ends before byte {offset}, where the next row belongs"
                raise MissingRowsError(msg)
            os.lseek(fd, offset, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            sync(fd)
        finally:
            os.close(fd)
        if is_new:
            sync_folder(self.folder)

    def stray(self, segments: set[int]) -> Iterator[Path]:
        """Vector files that belong to none of the given segments."""
        for path in self.folder.glob("*.*"):
            is_vectors = path.suffix in {".f16", ".rbq"} and path.stem.isdigit()
            if is_vectors and int(path.stem) not in segments:
                yield path


def remove_strays(connection: sqlite3.Connection, index: Path) -> None:
    """Delete vector files of segments that were never committed or no longer exist."""
    segments = {i for (i,) in connection.execute("SELECT id FROM segments")}
    for path in SegmentFiles(index / "vectors", 0).stray(segments):
        with suppress(OSError):  # Windows: a reader maps it still; the next writer tries again
            path.unlink()


def encode_rows(vectors: Vectors) -> tuple[bytes, list[int]]:
    """Turn unit vectors, float32 (n, dim), into row bytes and the CRC-32 of each row."""
    rows = np.ascontiguousarray(vectors, ROW_DTYPE)
    return rows.tobytes(), [zlib.crc32(row) for row in rows.view(np.uint8)]
