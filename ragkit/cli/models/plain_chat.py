"""A conversation with a chat model itself, line by line."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from ragkit.cli.models.generate import say_if_cut, say_if_prompt_cut, with_window
from ragkit.cli.models.model_options import clean
from ragkit.cli.output import say
from ragkit.cli.stream import ReplyPrinter
from ragkit.errors import ConfigError, PromptTruncatedError
from ragkit.models.ollama import ChatCall, Message
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.config import Config
    from ragkit.models.ollama import ChatReply, OllamaClient

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


_HELP = """\
/clear  forget what was said; the system text stays
/help   this
/quit   end; so does Ctrl-D
Ctrl-C stops an answer. A line that begins with a space is never a command."""


class Session:
    """Takes lines, sends what is no command to the model, and prints its answers.

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
        self._conversation = Conversation(self._room(config), system)

    @property
    def greeting(self) -> str:
        """With whom one talks."""
        return f"{self.name}, window {self.window} tokens."

    @property
    def window(self) -> Any:  # noqa: ANN401 -- as given by the user, or a count of tokens
        """The window asked for, tokens."""
        return self._options["num_ctx"]

    def take(self, line: str) -> bool:
        """Do what a line says, or have it answered; False ends the conversation.

        Raises:
            ModelError: There is no answer; the turn is forgotten.
            KeyboardInterrupt: The answer was stopped; the model too. What was said is kept.
        """
        command = line.rstrip()
        if command == "/quit":
            return False
        if command == "/clear":
            self._conversation.clear()
            say("(cleared)")
        elif command == "/help":
            say(_HELP)
        elif command.startswith("/") and command[1:].isalpha():
            say(f"{command} is no command; /help lists them")
        elif command.strip():
            self._answer(clean(line).strip())
        return True

    def _answer(self, question: str) -> None:
        dropped = self._conversation.make_room(question)
        if dropped:
            turns = "turn was" if dropped == 1 else f"{dropped} turns were"
            say(f"(the oldest {turns} dropped: the window is {self.window} tokens)")
        printer = ReplyPrinter()
        try:
            last = self._stream(question, printer)
        except KeyboardInterrupt:
            if printer.text:
                self._conversation.add(question, printer.text, None)
            raise
        read = last.metrics.prompt_tokens
        say_if_prompt_cut(self._conversation.estimate(question), read, self.window)
        self._conversation.add(question, printer.text, read)
        say_if_cut(last.done_reason)

    def _stream(self, question: str, printer: ReplyPrinter) -> ChatReply:
        """Print an answer as it comes; returns its last piece. Any way out closes the stream."""
        call = ChatCall(
            self.name,
            self._conversation.messages(question),
            options=self._options,
            think=self._think,
            # What does not fit is dropped here, where it is told; the server would be silent.
            truncate=False,
            shift=False,
        )
        try:
            with closing(self._client.chat_stream(call)) as replies:
                for reply in replies:
                    printer.add(reply.message.content, reply.message.thinking)
        finally:
            printer.end()
        return reply

    def _room(self, config: Config) -> int:
        window, reserve = self.window, config.answer.reserve_tokens
        if not isinstance(window, int) or window <= reserve:
            msg = (
                f"a window of {window} tokens leaves no room for a message: "
                f"answer.reserve_tokens = {reserve} are kept for the answer"
            )
            raise ConfigError(msg)
        return window - reserve
