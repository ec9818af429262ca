"""Every promise of `VectorStore`, values against an exact search, for each store there is.

Those of `StoreWriter` are in `test_store_writing.py`.
"""

from __future__ import annotations

import math
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from oracle import bm25, combine, decode, exact_search
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
    unit,
    vector_of,
    vectors_of,
)

from ragkit.errors import (
    IndexChangedError,
    IndexMismatchError,
    StoreError,
    UnsupportedByStoreError,
)
from ragkit.protocols import SearchRequest
from ragkit.records import Filter, HitRanks, Mode

if TYPE_CHECKING:
    from store_factory import Rows
    from store_kinds import MakeStore, StoreKind

    from ragkit.protocols import VectorStore
    from ragkit.records import Hit


def texts_of(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def corpus(documents: int, each: int) -> dict[str, list[str]]:
    return {f"d{d:03d}.txt": [f"text {d} {i}" for i in range(each)] for d in range(documents)}


def assert_dense_is_exact(store: VectorStore, texts: list[str], queries: Rows, k: int) -> None:
    """The store's hits are the oracle's, in order, with its scores."""
    rows = decode(vectors_of(texts, store.embedder["dim"]))
    for query in queries:
        expected = exact_search(rows, query, k)
        hits = dense(store, query, k)
        assert texts_of(hits) == [texts[i] for i, _ in expected]
        assert [hit.score for hit in hits] == pytest.approx([s for _, s in expected], abs=1e-5)
        assert [hit.rank for hit in hits] == list(range(1, len(expected) + 1))


@pytest.mark.core
def test_dense_hits_and_scores_are_those_of_an_exact_search(store: VectorStore) -> None:
    documents = corpus(30, 5)
    ingest(store, documents)
    texts = [text for texts in documents.values() for text in texts]
    assert_dense_is_exact(store, texts, vectors_of([f"q{i}" for i in range(12)]), k=10)


def test_scores_never_rise_down_the_list(make_store: MakeStore) -> None:
    store = make_store(dim=384)
    base = vector_of("base", 384)
    near = unit(base + 1e-4 * np.random.default_rng(5).standard_normal((200, 384)))
    with store.writing("index") as writer:
        put(writer, "a.txt", [str(i) for i in range(200)], vectors=near)
    for i in range(20):
        query = unit(base + vector_of(f"q{i}", 384))
        scores = [hit.score or 0.0 for hit in dense(store, query, 7 + 3 * i)]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("k", [1, 3, 10, 40, 300], ids=lambda k: f"k={k}")
def test_equal_scores_are_ordered_by_age_also_at_the_cut(make_store: MakeStore, k: int) -> None:
    store = make_store(dim=384)
    same, other = vector_of("same", 384), vector_of("other", 384)
    copies = [f"copy {i}" for i in range(200)]
    with store.writing("index") as writer:
        put(writer, "copies.txt", copies, vectors=np.tile(same, (200, 1)))
        put(writer, "z.txt", ["nearest"], vectors=other[None])
    query = unit(0.5 * same + 0.7 * other)
    assert texts_of(dense(store, query, k)) == ["nearest", *copies][:k]


def test_k_above_the_size_returns_everything(store: VectorStore) -> None:
    ingest(store, corpus(2, 3))
    assert len(dense(store, vector_of("q"), 1000)) == 6


@pytest.mark.parametrize("mode", ["dense", "keyword", "hybrid"])
def test_an_empty_index_has_no_hits(store: VectorStore, mode: str) -> None:
    request = SearchRequest(k=3, mode=mode, vector=vector_of("q"), text="q")  # type: ignore[arg-type]  # parametrised
    assert store.search(request) == []


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_an_error(store: VectorStore, k: int) -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        dense(store, vector_of("q"), k)


def test_dense_without_a_vector_is_an_error(store: VectorStore) -> None:
    with pytest.raises(ValueError, match="needs the question's vector"):
        store.search(SearchRequest(k=1, mode="hybrid", text="q"))


def test_a_query_of_another_dimension_is_a_mismatch_that_names_both(store: VectorStore) -> None:
    with pytest.raises(IndexMismatchError, match=r"5 dimensions .* has 16") as caught:
        dense(store, np.ones(5, np.float32))
    assert (caught.value.stored, caught.value.given) == ("16", "5")


def test_a_hit_is_complete(store: VectorStore) -> None:
    with store.writing("index") as writer:
        put(writer, "a/b.md", ["first", "second"], title="B", kind="markdown")
    (hit,) = dense(store, vector_of("second"), 1)
    document, chunks = make_document("a/b.md", ["first", "second"])
    assert (hit.chunk_id, hit.doc_id) == (chunks[1].chunk_id, document.doc_id)
    assert (hit.root, hit.path, hit.title, hit.kind) == ("/docs", "a/b.md", "B", "markdown")
    assert (hit.start, hit.end, hit.text) == (6, 12, "second")
    assert document.text[hit.start : hit.end] == hit.text
    assert (hit.heading, hit.page, hit.file_sha256) == (
        ("Part", "a/b.md"), None, document.file_sha256,
    )  # fmt: skip
    assert hit.score == pytest.approx(1.0, abs=1e-3)
    assert hit.ranks.dense == 1


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
@pytest.mark.parametrize("count", [18, 19, 60])
def test_the_background_is_the_mean_cosine_of_ranks_10_to_40(
    store: VectorStore, mode: Mode, count: int
) -> None:
    names = [f"{i}.md" for i in range(count)]
    ingest(store, {name: [name] for name in names})
    query = vector_of("q")
    cosines = sorted((float(vector_of(name) @ query) for name in names), reverse=True)

    hits = store.search(SearchRequest(k=2, mode=mode, vector=query, text="nothing"))

    assert len(hits) == 2
    expected = pytest.approx(np.mean(cosines[9:40]), abs=1e-3) if count > 18 else None
    assert [hit.ranks.background for hit in hits] == [expected] * 2


ODD_TEXTS = {
    "empty": "",
    "a space": " ",
    "line feeds": "\n\n",
    "a megabyte": "x" * 1_000_000,
    "emoji and marks": "👩\u200d👩\u200d👧 e\u0301",
    "CRLF": "a\r\nb",
    "right to left": "\u0600 עברית",
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_text_comes_back_exactly(store: VectorStore, text: str) -> None:
    ingest(store, {"odd.txt": [text, "plain"]})
    assert dense(store, vector_of(text), 1)[0].text == text
    assert list(store.check()) == []


def test_a_filter_by_path_or_kind_keeps_recall_at_any_selectivity(make_store: MakeStore) -> None:
    store = make_store(dim=32)
    rng = np.random.default_rng(7)
    rows = unit(rng.standard_normal((2000, 32)))
    names = ["rare/0.txt" if i % 1000 == 500 else f"some/{i}.txt" if i % 10 == 0 else f"c/{i}.txt"
             for i in range(2000)]  # fmt: skip
    with store.writing("index") as writer:
        for i, name in enumerate(names):
            kind = "pdf" if i % 100 == 3 else "text"
            put(writer, f"{i:04d}/{name}", [f"t{i}"], vectors=rows[i : i + 1], kind=kind)
    cases = {
        Filter(paths=("*/rare/*",)): [i for i, n in enumerate(names) if n.startswith("rare")],
        Filter(paths=("*/some/*",)): [i for i, n in enumerate(names) if n.startswith("some")],
        Filter(kinds=("pdf",)): list(range(3, 2000, 100)),
        Filter(paths=("0003/*", "*/some/*"), kinds=("pdf", "html")): [3],
        Filter(kinds=("epub",)): [],
    }
    for condition, allowed in cases.items():
        for query in unit(rng.standard_normal((3, 32))):
            expected = [allowed[i] for i, _ in exact_search(decode(rows[allowed]), query, 10)]
            hits = dense(store, query, 10, filter=condition)
            assert texts_of(hits) == [f"t{i}" for i in expected]


@pytest.mark.core
def test_a_filter_holds_for_keywords_too(store: VectorStore) -> None:
    ingest(store, {f"{i}.txt": ["shared word"] for i in range(30)} | {"x/y.md": ["shared word"]})
    hits = keyword(store, "shared", k=1, filter=Filter(paths=("x/*",)))
    assert [hit.path for hit in hits] == ["x/y.md"]


@pytest.mark.core
def test_an_earlier_generation_gives_identical_dense_hits(store: VectorStore) -> None:
    query = vector_of("q")
    first = ingest(store, corpus(6, 3))
    before = dense(store, query, 12)
    second = ingest(store, {"d000.txt": ["text 0 1", "changed"], "e.txt": ["new"]})
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("d003.txt")])
    assert (first, second, writer.generation) == (1, 2, 3)
    assert dense(store, query, 12) != before
    assert dense(store, query, 12, as_of=first) == before
    alive_then = {hit.text for hit in dense(store, query, 99, as_of=second)}
    assert {"text 3 0", "changed", "new", "text 0 1"} <= alive_then
    assert "text 0 0" not in alive_then


