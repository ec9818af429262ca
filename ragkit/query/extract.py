"""Answers without a chat model: the closest passages, each the best sentence in its place.

What can be quoted is ranked (`ragkit.query.closeness`), and the best three are shown with what
stands around them: the sentences before and behind, the names of a row's columns, a list below its
lead-in, an answer below its question. benchmarks/QUOTATIONS.md tells how often the answer is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from ragkit.query.closeness import measured, scores
from ragkit.query.followup import own_part
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.citations import as_shown, cite
from ragkit.query.proof.support import Evidence, answer_sentences, judge
from ragkit.query.quotable import quotables
from ragkit.records import Sentence, Span
from ragkit.text.scripts import is_cjk
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.protocols import Embedder
    from ragkit.query.closeness import OwnPart
    from ragkit.query.quotable import Quotable
    from ragkit.records import Answer, Citation, Context, Passage, SentenceStatus

MOST = 3
"""Quotations of an answer."""

WITHIN = 3.25
"""A further sentence is quoted if its score is at most this much below the best. Of 2.75, 3, 3.25
and 3.5, on 1,100 questions of xquad-en, xquad-zh, squad2-noanswer and cmrc2018-dev that no figure
is published of, the answer was shown to 0.948, 0.950, 0.952 and 0.955, and 0.929, 0.924, 0.921 and
0.916 of the citations were in the documents that answer (means over the sets)."""

LONGEST_SHOWN = 1000
"""Characters up to which quotations that overlap are made one, half of that for a question in CJK;
beyond, the lower one is left out."""

EMBEDDED = 3
"""Sentences that are embedded where words tell little; the embedder is what takes time."""

MOST_EMBEDDED = 330
"""Characters of these sentences together, an ideograph counting three: an answer is to cost no more
than six searches, and a search embeds a question."""

TELLING = 0.3
"""Share of a question, by rarity, that a sentence must hold for words to tell enough. Above it, the
nearness of sentences in meaning made no difference in 680 questions; below it, the answer was among
the first two sentences 7 times more in 100."""

LONGEST_QUESTION = 1200
"""Characters of a question that sentences are compared with."""


def quote(
    blank: Answer, question: AnalysedText, context: Context, embedder: Embedder | None
) -> Answer:
    """Answer by quoting the closest sentences of the passages in their places.

    What is shown is word for word in the places that are cited, but for line breaks, table bars,
    and what could pass for a citation, an image or HTML; the citation's quote holds it exactly. A
    sentence that tells a model what to reply is never shown.

    Args:
        blank: The refusal that stands if nothing can be quoted.
        question: As it was searched for.
        context: The passages.
        embedder: The index's, if it has one; errors are those of `Embedder.embed_documents`.
    """
    text = ""
    quoted: list[Sentence] = []
    citations: list[Citation] = []
    closest: list[Span] = []
    numbers: dict[tuple[object, ...], int] = {}
    for found in extract(question, context, embedder, own_part(blank.question, blank.searched)):
        shown = _shown(context.passages[found.number - 1], found)
        first = shown.citations[0]
        source = (first.doc_id, first.file_sha256, first.page, first.heading)
        number = numbers.setdefault(source, len(numbers) + 1)
        text += "\n\n" if text else ""
        begin = len(text)
        text += f"{shown.text} [{number}]"
        cited = tuple(range(len(citations), len(citations) + len(shown.citations)))
        citations += [replace(c, number=number) for c in shown.citations]
        closest.append(Span(begin + shown.closest.start, begin + shown.closest.end))
        quoted.append(Sentence(begin, len(text), _status(shown), cited))
    if not citations:
        return blank
    return replace(
        blank,
        text=text,
        refused=False,
        sentences=tuple(quoted),
        citations=tuple(citations),
        closest=tuple(closest),
    )


def extract(
    question: AnalysedText,
    context: Context,
    embedder: Embedder | None,
    own: OwnPart | None = None,
) -> list[Quotable]:
    """Choose what answers a question best.

    Args:
        question: As it was searched for.
        context: Its passages are read; none, or none with a whole sentence, gives nothing.
        embedder: Embeds the question and at most `EMBEDDED` sentences, and that only if no sentence
            holds much of the question; errors are its own. None: the words alone decide.
        own: What a follow-up asks by itself; None: the question stands alone.

    Returns:
        At most `MOST`, best first; what is shown of two does not overlap.
    """
    if len(question.text) > LONGEST_QUESTION:
        question = AnalysedText(question.text[:LONGEST_QUESTION])
    longest = LONGEST_SHOWN // 2 if question.is_cjk else LONGEST_SHOWN
    chosen: list[Quotable] = []
    for one in _ranked(question, _found(question, context), embedder, own):
        wide, apart = _joined(one, chosen)
        if len(apart) < len(chosen):
            if wide.shown[1] - wide.shown[0] <= longest:
                at = next(i for i, other in enumerate(chosen) if other not in apart)
                chosen = [*apart[:at], wide, *apart[at:]]
        elif len(chosen) == MOST:
            break
        elif not any(_holds(context, other, one) for other in chosen):
            chosen.append(one)
    return chosen


def _found(question: AnalysedText, context: Context) -> list[Quotable]:
    """All that can be quoted, each text once; no fragment that only repeats the question."""
    distinct: dict[str, Quotable] = {}
    for passage in context.passages:
        for one in quotables(passage):
            distinct.setdefault(f"{one.lent}{one.said}", one)
    return [q for q in distinct.values() if q.is_whole or _says_more(q, question)]


def _joined(one: Quotable, chosen: Sequence[Quotable]) -> tuple[Quotable, list[Quotable]]:
    """One more made one with what it overlaps, the best of them marked; and what is apart."""
    wide, apart = one, list(chosen)
    while touched := [other for other in apart if _overlap(wide, other)]:
        apart = [other for other in apart if other not in touched]
        starts, ends = zip(wide.shown, *(other.shown for other in touched), strict=True)
        wide = replace(wide, shown=(min(starts), max(ends)))
    best = next((other for other in chosen if other not in apart), one)
    return replace(best, shown=wide.shown), apart


def _holds(context: Context, shown: Quotable, one: Quotable) -> bool:
    """Whether a sentence is shown already, as a report may say the same in two sections.

    White space does not count: beside an ideograph one page has it and its copy has not.
    """
    texts = [
        context.passages[q.number - 1].text[start:end]
        for q, (start, end) in ((shown, shown.shown), (one, (one.start, one.end)))
    ]
    whole, said = ("".join(text.split()) for text in texts)
    return said in whole


def _says_more(one: Quotable, question: AnalysedText) -> bool:
    """Whether what is no sentence says anything but the question's words."""
    return not set(content_terms(one.said)) <= question.terms


