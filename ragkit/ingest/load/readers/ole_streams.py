"""The streams of an older office file, which is a compound file (MS-CFB)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ragkit.ingest.load.readers.zip_parts import OLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LAST = 0xFFFFFFFA  # the largest number of a sector; above it are marks
_ENTRY = 128
_SMALL_SECTOR = 64
_IN_HEADER = 109  # numbers of sectors of the table that the header holds


class OleStreams:
    """The streams right below the root, by name.

    Args:
        data: The file. What of it is broken or cut is as if it were not there.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._places: dict[str, tuple[int, int]] = {}
        self._next: Sequence[int] = ()
        self._next_small: Sequence[int] = ()
        self._smalls = b""
        self._cutoff = 0
        if not data.startswith(OLE) or len(data) < 512:
            return
        (power,) = struct.unpack_from("<H", data, 30)
        self._sector = 1 << power if power in (9, 12) else 512
        directory, _, self._cutoff, small, _, more, _ = struct.unpack_from("<7I", data, 48)
        self._next = self._table(more)
        self._next_small = _numbers(self._chain(small))
        self._read_directory(self._chain(directory))

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def read(self, name: str) -> bytes:
        """A stream as far as it is there; nothing of one that is not."""
        start, size = self._places.get(name, (_LAST + 1, 0))
        if size >= self._cutoff:
            return self._chain(start)[:size]
        places = (_SMALL_SECTOR * number for number in _followed(start, self._next_small))
        return b"".join(self._smalls[at : at + _SMALL_SECTOR] for at in places)[:size]

    def _table(self, more: int) -> Sequence[int]:
        """Which sector follows each."""
        sectors = list(struct.unpack_from(f"<{_IN_HEADER}I", self._data, 76))
        for _ in range(len(self._data) // self._sector):
            if more > _LAST or not (block := self._at(more)):
                break
            *numbers, more = _numbers(block)
            sectors += numbers
        return _numbers(b"".join(self._at(number) for number in sectors if number <= _LAST))

    def _read_directory(self, raw: bytes) -> None:
        for place in range(0, len(raw) - _ENTRY + 1, _ENTRY):
            length, kind = struct.unpack_from("<HB", raw, place + 64)
            start, size = struct.unpack_from("<II", raw, place + 116)
            name = raw[place : place + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
            if kind == 5:
                self._smalls = self._chain(start)[:size]
            elif kind == 2:
                self._places.setdefault(name, (start, size))

    def _chain(self, start: int) -> bytes:
        return b"".join(map(self._at, _followed(start, self._next)))

    def _at(self, number: int) -> bytes:
        return self._data[(number + 1) * self._sector : (number + 2) * self._sector]


def _followed(start: int, following: Sequence[int]) -> Iterator[int]:
    """The sectors of a stream; of one that runs in circles no more than there are."""
    for _ in range(len(following)):
        if start >= len(following):
            return
        yield start
        start = following[start]


def _numbers(raw: bytes) -> Sequence[int]:
    return struct.unpack(f"<{len(raw) // 4}I", raw[: len(raw) // 4 * 4])
