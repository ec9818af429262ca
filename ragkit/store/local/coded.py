"""The segments that are scanned by their codes, as one search over all their lists.

Codes are derived, and each is checked once, when it is read: where they are damaged they are made
again in memory from the rows, so that a search finds what it should, and a warning tells.
"""

from __future__ import annotations

import logging
import math
import zlib
from dataclasses import dataclass
from operator import is_not
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ragkit.store.local.ivf import ListsFile, open_lists
from ragkit.store.local.rotation import rotated
from ragkit.store.local.scan import CodeScan, RowEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors
    from ragkit.store.local.files import RowFile, SegmentFiles

    Bits = dict[int, NDArray[np.uint8]]
    Found = tuple[NDArray[np.int64], Vectors]

_log = logging.getLogger(__name__)

LEAST_SHARE = 0.9  # of the lists that the most demanding of segments that are scanned as one needs
PIECE_ROWS = 1 << 14  # of a segment without lists: each core scans some of its pieces

DAMAGED = (
    "%s: the codes of segment %d are damaged (%s): they are made again for this search, which "
    "takes longer; `ragkit check` tells more"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment with codes, as the catalog names it; see docs/format.md.

    Args:
        id: Its id.
        rows: How many rows it has.
        centre: float32, shape (dim,): the mean of its first rows.
        rotation: The number of the rotation of its codes; None for none.
        codes_crc: CRC-32 of its codes; None if it was not taken.
    """

    id: int
    rows: int
    centre: Vectors
    rotation: int | None
    codes_crc: int | None


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
            rows: The rows of each, for codes whose file is missing or damaged.
        """
        known = {(s.id, self._files.lists_path(s.id).exists()) for s in segments}
        if known != self._known:
            parts = [self._part(segment, rows[segment.id]) for segment in segments]
            self._groups = [
                _Group([part for part in parts if part.rotation == rotation])
                for rotation in dict.fromkeys(part.rotation for part in parts)
            ]
            self._known = known
        for segment in segments:
            for group in self._groups:
                group.grow(segment)

    def _part(self, segment: Segment, rows: RowFile) -> _Listed | _Open:
        path = self._files.lists_path(segment.id)
        try:
            lists = open_lists(path, segment.rows, self._files.dim)
            if lists is None and not self._files.codes_path(segment.id).exists():
                # A writer may just have put the lists in the place of the codes.
                lists = open_lists(path, segment.rows, self._files.dim)
        except (OSError, ValueError) as exc:
            _log.warning(DAMAGED, self._files.folder.parent, segment.id, exc)
            lists = None
        return _Open(segment, rows, self._files) if lists is None else _Listed(segment, rows, lists)

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


class _Listed:
    """A full segment: its codes lie in inverted lists, of which a search scans some."""

    def __init__(self, segment: Segment, rows: RowFile, lists: ListsFile) -> None:
        self.segment = segment
        self.rotation: int | None = lists.rotation
        self.probes = lists.probes
        self._rows = rows
        self._lists = lists
        self._is_told = False

    @property
    def centres(self) -> NDArray[np.float16]:
        """Shape (lists, dim), as they are stored; not kept: the scan has them."""
        return self._lists.stored_centres

    def length(self, place: int) -> int:
        """How many rows a list has."""
        return len(self._lists.numbers(place))

    def read(
        self, place: int, centre: Vectors, numbers: NDArray[np.int64], codes: NDArray[np.uint8]
    ) -> None:
        """Fill in the rows of one list, of which the centre is given, and their codes."""
        numbers[:] = self._lists.numbers(place)
        if self._lists.codes(place, codes) is not None:
            return
        if not self._is_told:
            path = self._lists.path
            _log.warning(DAMAGED, path.parent.parent, self.segment.id, f"{path.name} was changed")
        self._is_told = True
        codes[:] = self._lists.encoded(place, self._rows, centre)


class _Open:
    """A segment without inverted lists: every search scans all its codes, in pieces."""

    def __init__(self, segment: Segment, rows: RowFile, files: SegmentFiles) -> None:
        self.segment = segment
        self.rotation = segment.rotation
        self._encoder = RowEncoder(segment.centre, segment.rotation)
        pieces = max(1, segment.rows // PIECE_ROWS)
        self.centres: Vectors = np.repeat(self._encoder.centres, pieces, axis=0)
        self._rows = rows
        self._files = files
        self._done = 0
        self._crc = 0

    def read(self, segment: Segment) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """The rows that are new, as pieces: its number, its first row, its codes."""
        if segment.rows == self._done:
            return
        fresh = range(self._done, segment.rows)
        codes = self._checked(segment, fresh)
        if codes is None:
            codes = self._encoder.encode(self._rows.block(fresh.start, fresh.stop))
        last = len(self.centres) - 1
        start = fresh.start
        while start < fresh.stop:
            piece = min(start // PIECE_ROWS, last)
            end = fresh.stop if piece == last else min((piece + 1) * PIECE_ROWS, fresh.stop)
            part = slice(start - fresh.start, end - fresh.start)
            yield piece, start, codes[part]
            start = end
        self._done = segment.rows

    def _checked(self, segment: Segment, fresh: range) -> NDArray[np.uint8] | None:
        """The stored codes of new rows; None: they are to be made again."""
        codes = self._files.read_codes(segment.id, fresh, self._encoder.code_bytes)
        path = self._files.codes_path(segment.id)
        before, self._crc = self._crc, segment.codes_crc or 0
        if codes is None:
            if not path.exists():
                return None  # lists may just have taken its place; `check` tells where they did not
            reason = f"{path.name} is too short"
        elif segment.codes_crc is None or zlib.crc32(codes.data, before) == segment.codes_crc:
            return codes
        else:
            reason = f"{path.name} was changed"
        _log.warning(DAMAGED, self._files.folder.parent, segment.id, reason)
        return None


class _Allowed(NamedTuple):
    """The rows of a group that may be found.

    Args:
        parts: A segment at a time; nobody changes these arrays.
        bits: All of them.
        rows: How many are set.
    """

    parts: list[NDArray[np.uint8]]
    bits: NDArray[np.uint8]
    rows: int


class _Group:
    """Segments of one rotation, which one search scans. It numbers their rows in one row.

    Those with the same centres have their lists in common.
    """

    def __init__(self, parts: Sequence[_Listed | _Open]) -> None:
        self._rotation = parts[0].rotation
        self._parts = parts
        # The number of each segment's row 0: the bits of a segment begin with a byte.
        sizes = [8 * -(-part.segment.rows // 8) for part in parts]
        self._firsts = np.cumsum([0, *sizes[:-1]])
        self._rows = sum(part.segment.rows for part in parts)
        self._segments = np.array([part.segment.id for part in parts], np.int64)
        self._grids, centres = _grids(parts)
        self._scan = CodeScan(np.concatenate(centres))
        listed = [grid.probes > 0 for grid in self._grids]
        self._unread = np.repeat(listed, [grid.lists for grid in self._grids])
        self._allowed = _Allowed([], np.empty(0, np.uint8), 0)

    def grow(self, segment: Segment) -> None:
        """Add the rows of a segment without inverted lists that are new."""
        # It is the last segment: no other's numbers follow those of its rows.
        for grid in self._grids:
            slot = grid.slots[0]
            part = self._parts[slot]
            if isinstance(part, _Open) and part.segment.id == segment.id:
                for piece, first, codes in part.read(segment):
                    new_numbers, new_codes = self._scan.add(grid.first + piece, len(codes))
                    new_numbers[:] = np.arange(len(codes)) + (self._firsts[slot] + first)
                    new_codes[:] = codes
        self._rows = max(self._rows, self._scan.rows)

    def nearest(self, query: Vectors, k: int, allowed: Bits) -> Found:
        """See `CodedSegments.nearest`."""
        query = rotated(query[None], self._rotation)[0]
        bits, count = self._bits_of(allowed)
        lists = self._chosen(query, count)
        for place in lists[self._unread[lists]].tolist():
            self._read(place)
        found, scores = self._scan.nearest(query, k, bits, lists)
        slots = np.searchsorted(self._firsts, found, side="right") - 1
        return self._segments[slots] << 32 | found - self._firsts[slots], scores

    def _read(self, place: int) -> None:
        """Give the scan a list of all segments that have it."""
        grid = next(grid for grid in reversed(self._grids) if grid.first <= place)
        own = place - grid.first
        parts = [
            (slot, part) for slot in grid.slots if isinstance(part := self._parts[slot], _Listed)
        ]
        lengths = [part.length(own) for _, part in parts]
        numbers, codes = self._scan.add(place, sum(lengths))
        centre, end = self._scan.centre(place), 0
        try:
            for (slot, part), length in zip(parts, lengths, strict=True):
                here = slice(end, end + length)
                part.read(own, centre, numbers[here], codes[here])
                numbers[here] += self._firsts[slot]
                end += length
        except BaseException:  # or half of a list would pass for all of it
            self._scan.drop(place)
            raise
        self._unread[place] = False

    def _bits_of(self, allowed: Bits) -> tuple[NDArray[np.uint8], int]:
        """The rows that may be found, as bits, and how many they are; known while they stay."""
        parts = [allowed[segment] for segment in self._segments.tolist()]
        known = self._allowed
        if len(parts) != len(known.parts) or any(map(is_not, parts, known.parts)):
            bits = np.concatenate(parts)
            count = int.from_bytes(bits.tobytes()).bit_count()
            known = self._allowed = _Allowed(parts, bits, count)
        return known.bits, known.rows

    def _chosen(self, query: Vectors, count: int) -> NDArray[np.int64]:
        """The lists to scan, where so many rows may be found.

        The fewer rows may be found, the further from the question the nearest of them are, and
        the more lists hold them; and the less it costs to scan a list. Each grid has its share:
        the many near lists of one would crowd out those of another that hold as near rows.
        """
        nearness = self._scan.nearness(query)
        wider = max(1.0, self._rows / max(1, count)) ** 0.5
        chosen = []
        for grid in self._grids:
            near = np.argsort(-nearness[grid.first : grid.first + grid.lists])
            count = math.ceil(grid.probes * wider) or grid.lists
            chosen.append(grid.first + near[:count])
        lists = np.concatenate(chosen)
        return lists[np.argsort(-nearness[lists])]


@dataclass(slots=True)
class _Grid:
    """The lists of one or several segments in a scan.

    Args:
        first: The place of the first list.
        lists: How many there are.
        slots: The segments, by their places in the group.
        needed: How many lists each of them needs to be scanned; 0: all.
    """

    first: int
    lists: int
    slots: list[int]
    needed: list[int]

    @property
    def probes(self) -> float:
        """How many to scan; 0: all.

        A mean of what is needed, which was measured on few rows: but one segment may hold other
        texts, and need far more than those beside it.
        """
        return max(sum(self.needed) / len(self.needed), LEAST_SHARE * max(self.needed))


def _grids(parts: Sequence[_Listed | _Open]) -> tuple[list[_Grid], list[Vectors]]:
    """The lists of segments, and the centres of each grid, float32, shape (lists, dim)."""
    grids: list[_Grid] = []
    centres: list[NDArray[Any]] = []
    stored: list[bytes] = []
    places = 0
    for slot, part in enumerate(parts):
        own, probes = part.centres, part.probes if isinstance(part, _Listed) else 0
        data = own.tobytes()
        alike = (
            grid
            for grid, known in zip(grids, stored, strict=True)
            if probes and grid.needed[0] and known == data
        )
        grid = next(alike, None)
        if grid is None:
            grid = _Grid(places, len(own), [], [])
            grids.append(grid)
            centres.append(own)
            stored.append(data)
            places += len(own)
        grid.slots.append(slot)
        grid.needed.append(probes)
    return grids, [own.astype(np.float32) for own in centres]