def _ranked(
    question: AnalysedText,
    found: Sequence[Quotable],
    embedder: Embedder | None,
    own: OwnPart | None,
) -> list[Quotable]:
    """The nearest, best first: all that are `WITHIN` of the best."""
    if not found:
        return []
    told = measured(question, found, own)
    scored = dict(enumerate(scores("words", told)))
    order = sorted(range(len(found)), key=lambda i: -scored[i])
    if embedder is not None and max(one["share"] for one in told) < TELLING:
        costs = accumulate(_cost(found[i].said) for i in order[:EMBEDDED])
        few = order[: max(1, sum(cost <= MOST_EMBEDDED for cost in costs))]
        vectors = embedder.embed_documents([found[i].said for i in few])
        cosines = [float(c) for c in vectors @ embedder.embed_query(question.text)]
        middle = sum(cosines) / len(cosines)
        near = [told[i] | {"near": c - middle} for i, c in zip(few, cosines, strict=True)]
        scored = dict(zip(few, scores("meaning", near), strict=True))
        order = sorted(few, key=lambda i: -scored[i])
    return [found[i] for i in order if scored[i] >= scored[order[0]] - WITHIN]


def _cost(text: str) -> int:
    return len(text) + 2 * sum(is_cjk(char) for char in text)


def _overlap(one: Quotable, other: Quotable) -> bool:
    return (
        one.number == other.number
        and one.shown[0] < other.shown[1]
        and other.shown[0] < one.shown[1]
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """A quotation as it is shown, the best sentence in it, and the places where it stands."""

    text: str
    closest: Span
    citations: tuple[Citation, ...]


def _shown(passage: Passage, found: Quotable) -> _Shown:
    """A quotation with what is needed to read it, if that can be proved; else without."""
    for shown in _ways(passage, found):
        is_one = len(answer_sentences(f"{shown.text} [1]")) == 1
        if is_one and _status(shown) in ("quoted", "supported"):
            return shown
    return _run(passage, found)


def _ways(passage: Passage, found: Quotable) -> Iterator[_Shown]:
    """The ways to show what does not stand in one run with what it needs."""
    lead = found.lead
    apart = lead is not None and lead[0] < found.shown[0]
    places = [lead, (found.start, found.end)] if lead and apart else [(found.start, found.end)]
    citations = tuple(cite(passage, start, end) for start, end in places)
    if found.columns:
        row = passage.text[found.start : found.end]
        names, cells = _cells(found.columns), _cells(row)
        if len(names) == len(cells):
            pairs = [f"{n}: {c}" if n else c for n, c in zip(names, cells, strict=True) if c]
            text = as_shown("; ".join(pairs))
            yield _Shown(text, Span(0, len(text)), citations)
    elif lead and apart:
        above, said = (as_shown(passage.text[start:end]) for start, end in places)
        text = f"{above} {said}"
        yield _Shown(text, Span(len(text) - len(said), len(text)), citations)


def _run(passage: Passage, found: Quotable) -> _Shown:
    """A quotation in one run."""
    start, end = found.shown
    citation = cite(passage, start, end)
    text = as_shown(citation.quote).strip()
    said = as_shown(passage.text[found.start : found.end]).strip()
    before = len(as_shown(passage.text[start : found.start]).strip())
    at = max(text.find(said, max(0, before - 1)), 0)
    return _Shown(text, Span(at, min(len(text), at + len(said))), (citation,))


def _status(shown: _Shown) -> SentenceStatus:
    evidence = [Evidence(c.quote, (c.title, *c.heading)) for c in shown.citations]
    return judge(shown.text, evidence).status


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]
