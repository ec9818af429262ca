"""From trials to figures: each measure of a question set with its interval, and its gates."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

import numpy as np

from ragkit.errors import ConfigError
from ragkit.evaluate.intervals import auc, mean, paired, percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.evaluate.intervals import Difference, Figure
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
_HOLDS = {">=": operator.ge, "<=": operator.le}
_GATE = re.compile(r"(?P<name>.+?)\s*(?P<sign>>=|<=)\s*(?P<bound>[-+]?\d*\.?\d+)\s*")


def figures(trials: Sequence[Trial]) -> dict[str, Figure]:
    """Every measure that the trials allow, in the order of `ORDER`.

    A mean is over the questions that have the measure.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    judged = _judged(trials)
    named: dict[str, Figure] = {}
    for name in ORDER:
        values = [value[name] for value in judged if name in value]
        if values:
            named[name] = mean(np.array(values))
    named |= _refusal(trials)
    named |= _latency("search ms", [trial.search_s for trial in trials])
    named |= _latency("answer ms", [t.answer_s for t in trials if t.answer_s is not None])
    return {name: named[name] for name in ORDER if name in named}


def differences(first: Sequence[Trial], second: Sequence[Trial]) -> dict[str, Difference]:
    """Compare two settings by the measures that both have of the same questions, in order.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    told = {}
    both = list(zip(_judged(first), _judged(second), strict=True))
    for name in ORDER:
        pairs = [(a[name], b[name]) for a, b in both if name in a and name in b]
        if pairs:
            told[name] = paired(*np.array(pairs).T)
    return told


def _judged(trials: Sequence[Trial]) -> list[dict[str, float]]:
    """Each trial's measures; whether it was refused among them, if both kinds were asked."""
    if not _are_both_kinds(trials):
        return [trial.values for trial in trials]
    return [
        trial.values
        | (
            {"answerable kept": float(not trial.refused)}
            if trial.answerable
            else {"refusal recall": float(trial.refused)}
        )
        for trial in trials
    ]


def _are_both_kinds(trials: Sequence[Trial]) -> bool:
    return len({trial.answerable for trial in trials}) > 1


def _refusal(trials: Sequence[Trial]) -> dict[str, Figure]:
    """What only all trials together tell of refusing, if both kinds of question were asked."""
    if not _are_both_kinds(trials):
        return {}
    answerable = np.array([trial.answerable for trial in trials], bool)
    refused = np.array([trial.refused for trial in trials], bool)
    certainty = np.array([trial.certainty for trial in trials])
    told = {"refusal AUC": auc(certainty[answerable], certainty[~answerable])}
    if refused.any():
        told["refusal precision"] = mean((~answerable[refused]).astype(float))
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
        name, sign, bound = parse_gate(gate)
        if name not in told:
            msg = f"--gate {gate!r}: this set gives no such figure; it gives {', '.join(told)}"
            raise ConfigError(msg)
        value = told[name].value
        if not _HOLDS[sign](value, bound):
            failed.append(f"{name} is {value:.4f}, not {sign} {bound:g}")
    return failed


def parse_gate(gate: str) -> tuple[str, str, float]:
    """The name, sign and bound of a gate.

    >>> parse_gate("nDCG@10 >= 0.9")
    ('nDCG@10', '>=', 0.9)

    Raises:
        ConfigError: It cannot be read, or no figure has its name.
    """
    found = _GATE.fullmatch(gate)
    if not found:
        msg = f"--gate {gate!r}: expected NAME>=VALUE or NAME<=VALUE"
        raise ConfigError(msg)
    name = found["name"].strip()
    if name not in ORDER:
        msg = f"--gate {gate!r}: no figure has this name; there are {', '.join(ORDER)}"
        raise ConfigError(msg)
    return name, found["sign"], float(found["bound"])
