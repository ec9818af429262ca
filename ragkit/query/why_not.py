"""Why did a passage not answer a question? Names the stage that lost it.

The stages are those of the pipeline, in order: a file is indexed, its text read, split and
searched for; what is found must be evidence enough, must not be an order to a model nor repeat
another passage, must fit the budget; and an answer may still not use it.
"""

from __future__ import annotations

import glob
import sys
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, TypeAlias

from ragkit.errors import InputError
from ragkit.query.ask import ask, last_answer
from ragkit.query.context import fill_window
from ragkit.query.evidence import THRESHOLD, evidence, has_evidence
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.scope import QueryEngine, Scope
from ragkit.query.search import retrieve, search
from ragkit.records import NO_FILTER, Filter, copy_fields
from ragkit.text.injection import is_only_injection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.protocols import VectorStore
    from ragkit.records import Answer, Context, DocumentInfo, Hit

Stage: TypeAlias = Literal[
    "not indexed",
    "no text",
    "split apart",
    "filtered",
    "not retrieved",
    "no evidence",
    "order",
    "repeat",
    "over budget",
    "given",
    "not used",
    "used",
]

DEEPEST = 1000
"""Ranks of one side alone are told up to here."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A chunk of the expected place and its ranks from 1.

    ``rank`` is that of the configured mode, ``dense`` and ``keyword`` are those of either side
    alone; None: not among the first 1,000, for a hybrid rank among the first ``search.depth``.
    ``score`` is the cosine, None in mode ``keyword``.
    """

    start: int
    end: int
    page: int | None
    rank: int | None
    dense: int | None
    keyword: int | None
    score: float | None
    text: str


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The stage at which an expected passage was lost, why, and what may help.

    ``standings`` are the chunks of the expected place, best first.
    """

    question: str
    path: str
    page: int | None
    stage: Stage
    reason: str
    standings: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """The place that should answer a question.

    Attributes:
        path: The document, as `DocumentInfo.path` has it, or the end of that.
        page: The page; None: any.
        text: Words of the passage; empty: any passage.
    """

    path: str
    page: int | None = None
    text: str = ""


def why_not(
    engine: QueryEngine,
    question: str,
    expected: Expected,
    *,
    restrict: Filter = NO_FILTER,
    answer: bool = False,
) -> WhyNot:
    """Find the stage that lost a passage.

    Args:
        engine: The index, and the settings of the search and the answer that disappointed.
        question: In the words of its asker.
        expected: What should answer.
        restrict: The filter of that search.
        answer: If the passage was given, answer the question too, and tell whether it was used.

    Raises:
        InputError: The path fits more than one document.
    """
    path, page = expected.path, expected.page
    document = _document(path, engine.store)
    if document is None:
        return WhyNot(question, path, page, "not indexed", _not_indexed(path, engine.store))
    told = WhyNot(question, document.path, page, "no text", _without_text(document, page))
    if told.reason:
        return told
    trace = _Trace(engine, question, restrict)
    whole = trace.chunks(document)
    there = [h for h in whole if page is None or any(p.number == page for p in h.pages)]
    if not there:
        return replace(told, reason="no passage was made of it")
    standings = trace.standings(there)
    wanted = {h.chunk_id: h for h in there if not expected.text or _holds(h.text, expected.text)}
    if wanted:
        stage, reason = trace.stage(wanted, standings, answer=answer, words=expected.text)
    else:
        stage, reason = _lost_words(whole, expected.text)
        reason += _noted(document) if stage == "no text" else ""
    return replace(told, stage=stage, reason=reason, standings=standings)


class _Trace:
    """One question followed through the stages over one index."""

    def __init__(self, engine: QueryEngine, question: str, restrict: Filter) -> None:
        self._engine, self._question, self._restrict = engine, question, restrict
        self._settings = engine.search_settings
        self._embedder = engine.search_embedder

    def chunks(self, document: DocumentInfo) -> list[Hit]:
        """The chunks of a document, with their cosines if the mode has them."""
        if self._settings.mode == "keyword":
            return self._engine.store.chunks_at(document.doc_id, 0, sys.maxsize)
        only = Filter(paths=(glob.escape(document.path),))
        found = self._hits(only, mode="dense", k=document.chunks)
        near = {hit.chunk_id: hit for hit in found if hit.doc_id == document.doc_id}
        waiting = self._engine.store.chunks_at(document.doc_id, 0, sys.maxsize)
        return [*near.values(), *(hit for hit in waiting if hit.chunk_id not in near)]

    def standings(self, chunks: Sequence[Hit]) -> tuple[Standing, ...]:
        """The ranks of chunks, best first."""
        mode = self._settings.mode
        sides = {"keyword"} if mode == "keyword" else {"dense", "keyword"}
        ranks = {side: self._ranks(side) for side in {*sides, mode}}
        told = [
            copy_fields(
                hit,
                Standing,
                rank=ranks[mode].get(hit.chunk_id),
                dense=ranks.get("dense", {}).get(hit.chunk_id),
                keyword=ranks["keyword"].get(hit.chunk_id),
            )
            for hit in chunks
        ]
        return tuple(sorted(told, key=lambda s: (s.rank or DEEPEST + 1, s.start)))

    def stage(
        self,
        wanted: Mapping[str, Hit],
        standings: Sequence[Standing],
        *,
        answer: bool,
        words: str = "",
    ) -> tuple[Stage, str]:
        """The stage of the search or the answer that lost the wanted chunks, and why."""
        engine, restrict = self._engine, self._restrict
        if restrict and not _holds_any(self._hits(restrict, k=DEEPEST), wanted):
            return "filtered", "the document does not pass the given --path, --kind or --where"
        hits = search(engine, self._question, Scope(restrict=restrict))
        if not _holds_any(hits, wanted):
            places = {(hit.start, hit.end) for hit in wanted.values()}
            best = next(s for s in standings if (s.start, s.end) in places)
            return "not retrieved", _behind(best, engine)
        if reason := self._without_evidence(hits):
            return "no evidence", reason
        model = engine.chat
        context, _ = fill_window(engine, self._question, hits, model=model)
        if lost := _not_given(context, wanted):
            return lost
        number = next(p.number for p in context.passages if wanted.keys() & set(p.chunk_ids))
        where = f"it was found and given to be answered from as passage [{number}]"
        if not answer:
            return "given", f"{where}; with --answer you learn whether the answer uses it"
        answered = last_answer(ask(engine, self._question, Scope(restrict=restrict)))
        return _used(answered, wanted, words, where)

    def _without_evidence(self, hits: Sequence[Hit]) -> str:
        asked, minimum = AnalysedText(self._question), self._engine.config.answer.min_evidence
        calibration = self._engine.calibration
        if has_evidence(asked, hits, calibration=calibration, minimum=minimum):
            return ""
        needed = minimum if minimum >= 0 else THRESHOLD
        found = evidence(asked, hits, calibration)
        return (
            f"the passages speak about the question with {found:.2f}, and "
            f"{needed:.2f} is asked for before an answer is given; lower answer.min_evidence to try"
        )

    def _ranks(self, mode: str) -> dict[str, int]:
        # If scores depend on the other candidates, a deeper search would give other ranks.
        diversity = self._settings.diversity if mode == self._settings.mode else 0.0
        bound = mode == "hybrid" or diversity
        depth = max(self._settings.k, self._settings.depth) if bound else DEEPEST
        found = self._hits(mode=mode, k=depth, diversity=diversity)
        return {hit.chunk_id: hit.rank for hit in found}

    def _hits(self, restrict: Filter = NO_FILTER, **changed: object) -> list[Hit]:
        settings = replace(self._settings, **({"diversity": 0.0} | changed))  # type: ignore[arg-type]  # its own fields
        store = self._engine.store
        return retrieve(self._question, store, self._embedder, settings, restrict=restrict)


def _holds_any(hits: Sequence[Hit], wanted: Mapping[str, Hit]) -> bool:
    return any(hit.chunk_id in wanted for hit in hits)


def _not_given(context: Context, wanted: Mapping[str, Hit]) -> tuple[Stage, str] | None:
    """Why the wanted chunks are no part of a context; None if one is."""
    if any(wanted.keys() & set(passage.chunk_ids) for passage in context.passages):
        return None
    if all(is_only_injection(hit.text) for hit in wanted.values()):
        return "order", "it only tells a model what to reply, and is given to none"
    if any(d.reason == "repeat" and d.chunk_id in wanted for d in context.dropped):
        return "repeat", "another passage that was given says the same, word for word"
    return "over budget", (
        f"the passages before it took the {context.budget_tokens} tokens there are for "
        "passages; raise answer.num_ctx or lower search.k"
    )


def _used(answer: Answer, wanted: Mapping[str, Hit], words: str, where: str) -> tuple[Stage, str]:
    """Whether an answer cites one of the wanted chunks, and in it the wanted words."""
    cited = [
        c
        for c in answer.citations
        for hit in wanted.values()
        if c.doc_id == hit.doc_id and c.start < hit.end and hit.start < c.end
    ]
    if any(_holds(c.quote, words) or _holds(words, c.quote) for c in cited):
        return "used", f"{where}, and the answer cites it"
    if cited:
        return "not used", f"{where}, but the answer cites another sentence of it"
    what = "the question was refused" if answer.refused else "the answer cites other places"
    return "not used", f"{where}, but {what}"


def _behind(best: Standing, engine: QueryEngine) -> str:
    """Why a chunk that was searched for is not among the hits."""
    settings = engine.search_settings
    if settings.mode == "keyword" and best.keyword is None:
        return "it shares no word with the question, and mode keyword knows words only"
    if best.rank and best.rank <= settings.rerank:
        by = "the chat model graded" if engine.models.given_reranker is None else "the reranker put"
        return f"it was at rank {best.rank}, and {by} others higher"
    ranks = {"by meaning": best.dense, "by words": best.keyword}
    sides = ", ".join(f"{side} {rank or 'not found'}" for side, rank in ranks.items())
    where = f"rank {best.rank}" if best.rank else "no rank that is looked at"
    return (
        f"its best passage is at {where} ({sides}), and the first {settings.k} are taken; raise "
        "search.k, or ask in words nearer to those of the document"
    )


def _document(path: str, store: VectorStore) -> DocumentInfo | None:
    parts = PurePath(path).parts
    fitting = []
    for document in store.documents():
        whole = PurePath(document.root, document.path)
        if document.path == path or str(whole) == path:
            return document
        if whole.parts[-len(parts) :] == parts:
            fitting.append(document)
    if len(fitting) > 1:
        names = ", ".join(document.path for document in fitting)
        msg = f"{path} may be any of {names}: give more of its path"
        raise InputError(msg)
    return fitting[0] if fitting else None


def _not_indexed(path: str, store: VectorStore) -> str:
    for run in store.runs():
        report = run["report"] or {}
        for what in ("failed", "skipped", "unreadable"):
            for outcome in report.get(what, ()):
                if outcome["path"] == path or outcome["path"].endswith(f"/{path}"):
                    return f"the last run that met it says: {what}: {outcome['reason']}"
    return (
        "no document of the index has this path; `ragkit list` names those there are, and "
        "`ragkit index` adds a folder"
    )


def _without_text(document: DocumentInfo, page: int | None) -> str:
    if page is not None and not 1 <= page <= document.pages:
        return f"the document has {document.pages} pages" if document.pages else "it has no pages"
    if page in document.failed_pages:
        return f"page {page} could not be read{_noted(document)}"
    if page in document.pages_without_text:
        return f"page {page} has no text, as a scanned picture has none; it needs OCR first"
    return "" if document.chunks else f"no text was found in the document{_noted(document)}"


def _noted(document: DocumentInfo) -> str:
    """What was found wrong with the file when it was read, to be put behind a reason."""
    return "".join(f"; {note}" for note in document.notes)


def _lost_words(whole: Sequence[Hit], text: str) -> tuple[Stage, str]:
    document = ""
    for hit in sorted(whole, key=lambda h: h.start):
        document = document[: hit.start].ljust(hit.start) + hit.text
    if _holds(document, text):
        return "split apart", (
            "the words stand in the document, but no single passage holds them all; a greater "
            "split.chunk_tokens or split.overlap_tokens may keep them together"
        )
    return "no text", "the words do not stand in the text that was read from the document"


def _holds(text: str, words: str) -> bool:
    return " ".join(words.split()).casefold() in " ".join(text.split()).casefold()
