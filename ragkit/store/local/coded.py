"""The segments that are scanned by their codes, as one search over all their lists."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.ivf import InvertedLists
from ragkit.store.local.rotation import rotated
from ragkit.store.local.vectors import CodeScan, RowEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors
    from ragkit.store.local.files import RowFile, SegmentFiles

    Bits = dict[int, NDArray[np.uint8]]
    Found = tuple[NDArray[np.int64], Vectors]


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment with codes, as the catalog names it; see docs/format.md.

    Args:
        id: Its id.
        rows: How many rows it has.
        centre: float32, shape (dim,): the mean of its first rows.
        rotation: The number of the rotation of its codes; None for none.
    """

    id: int
    rows: int
    centre: Vectors
    rotation: int | None


class CodedSegments:
    """What a reader holds of the segments that have codes.

    Args:
        files: The index's vector files.
    """

    def __init__(self, files: SegmentFiles) -> None:
        self._files = files
        self._known: set[tuple[int, bool]] = set()
        self._groups: list[_Group] = []

    def follow(self, segments: Sequence[Segment], rows: Mapping[int, RowFile]) -> None:
        """Take in the rows that were added; all anew where a segment came, went or got lists.

        Args:
            segments: Those that have a centre, by id. Only the last can have grown.
            rows: The rows of each, for codes whose file is missing.
        """
        known = {(s.id, self._files.lists_path(s.id).exists()) for s in segments}
        if known != self._known:
            parts = [self._read(segment) for segment in segments]
            self._groups = [
                _Group([part for part in parts if part.rotation == rotation])
                for rotation in dict.fromkeys(part.rotation for part in parts)
            ]
            self._known = known
        for segment in segments:
            for group in self._groups:
                group.grow(segment, rows[segment.id], self._files)

    def _read(self, segment: Segment) -> _Part:
        lists = self._files.read_lists(segment.id)
        if lists is not None:
            parted = InvertedLists.from_bytes(lists, segment.rows, self._files.dim)
            if parted is not None:
                return _Part(segment, parted, parted.rotation)
        return _Part(segment, RowEncoder(segment.centre, segment.rotation), segment.rotation)

    def nearest(self, query: Vectors, k: int, allowed: Bits) -> Iterator[Found]:
        """The vector ids that seem most similar to a query, and their estimated cosines.

        Best first, apart for segments that are coded otherwise: their estimates err otherwise.

        Args:
            query: float32, shape (dim,), unit length.
            k: How many are wanted of each.
            allowed: The rows that may be found, as bits, a segment at a time.
        """
        for group in self._groups:
            yield group.nearest(query, k, allowed)


@dataclass(frozen=True, slots=True)
class _Part:
    """A segment with its inverted lists, or with what makes the codes of its one list."""

    segment: Segment
    source: InvertedLists | RowEncoder
    rotation: int | None

    @property
    def centres(self) -> Vectors:
        """float32, shape (lists, dim)."""
        return self.source.centres.astype(np.float32)


@dataclass(slots=True)
class _Open:
    """A segment without inverted lists: its codes are one list, which every search scans."""

    encoder: RowEncoder
    place: int
    first: int
    rows: int = 0


class _Group:
    """Segments of one rotation, which one search scans. It numbers their rows in one row."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._scan = CodeScan(np.concatenate([p.centres for p in parts]))
        self._rotation = parts[0].rotation
        self._segments = np.array([p.segment.id for p in parts], np.int64)
        self._firsts = np.zeros(len(parts), np.int64)  # the number of each segment's row 0
        self._open: dict[int, _Open] = {}
        self._probes = 0
        place = first = 0
        for i, part in enumerate(parts):
            self._firsts[i] = first
            if isinstance(part.source, InvertedLists):
                self._add_lists(part.source, place, first)
            else:
                self._open[part.segment.id] = _Open(part.source, place, first)
            place += len(part.source.centres)
            first += 8 * -(-part.segment.rows // 8)  # the bits of a segment begin with a byte

    def _add_lists(self, lists: InvertedLists, place: int, first: int) -> None:
        order = lists.order + first
        counts = np.bincount(lists.members, minlength=len(lists.centres))
        ends = np.cumsum(counts)
        for i, (start, end) in enumerate(zip((ends - counts).tolist(), ends.tolist(), strict=True)):
            self._scan.add(place + i, order[start:end], lists.codes[start:end])
        self._probes += lists.probes

    def grow(self, segment: Segment, rows: RowFile, files: SegmentFiles) -> None:
        """Add the rows of a segment without inverted lists that are new."""
        part = self._open.get(segment.id)
        if part is None or part.rows == segment.rows:
            return
        encoder, done = part.encoder, part.rows
        codes = files.read_codes(segment.id, segment.rows, encoder.code_bytes)
        # Codes are derived: where their file is missing or short they are made again in memory.
        fresh = encoder.encode(rows.block(done, len(rows))) if codes is None else codes[done:]
        self._scan.add(part.place, part.first + np.arange(done, segment.rows), fresh)
        part.rows = segment.rows

    def nearest(self, query: Vectors, k: int, allowed: Bits) -> Found:
        """See `CodedSegments.nearest`."""
        query = rotated(query[None], self._rotation)[0]
        bits = np.concatenate([allowed[segment] for segment in self._segments.tolist()])
        found, scores = self._scan.nearest(query, k, bits, self._chosen(query, bits))
        slots = np.searchsorted(self._firsts, found, side="right") - 1
        return self._segments[slots] << 32 | found - self._firsts[slots], scores

    def _chosen(self, query: Vectors, bits: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The lists to scan.

        The fewer rows may be found, the further from the question the nearest of them are, and
        the more lists hold them; and the less it costs to scan a list.
        """
        similarity = self._scan.similarity(query)
        similarity[[part.place for part in self._open.values()]] = np.inf
        found = max(1, int.from_bytes(bits.tobytes()).bit_count())
        probes = self._probes * max(1.0, self._scan.rows / found) ** 0.5
        count = min(len(similarity), math.ceil(probes) + len(self._open))
        return np.argsort(-similarity)[:count]
