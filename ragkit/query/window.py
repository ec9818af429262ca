"""The chat model's window: what of it passages may take, and whether a prompt arrived whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragkit.errors import ConfigError, ModelResponseError, PromptTruncatedError
from ragkit.protocols import ChatRequest
from ragkit.query.prompt import build_messages
from ragkit.query.token_scale import TokenScale
from ragkit.records import Receipt
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.config import AnswerSettings
    from ragkit.protocols import ChatDone, ChatMessage, ChatModel
    from ragkit.records import Context


@dataclass(frozen=True, slots=True)
class Talk:
    """What a chat model is given besides the question and its passages.

    Attributes:
        turns: Earlier questions with their answers, oldest first.
        turns_dropped: How many older ones were left out for want of room.
        system: The user's own instructions; they come after the rules.
        searched: The question as it was searched for; empty: as it was asked.
        scale: How the model counts tokens.
    """

    turns: tuple[tuple[ChatMessage, ChatMessage], ...] = ()
    turns_dropped: int = 0
    system: str = ""
    searched: str = ""
    scale: TokenScale = field(default_factory=TokenScale)

    @property
    def history(self) -> tuple[ChatMessage, ...]:
        """The messages of the earlier turns, oldest first."""
        return tuple(message for turn in self.turns for message in turn)


NO_TALK = Talk()
"""A question that stands alone, to a model of which nothing is known."""


_LEAST_READ = 0.5
"""A model that counts below this share of the estimate did not read the whole prompt.

Estimates are off by far less for any script (see `estimate_tokens`); a server that cuts keeps
about half of its window, which is often a quarter of ours (ollama/ollama issues 6026, 17427).
"""
_WORTH_CHECKING = 200
"""Below this many tokens a chat template's own text blurs the comparison."""

LEAST_PASSAGE_SHARE = 0.5
"""Share of the window, less rules, question and reserve, that history leaves to the passages."""


def passage_budget(
    question: str,
    settings: AnswerSettings,
    *,
    context_tokens: int,
    talk: Talk = NO_TALK,
) -> int:
    """Count the tokens that passages may take: the window less rules, question and reserve.

    Args:
        question: As the user asked it.
        settings: Window and reserve.
        context_tokens: The largest window of the chat model.
        talk: What will be sent along.

    Raises:
        ConfigError: The reserve leaves nothing of the window for a prompt.
        PromptTruncatedError: Question and history alone are too long for the window.
    """
    rest = talk.scale.estimate_all(build_messages(question, (), talk.history, talk.system))
    left = _room(settings, context_tokens) - rest
    if left <= 0:
        msg = (
            f"the question is {-left} tokens too long for the window; "
            "shorten it or raise answer.num_ctx"
        )
        raise PromptTruncatedError(msg)
    return left


def fitted(question: str, talk: Talk, settings: AnswerSettings, *, context_tokens: int) -> Talk:
    """Leave out the oldest turns of a conversation until the passages have their share.

    Args:
        question: As the user asked it.
        talk: With all turns.
        settings: Window and reserve.
        context_tokens: The largest window of the chat model.

    Returns:
        The latest whole turns that take at most `LEAST_PASSAGE_SHARE` less than everything of
        what passages could take without them. Errors are those of `passage_budget`.
    """
    alone = replace(talk, turns=())
    budget = passage_budget(question, settings, context_tokens=context_tokens, talk=alone)
    left = budget * (1 - LEAST_PASSAGE_SHARE)
    first = len(talk.turns)
    while first and (left := left - talk.scale.estimate_all(talk.turns[first - 1])) >= 0:
        first -= 1
    return replace(talk, turns=talk.turns[first:], turns_dropped=talk.turns_dropped + first)


def plan_request(
    question: str,
    context: Context,
    model: ChatModel,
    settings: AnswerSettings,
    talk: Talk = NO_TALK,
) -> tuple[ChatRequest, Receipt]:
    """Compose the request to a chat model, and the receipt of it as far as it is known.

    Raises:
        ConfigError: The reserve leaves nothing of the window for a prompt.
        PromptTruncatedError: The prompt does not fit.
    """
    room = _room(settings, model.context_tokens)
    messages = build_messages(question, context.passages, talk.history, talk.system)
    estimated = talk.scale.estimate_all(messages)
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
        turns_given=len(talk.turns),
        turns_dropped=talk.turns_dropped,
    )
    return request, receipt


def checked_receipt(
    planned: Receipt, messages: Sequence[ChatMessage], done: ChatDone | None, model: ChatModel
) -> Receipt:
    """Complete the receipt with the model's counts, or raise where they show a cut prompt."""
    if done is None:
        msg = "the reply ended without its last event"
        raise ModelResponseError(msg, model.name)
    estimated, read = sum(estimate_tokens(m.content) for m in messages), done.prompt_tokens
    if was_cut(estimated, read, planned.num_ctx):
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


def was_cut(estimated: int, read: int | None, num_ctx: int) -> bool:
    """Tell from a model's own count whether it was given less than the whole prompt.

    Args:
        estimated: What the prompt should take, tokens.
        read: What the model counted; None where it does not say.
        num_ctx: The window asked for, tokens.
    """
    if read is None:
        return False
    short = estimated > _WORTH_CHECKING and read < _LEAST_READ * estimated
    return short or read >= num_ctx


def window_of(settings: AnswerSettings, model: ChatModel) -> int:
    """The window asked of a model, tokens: the same in every request, or it is loaded anew."""
    return min(settings.num_ctx, model.context_tokens)


def _room(settings: AnswerSettings, context_tokens: int) -> int:
    room = min(settings.num_ctx, context_tokens) - settings.reserve_tokens
    if room <= 0:
        msg = (
            f"answer.reserve_tokens = {settings.reserve_tokens} leaves nothing of the window of "
            f"{min(settings.num_ctx, context_tokens)} tokens for a prompt"
        )
        raise ConfigError(msg)
    return room
