"""Measures retrieval and answers on questions whose answers are known.

Usage::

    asked = read_questions(Path("questions/handbook"), work)
    with opened(asked, Config(), work) as rag:
        print(figures(evaluate(asked, rag))["nDCG@10"].value)

docs/evaluate.md explains every figure.
"""

from ragkit.evaluate.dataset import Question, QuestionSet, read_questions
from ragkit.evaluate.figures import (
    Difference,
    Figure,
    differences,
    figures,
    gate_failures,
    is_share,
)
from ragkit.evaluate.plot import plot
from ragkit.evaluate.regression import Change, changes, save
from ragkit.evaluate.run import evaluate, opened
from ragkit.evaluate.trial import Trial

__all__ = [
    "Change",
    "Difference",
    "Figure",
    "Question",
    "QuestionSet",
    "Trial",
    "changes",
    "differences",
    "evaluate",
    "figures",
    "gate_failures",
    "is_share",
    "opened",
    "plot",
    "read_questions",
    "save",
]
