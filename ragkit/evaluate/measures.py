"""What is measured of one question alone: its ranking, the passages found for it, its answer."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from ragkit.evaluate.intervals import need_extra
from ragkit.query.context import build_context
from ragkit.query.proof.marks import without_marks
from ragkit.query.proof.quotation import fold
from ragkit.text.scripts import script_class
from ragkit.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ragkit.evaluate.dataset import GoldPassage, Question
    from ragkit.records import Answer, Citation, Hit

DEPTH = 20
"""How many documents, best first, the measures of a ranking look at; RR looks at all."""

DEPTHS = (5, DEPTH)
"""How many passages, best first, the measures of passages look at."""

_CJK = script_class("cjk")
_TOKEN = re.compile(f"[{_CJK}]|[^\\s{_CJK}]+")
_ARTICLES = frozenset({"a", "an", "the"})


def rank_values(
    rankings: Sequence[Sequence[str]], relevant: Sequence[Mapping[str, int]]
) -> list[dict[str, float]]:
    """Measure rankings of documents.

    Args:
        rankings: Documents, best first, each once.
        relevant: For each ranking the documents that answer, with grades from 1.

    Returns:
        For each ranking nDCG@10, R@5, R@10, R@20, RR and Success@1 (hit@1), as ir-measures names
        them: grades are gains in nDCG, and any grade counts as relevant elsewhere. {} if
        nothing is known to be relevant.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed.
    """
    need_extra()
    from ir_measures import RR, R, Success, iter_calc, nDCG

    measures = [nDCG @ 10, R @ 5, R @ 10, R @ DEPTH, RR, Success @ 1]
    qrels = {str(i): dict(grades) for i, grades in enumerate(relevant) if grades}
    run = {i: {d: -float(rank) for rank, d in enumerate(rankings[int(i)])} for i in qrels}
    values = [{str(m): 0.0 for m in measures} if grades else {} for grades in relevant]
    for found in iter_calc(measures, qrels, run):
        values[int(found.query_id)][str(found.measure)] = float(found.value)
    return values


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


def span_recall(spans: Iterable[GoldPassage], hits: Sequence[Hit]) -> float:
    """The share of the spans' characters that stand in the hits, in [0, 1]; each counts once."""
    wanted = {(e.path, i) for e in spans for i in range(e.start or 0, e.end or 0)}
    found = sum(any(h.path == path and h.start <= i < h.end for h in hits) for path, i in wanted)
    return found / len(wanted) if wanted else 0.0


def _is_located(span: GoldPassage) -> bool:
    return span.start is not None and span.end is not None


def _on_page(span: GoldPassage, hit: Hit) -> bool:
    return hit.path == span.path and any(page.number in span.pages for page in hit.pages)


def answer_values(
    question: Question, answer: Answer, hits: Sequence[Hit]
) -> Iterator[tuple[str, float]]:
    """Measure an answer against the reference answers and the evidence, if they are known.

    Args:
        question: A refusal of an answerable one counts as an empty answer.
        answer: To that question.
        hits: What it was given from, in the order of their ranks.

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


OUTCOMES = (
    "right",
    "other sentence",
    "not found",
    "wrongly refused",
    "rightly refused",
    "wrongly answered",
    "answered",
)
"""What may become of a question that is answered; docs/evaluate.md explains each."""


def outcome(question: Question, answer: Answer, hits: Iterable[Hit]) -> str:
    """What became of a question, one of `OUTCOMES`.

    An answer is right if it holds a reference answer, or cites the evidence: its words or pages,
    or its document if no reference is known.

    Args:
        question: With what is known of its answer.
        answer: To that question.
        hits: The passages that it was given from.
    """
    if not question.answerable:
        return "rightly refused" if answer.refused else "wrongly answered"
    if answer.refused:
        return "wrongly refused"
    if not (question.answers or question.evidence):
        return "answered"
    said = without_marks(answer.text)
    telling = [e for e in question.evidence if e.text or e.pages or not question.answers]
    rests = any(_rests_on(c, e) for c in answer.citations for e in telling)
    if rests or contains(said, question.answers):
        return "right"
    paths = {e.path for e in question.evidence}
    found = any(hit.path in paths or contains(hit.text, question.answers) for hit in hits)
    return "other sentence" if found else "not found"


def _verbatim_share(answer: Answer, hits: Sequence[Hit]) -> float:
    """The share of the answer's characters in sentences that stand in a passage word for word.

    A passage may be several neighbouring hits, as an answer is given from them.
    """
    given = [p.text for p in build_context(hits, budget_tokens=sys.maxsize).passages]
    said = [without_marks(answer.text[s.start : s.end]).strip() for s in answer.sentences]
    found = sum(len(s) for s in said if any(s in text for text in given))
    return found / max(1, sum(map(len, said)))


def _rests_on(citation: Citation, span: GoldPassage) -> bool:
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


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 if the answer's tokens are those of a reference, else 0."""
    said = answer_tokens(answer)
    return float(any(said == answer_tokens(reference) for reference in references))


def f1(answer: str, references: Sequence[str]) -> float:
    """Harmonic mean of the shares of tokens in common, in [0, 1]; the best of the references."""
    said = answer_tokens(answer)
    return max((_f1(said, answer_tokens(reference)) for reference in references), default=0.0)


def _f1(said: list[str], reference: list[str]) -> float:
    common = sum((Counter(said) & Counter(reference)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(reference)
    return 2 * precision * recall / (precision + recall)


def contains(text: str, references: Sequence[str]) -> bool:
    """Whether a text holds a reference's tokens in one run; punctuation parts tokens here."""
    said = _spaced(text)
    return any(_spaced(reference) in said for reference in references)


def _spaced(text: str) -> str:
    return f" {' '.join(answer_tokens(text, gap=' '))} "


def answer_tokens(text: str, *, gap: str = "") -> list[str]:
    """The tokens of an answer that count; each punctuation mark becomes a gap.

    >>> answer_tokens("The 3.5 Months, 三个月。")
    ['35', 'months', '三', '个', '月']
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    bare = "".join(gap if _is_punctuation(c) else c for c in plain)
    return [t for t in _TOKEN.findall(bare) if t not in _ARTICLES]


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