@pytest.mark.parametrize("as_of", [0, 99])
def test_a_generation_that_is_not_there_cannot_be_searched(store: VectorStore, as_of: int) -> None:
    ingest(store, {"a.txt": ["a"]})
    with pytest.raises(StoreError, match=f"no finished run {as_of}"):
        dense(store, vector_of("a"), as_of=as_of)


@pytest.mark.core
def test_hybrid_order_combines_cosines_with_the_share_of_the_words(store: VectorStore) -> None:
    texts = {
        f"{i}.txt": "lion " * (i % 4 if i % 3 == 0 else 0) + f"filler {i} " * (1 + i % 7)
        for i in range(40)
    }
    ingest(store, {name: [text] for name, text in texts.items()})
    query = vector_of("q")
    by_vector = {hit.path: hit.score or 0.0 for hit in dense(store, query, 15)}
    scores = bm25(texts, "lion")
    by_word = sorted(scores, key=lambda name: -scores[name])[:15]
    cosines = by_vector | {name: float(vector_of(texts[name]) @ query) for name in by_word}
    absent = math.log(40.5 / 0.5)  # of the question's second word, which no chunk has
    lion = math.log((40 - len(scores) + 0.5) / (len(scores) + 0.5))
    shares = {name: scores[name] / (2.2 * (lion + absent)) for name in by_word}
    expected = combine(cosines, shares, 0.4)

    hits = store.search(
        SearchRequest(
            k=8, mode="hybrid", vector=query, text="lion zebra", depth=15, keyword_weight=0.4
        )
    )

    assert [hit.path for hit in hits] == sorted(expected, key=lambda p: -expected[p])[:8]
    assert {hit.path for hit in hits} & set(by_word)
    for hit in hits:
        assert hit.ranks.fused == pytest.approx(expected[hit.path], abs=1e-2)
        assert hit.score == pytest.approx(cosines[hit.path], abs=2e-3)


