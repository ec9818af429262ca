"""Compaction of the index on this machine: what it frees, what it leaves, how it goes on."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from make_golden_index import DIM, INDEXES
from plain_reader import read_living
from store_factory import (
    dense,
    doc_id_of,
    ingest,
    key_of,
    keyword,
    make_document,
    manifest_of,
    new_store,
    put,
    vector_of,
    vectors_of,
)

from ragkit.store.local import compaction
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from pathlib import Path

SIZES = SegmentSizes(rows=64, coded=32)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Six segments; of each third document, removed since, no generation sees anything."""
    made = new_store(tmp_path / "index", sizes=SIZES)
    ingest(made, {f"{i}.txt": [f"text {i} {j} " + "word " * 600 for j in range(6)]
                  for i in range(60)})  # fmt: skip
    with made.writing("remove") as writer:
        writer.remove([doc_id_of(f"{i}.txt") for i in range(0, 60, 3)])
        writer.retain(last=1, days=0)
    return made


def segments_of(store: LocalStore) -> dict[int, int]:
    return dict(store._connection.execute("SELECT id, rows FROM segments ORDER BY id"))


def files_of(store: LocalStore) -> set[str]:
    return {f"{file.stem}{file.suffix}" for file in (store.path / "vectors").iterdir()}


def test_the_bytes_of_what_is_gone_come_back(store: LocalStore) -> None:
    catalog = (store.path / "catalog.db").stat().st_size
    assert sorted(segments_of(store)) == [1, 2, 3, 4, 5, 6]
    done = store.compact()
    assert (done.documents, done.chunks) == (20, 120)
    assert done.size_bytes_after == store.stats().size_bytes < 0.75 * done.size_bytes_before
    assert (store.path / "catalog.db").stat().st_size < 0.75 * catalog
    assert segments_of(store) == {7: 64, 8: 64, 9: 64, 10: 48}
    lists = {f"{i:08d}.ivf" for i in (7, 8, 9)}  # of full segments, in place of their codes
    rows = {f"{i:08d}.f16" for i in (7, 8, 9, 10)}
    assert files_of(store) == rows | lists | {"00000010.rbq"}
    assert check_index(store.path) == []


def test_a_segment_of_which_little_is_gone_is_not_written_anew(store: LocalStore) -> None:
    store.compact()
    with store.writing("index") as writer:  # two rows of 64 lose their owner
        put(writer, "1.txt", [f"text 1 {j} " + "word " * 600 for j in range(4)])
        writer.retain(last=1, days=0)
    before = segments_of(store)
    store.compact()
    assert {7, 8, 9} - {min(before)} <= segments_of(store).keys()
    assert check_index(store.path) == []


def test_exact_ties_keep_their_order_when_some_of_their_rows_are_moved(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index", sizes=SegmentSizes(rows=8, coded=100))
    same = vector_of("same")
    with store.writing("index") as writer:
        for path, texts in {
            "1.txt": ["first", *"abcd"], "2.txt": list("efg"), "3.txt": ["last", *"hijklmn"]
        }.items():  # fmt: skip
            vectors = vectors_of(texts)
            if len(texts) > 3:
                vectors[0] = same
            put(writer, path, texts, vectors=vectors)
    assert segments_of(store) == {1: 8, 2: 8}
    before = [(hit.text, hit.score) for hit in dense(store, same, 2)]
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("2.txt")])
        writer.retain(last=1, days=0)
    store.compact()
    assert segments_of(store) == {2: 8, 3: 5}  # the first stands behind the last now
    assert [(hit.text, hit.score) for hit in dense(store, same, 2)] == before
    assert [text for text, _ in before] == ["first", "last"]
    assert [hit.text for hit in dense(store, same, 1)] == ["first"]


@pytest.mark.parametrize("at", [1, 2, 3, 5])
@pytest.mark.long
def test_one_that_was_ended_goes_on(
    store: LocalStore, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "DROPPED_CHUNKS", 50)
    monkeypatch.setattr(compaction, "MOVED_ROWS", 20)
    living = read_living(store.path)
    calls = 0

    def end(_done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        if calls % at == 0:
            raise KeyboardInterrupt

    ends = 0
    while True:
        calls = 0
        try:
            store.compact(end)
            break
        except KeyboardInterrupt:
            ends += 1
            assert check_index(store.path) == []
            assert read_living(store.path) == living
    assert ends > 1
    assert read_living(store.path) == living
    assert sum(segments_of(store).values()) == 240
    assert len(keyword(store, "word", 999)) == 240


def test_a_segment_with_a_damaged_row_stays_as_it_is(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    file = store.path / "vectors/00000003.f16"
    damaged = bytearray(file.read_bytes())
    damaged[2 * 16 * 10] ^= 1
    file.write_bytes(damaged)
    store.compact()
    assert 3 in segments_of(store)
    assert "segment 3 stays as it is" in caplog.text
    assert file.read_bytes() == damaged
    assert [p.invariant for p in check_index(store.path)] == ["row-checksum"]


def test_files_that_the_format_does_not_list_stay(store: LocalStore) -> None:
    mine = [store.path / "notes.txt", store.path / "vectors/00000001.bak"]
    for file in mine:
        file.write_text("mine")
    store.compact()
    assert [file.read_text() for file in mine] == ["mine", "mine"]


def test_an_unfinished_rebuild_stays(store: LocalStore) -> None:
    def fail() -> None:
        with store.rebuilding(**manifest_of(16)) as made:
            ingest(made, {"new.txt": ["new"]})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    store.compact()
    assert check_index(store.path) == []
    with store.rebuilding(**manifest_of(16)) as made:
        assert [d.path for d in made.documents()] == ["new.txt"]
    assert [h.text for h in dense(store, vector_of("new"))] == ["new"]
    assert check_index(store.path) == []


def test_an_index_without_vectors_is_compacted(tmp_path: Path) -> None:
    splitter = {"chunk_tokens": 8}
    store = LocalStore.create(tmp_path / "index", embedder={}, splitter=splitter)
    for run in range(3):
        with store.writing("index") as writer:
            text = f"lantern {run}"
            document, chunks = make_document("a.txt", [text])
            writer.add(document, chunks, [key_of(text)])
            writer.retain(last=1, days=0)
    assert store.compact().chunks == 2
    assert [h.text for h in keyword(store, "lantern")] == ["lantern 2"]
    assert check_index(store.path) == []


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_index_of_each_format_is_compacted(version: str, tmp_path: Path) -> None:
    store = LocalStore(shutil.copytree(INDEXES / version, tmp_path / version))
    before = read_living(store.path)
    with store.writing("index") as writer:
        put(writer, "new.txt", ["Something new."], vectors=vectors_of(["Something new."], DIM))
        writer.retain(last=1, days=0)
    assert store.compact().documents > 0
    after = read_living(store.path)
    assert {p: after[p] for p in before} == before
    assert [h.path for h in keyword(store, "new something")] == ["new.txt"]
    assert keyword(store, "notice")
    assert check_index(store.path) == []
    (free,) = store._connection.execute("PRAGMA freelist_count").fetchone()
    assert free == 0
