"""Separates reasoning that models leak into their reply from the reply itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.protocols import TextDelta, ThinkingDelta

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from ragkit.protocols import ChatEvent

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkFilter:
    """Turns ``<think>...</think>`` at the start of a streamed reply into thinking.

    Later tags are left alone: they may be quoted from a document. Tags may be cut anywhere. A first
    ``</think>`` without a ``<think>`` before it ends a reasoning that the model's template began:
    what came before is retracted.
    """

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, text: str) -> Iterator[TextDelta | ThinkingDelta]:
        """Take the next piece of the reply; yield what can be told already, nothing empty."""
        if self._state == "text":
            if text:
                yield TextDelta(text)
            return
        self._held += text
        if self._state == "untold":
            yield from self._watch()
            return
        if self._state == "start":
            yield from self._begin()
        elif self._state == "thinking":
            yield from self._think()
        else:
            yield from self._after()

    def end(self) -> Iterator[TextDelta | ThinkingDelta]:
        """Yield what was held back; the reply is over."""
        if self._held and self._state != "after":
            kind = ThinkingDelta if self._state == "thinking" else TextDelta
            yield kind(self._held)
        self._held = ""

    def _begin(self) -> Iterator[TextDelta | ThinkingDelta]:
        text = self._held.lstrip()
        if text.startswith(_OPEN):
            self._state, self._held = "thinking", text.removeprefix(_OPEN)
            yield from self._think()
        elif not _OPEN.startswith(text):
            self._state = "untold"
            yield from self._watch()

    def _watch(self) -> Iterator[TextDelta | ThinkingDelta]:
        """Pass text on until a tag comes; a closing one makes reasoning of all of it."""
        before, close, rest = self._held.partition(_CLOSE)
        if _OPEN in before:
            self._state, text, self._held = "text", self._held, ""
            yield TextDelta(text)
        elif close:
            self._state, self._held = "after", rest
            yield ThinkingDelta(before, retracts=True)
            yield from self._after()
        else:
            keep = max(_overlap(before, _CLOSE), _overlap(before, _OPEN))
            shown, self._held = before[: len(before) - keep], before[len(before) - keep :]
            if shown:
                yield TextDelta(shown)

    def _think(self) -> Iterator[TextDelta | ThinkingDelta]:
        thought, found, rest = self._held.partition(_CLOSE)
        if not found:
            keep = _overlap(thought, _CLOSE)
            thought, rest = thought[: len(thought) - keep], thought[len(thought) - keep :]
        self._held = rest
        if thought:
            yield ThinkingDelta(thought)
        if found:
            self._state = "after"
            yield from self._after()

    def _after(self) -> Iterator[TextDelta | ThinkingDelta]:
        text = self._held.lstrip()
        self._held = ""
        if text:
            self._state = "text"
            yield TextDelta(text)


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    return next((n for n in range(len(tag) - 1, 0, -1) if text.endswith(tag[:n])), 0)


def without_thinking(events: Iterable[ChatEvent]) -> Generator[ChatEvent, None, None]:
    """Turn reasoning that a model leaks into its reply back into `ThinkingDelta`.

    Only a ``<think>`` at the very beginning counts; one that is never closed was all thinking. A
    ``</think>`` alone retracts what came before it.
    """
    split = ThinkFilter()
    for event in events:
        if isinstance(event, TextDelta):
            yield from split.feed(event.text)
            continue
        if not isinstance(event, ThinkingDelta):
            yield from split.end()
        yield event
