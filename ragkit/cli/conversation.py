"""A conversation's turns, kept within the window of the model."""

from __future__ import annotations

from ragkit.errors import PromptTruncatedError
from ragkit.models.ollama import Message
from ragkit.text.tokens import estimate_tokens

_TOKENS_PER_MESSAGE = 8  # a template's markers around each


class Conversation:
    """What was said, oldest first, under one system text.

    Args:
        room_tokens: The window without the part that is kept for the answer.
        system: Stays when the turns are dropped or cleared; empty: the model's own holds.
    """

    def __init__(self, room_tokens: int, system: str = "") -> None:
        self._room = room_tokens
        self._system = [Message("system", system)] if system else []
        self._turns: list[tuple[Message, Message]] = []
        # What the last prompt took beyond its estimate: the template, another vocabulary.
        self._excess = 0

    def clear(self) -> None:
        """Forget all turns, but not the system text."""
        self._turns.clear()
        self._excess = 0

    def messages(self, question: str) -> list[Message]:
        """What to send so that the model answers a question."""
        said = [message for turn in self._turns for message in turn]
        return [*self._system, *said, Message("user", question)]

    def estimate(self, question: str) -> int:
        """How many tokens the messages with a question should take."""
        return _estimate(self.messages(question))

    def make_room(self, question: str) -> int:
        """Drop the oldest turns until the rest and a question fit the window.

        Returns:
            How many turns were dropped.

        Raises:
            PromptTruncatedError: The question does not fit even alone; nothing was dropped.
        """
        alone = _estimate([*self._system, Message("user", question)])
        if alone > self._room:
            msg = (
                f"the message takes about {alone} tokens, the window has room for {self._room}; "
                "shorten it or raise answer.num_ctx"
            )
            raise PromptTruncatedError(msg)
        dropped = 0
        while self._turns and self.estimate(question) + self._excess > self._room:
            self._turns.pop(0)
            dropped += 1
        return dropped

    def add(self, question: str, answer: str, prompt_tokens: int | None) -> None:
        """Take a turn; ``prompt_tokens`` is what the model read for it, if it says."""
        if prompt_tokens is not None:
            self._excess = max(0, prompt_tokens - self.estimate(question))
        self._turns.append((Message("user", question), Message("assistant", answer)))


def _estimate(messages: list[Message]) -> int:
    return sum(estimate_tokens(m.content) + _TOKENS_PER_MESSAGE for m in messages)
