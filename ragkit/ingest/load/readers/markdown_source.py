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
    parts: list[str] = []
    hidden = struck = position = copied = 0
    unclosed: set[str] = set()
    while found := _TOKEN.search(text, position):
        position, kind = found.end(), found.lastgroup
        if kind in ("fence", "ticks"):
            position = _code_end(text, found, unclosed)
            continue
        if kind in _CLOSINGS:
            close = text.find(_CLOSINGS[kind], position) if kind != "mdx" or is_mdx else -1
            if close < 0:
                continue
            position = close + len(_CLOSINGS[kind])
        parts += (text[copied : found.start()], "\n" * text.count("\n", found.start(), position))
        copied = position
        hidden += kind != "struck"
        struck += kind == "struck"
    return "".join((*parts, text[copied:])), hidden, struck


def _code_end(text: str, opening: re.Match[str], unclosed: set[str]) -> int:
    """Where the code that a fence or ticks begin ends; behind the marks if nothing closes it."""
    mark = opening["fence"] or opening["ticks"]
    if mark in unclosed:
        return opening.end()
    if opening["fence"]:
        closing = re.compile(rf"^ {{0,3}}{mark}[`~]*[ \t]*$", re.MULTILINE)
        found = closing.search(text, opening.end())
        if found is None:
            unclosed.add(mark)
        return found.end() if found else opening.end()
    end = _PARAGRAPH_END.search(text, opening.end())
    closing = re.compile(rf"(?<!`){mark}(?!`)")
    found = closing.search(text, opening.end(), end.start() if end else len(text))
    return found.end() if found else opening.end()
