"""Turns the marks of an answer into citations: exact places in documents, one status a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.errors import CitationError
from ragkit.query.links import LinkFilter
from ragkit.query.proof.marks import find_marks, without_references
from ragkit.query.proof.places import CitedPassage
from ragkit.query.proof.support import answer_sentences, check_sentence
from ragkit.records import Citation, Sentence, copy_fields
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
    """Cite a part of a passage, given by half-open offsets in the passage's text."""
    return copy_fields(
        passage,
        Citation,
        chunk_id=passage.chunk_ids[0],
        page=passage.page_at(passage.start + start),
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
    )


def as_shown(quote: str) -> str:
    """A quotation as an answer may hold it: no reference ``[n]`` of its own, no image, no HTML.

    A line end within a Chinese or Japanese sentence, which parts no words, is left out.
    """
    links = LinkFilter([quote])
    return links.feed(without_references(visible(join_lines(quote)))) + links.close()


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
