"""The chat model's window: which turns and how many tokens of passages fit into it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragkit.errors import ConfigError, PromptTruncatedError
from ragkit.protocols import ChatRequest
from ragkit.query.prompt import build_messages
from ragkit.query.token_calibration import NOTHING_KNOWN, TokenCalibration
from ragkit.records import Receipt

if TYPE_CHECKING:
    from ragkit.config import AnswerSettings
    from ragkit.protocols import ChatMessage, ChatModel
    from ragkit.records import Context

LEAST_PASSAGE_SHARE = 0.5
"""Share of the window, less rules, question and reserve, that history leaves to the passages."""


@dataclass(frozen=True, slots=True)
class ChatTurns:
    """The conversation in which a question stands, as a chat model is given it.

    Attributes:
        turns: Earlier questions with their answers, oldest first.
        dropped: How many older ones were left out for want of room.
        system: The user's own instructions; they come after the rules.
        searched: The question as it was searched for; empty: as it was asked.
        tokens: How the model counts tokens.
    """

    turns: tuple[tuple[ChatMessage, ChatMessage], ...] = ()
    dropped: int = 0
    system: str = ""
    searched: str = ""
    tokens: TokenCalibration = NOTHING_KNOWN

    @property
    def history(self) -> tuple[ChatMessage, ...]:
        """The messages of the earlier turns, oldest first."""
        return tuple(message for turn in self.turns for message in turn)


NO_TURNS = ChatTurns()
"""A question that stands alone, to a model of which nothing is known."""


def passage_budget(
    question: str,
    settings: AnswerSettings,
    *,
    context_tokens: int,
    turns: ChatTurns = NO_TURNS,
) -> int:
    """Count the tokens that passages may take: the window less rules, question and reserve.

    Args:
        question: As the user asked it.
        settings: Window and reserve.
        context_tokens: The largest window of the chat model.
        turns: What will be sent along.

    Raises:
        ConfigError: Reserve and rules leave nothing, or too little for a question.
        PromptTruncatedError: Question and history alone are too long for the window.
    """
    rest = turns.tokens.estimate_all(build_messages(question, (), turns.history, turns.system))
    left = _room(settings, context_tokens) - rest
    if left <= 0:
        _refuse_narrow(question, settings, context_tokens, turns)
        msg = (
            f"the question is {-left + 1} tokens too long for the window; "
            "shorten it or raise answer.num_ctx"
        )
        raise PromptTruncatedError(msg)
    return left


def _refuse_narrow(
    question: str, settings: AnswerSettings, context_tokens: int, turns: ChatTurns
) -> None:
    """Refuse a window in which a question of any usual length would not fit.

    Raises:
        ConfigError: The rules leave no room, or the question takes less than half of it.
    """
    estimate, room = turns.tokens.estimate_all, _room(settings, context_tokens)
    rules = estimate(build_messages("", (), (), turns.system))
    asked = estimate(build_messages(question, (), (), turns.system)) - rules
    if rules < room and 2 * asked > room:
        return
    larger = f"raise answer.num_ctx (now {settings.num_ctx})"
    if context_tokens < settings.num_ctx:
        larger = "choose a chat model with a larger window"
    own, shorter = (
        (" and your instructions", ", shorten the instructions") if turns.system else ("", "")
    )
    msg = (
        f"the window of {min(settings.num_ctx, context_tokens)} tokens has no room for a passage: "
        f"answer.reserve_tokens = {settings.reserve_tokens} are kept for the answer, the rules"
        f"{own} take about {rules}, the question {asked}. It has to hold more than "
        f"{settings.reserve_tokens + rules + asked}: {larger}{shorter}, or lower "
        "answer.reserve_tokens"
    )
    raise ConfigError(msg)


def fit_turns(
    question: str, turns: ChatTurns, settings: AnswerSettings, *, context_tokens: int
) -> ChatTurns:
    """Leave out the oldest turns of a conversation until the passages have their share.

    Args:
        question: As the user asked it.
        turns: All of them.
        settings: Window and reserve.
        context_tokens: The largest window of the chat model.

    Returns:
        The latest whole turns that leave passages at least `LEAST_PASSAGE_SHARE` of the tokens
        that they could take alone. Errors are those of `passage_budget`.
    """
    alone = replace(turns, turns=())
    budget = passage_budget(question, settings, context_tokens=context_tokens, turns=alone)
    left = budget * (1 - LEAST_PASSAGE_SHARE)
    first = len(turns.turns)
    while first and (left := left - turns.tokens.estimate_all(turns.turns[first - 1])) >= 0:
        first -= 1
    return replace(turns, turns=turns.turns[first:], dropped=turns.dropped + first)


def plan_request(
    question: str,
    context: Context,
    model: ChatModel,
    settings: AnswerSettings,
    *,
    turns: ChatTurns = NO_TURNS,
) -> tuple[ChatRequest, Receipt]:
    """Compose the request to a chat model, and the receipt of it as far as it is known.

    Raises:
        ConfigError: The reserve leaves nothing of the window for a prompt.
        PromptTruncatedError: The prompt does not fit.
    """
    room = _room(settings, model.context_tokens)
    messages = build_messages(question, context.passages, turns.history, turns.system)
    estimated = turns.tokens.estimate_all(messages)
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
        turns_given=len(turns.turns),
        turns_dropped=turns.dropped,
    )
    return request, receipt


def _room(settings: AnswerSettings, context_tokens: int) -> int:
    room = min(settings.num_ctx, context_tokens) - settings.reserve_tokens
    if room <= 0:
        msg = (
            f"answer.reserve_tokens = {settings.reserve_tokens} leaves nothing of the window of "
            f"{min(settings.num_ctx, context_tokens)} tokens for a prompt"
        )
        raise ConfigError(msg)
    return room