@pytest.mark.parametrize(("weight", "mode"), [(0.0, "dense"), (1.0, "keyword")])
def test_at_the_ends_of_the_weight_one_side_alone_decides(
    store: VectorStore, weight: float, mode: Mode
) -> None:
    words = ["lion", "lion lion", "lion lion lion", "bear", "wolf"]
    ingest(store, {f"{i}.txt": [f"{w} filler {i}"] for i, w in enumerate(words * 3)})
    request = SearchRequest(
        k=5, mode="hybrid", vector=vector_of("q"), text="bear", keyword_weight=weight
    )

    found = store.search(request)
    alone = store.search(replace(request, mode=mode))

    both = min(len(found), len(alone))
    assert both >= 3
    if mode == "dense":
        assert [hit.path for hit in found[:both]] == [hit.path for hit in alone[:both]]
    else:
        assert {hit.path for hit in found[:3]} == {hit.path for hit in alone}


@pytest.mark.core
def test_an_open_store_follows_later_commits_of_another(
    kind: StoreKind, store: VectorStore
) -> None:
    with closing(kind.reopen(store)) as reader:
        assert (reader.location, reader.embedder) == (store.location, store.embedder)
        for i in range(5):
            ingest(store, {f"{i}.txt": [f"n{i}", f"m{i}"]})
            assert len(dense(reader, vector_of("q"), 99)) == 2 * (i + 1)
            assert dense(reader, vector_of(f"n{i}"), 1)[0].text == f"n{i}"


def test_a_store_knows_what_it_was_made_with(store: VectorStore) -> None:
    assert dict(store.embedder) == manifest_of(DIM)["embedder"]
    assert dict(store.splitter) == manifest_of(DIM)["splitter"]
    assert (store.generation(), store.runs(), store.sources()) == (0, [], [])


LINES = [f"line {i}" for i in range(6)]


