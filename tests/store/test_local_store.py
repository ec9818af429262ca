"""What is LocalStore's alone: its folder, its segments, its codes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from commands import REPOSITORY
from oracle import decode, exact_search
from store_factory import DIM, dense, doc_id_of, ingest, new_store, put, unit, vector_of, vectors_of

from ragkit.errors import IndexExistsError, IndexNotFoundError, StoreError
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ragkit.records import Hit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = new_store(tmp_path / "index")
    yield made
    made.close()


def texts_of(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def test_an_index_is_made_once(store: LocalStore) -> None:
    with pytest.raises(IndexExistsError, match="already"):
        new_store(store.path)


def test_no_index_is_not_found_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="no index at"):
        LocalStore(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_codes_find_what_an_exact_search_finds_from_8192_rows_on(tmp_path: Path) -> None:
    dim, rng = 256, np.random.default_rng(3)
    centres = unit(rng.standard_normal((60, dim)) + 1.0)
    rows = unit(centres[rng.integers(0, 60, 9000)] + 0.05 * rng.standard_normal((9000, dim)))
    queries = unit(rows[rng.integers(0, 9000, 40)] + 0.02 * rng.standard_normal((40, dim)))
    decoded = decode(rows)
    store = new_store(tmp_path / "index", dim)
    codes = store.path / "vectors" / "00000001.rbq"

    def recall(upto: int) -> float:
        found = 0
        for query in queries:
            expected = {i for i, _ in exact_search(decoded[:upto], query, 10)}
            found += len(expected & {int(h.text) for h in dense(store, query, 10)})
        return found / (10 * len(queries))

    def add(first: int, end: int) -> None:
        with store.writing("index") as writer:
            texts = [str(i) for i in range(first, end)]
            put(writer, f"{first}.txt", texts, vectors=rows[first:end])

    add(0, 8191)
    assert not codes.exists()
    assert recall(8191) == 1.0
    add(8191, 8192)
    assert codes.stat().st_size == 8192 * (dim // 8 + 8)
    add(8192, 9000)
    assert codes.stat().st_size == 9000 * (dim // 8 + 8)
    assert recall(9000) >= 0.99
    assert check_index(store.path) == []


def test_the_same_text_in_two_documents_has_two_rows_with_the_same_bytes(
    store: LocalStore,
) -> None:
    ingest(store, {"a.txt": ["shared", "own"], "b.txt": ["shared", "shared"]})
    assert store.stats().vectors == 4  # two sent to the embedder, two copied
    rows = np.fromfile(store.path / "vectors" / "00000001.f16", "<f2").reshape(-1, DIM)
    expected = vectors_of(["shared", "own", "shared", "shared"]).astype("<f2")
    np.testing.assert_array_equal(rows, expected)
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("a.txt")])
    assert texts_of(dense(store, vector_of("shared"), 9)) == ["shared", "shared"]
    assert check_index(store.path) == []


def test_a_commit_that_fails_halfway_leaves_nothing_for_the_next_one(store: LocalStore) -> None:
    def without_cache(action: int, table: str | None, *_: object) -> int:
        refused = action == sqlite3.SQLITE_INSERT and table == "embedding_cache"
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    def fail() -> None:
        with store.writing("index") as writer:
            put(writer, "a.txt", ["a"])
            writer.commit()
            put(writer, "b.txt", ["b"])
            writer._connection.set_authorizer(without_cache)
            try:
                writer.commit()
            finally:
                writer._connection.set_authorizer(None)

    with pytest.raises(StoreError):
        fail()
    assert check_index(store.path) == []
    ingest(store, {"c.txt": ["c"], "b.txt": ["b"]})
    assert check_index(store.path) == []
    best = [dense(store, vector_of(text), 1)[0].text for text in "abc"]
    assert best == ["a", "b", "c"]


def test_its_size_is_that_of_its_files(store: LocalStore) -> None:
    ingest(store, {"a.txt": ["a", "b"]})
    files = [f for f in store.path.rglob("*") if f.is_file()]
    assert store.stats().size_bytes == sum(f.stat().st_size for f in files)


# Notes ------------------------------------------------------------------------------------------


def test_a_spoilt_or_missing_file_of_notes_is_nothing_known(store: LocalStore) -> None:
    assert store.note("tokens:a") is None
    for spoilt in (b"", b"[1]", b'{"a"', b"\xff\xfe"):
        (store.path / "learned.json").write_bytes(spoilt)
        assert store.note("a") is None
    store.keep_note("tokens:a", [[1.0], [], []])
    assert json.loads((store.path / "learned.json").read_bytes()) == {"tokens:a": [[1.0], [], []]}


@pytest.mark.parametrize("obstacle", ["a folder that is gone", "a folder in the file's place"])
def test_a_note_that_cannot_be_kept_ends_nothing_and_leaves_nothing(
    store: LocalStore, tmp_path: Path, obstacle: str
) -> None:
    if obstacle == "a folder that is gone":
        store.path.rename(tmp_path / "elsewhere")
    else:
        (store.path / "learned.json").mkdir()
    before = sorted(tmp_path.rglob("*"))
    store.keep_note("tokens:a", 1)
    assert sorted(tmp_path.rglob("*")) == before
    assert store.note("tokens:a") is None


def test_two_processes_at_once_leave_a_whole_file_of_notes(store: LocalStore) -> None:
    code = (
        "import sys\n"
        "from ragkit.store.open import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "for n in range(100): store.keep_note(sys.argv[2], [n] * 500)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, store.path, name], cwd=REPOSITORY)
        for name in ("a", "b")
    ]
    learned, seen = store.path / "learned.json", []
    while any(writer.poll() is None for writer in writers):
        if learned.exists():
            seen.append(json.loads(learned.read_bytes()))

    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(seen) > 10
    assert all(len(set(values)) == 1 for found in seen for values in found.values())
    assert 99 in {(store.note(name) or [0])[0] for name in ("a", "b")}
    assert not list(store.path.glob(".learned*"))
