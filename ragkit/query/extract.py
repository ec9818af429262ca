"""Answers without a chat model: the sentences of the passages that answer best, word for word.

A sentence's score is the sum of two standard scores over the candidates: its cosine with the
question, and half as much its share of the question's terms, rare ones counting more. Standard
scores make the two comparable for any embedder. The rank of its passage adds to it, and what is no
whole sentence loses. The weights were chosen on 232 questions of SQuAD 2.0 and XQuAD, each over all
passages of its set, with multilingual-e5-small in 4 bits; benchmarks/QUALITY.md tells how often an
answer contains the reference. Embedding the sentence before it along with each makes it worse.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ragkit.query.proof.citations import as_shown, cite
from ragkit.query.proof.marks import MARK
from ragkit.query.proof.places import Place
from ragkit.query.proof.support import Evidence, judge
from ragkit.records import Sentence
from ragkit.text.injection import spans_without
from ragkit.text.patterns import late_pattern
from ragkit.text.statements import statements
from ragkit.text.words import content_terms, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from numpy.typing import NDArray

    from ragkit.protocols import Embedder
    from ragkit.query.proof.analysed import AnalysedText
    from ragkit.records import Answer, Citation, Context, Passage

MAX_CANDIDATES = 40
"""Sentences that are embedded; the embedder is what takes time."""

MIN_WORDS = 3
"""Shorter sentences (words, or pairs of CJK characters) answer nothing by themselves."""

SECOND_WITHIN = 0.5
"""A second sentence is quoted if its score is at most this much below the best."""

_LEXICAL_WEIGHT = 0.5

_FRAGMENT = 1.0
"""What the score of a form's field or a table's row is lowered by: it has the names of a question,
and more seldom the answer. With no other term than the question's it is left out."""

_FIRST = 1.0
"""What the score is raised by in the first passage, half as much in the second, and so on."""

_RULE = late_pattern(r"\n(?=[ \t|:]*-)[ \t|:-]*+(?:\n|\Z)")
"""The line below the names of a Markdown table's columns."""

_HEADING = late_pattern(r"#{1,6}(?:[ \t]|\Z)")

_QUESTION = late_pattern(r"\W{0,9}(?:\d+[.)] )?(?:[^.?!。？！\n]|[.!](?=\S))*[?？][*_ ]*")
"""A line that is one question."""

LONGEST_ANSWER = 200
"""Characters up to which an answer is quoted from its beginning on."""

_REFERENCES = late_pattern(rf"(?:{MARK}\s*)+")
_LAST_REFERENCE = late_pattern(rf"\s*{MARK}\Z")

_ENDS = (*".!;。！；…", '."', ".”", ".)", "。”", "。」", "。）", "！”", "；）")
"""How what is said in whole sentences ends."""


def quote(
    blank: Answer, question: AnalysedText, context: Context, embedder: Embedder | None
) -> Answer:
    """Answer by quoting the best sentences of the passages, word for word, without a chat model.

    Only what could pass for a citation, an image or HTML is not shown as it stands; the citation's
    quote holds it exactly. A sentence that tells a model what to reply is never chosen.

    Args:
        blank: The refusal that stands if nothing can be quoted.
        question: As it was searched for.
        context: The passages.
        embedder: The index's, if it has one; errors are those of `Embedder.embed_documents`.
    """
    text = ""
    quoted: list[Sentence] = []
    citations: list[Citation] = []
    for place in extract(question, context, embedder):
        passage = context.passages[place.number - 1]
        citation = cite(passage, place.start, place.end)
        begin = len(text) + (1 if text else 0)
        shown = as_shown(citation.quote)
        above = (citation.title, *citation.heading)
        status = judge(shown, [Evidence(citation.quote, above)]).status
        text = f"{text}\n{shown} [{place.number}]".lstrip("\n")
        quoted.append(Sentence(begin, len(text), status, (len(citations),)))
        citations.append(citation)
    if not citations:
        return blank
    return replace(
        blank, text=text, refused=False, sentences=tuple(quoted), citations=tuple(citations)
    )


def extract(question: AnalysedText, context: Context, embedder: Embedder | None) -> list[Place]:
    """Choose the one or two sentences that answer a question best.

    Args:
        question: As it was searched for.
        context: Its passages are read; none, or none with a whole sentence, gives no place.
        embedder: Embeds the question and at most `MAX_CANDIDATES` sentences; errors are its own.
            None: the words alone decide.

    Returns:
        Places in passages, best first.
    """
    distinct: dict[str, _Candidate] = {}
    for passage in context.passages:
        for begin, stop in spans_without(passage.text):
            for candidate in _candidates(passage, begin, stop):
                distinct.setdefault(candidate.said, candidate)
    asked = question.terms
    candidates = [c for c in distinct.values() if c.is_whole or not c.terms <= asked]
    if not candidates:
        return []
    lexical = _lexical(asked, candidates)
    # Stable: sentences without a common term keep the order of their passages' ranks.
    chosen = np.argsort(-lexical, kind="stable")[:MAX_CANDIDATES]
    cosines = np.zeros(len(chosen))
    if embedder is not None:
        vectors = embedder.embed_documents([candidates[i].said for i in chosen])
        cosines = (vectors @ embedder.embed_query(question.text)).astype(np.float64)
    scores = _standard(cosines) + _LEXICAL_WEIGHT * _standard(lexical[chosen])
    scores -= [0.0 if candidates[i].is_whole else _FRAGMENT for i in chosen]
    scores += [_FIRST / candidates[i].place.number for i in chosen]
    order = np.argsort(-scores, kind="stable")[:2]
    return _distinct(
        [
            candidates[chosen[i]].place
            for i in order
            if scores[i] >= scores[order[0]] - SECOND_WITHIN
        ]
    )


