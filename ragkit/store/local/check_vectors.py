"""The invariants that tie the vector files to the catalog; see `ragkit.store.local.check`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ragkit.store.local.disk import MissingRowsError
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.rows import ROW_MASK, vector_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlite_utils import Database

    from ragkit.protocols import Vectors
    from ragkit.store.local.files import RowFile

Severity = Literal["must", "should"]

INDEX_AGAIN = "make a new index under another name: `ragkit index FOLDER --index NAME`"
REBUILD = "`ragkit rebuild`"
NEXT_WRITE = "the next `ragkit index` removes it"
NEXT_MAKES = "the next `ragkit index` that writes makes it anew"


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which an index breaks an invariant.

    Args:
        invariant: Its name in docs/format.md.
        severity: ``must``: data is lost or wrong; ``should``: something derived is.
        detail: What is broken, and where.
        repair: What to do.
    """

    invariant: str
    severity: Severity
    detail: str
    repair: str


_BLOCK_ROWS = 4096
_FACTOR_BYTES = 8  # two float32 behind a code's sign bits
_FACTOR_TOLERANCE = 1e-3  # other processors and FAISS releases round otherwise


def vector_problems(database: Database, folder: Path, *, full: bool) -> Iterator[Problem]:
    """Verify rows-exist and, if `full`, all else that concerns the files below `folder`."""
    known = set()
    for segment in database.query("SELECT * FROM segments"):
        known.add(segment["id"])
        files = SegmentFiles(folder, segment["dim"])
        try:
            rows = files.open_rows(segment["id"], segment["rows"])
        except MissingRowsError as exc:
            yield Problem("rows-exist", "must", str(exc), REBUILD)
            continue
        if full:
            yield from _checksums(database, segment, rows)
            yield from _alive(database, segment)
            yield from _codes(files, segment, rows)
            yield from _lists(files, segment, rows)
    if full:
        for path in SegmentFiles(folder, 0).stray(known):
            yield Problem("orphans", "should", f"{path.name} belongs to no segment", NEXT_WRITE)


def _checksums(database: Database, segment: dict[str, Any], rows: RowFile) -> Iterator[Problem]:
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
        yield Problem("row-checksum", "must", detail, REBUILD)


def _stored_checksums(rows: RowFile) -> list[int]:
    checksums: list[int] = []
    for first in range(0, len(rows), _BLOCK_ROWS):
        block = rows.block(first, min(first + _BLOCK_ROWS, len(rows)))
        checksums += [zlib.crc32(row) for row in block]
    return checksums


def _alive(database: Database, segment: dict[str, Any]) -> Iterator[Problem]:
    owned = np.zeros(segment["rows"], np.uint8)
    first, end = vector_id(segment["id"], 0), vector_id(segment["id"], segment["rows"])
    living = (row["vector"] & ROW_MASK for row in database.query(
        "SELECT c.vector FROM vectors v JOIN chunks c ON c.id = v.chunk "
        "WHERE v.id >= ? AND v.id < ? AND c.vector = v.id AND c.died IS NULL", (first, end)
    ))  # fmt: skip
    while block := list(islice(living, _BLOCK_ROWS)):
        owned[block] = 1
    expected = np.packbits(owned, bitorder="little").tobytes()
    if segment["alive"].rstrip(b"\0") != expected.rstrip(b"\0"):
        detail = f"segment {segment['id']}: the bits are not the rows of living chunks"
        yield Problem("alive-bits", "must", detail, REBUILD)


def _codes(files: SegmentFiles, segment: dict[str, Any], rows: RowFile) -> Iterator[Problem]:
    if segment["centre"] is None:
        return
    from ragkit.store.local.vectors import RowEncoder

    encoder = RowEncoder(np.frombuffer(segment["centre"], "<f4"), segment.get("rotation"))
    codes = files.read_codes(segment["id"], len(rows), encoder.code_bytes)
    if codes is None:
        reason = "is missing or too short"
    elif not _same_codes(rows, codes, lambda _, block: encoder.encode(block)):
        reason = "does not hold the codes of its rows"
    else:
        return
    name = files.codes_path(segment["id"]).name
    yield Problem("codes", "should", f"{name} {reason}: slower or worse search", REBUILD)


def _lists(files: SegmentFiles, segment: dict[str, Any], rows: RowFile) -> Iterator[Problem]:
    data = files.read_lists(segment["id"])
    if data is None:
        return
    from ragkit.store.local.ivf import InvertedLists
    from ragkit.store.local.rotation import rotated
    from ragkit.store.local.vectors import CodeEncoder

    lists = InvertedLists.from_bytes(data, len(rows), files.dim)
    if lists is not None:
        encoder = CodeEncoder(lists.centres.astype(np.float32))
        codes = np.empty_like(lists.codes)
        codes[lists.order] = lists.codes

        def encode(first: int, block: NDArray[np.float16]) -> NDArray[np.uint8]:
            turned = rotated(block.astype(np.float32), lists.rotation)
            return encoder.encode(turned, lists.members[first : first + len(block)])

        if _same_codes(rows, codes, encode):
            return
    name = files.lists_path(segment["id"]).name
    detail = f"{name} does not hold the codes of its rows: slower or worse search"
    yield Problem("lists", "should", detail, f"delete {name}; {NEXT_MAKES}")


def _same_codes(
    rows: RowFile,
    codes: NDArray[np.uint8],
    encode: Callable[[int, NDArray[np.float16]], NDArray[np.uint8]],
) -> bool:
    """Whether the codes are what `encode` makes of each block, given with its first number."""
    for start in range(0, len(rows), _BLOCK_ROWS):
        stored = codes[start : start + _BLOCK_ROWS]
        made = encode(start, rows.block(start, start + len(stored)))
        bits = slice(None, -_FACTOR_BYTES)
        if (stored[:, bits] != made[:, bits]).any() or not np.allclose(
            _factors(stored), _factors(made), rtol=_FACTOR_TOLERANCE, atol=_FACTOR_TOLERANCE
        ):
            return False
    return True


def _factors(codes: NDArray[np.uint8]) -> Vectors:
    return np.ascontiguousarray(codes[:, -_FACTOR_BYTES:]).view("<f4")
