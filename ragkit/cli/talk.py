"""A conversation line by line, at a terminal or through a pipe."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Protocol

import typer

from ragkit.cli.output import end_interrupted, say, say_error
from ragkit.cli.terminal import clean, stdin_lines
from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from collections.abc import Callable

_PROMPT = "> "
_EVERYWHERE = {
    "/clear": "forget what was said; the system text stays",
    "/help": "this",
    "/quit": "end; so does Ctrl-D",
}


@dataclass(frozen=True, slots=True)
class Command:
    """What lines like `usage` do; `run` is called with what comes after the first word."""

    usage: str
    help: str
    run: Callable[[str], None]


class Talker(Protocol):
    """Answers the lines of a conversation."""

    @property
    def greeting(self) -> str:
        """With whom one talks."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """What it can do besides what every conversation can."""

    def answer(self, text: str) -> None:
        """Print the answer to a line that is no command.

        Raises:
            RagkitError: There is no answer; the turn is forgotten.
            KeyboardInterrupt: The answer was stopped.
        """

    def clear(self) -> None:
        """Forget what was said."""


def talk(talker: Talker) -> None:
    """Hold a conversation with whoever is at standard input."""
    if sys.stdin.isatty():
        _converse(talker)
    else:
        _read_turns(talker)


def _converse(talker: Talker) -> None:
    """Hold a conversation at a terminal; an error ends a turn, not the conversation."""
    with suppress(ImportError):  # not on Windows, whose console edits lines itself
        import readline  # noqa: F401 -- its import gives input() line editing and a history
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    say(f"{talker.greeting} /help for help, /quit or Ctrl-D to end.")
    while True:
        try:
            if not _take(talker, input(_PROMPT)):
                return
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            say("\n(stopped; /quit ends)")
        except RagkitError as exc:
            say_error(exc)


def _read_turns(talker: Talker) -> None:
    """Take each line of standard input as a turn. An error, or Ctrl-C, ends it."""
    try:
        for line in stdin_lines():
            if not _take(talker, line):
                return
    except KeyboardInterrupt:
        end_interrupted("the model was stopped")


def _take(talker: Talker, line: str) -> bool:
    """Do what a line says, or have it answered; False ends the conversation."""
    name, _, rest = line.rstrip().partition(" ")
    further = {command.usage.split()[0]: command.run for command in talker.commands}
    if name == "/quit":
        return False
    if name == "/clear":
        talker.clear()
        say("(cleared)")
    elif name == "/help":
        say(_help(talker))
    elif name in further:
        further[name](clean(rest).strip())
    elif name.startswith("/") and name[1:].isalpha():
        say(f"{name} is no command; /help lists them")
    elif line.strip():
        talker.answer(clean(line).strip())
    return True


def _help(talker: Talker) -> str:
    told = {command.usage: command.help for command in talker.commands} | _EVERYWHERE
    width = max(map(len, told))
    lines = (f"{usage:<{width}}  {does}\n" for usage, does in told.items())
    last = "Ctrl-C stops an answer. A line that begins with a space is never a command."
    return "".join(lines) + last
