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

from ragkit.query.context import passages_for
from ragkit.query.evidence import THRESHOLD, evidence, has_evidence
from ragkit.query.search import retrieve
from ragkit.records import NO_FILTER, Filter
from ragkit.text.injection import says_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ragkit.config import Config, SearchSettings
    from ragkit.protocols import ChatModel, Embedder, VectorStore
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


def why_not(
    question: str,
    path: str,
    hits: Sequence[Hit],
    store: VectorStore,
    config: Config,
    embedder: Embedder | None,
    *,
    chat: Callable[[], ChatModel | None] = lambda: None,
    page: int | None = None,
    text: str = "",
    restrict: Filter = NO_FILTER,
    answer: Callable[[], Answer] | None = None,
) -> WhyNot:
    """Find the stage that lost a passage.

    Args:
        question: In the words of its asker.
        path: The document that should answer: as `DocumentInfo.path` has it, or the end of that.
        hits: What that search found.
        store: The index.
        config: The settings of the search and the answer that disappointed.
        embedder: The index's; None suffices in mode ``keyword``.
        chat: Gives the chat model, by whose window and tokens passages are dropped; None: quoting.
        page: The page that should answer.
        text: Words of the passage that should answer.
        restrict: The filter of that search.
        answer: Answers from these hits; called last, since it changes what the next is given.

    Raises:
        ValueError: `path` fits more than one document.
    """
    document = _document(path, store)
    if document is None:
        return WhyNot(question, path, page, "not indexed", _not_indexed(path, store))
    told = WhyNot(question, document.path, page, "no text", _without_text(document, page))
    if told.reason:
        return told
    search = _Search(question, store, config.search, embedder)
    whole = search.chunks(document)
    expected = [h for h in whole if page is None or any(p.number == page for p in h.pages)]
    if not expected:
        return replace(told, reason="no passage was made of it")
    told = replace(told, standings=search.standings(expected))
    wanted = {h.chunk_id: h for h in expected if not text or _holds(h.text, text)}
    if wanted:
        stage, reason = _searched(told, hits, search, wanted, restrict, config, chat, answer)
    else:
        stage, reason = _lost_words(whole, text)
        reason += _noted(document) if stage == "no text" else ""
    return replace(told, stage=stage, reason=reason)


class _Search:
    """One question's searches over one index."""

    def __init__(
        self, question: str, store: VectorStore, settings: SearchSettings, embedder: Embedder | None
    ) -> None:
        self.question, self.store, self.settings = question, store, settings
        self._embedder = embedder

    def hits(self, restrict: Filter = NO_FILTER, **changed: object) -> list[Hit]:
        settings = replace(self.settings, **({"diversity": 0.0} | changed))  # type: ignore[arg-type]  # its own fields
        return retrieve(self.question, self.store, self._embedder, settings, restrict=restrict)

    def chunks(self, document: DocumentInfo) -> list[Hit]:
        """The chunks of a document, with their cosines where the mode has them."""
        if self.settings.mode == "keyword":
            return self.store.chunks_at(document.doc_id, 0, sys.maxsize)
        only = Filter(paths=(glob.escape(document.path),))
        found = self.hits(only, mode="dense", k=document.chunks)
        return [hit for hit in found if hit.doc_id == document.doc_id]

    def standings(self, chunks: Sequence[Hit]) -> tuple[Standing, ...]:
        modes = ("keyword",) if self.settings.mode == "keyword" else ("dense", "keyword")
        ranks = {mode: self._ranks(mode) for mode in {*modes, self.settings.mode}}
        told = [
            Standing(
                start=hit.start,
                end=hit.end,
                page=hit.page,
                rank=ranks[self.settings.mode].get(hit.chunk_id),
                dense=ranks.get("dense", {}).get(hit.chunk_id),
                keyword=ranks["keyword"].get(hit.chunk_id),
                score=hit.score,
                text=hit.text,
            )
            for hit in chunks
        ]
        return tuple(sorted(told, key=lambda s: (s.rank or DEEPEST + 1, s.start)))

    def _ranks(self, mode: str) -> dict[str, int]:
        # Where scores depend on the other candidates, a deeper search would give other ranks.
        diversity = self.settings.diversity if mode == self.settings.mode else 0.0
        bound = mode == "hybrid" or diversity
        depth = max(self.settings.k, self.settings.depth) if bound else DEEPEST
        found = self.hits(mode=mode, k=depth, diversity=diversity)
        return {hit.chunk_id: hit.rank for hit in found}


def _searched(
    told: WhyNot,
    hits: Sequence[Hit],
    search: _Search,
    wanted: Mapping[str, Hit],
    restrict: Filter,
    config: Config,
    chat: Callable[[], ChatModel | None],
    answer: Callable[[], Answer] | None,
) -> tuple[Stage, str]:
    if not any(hit.chunk_id in wanted for hit in search.hits(restrict, k=DEEPEST)) and restrict:
        return "filtered", "the document does not pass the given --path or --kind"
    if not any(hit.chunk_id in wanted for hit in hits):
        places = {(hit.start, hit.end) for hit in wanted.values()}
        best = next(s for s in told.standings if (s.start, s.end) in places)
        return "not retrieved", _behind(best, search.settings)
    settings, name = config.answer, search.store.embedder["name"]
    if not has_evidence(search.question, hits, embedder=name, minimum=settings.min_evidence):
        needed = settings.min_evidence if settings.min_evidence >= 0 else THRESHOLD
        found = evidence(search.question, hits, name)
        return "no evidence", (
            f"the passages speak about the question with {found:.2f}, and {needed:.2f} is asked "
            "for before an answer is given; lower answer.min_evidence to try"
        )
    context, _ = passages_for(search.question, hits, search.store, config, chat())
    return _given(context, wanted, answer)


def _given(
    context: Context, wanted: Mapping[str, Hit], answer: Callable[[], Answer] | None
) -> tuple[Stage, str]:
    passage = next((p for p in context.passages if wanted.keys() & set(p.chunk_ids)), None)
    if passage is None:
        if all(says_nothing(hit.text) for hit in wanted.values()):
            return "order", "it only tells a model what to reply, and is given to none"
        if any(d.reason == "repeat" and d.chunk_id in wanted for d in context.dropped):
            return "repeat", "another passage that was given says the same, word for word"
        return "over budget", (
            f"the passages before it took the {context.budget_tokens} tokens there are for "
            "passages; raise answer.num_ctx or lower search.k"
        )
    where = f"it was found and given to be answered from as passage [{passage.number}]"
    if answer is None:
        return "given", f"{where}; with --answer you learn whether the answer uses it"
    given = answer()
    cited = (
        c.doc_id == hit.doc_id and c.start < hit.end and hit.start < c.end
        for c in given.citations
        for hit in wanted.values()
    )
    if any(cited):
        return "used", f"{where}, and the answer cites it"
    what = "the question was refused" if given.refused else "the answer cites other places"
    return "not used", f"{where}, but {what}"


def _behind(best: Standing, settings: SearchSettings) -> str:
    if settings.mode == "keyword" and best.keyword is None:
        return "it shares no word with the question, and mode keyword knows words only"
    if best.rank and best.rank <= settings.rerank:
        return f"it was at rank {best.rank}, and the chat model graded others higher"
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
        raise ValueError(msg)
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
