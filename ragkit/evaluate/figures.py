"""From trials to figures: each measure of a question set with its interval.

Rankings are measured by ir-measures, which hands them to trec_eval; intervals are percentile
bootstraps of 2,000 samples by SciPy, and two settings are compared question by question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ragkit.evaluate.dataset import Question
    from ragkit.evaluate.trial import Trial

    Values = NDArray[np.float64]

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure: its value, the ends of its 95 % interval, over how many questions."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How a second setting differs from a first on the same questions.

    ``p`` is that of a two-sided paired permutation test: how often chance alone would part the
    two as far.
    """

    first: float
    second: float
    low: float
    high: float
    p: float
    count: int


def rank_values(trials: Sequence[Trial], questions: Sequence[Question]) -> list[dict[str, float]]:
    """Measure each trial's ranking of documents; {} where no document is known to be relevant.

    Returns:
        For each trial nDCG@10, R@5, R@10, R@20, RR and Success@1 as ir-measures names them, with
        grades as gains in nDCG and any grade from 1 on counting as relevant elsewhere.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    measures = _ir_measures()
    named = [measures.nDCG @ 10, *(measures.R @ k for k in (5, 10, 20)), measures.RR]
    named.append(measures.Success @ 1)
    judged = [i for i, question in enumerate(questions) if question.relevant]
    qrels = {str(i): dict(questions[i].relevant or {}) for i in judged}
    run = {
        str(i): {path: -float(rank) for rank, path in enumerate(trials[i].documents)}
        for i in judged
    }
    values: list[dict[str, float]] = [{} for _ in trials]
    for i in judged:
        values[i] = {str(measure): 0.0 for measure in named}
    for found in measures.iter_calc(named, qrels, run):
        values[int(found.query_id)][str(found.measure)] = float(found.value)
    return values


def figures(trials: Sequence[Trial]) -> dict[str, Figure]:
    """Every measure that the trials allow, in a fixed order.

    A mean is over the questions that have the measure. Refusal is judged over all questions
    where some have no answer: precision is the share of the refused that have none, recall the
    share of those without an answer that were refused, AUC the chance that a question with an
    answer has the greater certainty.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    named = {name: _mean_figure(values) for name, values in value_lists(trials).items()}
    named |= _refusal(trials)
    seconds = np.array([trial.seconds * 1000 for trial in trials])
    for percentile in (50, 95):
        name = f"search ms p{percentile}"
        named[name] = _figure((seconds,), _percentile(percentile), len(seconds))
    return named


def is_share(name: str) -> bool:
    """Whether a figure lies in [0, 1]; the others are lengths and times."""
    return not name.startswith(("characters", "search ms"))


def value_lists(trials: Sequence[Trial]) -> dict[str, Values]:
    """The values of each measure over the trials that have it, in the order of first use."""
    lists: dict[str, list[float]] = {}
    for trial in trials:
        for name, value in trial.values.items():
            lists.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in lists.items()}


def differences(first: Sequence[Trial], second: Sequence[Trial]) -> dict[str, Difference]:
    """Compare two settings by the measures that both have of the same questions.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    names = dict.fromkeys(name for trial in first for name in trial.values)
    told = {}
    for name in names:
        pairs = [
            (a.values[name], b.values[name])
            for a, b in zip(first, second, strict=True)
            if name in a.values and name in b.values
        ]
        if pairs:
            told[name] = _difference(np.array(pairs))
    return told


def _difference(pairs: Values) -> Difference:
    first, second = pairs.T
    apart = second - first
    change = _figure((apart,), np.mean, len(apart))
    p = 1.0
    if apart.any() and len(apart) > 1:
        tested = _stats().permutation_test(
            (first, second),
            lambda a, b, axis: np.mean(b - a, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=RESAMPLES,
            rng=SEED,
        )
        p = float(tested.pvalue)
    means = float(first.mean()), float(second.mean())
    return Difference(*means, change.low, change.high, p, len(apart))


def _refusal(trials: Sequence[Trial]) -> dict[str, Figure]:
    answerable = np.array([trial.answerable for trial in trials], bool)
    if answerable.all() or not answerable.any():
        return {}
    refused = np.array([trial.refused for trial in trials], bool)
    certainty = np.array([trial.certainty for trial in trials])
    told = {"refusal AUC": _auc_figure(certainty[answerable], certainty[~answerable])}
    if refused.any():
        told["refusal precision"] = _mean_figure((~answerable[refused]).astype(float))
    told["refusal recall"] = _mean_figure(refused[~answerable].astype(float))
    told["answerable kept"] = _mean_figure((~refused[answerable]).astype(float))
    return told


def _auc_figure(kept: Values, gone: Values) -> Figure:
    def auc(a: Values, b: Values) -> float:  # the area under the ROC curve is U / (n m)
        return float(_stats().mannwhitneyu(a, b).statistic) / (len(a) * len(b))

    return _figure((kept, gone), auc, len(kept) + len(gone))


def _mean_figure(values: Values) -> Figure:
    return _figure((values,), np.mean, len(values))


def _percentile(percentile: int) -> Callable[..., Any]:
    return lambda values, axis=-1: np.percentile(values, percentile, axis=axis)


def _figure(samples: tuple[Values, ...], statistic: Callable[..., Any], count: int) -> Figure:
    value = float(statistic(*samples))
    if min(map(len, samples)) < 2:  # nothing can be drawn anew from one
        return Figure(value, value, value, count)
    drawn = _stats().bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=LEVEL,
        method="percentile",
        rng=SEED,
    )
    ends = drawn.confidence_interval
    return Figure(value, float(ends.low), float(ends.high), count)


def _stats() -> Any:  # noqa: ANN401 -- a module
    try:
        from scipy import stats
    except ImportError as exc:
        raise ConfigError(MISSING) from exc
    return stats


def _ir_measures() -> Any:  # noqa: ANN401 -- a module
    try:
        import ir_measures
    except ImportError as exc:
        raise ConfigError(MISSING) from exc
    return ir_measures


MISSING = "evaluating needs the extra `evaluate`: pip install 'ragkit[evaluate]'"


def gate_failures(gates: Sequence[str], told: Mapping[str, Figure]) -> list[str]:
    """The gates that do not hold, each with the value that it failed on.

    Args:
        gates: ``NAME>=VALUE`` or ``NAME<=VALUE``, the name as printed.
        told: The figures.

    Raises:
        ConfigError: A gate cannot be read or names a figure that was not measured.
    """
    failed = []
    for gate in gates:
        for sign in (">=", "<="):
            name, separator, bound = gate.partition(sign)
            if separator:
                break
        name = name.strip()
        if not separator or not _is_number(bound):
            msg = f"--gate {gate!r}: expected NAME>=VALUE or NAME<=VALUE"
            raise ConfigError(msg)
        if name not in told:
            msg = f"--gate {gate!r}: no figure has this name; there are {', '.join(told)}"
            raise ConfigError(msg)
        value = told[name].value
        holds = value >= float(bound) if sign == ">=" else value <= float(bound)
        if not holds:
            failed.append(f"{name} is {value:.4f}, not {sign} {bound.strip()}")
    return failed


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
