"""How well are near misses told, on articles that nothing was chosen on?

    python benchmarks/evidence.py EVAL/squad2-noanswer

Each article of the set is left out in turn. What `ragkit.query.evidence` hangs on (how many
passages may speak, what is left of one that denies the question, or lacks its names) is chosen by
the questions about the other articles; only then are the questions about this one measured. The
page is ``benchmarks/EVIDENCE.md``; vectors come from the work folder of ``quality.py``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from harness import HERE
from quality import BASE, WORK, where_measured
from quality_page import markdown, where_section, with_interval

from ragkit.config import Config
from ragkit.evaluate import opened, read_questions
from ragkit.evaluate.intervals import auc, mean
from ragkit.query.evidence import BEST, CALIBRATIONS, DENIED, LACKING, THRESHOLD, Measure, measure
from ragkit.query.proof.analysed import AnalysedText

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ragkit.evaluate.dataset import Question
    from ragkit.pipeline import Pipeline

KEPT = 0.98
"""A choice must keep this share of the answerable questions that it is made by."""


INTRODUCTION = """\
Written by `python benchmarks/evidence.py`. A near miss asks what the documents on the right
subject do not say. Each article was left out in turn: the constants of the measure were chosen by
the questions about the other articles, then the questions about it were measured. That there are
these rules, and which words they look at, was decided with all articles in view.

"""


class Choice(NamedTuple):
    """The constants of the measure."""

    best: int = BEST
    denied: float = DENIED
    lacking: float = LACKING


GRID = tuple(map(Choice._make, product((1, 2, 3, 5), (0.3, 0.5, 0.7, 1.0), (0.7, 0.85, 0.95, 1.0))))
"""Every choice that is tried; 1.0 takes a rule away."""


@dataclass(frozen=True)
class Asked:
    """A question with what was found for it, best first."""

    article: str
    answerable: bool
    cosine: float
    bm25: float
    found: tuple[Measure, ...]

    def evidence(self, choice: Choice) -> float:
        """As `ragkit.query.evidence.evidence`, with other constants."""
        return max(m.value(choice.denied, choice.lacking) for m in self.found[: choice.best])


def ask(question: Question, rag: Pipeline) -> Asked:
    """Search as for an answer, and measure what was found."""
    hits = rag.search(question.text)
    asked, calibration = AnalysedText(question.text), CALIBRATIONS[rag.embedder.name]
    return Asked(
        question.group,
        question.answerable,
        max(hit.score or 0.0 for hit in hits),
        max(hit.ranks.bm25 or 0.0 for hit in hits),
        tuple(measure(asked, hit, calibration) for hit in hits[: GRID[-1].best]),
    )


def parted(
    asked: Sequence[Asked], score: Callable[[Asked], float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The scores of the questions that have an answer, and of those that have none."""
    scores = np.array([score(a) for a in asked])
    has = np.array([a.answerable for a in asked])
    return scores[has], scores[~has]


def area(yes: NDArray[np.float64], no: NDArray[np.float64]) -> float:
    """The AUC alone, without its interval: a choice is made by hundreds of them."""
    ordered = np.sort(no)
    below, upto = np.searchsorted(ordered, yes, "left"), np.searchsorted(ordered, yes, "right")
    return float((below + upto).mean() / 2 / len(no))


def chosen(asked: Sequence[Asked]) -> Choice:
    """The choice with the largest AUC among those that keep enough."""
    best, largest = Choice(BEST, 1.0, 1.0), 0.0
    for choice in GRID:
        yes, no = parted(asked, lambda a, c=choice: a.evidence(c))  # type: ignore[misc]  # a default binds the loop's value
        value = area(yes, no)
        if (yes >= THRESHOLD).mean() >= KEPT and value > largest:
            best, largest = choice, value
    return best


def told(asked: Sequence[Asked], score: Callable[[Asked], float], *, point: bool) -> list[str]:
    """The AUC; and at the threshold precision and recall of refusing, and the answerable kept."""
    yes, no = parted(asked, score)
    figures = [with_interval(asdict(auc(yes, no)))]
    if not point:
        return [*figures, "", "", ""]
    refused = np.repeat([0.0, 1.0], [(yes < THRESHOLD).sum(), (no < THRESHOLD).sum()])
    shares = (refused, (no < THRESHOLD).astype(float), (yes >= THRESHOLD).astype(float))
    return figures + [with_interval(asdict(mean(s))) if len(s) else "" for s in shares]


def main() -> int:
    """Ask every question once, then leave out article after article."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the question set")
    parser.add_argument("--work", type=Path, default=WORK, help="where indexes and vectors are")
    given = parser.parse_args()
    questions = read_questions(given.source, given.work / given.source.name)
    with opened(questions, Config().with_values(BASE), given.work) as rag:
        asked = [ask(question, rag) for question in questions.questions]
    articles = sorted({a.article for a in asked})
    choices = {n: chosen([a for a in asked if a.article != n]) for n in articles}
    text = page(asked, choices)
    where = where_measured(f"python benchmarks/evidence.py EVAL/{given.source.name}")
    (HERE / "EVIDENCE.md").write_text(f"{text}\n{where_section(where)}", "utf-8")
    print(text)
    return 0


def page(asked: Sequence[Asked], choices: dict[str, Choice]) -> str:
    """All articles together by several measures, then article by article."""

    def left_out(a: Asked) -> float:
        return a.evidence(choices[a.article])

    measures: dict[str, Callable[[Asked], float]] = {
        "BM25 of the best passage": lambda a: a.bm25,
        "cosine of the best passage": lambda a: a.cosine,
        "evidence, neither rule": lambda a: a.evidence(Choice(BEST, 1.0, 1.0)),
        "**evidence, chosen without the article**": left_out,
        "evidence as shipped, chosen on all articles": lambda a: a.evidence(Choice()),
    }
    together = [[n, *told(asked, s, point="evidence" in n)] for n, s in measures.items()]
    apart, areas = [], []
    for article, choice in choices.items():
        own = [a for a in asked if a.article == article]
        areas.append(area(*parted(own, left_out)))
        has = sum(a.answerable for a in own)
        counts = f"{has} + {len(own) - has}"
        apart.append([article, counts, *map(str, choice), *told(own, left_out, point=True)])
    apart.append(["mean of the articles", *[""] * 4, f"{np.mean(areas):.4f}", *[""] * 3])
    point_names = ["AUC", "refusal precision", "refusal recall", "answerable kept"]
    settings = ["passages", "denied", "lacking"]
    return (
        "# Near misses\n\n"
        + INTRODUCTION
        + "\n".join(
            [
                markdown("All articles", ["measure", *point_names], together),
                markdown(
                    "Left out in turn", ["article", "questions", *settings, *point_names], apart
                ),
            ]
        )
    )


if __name__ == "__main__":
    sys.exit(main())
