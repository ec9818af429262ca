"""How hits are ranked, for every store: by meaning, by words, by both, and apart from each other.

A hybrid score is a convex combination of two, each brought to [0, 1] (Bruch, Gai and Ingber, ACM
TOIS 2023). A cosine is placed between the least and the greatest of the candidates. A BM25 score
is divided by the highest that the question could reach, words that occur nowhere counted in: so it
says which share of the question a chunk speaks about. docs/search.md has what else was measured.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ragkit.records import HitRanks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ragkit.protocols import SearchRequest, Vectors
    from ragkit.records import Hit

BACKGROUND = range(9, 40)
"""Places, from 0, of the passages that are taken for such as do not answer."""

BACKGROUND_LEAST = 10


class Candidates(Protocol):
    """What a store finds for one request among the chunks that it may find.

    Chunks are named by ids of the store's own; older chunks have lower ones.
    """

    def nearest(self, count: int) -> dict[int, float]:
        """The chunks nearest to the request's vector with their cosines, best first."""

    def matching(self, count: int) -> tuple[dict[int, float], float]:
        """The chunks that share words with the request with their BM25 scores, best first.

        With them the score that the request could reach, words that no chunk has counted in.
        """

    def both(self, count: int) -> tuple[dict[int, float], tuple[dict[int, float], float]]:
        """What `nearest` and `matching` give, at the same time where a store can."""

    def cosines(self, chunks: Sequence[int]) -> dict[int, float]:
        """The cosines of any chunks."""

    def rows(self, chunks: Sequence[int]) -> Vectors:
        """The vectors of any chunks: float32, shape (len(chunks), dim), unit rows."""

    def hits(self, chunks: Sequence[int]) -> Mapping[int, Hit]:
        """The chunks' hits, complete but for rank, score and ranks."""


def ranked_hits(request: SearchRequest, candidates: Candidates) -> list[Hit]:
    """The hits of a request, best first; see `ragkit.protocols.VectorStore.search`."""
    if request.diversity:
        cosines, ranks = _ranked(replace(request, k=max(request.k, request.depth)), candidates)
        ranks = _diverse(request, candidates, cosines, ranks)
    else:
        cosines, ranks = _ranked(request, candidates)
    hits = candidates.hits(list(ranks))
    return [
        replace(hits[chunk], rank=i, score=cosines.get(chunk), ranks=why)
        for i, (chunk, why) in enumerate(ranks.items(), 1)
    ]


def _ranked(
    request: SearchRequest, candidates: Candidates
) -> tuple[dict[int, float], dict[int, HitRanks]]:
    """Cosines if the mode has them, and the best `request.k` chunks, best first."""
    if request.mode == "dense":
        cosines = candidates.nearest(max(request.k, BACKGROUND.stop))
        background = _background(cosines)
        nearest = enumerate(islice(cosines, request.k), 1)
        return cosines, {c: HitRanks(dense=i, background=background) for i, c in nearest}
    if request.mode == "keyword":
        found, _ = candidates.matching(request.k)
        ranks = enumerate(found.items(), 1)
        return {}, {chunk: HitRanks(keyword=i, bm25=score) for i, (chunk, score) in ranks}
    return _hybrid(request, candidates)


def _hybrid(
    request: SearchRequest, candidates: Candidates
) -> tuple[dict[int, float], dict[int, HitRanks]]:
    depth = max(request.depth, request.k)
    cosines, (bm25, reach) = candidates.both(depth)
    by_meaning = {c: i for i, c in enumerate(cosines, 1)}
    background = _background(cosines)
    by_word = {c: i for i, c in enumerate(bm25, 1)}
    cosines |= candidates.cosines([c for c in bm25 if c not in cosines])
    coverage = {c: min(1.0, score / reach) for c, score in bm25.items()}
    fused = fuse(cosines, coverage, request.keyword_weight)
    return cosines, {
        c: HitRanks(
            by_meaning.get(c),
            by_word.get(c),
            bm25=bm25.get(c),
            fused=score,
            background=background,
        )
        for c, score in islice(fused.items(), request.k)
    }


