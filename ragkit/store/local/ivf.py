"""The inverted lists of a full segment: what lets a search scan a part of its codes.

The rows are parted by their nearest of a few hundred centres, and a search scans the lists whose
centres are nearest to the question. How many of them that takes is measured on the segment's
own rows when the lists are made. They are derived: without them all codes are scanned.
"""

from __future__ import annotations

import logging
import os
import struct
import weakref
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.files import open_for_reading, read_at, read_into
from ragkit.store.local.rotation import ROTATION, rotated
from ragkit.store.local.scan import CodeEncoder, code_bytes, half_squares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors
    from ragkit.store.local.files import RowFile

    Rows = NDArray[np.float16]
    Members = NDArray[np.uint8]

_log = logging.getLogger(__name__)

MOST_LISTS = 256  # a row's list is one byte
SAMPLE = 40  # rows a list that the centres are made of
TURNS = 6  # of k-means; more changed nothing that was measured
TURNED_ROWS = 256  # rows rotated at a time: they stay in the processor's cache
# Rows compared at a time. BLAS wakes its threads for each product, and on a busy machine they wait
# for one another: blocks of 512 rows took four times as much of the processor.
BLOCK_ROWS = 2048
RUN = 16  # rows of the sample that stand side by side
ASKED = 256  # rows that ask for their neighbours, to find how many lists to scan
NEIGHBOURS = 10
COVERED = 0.995  # of those neighbours, within the lists that are scanned
WORSE = 1.5  # times as many codes to scan: then another segment's centres do not fit
POOR = 0.5  # of a segment's codes to scan: then centres of its own may be much better
TOGETHER = 64  # of those who ask, whose neighbours are ordered at a time

_HEAD = struct.Struct("<8s6I")
_SIZES = struct.Struct("<5I")
_MAGIC = b"ragkivf1"


@dataclass(frozen=True, slots=True)
class Grid:
    """What rows are parted by.

    Segments that have the same one are scanned as one: to begin with a list costs as much as some
    hundred of its codes.

    Args:
        centres: float32, shape (lists, dim), rotated, rounded to what float16 holds.
        scanned: About how many codes a search scans of the segment that it was made for.
    """

    centres: Vectors
    scanned: float


@dataclass(frozen=True, slots=True)
class InvertedLists:
    """The codes of a segment, parted into lists.

    Args:
        centres: float16, shape (lists, dim), rotated.
        members: uint8, shape (rows,): the list of each row.
        codes: uint8, shape (rows, code bytes), by list and in a list by row.
        probes: Lists to scan for a recall of `COVERED` where no row is filtered out.
        rotation: The number of the rotation.
    """

    centres: Rows
    members: Members
    codes: NDArray[np.uint8]
    probes: int
    rotation: int

    @property
    def grid(self) -> Grid:
        """What other segments can be parted by."""
        return Grid(self.centres.astype(np.float32), _scanned(self))

    def to_bytes(self) -> bytes:
        """What the file ``ID.ivf`` holds; docs/format.md states it."""
        (lists, dim), rows = self.centres.shape, len(self.members)
        ends = np.cumsum(np.bincount(self.members, minlength=lists))
        checksums = [zlib.crc32(part.tobytes()) for part in np.split(self.codes, ends[:-1])]
        body = self.centres.astype("<f2").tobytes() + np.array(checksums, "<u4").tobytes()
        body += self.members.tobytes()
        sizes = (rows, dim, lists, self.probes, self.rotation)
        checksum = zlib.crc32(body, zlib.crc32(_SIZES.pack(*sizes)))
        return b"".join([_HEAD.pack(_MAGIC, *sizes, checksum), body, self.codes.data])


