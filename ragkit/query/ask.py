"""The query stage behind retrieval: hits become a context, and the context an answer."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from ragkit.protocols import TextDelta
from ragkit.query.answer import Provenance, answer, answer_extractively, refuse
from ragkit.query.context import passages_for, token_scale, tokens_of
from ragkit.query.evidence import has_evidence
from ragkit.query.prompt import build_messages
from ragkit.query.window import NO_TALK, Talk
from ragkit.records import Answer, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from ragkit.config import Config
    from ragkit.protocols import ChatModel, Embedder, VectorStore
    from ragkit.query.answer import AnswerEvent
    from ragkit.records import Context, Hit


def answer_from(
    question: str,
    hits: Sequence[Hit],
    store: VectorStore,
    config: Config,
    *,
    chat: Callable[[], ChatModel | None],
    embedder: Callable[[], Embedder],
    talk: Talk = NO_TALK,
    as_of: int | None = None,
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
        as_of: The generation that was searched; None: the newest.

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
                event = replace(event, question=question, searched=talk.searched, receipt=receipt)
                yield event if as_of is None else replace(event, generation=as_of)
            else:
                yield event


def last_answer(events: Iterable[AnswerEvent]) -> Answer:
    """The answer with which a stream ends."""
    *_, last = events
    if not isinstance(last, Answer):
        msg = "the stream ended without an answer"
        raise TypeError(msg)
    return last


def _found(hit: Hit) -> Found:
    return Found(**{f.name: getattr(hit, f.name) for f in fields(Found)})


def _events(
    question: str,
    hits: Sequence[Hit],
    store: VectorStore,
    config: Config,
    *,
    chat: Callable[[], ChatModel | None],
    embedder: Callable[[], Embedder],
    talk: Talk,
) -> Generator[AnswerEvent, None, None]:
    settings = config.answer
    source = Provenance(
        index=store.location,
        generation=store.generation(),
        embedder=store.embedder["name"],
        embedder_digest=store.embedder["digest"],
    )
    searched = talk.searched or question
    if not has_evidence(searched, hits, embedder=source.embedder, minimum=settings.min_evidence):
        yield refuse(question, source, settings)
        return
    model = chat()
    context, talk = passages_for(question, hits, store, config, model, talk)
    if model is None:
        yield answer_extractively(searched, context, embedder(), source, settings)
        return
    with closing(answer(question, context, model, source, settings, talk=talk)) as events:
        for event in events:
            if isinstance(event, Answer):
                _learn(event, context, model, store, talk)
            yield event


def _learn(
    answer: Answer, context: Context, model: ChatModel, store: VectorStore, talk: Talk
) -> None:
    """Keep what the model counted for the prompt of an answer."""
    receipt = answer.receipt
    if receipt.prompt_tokens is None:
        return
    messages = build_messages(answer.question, context.passages, talk.history, talk.system)
    before = token_scale(store, model)  # another process may have learned meanwhile
    after = before.learn(messages, receipt.prompt_tokens, num_ctx=receipt.num_ctx)
    if after != before:
        store.keep_note(tokens_of(model), after.to_json())
