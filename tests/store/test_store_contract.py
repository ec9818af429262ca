"""Every promise of `VectorStore`, values against an exact search.

Those of `StoreWriter` are in `test_store_writing.py`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from oracle import bm25, combine, decode, exact_search
from store_factory import (
    dense,
    doc_id_of,
    ingest,
    keyword,
    make_document,
    new_store,
    put,
    unit,
    vector_of,
    vectors_of,
)

from ragkit.errors import (
    IndexExistsError,
    IndexMismatchError,
    IndexNotFoundError,
    StoreError,
)
from ragkit.protocols import SearchRequest
from ragkit.records import Filter, Mode
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store_factory import Rows

    from ragkit.records import Hit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = new_store(tmp_path / "index")
    yield made
    made.close()


def texts_of(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def corpus(documents: int, each: int) -> dict[str, list[str]]:
    return {f"d{d:03d}.txt": [f"text {d} {i}" for i in range(each)] for d in range(documents)}


def assert_dense_is_exact(store: LocalStore, texts: list[str], queries: Rows, k: int) -> None:
    """The store's hits are the oracle's, in order, with its scores."""
    rows = decode(vectors_of(texts, store.dim))
    for query in queries:
        expected = exact_search(rows, query, k)
        hits = dense(store, query, k)
        assert texts_of(hits) == [texts[i] for i, _ in expected]
        assert [hit.score for hit in hits] == pytest.approx([s for _, s in expected], abs=1e-5)
        assert [hit.rank for hit in hits] == list(range(1, len(expected) + 1))


def test_dense_hits_and_scores_are_those_of_an_exact_search(store: LocalStore) -> None:
    documents = corpus(30, 5)
    ingest(store, documents)
    texts = [text for texts in documents.values() for text in texts]
    assert_dense_is_exact(store, texts, vectors_of([f"q{i}" for i in range(12)]), k=10)


def test_dense_hits_over_several_segments_some_coded_are_those_of_an_exact_search(
    tmp_path: Path,
) -> None:
    sizes = SegmentSizes(rows=64, coded=32)
    store = new_store(tmp_path / "index", dim=64, sizes=sizes)
    documents = corpus(37, 5)
    for part in range(0, 37, 10):
        ingest(store, dict(list(documents.items())[part : part + 10]))
    texts = [text for texts in documents.values() for text in texts]
    assert store.stats().segments == 3  # 185 rows: two full, one of 57 with codes
    assert_dense_is_exact(store, texts, vectors_of([f"q{i}" for i in range(12)], 64), k=5)
    assert check_index(store.path) == []


def test_scores_never_rise_down_the_list(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index", dim=384)
    base = vector_of("base", 384)
    near = unit(base + 1e-4 * np.random.default_rng(5).standard_normal((200, 384)))
    with store.writing("index") as writer:
        put(writer, "a.txt", [str(i) for i in range(200)], vectors=near)
    for i in range(20):
        query = unit(base + vector_of(f"q{i}", 384))
        scores = [hit.score or 0.0 for hit in dense(store, query, 7 + 3 * i)]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("k", [1, 3, 10, 40, 300], ids=lambda k: f"k={k}")
def test_equal_scores_are_ordered_by_age_also_at_the_cut(tmp_path: Path, k: int) -> None:
    store = new_store(tmp_path / "index", dim=384)
    same, other = vector_of("same", 384), vector_of("other", 384)
    copies = [f"copy {i}" for i in range(200)]
    with store.writing("index") as writer:
        put(writer, "copies.txt", copies, vectors=np.tile(same, (200, 1)))
        put(writer, "z.txt", ["nearest"], vectors=other[None])
    query = unit(0.5 * same + 0.7 * other)
    assert texts_of(dense(store, query, k)) == ["nearest", *copies][:k]


def test_k_above_the_size_returns_everything(store: LocalStore) -> None:
    ingest(store, corpus(2, 3))
    assert len(dense(store, vector_of("q"), 1000)) == 6


@pytest.mark.parametrize("mode", ["dense", "keyword", "hybrid"])
def test_an_empty_index_has_no_hits(store: LocalStore, mode: str) -> None:
    request = SearchRequest(k=3, mode=mode, vector=vector_of("q"), text="q")  # type: ignore[arg-type]  # parametrised
    assert store.search(request) == []


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_an_error(store: LocalStore, k: int) -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        dense(store, vector_of("q"), k)


def test_dense_without_a_vector_is_an_error(store: LocalStore) -> None:
    with pytest.raises(ValueError, match="needs the question's vector"):
        store.search(SearchRequest(k=1, mode="hybrid", text="q"))


def test_a_query_of_another_dimension_is_a_mismatch_that_names_both(store: LocalStore) -> None:
    with pytest.raises(IndexMismatchError, match=r"5 dimensions .* has 16") as caught:
        dense(store, np.ones(5, np.float32))
    assert (caught.value.stored, caught.value.given) == ("16", "5")


def test_a_hit_is_complete(store: LocalStore) -> None:
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
    store: LocalStore, mode: Mode, count: int
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
def test_odd_text_comes_back_exactly(store: LocalStore, text: str) -> None:
    ingest(store, {"odd.txt": [text, "plain"]})
    assert dense(store, vector_of(text), 1)[0].text == text
    assert check_index(store.path) == []


def test_a_filter_by_path_or_kind_keeps_recall_at_any_selectivity(tmp_path: Path) -> None:
    sizes = SegmentSizes(rows=1500, coded=1000)
    store = new_store(tmp_path / "index", dim=32, sizes=sizes)
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


def test_a_filter_holds_for_keywords_too(store: LocalStore) -> None:
    ingest(store, {f"{i}.txt": ["shared word"] for i in range(30)} | {"x/y.md": ["shared word"]})
    hits = keyword(store, "shared", k=1, filter=Filter(paths=("x/*",)))
    assert [hit.path for hit in hits] == ["x/y.md"]


def test_an_earlier_generation_gives_identical_dense_hits(store: LocalStore) -> None:
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
def test_a_generation_that_is_not_there_cannot_be_searched(store: LocalStore, as_of: int) -> None:
    ingest(store, {"a.txt": ["a"]})
    with pytest.raises(StoreError, match=f"no closed generation {as_of}"):
        dense(store, vector_of("a"), as_of=as_of)


def test_hybrid_order_combines_cosines_with_the_share_of_the_words(store: LocalStore) -> None:
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
    store: LocalStore, weight: float, mode: Mode
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


def test_an_open_store_follows_later_commits_of_another(store: LocalStore) -> None:
    reader = LocalStore(store.path)
    for i in range(5):
        ingest(store, {f"{i}.txt": [f"n{i}", f"m{i}"]})
        assert len(dense(reader, vector_of("q"), 99)) == 2 * (i + 1)
        assert dense(reader, vector_of(f"n{i}"), 1)[0].text == f"n{i}"


def test_an_index_is_made_once(store: LocalStore) -> None:
    with pytest.raises(IndexExistsError, match="already"):
        new_store(store.path)


def test_no_index_is_not_found_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="no index at"):
        LocalStore(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_closing_twice_does_nothing_and_searching_then_is_our_error(store: LocalStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError):
        dense(store, vector_of("q"))


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
