"""What can be measured of one question alone: the passages found for it, and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.evaluate.correct import contains, exact_match, f1
from ragkit.evaluate.rank import DEPTH
from ragkit.query.proof.marks import without_marks
from ragkit.query.proof.support import fold
from ragkit.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ragkit.evaluate.dataset import Evidence, Question
    from ragkit.records import Answer, Citation, Hit

DEPTHS = (5, DEPTH)
"""How many passages, best first, are looked at."""


def passage_values(question: Question, ranked: Sequence[Hit]) -> Iterator[tuple[str, float]]:
    """Measure the passages found for a question, as far as its evidence is known.

    Args:
        question: One without an answer has no measure here.
        ranked: Best first.

    Yields:
        Names, as docs/evaluate.md explains them, with values.
    """
    if not question.answerable:
        return
    located = bool(question.evidence) and all(map(_is_located, question.evidence))
    paged = [e for e in question.evidence if e.pages]
    for depth in DEPTHS:
        top = ranked[:depth]
        if located:
            yield f"span recall@{depth}", span_recall(question.evidence, top)
            yield f"characters@{depth}", float(sum(hit.end - hit.start for hit in top))
        if question.answers:
            holds = any(contains(hit.text, question.answers) for hit in top)
            yield f"answer in top {depth}", float(holds)
        if paged:
            yield f"page in top {depth}", float(any(_on_page(e, h) for e in paged for h in top))


def span_recall(spans: Iterable[Evidence], hits: Sequence[Hit]) -> float:
    """The share of the spans' characters that stand in the hits, in [0, 1]; each counts once."""
    wanted = {(e.path, i) for e in spans for i in range(e.start or 0, e.end or 0)}
    found = sum(any(h.path == path and h.start <= i < h.end for h in hits) for path, i in wanted)
    return found / len(wanted) if wanted else 0.0


def answer_values(
    question: Question, answer: Answer, hits: Iterable[Hit]
) -> Iterator[tuple[str, float]]:
    """Measure an answer against the reference answers and the evidence, where they are known.

    Args:
        question: A refusal of an answerable one counts as an empty answer.
        answer: To that question.
        hits: The passages that it was given from.

    Yields:
        Names, as docs/evaluate.md explains them, with values.
    """
    if question.answerable and question.answers:
        said = "" if answer.refused else without_marks(answer.text)
        yield "exact match", exact_match(said, question.answers)
        yield "F1", f1(said, question.answers)
        yield "answer contains the reference", float(contains(said, question.answers))
    if answer.refused:
        return
    yield "verbatim share", _verbatim_share(answer, hits)
    if question.answerable and question.evidence and answer.citations:
        right = [any(_rests_on(c, e) for e in question.evidence) for c in answer.citations]
        cited = [any(_rests_on(c, e) for c in answer.citations) for e in question.evidence]
        yield "citation precision", sum(right) / len(right)
        yield "citation recall", sum(cited) / len(cited)


def _is_located(span: Evidence) -> bool:
    return span.start is not None and span.end is not None


def _on_page(span: Evidence, hit: Hit) -> bool:
    return hit.path == span.path and any(page.number in span.pages for page in hit.pages)


def _verbatim_share(answer: Answer, hits: Iterable[Hit]) -> float:
    """The share of the answer's characters in sentences that stand in a passage word for word."""
    given = [hit.text for hit in hits]
    said = [without_marks(answer.text[s.start : s.end]).strip() for s in answer.sentences]
    found = sum(len(s) for s in said if any(s in text for text in given))
    return found / max(1, sum(map(len, said)))


def _rests_on(citation: Citation, span: Evidence) -> bool:
    """Whether a citation overlaps evidence, as closely as the evidence is known."""
    if citation.path != span.path:
        return False
    if span.start is not None and span.end is not None:
        return citation.start < span.end and span.start < citation.end
    if span.text:
        evidence, _ = fold(span.text)
        quoted = (fold(citation.quote[start:end])[0] for start, end in sentences(citation.quote))
        return any(quote in evidence or evidence in quote for quote in quoted if quote)
    return not span.pages or citation.page in span.pages
