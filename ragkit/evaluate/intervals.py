"""How sure a figure is: bootstrap intervals and paired tests by SciPy, over questions.

An interval is a percentile bootstrap (Efron and Tibshirani 1993): the questions are drawn anew
`RESAMPLES` times with a fixed seed, so that the same trials give the same interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import ConfigError
from ragkit.extras import install_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

RESAMPLES = 2000
"""The ends of an interval then have a standard error of 1.5 % of its width."""

SEED = 0
LEVEL = 0.95
_BATCH = 100  # samples in memory at once
LIBRARIES = ("ir_measures", "scipy", "matplotlib")


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

    ``low`` and ``high`` are the ends of the 95 % interval of ``second - first``. ``p`` is that of
    a two-sided paired permutation test: how often chance alone would part the two as far.
    """

    first: float
    second: float
    low: float
    high: float
    p: float
    count: int


def mean(values: Values) -> Figure:
    """The mean of one value a question; shape (n,), n at least 1."""
    return _figure((values,), np.mean, len(values))


def percentile(values: Values, share: int) -> Figure:
    """A percentile of one value a question; `share` in [0, 100]."""

    def statistic(drawn: Values, axis: int = -1) -> Any:  # noqa: ANN401 -- number or array
        return np.percentile(drawn, share, axis=axis)

    return _figure((values,), statistic, len(values))


def auc(higher: Values, lower: Values) -> Figure:
    """The chance that a value of the first sample exceeds one of the second, ties counted half.

    It is the area under the ROC curve, and U / (n m) of Mann and Whitney's test.
    """
    need_extra()
    from scipy.stats import mannwhitneyu

    def statistic(a: Values, b: Values, axis: int = -1) -> Any:  # noqa: ANN401 -- number or array
        return mannwhitneyu(a, b, axis=axis).statistic / (a.shape[axis] * b.shape[axis])

    return _figure((higher, lower), statistic, len(higher) + len(lower))


def paired(first: Values, second: Values) -> Difference:
    """Compare two values a question, of the same questions in the same order.

    From one question, and from equal values, p is 1.
    """
    need_extra()
    from scipy.stats import permutation_test

    change = mean(second - first)
    p = 1.0
    if len(first) > 1 and not np.array_equal(first, second):
        tested = permutation_test(
            (first, second),
            lambda a, b, axis: np.mean(b - a, axis=axis),
            permutation_type="samples",  # swaps the two values of a question
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=_BATCH,
            rng=SEED,
        )
        p = float(tested.pvalue)
    means = float(first.mean()), float(second.mean())
    return Difference(*means, change.low, change.high, p, len(first))


def _figure(samples: tuple[Values, ...], statistic: Callable[..., Any], count: int) -> Figure:
    need_extra()
    from scipy.stats import bootstrap

    value = float(statistic(*samples))
    if min(map(len, samples)) < 2:  # nothing can be drawn anew from one
        return Figure(value, value, value, count)
    drawn = bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=SEED,
    )
    ends = drawn.confidence_interval
    return Figure(value, float(ends.low), float(ends.high), count)


def need_extra() -> None:
    """Ask for the libraries of the extra ``evaluate``, without loading them.

    Raises:
        ConfigError: One is not installed.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        msg = (
            f"not installed: {', '.join(missing)}; evaluating needs the extra `evaluate`: "
            + install_command("evaluate")
        )
        raise ConfigError(msg)
