"""One question, asked: what was found and answered, and what of it can be measured alone."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragkit.answer import evidence, has_evidence
from ragkit.answer.markers import without_marks
from ragkit.evaluate.correct import contains, exact_match, f1

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ragkit.evaluate.dataset import Evidence, Question
    from ragkit.pipeline import Pipeline
    from ragkit.records import Answer, Citation, Hit

RANKED_CHUNKS = 100  # deep enough for twenty documents of a few chunks each
SPAN_DEPTHS = (5, 20)


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one question.

    ``documents`` are the relative paths that were found, best first, each once. ``evidence`` has
    one text a passage that an answer would be given: its place and the hash of its words.
    ``certainty``, in [0, 1], is the evidence by which a question is refused. ``values`` are the
    measures of this question alone. ``answer`` and ``cited`` are None unless it was answered.
    """

    id: str
    text: str
    answerable: bool
    documents: tuple[str, ...]
    evidence: tuple[str, ...]
    certainty: float
    refused: bool
    seconds: float
    values: dict[str, float] = field(default_factory=dict)
    answer: str | None = None
    cited: tuple[str, ...] = ()


def ask(question: Question, rag: Pipeline, *, answers: bool) -> Trial:
    """Search for a question, answer it if asked for, and measure both."""
    started = time.perf_counter()
    hits = rag.search(question.text)
    seconds = time.perf_counter() - started
    ranked = rag.search(question.text, k=RANKED_CHUNKS)
    name = rag.store.manifest["embedder"]["name"]
    minimum = rag.config.answer.min_evidence
    answer = rag.ask(question.text) if answers else None
    values = dict(_found(question, ranked))
    if answer is not None:
        values |= _answered(question, answer, hits)
    refused = not has_evidence(question.text, hits, embedder=name, minimum=minimum)
    return Trial(
        id=question.id,
        text=question.text,
        answerable=question.answerable,
        documents=tuple(dict.fromkeys(hit.path for hit in ranked)),
        evidence=tuple(_fingerprint(hit) for hit in hits),
        certainty=evidence(question.text, hits, name),
        refused=refused if answer is None else answer.refused,
        seconds=seconds,
        values=values,
        answer=None if answer is None else answer.text,
        cited=() if answer is None else tuple(_place(c) for c in answer.citations),
    )


def _fingerprint(hit: Hit) -> str:
    return f"{hit.path} {hit.start}-{hit.end} {hashlib.sha256(hit.text.encode()).hexdigest()[:12]}"


def _place(citation: Citation) -> str:
    return f"{citation.path} {citation.start}-{citation.end}"


def _found(question: Question, ranked: Sequence[Hit]) -> Iterator[tuple[str, float]]:
    if not question.answerable:
        return
    spans = [e for e in question.evidence if e.start is not None and e.end is not None]
    for depth in SPAN_DEPTHS:
        top = ranked[:depth]
        if spans and len(spans) == len(question.evidence):
            yield f"span recall@{depth}", span_recall(spans, top)
            yield f"characters@{depth}", float(sum(hit.end - hit.start for hit in top))
        if question.answers:
            holds = any(contains(hit.text, question.answers) for hit in top)
            yield f"answer in top {depth}", float(holds)
        paged = [e for e in question.evidence if e.pages]
        if paged:
            yield f"page in top {depth}", float(any(_on_page(e, h) for e in paged for h in top))


def span_recall(spans: Sequence[Evidence], hits: Iterable[Hit]) -> float:
    """The share of the spans' characters that stand in the hits, in [0, 1]."""
    wanted: set[tuple[str, int]] = set()
    for span in spans:
        wanted |= {(span.path, i) for i in range(span.start or 0, span.end or 0)}
    found = {(hit.path, i) for hit in hits for i in range(hit.start, hit.end)}
    return len(wanted & found) / len(wanted) if wanted else 0.0


def _on_page(span: Evidence, hit: Hit) -> bool:
    return hit.path == span.path and any(page.number in span.pages for page in hit.pages)


def _answered(
    question: Question, answer: Answer, hits: Sequence[Hit]
) -> Iterator[tuple[str, float]]:
    said = without_marks(answer.text)
    if question.answerable and question.answers:
        given = "" if answer.refused else said
        yield "exact match", exact_match(given, question.answers)
        yield "F1", f1(given, question.answers)
        yield "answer contains the reference", float(contains(given, question.answers))
    if answer.refused:
        return
    yield "verbatim share", _verbatim(answer, hits)
    if question.answerable and question.evidence and answer.citations:
        right = [any(_supports(e, c) for e in question.evidence) for c in answer.citations]
        yield "citation precision", sum(right) / len(right)
        cited = [any(_supports(e, c) for c in answer.citations) for e in question.evidence]
        yield "citation recall", sum(cited) / len(cited)


def _verbatim(answer: Answer, hits: Sequence[Hit]) -> float:
    """The share of the answer's characters in sentences that stand in a passage word for word."""
    said = [without_marks(answer.text[s.start : s.end]).strip() for s in answer.sentences]
    found = sum(len(s) for s in said if any(s in hit.text for hit in hits))
    return found / max(1, sum(map(len, said)))


def _supports(span: Evidence, citation: Citation) -> bool:
    if citation.path != span.path:
        return False
    if span.start is not None and span.end is not None:
        return citation.start < span.end and span.start < citation.end
    return not span.pages or citation.page in span.pages
