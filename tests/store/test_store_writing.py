"""Every promise of `StoreWriter`: what a run keeps, replaces, removes and reuses."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest
from store_factory import (
    DIM,
    dense,
    doc_id_of,
    ingest,
    key_of,
    keyword,
    make_document,
    new_store,
    put,
    vector_of,
    vectors_of,
)

from ragkit.errors import (
    IndexMismatchError,
    StoreError,
)
from ragkit.records import Page
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


def test_vectors_of_another_dimension_are_refused_and_nothing_is_kept(store: LocalStore) -> None:
    with (
        pytest.raises(IndexMismatchError, match="5 dimensions"),
        store.writing("index") as writer,
    ):
        writer.add_vectors([key_of("a")], np.ones((1, 5), np.float32))
    assert store.stats().vectors == 0
    assert check_index(store.path) == []


def test_a_replaced_documents_old_chunks_are_never_found(store: LocalStore) -> None:
    ingest(store, {"a.txt": ["old zebra", "kept"], "b.txt": ["other"]})
    ingest(store, {"a.txt": ["kept", "new"]})
    found = dense(store, vector_of("old zebra"), 10)
    assert sorted(texts_of(found)) == ["kept", "new", "other"]
    assert keyword(store, "zebra") == []
    assert [d.chunks for d in store.documents()] == [2, 1]
    assert check_index(store.path) == []


def test_a_document_replaced_twice_in_one_commit_lives_once(store: LocalStore) -> None:
    with store.writing("index") as writer:
        put(writer, "a.txt", ["one"])
        put(writer, "a.txt", ["two"])
    assert texts_of(dense(store, vector_of("one"), 5)) == ["two"]
    assert texts_of(dense(store, vector_of("one"), 5, as_of=1)) == ["two"]
    assert check_index(store.path) == []


def test_removed_documents_are_not_found_and_are_counted_once(store: LocalStore) -> None:
    ingest(store, {"a.txt": ["apple"], "b.txt": ["banana"]})
    with store.writing("remove") as writer:
        gone = doc_id_of("a.txt")
        assert writer.remove([gone, gone, "0" * 32]) == 1
    assert texts_of(dense(store, vector_of("apple"))) == ["banana"]
    assert keyword(store, "apple") == []
    assert [d.path for d in store.documents()] == ["b.txt"]
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


def test_a_text_that_stands_twice_in_one_new_document_has_two_rows(store: LocalStore) -> None:
    ingest(store, {"a.txt": ["twice", "twice"]})
    assert store.stats().vectors == 2
    assert [hit.start for hit in dense(store, vector_of("twice"))] == [0, 6]
    assert check_index(store.path) == []


def test_a_stored_vector_that_nobody_owns_is_given_to_one_chunk_only(store: LocalStore) -> None:
    key = key_of("shared")
    with store.writing("index") as writer:
        writer.add_vectors([key], vectors_of(["shared"]))
        writer.commit()
        writer.add(*make_document("a.txt", ["shared"]), [key])
        writer.add(*make_document("b.txt", ["shared"]), [key])
    assert store.stats().vectors == 2
    assert texts_of(dense(store, vector_of("shared"))) == ["shared", "shared"]
    assert check_index(store.path) == []


def test_rows_of_many_statements_are_all_there_each_with_its_own(store: LocalStore) -> None:
    texts = [f"common word{i} 第{i}条" for i in range(2500)]
    ingest(store, {"a.txt": texts[:2100], "b.txt": texts[2100:]})
    assert (store.stats().chunks, store.stats().vectors) == (2500, 2500)
    for i in (0, 127, 128, 1023, 1024, 2099, 2100, 2499):
        assert texts_of(keyword(store, f"word{i}")) == [texts[i]]
        assert texts_of(dense(store, vector_of(texts[i]), 1)) == [texts[i]]
    assert check_index(store.path) == []


def test_a_vector_that_was_stored_is_known_ever_after(store: LocalStore) -> None:
    keys = [key_of(t) for t in ("a", "b", "c")]
    with store.writing("index") as writer:
        writer.add_vectors(keys[:2], vectors_of(["a", "b"]))
        assert writer.known(keys) == set(keys[:2])
    with store.writing("index") as writer:
        assert writer.known(keys) == set(keys[:2])
        writer.add(*make_document("a.txt", ["a"]), keys[:1])
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("a.txt")])
        assert writer.known(keys) == set(keys[:2])


def test_nothing_is_visible_before_the_commit(store: LocalStore) -> None:
    other = LocalStore(store.path)
    with store.writing("index") as writer:
        put(writer, "a.txt", ["a"])
        assert (dense(other, vector_of("a")), other.documents()) == ([], [])
        writer.commit()
        assert texts_of(dense(other, vector_of("a"))) == ["a"]


def test_a_run_that_fails_keeps_what_it_committed_and_nothing_else(store: LocalStore) -> None:
    def run() -> None:
        with store.writing("index") as writer:
            put(writer, "a.txt", ["a"])
            writer.commit()
            put(writer, "b.txt", ["b"])
            msg = "boom"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="boom"):
        run()
    assert [d.path for d in store.documents()] == ["a.txt"]
    with pytest.raises(StoreError, match="no closed generation 1"):
        dense(store, vector_of("a"), as_of=1)
    assert ingest(store, {"b.txt": ["b"]}) == 2
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


def test_the_blocks_own_errors_leave_it_unchanged(store: LocalStore) -> None:
    with pytest.raises(FileNotFoundError), store.writing("index"):
        raise FileNotFoundError(2, "gone", "source.txt")


def test_a_document_with_an_unknown_key_is_refused_and_the_old_one_stays(
    store: LocalStore,
) -> None:
    ingest(store, {"a.txt": ["a"]})

    def run() -> None:
        with store.writing("index") as writer:
            with pytest.raises(ValueError, match="no vector is stored"):
                writer.add(*make_document("a.txt", ["new"]), [key_of("new")])
            with pytest.raises(StoreError, match="a step of this run failed"):
                writer.commit()

    with pytest.raises(StoreError, match="a step of this run failed"):
        run()
    assert texts_of(dense(store, vector_of("a"))) == ["a"]
    assert check_index(store.path) == []


def test_a_run_that_changes_nothing_leaves_no_generation(store: LocalStore) -> None:
    ingest(store, {"a.txt": ["a"]})
    with store.writing("index") as writer:
        assert writer.known([key_of("a")]) == {key_of("a")}
        assert writer.remove([]) == 0
    assert store.stats().generation == 1


def test_an_empty_document_is_listed_and_never_found(store: LocalStore) -> None:
    ingest(store, {"empty.txt": [], "a.txt": ["a"]})
    assert [(d.path, d.chunks) for d in store.documents()] == [("a.txt", 1), ("empty.txt", 0)]
    assert [hit.path for hit in dense(store, vector_of("a"))] == ["a.txt"]


def test_documents_are_listed_by_path_with_their_pages_and_of_one_root(store: LocalStore) -> None:
    with store.writing("index") as writer:
        put(writer, "b.pdf", ["b"], pages=(Page(1, 0, 1), Page(2, 1, 1), Page(3, 1, 1)))
        put(writer, "a.txt", ["a"], encoding="gb18030")
        put(writer, "a.txt", ["a"], root="/more")
        writer.mark_stale(doc_id_of("b.pdf"), "cannot be read")
    first, second, third = store.documents()
    assert [d.root for d in (first, second, third)] == ["/docs", "/more", "/docs"]
    assert (first.encoding, third.pages, third.pages_without_text) == ("gb18030", 3, (2, 3))
    assert (third.stale, store.stats().stale) == ("cannot be read", 1)
    assert store.documents(root="/more") == [second]
    with store.writing("index") as writer:
        writer.mark_stale(doc_id_of("b.pdf"), None)
    assert store.stats().stale == 0


def test_stats_count_what_lives_and_every_row(store: LocalStore) -> None:
    ingest(store, {"a.txt": ["a", "b"], "c.txt": ["c"]})
    ingest(store, {"a.txt": ["d"]})
    stats = store.stats()
    assert (stats.generation, stats.documents, stats.chunks) == (2, 2, 2)
    assert (stats.vectors, stats.dim, stats.segments) == (4, DIM, 1)
    files = [f for f in store.path.rglob("*") if f.is_file()]
    assert stats.size_bytes == sum(f.stat().st_size for f in files)
    assert stats.embedder["name"] == "seeded"
