"""Scans of codes and lists find what an exact search finds, and no file can end the process."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from oracle import decode, exact_search
from plain_reader import edit
from store_factory import dense, doc_id_of, keyword, new_store, put, unit

from ragkit.errors import IndexCorruptError
from ragkit.protocols import SearchRequest
from ragkit.records import Filter
from ragkit.store.local import ivf
from ragkit.store.local.coded import CodedSegments, Segment
from ragkit.store.local.disk import MissingRowsError
from ragkit.store.local.files import RowFile, SegmentFiles
from ragkit.store.local.ivf import build, open_lists
from ragkit.store.local.rotation import ROTATION, rotated
from ragkit.store.local.scan import CodeScan, RowEncoder, centre_of
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

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


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> Path:
    made = new_store(tmp_path_factory.mktemp("scan") / "index", DIM, SIZES)
    with closing(made), made.writing("index") as writer:
        for first in range(0, ROWS, 110):
            texts = [str(i) for i in range(first, first + 110)]
            put(writer, f"{first // 110 % 2}/{first}.txt", texts, vectors=rows[first : first + 110])
            writer.commit()
    return made.path


@pytest.fixture
def store(made_once: Path, tmp_path: Path) -> LocalStore:
    """Two full segments with lists, and one that is scanned exactly."""
    return LocalStore(shutil.copytree(made_once, tmp_path / "index"), sizes=SIZES)


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
        numbers, codes = scan.add(0, ROWS)
        numbers[:], codes[:] = np.arange(ROWS), encoder.encode(halves)
        hits = 0
        for query in queries:
            turned = rotated(query[None], rotation)[0]
            numbers, _ = scan.nearest(turned, 40, everything, np.zeros(1, np.int64))
            expected = {i for i, _ in exact_search(decode(rows), query, 10)}
            hits += len(expected & set(numbers.tolist()))
        return hits / (10 * len(queries))

    assert found(ROTATION) >= found(None) + 0.1


@pytest.fixture
def lists_file(tmp_path: Path, rows: Any) -> Path:
    """The lists of all rows."""
    halves = rows.astype("<f2")
    made = build(lambda first, end: halves[first:end], ROWS, 32)
    path = tmp_path / "00000001.ivf"
    path.write_bytes(made.to_bytes())
    return path


def test_lists_are_on_the_disk_as_the_page_states(lists_file: Path, rows: Any) -> None:
    data = lists_file.read_bytes()
    count, dim, lists, probes, rotation = np.frombuffer(data[8:28], "<u4").tolist()
    assert (data[:8], count, dim, lists, rotation) == (b"ragkivf1", ROWS, DIM, 32, 1)
    assert 1 <= probes <= 32
    centres, members, size = 32, 32 + 2 * 32 * DIM + 4 * 32, DIM // 8 + 8
    body = data[centres : members + ROWS]
    assert int.from_bytes(data[28:32], "little") == zlib.crc32(data[8:28] + body)
    assert len(data) == members + ROWS + ROWS * size
    member = np.frombuffer(data[members : members + ROWS], np.uint8)
    checksums = np.frombuffer(data[members - 4 * 32 : members], "<u4")
    codes = data[members + ROWS :]
    near = rotated(rows.astype("<f2").astype(np.float32))
    means = np.frombuffer(data[centres : centres + 2 * 32 * DIM], "<f2").reshape(32, DIM)
    distances = np.linalg.norm(near[:, None] - means.astype(np.float32)[None], axis=2)
    assert (distances.argmin(axis=1) == member).mean() > 0.99  # but for ties within rounding
    done = 0
    for i in range(32):
        end = done + int((member == i).sum()) * size
        assert zlib.crc32(codes[done:end]) == checksums[i]
        done = end


def test_lists_hold_each_row_once_and_their_codes_are_made_again_alike(
    lists_file: Path, tmp_path: Path, rows: Any
) -> None:
    lists = open_lists(lists_file, ROWS, DIM)
    assert lists is not None
    numbers = np.concatenate([lists.numbers(i) for i in range(32)])
    assert sorted(numbers.tolist()) == list(range(ROWS))
    (tmp_path / "rows").write_bytes(rows.astype("<f2").tobytes())
    file = RowFile(tmp_path / "rows", ROWS, DIM)
    for place in range(32):
        codes = lists.codes(place)
        assert codes is not None
        np.testing.assert_array_equal(codes, lists.encoded(place, file, lists.centres[place]))


def found_share(store: LocalStore, rows: Any, queries: Any) -> float:
    """The share of the ten nearest of all rows that a search finds; a text is its row's number."""
    decoded, found = decode(rows), 0
    for query in queries:
        expected = {i for i, _ in exact_search(decoded, query, 10)}
        found += len(expected & {int(h.text) for h in dense(store, query, 10)})
    return found / (10 * len(queries))


