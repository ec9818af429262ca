"""A chat model asked: its reasoning told apart from its reply, and a cut prompt noticed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ragkit.errors import PromptTruncatedError
from ragkit.protocols import ChatDone, TextDelta
from ragkit.query.thinking import without_thinking
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Generator

    from ragkit.config import AnswerSettings
    from ragkit.protocols import ChatEvent, ChatModel, ChatRequest

_LEAST_READ = 0.5
"""A model that counts below this share of the estimate did not read the whole prompt.

Estimates are off by far less for any script (see `estimate_tokens`); a server that cuts keeps
about half of its window, which is often a quarter of ours (ollama/ollama issues 6026, 17427).
"""
_WORTH_CHECKING = 200
"""Below this many tokens a chat template's own text blurs the comparison."""


def window_of(settings: AnswerSettings, model: ChatModel) -> int:
    """The window asked of a model, tokens: the same in every request, or it is loaded anew."""
    return min(settings.num_ctx, model.context_tokens)


def stream_reply(model: ChatModel, request: ChatRequest) -> Generator[ChatEvent, None, None]:
    """Ask a chat model; reasoning comes as `ThinkingDelta`, whatever its server does with it.

    Closing the iterator cancels the generation. Errors are those of `ChatModel.chat`.
    """
    return without_thinking(model.chat(request))


def whole_reply(model: ChatModel, request: ChatRequest) -> tuple[str, ChatDone | None]:
    """Ask a chat model and wait for all of its reply, without its reasoning.

    Returns:
        The text and the last event, None if there was none. Errors are those of `ChatModel.chat`.
    """
    said, done = "", None
    with closing(stream_reply(model, request)) as events:
        for event in events:
            if isinstance(event, TextDelta):
                said += event.text
            elif isinstance(event, ChatDone):
                done = event
            elif event.retracts:
                said = ""
    return said, done


def check_prompt_was_read(model: ChatModel, request: ChatRequest, done: ChatDone | None) -> None:
    """Compare a model's own count with the prompt that it was sent.

    Raises:
        PromptTruncatedError: It was given less than the whole prompt.
    """
    estimated = sum(estimate_tokens(message.content) for message in request.messages)
    read = done.prompt_tokens if done else None
    if was_cut(estimated, read, request.num_ctx):
        msg = (
            f"{model.name} read {read} tokens of a prompt of about {estimated} (window "
            f"{request.num_ctx}): it was cut on the way, so its reply is no answer; check the "
            "server's context length or lower answer.num_ctx"
        )
        raise PromptTruncatedError(msg, model.name)


def was_cut(estimated: int, read: int | None, num_ctx: int) -> bool:
    """Tell from a model's own count whether it was given less than the whole prompt.

    Args:
        estimated: What the prompt should take, tokens.
        read: What the model counted; None if it does not say.
        num_ctx: The window asked for, tokens.
    """
    if read is None:
        return False
    short = estimated > _WORTH_CHECKING and read < _LEAST_READ * estimated
    return short or read >= num_ctx
