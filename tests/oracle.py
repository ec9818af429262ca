"""Exact cosine search in plain NumPy over the rows as stored; shares no code with ragkit."""

from __future__ import annotations

import math
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


def bm25(texts: dict[str, str], term: str) -> dict[str, float]:
    """BM25 of one term as FTS5's manual states it; texts without the term are left out."""
    lengths = {name: len(text.split()) for name, text in texts.items()}
    counts = {name: text.split().count(term) for name, text in texts.items()}
    mean = sum(lengths.values()) / len(texts)
    frequency = sum(count > 0 for count in counts.values())
    idf = math.log((len(texts) - frequency + 0.5) / (frequency + 0.5))
    return {
        name: idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * lengths[name] / mean))
        for name, count in counts.items()
        if count
    }


def combine(cosines: dict[str, float], shares: dict[str, float], weight: float) -> dict[str, float]:
    """Convex combination of cosines, min-max normalised, and shares of the keyword score."""
    values = np.array(list(cosines.values()))
    placed = (values - values.min()) / np.ptp(values)
    return {
        name: float((1 - weight) * near + weight * shares.get(name, 0.0))
        for name, near in zip(cosines, placed, strict=True)
    }
