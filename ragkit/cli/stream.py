"""A reply as it is printed while it comes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import typer

from ragkit.errors import ModelError
from ragkit.protocols import QuotedDelta, TextDelta, ThinkingDelta
from ragkit.query.thinking import ThinkFilter
from ragkit.records import Answer
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from ragkit.query.answer import AnswerEvent

T = TypeVar("T")

CLOSEST = "Closest passages (no chat model)"
"""What stands above an answer that quotes."""


def print_answer_stream(
    events: Iterable[AnswerEvent], *, show: bool = True, reasoning: bool = True
) -> Answer:
    """Print an answer as it comes, and end its line; returns it."""
    printer = ReplyPrinter(show=show, reasoning=reasoning)
    try:
        for event in events:
            if isinstance(event, Answer):
                return event
            printer.add(event)
    except ModelError as exc:
        if show and printer.text:
            exc.add_note(
                "what stands above was shown before that, and not checked: it is no answer"
            )
        raise
    finally:
        printer.end()
    msg = "the stream ended without an answer"
    raise TypeError(msg)


def print_reply(
    pieces: Generator[T, None, None], words: Callable[[T], tuple[str, str]], printer: ReplyPrinter
) -> T:
    """Print a model's own reply as it comes, and end its line.

    Args:
        pieces: At least one; any way out of the loop closes them, which stops the model.
        words: The text and the reasoning of a piece; reasoning may stand in the text as well.
        printer: Keeps what the reply said.

    Returns:
        The last piece.
    """
    split = ThinkFilter()
    try:
        with closing(pieces):
            for piece in pieces:
                text, thinking = words(piece)
                printer.add(ThinkingDelta(thinking))
                for event in split.feed(text):
                    printer.add(event)
    finally:
        for event in split.end():
            printer.add(event)
        printer.end()
    return piece


class ReplyPrinter:
    """Prints a reply's text on stdout and its reasoning, dim, on stderr.

    Args:
        show: False: print nothing, only collect.
        reasoning: False: print none of it.

    Attributes:
        text: What the reply said so far, without reasoning.
        thinking: What it reasoned so far.
    """

    def __init__(self, *, show: bool = True, reasoning: bool = True) -> None:
        self.text = self.thinking = ""
        self._shows_text, self._shows_thinking = show, show and reasoning

    def add(self, event: TextDelta | ThinkingDelta) -> None:
        """Take the next piece; it may be empty."""
        if isinstance(event, QuotedDelta):
            self._quote(event)
            return
        if isinstance(event, TextDelta):
            self._say(event.text)
            return
        if event.retracts:
            self._retract()
        self._think(event.text)

    def end(self) -> None:
        """End the line."""
        if self._shows_text and not self.text.endswith("\n"):
            if self.text:
                typer.echo()
            elif self.thinking and self._shows_thinking:
                typer.echo(err=True)

    def _say(self, text: str) -> None:
        first = not self.text
        self.text += text  # before it is shown: Ctrl-C may come between, and what was seen counts
        if first and text and self.thinking and self._shows_thinking:
            typer.echo("\n", err=True)
        if self._shows_text:
            typer.echo(text, nl=False)

    def _quote(self, event: QuotedDelta) -> None:
        """Print a piece of a quotation, the closest sentence between signs, and bold."""
        if not self.text and self._shows_text:
            typer.echo(f"{CLOSEST}\n")
        self.text += event.text
        if self._shows_text:
            bold = typer.style(f"»{event.text}«", bold=True)
            typer.echo(bold if event.is_closest else event.text, nl=False)

    def _retract(self) -> None:
        """Say that what was shown as the reply was reasoning; what stands on a screen stays."""
        if self.text and self._shows_text:
            typer.echo()
            typer.echo("(What stands above was the model's reasoning, not its answer.)", err=True)
        self.text, self.thinking = "", self.text + self.thinking

    def _think(self, text: str) -> None:
        self.thinking += text
        if text and self._shows_thinking:
            typer.echo(typer.style(visible(text), dim=True), nl=False, err=True)
