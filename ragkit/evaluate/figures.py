"""From trials to figures: each measure of a question set with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ragkit.evaluate.intervals import auc, mean, paired, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.evaluate.intervals import Difference, Figure, Values
    from ragkit.evaluate.trial import Trial

PERCENTILES = (50, 95)

ORDER = (
    "nDCG@10",
    "R@5",
    "R@10",
    "R@20",
    "RR",
    "Success@1",
    "span recall@5",
    "span recall@20",
    "characters@5",
    "characters@20",
    "answer in top 5",
    "answer in top 20",
    "page in top 5",
    "page in top 20",
    "exact match",
    "F1",
    "answer contains the reference",
    "verbatim share",
    "citation precision",
    "citation recall",
    "refusal AUC",
    "refusal precision",
    "refusal recall",
    "answerable kept",
    "search ms p50",
    "search ms p95",
    "answer ms p50",
    "answer ms p95",
)
"""Every figure, as it is printed; docs/evaluate.md explains each."""

_LENGTHS_AND_TIMES = ("characters", "search ms", "answer ms")


def figures(trials: Sequence[Trial]) -> dict[str, Figure]:
    """Every measure that the trials allow, in the order of `ORDER`.

    A mean is over the questions that have the measure.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    named = {name: mean(values) for name, values in _values(trials).items()}
    named |= _refusal(trials)
    named |= _latency("search ms", [trial.search_s for trial in trials])
    named |= _latency("answer ms", [t.answer_s for t in trials if t.answer_s is not None])
    return named


def differences(first: Sequence[Trial], second: Sequence[Trial]) -> dict[str, Difference]:
    """Compare two settings by the measures that both have of the same questions, in order.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    told = {}
    for name in _values(first):
        pairs = [
            (a.values[name], b.values[name])
            for a, b in zip(first, second, strict=True)
            if name in a.values and name in b.values
        ]
        if pairs:
            told[name] = paired(*np.array(pairs).T)
    return told


def _values(trials: Sequence[Trial]) -> dict[str, Values]:
    """The values of each measure over the trials that have it."""
    lists = {name: [t.values[name] for t in trials if name in t.values] for name in ORDER}
    return {name: np.array(values) for name, values in lists.items() if values}


def _refusal(trials: Sequence[Trial]) -> dict[str, Figure]:
    """Judge refusing where some questions have no answer and others have one."""
    answerable = np.array([trial.answerable for trial in trials], bool)
    if answerable.all() or not answerable.any():
        return {}
    refused = np.array([trial.refused for trial in trials], bool)
    certainty = np.array([trial.certainty for trial in trials])
    told = {"refusal AUC": auc(certainty[answerable], certainty[~answerable])}
    if refused.any():
        told["refusal precision"] = mean((~answerable[refused]).astype(float))
    told["refusal recall"] = mean(refused[~answerable].astype(float))
    told["answerable kept"] = mean((~refused[answerable]).astype(float))
    return told


def _latency(name: str, seconds: Sequence[float]) -> dict[str, Figure]:
    if not seconds:
        return {}
    return {
        f"{name} p{share}": percentile(np.array(seconds) * 1000, share) for share in PERCENTILES
    }


def is_share(name: str) -> bool:
    """Whether a figure lies in [0, 1]; the others are lengths and times."""
    return not name.startswith(_LENGTHS_AND_TIMES)
