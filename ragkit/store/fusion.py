"""Hybrid ranking: one score from nearness in meaning and from shared words.

A convex combination of the two scores, each brought to [0, 1] (Bruch, Gai and Ingber, ACM TOIS
2023). A cosine is placed between the least and the greatest of the candidates. A BM25 score is
divided by the highest that the question could reach, words that occur nowhere counted in, so that
it says which share of the question a chunk speaks about: an English question finds next to no
words in Chinese documents and is then ranked by meaning. Reciprocal rank fusion (Cormack et al.
2009) sees only ranks and gives such chance words as much weight as a whole sentence in common.

nDCG@10 of 100 candidates from each side, multilingual-e5-small in 4 bits, documents by their best
chunk; for span recall@5 of chunk-evidence read docs/search.md:

==========================  =====  =======  ======  ======  ==========================
set                         dense  keyword  RRF 60  RRF 10  this, weight .50/.67/.75
==========================  =====  =======  ======  ======  ==========================
English on English          .967   .968     .974    .976    .987 / .986 / .984
Chinese on Chinese          .954   .965     .968    .970    .973 / .977 / .980
English on Chinese          .849   .119     .537    .580    .846 / .845 / .841
Chinese on English          .822   .107     .821    .822    .824 / .825 / .827
laymen on statutes, zh      .544   .468     .539    .548    .564 / .564 / .561
Wikipedia, English          .876   .891     .906    .908    .925 / .926 / .923
==========================  =====  =======  ======  ======  ==========================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def fuse(
    cosines: Mapping[int, float], coverage: Mapping[int, float], keyword_weight: float
) -> dict[int, float]:
    """Score the candidates of a hybrid search, best first.

    Args:
        cosines: Of every candidate, in [-1, 1].
        coverage: BM25 as a share of what the question could reach, in [0, 1]; 0 where absent.
        keyword_weight: Share of the words in the score, in [0, 1].

    Returns:
        Candidates to scores in [0, 1]. Ties go to the higher cosine, then to the lower id.
    """
    if not cosines:
        return {}
    least, span = min(cosines.values()), max(cosines.values()) - min(cosines.values())
    fused = {
        chunk: (1 - keyword_weight) * ((cosine - least) / span if span else 0.0)
        + keyword_weight * coverage.get(chunk, 0.0)
        for chunk, cosine in cosines.items()
    }
    order = sorted(fused, key=lambda c: (-fused[c], -cosines[c], c))
    return {chunk: fused[chunk] for chunk in order}
