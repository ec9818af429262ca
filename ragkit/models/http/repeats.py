"""Notices that a model wrote the same over and over, for which servers end its reply."""

from __future__ import annotations

import re

from ragkit.errors import ModelResponseError
from ragkit.text.patterns import late_pattern

_LEAST = 30
"""As many equal tokens in a row end a reply of an Ollama server, without a word."""
_LONGEST = 40
_REPEATED = late_pattern(rf"(.{{1,{_LONGEST}}}?)\1{{{_LEAST - 1}}}$", re.DOTALL)
_SHOWN_CHARS = 20


class RepeatWatch:
    """Reads along a reply as it comes.

    >>> watch = RepeatWatch()
    >>> watch.add("It is 8" + 29 * "8")
    >>> watch.repeated
    '8'
    """

    def __init__(self) -> None:
        self._tail = ""

    def add(self, text: str) -> None:
        """Take the next piece of the reply."""
        self._tail = (self._tail + text)[-_LEAST * _LONGEST :]

    @property
    def repeated(self) -> str:
        """The piece that the reply ends with 30 times or more; empty for none."""
        found = _REPEATED.search(self._tail)
        return found[1] if found else ""

    def error(self, model: str, address: str) -> ModelResponseError | None:
        """The error for a reply that ended so, without saying that it was done; else None."""
        if not (piece := self.repeated):
            return None
        msg = (
            f"{model} at {address} repeated itself ({piece[:_SHOWN_CHARS]!r} again and again), so "
            "the server stopped it, and its answer is not whole; ask in other words, with another "
            "answer.seed and answer.temperature above 0, or with another model"
        )
        return ModelResponseError(msg, model)
