"""A conversation with a chat model itself, line by line."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from ragkit.cli.conversation import Conversation
from ragkit.cli.generate import say_if_cut, say_if_prompt_cut, with_window
from ragkit.cli.output import say
from ragkit.cli.stream import ReplyPrinter
from ragkit.cli.values import clean
from ragkit.errors import ConfigError
from ragkit.models.ollama import ChatCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.config import Config
    from ragkit.models.ollama import ChatReply, OllamaClient

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
