"""How good a ranking of documents is, measured by ir-measures, which hands it to trec_eval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.evaluate.extra import need_extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEPTH = 20
"""How many documents, best first, the measures below look at; RR looks at all."""


def rank_values(
    rankings: Sequence[Sequence[str]], relevant: Sequence[Mapping[str, int]]
) -> list[dict[str, float]]:
    """Measure rankings of documents.

    Args:
        rankings: Documents, best first, each once.
        relevant: For each ranking the documents that answer, with grades from 1.

    Returns:
        For each ranking nDCG@10, R@5, R@10, R@20, RR and Success@1 (hit@1), as ir-measures names
        them: grades are gains in nDCG, and any grade counts as relevant elsewhere. {} where
        nothing is known to be relevant.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    need_extra()
    from ir_measures import RR, R, Success, iter_calc, nDCG

    measures = [nDCG @ 10, R @ 5, R @ 10, R @ DEPTH, RR, Success @ 1]
    qrels = {str(i): dict(grades) for i, grades in enumerate(relevant) if grades}
    run = {i: {d: -float(rank) for rank, d in enumerate(rankings[int(i)])} for i in qrels}
    values = [{str(m): 0.0 for m in measures} if grades else {} for grades in relevant]
    for found in iter_calc(measures, qrels, run):
        values[int(found.query_id)][str(found.measure)] = float(found.value)
    return values
