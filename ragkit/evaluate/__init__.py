"""Measures retrieval and answers on questions whose answers are known.

Usage::

    asked = read_questions(Path("questions/handbook"), work)
    with opened(asked, Config(), work) as rag:
        print(figures(evaluate(asked, rag))["nDCG@10"].value)

docs/evaluate.md explains every figure.
"""

from ragkit.evaluate.chart import check_picture, plot
from ragkit.evaluate.dataset import Question, QuestionSet, read_questions
from ragkit.evaluate.experiment import evaluate, missing_documents, opened
from ragkit.evaluate.intervals import Difference, Figure, need_extra
from ragkit.evaluate.measures import OUTCOMES
from ragkit.evaluate.regression import Change, Saved, changes, read_saved, save
from ragkit.evaluate.summary import differences, figures, gate_failures, is_share, parse_gate
from ragkit.evaluate.trial import Trial

__all__ = [
    "OUTCOMES",
    "Change",
    "Difference",
    "Figure",
    "Question",
    "QuestionSet",
    "Saved",
    "Trial",
    "changes",
    "check_picture",
    "differences",
    "evaluate",
    "figures",
    "gate_failures",
    "is_share",
    "missing_documents",
    "need_extra",
    "opened",
    "parse_gate",
    "plot",
    "read_questions",
    "read_saved",
    "save",
]