def test_chunks_at_are_the_living_ones_that_touch_a_range(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["old"], "b.txt": LINES})
    ingest(store, {"a.txt": LINES})
    a = doc_id_of("a.txt")
    assert texts_of(store.chunks_at(a, 0, sys.maxsize)) == LINES
    assert texts_of(store.chunks_at(a, 8, 15)) == LINES[1:3]  # each line and its end take 7
    assert store.chunks_at(a, 6, 7) == store.chunks_at("0" * 32, 0, 99) == []
    (hit,) = store.chunks_at(a, 7, 8)
    (found,) = dense(store, vector_of("line 1"), 1, filter=Filter(paths=("a.txt",)))
    assert hit == replace(found, rank=0, score=None, ranks=HitRanks())


def test_neighbours_are_the_nearest_of_the_same_version(store: VectorStore) -> None:
    ingest(store, {"a.txt": LINES, "b.txt": ["line 2"]})
    (hit,) = dense(store, vector_of("line 2"), 1, filter=Filter(paths=("a.txt",)))
    near = store.neighbours(hit, 2)
    assert texts_of(near) == ["line 1", "line 3", "line 0", "line 4"]
    assert {(n.doc_id, n.rank, n.score) for n in near} == {(hit.doc_id, 0, None)}
    assert texts_of(store.neighbours(hit, 9)) == [*texts_of(near), "line 5"]
    ingest(store, {"a.txt": ["new", *LINES]})
    assert store.neighbours(hit, 2) == []


def test_committed_vectors_are_given_by_their_keys(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["one", "two"]})
    found = store.vectors([key_of("two"), key_of("never"), key_of("one")])
    assert found.keys() == {key_of("one"), key_of("two")}
    for text in ("one", "two"):
        row = found[key_of(text)]
        assert row.dtype == np.float32
        assert row.shape == (DIM,)
        np.testing.assert_allclose(row, vector_of(text), atol=1e-3)


def test_runs_have_their_accounts_and_sources_those_asked_for_last(store: VectorStore) -> None:
    with store.writing("index docs") as writer:
        writer.ask_for(["/old", "/docs"])
        put(writer, "a.txt", ["a"])
        writer.ask_for(["/docs"])
        writer.account({"added": ["a.txt"]})
    with store.writing("remove a.txt") as writer:
        writer.remove([doc_id_of("a.txt")])
    newest, first = store.runs()
    assert (newest["id"], newest["command"], newest["report"]) == (2, "remove a.txt", None)
    assert (first["state"], first["report"]) == (
        "closed", {"added": ["a.txt"]},
    )  # fmt: skip
    assert first["started_at"] <= first["finished_at"] <= newest["finished_at"]
    assert (store.sources(), store.generation()) == (["/docs"], 2)


def test_a_question_embedded_before_a_rebuild_is_told_so(
    kind: StoreKind, store: VectorStore
) -> None:
    ingest(store, {"old.txt": ["old"]})
    request = SearchRequest(k=1, mode="dense", vector=vector_of("old"), embedder=store.embedder)
    assert texts_of(store.search(request)) == ["old"]
    if not kind.can_rebuild:
        return
    with store.rebuilding(**_with_name("other")) as new:
        ingest(new, {"new.txt": ["new"]})
        assert texts_of(store.search(request)) == ["old"]
    with pytest.raises(IndexChangedError, match="embed the question anew"):
        store.search(request)


def _with_name(name: str) -> dict[str, Any]:
    manifest = manifest_of(DIM)
    return manifest | {"embedder": manifest["embedder"] | {"name": name}}


def test_chunks_without_vectors_are_found_by_their_words_until_these_come(
    store: VectorStore,
) -> None:
    with store.writing("index") as writer:
        document, chunks = make_document("a.txt", ["alpha", "beta", "alpha"])
        writer.add(document, chunks, [key_of("alpha"), key_of("beta"), key_of("alpha")])
    assert texts_of(keyword(store, "beta")) == ["beta"]
    assert dense(store, vector_of("alpha")) == []
    assert list(store.check()) == []
    with store.writing("index") as writer:
        writer.add_vectors([key_of("alpha")], vectors_of(["alpha"]))
    assert texts_of(dense(store, vector_of("alpha"))) == ["alpha", "alpha"]
    assert (
        len(store.search(SearchRequest(k=9, mode="hybrid", vector=vector_of("beta"), text="beta")))
        == 3
    )
    with store.writing("index") as writer:
        writer.add_vectors([key_of("beta")], vectors_of(["beta"]))
        writer.remove([document.doc_id])
    assert dense(store, vector_of("beta")) == []
    assert list(store.check()) == []


