"""The chat model's window: what of it passages may take, and whether a prompt arrived whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ragkit.answer.prompt import build_messages
from ragkit.errors import ConfigError, ModelResponseError, PromptTruncatedError
from ragkit.protocols import ChatRequest
from ragkit.records import Receipt
from ragkit.text import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.config import AnswerSettings
    from ragkit.protocols import ChatDone, ChatMessage, ChatModel
    from ragkit.records import Context

_LEAST_READ = 0.5
"""A model that counts below this share of the estimate did not read the whole prompt.

Estimates are off by far less for any script (see `estimate_tokens`); a server that cuts keeps
about half of its window, which is often a quarter of ours (ollama/ollama issues 6026, 17427).
"""
_WORTH_CHECKING = 200
"""Below this many tokens a chat template's own text blurs the comparison."""

_TOKENS_PER_MESSAGE = 8
"""What a chat template adds around a message; common ones take 3 to 7 tokens."""


def passage_budget(
    question: str,
    settings: AnswerSettings,
    *,
    context_tokens: int,
    history: Sequence[ChatMessage] = (),
) -> int:
    """Count the tokens that passages may take: the window less rules, question and reserve.

    Args:
        question: As the user asked it.
        settings: Window and reserve.
        context_tokens: The largest window of the chat model.
        history: Earlier turns that will be sent along.

    Raises:
        ConfigError: The reserve leaves nothing of the window for a prompt.
        PromptTruncatedError: Question and history alone are too long for the window.
    """
    left = _room(settings, context_tokens) - _estimate(build_messages(question, (), history))
    if left <= 0:
        msg = (
            f"the question is {-left} tokens too long for the window; "
            "shorten it or raise answer.num_ctx"
        )
        raise PromptTruncatedError(msg)
    return left


def plan_request(
    question: str,
    context: Context,
    model: ChatModel,
    settings: AnswerSettings,
    history: Sequence[ChatMessage],
) -> tuple[ChatRequest, Receipt]:
    """Compose the request to a chat model, and the receipt of it as far as it is known.

    Raises:
        ConfigError: The reserve leaves nothing of the window for a prompt.
        PromptTruncatedError: The prompt does not fit.
    """
    room = _room(settings, model.context_tokens)
    messages = build_messages(question, context.passages, history)
    estimated = _estimate(messages)
    if estimated > room:
        msg = (
            f"the prompt takes about {estimated} tokens, the window has room for {room}; "
            "ask for fewer passages or raise answer.num_ctx"
        )
        raise PromptTruncatedError(msg, model.name)
    window = room + settings.reserve_tokens
    request = ChatRequest(
        messages,
        num_ctx=window,
        num_predict=settings.reserve_tokens,
        temperature=settings.temperature,
        seed=settings.seed,
        think=settings.think,
    )
    receipt = Receipt(
        window,
        settings.reserve_tokens,
        estimated,
        passages_given=len(context.passages),
        dropped=context.dropped,
    )
    return request, receipt


def checked_receipt(planned: Receipt, done: ChatDone | None, model: ChatModel) -> Receipt:
    """Complete the receipt with the model's counts, or raise where they show a cut prompt."""
    if done is None:
        msg = "the reply ended without its last event"
        raise ModelResponseError(msg, model.name)
    estimated, read = planned.prompt_tokens_estimated, done.prompt_tokens
    short = read is not None and estimated > _WORTH_CHECKING and read < _LEAST_READ * estimated
    if read is not None and (short or read >= planned.num_ctx):
        msg = (
            f"the model read {read} tokens of a prompt of about {estimated} (window "
            f"{planned.num_ctx}): it was cut on the way, so the answer is not given; check the "
            "server's context length or lower answer.num_ctx"
        )
        raise PromptTruncatedError(msg, model.name)
    return replace(
        planned,
        prompt_tokens=read,
        answer_tokens=done.answer_tokens,
        done_reason=done.done_reason,
    )


def _room(settings: AnswerSettings, context_tokens: int) -> int:
    room = min(settings.num_ctx, context_tokens) - settings.reserve_tokens
    if room <= 0:
        msg = (
            f"answer.reserve_tokens = {settings.reserve_tokens} leaves nothing of the window of "
            f"{min(settings.num_ctx, context_tokens)} tokens for a prompt"
        )
        raise ConfigError(msg)
    return room


def _estimate(messages: Sequence[ChatMessage]) -> int:
    return sum(estimate_tokens(m.content) + _TOKENS_PER_MESSAGE for m in messages)