def _diverse(
    request: SearchRequest,
    candidates: Candidates,
    cosines: Mapping[int, float],
    ranks: Mapping[int, HitRanks],
) -> dict[int, HitRanks]:
    """Those of the ranked chunks that say different things, the first chosen first."""
    chunks = list(ranks)
    relevance = [_score(ranks[chunk], cosines.get(chunk, 0.0)) for chunk in chunks]
    rows = candidates.rows(chunks)
    chosen = diversified(rows, relevance, count=request.k, diversity=request.diversity)
    return {chunks[i]: replace(ranks[chunks[i]], by_score=i + 1) for i in chosen}


def _background(cosines: Mapping[int, float]) -> float | None:
    """See `HitRanks`; None if fewer than `BACKGROUND_LEAST` passages tell it."""
    behind = list(islice(cosines.values(), BACKGROUND.start, BACKGROUND.stop))
    return sum(behind) / len(behind) if len(behind) >= BACKGROUND_LEAST else None


def _score(ranks: HitRanks, cosine: float) -> float:
    """What a mode ranks by: of a hybrid search the fused score, else BM25, else the cosine."""
    scores = (ranks.fused, ranks.bm25, cosine)
    return next(score for score in scores if score is not None)


def fuse(
    cosines: Mapping[int, float], coverage: Mapping[int, float], keyword_weight: float
) -> dict[int, float]:
    """Score the candidates of a hybrid search, best first.

    Args:
        cosines: Of the candidates that have a vector, in [-1, 1]. The words of one that has none
            yet stand for its meaning too.
        coverage: BM25 as a share of what the question could reach, in [0, 1]; 0 where absent.
        keyword_weight: Share of the words in the score, in [0, 1].

    Returns:
        Candidates to scores in [0, 1]. Ties go to the higher cosine, then to the lower id.
    """
    least = min(cosines.values(), default=0.0)
    span = max(cosines.values(), default=0.0) - least
    meaning = {**coverage, **{c: (cosine - least) / (span or 1) for c, cosine in cosines.items()}}
    fused = {
        chunk: (1 - keyword_weight) * near + keyword_weight * coverage.get(chunk, 0.0)
        for chunk, near in meaning.items()
    }
    order = sorted(fused, key=lambda c: (-fused[c], -cosines.get(c, least), c))
    return {chunk: fused[chunk] for chunk in order}


def diversified(
    rows: Vectors, relevance: Sequence[float], *, count: int, diversity: float
) -> list[int]:
    """Choose candidates one by one: each relevant, and unlike those chosen before it.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998) with lambda = 1 - diversity.
    Relevance and similarity are both placed between the least and the greatest of the
    candidates, since the cosines of some embedders only spread from 0.7 to 1 and BM25 has no
    bound: so a diversity means the same for every model and mode.

    Args:
        rows: The candidates' vectors, shape (n, dim), unit rows.
        relevance: Of each candidate, on any scale, higher is better.
        count: How many to choose, at most.
        diversity: In [0, 1]; 0 leaves the order of relevance.

    Returns:
        Positions of the chosen, the first chosen first. Ties go to the earlier candidate.
    """
    # Not `rows @ rows.T`: its threads wait for cores. 100 rows of 384 took 1 ms so beside other
    # work on two cores, and 0.2 to 40 ms with BLAS.
    similarity = _placed(np.einsum("id,jd->ij", rows, rows).astype(np.float64))
    relevant = _placed(np.asarray(relevance, np.float64))
    likeness = np.zeros(len(rows))  # to the most similar that was chosen
    chosen: list[int] = []
    while len(chosen) < min(count, len(rows)):
        marginal = (1 - diversity) * relevant - diversity * likeness
        marginal[chosen] = -np.inf
        best = int(np.argmax(marginal))
        likeness = np.maximum(likeness, similarity[best])
        chosen.append(best)
    return chosen


def _placed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values brought to [0, 1] by their least and greatest; all zero where they are equal."""
    if not values.size:
        return values
    span = np.ptp(values)
    return (values - values.min()) / span if span else np.zeros_like(values)
