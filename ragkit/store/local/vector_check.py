"""Are the files of the vectors what the catalog says? The invariants of docs/format.md on them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.protocols import Violation
from ragkit.store.local.disk import MissingRowsError
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.recover import stray_files
from ragkit.store.local.rows import ROW_MASK, vector_id

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlite_utils import Database

    from ragkit.protocols import Vectors
    from ragkit.store.local.files import RowFile
    from ragkit.store.local.ivf import ListsFile

    Encode = Callable[[int, NDArray[np.float16]], NDArray[np.uint8]]

REBUILD = "`ragkit rebuild`"
REPAIR = "`ragkit check --repair`"
NEXT_RUN = "the next `ragkit index` removes it"

_BLOCK_ROWS = 4096
_CODED_ROWS = 512  # encoded at a time: they stay in the processor's cache
_CODED_SHARE = 4  # one block in so many is encoded again where a checksum covers all codes
_FACTOR_BYTES = 8  # two float32 behind a code's sign bits
_FACTOR_TOLERANCE = 1e-3  # other processors and FAISS releases round otherwise

# A build that is deleted loses its chunks before its vectors.
KEPT_SEGMENTS = (
    "SELECT s.id FROM segments s JOIN builds b ON b.id = s.build WHERE b.state != 'retired'"
)


def vector_files(database: Database, folder: Path, *, full: bool) -> Iterator[Violation]:
    """Verify rows-exist and, if `full`, all else that concerns the files below `folder`."""
    kept = f"SELECT * FROM segments WHERE rows > 0 AND id IN ({KEPT_SEGMENTS})"  # noqa: S608 -- ours
    for segment in database.query(kept):
        files = SegmentFiles(folder, segment["dim"])
        try:
            rows = files.open_rows(segment["id"], segment["rows"])
        except MissingRowsError as exc:
            yield Violation("rows-exist", "must", str(exc), REBUILD)
            continue
        if full:
            yield from _checksums(database, segment, rows)
            yield from _alive(database, segment)
            if segment["centre"] is not None:
                yield from wrong_codes(files, segment, rows)
    if full:
        for path in stray_files(database.conn, folder.parent):
            yield Violation("orphans", "should", f"{path.name} belongs to no segment", NEXT_RUN)


def _checksums(database: Database, segment: dict[str, Any], rows: RowFile) -> Iterator[Violation]:
    first, end = vector_id(segment["id"], 0), vector_id(segment["id"] + 1, 0)
    named = database.query(
        "SELECT id, crc32 FROM vectors WHERE id >= ? AND id < ? ORDER BY id", (first, end)
    )
    wrong: list[int] = []
    row = 0
    stored = _stored_checksums(rows)
    for entry in named:
        here = entry["id"] & ROW_MASK
        wrong += range(row, min(here, len(rows)))  # rows that the catalog skips
        row = here + 1
        if here >= len(rows) or stored[here] != entry["crc32"]:
            wrong.append(here)
    wrong += range(row, len(rows))
    if wrong:
        detail = f"segment {segment['id']}: {len(wrong)} rows, the first is row {wrong[0]}"
        yield Violation("row-checksum", "must", detail, REBUILD)


def _stored_checksums(rows: RowFile) -> list[int]:
    checksums: list[int] = []
    for first in range(0, len(rows), _BLOCK_ROWS):
        block = rows.block(first, min(first + _BLOCK_ROWS, len(rows)))
        checksums += [zlib.crc32(row) for row in block]
    return checksums


def owned_bits(connection: sqlite3.Connection, segment: int, rows: int) -> bytes:
    """The bits of a segment's rows: set where a row is owned by a living chunk."""
    owned = np.zeros(rows, np.uint8)
    first, end = vector_id(segment, 0), vector_id(segment, rows)
    living = connection.execute(
        "SELECT c.vector FROM vectors v JOIN chunks c ON c.id = v.chunk "
        "WHERE v.id >= ? AND v.id < ? AND c.vector = v.id AND c.died IS NULL", (first, end)
    )  # fmt: skip
    while block := living.fetchmany(_BLOCK_ROWS):
        owned[[vector & ROW_MASK for (vector,) in block]] = 1
    return np.packbits(owned, bitorder="little").tobytes()


