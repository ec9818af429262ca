"""A prompt that a server counted as too long is asked again with fewer passages.

The estimate of `ragkit.query.token_calibration` is an upper bound for the scripts that it knows;
for others a model may take more. A server that refuses the prompt tells the true count.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ragkit.errors import PromptTruncatedError
from ragkit.query.answer import stream_answer
from ragkit.query.context import fill_window
from ragkit.query.prompt import build_messages
from ragkit.query.token_calibration import learn_refused

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ragkit.protocols import ChatMessage, ChatModel, TextDelta, ThinkingDelta
    from ragkit.query.answer import Reply
    from ragkit.query.scope import QueryEngine
    from ragkit.query.window import ChatTurns
    from ragkit.records import Context, Hit

_log = logging.getLogger(__name__)
_TRIES = 3
_CARE = 0.95
"""Share of the room that a prompt is made for, once its true count was told."""


def stream_fitted(
    engine: QueryEngine,
    question: str,
    hits: Sequence[Hit],
    *,
    fitted: tuple[Context, ChatTurns],
    model: ChatModel,
) -> Generator[TextDelta | ThinkingDelta, None, tuple[Reply, Context]]:
    """Ask a chat model a question about passages, fewer of them where its server asks for that.

    Nothing is shown before a prompt is taken, so that nothing has to be taken back.

    Args:
        engine: The index, the models, the settings.
        question: As the user asked it.
        hits: Best first; passages are made of them.
        fitted: What `fill_window` made of them.
        model: Asked at most three times.

    Returns:
        Its reply, and the passages that it was given. Errors are those of `stream_answer`; a
        refusal with counts is one only where not even one passage fits, or at the third time.
    """
    context, turns = fitted
    for left in range(_TRIES - 1, -1, -1):
        try:
            reply = yield from stream_answer(
                question, context, model, engine.config.answer, turns=turns
            )
        except PromptTruncatedError as exc:
            if not left or exc.prompt_tokens is None or exc.num_ctx is None:
                raise
            given, counted = len(context.passages), exc.prompt_tokens
            messages = build_messages(question, context.passages, turns.history, turns.system)
            learn_refused(engine.store, model, messages, counted)
            room = _room(engine, exc.num_ctx, question, turns)
            most = int(room * _estimated_of_real(messages, question, turns, counted))
            context, turns = fill_window(
                engine, question, hits, model=model, turns=turns, most_tokens=most
            )
            if most <= 0 or not context.passages:
                raise
            _log.warning(
                "%s counted %d tokens for a prompt, and its window has %d: asked again with %d of "
                "%d passages. A larger answer.num_ctx has room for them.",
                *(model.name, counted, exc.num_ctx, len(context.passages), given),
            )
        else:
            return reply, context
    raise AssertionError  # the last try returns or raises


def _room(engine: QueryEngine, num_ctx: int, question: str, turns: ChatTurns) -> float:
    """What a window leaves to passages, tokens, less a little for what is not known."""
    settings = engine.config.answer
    rest = turns.tokens.estimate_all(build_messages(question, (), turns.history, turns.system))
    return _CARE * (min(num_ctx, settings.num_ctx) - settings.reserve_tokens - rest)


def _estimated_of_real(
    messages: Sequence[ChatMessage], question: str, turns: ChatTurns, counted: int
) -> float:
    """How much of an estimate one real token of the passages is.

    What a prompt took beyond its estimate is laid to the passages, of which there are most.
    """
    estimate = turns.tokens.estimate_all
    rest = estimate(build_messages(question, (), turns.history, turns.system))
    passages = max(1, estimate(messages) - rest)
    return passages / max(passages, counted - rest // 2)
