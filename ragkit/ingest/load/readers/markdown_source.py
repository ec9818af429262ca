"""Markdown: the text as it stands in the file, without what its reader is not shown."""

from __future__ import annotations

import re

from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.text import decode_text
from ragkit.text.patterns import late_pattern

_TOKEN = late_pattern(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*"
    r"|(?P<ticks>`+)"
    r"|(?P<comment><!--)"
    r"|(?P<mdx>\{/\*)"
    r"|(?P<note>^ {0,3}\[[^\]\n]*\]:[ \t]*(?:#|<>)"
    r"""[ \t]*(?:\([^\n]*\)|"[^\n]*"|'[^\n]*')?[ \t]*$)"""
    r"|(?P<struck>(?<![~\\])~~(?=[^\s~])[^~\n]*(?<=\S)~~(?!~))",
    re.MULTILINE,
)
_CLOSINGS = {"comment": "-->", "mdx": "*/}"}
_PARAGRAPH_END = late_pattern(r"\n[ \t]*\n")


def read_markdown(data: bytes, name: str) -> Parsed:
    """Read a Markdown file.

    Comments (``<!-- -->``, ``[//]: # (...)``, in MDX ``{/* */}``) and struck-out text
    (``~~...~~``) are left out, but not in code; every line stays a line. ``metadata["hidden"]``
    counts the comments; struck-out text is noted.
    """
    text, encoding, metadata = decode_text(data, name)
    if not _may_hide(text):
        return Parsed(text, "", encoding, metadata=metadata)
    shown, hidden, struck = _shown(text, is_mdx=name.lower().endswith(".mdx"))
    if hidden:
        metadata["hidden"] = hidden
    if struck:
        places = "1 place" if struck == 1 else f"{struck} places"
        note = f"struck-out text was left out in {places}"
        metadata["notes"] = [*metadata.get("notes", ()), note]
    return Parsed(shown, "", encoding, metadata=metadata)


def _may_hide(text: str) -> bool:
    return "<!--" in text or "~~" in text or "{/*" in text or "]: #" in text or "]: <>" in text


def _shown(text: str, *, is_mdx: bool) -> tuple[str, int, int]:
    """Leave out what is not shown; with how many comments and struck-out texts there were."""
    closings = _Closings(text)
    parts: list[str] = []
    hidden = struck = position = copied = 0
    while found := _TOKEN.search(text, position):
        position, kind = found.end(), found.lastgroup
        if kind == "fence":
            position = closings.of_fence(found["fence"], position)
            continue
        if kind == "ticks":
            position = closings.of_ticks(found["ticks"], position)
            continue
        if kind in _CLOSINGS:
            close = closings.of_comment(_CLOSINGS[kind], position) if kind != "mdx" or is_mdx else 0
            if not close:
                continue
            position = close
        parts += (text[copied : found.start()], "\n" * text.count("\n", found.start(), position))
        copied = position
        hidden += kind != "struck"
        struck += kind == "struck"
    return "".join((*parts, text[copied:])), hidden, struck


class _Closings:
    """Where what a mark opens is closed, for marks in the order of the text.

    What closes nothing is looked for once, so that a text of open marks alone takes no longer.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._unclosed: set[str] = set()
        self._paragraph_end = 0
        self._lone_ticks: set[str] = set()  # of the paragraph

    def of_comment(self, closing: str, start: int) -> int:
        """Behind the closing mark; 0 if there is none."""
        close = -1 if closing in self._unclosed else self._text.find(closing, start)
        if close < 0:
            self._unclosed.add(closing)
            return 0
        return close + len(closing)

    def of_fence(self, mark: str, start: int) -> int:
        """Behind the closing fence; where the text goes on if there is none."""
        if mark in self._unclosed:
            return start
        closing = re.compile(rf"^ {{0,3}}{mark}[`~]*[ \t]*$", re.MULTILINE)
        if found := closing.search(self._text, start):
            return found.end()
        self._unclosed.add(mark)
        return start

    def of_ticks(self, mark: str, start: int) -> int:
        """Behind the closing ticks of the paragraph; where the text goes on if there are none."""
        if start > self._paragraph_end:
            end = _PARAGRAPH_END.search(self._text, start)
            self._paragraph_end = end.start() if end else len(self._text)
            self._lone_ticks.clear()
        if mark in self._lone_ticks:
            return start
        closing = re.compile(rf"(?<!`){mark}(?!`)")
        if found := closing.search(self._text, start, self._paragraph_end):
            return found.end()
        self._lone_ticks.add(mark)
        return start