class ListsFile:
    """The inverted lists of a segment on the disk. Codes are read when a search scans their list.

    Use `open_lists`.

    Args:
        path: The file.
        descriptor: Of the open file, which this closes at its end.

    Raises:
        ValueError: It is damaged.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)
        self.path = path
        self._fd = descriptor
        self.rows, self.dim, lists, self.probes, self.rotation, body = self._read_head()
        first, second = 2 * lists * self.dim, (2 * self.dim + 4) * lists
        self._checksums: list[int] = body[first:second].view("<u4").tolist()
        self.members: Members = body[second:].copy()
        # Where each list begins: by list and in a list by row the codes lie in the file.
        self._firsts = np.cumsum([0, *np.bincount(self.members, minlength=lists)])
        self._offset = _HEAD.size + len(body)

    def _read_head(self) -> tuple[int, int, int, int, int, NDArray[np.uint8]]:
        head = read_at(self._fd, _HEAD.size, 0).tobytes()
        if len(head) < _HEAD.size:
            raise ValueError(self._damage("it is too short"))
        magic, rows, dim, lists, probes, rotation, checksum = _HEAD.unpack(head)
        size = (2 * dim + 4) * lists + rows
        whole = _HEAD.size + size + rows * code_bytes(dim)
        if magic != _MAGIC or lists > MOST_LISTS or os.fstat(self._fd).st_size < whole:
            raise ValueError(self._damage("it is not what was written"))
        body = read_at(self._fd, size, _HEAD.size)
        sizes = _SIZES.pack(rows, dim, lists, probes, rotation)
        if zlib.crc32(body.data, zlib.crc32(sizes)) != checksum or rotation != ROTATION:
            raise ValueError(self._damage("its checksum is another"))
        return rows, dim, lists, min(probes, lists), rotation, body

    def _damage(self, what: str) -> str:
        return f"{self.path} is damaged: {what}"

    @property
    def stored_centres(self) -> Rows:
        """float16, shape (lists, dim); read anew each time, since whoever scans keeps them."""
        lists = len(self._checksums)
        data = read_at(self._fd, 2 * lists * self.dim, _HEAD.size)
        return data.view("<f2").reshape(lists, self.dim)

    @property
    def centres(self) -> Vectors:
        """float32, shape (lists, dim)."""
        return self.stored_centres.astype(np.float32)

    @cached_property
    def _order(self) -> NDArray[np.unsignedinteger]:
        """The rows by list."""
        order = np.argsort(self.members, kind="stable")
        return order.astype(np.min_scalar_type(self.rows - 1))

    @property
    def grid(self) -> Grid:
        """What other segments can be parted by."""
        return Grid(self.centres, _scanned(self))

    def numbers(self, place: int) -> NDArray[np.unsignedinteger]:
        """The rows of a list, in order."""
        return self._order[self._span(place)]

    def _span(self, place: int) -> slice:
        return slice(int(self._firsts[place]), int(self._firsts[place + 1]))

    def codes(self, place: int, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
        """The codes of a list's rows, uint8 (n, code bytes); None: they are damaged.

        Args:
            place: The list.
            into: Where to read them to; None: to an array of their own.
        """
        size, span = code_bytes(self.dim), self._span(place)
        codes = np.empty((span.stop - span.start, size), np.uint8) if into is None else into
        try:
            read = read_into(self._fd, codes, self._offset + span.start * size)
        except OSError as exc:
            _log.info("%s: %s", self.path, exc)
            return None
        is_whole = read == codes.size and zlib.crc32(codes.data) == self._checksums[place]
        return codes if is_whole else None

    def encoded(self, place: int, rows: RowFile, centre: Vectors) -> NDArray[np.uint8]:
        """The codes of a list's rows, made anew.

        Args:
            place: The list.
            rows: The segment's.
            centre: The list's, float32, shape (dim,): where codes were damaged since the file was
                opened, so may its centres be.

        Raises:
            MissingRowsError: The rows are not there.
        """
        numbers = self.numbers(place)
        turned = rotated(rows.take(numbers.tolist()).astype(np.float32), self.rotation)
        return CodeEncoder(centre[None]).encode(turned, np.zeros(len(numbers), np.uint8))


def open_lists(path: Path, rows: int, dim: int) -> ListsFile | None:
    """Open a segment's inverted lists; None if there are none for so many rows.

    Raises:
        ValueError: They are damaged.
    """
    try:
        descriptor = open_for_reading(path)
    except FileNotFoundError:
        return None
    lists = ListsFile(path, descriptor)
    return lists if (lists.rows, lists.dim) == (rows, dim) else None


def build(
    read: Callable[[int, int], Rows], rows: int, lists: int, *, like: Grid | None = None
) -> InvertedLists:
    """Part a full segment into lists; see benchmarks/scale.py for what it costs and gives.

    Args:
        read: Gives the rows from one number up to another, float16 (n, dim).
        rows: How many there are, at least 1.
        lists: How many lists to make, at most `MOST_LISTS` and `rows`.
        like: Another segment's, which is taken if it has as many lists and fits these rows too.
    """
    made, scanned = None, np.inf
    if like is not None and len(like.centres) == lists:
        made, scanned = _parted(read, rows, like.centres)
        if _scanned(made) <= WORSE * like.scanned and scanned <= POOR * rows:
            return made
    random = np.random.Generator(np.random.PCG64(rows))
    sample = _Sample.of(read, rows, lists * SAMPLE, random)
    own, scanned_of_own = _parted(read, rows, _centres(sample, lists))
    return own if made is None or scanned > WORSE * scanned_of_own else made


def _parted(
    read: Callable[[int, int], Rows], rows: int, centres: Vectors
) -> tuple[InvertedLists, float]:
    """The lists of given centres, and how many codes the rows that ask scan on average."""
    encoder = CodeEncoder(centres)
    # Others than those that the centres were made of.
    sample = _Sample.of(read, rows, ASKED, np.random.Generator(np.random.PCG64(rows + 1)))
    asked = rotated(np.concatenate(list(sample.blocks())))
    neighbours = _Neighbours(asked, rows)
    members = np.empty(rows, np.uint8)
    codes = np.empty((rows, encoder.code_bytes), np.uint8)

    def part(first: int) -> None:
        """Part a block; it is let go of before the next one is read."""
        here = slice(first, min(first + BLOCK_ROWS, rows))
        block = _turned(read, here.start, here.stop)
        members[here] = _nearest(block, centres)
        codes[here] = encoder.encode(block, members[here])
        neighbours.add(first, block)

    for first in range(0, rows, BLOCK_ROWS):
        part(first)
    nearness = asked @ centres.T - half_squares(centres)
    probes = _probes(nearness, members[neighbours.rows])
    lengths = np.bincount(members, minlength=len(centres))
    scanned = lengths[np.argsort(-nearness, axis=1)[:, :probes]].sum(axis=1).mean()
    order = np.argsort(members, kind="stable")
    lists = InvertedLists(centres.astype("<f2"), members, codes[order], probes, ROTATION)
    return lists, float(scanned)


def _scanned(lists: InvertedLists | ListsFile) -> float:
    """About how many codes a search scans: a question comes near to long lists more often."""
    lengths = np.bincount(lists.members).astype(np.float64)
    return float(lists.probes * (lengths @ lengths) / lengths.sum())


@dataclass(frozen=True, slots=True)
class _Sample:
    """Rows from all over a segment, float32 and not rotated.

    They are read each time they are asked for: to keep them took more memory than all else here.

    Args:
        read: As for `build`.
        runs: From which number up to which other; the rows of a run stand side by side.
    """

    read: Callable[[int, int], Rows]
    runs: list[tuple[int, int]]

    @classmethod
    def of(
        cls, read: Callable[[int, int], Rows], rows: int, count: int, random: np.random.Generator
    ) -> _Sample:
        """Up to `count` of so many rows, at least 1."""
        chosen = random.permutation(-(-rows // RUN))[: -(-count // RUN)]
        return cls(read, [(n, min(n + RUN, rows)) for n in np.sort(chosen * RUN).tolist()])

    def spread(self, count: int) -> Vectors:
        """So many of the rows, as far apart as can be."""
        numbers = np.concatenate([np.arange(*run) for run in self.runs])
        some = numbers[np.linspace(0, len(numbers) - 1, count).astype(int)].tolist()
        return np.concatenate([self.read(n, n + 1) for n in some]).astype(np.float32)

    def blocks(self) -> Iterator[Vectors]:
        """All of the rows, some at a time."""
        size = BLOCK_ROWS // RUN
        for start in range(0, len(self.runs), size):
            some = self.runs[start : start + size]
            yield np.concatenate([self.read(*run) for run in some]).astype(np.float32)


def _turned(read: Callable[[int, int], Rows], first: int, end: int) -> Vectors:
    """Rows from one number up to another, rotated, float32; few are read at a time."""
    turned = np.empty((end - first, 0), np.float32)
    for start in range(0, end - first, TURNED_ROWS):
        rows = read(first + start, min(first + start + TURNED_ROWS, end)).astype(np.float32)
        if not start:
            turned = np.empty((end - first, rows.shape[1]), np.float32)
        turned[start : start + len(rows)] = rotated(rows)
    return turned


def _centres(sample: _Sample, lists: int) -> Vectors:
    """k-means: float32 (lists, dim), rotated, rounded to what float16 holds.

    A rotation changes no distance, so that only the centres need be rotated.
    """
    centres = sample.spread(lists)
    for _ in range(TURNS):
        sums, counts = np.zeros_like(centres), np.zeros(lists, np.int64)
        for block in sample.blocks():
            members = _nearest(block, centres)
            order = np.argsort(members, kind="stable")
            met, firsts = np.unique(members[order], return_index=True)
            sums[met] += np.add.reduceat(block[order], firsts)
            counts += np.bincount(members, minlength=lists)
            del block  # before the next one is read
        filled = counts > 0
        centres[filled] = sums[filled] / counts[filled, None]
    rounded: Vectors = rotated(centres).astype(np.float16).astype(np.float32)
    return rounded


def _nearest(rows: Vectors, centres: Vectors) -> Members:
    """The list of each row, uint8."""
    nearness = rows @ centres.T
    nearness -= half_squares(centres)
    members: Members = np.argmax(nearness, axis=1).astype(np.uint8)
    return members


def _probes(nearness: Vectors, members: Members) -> int:
    """How many lists to scan so that they hold `COVERED` of the neighbours.

    Args:
        nearness: Of the centres to those who ask, shape (asked, lists).
        members: The lists of each one's neighbours, shape (asked, neighbours).
    """
    place = np.argsort(np.argsort(-nearness, axis=1), axis=1)
    needed = np.take_along_axis(place, members.astype(np.int64), axis=1)
    return int(np.quantile(needed, COVERED, method="higher")) + 1


class _Neighbours:
    """The nearest rows of each one who asks, without the very nearest, which is itself.

    Args:
        asked: float32, shape (asked, dim).
        rows: How many will be added, at least 1.
    """

    def __init__(self, asked: Vectors, rows: int) -> None:
        self._asked = asked
        self._most = min(NEIGHBOURS + 1, rows)
        self._scores = np.full((len(asked), self._most), -np.inf, np.float32)
        self._rows = np.zeros((len(asked), self._most), np.int64)

    def add(self, first: int, block: Vectors) -> None:
        numbers = np.arange(first, first + len(block))
        for start in range(0, len(self._asked), TOGETHER):
            scores = self._asked[start : start + TOGETHER] @ block.T
            least = self._scores[start : start + TOGETHER, -1:]
            # Few blocks hold a nearer row than those found before.
            near = np.flatnonzero((scores > least).any(axis=1))
            self._merge(start + near, scores[near], numbers)

    def _merge(self, asks: NDArray[np.int64], scores: Vectors, numbers: NDArray[np.int64]) -> None:
        """Take the rows of a block into the neighbours of some of those who ask."""
        merged = np.hstack([self._scores[asks], scores])
        rows = np.hstack([self._rows[asks], np.broadcast_to(numbers, scores.shape)])
        best = np.argpartition(-merged, self._most - 1, axis=1)[:, : self._most]
        order = np.argsort(-np.take_along_axis(merged, best, axis=1), axis=1)
        best = np.take_along_axis(best, order, axis=1)
        self._scores[asks] = np.take_along_axis(merged, best, axis=1)
        self._rows[asks] = np.take_along_axis(rows, best, axis=1)

    @property
    def rows(self) -> NDArray[np.int64]:
        return self._rows[:, 1:]
