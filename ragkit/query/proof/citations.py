"""Turns the marks of an answer into citations: exact places in documents, one status a sentence."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from ragkit.errors import CitationError
from ragkit.query.links import LinkFilter
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.marks import find_marks, without_marks, without_references
from ragkit.query.proof.numbers import conversions
from ragkit.query.proof.places import CitedPassage, headings_of
from ragkit.query.proof.support import answer_sentences, check_sentence
from ragkit.records import Citation, Sentence, copy_fields, read_from_picture
from ragkit.text.injection import find_injections
from ragkit.text.patterns import late_pattern
from ragkit.text.scripts import join_lines
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import Passage


def link_citations(
    text: str, passages: Sequence[Passage]
) -> tuple[tuple[Sentence, ...], tuple[Citation, ...]]:
    """Link each sentence of an answer to the places in the passages that it cites.

    Args:
        text: The answer, its marks written ``[n]``.
        passages: What the model was given.

    Returns:
        The sentences in order, and the distinct places that they cite, in order of first use.

    Raises:
        CitationError: A mark names a passage that was not given.
    """
    given = {p.number: CitedPassage(p) for p in passages}
    marks = find_marks(text)
    unknown = sorted({m.number for m in marks} - set(given))
    if unknown:
        msg = f"the answer cites [{unknown[0]}], but only passages 1 to {len(given)} were given"
        raise CitationError(msg)
    linked: list[Sentence] = []
    citations: list[Citation] = []
    for start, end in answer_sentences(text):
        numbers = dict.fromkeys(m.number for m in marks if start <= m.start < end)
        support = check_sentence(text[start:end], [given[n] for n in numbers])
        cited = [cite(given[p.number].passage, p.start, p.end) for p in support.places]
        citations += [c for c in cited if c not in citations]
        indexes = tuple(citations.index(c) for c in cited)
        linked.append(Sentence(start, end, support.status, indexes))
    return tuple(linked), tuple(citations)


def cite(passage: Passage, start: int, end: int) -> Citation:
    """Cite a part of a passage, given by half-open offsets in the passage's text.

    The citation's headings are those of its place: small sections may share a chunk, whose
    headings are what theirs have in common.
    """
    pages = {passage.page_at(passage.start + place) for place in (start, max(end - 1, start))}
    return copy_fields(
        passage,
        Citation,
        chunk_id=passage.chunk_ids[0],
        heading=headings_of(passage, start),
        page=passage.page_at(passage.start + start),
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
        to_model=any(a < end and start < b for a, b in find_injections(passage.text)),
        from_picture=read_from_picture(passage.metadata, (n for n in pages if n is not None)),
    )


def named_conversions(
    text: str, sentences: Sequence[Sentence], citations: Sequence[Citation]
) -> tuple[str, ...]:
    """Name what only another unit keeps from being said by a cited place: "12 weeks: [1] …"."""
    return tuple(
        f"{one.said}: [{citations[i].number}] says {one.held}"
        for sentence in sentences
        if sentence.status == "unsupported"
        for i in sentence.citations
        for one in conversions(
            AnalysedText(without_marks(text[sentence.start : sentence.end])),
            AnalysedText(citations[i].quote),
        )
    )


def as_shown(quote: str) -> str:
    r"""A quotation as an answer may hold it: no reference ``[n]`` of its own, no image, no HTML.

    It runs on: only an item of a list begins a line, and code keeps its lines. The cells of a
    table's row are parted by dots.

    >>> as_shown("The fee is\n5 dollars:\n- a day\n- for each book.")
    'The fee is 5 dollars:\n- a day\n- for each book.'
    >>> as_shown("| Mini | $12 |")
    'Mini · $12'
    """
    links = LinkFilter([quote])
    return links.feed(without_references(_running_on(visible(join_lines(quote))))) + links.close()


_CODE_BLOCK = late_pattern(r"(^[ \t]*(?:```|~~~).*?(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z))", re.M | re.S)
_ITEM = late_pattern(r"(?:[-*+•·▪◦–][ \t]|\(?\d{1,3}[.)、．][ \t]|[（(](?:\d{1,3}|\w)[)）]|[①-⑳])")


def _running_on(text: str) -> str:
    """Join the lines of a text but for items of lists and code."""
    parts = _CODE_BLOCK.split(text)
    return "\n".join(
        part.strip("\n") if i % 2 else _joined(part) for i, part in enumerate(parts) if part.strip()
    )


def _joined(text: str) -> str:
    joined = ""
    for line in filter(None, (" ".join(line.split()) for line in text.split("\n"))):
        said = _cells(line) if _is_row(line) else line
        gap = "\n" if _ITEM.match(said) else "" if _is_wide(joined[-1:], said[:1]) else " "
        joined = f"{joined}{gap}{said}"
    return joined.lstrip("\n")


def _is_wide(before: str, after: str) -> bool:
    """Whether a line end between two characters parts no words, as in Chinese."""
    return not before or any(unicodedata.east_asian_width(c) in "WF" for c in (before, after))


def _is_row(line: str) -> bool:
    return line.startswith("|") or (" | " in line and "`" not in line)


def _cells(line: str) -> str:
    cells = " · ".join(filter(None, (cell.strip() for cell in line.split("|"))))
    return cells.replace(": · ", ": ").replace("： · ", "：")


def drop_unsupported(text: str, sentences: Sequence[Sentence]) -> str:
    """Leave only the sentences that the passages prove, with the white space before each."""
    kept: list[str] = []
    before = 0
    for sentence in sentences:
        if sentence.status in ("quoted", "supported"):
            kept.append(
                text[before : sentence.end] if kept else text[sentence.start : sentence.end]
            )
        before = sentence.end
    return "".join(kept)
