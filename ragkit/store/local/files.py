"""The vector files of an index: where rows lie, how they reach the disk."""

from __future__ import annotations

import os
import stat
import weakref
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.disk import ABSENT, MissingRowsError, sync, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors

ROW_DTYPE = np.dtype("<f2")


class SegmentFiles:
    """The ``.f16``, ``.rbq`` and ``.ivf`` files below one ``vectors`` folder.

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

    def lists_path(self, segment: int) -> Path:
        """The file that holds a full segment's inverted lists."""
        return self.folder / f"{segment:08d}.ivf"

    def open_rows(self, segment: int, rows: int) -> RowFile:
        """Open a segment's committed rows for reading.

        Raises:
            MissingRowsError: The file is missing or shorter than that.
        """
        return RowFile(self.rows_path(segment), rows, self.dim)

    def read_row(self, segment: int, row: int) -> bytes:
        """Read the bytes of one committed row; fewer where the file is short or missing."""
        return self.read_rows(segment, row, 1)

    def read_rows(self, segment: int, first: int, count: int) -> bytes:
        """Read the bytes of committed rows; fewer where the file is short or missing."""
        try:
            with self.rows_path(segment).open("rb") as file:
                file.seek(first * self.row_bytes)
                return file.read(count * self.row_bytes)
        except ABSENT:
            return b""

    def read_codes(self, segment: int, rows: range, code_bytes: int) -> NDArray[np.uint8] | None:
        """Read the codes of some rows, shape (len(rows), code_bytes); None: the file has fewer."""
        path, size = self.codes_path(segment), len(rows) * code_bytes
        try:
            codes = np.fromfile(path, np.uint8, size, offset=rows.start * code_bytes)
        except FileNotFoundError:
            return None
        return codes.reshape(-1, code_bytes) if len(codes) == size else None

    def write_lists(self, segment: int, data: bytes) -> None:
        """Write a segment's inverted lists, in place of its codes; a reader sees all or nothing."""
        path = self.lists_path(segment)
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        self._write(unfinished, 0, data)
        unfinished.replace(path)
        sync_folder(self.folder)
        self.drop_codes(segment)

    def drop_codes(self, segment: int) -> None:
        """Delete a segment's codes, which its lists hold too."""
        with suppress(OSError):  # Windows: a reader has it open; the next writer tries again
            self.codes_path(segment).unlink(missing_ok=True)

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
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
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


class RowFile:
    """A segment's committed rows, open for reading as long as the object lives.

    Nothing is mapped: a file that shrinks or a disk that fails is an error, and no signal that
    ends the process.

    Args:
        path: The file.
        rows: How many rows the catalog names.
        dim: Length of a row.

    Raises:
        MissingRowsError: The file is missing or shorter than that.
    """

    def __init__(self, path: Path, rows: int, dim: int) -> None:
        self._path = path
        self._dim = dim
        self._row_bytes = dim * ROW_DTYPE.itemsize
        self._rows = 0
        try:
            self._fd = open_for_reading(path)
        except ABSENT as exc:
            raise self._missing(rows) from exc
        weakref.finalize(self, os.close, self._fd)
        self.grow(rows)

    def __len__(self) -> int:
        return self._rows

    def grow(self, rows: int) -> None:
        """Take notice of rows that were appended.

        Raises:
            MissingRowsError: The file is shorter than that.
        """
        info = os.fstat(self._fd)
        if info.st_size < rows * self._row_bytes or not stat.S_ISREG(info.st_mode):
            raise self._missing(rows)
        self._rows = rows

    def block(self, first: int, end: int) -> NDArray[np.float16]:
        """The rows from one number up to another: float16, shape (end - first, dim).

        Raises:
            MissingRowsError: The file has become shorter than that.
        """
        data = read_at(self._fd, (end - first) * self._row_bytes, first * self._row_bytes)
        if len(data) != (end - first) * self._row_bytes:
            raise self._missing(end)
        return data.view(ROW_DTYPE).reshape(-1, self._dim)

    def read(self, number: int) -> bytes:
        """The bytes of a row.

        Raises:
            MissingRowsError: The file has become shorter.
        """
        data = _pread(self._fd, self._row_bytes, number * self._row_bytes)
        if len(data) != self._row_bytes:
            raise self._missing(self._rows)
        return data

    def take(self, numbers: list[int]) -> NDArray[np.float16]:
        """Some rows, in the order given: float16, shape (len(numbers), dim).

        Raises:
            MissingRowsError: The file has become shorter.
        """
        data = b"".join([self.read(number) for number in numbers])
        return np.frombuffer(data, ROW_DTYPE).reshape(-1, self._dim)

    def _missing(self, rows: int) -> MissingRowsError:
        msg = f"{self._path.name} does not hold the {rows} rows that the catalog names"
        return MissingRowsError(msg)


_READ_BYTES = 1 << 24  # at a time; Linux gives no more than 2 GB

if hasattr(os, "pread"):
    _pread = os.pread
else:  # Windows

    def _pread(fd: int, size: int, offset: int, /) -> bytes:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)


if hasattr(os, "preadv"):

    def _fill(fd: int, into: memoryview, offset: int) -> int:
        return os.preadv(fd, [into], offset)

else:  # Windows, and a Python that was built for macOS before 11

    def _fill(fd: int, into: memoryview, offset: int) -> int:
        part = _pread(fd, len(into), offset)
        into[: len(part)] = part
        return len(part)


def open_for_reading(path: Path) -> int:
    """A descriptor of a file, for `read_at`; the caller closes it."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def read_at(fd: int, size: int, offset: int) -> NDArray[np.uint8]:
    """Read bytes at a place in a file; fewer where it ends before."""
    data = np.empty(size, np.uint8)
    return data[: read_into(fd, data, offset)]


def read_into(fd: int, data: NDArray[np.uint8], offset: int) -> int:
    """Fill an array with what stands at a place in a file; returns how many bytes there were.

    Args:
        fd: Of the file.
        data: uint8, contiguous.
        offset: In bytes.
    """
    into = data.reshape(-1).data
    done = 0
    while done < len(into):
        count = _fill(fd, into[done : done + _READ_BYTES], offset + done)
        if not count:
            break
        done += count
    return done


def encode_rows(vectors: Vectors) -> tuple[bytes, list[int]]:
    """Turn unit vectors, float32 (n, dim), into row bytes and the CRC-32 of each row."""
    rows = np.ascontiguousarray(vectors, ROW_DTYPE)
    return rows.tobytes(), [zlib.crc32(row) for row in rows.view(np.uint8)]