def centres_of(path: Path) -> bytes:
    """The centres of a lists file, by the page's table."""
    data = path.read_bytes()
    lists = int.from_bytes(data[16:20], "little")
    return data[32 : 32 + 2 * lists * DIM]


def test_segments_that_are_alike_have_the_same_centres(store: LocalStore) -> None:
    first, second = sorted((store.path / "vectors").glob("*.ivf"))
    assert centres_of(first) == centres_of(second)


def test_a_segment_of_another_kind_gets_centres_of_its_own_and_both_are_searched(
    tmp_path: Path, rows: Any
) -> None:
    # The first, around one topic, has lists of which a search scans nearly all.
    random = np.random.default_rng(5)
    other = unit(rows[0] + 0.2 * unit(random.standard_normal((SIZES.rows, DIM))))
    both = np.concatenate([other, rows[: SIZES.rows]])
    store = new_store(tmp_path / "index", DIM, SIZES)
    with store.writing("index") as writer:
        for first in range(0, len(both), SIZES.rows):
            texts = [str(i) for i in range(first, first + SIZES.rows)]
            put(writer, f"{first}.txt", texts, vectors=both[first : first + SIZES.rows])
            writer.commit()
    one, two = sorted((store.path / "vectors").glob("*.ivf"))
    assert centres_of(one) != centres_of(two)
    probes = [int.from_bytes(path.read_bytes()[20:24], "little") for path in (one, two)]
    assert probes[1] < 0.7 * probes[0]
    queries = unit(both[::51] + 0.02 * random.standard_normal((len(both[::51]), DIM)))
    assert found_share(store, both, queries) >= 0.99
    assert check_index(store.path) == []


def test_a_segment_that_needs_many_lists_gets_them_beside_alike_ones_that_need_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ivf, "POOR", 1.0)  # the narrow ones take the centres of the wide one
    random = np.random.default_rng(3)
    topics = random.standard_normal((60, DIM))
    wide = unit(topics[random.integers(0, 60, 1024)] + 2 * random.standard_normal((1024, DIM)))
    texts = topics[random.integers(0, 60, 100)] + 0.3 * random.standard_normal((100, DIM))
    narrow = unit(
        unit(texts)[random.integers(0, 100, 3072)] + 0.02 * random.standard_normal((3072, DIM))
    )
    both = np.concatenate([wide, narrow])
    sizes = SegmentSizes(rows=1024, coded=256, listed=8)
    store = new_store(tmp_path / "index", DIM, sizes)
    with store.writing("index") as writer:
        for first in range(0, len(both), 1024):
            here = [str(i) for i in range(first, first + 1024)]
            put(writer, f"{first}.txt", here, vectors=both[first : first + 1024])
            writer.commit()
    files = sorted((store.path / "vectors").glob("*.ivf"))
    assert len({centres_of(path) for path in files}) == 1
    assert found_share(store, both, wide[::25]) >= 0.99


