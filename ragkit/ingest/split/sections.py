"""Sections: the blocks under one heading, and which small sections share a chunk."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ragkit.ingest.split.scanners import SCANNERS
from ragkit.text.tokens import token_weight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.ingest.load.formats import Structure
    from ragkit.ingest.split.scanners import Block
    from ragkit.ingest.split.units import Limits


class Section(NamedTuple):
    """A heading and all blocks up to the next heading. ``path`` ends with its own heading."""

    start: int
    end: int
    path: tuple[str, ...]
    blocks: list[Block]


def find_sections(text: str, structure: Structure) -> list[Section]:
    """Divide a text into sections, in order; together they cover all that is not white space.

    Args:
        text: A document's text.
        structure: How its headings and lists are written.
    """
    blocks = SCANNERS[structure](text)
    starts = [i for i, b in enumerate(blocks) if b.depth]
    if blocks and not blocks[0].depth:
        starts.insert(0, 0)
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    for first, following in pairwise([*starts, len(blocks)]):
        head = blocks[first]
        if head.depth:
            path = [p for p in path if p[0] < head.depth] + [(head.depth, head.title)]
        end = blocks[following].start if following < len(blocks) else len(text)
        titles = tuple(title for _, title in path)
        sections.append(Section(head.start, end, titles, blocks[first:following]))
    return sections


def groups(text: str, structure: Structure, sizes: Limits) -> Iterator[tuple[list[Section], int]]:
    """Put small sections together with the next ones under the same parent; add their weight.

    A section of a line or two joins whatever comes next, so that a heading is not alone;
    one that is larger but far below the aim joins only what fits into one chunk with it.
    """
    group: list[Section] = []
    total = 0
    for section in find_sections(text, structure):
        weight = token_weight(text[section.start : section.end])
        scrap = total < sizes.low // 4
        fits = total < sizes.high - sizes.low and total + weight <= sizes.high
        if group and (scrap or fits) and _related(group[0], section):
            group.append(section)
            total += weight
        else:
            if group:
                yield group, total
            group, total = [section], weight
    if group:
        yield group, total


def _related(first: Section, section: Section) -> bool:
    """Say whether a later section lies under the parent of an earlier one."""
    parent = first.path[:-1]
    return section.path[: len(parent)] == parent
