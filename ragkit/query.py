"""The query stage behind retrieval: hits become a context, and the context an answer."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
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
from ragkit.answer.prompt import build_messages
from ragkit.answer.scale import TokenScale
from ragkit.answer.talk import NO_TALK, Talk
from ragkit.answer.window import fitted
from ragkit.ground import assemble
from ragkit.neighbours import with_neighbours
from ragkit.protocols import TextDelta
from ragkit.records import Answer, Found
from ragkit.store.learned import keep_learned, read_learned

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from ragkit.config import Config
    from ragkit.protocols import ChatModel, Embedder
    from ragkit.records import Context, Hit
    from ragkit.store.local import LocalStore

__all__ = ["AnswerEvent", "answer_from"]


def answer_from(
    question: str,
    hits: Sequence[Hit],
    store: LocalStore,
    config: Config,
    *,
    chat: Callable[[], ChatModel | None],
    embedder: Callable[[], Embedder],
    talk: Talk = NO_TALK,
) -> Iterator[AnswerEvent]:
    """Answer from what a search found; nobody is asked where it is no evidence.

    Args:
        question: In the words of its asker.
        hits: Best first.
        store: Where they were found, for the answer's provenance.
        config: Search and answer settings.
        chat: Gives the chat model, None for extractive answers; called where there is evidence.
        embedder: Gives the index's embedder; called for extractive answers only.
        talk: The conversation in which the question stands; what is known of the model's
            tokens is added here.

    Yields:
        The text as it comes, at once where no model writes it; then the `Answer`.
    """
    found = tuple(map(_found, hits))
    events = _events(question, hits, store, config, chat=chat, embedder=embedder, talk=talk)
    streamed = False
    with closing(events):
        for event in events:
            streamed = streamed or isinstance(event, TextDelta)
            if isinstance(event, Answer):
                if not streamed:  # a refusal, a quotation, what `answer.strict` left
                    yield TextDelta(event.text)
                receipt = replace(event.receipt, found=found)
                yield replace(event, question=question, searched=talk.searched, receipt=receipt)
            else:
                yield event


def _found(hit: Hit) -> Found:
    return Found(**{f.name: getattr(hit, f.name) for f in fields(Found)})


def _events(
    question: str,
    hits: Sequence[Hit],
    store: LocalStore,
    config: Config,
    *,
    chat: Callable[[], ChatModel | None],
    embedder: Callable[[], Embedder],
    talk: Talk,
) -> Generator[AnswerEvent, None, None]:
    settings = config.answer
    record = store.manifest["embedder"]
    source = Provenance(
        index=str(store.path),
        generation=store.generation(),
        embedder=record["name"],
        embedder_digest=record["digest"],
    )
    searched = talk.searched or question
    if not has_evidence(searched, hits, embedder=source.embedder, minimum=settings.min_evidence):
        yield refuse(question, source, settings)
        return
    hits = with_neighbours(hits, store, config.search.neighbours)
    model = chat()
    if model is None:
        budget = passage_budget(question, settings, context_tokens=settings.num_ctx)
        context = assemble(hits, budget_tokens=budget)
        yield answer_extractively(searched, context, embedder(), source, settings)
        return
    talk = replace(talk, scale=token_scale(store.path, model))
    talk = fitted(question, talk, settings, context_tokens=model.context_tokens)
    budget = passage_budget(question, settings, context_tokens=model.context_tokens, talk=talk)
    context = assemble(hits, budget_tokens=budget, estimate=talk.scale.estimate)
    with closing(answer(question, context, model, source, settings, talk=talk)) as events:
        for event in events:
            if isinstance(event, Answer):
                _learn(event, context, model, store.path, talk)
            yield event


def token_scale(index: Path, model: ChatModel) -> TokenScale:
    """What is known of a model's tokens where an index is used."""
    return TokenScale.from_json(read_learned(index).get(_tokens_of(model)))


def _learn(answer: Answer, context: Context, model: ChatModel, index: Path, talk: Talk) -> None:
    """Keep what the model counted for the prompt of an answer."""
    receipt = answer.receipt
    if receipt.prompt_tokens is None:
        return
    messages = build_messages(answer.question, context.passages, talk.history, talk.system)
    before = token_scale(index, model)  # another process may have learned meanwhile
    after = before.learn(messages, receipt.prompt_tokens, num_ctx=receipt.num_ctx)
    if after != before:
        keep_learned(index, _tokens_of(model), after.to_json())


def _tokens_of(model: ChatModel) -> str:
    return f"tokens:{model.digest}"
