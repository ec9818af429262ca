"""Checks an answer again, without a model: does what it cites still stand, and say what it says?

Each citation is looked up twice, in the indexed text and in the file as it is now. Each sentence is
then judged anew, by the quotes that stand and by nothing else in the answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragkit.decoding import from_json
from ragkit.errors import LoadError
from ragkit.ingest.load import Parser
from ragkit.ingest.load.recognised import kept_folder
from ragkit.query.prompt import is_refusal
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.citations import as_shown
from ragkit.query.proof.marks import find_marks, without_marks
from ragkit.query.proof.quotation import verbatim_span
from ragkit.query.proof.support import Evidence, answer_sentences, judge
from ragkit.records import Answer, SentenceStatus
from ragkit.verify.resolver import CitationCheck, CitationResolver, check_citation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.config import LoadSettings
    from ragkit.ingest.load import Formats
    from ragkit.protocols import VectorStore
    from ragkit.records import Sentence


@dataclass(frozen=True, slots=True)
class SentenceCheck:
    """A sentence judged anew. ``recorded`` is None if the answer records no such sentence."""

    text: str
    status: SentenceStatus
    recorded: SentenceStatus | None


@dataclass(frozen=True, slots=True)
class Verification:
    """An answer's sentences and citations, checked, in the answer's order."""

    sentences: tuple[SentenceCheck, ...]
    citations: tuple[CitationCheck, ...]

    @property
    def holds(self) -> bool:
        """Everything is as the answer records it."""
        return all(c.state == "holds" for c in self.citations) and all(
            s.status == s.recorded for s in self.sentences
        )

    @property
    def proved(self) -> bool:
        """All holds, and every sentence is quoted or supported."""
        return self.holds and all(s.status in ("quoted", "supported") for s in self.sentences)


def read_answer(data: bytes, name: str) -> Answer:
    """Read an answer as ``ragkit ask --json`` prints it.

    Args:
        data: JSON in UTF-8.
        name: How an error calls it.

    Raises:
        LoadError: It is empty, no JSON, or not an answer.
    """
    if not data.strip():
        msg = f"{name} is empty: what is verified is an answer that `ragkit ask --json` printed"
        raise LoadError(msg, name)
    try:
        return from_json(Answer, json.loads(data.decode("utf-8-sig")))
    except ValueError as exc:  # UnicodeDecodeError and JSONDecodeError are such
        msg = f"{name} is not an answer of `ragkit ask --json`: {exc}"
        raise LoadError(msg, name) from exc


def verify(
    answer: Answer, store: VectorStore, settings: LoadSettings, *, formats: Formats | None = None
) -> Verification:
    """Check an answer against the index that it came from, and against the files.

    Args:
        answer: Possibly edited by somebody.
        store: The index; nothing is written but what is read in pictures anew, beside it.
        settings: As for loading; they bound what a file's parser may take.
        formats: Which there are readers for; as `Parser` has them where None.
    """
    with Parser(settings, formats, recognised=kept_folder(store.location)) as parser:
        resolver = CitationResolver(store, settings, parser)
        checks = tuple(check_citation(c, resolver) for c in answer.citations)
    return Verification(tuple(_sentences(answer, checks)), checks)


def _sentences(answer: Answer, checks: Sequence[CitationCheck]) -> Iterator[SentenceCheck]:
    """Judge the sentences that the text has, whatever sentences the record claims."""
    said, _, last = answer.text.rpartition("\n")
    if answer.refused and is_refusal(last):
        answer = replace(answer, text=said)
    recorded = {(s.start, s.end): s for s in answer.sentences}
    for start, end in _spans(answer, checks):
        text = answer.text[start:end]
        record = recorded.get((start, end))
        verdict = judge(text, _evidence(text, record, checks))
        # Marks whose places do not stand are no proof, but the sentence did cite.
        is_lost = verdict.status == "uncited" and find_marks(text)
        status = "unsupported" if is_lost else verdict.status
        yield SentenceCheck(text, status, record.status if record else None)


def _spans(answer: Answer, checks: Sequence[CitationCheck]) -> Iterator[tuple[int, int]]:
    """Split an answer; a quotation that is recorded as one, as a question with what follows, is.

    All of it must stand word for word in a place that it cites, or be that place as an answer shows
    it, so that nothing can hide in it.
    """
    spans = answer_sentences(answer.text)
    ends = {end for _, end in spans}
    quoted: dict[int, int] = {}
    for record in answer.sentences:
        text = answer.text[record.start : record.end]
        bare = AnalysedText(without_marks(text))
        places = (e.text for e in _evidence(text, record, checks))
        if record.end in ends and any(_is_quotation(bare, place) for place in places):
            quoted[record.start] = record.end
    covered = 0
    for start, end in spans:
        if start >= covered:
            covered = max(end, quoted.get(start, end))
            yield start, covered


def _is_quotation(text: AnalysedText, place: str) -> bool:
    return bool(verbatim_span(text, AnalysedText(place))) or text.text == as_shown(place).rstrip(
        " "
    )


def _evidence(
    text: str, record: Sentence | None, checks: Sequence[CitationCheck]
) -> list[Evidence]:
    """The places that a sentence cites, by its record and its marks, so far as they stand.

    Their headings count only if they are those of the index.
    """
    numbers = {mark.number for mark in find_marks(text)}
    indexes = record.citations if record else ()
    named = [checks[i] for i in indexes if i in range(len(checks))]
    return [
        Evidence(c.quote, (c.title, *c.heading) if check.state == "holds" else ())
        for check in named
        if (c := check.citation).number in numbers and check.start is not None
    ]
