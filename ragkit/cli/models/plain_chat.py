"""A conversation with a chat model itself, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.cli.models.generate import say_if_cut, say_if_prompt_cut, with_window
from ragkit.cli.output import say
from ragkit.cli.stream import ReplyPrinter, print_reply
from ragkit.errors import ConfigError, PromptTruncatedError
from ragkit.models.ollama import ChatCall, Message
from ragkit.query.token_calibration import TOKENS_PER_MESSAGE
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.cli.talk import Command
    from ragkit.config import Config
    from ragkit.models.ollama import ChatReply, OllamaClient


class ModelSession:
    """Answers with a chat model's own words; see `ragkit.cli.talk.Talker`.

    Args:
        client: The server.
        name: The model; it must be installed.
        config: The window and what of it is kept for the answer.
        system: System text; empty: the model's own.
        options: The model's options.
        think: Whether to reason first; None: the model's way.

    Raises:
        ModelError: The server does not answer, or has no such model.
        ConfigError: The window leaves no room for a prompt.
    """

    commands: tuple[Command, ...] = ()

    def __init__(
        self,
        client: OllamaClient,
        name: str,
        config: Config,
        *,
        system: str,
        options: Mapping[str, Any],
        think: bool | None,
    ) -> None:
        self._client, self._think = client, think
        self.name = name
        client.refuse_remote(name)
        self._options = with_window(client, name, options, config)
        self._history = MessageHistory(self._room(config), system)

    @property
    def greeting(self) -> str:
        """With whom one talks."""
        return f"{self.name}, window {self.window} tokens."

    @property
    def window(self) -> Any:  # noqa: ANN401 -- as given by the user, or a count of tokens
        """The window asked for, tokens."""
        return self._options["num_ctx"]

    def clear(self) -> None:
        """Forget the turns; the system text stays."""
        self._history.clear()

    def answer(self, text: str) -> None:
        """Send a message to the model, and print what it replies.

        Raises:
            ModelError: There is no answer; the turn is forgotten.
            KeyboardInterrupt: The answer was stopped; the model too. What was said is kept.
        """
        dropped = self._history.make_room(text)
        if dropped:
            turns = "turn was" if dropped == 1 else f"{dropped} turns were"
            say(f"(the oldest {turns} dropped: the window is {self.window} tokens)")
        printer = ReplyPrinter()
        try:
            last = self._stream(text, printer)
        except KeyboardInterrupt:
            if printer.text:
                self._history.add(text, printer.text, None)
            raise
        read = last.metrics.prompt_tokens
        say_if_prompt_cut(self._history.estimate(text), read, self.window)
        self._history.add(text, printer.text, read)
        say_if_cut(last.done_reason)

    def _stream(self, text: str, printer: ReplyPrinter) -> ChatReply:
        """Print an answer as it comes; returns its last piece."""
        call = ChatCall(
            self.name,
            self._history.messages(text),
            options=self._options,
            think=self._think,
            # What does not fit is dropped here, where it is told; the server would be silent.
            truncate=False,
            shift=False,
        )
        replies = self._client.chat_stream(call)
        return print_reply(replies, lambda r: (r.message.content, r.message.thinking), printer)

    def _room(self, config: Config) -> int:
        window, reserve = self.window, config.answer.reserve_tokens
        if not isinstance(window, int) or window <= reserve:
            msg = (
                f"a window of {window} tokens leaves no room for a message: "
                f"answer.reserve_tokens = {reserve} are kept for the answer"
            )
            raise ConfigError(msg)
        return window - reserve


class MessageHistory:
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
    return sum(estimate_tokens(m.content) + TOKENS_PER_MESSAGE for m in messages)
