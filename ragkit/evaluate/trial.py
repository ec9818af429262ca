"""One question, asked: what was found and answered, with the measures of it alone."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragkit.evaluate.measures import DEPTH, answer_values, outcome, passage_values
from ragkit.query.context import with_neighbours
from ragkit.query.evidence import evidence, has_evidence
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.scope import fitting_settings
from ragkit.query.search import retrieve
from ragkit.store.calibration import read_calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.evaluate.dataset import Question
    from ragkit.pipeline import Pipeline
    from ragkit.protocols import Embedder
    from ragkit.records import Hit

_DEEPER = 4
_DEEPEST = 2048
"""Passages at which the search for further documents ends: one may have most of them."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one question.

    ``documents`` are the relative paths that were found, best first, each once. ``evidence`` has
    one text a passage that an answer would be given: its place and the hash of its words.
    ``certainty``, in [0, 1], is the evidence by which a question is refused. ``search_s`` is how
    long the search took, the embedding of the question left out: it may come from the kept
    vectors. ``answer_s`` is how long a chat model took, None without one. ``values`` are the
    measures of this question alone. ``answer`` is None unless it was asked for; ``outcome`` is then
    one of `ragkit.evaluate.measures.OUTCOMES`.
    """

    id: str
    text: str
    answerable: bool
    documents: tuple[str, ...]
    evidence: tuple[str, ...]
    certainty: float
    refused: bool
    search_s: float
    values: dict[str, float] = field(default_factory=dict)
    answer: str | None = None
    answer_s: float | None = None
    outcome: str = ""
    cited: tuple[str, ...] = ()


def ask(question: Question, rag: Pipeline, *, documents: int, answers: bool) -> Trial:
    """Search for a question, answer it if asked for, and measure both but for the ranking.

    Args:
        question: What is asked.
        rag: Who is asked.
        documents: How many documents to find, though an answer may be given from fewer passages.
        answers: Whether to answer.
    """
    if (embedder := _search_embedder(rag)) is not None:
        embedder.embed_query(question.text)  # known from now on, and so not in the time below
    started = time.perf_counter()
    hits = rag.search(question.text)
    search_s = time.perf_counter() - started
    ranked = _deepened(question, rag, hits, documents)
    asked, calibration = AnalysedText(question.text), read_calibration(rag.store)
    minimum = rag.config.answer.min_evidence
    trial = Trial(
        id=question.id,
        text=question.text,
        answerable=question.answerable,
        documents=tuple(dict.fromkeys(hit.path for hit in ranked)),
        evidence=tuple(map(_fingerprint, hits)),
        certainty=evidence(asked, hits, calibration),
        refused=not has_evidence(asked, hits, calibration=calibration, minimum=minimum),
        search_s=search_s,
        values=dict(passage_values(question, ranked)),
    )
    if not answers:
        return trial
    answer = rag.ask(question.text)
    given = with_neighbours(hits, rag.store, rag.config.search.neighbours)
    return replace(
        trial,
        refused=answer.refused,
        values=trial.values | dict(answer_values(question, answer, given)),
        answer=answer.text,
        outcome=outcome(question, answer, hits),
        answer_s=answer.seconds if answer.chat_model else None,
        cited=tuple(f"{c.path} {c.start}-{c.end}" for c in answer.citations),
    )


def _deepened(question: Question, rag: Pipeline, hits: Sequence[Hit], documents: int) -> list[Hit]:
    """The hits, and behind them what deeper searches add, until they are of so many documents.

    A chat model orders the hits at most, if it is to: what stands behind them is as retrieved.
    """
    embedder = _search_embedder(rag)
    fitting = fitting_settings(rag.config.search, rag.store)
    found = {hit.chunk_id: hit for hit in hits}
    k, fewer = rag.config.search.k, len(hits)
    while fewer == k < _DEEPEST and not _is_enough(list(found.values()), documents):
        k *= _DEEPER
        settings = replace(fitting, k=k)
        deeper = retrieve(question.text, rag.store, embedder, settings)
        found = found | {hit.chunk_id: hit for hit in deeper if hit.chunk_id not in found}
        fewer = len(deeper)
    return list(found.values())


def _search_embedder(rag: Pipeline) -> Embedder | None:
    mode = fitting_settings(rag.config.search, rag.store).mode
    return None if mode == "keyword" else rag.embedder


def _is_enough(hits: Sequence[Hit], documents: int) -> bool:
    return len(hits) >= DEPTH and len({hit.path for hit in hits}) >= documents


def _fingerprint(hit: Hit) -> str:
    return f"{hit.path} {hit.start}-{hit.end} {hashlib.sha256(hit.text.encode()).hexdigest()[:12]}"
