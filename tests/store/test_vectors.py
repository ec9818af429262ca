"""Scans of codes and lists find what an exact search finds, and no file can end the process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from oracle import decode, exact_search
from store_factory import dense, new_store, put, unit

from ragkit.errors import IndexCorruptError
from ragkit.records import Filter
from ragkit.store.local.check import check
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.ivf import InvertedLists, build
from ragkit.store.local.rotation import ROTATION, rotated
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore
from ragkit.store.local.vectors import CodeScan, RowEncoder, centre_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DIM, ROWS = 96, 2200
SIZES = SegmentSizes(rows=1024, coded=256, listed=64)


def drawn(rows: int, seed: int) -> Any:
    """Unit rows with 70 % of their energy in 4 of 96 dimensions, around 20 topics."""
    random = np.random.default_rng(seed)
    scale = np.where(np.arange(DIM) < 4, (0.7 / 4) ** 0.5, (0.3 / (DIM - 4)) ** 0.5)
    topics = np.random.default_rng(0).standard_normal((20, DIM)) * scale
    return unit(topics[random.integers(0, 20, rows)] + random.standard_normal((rows, DIM)) * scale)


@pytest.fixture(scope="module")
def rows() -> Any:
    return drawn(ROWS, 1)


@pytest.fixture
def store(tmp_path: Path, rows: Any) -> LocalStore:
    """Two full segments with lists, and one that is scanned exactly."""
    made = new_store(tmp_path / "index", DIM, SIZES)
    with made.writing("index") as writer:
        for first in range(0, ROWS, 110):
            texts = [str(i) for i in range(first, first + 110)]
            put(writer, f"{first // 110 % 2}/{first}.txt", texts, vectors=rows[first : first + 110])
            writer.commit()
    return made


def recall(store: LocalStore, rows: Any, allowed: Any = None, **fields: Any) -> float:
    """The share of the ten nearest, of the allowed rows, that a search finds."""
    numbers = np.arange(ROWS) if allowed is None else np.flatnonzero(allowed)
    decoded = decode(rows[numbers])
    found = 0
    queries = unit(rows[:40] + 0.5 * drawn(40, 2))
    for query in queries:
        expected = {int(numbers[i]) for i, _ in exact_search(decoded, query, 10)}
        found += len(expected & {int(h.text) for h in dense(store, query, 10, **fields)})
    return found / (10 * len(queries))


def test_a_rotation_is_the_one_that_the_page_states() -> None:
    for dim in (1, 6, 24, 100):
        assert rotated(np.eye(dim, dtype=np.float32)) == pytest.approx(by_the_page(dim), abs=1e-6)


def by_the_page(dim: int) -> NDArray[np.float64]:
    """The rotation of each unit vector, as docs/format.md states it."""
    size = (dim + 7) // 8
    drawn = hashlib.shake_256(b"ragkit rotation 1").digest(4 * size)
    width = max(2**i for i in range(12) if 2**i <= dim)
    hadamard = np.array(
        [[(-1) ** (i & j).bit_count() for j in range(width)] for i in range(width)]
    ) / np.sqrt(width)
    result = np.eye(dim)
    for turn in range(4):
        for i in range(dim):
            if drawn[turn * size + i // 8] >> i % 8 & 1:
                result[:, i] *= -1
        part = slice(0, width) if turn % 2 == 0 else slice(dim - width, dim)
        result[:, part] = result[:, part] @ hadamard
    return result


def test_a_rotation_keeps_lengths_and_what_it_is_given() -> None:
    given = drawn(5, 3).astype(np.float32)
    before = given.copy()
    for vectors in (given, given[:1]):
        assert np.linalg.norm(rotated(vectors), axis=1) == pytest.approx(1, abs=1e-6)
    assert (given == before).all()
    assert rotated(given, None) is given
    with pytest.raises(ValueError, match="rotation 2 is not known"):
        rotated(given, ROTATION + 1)


def test_codes_of_uneven_vectors_need_the_rotation(rows: Any) -> None:
    halves = rows.astype("<f2")
    everything = np.full((ROWS + 7) // 8, 255, np.uint8)
    queries = unit(rows[:40] + 0.5 * drawn(40, 2)).astype(np.float32)

    def found(rotation: int | None) -> float:
        encoder = RowEncoder(centre_of(halves), rotation)
        scan = CodeScan(encoder.centres)
        scan.add(0, np.arange(ROWS), encoder.encode(halves))
        hits = 0
        for query in queries:
            turned = rotated(query[None], rotation)[0]
            numbers, _ = scan.nearest(turned, 40, everything, np.zeros(1, np.int64))
            expected = {i for i, _ in exact_search(decode(rows), query, 10)}
            hits += len(expected & set(numbers.tolist()))
        return hits / (10 * len(queries))

    assert found(ROTATION) >= found(None) + 0.1


def test_lists_hold_each_row_once_and_are_read_as_they_were_written(rows: Any) -> None:
    halves = rows.astype("<f2")
    lists = build(lambda first, end: halves[first:end], ROWS, 32)
    assert sorted(lists.order.tolist()) == list(range(ROWS))
    assert 1 <= lists.probes <= 32
    data = np.frombuffer(lists.to_bytes(), np.uint8)
    again = InvertedLists.from_bytes(data, ROWS, DIM)
    assert again is not None
    assert again.to_bytes() == lists.to_bytes()
    for place in (0, 9, 21, 40, 2000, len(data) - ROWS * 20 - 1):
        damaged = data.copy()
        damaged[place] ^= 1
        assert InvertedLists.from_bytes(damaged, ROWS, DIM) is None, place
    assert InvertedLists.from_bytes(data[:-1], ROWS, DIM) is None
    assert InvertedLists.from_bytes(data[:20], ROWS, DIM) is None
    assert InvertedLists.from_bytes(data, ROWS - 1, DIM) is None


def test_a_search_of_lists_finds_what_an_exact_search_finds(store: LocalStore, rows: Any) -> None:
    names = sorted(f.name for f in (store.path / "vectors").iterdir())
    assert [n for n in names if n.endswith(".ivf")] == ["00000001.ivf", "00000002.ivf"]
    assert recall(store, rows) >= 0.99
    even = np.arange(ROWS) // 110 % 2 == 0
    assert recall(store, rows, even, filter=Filter(paths=("0/*",))) >= 0.99
    few = np.arange(ROWS) // 110 == 3
    assert recall(store, rows, few, filter=Filter(paths=("1/330.txt",))) >= 0.99
    assert check(store.path) == []


def test_lists_are_derived(store: LocalStore, rows: Any) -> None:
    first, second = sorted((store.path / "vectors").glob("*.ivf"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-7])
    assert recall(LocalStore(store.path), rows) >= 0.99
    assert [(p.invariant, p.severity) for p in check(store.path)] == [("lists", "should")]
    second.unlink()
    with store.writing("index") as writer:
        put(writer, "new.txt", ["new"])
        writer.commit()
        put(writer, "newer.txt", ["newer"])
    assert first.exists()
    assert second.exists()
    assert check(store.path) == []


def test_an_open_store_takes_up_lists_that_were_made_later(store: LocalStore, rows: Any) -> None:
    made = sorted((store.path / "vectors").glob("*.ivf"))
    kept = [path.read_bytes() for path in made]
    for path in made:
        path.unlink()
    assert recall(store, rows) >= 0.99
    with LocalStore(store.path, sizes=SIZES).writing("index") as writer:
        put(writer, "new.txt", ["new"])
    assert [path.read_bytes() for path in made[:1]] == kept[:1]
    assert recall(store, rows) >= 0.99


_SEARCHES = """
import sys
from pathlib import Path
import numpy as np
from ragkit.errors import IndexCorruptError
from ragkit.protocols import SearchRequest
from ragkit.store.local.store import LocalStore
store = LocalStore(Path(sys.argv[1]))
request = SearchRequest(text="q", vector=np.full(96, 96**-0.5, np.float32), k=5, mode="dense")
print(len(store.search(request)), flush=True)
sys.stdin.readline()
try:
    store.search(request)
except IndexCorruptError as exc:
    print(exc)
"""


@pytest.mark.parametrize("segment", [1, 3])
def test_a_file_that_shrinks_below_an_open_store_is_an_error(
    store: LocalStore, segment: int
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", _SEARCHES, str(store.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "5\n"
    os.truncate(SegmentFiles(store.path / "vectors", DIM).rows_path(segment), 0)
    said, _ = child.communicate("\n")
    assert child.returncode == 0
    assert "invariant rows-exist is broken" in said


def test_a_search_checks_the_rows_that_it_reports(store: LocalStore, rows: Any) -> None:
    path = SegmentFiles(store.path / "vectors", DIM).rows_path(1)
    data = bytearray(path.read_bytes())
    data[2 * DIM * 7 + 1] ^= 1  # the lowest exponent bit of a component of row 7
    path.write_bytes(data)
    with pytest.raises(IndexCorruptError, match="row-checksum"):
        dense(LocalStore(store.path), rows[7], 5)
