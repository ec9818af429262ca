"""Turns of a conversation: typed at a terminal, or the lines of a pipe."""

from __future__ import annotations

import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Protocol

import typer

from ragkit.cli.output import end_interrupted, say
from ragkit.cli.values import stdin_lines
from ragkit.errors import RagkitError

_PROMPT = "> "


class Talker(Protocol):
    """Takes lines, and answers those that are no command."""

    @property
    def greeting(self) -> str:
        """With whom one talks."""

    def take(self, line: str) -> bool:
        """Do what a line says, or answer it; False ends the conversation."""


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
            if not talker.take(input(_PROMPT)):
                return
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            say("\n(stopped; /quit ends)")
        except RagkitError as exc:
            say(f"ragkit: {exc}")


def _read_turns(talker: Talker) -> None:
    """Take each line of standard input as a turn. An error, or Ctrl-C, ends it."""
    try:
        for line in stdin_lines():
            if not talker.take(line):
                return
    except KeyboardInterrupt:
        end_interrupted("the model was stopped")
