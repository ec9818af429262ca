"""A question set against an index: every question asked, every trial measured."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ragkit.evaluate.cache import CachedEmbedder
from ragkit.evaluate.measures import DEPTH, rank_values
from ragkit.evaluate.trial import ask
from ragkit.models.choose import new_embedder
from ragkit.pipeline import Pipeline
from ragkit.store.locate import index_location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ragkit.config import Config
    from ragkit.evaluate.dataset import QuestionSet
    from ragkit.evaluate.trial import Trial
    from ragkit.ingest.run import Progress
    from ragkit.protocols import ChatModel, Embedder


@contextmanager
def opened(
    asked: QuestionSet,
    config: Config,
    work: Path,
    *,
    index: str = "",
    embedder: Embedder | None = None,
    chat: ChatModel | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Iterator[Pipeline]:
    """Open the index that a question set is about; if it brings documents, index them first.

    Vectors are kept in `work` between runs, those of questions too, and so is the index: one for
    each embedder and split settings.

    Args:
        asked: The questions.
        config: Settings.
        work: A folder to keep things in.
        index: Which existing index to ask, for a set without documents.
        embedder: Used instead of the configured one.
        chat: Used instead of the configured one.
        on_progress: Called after every file.
    """
    if asked.folder is None:
        path = index_location(index, config.indexes)
        with Pipeline(path, config, embedder=embedder) as plain:
            _ = plain.store  # first, so that a missing index is reported as that
            cached = _cached(plain.embedder, work)
        with Pipeline(path, config, embedder=cached, chat=chat) as rag:
            yield rag
        return
    cached = _cached(embedder or new_embedder(config.models), work)
    model = [cached.digest, dict(cached.options)] if cached else []
    told = json.dumps([*model, asdict(config.split)], sort_keys=True)
    folder = work / asked.name / f"index-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    with Pipeline(folder, config, embedder=cached, chat=chat) as rag:
        rag.index(asked.folder, on_progress=on_progress)
        yield rag


def _cached(embedder: Embedder | None, work: Path) -> CachedEmbedder | None:
    return None if embedder is None else CachedEmbedder(embedder, work / "vectors")


def evaluate(
    asked: QuestionSet,
    rag: Pipeline,
    *,
    answers: bool = False,
    on_question: Callable[[], None] = lambda: None,
) -> list[Trial]:
    """Ask every question of a set and measure what is found, and what is answered.

    Args:
        asked: The questions, at least one.
        rag: Over the documents that they are about; its settings are what is measured.
        answers: Answer the questions too, as ``rag`` is configured to.
        on_question: Called after every question.

    Returns:
        One trial a question, in order.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    documents = min(DEPTH, rag.stats().documents)
    rag.search(asked.questions[0].text)  # a first search loads what all need: it is not timed
    trials = []
    for question in asked.questions:
        trials.append(ask(question, rag, documents=documents, answers=answers))
        on_question()
    ranked = rank_values([t.documents for t in trials], [q.relevant for q in asked.questions])
    return [replace(t, values=v | t.values) for t, v in zip(trials, ranked, strict=True)]


def missing_documents(asked: QuestionSet, rag: Pipeline) -> list[str]:
    """The documents that a set expects and the index does not have, sorted."""
    expected = {path for question in asked.questions for path in question.relevant}
    return sorted(expected - {document.path for document in rag.documents()})
