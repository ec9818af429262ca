"""Diversity: maximal marginal relevance against its formula, written out once more in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import decode
from store_factory import DIM, new_store, put, unit, vector_of

from ragkit.config import Config
from ragkit.protocols import SearchRequest
from ragkit.query.search import retrieve
from ragkit.store.ranking import diversified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.records import Hit, Mode
    from ragkit.store.local.store import LocalStore

QUERY = vector_of("how long is the notice period")
# Five copies in all but a hair, and ten others that speak of the question less and less.
NEAR = [f"notice period {name}" for name in ("one", "two", "three", "four", "five")]
FAR = [f"notice of another kind {i}" for i in range(10)]
TEXTS = NEAR + FAR


def rows_of_texts() -> Any:
    noise = np.random.default_rng(3).standard_normal((len(TEXTS), DIM))
    other = vector_of("something else")
    near = [QUERY + 0.3 * other + 0.02 * n for n in noise[: len(NEAR)]]
    far = [QUERY + 0.5 * n for n in noise[len(NEAR) :]]
    return unit(np.stack(near + far))


def placed(values: Any) -> Any:
    return (values - values.min()) / (values.max() - values.min())


def oracle(rows: Any, relevance: Any, count: int, diversity: float) -> list[int]:
    """Carbonell and Goldstein's formula, every similarity looked up anew for every choice."""
    relevance, similarity = placed(np.asarray(relevance)), placed(rows @ rows.T)
    chosen: list[int] = []
    for _ in range(min(count, len(rows))):
        left = [i for i in range(len(rows)) if i not in chosen]
        marginal = [
            (1 - diversity) * relevance[i]
            - diversity * max((similarity[i][j] for j in chosen), default=0.0)
            for i in left
        ]
        chosen.append(left[int(np.argmax(marginal))])
    return chosen


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    index = new_store(tmp_path_factory.mktemp("diversity") / "index")
    with index.writing("index") as writer:
        for text, row in zip(TEXTS, rows_of_texts(), strict=True):
            put(writer, f"{text}.txt", [text], vectors=row[None])
    yield index
    index.close()


def found(store: LocalStore, mode: Mode, diversity: float, k: int = 6, **fields: Any) -> list[Hit]:
    request = SearchRequest(
        k=k, mode=mode, vector=QUERY, text="notice period one", diversity=diversity, **fields
    )
    return store.search(request)


def score_of(hit: Hit) -> float:
    scores = (hit.ranks.fused, hit.ranks.bm25, hit.score)
    return next(score for score in scores if score is not None)


@pytest.mark.parametrize("mode", ["dense", "hybrid", "keyword"])
@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.8, 1.0])
def test_a_diverse_search_is_the_formula_over_the_stored_vectors(
    store: LocalStore, mode: Mode, diversity: float
) -> None:
    plain = found(store, mode, 0.0, k=len(TEXTS))
    rows = decode(rows_of_texts())[[TEXTS.index(hit.text) for hit in plain]]
    expected = oracle(rows, [score_of(hit) for hit in plain], 6, diversity)

    hits = found(store, mode, diversity)

    assert [hit.text for hit in hits] == [plain[i].text for i in expected]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    assert [hit.ranks.by_score for hit in hits] == [i + 1 for i in expected]
    scores = {hit.text: hit.score for hit in plain}
    assert [hit.score for hit in hits] == [scores[hit.text] for hit in hits]


def test_near_repeats_make_room_for_others(store: LocalStore) -> None:
    def repeats(diversity: float) -> int:
        return sum(hit.text in NEAR for hit in found(store, "dense", diversity, k=5))

    assert (repeats(0.0), repeats(0.7)) == (5, 1)


def test_without_diversity_nothing_is_moved(store: LocalStore) -> None:
    assert {hit.ranks.by_score for hit in found(store, "hybrid", 0.0)} == {None}


def test_candidates_are_the_best_up_to_the_depth(store: LocalStore) -> None:
    best = {hit.text for hit in found(store, "dense", 0.0, k=7)}
    hits = found(store, "dense", 1.0, k=5, depth=7)
    assert {hit.text for hit in hits} < best
    assert len(found(store, "dense", 1.0, k=7, depth=1)) == 7


def test_the_setting_reaches_the_search(store: LocalStore) -> None:
    class Fixed:
        backend = name = digest = "fixed"
        dim, max_tokens = DIM, 512
        options: dict[str, Any] = {}  # noqa: RUF012 -- nothing changes it

        def embed_documents(self, texts: Any) -> Any:
            return np.stack([QUERY for _ in texts])

        def embed_query(self, text: str) -> Any:
            assert text
            return QUERY

    settings = Config().with_values({"search.diversity": 0.7, "search.mode": "dense"}).search
    hits = retrieve("anything", store, Fixed(), settings)
    assert [hit.text for hit in hits] == [hit.text for hit in found(store, "dense", 0.7, k=8)]


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.lists(st.floats(-5, 5), min_size=n, max_size=n),
            st.integers(1, 15),
            st.integers(0, 2**16),
        )
    )
)
def test_no_diversity_is_the_order_of_relevance(case: tuple[list[float], int, int]) -> None:
    relevance, count, seed = case
    rows = unit(np.random.default_rng(seed).standard_normal((len(relevance), 4)))
    chosen = diversified(rows, relevance, count=count, diversity=0.0)
    low, span = min(relevance), max(relevance) - min(relevance)
    shares = [(r - low) / span if span else 0.0 for r in relevance]
    assert chosen == sorted(range(len(relevance)), key=lambda i: (-shares[i], i))[:count]
    every = diversified(rows, relevance, count=len(relevance), diversity=0.6)
    assert sorted(every) == list(range(len(relevance)))


@pytest.mark.parametrize(
    ("rows", "relevance", "expected"),
    [
        (np.zeros((0, 4), np.float32), [], []),
        (unit(np.eye(4)[:1]), [0.3], [0]),
        (unit(np.eye(4)[[0, 0, 0]]), [0.5, 0.5, 0.5], [0, 1, 2]),
        (unit(np.eye(4)[[0, 0, 1]]), [0.9, 0.8, 0.1], [0, 2, 1]),
    ],
    ids=["no candidate", "one candidate", "all the same", "a repeat goes last"],
)
def test_odd_candidates(rows: Any, relevance: list[float], expected: list[int]) -> None:
    assert diversified(rows, relevance, count=9, diversity=0.9) == expected