def _alive(database: Database, segment: dict[str, Any]) -> Iterator[Violation]:
    expected = owned_bits(database.conn, segment["id"], segment["rows"])
    if segment["alive"].rstrip(b"\0") != expected.rstrip(b"\0"):
        detail = f"segment {segment['id']}: the bits are not the rows of living chunks"
        yield Violation("alive-bits", "must", detail, REPAIR)


def wrong_codes(files: SegmentFiles, segment: dict[str, Any], rows: RowFile) -> Iterator[Violation]:
    """Verify lists or, of a segment that is not full, codes: each is what its rows give."""
    from ragkit.store.local.ivf import open_lists

    path = files.lists_path(segment["id"])
    try:
        lists = open_lists(path, len(rows), files.dim)
        is_right = lists is None or _same_codes(rows, *_lists_codes(lists), every=_CODED_SHARE)
    except ValueError:
        is_right = False
    if not is_right:
        detail = f"{path.name} does not hold the codes of its rows: slower search"
        yield Violation("lists", "should", detail, REPAIR)
    elif lists is None:
        yield from _plain_codes(files, segment, rows)


def _lists_codes(lists: ListsFile) -> tuple[NDArray[np.uint8], Encode]:
    """The codes of a segment's rows as its lists hold them, and what makes them.

    Raises:
        ValueError: A list is damaged.
    """
    from ragkit.store.local.rotation import rotated
    from ragkit.store.local.scan import CodeEncoder, code_bytes

    encoder, members = CodeEncoder(lists.centres), lists.members
    codes = np.empty((lists.rows, code_bytes(lists.dim)), np.uint8)
    for place in range(len(lists.centres)):
        found = lists.codes(place)
        if found is None:
            raise ValueError(str(lists.path))
        codes[lists.numbers(place)] = found

    def encode(first: int, block: NDArray[np.float16]) -> NDArray[np.uint8]:
        turned = rotated(block.astype(np.float32), lists.rotation)
        return encoder.encode(turned, members[first : first + len(block)])

    return codes, encode


def _plain_codes(
    files: SegmentFiles, segment: dict[str, Any], rows: RowFile
) -> Iterator[Violation]:
    from ragkit.store.local.scan import RowEncoder

    encoder = RowEncoder(np.frombuffer(segment["centre"], "<f4"), segment["rotation"])
    codes = files.read_codes(segment["id"], range(len(rows)), encoder.code_bytes)
    checksum = segment["codes_crc"]
    if codes is None:
        reason = "is missing or too short"
    elif (checksum is not None and zlib.crc32(codes.data) != checksum) or not _same_codes(
        rows,
        codes,
        lambda _, block: encoder.encode(block),
        every=1 if checksum is None else _CODED_SHARE,
    ):
        reason = "does not hold the codes of its rows"
    else:
        return
    name = files.codes_path(segment["id"]).name
    yield Violation("codes", "should", f"{name} {reason}: slower search", REPAIR)


def _same_codes(rows: RowFile, codes: NDArray[np.uint8], encode: Encode, *, every: int) -> bool:
    """Whether the codes are what `encode` makes of one block in `every`, given its first number."""
    for start in range(0, len(rows), every * _CODED_ROWS):
        stored = codes[start : start + _CODED_ROWS]
        made = encode(start, rows.block(start, start + len(stored)))
        bits = slice(None, -_FACTOR_BYTES)
        if (stored[:, bits] != made[:, bits]).any() or not np.allclose(
            _factors(stored), _factors(made), rtol=_FACTOR_TOLERANCE, atol=_FACTOR_TOLERANCE
        ):
            return False
    return True


def _factors(codes: NDArray[np.uint8]) -> Vectors:
    return np.ascontiguousarray(codes[:, -_FACTOR_BYTES:]).view("<f4")