def test_lists_of_other_numbers_are_searched_side_by_side(store: LocalStore, rows: Any) -> None:
    """As beside those that an older ragkit made, of half as many centres."""
    path = store.path / "vectors" / "00000001.ivf"
    read = SegmentFiles(path.parent, DIM).open_rows(1, SIZES.rows).block
    path.write_bytes(build(read, SIZES.rows, SIZES.rows // SIZES.listed // 2).to_bytes())
    assert recall(store, rows) >= 0.99
    even = np.arange(ROWS) // 110 % 2 == 0
    assert recall(store, rows, even, filter=Filter(paths=("0/*",))) >= 0.99
    assert check_index(store.path) == []


def test_lists_that_cannot_be_read_keep_no_others_from_being_made(
    store: LocalStore, rows: Any
) -> None:
    first, second = sorted((store.path / "vectors").glob("*.ivf"))
    first.unlink()
    first.mkdir()
    second.unlink()
    with LocalStore(store.path, sizes=SIZES).writing("index") as writer:
        put(writer, "new.txt", ["new"], vectors=-rows[:1])
        writer.commit()
        put(writer, "newer.txt", ["newer"], vectors=-rows[1:2])
    assert second.is_file()
    assert recall(LocalStore(store.path), rows) >= 0.99


def test_lists_are_made_in_little_memory() -> None:
    many = drawn(16_384, seed=3)

    tracemalloc.start()
    try:
        build(lambda first, end: many[first:end].astype(np.float16), len(many), ivf.MOST_LISTS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    # Three blocks, and what ranks neighbours and lists.
    assert peak < 3 * 2048 * many.shape[1] * 4 + 8e6


def test_a_flipped_bit_in_lists_is_seen_wherever_it_is(lists_file: Path) -> None:
    whole = lists_file.read_bytes()
    codes = 32 + 2 * 32 * DIM + 4 * 32 + ROWS
    for place in (0, 9, 17, 21, 25, 29, 40, 2000, codes - 1):
        lists_file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="is damaged"):
            open_lists(lists_file, ROWS, DIM)
    lists_file.write_bytes(whole[:codes] + bytes([whole[codes] ^ 1]) + whole[codes + 1 :])
    lists = open_lists(lists_file, ROWS, DIM)
    assert lists is not None
    assert [i for i in range(32) if lists.codes(i) is None] == [
        next(i for i in range(32) if len(lists.numbers(i)))
    ]
    for length in (20, 31, len(whole) - 1):
        lists_file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is damaged"):
            open_lists(lists_file, ROWS, DIM)
    lists_file.write_bytes(whole)
    assert open_lists(lists_file, ROWS - 1, DIM) is None  # of another state of the segment
    lists_file.unlink()
    assert open_lists(lists_file, ROWS, DIM) is None


def test_a_search_of_lists_finds_what_an_exact_search_finds(store: LocalStore, rows: Any) -> None:
    assert sorted(f.name for f in (store.path / "vectors").iterdir()) == [
        "00000001.f16", "00000001.ivf", "00000002.f16", "00000002.ivf", "00000003.f16",
    ]  # fmt: skip
    assert recall(store, rows) >= 0.99
    even = np.arange(ROWS) // 110 % 2 == 0
    assert recall(store, rows, even, filter=Filter(paths=("0/*",))) >= 0.99
    few = np.arange(ROWS) // 110 == 3
    assert recall(store, rows, few, filter=Filter(paths=("1/330.txt",))) >= 0.99
    assert check_index(store.path) == []


def test_lists_are_derived(store: LocalStore, rows: Any, caplog: pytest.LogCaptureFixture) -> None:
    first, second = sorted((store.path / "vectors").glob("*.ivf"))
    kept = first.read_bytes(), second.read_bytes()
    first.unlink()
    second.write_bytes(second.read_bytes()[:-7])
    assert recall(LocalStore(store.path), rows) >= 0.99
    assert "the codes of segment 2 are damaged" in caplog.text
    assert [(p.invariant, p.severity) for p in check_index(store.path)] == [
        ("codes", "should"), ("lists", "should"),
    ]  # fmt: skip
    with LocalStore(store.path, sizes=SIZES).writing("index") as writer:
        put(writer, "new.txt", ["new"], vectors=-rows[:1])
        writer.commit()
        put(writer, "newer.txt", ["newer"], vectors=-rows[1:2])
    assert (first.read_bytes(), second.read_bytes()) == kept
    assert check_index(store.path) == []


def test_a_list_that_could_not_be_read_is_read_whole_the_next_time(
    store: LocalStore, rows: Any
) -> None:
    files = SegmentFiles(store.path / "vectors", DIM)
    file, vectors = files.lists_path(1), store.path / "vectors" / "00000001.f16"
    sound = file.read_bytes(), vectors.read_bytes()
    every = {1: np.full(SIZES.rows // 8, 255, np.uint8)}
    coded = CodedSegments(files)
    coded.follow(
        [Segment(1, SIZES.rows, rows[0], ROTATION, None)], {1: files.open_rows(1, SIZES.rows)}
    )
    # The codes of the last list are to be made again from rows, and these are not all there.
    file.write_bytes(sound[0][:-1] + bytes([sound[0][-1] ^ 1]))
    vectors.write_bytes(b"")
    with pytest.raises(MissingRowsError):
        [list(coded.nearest(row, 10, every)) for row in rows[:40]]
    file.write_bytes(sound[0])
    vectors.write_bytes(sound[1])
    for row in rows[:40]:
        ((found, _),) = coded.nearest(row, SIZES.rows, every)
        assert len(found) == len(set(found.tolist()))


def test_rows_that_may_be_found_are_those_of_each_search(store: LocalStore, rows: Any) -> None:
    files = SegmentFiles(store.path / "vectors", DIM)
    coded = CodedSegments(files)
    coded.follow(
        [Segment(1, SIZES.rows, rows[0], ROTATION, None)], {1: files.open_rows(1, SIZES.rows)}
    )
    every, even = (np.full(SIZES.rows // 8, bits, np.uint8) for bits in (0b11111111, 0b01010101))
    for allowed, left in ((every, {0, 1}), (even, {0}), (every, {0, 1}), (~even, {1}), (even, {0})):
        ((found, _),) = coded.nearest(rows[0], SIZES.rows, {1: allowed})
        assert {number % 2 for number in found.tolist()} == left


def test_what_a_kill_leaves_beside_lists_goes_with_the_next_write(
    store: LocalStore, rows: Any
) -> None:
    folder = store.path / "vectors"
    (folder / "00000001.rbq").write_bytes(b"codes that the lists hold too")
    (folder / "00000002.new").write_bytes(b"lists, half written")
    note = store.path / ".learned.json.k2x_1"
    note.write_text("{")
    assert recall(LocalStore(store.path), rows) >= 0.99
    with LocalStore(store.path, sizes=SIZES).writing("index") as writer:
        put(writer, "new.txt", ["new"], vectors=-rows[:1])
        writer.commit()
        put(writer, "newer.txt", ["newer"], vectors=-rows[1:2])
    assert {file.suffix for file in folder.iterdir()} == {".f16", ".ivf"}
    assert not note.exists()
    assert check_index(store.path) == []


def test_an_open_store_takes_up_lists_that_were_made_later(store: LocalStore, rows: Any) -> None:
    made = sorted((store.path / "vectors").glob("*.ivf"))
    kept = [path.read_bytes() for path in made]
    for path in made:
        path.unlink()
    assert recall(store, rows) >= 0.99
    with LocalStore(store.path, sizes=SIZES).writing("index") as writer:
        put(writer, "new.txt", ["new"], vectors=-rows[:1])
    assert [path.read_bytes() for path in made[:1]] == kept[:1]
    assert recall(store, rows) >= 0.99


def test_damaged_lists_are_told_and_the_search_finds_all_the_same(
    store: LocalStore, rows: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = [dense(store, query, 10) for query in rows[:20]]
    path = store.path / "vectors" / "00000001.ivf"
    data = bytearray(path.read_bytes())
    size = DIM // 8 + 8
    for row in range(0, SIZES.rows, 3):  # the codes' sign bits, which say all that a scan knows
        data[-(row + 1) * size] ^= 255
    path.write_bytes(data)
    assert [dense(LocalStore(store.path), query, 10) for query in rows[:20]] == found
    told = [r.message for r in caplog.records if "segment 1 are damaged" in r.message]
    assert told
    assert "00000001.ivf was changed" in told[0]
    assert [(p.invariant, p.severity) for p in check_index(store.path)] == [("lists", "should")]


def test_lists_that_are_overwritten_below_an_open_store_are_told(
    store: LocalStore, rows: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = [dense(LocalStore(store.path), query, 10) for query in rows[:20]]
    dense(store, rows[0], 10)  # it has read the centres, and some lists
    for path in (store.path / "vectors").glob("*.ivf"):
        path.write_bytes(os.urandom(5000))
    assert [dense(store, query, 10) for query in rows[:20]] == found
    assert "00000001.ivf was changed" in caplog.text


@pytest.fixture
def growing(tmp_path: Path, rows: Any) -> LocalStore:
    """A segment with codes that is not full."""
    made = new_store(tmp_path / "growing", DIM, SegmentSizes(rows=4096, coded=256))
    for first in range(0, 1000, 500):
        with made.writing("index") as writer:
            texts = [str(i) for i in range(first, first + 500)]
            put(writer, f"{first}.txt", texts, vectors=rows[first : first + 500])
    return made


@pytest.mark.parametrize("damage", ["flipped", "short"])
def test_damaged_codes_are_told_and_the_search_finds_all_the_same(
    growing: LocalStore, rows: Any, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = [dense(growing, query, 10) for query in rows[:20]]
    path = growing.path / "vectors" / "00000001.rbq"
    data = bytearray(path.read_bytes())
    if damage == "short":
        del data[-30:]
    else:
        for row in range(0, 1000, 3):
            data[row * (DIM // 8 + 8)] ^= 255
    path.write_bytes(data)
    caplog.clear()
    store = LocalStore(growing.path)
    assert [dense(store, query, 10) for query in rows[:20]] == found
    (told,) = [r.message for r in caplog.records]  # once, and not at each search
    assert "the codes of segment 1 are damaged" in told
    assert [(p.invariant, p.severity) for p in check_index(store.path)] == [("codes", "should")]


def test_the_checksum_of_codes_follows_each_commit(growing: LocalStore) -> None:
    codes = (growing.path / "vectors" / "00000001.rbq").read_bytes()
    stored = growing._connection.execute("SELECT rotation, codes_crc FROM segments").fetchone()
    assert stored == (ROTATION, zlib.crc32(codes))


def test_codes_of_an_older_index_are_searched_as_they_are(growing: LocalStore, rows: Any) -> None:
    """Without a rotation, and without a checksum; those that come are coded as those before."""
    path = growing.path / "vectors" / "00000001.rbq"
    halves = rows[:1000].astype("<f2")
    edit(growing.path, "UPDATE segments SET rotation = NULL, codes_crc = NULL")
    centre = growing._connection.execute("SELECT centre FROM segments").fetchone()[0]
    old = RowEncoder(np.frombuffer(centre, "<f4"))
    path.write_bytes(old.encode(halves).tobytes())
    assert check_index(growing.path) == []
    hits = dense(LocalStore(growing.path), rows[7], 1)
    assert [hit.text for hit in hits] == ["7"]
    with LocalStore(growing.path).writing("index") as writer:
        put(writer, "new.txt", ["new"], vectors=rows[1500:1501])
    assert path.read_bytes()[1000 * old.code_bytes :] == (
        old.encode(rows[1500:1501].astype("<f2")).tobytes()
    )
    stored = growing._connection.execute("SELECT rotation, codes_crc FROM segments").fetchone()
    assert stored == (None, None)
    assert check_index(growing.path) == []
    assert dense(LocalStore(growing.path), rows[1500], 1)[0].text == "new"


def test_a_filter_and_an_older_run_are_answered_in_full(store: LocalStore, rows: Any) -> None:
    """Hits of each mode, against a scan of the rows that may be found."""
    before = store.generation()
    with store.writing("remove") as writer:
        writer.remove([doc_id_of(f"{f // 110 % 2}/{f}.txt") for f in range(0, 1100, 110)])
    living = np.arange(ROWS) >= 1100
    assert recall(store, rows, living) >= 0.99
    assert recall(store, rows, np.ones(ROWS, bool), as_of=before) >= 0.99
    odd = np.arange(ROWS) // 110 % 2 == 1
    for globs in (("1/*",), ("[1]/*",), ("[!0]/*", "none/*")):
        chosen = Filter(paths=globs)
        assert recall(store, rows, living & odd, filter=chosen) >= 0.99
        assert recall(store, rows, odd, filter=chosen, as_of=before) >= 0.99
    for chosen, as_of, expected in (
        (Filter(), None, {2000}),
        (Filter(), before, {7, 2000}),
        (Filter(paths=("0/*",)), None, {2000}),
        (Filter(paths=("0/*",)), before, {7, 2000}),
        (Filter(paths=("1/*",)), before, set()),
        (Filter(kinds=("pdf",)), None, set()),
    ):
        found = keyword(store, "7 2000", 10, filter=chosen, as_of=as_of)
        assert {int(hit.text) for hit in found} == expected


def test_a_hybrid_search_ranks_as_its_two_sides_do(store: LocalStore, rows: Any) -> None:
    """They run side by side where there are codes."""
    for fields in ({}, {"filter": Filter(paths=("0/*",))}, {"as_of": store.generation()}):
        for number in (3, 700, 1999):
            text = f"{number} {number + 1} {number + 2}"
            request = SearchRequest(
                k=50, mode="hybrid", vector=rows[number], text=text, depth=50, **fields
            )
            hits = store.search(request)
            near = {h.text: h.rank for h in dense(store, rows[number], 50, **fields)}
            words = {h.text: h.rank for h in keyword(store, text, 50, **fields)}
            assert hits
            for hit in hits:
                assert hit.ranks is not None
                assert hit.ranks.dense == near.get(hit.text)
                assert hit.ranks.keyword == words.get(hit.text)


_SEARCHES = """
import sys
from pathlib import Path
import numpy as np
from ragkit.errors import IndexCorruptError
from ragkit.protocols import SearchRequest
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index
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
