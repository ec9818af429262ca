"""A model's reply as it is printed while it comes."""

from __future__ import annotations

import typer

from ragkit.protocols import TextDelta
from ragkit.query.thinking import ThinkFilter
from ragkit.text.visible import visible


class ReplyPrinter:
    """Prints a reply's text on stdout and its reasoning, dim, on stderr.

    Args:
        show: False: print nothing, only collect.

    Attributes:
        text: What the reply said so far, without reasoning.
        thinking: What it reasoned so far.
    """

    def __init__(self, *, show: bool = True) -> None:
        self.text = self.thinking = ""
        self._show = show
        self._split = ThinkFilter()

    def add(self, text: str, thinking: str = "") -> None:
        """Take the next piece."""
        if thinking:
            self._think(thinking)
        for piece in self._split.feed(text):
            self._take(piece)

    def end(self) -> None:
        """Print what was held back, and end the line."""
        for piece in self._split.end():
            self._take(piece)
        if self._show and not self.text.endswith("\n") and (self.text or self.thinking):
            typer.echo(err=not self.text)

    def _take(self, piece: object) -> None:
        if isinstance(piece, TextDelta):
            self._say(piece.text)
        else:
            self._think(getattr(piece, "text", ""))

    def _say(self, text: str) -> None:
        first = not self.text
        self.text += text  # before it is shown: Ctrl-C may come between, and what was seen counts
        if self._show:
            if first and self.thinking:
                typer.echo("\n", err=True)
            typer.echo(text, nl=False)

    def _think(self, text: str) -> None:
        self.thinking += text
        if self._show:
            typer.echo(typer.style(visible(text), dim=True), nl=False, err=True)
