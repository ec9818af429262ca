"""Choosing hits that do not all say the same: maximal marginal relevance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors


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
