"""Every promise of `StoreWriter`, for each store there is: what a run keeps and changes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
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
    manifest_of,
    put,
    vector_of,
    vectors_of,
)

from ragkit.errors import (
    IndexMismatchError,
    StoreError,
)
from ragkit.records import Page

if TYPE_CHECKING:
    from pathlib import Path

    from store_kinds import StoreKind

    from ragkit.protocols import VectorStore
    from ragkit.records import Hit


def texts_of(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def test_vectors_of_another_dimension_are_refused_and_nothing_is_kept(store: VectorStore) -> None:
    with (
        pytest.raises(IndexMismatchError, match="5 dimensions"),
        store.writing("index") as writer,
    ):
        writer.add_vectors([key_of("a")], np.ones((1, 5), np.float32))
    assert store.stats().vectors == 0
    assert list(store.check()) == []


@pytest.mark.core
def test_a_replaced_documents_old_chunks_are_never_found(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["old zebra", "kept"], "b.txt": ["other"]})
    ingest(store, {"a.txt": ["kept", "new"]})
    found = dense(store, vector_of("old zebra"), 10)
    assert sorted(texts_of(found)) == ["kept", "new", "other"]
    assert keyword(store, "zebra") == []
    assert [d.chunks for d in store.documents()] == [2, 1]
    assert list(store.check()) == []


def test_a_document_replaced_twice_in_one_commit_lives_once(store: VectorStore) -> None:
    with store.writing("index") as writer:
        put(writer, "a.txt", ["one"])
        put(writer, "a.txt", ["two"])
    assert texts_of(dense(store, vector_of("one"), 5)) == ["two"]
    assert texts_of(dense(store, vector_of("one"), 5, as_of=1)) == ["two"]
    assert list(store.check()) == []


def test_removed_documents_are_not_found_and_are_counted_once(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["apple"], "b.txt": ["banana"]})
    with store.writing("remove") as writer:
        gone = doc_id_of("a.txt")
        assert writer.remove([gone, gone, "0" * 32]) == 1
    assert texts_of(dense(store, vector_of("apple"))) == ["banana"]
    assert keyword(store, "apple") == []
    assert [d.path for d in store.documents()] == ["b.txt"]
    assert list(store.check()) == []


def test_a_text_that_stands_twice_in_one_new_document_has_two_rows(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["twice", "twice"]})
    assert store.stats().vectors == 2
    assert [hit.start for hit in dense(store, vector_of("twice"))] == [0, 6]
    assert list(store.check()) == []


def test_a_stored_vector_that_nobody_owns_is_given_to_one_chunk_only(store: VectorStore) -> None:
    key = key_of("shared")
    with store.writing("index") as writer:
        writer.add_vectors([key], vectors_of(["shared"]))
        writer.commit()
        writer.add(*make_document("a.txt", ["shared"]), [key])
        writer.add(*make_document("b.txt", ["shared"]), [key])
    assert store.stats().vectors == 2
    assert texts_of(dense(store, vector_of("shared"))) == ["shared", "shared"]
    assert list(store.check()) == []


def test_rows_of_many_statements_are_all_there_each_with_its_own(store: VectorStore) -> None:
    texts = [f"common word{i} 第{i}条" for i in range(2500)]
    ingest(store, {"a.txt": texts[:2100], "b.txt": texts[2100:]})
    assert (store.stats().chunks, store.stats().vectors) == (2500, 2500)
    for i in (0, 127, 128, 1023, 1024, 2099, 2100, 2499):
        assert texts_of(keyword(store, f"word{i}")) == [texts[i]]
        assert texts_of(dense(store, vector_of(texts[i]), 1)) == [texts[i]]
    assert list(store.check()) == []


def test_a_vector_that_was_stored_is_known_ever_after(store: VectorStore) -> None:
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


@pytest.mark.core
def test_nothing_is_visible_before_the_commit(kind: StoreKind, store: VectorStore) -> None:
    with closing(kind.reopen(store)) as other, store.writing("index") as writer:
        put(writer, "a.txt", ["a"])
        assert (dense(other, vector_of("a")), other.documents()) == ([], [])
        writer.commit()
        assert texts_of(dense(other, vector_of("a"))) == ["a"]


@pytest.mark.core
def test_a_run_that_fails_keeps_what_it_committed_and_nothing_else(store: VectorStore) -> None:
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
    with pytest.raises(StoreError, match="no finished run 1"):
        dense(store, vector_of("a"), as_of=1)
    assert ingest(store, {"b.txt": ["b"]}) == 2
    assert list(store.check()) == []


def test_the_blocks_own_errors_leave_it_unchanged(store: VectorStore) -> None:
    with pytest.raises(FileNotFoundError), store.writing("index"):
        raise FileNotFoundError(2, "gone", "source.txt")


def test_a_step_that_fails_halfway_spoils_the_run_and_the_old_document_stays(
    store: VectorStore,
) -> None:
    ingest(store, {"a.txt": ["a"]})
    document, chunks = make_document("a.txt", ["new", "newer"])

    def run() -> None:
        with store.writing("index") as writer:
            with pytest.raises(ValueError, match="zip"):
                writer.add(document, chunks, [key_of("new")])
            with pytest.raises(StoreError, match="a step of this run failed"):
                writer.commit()

    with pytest.raises(StoreError, match="a step of this run failed"):
        run()
    assert texts_of(dense(store, vector_of("a"))) == ["a"]
    assert list(store.check()) == []


def test_a_run_that_changes_nothing_leaves_no_generation(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["a"]})
    with store.writing("index") as writer:
        assert writer.known([key_of("a")]) == {key_of("a")}
        assert writer.remove([]) == 0
    assert store.stats().generation == 1


def test_an_empty_document_is_listed_and_never_found(store: VectorStore) -> None:
    ingest(store, {"empty.txt": [], "a.txt": ["a"]})
    assert [(d.path, d.chunks) for d in store.documents()] == [("a.txt", 1), ("empty.txt", 0)]
    assert [hit.path for hit in dense(store, vector_of("a"))] == ["a.txt"]


def test_documents_are_listed_by_path_with_their_pages_and_of_one_root(store: VectorStore) -> None:
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


def test_stats_count_what_lives_and_every_row(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["a", "b"], "c.txt": ["c"]})
    ingest(store, {"a.txt": ["d"]})
    stats = store.stats()
    assert (stats.generation, stats.documents, stats.chunks) == (2, 2, 2)
    assert (stats.vectors, stats.dim, stats.segments) == (4, DIM, 1)
    assert stats.size_bytes > 0
    assert stats.embedder["name"] == "seeded"


# Chunks that wait for their vectors ----------------------------------------------------------


def add_words(store: VectorStore, documents: dict[str, list[str]]) -> None:
    """Add documents whose keys are not known, in one run."""
    with store.writing("index") as writer:
        for path, texts in documents.items():
            document, chunks = make_document(path, texts)
            writer.add(document, chunks, [key_of(text) for text in texts])


def test_a_chunk_without_a_vector_is_found_by_words_and_waits(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["first zebra"]})
    add_words(store, {"b.txt": ["second zebra", "third"]})
    assert sorted(texts_of(keyword(store, "zebra"))) == ["first zebra", "second zebra"]
    assert texts_of(dense(store, vector_of("third"), 10)) == ["first zebra"]
    assert [(key, hit.text) for key, hit in store.waiting()] == [
        (key_of("second zebra"), "second zebra"),
        (key_of("third"), "third"),
    ]
    assert store.stats().waiting == 2
    assert list(store.check()) == []


def test_a_vector_goes_to_all_chunks_that_wait_for_it(store: VectorStore) -> None:
    add_words(store, {"a.txt": ["same", "other"], "b.txt": ["same"]})
    with store.writing("index") as writer:
        writer.add_vectors([key_of("same")], vectors_of(["same"]))
    found = dense(store, vector_of("same"), 10)
    assert [(hit.path, hit.text) for hit in found] == [("a.txt", "same"), ("b.txt", "same")]
    assert [hit.score for hit in found] == pytest.approx([1.0, 1.0], abs=1e-3)
    assert [hit.text for _, hit in store.waiting()] == ["other"]
    assert list(store.check()) == []


def test_what_was_removed_or_replaced_waits_no_more(store: VectorStore) -> None:
    add_words(store, {"a.txt": ["one"], "b.txt": ["two"]})
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("a.txt")])
    add_words(store, {"b.txt": ["three"]})
    assert [hit.text for _, hit in store.waiting()] == ["three"]


def test_more_chunks_than_are_read_at_once_are_all_given_once(store: VectorStore) -> None:
    texts = [f"text {i}" for i in range(1300)]
    add_words(store, {"a.txt": texts[:700], "b.txt": texts[700:]})
    given = []
    for key, hit in store.waiting():
        given.append(hit.text)
        if len(given) == 1:  # a vector that comes meanwhile: of a chunk that was not read yet
            with store.writing("index") as writer:
                writer.add_vectors([key_of("text 1299")], vectors_of(["text 1299"]))
        assert key == key_of(hit.text)
    assert given in (texts[:-1], texts)


def test_a_documents_content_is_what_was_added(store: VectorStore) -> None:
    document, chunks = make_document(
        "a/b.md",
        ["first", "second"],
        title="B",
        kind="markdown",
        encoding="utf-8",
        pages=(Page(1, 0, 6), Page(2, 6, 6), Page(3, 6, 12)),
        metadata={"author": ["Ada", "Bob"], "notes": ["odd"]},
    )
    chunks = [replace(c, page=page) for c, page in zip(chunks, (1, 3), strict=True)]
    with store.writing("index") as writer:
        writer.add(document, chunks, [key_of(c.text) for c in chunks])
    content = store.content(document.doc_id)
    assert content is not None
    assert replace(content[0], text="") == replace(document, text="")
    assert content[0].text.split() == document.text.split()
    assert len(content[0].text) == len(document.text)
    assert content[1] == chunks
    assert all(content[0].text[c.start : c.end] == c.text for c in chunks)
    assert store.content(doc_id_of("other")) is None


def test_a_store_without_an_embedder_takes_words_and_gets_one_later(
    kind: StoreKind, tmp_path: Path
) -> None:
    with closing(kind.create(tmp_path / "index", 0)) as store:
        assert store.embedder == {}
        with store.writing("index") as writer:
            for path, texts in {"a.txt": ["zebra", "lion"], "b.txt": ["lion"]}.items():
                writer.add(*make_document(path, texts), [])
        assert texts_of(keyword(store, "zebra")) == ["zebra"]
        assert (store.stats().waiting, list(store.waiting())) == (0, [])
        assert list(store.check()) == []

        record, before = manifest_of(DIM)["embedder"], store.commits()
        store.give_embedder(record, lambda hit: key_of(hit.text))
        store.give_embedder(record, lambda _: b"")  # it has it already
        with pytest.raises(IndexMismatchError):
            store.give_embedder(record | {"name": "other"}, lambda _: b"")
        assert store.embedder == record
        assert store.commits() == before + 1
        assert [hit.text for _, hit in store.waiting()] == ["zebra", "lion", "lion"]
        with store.writing("index") as writer:
            writer.add_vectors([key_of("lion")], vectors_of(["lion"]))
        assert [hit.path for hit in dense(store, vector_of("lion"), 5)] == ["a.txt", "b.txt"]
        assert list(store.check()) == []
