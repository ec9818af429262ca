"""Citation marks ``[n]`` in a reply: found, written alike, and checked while they stream.

A streamed word cannot be unsaid. So text is held back from where a mark, a code span or the
sentinel may have begun until it is known what it is; a mark that names no given passage is then
left out before anyone sees it. Code spans pass untouched: ``items[3]`` is no citation there.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ragkit.text.patterns import late_pattern

SENTINEL = "[NO ANSWER]"
"""What the model says if the passages hold no answer; never shown to a user."""

NUMBERS = r"\d{1,3}(?:\s*(?:[,，、;；–-]|and|和)\s*\d{1,3})*"
MARK = rf"[\[［【]\s*\^?(?i:passages?|sources?|段落|来源)?\s*{NUMBERS}\s*[\]］】]"
"""A citation as models write it: ``[1]``, ``[2, 3]``, ``【来源4】``."""

_REFERENCE = late_pattern(rf"{MARK}|{re.escape(SENTINEL)}", re.IGNORECASE)

_WORDS = SENTINEL.strip("[]")
_BEGUN = "".join(f"(?:{re.escape(c)}" for c in _WORDS) + ")?" * len(_WORDS)
_CODE = r"(?P<code>```.*?```|`[^`\n]+`)"
_MARKS = rf"(?P<space>[ \t]*)(?P<marks>{MARK}(?:[ \t]*{MARK})*)"
_NO_ANSWER = rf"(?P<none>\[(?i:{_WORDS})\]|{_WORDS})"
_OPEN = (
    # a fence, a code span, marks (more may follow) with what may become another, the sentinel
    r"(?P<open>```.*\Z|`{1,2}\Z|`[^`\n]*\Z|"
    rf"(?=[ \t\[［【])(?:[ \t]*{MARK})*[ \t]*(?:[\[［【][^\]］】\n]{{0,80}})?\Z|"
    rf"\[(?i:{_WORDS})\]\Z|(?=.){_BEGUN}\Z)"
)
_TOKEN = late_pattern("|".join((_CODE, _OPEN, _NO_ANSWER, _MARKS)), re.DOTALL)
_FINAL = late_pattern("|".join((_CODE, _NO_ANSWER, _MARKS)), re.DOTALL)
_WIDEST_RANGE = 20


class Mark(NamedTuple):
    """One ``[n]`` of a text: its place and the passage's number."""

    start: int
    end: int
    number: int


def find_marks(text: str) -> list[Mark]:
    """List the canonical marks of a text in order; those in code spans are none."""
    found = re.finditer(rf"{_CODE}|\[(?P<number>\d{{1,3}})\]", text, re.DOTALL)
    return [Mark(m.start(), m.end(), int(m["number"])) for m in found if m["number"]]


def without_marks(text: str) -> str:
    """Cut the canonical marks, and the space before them, out of a text."""
    for mark in reversed(find_marks(text)):
        text = text[: mark.start].rstrip(" ") + text[mark.end :]
    return text


def without_references(text: str) -> str:
    """Put what could pass for a citation of an answer, or for the sentinel, in round brackets."""
    return _REFERENCE.sub(lambda m: f"({m[0][1:-1]})", text)


class MarkFilter:
    """Passes a reply on piece by piece, every mark in it valid and written ``[n]``.

    Attributes:
        no_answer: The sentinel came by; it is never passed on.
        invalid: Numbers of marks that named no given passage, in order.
    """

    def __init__(self, given: int) -> None:
        """Begin a reply that may cite the passages 1 to `given`."""
        self.no_answer = False
        self.invalid: list[int] = []
        self._given = given
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next piece and return what can be shown by now."""
        held = self._held + text
        opened = next((m.start() for m in _TOKEN.finditer(held) if m["open"]), len(held))
        self._held = held[opened:]
        return _FINAL.sub(self._written, held[:opened])

    def close(self) -> str:
        """Return what was held back; the reply is over."""
        ready, self._held = self._held, ""
        return _FINAL.sub(self._written, ready)

    def _written(self, match: re.Match[str]) -> str:
        # What is left out must not join its neighbours into a new mark: [[9]5].
        joins = match.string[match.end() : match.end() + 1] in tuple("0123456789,]］】")
        gone = " " if joins else ""
        if match["none"]:
            self.no_answer = True
            return gone
        if match["code"]:
            return match["code"]
        numbers = _numbers(match["marks"])
        valid = [n for n in numbers if 1 <= n <= self._given]
        self.invalid += [n for n in numbers if n not in valid]
        return match["space"] + "".join(f"[{n}]" for n in valid) if valid else gone


def _numbers(listed: str) -> list[int]:
    """Read ``1, 3-5`` as 1, 3, 4, 5; each number once, in order."""
    numbers: list[int] = []
    for low, high in re.findall(r"(\d+)(?:\s*[–-]\s*(\d+))?", listed):
        first, last = int(low), int(high or low)
        spread = range(first, last + 1) if last - first < _WIDEST_RANGE else (first, last)
        numbers += [n for n in spread or (first, last) if n not in numbers]
    return numbers
