"""The query stage behind retrieval: hits become a context, and the context an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.answer import (
    AnswerEvent,
    Provenance,
    answer,
    answer_extractively,
    has_evidence,
    passage_budget,
    refuse,
)
from ragkit.backends import chat_model
from ragkit.ground import assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ragkit.config import Config
    from ragkit.protocols import ChatModel, Embedder
    from ragkit.records import Hit
    from ragkit.store.local import LocalStore

__all__ = ["AnswerEvent", "answer_from"]


def answer_from(
    question: str,
    hits: Sequence[Hit],
    store: LocalStore,
    config: Config,
    *,
    chat: ChatModel | None,
    embedder: Callable[[], Embedder],
) -> Iterator[AnswerEvent]:
    """Answer from what a search found; nobody is asked where it is no evidence.

    Args:
        question: In the words of its asker.
        hits: Best first.
        store: Where they were found, for the answer's provenance.
        config: Chat model and answer settings.
        chat: Used instead of the configured model.
        embedder: Gives the index's embedder; called for extractive answers only.

    Yields:
        The text as it comes, then the `Answer`.
    """
    settings = config.answer
    record = store.manifest["embedder"]
    source = Provenance(
        index=str(store.path),
        generation=store.generation(),
        embedder=record["name"],
        embedder_digest=record["digest"],
    )
    if not has_evidence(question, hits, embedder=source.embedder, minimum=settings.min_evidence):
        yield refuse(question, source, settings)
        return
    model = chat or chat_model(config.models)
    window = settings.num_ctx if model is None else model.context_tokens
    budget = passage_budget(question, settings, context_tokens=window)
    context = assemble(hits, budget_tokens=budget)
    if model is None:
        yield answer_extractively(question, context, embedder(), source, settings)
    else:
        yield from answer(question, context, model, source, settings)
