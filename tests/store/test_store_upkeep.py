"""The promises of `VectorStore` about its upkeep: compact, erase, move, back up; for each store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from oracle import decode, exact_search
from store_factory import (
    dense,
    doc_id_of,
    ingest,
    key_of,
    keyword,
    make_document,
    put,
    vector_of,
    vectors_of,
)

from ragkit.errors import StoreError, UnsupportedByStoreError
from ragkit.protocols import SearchRequest
from ragkit.records import Filter
from ragkit.store.open import open_store, restore_store

if TYPE_CHECKING:
    from pathlib import Path

    from store_kinds import StoreKind

    from ragkit.protocols import VectorStore
    from ragkit.records import Hit


def texts_of(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def everything(store: VectorStore, as_of: int | None = None) -> list[Hit]:
    """All that a generation has, by meaning and by words; ranks are of the whole index."""
    query = vector_of("q")
    found = dense(store, query, 9999, as_of=as_of)
    words = keyword(store, "text", 9999, as_of=as_of)
    assert {h.chunk_id for h in words} <= {h.chunk_id for h in found}
    return found


def changing(store: VectorStore, runs: int = 6, last: int = 2) -> None:
    """A hundred documents, of which each run changes ten; all but the last runs are let go."""
    for run in range(runs):
        with store.writing("index") as writer:
            for i in range(100) if run == 0 else range(run * 10, run * 10 + 10):
                texts = [f"text {i} {j} of run {run}" for j in range(4)]
                rows = vectors_of(texts, store.embedder["dim"])
                put(writer, f"d{i:03d}.txt", texts, vectors=rows)
            writer.retain(last=last, days=0)


@pytest.mark.core
def test_compacting_changes_nothing_that_can_be_seen(store: VectorStore) -> None:
    changing(store)
    kept = [g.id for g in store.log()]
    assert kept == [6, 5]
    before = {as_of: everything(store, as_of) for as_of in (None, *kept)}
    log, commits = store.log(), store.commits()
    steps: list[tuple[int, int]] = []

    done = store.compact(lambda *step: steps.append(step))

    # Of the 50 older versions the last run's 10 are seen by generation 5.
    assert (done.documents, done.chunks) == (40, 160)
    assert done.vectors >= 160
    assert steps[-1][0] == steps[-1][1]
    assert [s for s, _ in steps] == sorted(s for s, _ in steps)
    assert {as_of: everything(store, as_of) for as_of in (None, *kept)} == before
    assert (store.log(), store.diff(5)) == (log, store.diff(5, 6))
    assert store.commits() >= commits
    assert list(store.check()) == []
    again = store.compact()
    assert (again.documents, again.chunks, again.vectors) == (0, 0, 0)


def test_what_was_compacted_is_not_found_by_words_and_writing_goes_on(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["lantern"], "b.txt": ["harbour text"]})
    with store.writing("index") as writer:
        put(writer, "a.txt", ["granite text"])
        writer.retain(last=1, days=0)
    assert store.compact().chunks == 1
    assert keyword(store, "lantern") == []
    assert texts_of(keyword(store, "granite")) == ["granite text"]
    assert store.vectors([key_of("lantern")]) == {}
    assert store.vectors([key_of("granite text")]).keys() == {key_of("granite text")}
    ingest(store, {"c.txt": ["lantern", "granite text"]})
    assert texts_of(keyword(store, "lantern")) == ["lantern"]
    assert len(everything(store)) == 4
    assert list(store.check()) == []


def test_a_cached_vector_outlives_its_owner_while_another_has_the_text(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["same"], "b.txt": ["same"]})
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("a.txt")])
        writer.retain(last=1, days=0)
    store.compact()
    (row,) = store.vectors([key_of("same")]).values()
    np.testing.assert_allclose(row, vector_of("same"), atol=1e-3)
    assert list(store.check()) == []


def test_scores_after_compacting_are_those_of_an_exact_search(store: VectorStore) -> None:
    changing(store, last=1)
    store.compact()
    texts = [f"text {i} {j} of run {i // 10 if 10 <= i < 60 else 0}"
             for i in range(100) for j in range(4)]  # fmt: skip
    rows = decode(vectors_of(texts))
    found = 0
    for query in vectors_of([f"q{i}" for i in range(20)]):
        expected = {texts[i]: score for i, score in exact_search(rows, query, 400)}
        hits = dense(store, query, 10)
        assert [h.score for h in hits] == pytest.approx([expected[h.text] for h in hits], abs=1e-5)
        found += len({*list(expected)[:10]} & {*texts_of(hits)})
    assert found >= 190  # of 200: in many dimensions of few rows codes are coarse


def test_an_open_reader_is_served_before_and_after(kind: StoreKind, store: VectorStore) -> None:
    changing(store, last=1)
    reader = kind.reopen(store)
    before = everything(reader)
    store.compact()
    assert everything(reader) == before
    reader.close()


def test_equal_scores_stay_ordered_by_age_after_compacting(store: VectorStore) -> None:
    same = vector_of("same")
    for run in range(0, 90, 9):
        with store.writing("index") as writer:
            for i in range(run, run + 9):
                texts = [f"text {i}", f"more {i}"]
                put(writer, f"{i:02d}.txt", texts, vectors=np.stack([same, same]))
        with store.writing("remove") as writer:
            writer.remove([doc_id_of(f"{i:02d}.txt") for i in range(run + 1, run + 9, 3)])
            writer.retain(last=1, days=0)
    before = texts_of(dense(store, same, 120))
    assert len(before) == 120
    store.compact()
    assert texts_of(dense(store, same, 120)) == before


def test_erasing_takes_a_document_out_of_every_generation(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["secret one", "common"], "b.txt": ["open", "common"]})
    ingest(store, {"a.txt": ["secret two", "common"]})
    erased = store.erase([doc_id_of("a.txt"), "0" * 32], "remove --erase a.txt")
    assert (erased.documents, erased.versions, erased.chunks) == (("a.txt",), 2, 4)
    assert erased.is_complete
    for as_of in (None, 1, 2):
        assert set(texts_of(dense(store, vector_of("q"), as_of=as_of))) == {"open", "common"}
    assert keyword(store, "secret") == []
    assert store.vectors([key_of("secret one"), key_of("secret two")]) == {}
    assert store.vectors([key_of("common")]).keys() == {key_of("common")}
    assert (store.log()[0].command, store.log()[0].documents_removed) == (
        "remove --erase a.txt", 1,
    )  # fmt: skip
    assert store.documents(ever=True) == store.documents()
    assert list(store.check()) == []
    assert store.erase([doc_id_of("a.txt")], "again").versions == 0


def test_documents_that_ever_were_are_listed_until_they_are_compacted(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["a"], "b.txt": ["b"]})
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("a.txt")])
        writer.retain(last=1, days=0)
    assert [d.path for d in store.documents(ever=True)] == ["a.txt", "b.txt"]
    assert [d.path for d in store.documents()] == ["b.txt"]
    store.compact()
    assert [d.path for d in store.documents(ever=True)] == ["b.txt"]


def test_moving_a_folder_keeps_chunks_and_vectors_and_earlier_places(store: VectorStore) -> None:
    with store.writing("index") as writer:
        writer.ask_for(["/docs", "/docs/sub", "/else"])
        put(writer, "sub/a.txt", ["one text", "two"])
        put(writer, "b.txt", ["bee"])
    before = {h.text: (h.score, h.start, h.end) for h in dense(store, vector_of("q"))}
    with store.writing("move") as writer:
        assert writer.move("/docs", "/papers") == 2
    assert {(d.root, d.path) for d in store.documents()} == {
        ("/papers", "sub/a.txt"), ("/papers", "b.txt"),
    }  # fmt: skip
    hits = dense(store, vector_of("q"))
    assert {h.text: (h.score, h.start, h.end) for h in hits} == before
    assert {(h.root, h.doc_id) for h in hits} == {
        ("/papers", doc_id_of(p, "/papers")) for p in ("sub/a.txt", "b.txt")
    }
    assert {h.root for h in dense(store, vector_of("q"), as_of=1)} == {"/docs"}
    assert texts_of(keyword(store, "text")) == ["one text"]
    assert store.sources() == ["/else", "/papers", "/papers/sub"]
    with store.writing("move") as writer:
        assert writer.move("/nowhere", "/x") == 0
    assert list(store.check()) == []


def test_moving_a_folder_within_its_root_and_a_file_out_of_it(store: VectorStore) -> None:
    ingest(store, {"sub/a.txt": ["a"], "b.txt": ["b"], "subway.txt": ["c"]})
    with store.writing("move") as writer:
        assert writer.move("/docs/sub", "/docs/new/place") == 1
        assert writer.move("/docs/b.txt", "/else/c.txt") == 1
    assert {(d.root, d.path) for d in store.documents()} == {
        ("/docs", "new/place/a.txt"), ("/else", "c.txt"), ("/docs", "subway.txt"),
    }  # fmt: skip


def test_a_move_onto_documents_that_are_there_keeps_those(store: VectorStore) -> None:
    ingest(store, {"old/a.txt": ["a"], "new/a.txt": ["a newer"], "old/b.txt": ["b"]})
    with store.writing("move") as writer:
        assert writer.move("/docs/old", "/docs/new") == 2
    assert {h.path: h.text for h in dense(store, vector_of("q"))} == {
        "new/a.txt": "a newer", "new/b.txt": "b",
    }  # fmt: skip


def test_a_moved_chunk_without_a_vector_waits_on(store: VectorStore) -> None:
    with store.writing("index") as writer:
        document, chunks = make_document("a.txt", ["alpha", "beta"])
        writer.add(document, chunks, [key_of("alpha"), key_of("beta")])
        writer.move("/docs", "/papers")
    assert list(store.check()) == []
    with store.writing("index") as writer:
        writer.add_vectors([key_of("alpha")], vectors_of(["alpha"]))
    (hit,) = dense(store, vector_of("alpha"), 9)
    assert (hit.text, hit.root) == ("alpha", "/papers")
    assert list(store.check()) == []


def test_a_backup_is_the_whole_index_or_the_store_says_that_it_has_none(
    kind: StoreKind, store: VectorStore, tmp_path: Path
) -> None:
    changing(store)
    file = tmp_path / "ix.tar"
    if kind.no_backup:
        with pytest.raises(UnsupportedByStoreError, match=kind.no_backup):
            store.backup(file)
        return
    with store.writing("index") as writer:  # under way, and no part of it
        put(writer, "late.txt", ["late"])
        steps: list[tuple[int, int]] = []
        written = store.backup(file, lambda *step: steps.append(step))
    assert written == file.stat().st_size
    assert steps[-1][0] == steps[-1][1] > 0
    path = restore_store(file, tmp_path, "copy")
    restored = open_store(path)
    assert (path, list(restored.check())) == (tmp_path / "copy", [])
    restrict = Filter(paths=("d*",))
    request = SearchRequest(k=999, mode="hybrid", vector=vector_of("q"), text="text",
                            filter=restrict)  # fmt: skip
    assert len(restored.search(request)) == 400
    for as_of in (5, 6):
        assert everything(restored, as_of) == everything(store, as_of)
    assert restored.runs() == store.runs()[1:]
    assert ingest(restored, {"more.txt": ["more"]}) == 7
    restored.close()
    with pytest.raises(StoreError, match="is there already"):
        store.backup(file)
