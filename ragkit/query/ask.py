"""The way of a question: search, evidence, context, answer, proof."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from ragkit.protocols import QuotedDelta, TextDelta
from ragkit.query.answer import Provenance, prove, refuse
from ragkit.query.context import fill_window
from ragkit.query.evidence import has_evidence
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.refit import stream_fitted
from ragkit.query.scope import WHOLE_INDEX, QueryEngine, Scope
from ragkit.query.search import require_question, search
from ragkit.query.small_talk import small_talk, talk_reply
from ragkit.query.token_calibration import learn_tokens
from ragkit.query.tracing import traced
from ragkit.query.window import NO_TURNS, ChatTurns
from ragkit.records import Answer, Found, copy_fields

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from ragkit.protocols import ChatModel
    from ragkit.query.answer import AnswerEvent, Reply
    from ragkit.records import Context, Hit


def ask(
    engine: QueryEngine, question: str, scope: Scope = WHOLE_INDEX, turns: ChatTurns = NO_TURNS
) -> Generator[AnswerEvent, None, None]:
    """Answer a question from an index, giving the text as it comes, and last the `Answer`.

    Args:
        engine: The index, the models, the settings.
        question: In the words of its asker.
        scope: What of the index may answer.
        turns: The conversation in which the question stands.
    """
    require_question(question)
    searched = AnalysedText(turns.searched or question)
    if (talk := small_talk(question)) is not None:
        answer = _refusal(engine, question, (), as_of=scope.as_of, searched="")
        yield from _ending(_talked(answer, talk_reply(talk, question, engine.store.documents())))
        return

    hits = search(engine, searched.text, scope)
    answer = _refusal(engine, question, hits, as_of=scope.as_of, searched=turns.searched)

    least = engine.config.answer.min_evidence
    if not has_evidence(searched, hits, calibration=engine.calibration, minimum=least):
        yield from _ending(answer)
        return

    model = engine.chat
    with traced(engine.on_event, "context") as counts:
        context, turns = fill_window(engine, question, hits, model=model, turns=turns)
        counts |= {"passages": len(context.passages), "tokens": context.tokens}
    answer = _given(answer, context, model)
    if not context.passages:
        yield from _ending(answer)
        return

    if model is not None:
        yield from _written(engine, answer, hits, fitted=(context, turns), model=model)
        return
    from ragkit.query.extract import quote  # a chat model's answer needs none of it

    started = time.perf_counter()
    embedder = engine.remembering(context.passages)
    yield from _ending(quote(answer, searched, context, embedder), started)


def _written(
    engine: QueryEngine,
    answer: Answer,
    hits: Sequence[Hit],
    *,
    fitted: tuple[Context, ChatTurns],
    model: ChatModel,
) -> Generator[AnswerEvent, None, None]:
    """Have a chat model write an answer, and prove it.

    Args:
        engine: The index, the models, the settings.
        answer: The refusal that stands until something is said.
        hits: What the context may be made of.
        fitted: The context and the turns that fit the model's window, by the estimate.
        model: The chat model.
    """
    started, question = time.perf_counter(), answer.question
    with traced(engine.on_event, "chat") as counts:
        reply, context = yield from stream_fitted(
            engine, question, hits, fitted=fitted, model=model
        )
        counts |= _tokens_of(reply)
    answer = _given(answer, context, model)
    with traced(engine.on_event, "prove") as counts:
        answer = prove(answer, reply, context, strict=engine.config.answer.strict)
        counts |= {"sentences": len(answer.sentences), "citations": len(answer.citations)}
    learn_tokens(engine.store, model, reply.messages, answer.receipt)
    yield from _ending(answer, started, shown=reply.shown)


def _talked(blank: Answer, text: str) -> Answer:
    """A reply that says nothing of the documents."""
    return replace(blank, text=text, refused=False)


def _tokens_of(reply: Reply) -> dict[str, int]:
    read, written = reply.receipt.prompt_tokens, reply.receipt.answer_tokens
    return {"prompt_tokens": read or 0, "answer_tokens": written or 0}


def last_answer(events: Iterable[AnswerEvent]) -> Answer:
    """The answer with which a stream ends."""
    *_, last = events
    if not isinstance(last, Answer):
        msg = "the stream ended without an answer"
        raise TypeError(msg)
    return last


def _refusal(
    engine: QueryEngine, question: str, hits: Sequence[Hit], *, as_of: int | None, searched: str
) -> Answer:
    """What is answered if the hits do not answer the question."""
    store = engine.store
    source = Provenance(
        index=store.location,
        generation=store.generation() if as_of is None else as_of,
        embedder=store.embedder.get("name", ""),
        embedder_digest=store.embedder.get("digest", ""),
    )
    answer = refuse(question, source, engine.config.answer)
    found = tuple(copy_fields(hit, Found) for hit in hits)
    receipt = replace(answer.receipt, found=found, waiting=store.stats().waiting)
    return replace(answer, searched=searched, receipt=receipt)


def _given(answer: Answer, context: Context, model: ChatModel | None) -> Answer:
    """Note in an answer from which passages it is given, and by whom."""
    receipt = replace(answer.receipt, passages_given=len(context.passages), dropped=context.dropped)
    name, digest = (model.name, model.digest) if model else (None, None)
    return replace(answer, chat_model=name, chat_digest=digest, receipt=receipt)


def _quoted(answer: Answer) -> Iterator[QuotedDelta]:
    """The text of an answer that quotes, the closest sentences apart."""
    cuts = sorted({0, len(answer.text), *(at for s in answer.closest for at in (s.start, s.end))})
    starts = {span.start for span in answer.closest}
    for start, end in pairwise(cuts):
        yield QuotedDelta(answer.text[start:end], is_closest=start in starts)


def _ending(
    answer: Answer, started: float | None = None, *, shown: str = ""
) -> Generator[AnswerEvent, None, None]:
    """What is not shown yet of an answer's text, and the answer with the time that it took."""
    if answer.closest:
        yield from _quoted(answer)
    elif rest := answer.text[len(shown) :]:
        yield TextDelta(rest)
    seconds = 0.0 if started is None else time.perf_counter() - started
    yield replace(answer, seconds=seconds)
