"""The answer stage: from a question and its passages to an answer that shows where it comes from.

``answering`` leads: ``prompt`` writes what a chat model is given, ``window`` keeps it within the
model's window, ``markers`` reads the ``[n]`` of its reply, ``cite`` and ``support`` tie each
sentence to what the passages say. ``extract`` answers without a chat model, ``evidence`` tells
when nobody should.
"""

from ragkit.answer.answering import (
    AnswerEvent,
    Provenance,
    answer,
    answer_extractively,
    refuse,
)
from ragkit.answer.evidence import evidence, has_evidence
from ragkit.answer.window import passage_budget

__all__ = [
    "AnswerEvent",
    "Provenance",
    "answer",
    "answer_extractively",
    "evidence",
    "has_evidence",
    "passage_budget",
    "refuse",
]