def test_what_is_derived_is_made_anew_or_the_store_says_that_it_cannot(
    kind: StoreKind, store: VectorStore
) -> None:
    ingest(store, {"a.txt": ["alpha", "beta"], "b.txt": ["beta two"]})
    before = [keyword(store, "beta"), dense(store, vector_of("alpha"))]
    if kind.damage is None:
        with pytest.raises(UnsupportedByStoreError, match=store.location):
            store.repair()
        return
    assert store.repair() == []
    kind.damage(store)
    broken = list(store.check())
    assert broken
    assert {one.severity for one in broken} == {"should"}
    assert store.repair() == broken
    assert list(store.check(keywords=True)) == []
    assert [keyword(store, "beta"), dense(store, vector_of("alpha"))] == before


def test_recovering_changes_nothing_where_nothing_was_left(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["alpha"]})
    before = (store.commits(), store.runs(), store.documents())
    store.recover()
    with store.writing("index") as writer:  # which a killed run looks like
        put(writer, "b.txt", ["b"])
        writer.commit()
        store.recover()
        assert store.runs()[0]["state"] == "open"
    assert store.runs()[0]["state"] == "closed"
    assert (store.runs()[1:], len(store.documents())) == (before[1], 2)
    assert store.commits() == before[0] + 2


def test_commits_are_counted_for_all_who_look(kind: StoreKind, store: VectorStore) -> None:
    with closing(kind.reopen(store)) as reader:
        before = reader.commits()
        with store.writing("index") as writer:
            assert writer.commits == before
            put(writer, "a.txt", ["a"])
            writer.commit()
            assert reader.commits() == before + 1
        assert reader.commits() == store.commits() == before + 2


def test_notes_are_kept_by_name_for_all_who_open_the_store(
    kind: StoreKind, store: VectorStore
) -> None:
    assert store.note("tokens:a") is None
    store.keep_note("tokens:a", [[1.5], []])
    store.keep_note("other", {"n": 1})
    store.keep_note("tokens:a", [[2.5], []])
    with closing(kind.reopen(store)) as again:
        assert (again.note("tokens:a"), again.note("other")) == ([[2.5], []], {"n": 1})
        assert again.note("nothing") is None


@pytest.mark.core
def test_rebuilding_puts_a_new_store_in_the_place_or_says_that_it_cannot(
    kind: StoreKind, store: VectorStore
) -> None:
    ingest(store, {"old.txt": ["old"]})
    fresh = manifest_of(DIM * 2)
    if not kind.can_rebuild:
        with pytest.raises(UnsupportedByStoreError, match="make a new one"):
            store.rebuilding(**fresh)
        return
    with store.rebuilding(**fresh) as new:
        ingest(new, {"new.txt": ["new"]})
        assert [d.path for d in store.documents()] == ["old.txt"]
        with closing(kind.reopen(store)) as reader:
            assert texts_of(dense(reader, vector_of("old"))) == ["old"]
    for again in (store, kind.reopen(store)):  # a reader that was open sees it too
        assert again.embedder["dim"] == DIM * 2
        assert texts_of(dense(again, vector_of("new", DIM * 2))) == ["new"]
        assert [d.path for d in again.documents()] == ["new.txt"]
        assert list(again.check()) == []


def test_a_rebuild_that_fails_leaves_the_store_as_it_is(
    kind: StoreKind, store: VectorStore
) -> None:
    if not kind.can_rebuild:
        pytest.skip("it is never replaced as a whole")
    ingest(store, {"old.txt": ["old"]})

    def fail() -> None:
        with store.rebuilding(**manifest_of(DIM)) as new:
            ingest(new, {"new.txt": ["new"]})
            msg = "boom"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert texts_of(dense(store, vector_of("old"))) == ["old"]
    assert ingest(store, {"more.txt": ["more"]}) == 3
    assert list(store.check()) == []
    with store.rebuilding(**manifest_of(DIM)) as new:  # it goes on where the other ended
        assert [d.path for d in new.documents()] == ["new.txt"]
    assert texts_of(dense(store, vector_of("new"))) == ["new"]
    assert list(store.check()) == []


def test_closing_twice_does_nothing_and_searching_then_is_our_error(store: VectorStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError):
        dense(store, vector_of("q"))
