"""The numbers that Word counts, of lists, clauses and headings: ``2.1``, ``(a)``, ``Article 3``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.ingest.load.readers.docx_styles import W, value_of
from ragkit.ingest.load.readers.list_numbers import list_number
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from lxml.etree import _Element

_PLACE = late_pattern(r"%([1-9])")
_LEVELS = 9


@dataclass(frozen=True, slots=True)
class _Level:
    kind: str
    text: str
    start: int
    restarts: int  # the level that restarts it, from 1; 0: none does
    is_legal: bool


_BULLET = _Level("bullet", "", 1, 0, is_legal=False)


class Numbering:
    """Counts the numbered paragraphs of a document, which are given in order.

    Args:
        root: The part with the numberings; None if there is none.
    """

    def __init__(self, root: _Element | None) -> None:
        self._abstract: dict[str, dict[int, _Level]] = {}
        self._lists: dict[str, str] = {}
        self._overrides: dict[str, dict[int, _Level]] = {}
        self._starts: dict[str, dict[int, int]] = {}
        self._counts: dict[str, list[int | None]] = {}
        self._begun: set[str] = set()
        if root is None:
            return
        links: dict[str, str] = {}
        for element in root.iter(W + "abstractNum"):
            key = element.get(W + "abstractNumId", "")
            self._abstract[key] = _levels(element)
            if style := value_of(element, "styleLink"):
                links[style] = key
        for element in root.iter(W + "abstractNum"):
            if (style := value_of(element, "numStyleLink")) in links:
                self._abstract[element.get(W + "abstractNumId", "")] = self._abstract[links[style]]
        for element in root.findall(W + "num"):
            self._read_list(element)

    def mark(self, numbering: tuple[str, int]) -> str:
        """Count a paragraph; return what stands before it: ``-`` for a bullet, "" for nothing."""
        key, depth = numbering[0], min(max(numbering[1], 0), _LEVELS - 1)
        if key in ("", "0"):
            return ""
        abstract = self._lists.get(key)
        levels = self._abstract.get(abstract or "", {}) | self._overrides.get(key, {})
        level = levels.get(depth, _BULLET)
        if abstract is None or level.kind == "bullet":
            return "-"
        counts = self._counts.setdefault(abstract, [None] * _LEVELS)
        self._begin(key, counts)
        last = counts[depth]
        counts[depth] = level.start if last is None else last + 1
        for deeper in range(depth + 1, _LEVELS):
            restarts = levels[deeper].restarts if deeper in levels else deeper
            if restarts > depth:
                counts[deeper] = None
        return _written(level, levels, counts)

    def _begin(self, key: str, counts: list[int | None]) -> None:
        """Set the counts to what a list that is met for the first time starts with."""
        if key not in self._begun:
            self._begun.add(key)
            for depth, start in self._starts.get(key, {}).items():
                counts[depth] = start - 1
                counts[depth + 1 :] = [None] * (_LEVELS - depth - 1)

    def _read_list(self, element: _Element) -> None:
        key = element.get(W + "numId", "")
        self._lists[key] = value_of(element, "abstractNumId")
        for override in element.findall(W + "lvlOverride"):
            depth = override.get(W + "ilvl", "0")
            self._overrides.setdefault(key, {}).update(_levels(override))
            start = value_of(override, "startOverride")
            if start.isdigit() and depth.isdigit() and int(depth) < _LEVELS:
                self._starts.setdefault(key, {})[int(depth)] = int(start)


def _levels(element: _Element) -> dict[int, _Level]:
    found: dict[int, _Level] = {}
    for level in element.findall(W + "lvl"):
        depth = level.get(W + "ilvl", "0")
        if depth.isdigit():
            start, restart = value_of(level, "start"), value_of(level, "lvlRestart")
            legal = level.find(W + "isLgl")
            found[int(depth)] = _Level(
                value_of(level, "numFmt") or "decimal",
                value_of(level, "lvlText"),
                int(start) if start.isdigit() else 0,
                int(restart) if restart.isdigit() else int(depth),
                legal is not None and legal.get(W + "val", "1") not in ("0", "false"),
            )
    return found


def _written(level: _Level, levels: dict[int, _Level], counts: list[int | None]) -> str:
    def number(found: re.Match[str]) -> str:
        depth = int(found[1]) - 1
        of = levels.get(depth, level)
        count = counts[depth]
        if count is None:  # a level that was passed over counts as begun
            count = counts[depth] = of.start
        if of.kind == "none":
            return ""
        return list_number(count, "1" if level.is_legal else of.kind)

    return " ".join(_PLACE.sub(number, level.text).split())
