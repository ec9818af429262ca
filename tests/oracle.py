"""Exact cosine search in plain NumPy over the rows as stored; shares no code with ragkit."""

from __future__ import annotations

from typing import Any

import numpy as np


def decode(rows: Any) -> Any:
    """Rows as an index stores them, in float16, widened to float64."""
    return np.asarray(rows).astype("<f2").astype(np.float64)


def exact_search(decoded: Any, query: Any, k: int) -> list[tuple[int, float]]:
    """Positions and cosine similarities of the k rows nearest to a query, ties by position."""
    scores = decoded @ np.asarray(query, np.float64)
    order = np.lexsort((np.arange(len(scores)), -np.round(scores, 6)))
    return [(int(i), float(scores[i])) for i in order[:k]]


def fuse(sides: list[list[str]], rrf_k: int) -> dict[str, float]:
    """Reciprocal rank fusion of lists of names, best first: name to its sum of reciprocals."""
    fused: dict[str, float] = {}
    for side in sides:
        for rank, name in enumerate(side, 1):
            fused[name] = fused.get(name, 0.0) + 1.0 / (rrf_k + rank)
    return fused