def _distinct(places: list[Place]) -> list[Place]:
    """Leave the longer of two places if one is in the other."""
    best, *others = places
    if others and others[0].number == best.number and others[0].start == best.start:
        return [max(places, key=lambda place: place.end)]
    return places


@dataclass(frozen=True, slots=True)
class _Candidate:
    place: Place
    said: str
    terms: frozenset[str]

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole sentence."""
        return self.said.endswith(_ENDS)


def _candidates(passage: Passage, begin: int, stop: int) -> Iterator[_Candidate]:
    """List what can stand alone in a part of a passage: sentences and rows, not headings.

    A question (as in a list of questions and answers) is quoted with what follows it and lends
    it its terms, but is not embedded: any question is near any other. A heading that asks lends its
    terms only; what stands below it may be shorter. The row that names a table's columns, or the
    heading that does where the passage begins within the table, is read before each row.
    """
    headings = {_bare(h) for h in (*passage.heading, passage.title)}
    asked, lent = None, ""
    part = passage.text[begin:stop]
    above = passage.heading[-1] if passage.heading and not begin else ""
    for start, end, names in _with_columns(part, above, is_cut=passage.start + begin > 0):
        said = part[start:end]
        is_heading = _HEADING.match(said) is not None or _bare(said) in headings
        if is_heading:
            asked, lent = None, ""
        first = start if asked is None else asked
        if said.rstrip("*_").endswith(("?", "？")):
            asked, lent = None if is_heading else first, f"{lent}{said}\n"
            continue
        # Below a heading that asks, "Three months." is an answer; in its line it is more of it.
        is_below = part[:start].rstrip(" ").endswith("\n")
        whole = lent + said if is_below else part[first:end]
        if len(words(names + whole)) >= MIN_WORDS and not is_heading:
            first = _beginning(part, first, end)
            place = Place(passage.number, begin + first, begin + end)
            yield _Candidate(place, names + said, frozenset(content_terms(lent + names + said)))
        asked, lent = None, ""


def _with_columns(part: str, above: str, *, is_cut: bool) -> Iterator[tuple[int, int, str]]:
    """List what has words in it; with a table's row, the row above that names its columns.

    Markdown underlines such a row, which then says nothing by itself; without a rule no row that
    begins with a bar names any. Not listed, too, are marks
    that close the emphasis of what stands before them, and a page's own references ``[1]`` around
    a sentence.
    """
    names = f"{above}\n" if " | " in above and part.startswith("|") else ""
    for start, end in (_between_marks(part, *s) for s in statements(part, is_cut=is_cut)):
        said = part[start:end]
        is_row = "\n" not in said and (said.startswith("|") or " | " in said)
        names = names if is_row or not words(said) else ""
        names_columns = is_row and _RULE.match(part, end) is not None
        if words(said) and not names_columns:
            yield start, end, names
        if names_columns or (is_row and not names and not said.startswith("|")):
            names = f"{said}\n"


def _between_marks(part: str, start: int, end: int) -> tuple[int, int]:
    """A span without the references at its ends; an answer could not show them as they stand."""
    match = _REFERENCES.match(part, start, end)
    start = match.end() if match else start
    while (last := _LAST_REFERENCE.search(part, start, end)) is not None:
        end = last.start()
    return start, end


def _beginning(part: str, start: int, end: int) -> int:
    """Where a quotation begins: as an answer does, if a line that is a question stands above it.

    The later sentences of an answer share more words with a question than the first, which they
    only add to.
    """
    top = part.rfind("\n\n", 0, start) + 1
    above = part[:top].rstrip()
    line = above.rfind("\n") + 1
    answer = part[top:].lstrip()
    top = len(part) - len(answer)
    if not _QUESTION.fullmatch(answer.partition("\n")[0]):
        if not _QUESTION.fullmatch(above, line):
            return start
        top = top if above.startswith("#", line) else line
    return top if top < start and end - top <= LONGEST_ANSWER else start


def _bare(heading: str) -> str:
    return " ".join(heading.split()).strip("=-~*# ").casefold()


def _lexical(asked: Set[str], candidates: Sequence[_Candidate]) -> NDArray[np.float64]:
    """Share of the question's terms in each candidate, weighted by rarity among them, in [0, 1]."""
    frequency = Counter(term for c in candidates for term in c.terms)
    weights = {t: math.log(1 + len(candidates) / (frequency[t] or 0.5)) for t in asked}
    total = sum(weights.values()) or 1.0
    held = [sum(weights[t] for t in asked & c.terms) / total for c in candidates]
    return np.array(held, dtype=np.float64)


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift and scale to mean 0 and deviation 1; equal values become 0."""
    deviation = float(values.std())
    return (values - values.mean()) / deviation if deviation > 1e-9 else np.zeros_like(values)
