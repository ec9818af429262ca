"""The chunks that a filter and a generation leave to be found, as chunks and as rows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ragkit.records import MODIFIED, READING_FACTS, modified_text
from ragkit.store.local.queries import read_fields
from ragkit.store.local.rows import ROW_MASK

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from ragkit.protocols import SearchRequest
    from ragkit.records import Condition, Filter

    Numbers = NDArray[np.int64]
    Bits = dict[int, NDArray[np.uint8]]


@dataclass(frozen=True)
class Ranges:
    """Some chunks.

    Args:
        firsts: int64, shape (n,): where ranges of chunks begin, ascending; they do not touch.
        ends: Where they end, half-open.
    """

    firsts: Numbers
    ends: Numbers

    @classmethod
    def of(cls, places: Iterable[tuple[int, int]]) -> Ranges:
        """Those of documents, given first chunk and number of chunks of each, ascending."""
        firsts, counts = np.array([*places], np.int64).reshape(-1, 2).T
        return cls(*_joined(firsts, firsts + counts))

    def has(self, chunks: Numbers) -> NDArray[np.bool_]:
        """Which chunks are among them: bool, of the chunks' shape."""
        if not len(self.firsts):
            return np.zeros(len(chunks), np.bool_)
        places = np.searchsorted(self.firsts, chunks, side="right") - 1
        within: NDArray[np.bool_] = (places >= 0) & (chunks < self.ends[np.maximum(places, 0)])
        return within

    @cached_property
    def chunks(self) -> int:
        """How many they are."""
        return int((self.ends - self.firsts).sum())


@dataclass(frozen=True)
class Findable(Ranges):
    """What a request may find.

    Args:
        firsts: See `Ranges`.
        ends: See `Ranges`.
        bits: The rows of these chunks, as bits, a segment at a time.
    """

    bits: Bits

    @cached_property
    def listed(self) -> str:
        """Each of them, as JSON."""
        ranges = zip(self.firsts.tolist(), self.ends.tolist(), strict=True)
        return json.dumps([chunk for first, end in ranges for chunk in range(first, end)])


def find_findable(
    connection: sqlite3.Connection, build: int, request: SearchRequest, alive: Bits
) -> Findable:
    """What a request may find of a build.

    The rows of fewest chunks are looked up: of those that may be found, or of those that tell
    them from the living ones.

    Args:
        connection: Within a read transaction.
        build: The build.
        request: Its filter and its generation count.
        alive: The rows of living chunks, as bits, a segment at a time.
    """
    firsts, counts, lives, asked = _documents(connection, build, request).T
    ends = firsts + counts
    wanted = asked == 1
    left, entered = (lives == 1) & ~wanted, (lives == 0) & wanted
    bits = {segment: part.copy() for segment, part in alive.items()}
    if counts[left | entered].sum() < counts[wanted].sum():
        _mark(bits, _vectors(connection, firsts[left], ends[left]), on=False)
        _mark(bits, _vectors(connection, firsts[entered], ends[entered]), on=True)
    else:
        for part in bits.values():
            part[:] = 0
        _mark(bits, _vectors(connection, firsts[wanted], ends[wanted]), on=True)
    return Findable(*_joined(firsts[wanted], ends[wanted]), bits)


def _documents(connection: sqlite3.Connection, build: int, request: SearchRequest) -> Numbers:
    """First chunk, number of chunks, whether it lives, whether it may be found: int64, (n, 4)."""
    if request.filter.where:
        request.filter.require_fields(read_fields(connection))
    parameters: list[str | int] = []

    def given(value: str | int) -> str:
        parameters.append(value)
        return f"?{len(parameters)}"

    lives = f"build = {given(build)} AND died IS NULL"
    asked = lives
    if request.as_of is not None:
        then = given(request.as_of)
        asked = f"build = ?1 AND born <= {then} AND (died IS NULL OR died > {then})"
    chosen = f"{asked}{_conditions(connection, request.filter, given)}"
    rows = connection.execute(
        f"SELECT first_chunk, chunks, {lives}, {chosen} FROM documents "  # noqa: S608 -- ours
        f"WHERE chunks > 0 AND ({lives} OR {asked}) ORDER BY first_chunk",
        parameters,
    ).fetchall()
    return np.fromiter(chain.from_iterable(rows), np.int64, 4 * len(rows)).reshape(-1, 4)


def _conditions(connection: sqlite3.Connection, chosen: Filter, given: Callable[[str], str]) -> str:
    """What a filter adds to the conditions on a row of documents; `given` binds a value."""
    added = ""
    if chosen.paths:
        globs = [f"path GLOB {given(glob)}" for glob in chosen.paths if "[" not in glob]
        # What stands in brackets SQLite reads otherwise.
        patterns = [re.compile(translate(glob)) for glob in chosen.paths if "[" in glob]
        if patterns:
            connection.create_function(
                "path_matches", 1, lambda path: any(p.match(path) for p in patterns)
            )
            globs.append("path_matches(path)")
        added += f" AND ({' OR '.join(globs)})"
    if chosen.kinds:
        added += f" AND kind IN ({', '.join(map(given, chosen.kinds))})"
    for number, condition in enumerate(chosen.where):
        meets = f"meets_{number}"
        if condition.field == MODIFIED:
            connection.create_function(meets, 1, partial(_was_modified, condition))
            added += f" AND {meets}(mtime_ns)"
        else:
            connection.create_function(meets, 1, condition.is_met_by)
            documents = "SELECT document FROM fields WHERE name ="
            if condition.field in READING_FACTS:  # of a file they tell how it was read
                added += " AND origin = 'program'"
            added += f" AND id IN ({documents} {given(condition.field)} AND {meets}(value))"
    return added


def _was_modified(condition: Condition, mtime_ns: int) -> bool:
    return condition.is_met_by(modified_text(mtime_ns))


def _vectors(connection: sqlite3.Connection, firsts: Numbers, ends: Numbers) -> Numbers:
    """The vectors of ranges of chunks."""
    ids: list[tuple[int]] = []
    for bounds in zip(*(part.tolist() for part in _joined(firsts, ends)), strict=True):
        ids += connection.execute(
            "SELECT vector FROM chunks WHERE id >= ? AND id < ? AND vector NOT NULL", bounds
        ).fetchall()
    return np.fromiter(chain.from_iterable(ids), np.int64, len(ids))


def _joined(firsts: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
    """Ranges in order, with those that touch made one."""
    if not len(firsts):
        return firsts, ends
    apart = firsts[1:] != ends[:-1]
    return firsts[np.r_[True, apart]], ends[np.r_[apart, True]]


def _mark(bits: Bits, vectors: Numbers, *, on: bool) -> None:
    """Set or clear the bits of vectors."""
    segments = vectors >> 32
    for segment in set(segments.tolist()):
        flags = np.unpackbits(bits[segment], bitorder="little")
        flags[vectors[segments == segment] & ROW_MASK] = on
        bits[segment] = np.packbits(flags, bitorder="little")
