"""The retrieve stage: how a question becomes hits, best first."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ragkit.errors import IndexChangedError, InputError
from ragkit.protocols import SearchRequest
from ragkit.query.scope import MOST_HITS, WHOLE_INDEX, fitting_settings
from ragkit.query.tracing import traced
from ragkit.records import NO_FILTER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.config import SearchSettings
    from ragkit.protocols import Embedder, Reranker, Vectors, VectorStore
    from ragkit.query.scope import QueryEngine, Scope
    from ragkit.query.tracing import OnEvent
    from ragkit.records import Filter, Hit, Mode

_log = logging.getLogger(__name__)


def search(engine: QueryEngine, question: str, scope: Scope = WHOLE_INDEX) -> list[Hit]:
    """Find the chunks that speak about a question, and rerank the first ones if that is set.

    Args:
        engine: Where to look, and by which settings.
        question: In the words of its asker.
        scope: How many, and in which part of the index.

    Returns:
        Hits, best first. Errors are those of `retrieve` and of the models.
    """
    settings = engine.config.search
    k = settings.k if scope.k is None else min(scope.k, MOST_HITS)
    given = engine.models.given_reranker
    depth = settings.rerank or (0 if given is None else k)
    wider = replace(settings, k=max(k, depth))
    try:
        hits = _retrieved(engine, question, wider, scope)
    except IndexChangedError:  # rebuilt with another embedder while the question was embedded
        hits = _retrieved(engine, question, wider, scope)
    if depth and hits:
        reranker = _chat_reranker(engine) if given is None else given
        if reranker is not None:
            with traced(engine.on_event, "rerank") as counts:
                counts["hits"] = len(hits[:depth])
                hits = _reranked(reranker, question, hits[:depth]) + hits[depth:]
    return hits[:k]


def _retrieved(
    engine: QueryEngine, question: str, settings: SearchSettings, scope: Scope
) -> list[Hit]:
    record = engine.store.embedder  # before the embedder is chosen: a rebuild in between is told
    settings = fitting_settings(settings, engine.store)
    return retrieve(
        question,
        engine.store,
        None if settings.mode == "keyword" else engine.remembering(),
        settings,
        record=record,
        restrict=scope.restrict,
        as_of=scope.as_of,
        on_event=engine.on_event,
    )


def _reranked(reranker: Reranker, question: str, hits: list[Hit]) -> list[Hit]:
    """The hits in the order of a reranker, with their new ranks and those before.

    If it changes nothing, since it could not do its work, they stay as they are.

    Raises:
        InputError: It gave a hit twice, or one that it was not given.
    """
    ordered = reranker.rerank(question, hits)
    if ordered == hits:
        return hits
    before = {hit.chunk_id: hit.rank for hit in hits}
    given = {hit.chunk_id for hit in ordered}
    if len(given) < len(ordered) or not given <= before.keys():
        msg = "the reranker gave a hit twice, or one that it was not given: give each back once"
        raise InputError(msg)
    ordered = [*ordered, *(hit for hit in hits if hit.chunk_id not in given)]
    return [
        replace(hit, rank=rank, ranks=replace(hit.ranks, before_rerank=before[hit.chunk_id]))
        for rank, hit in enumerate(ordered, 1)
    ]


def _chat_reranker(engine: QueryEngine) -> Reranker | None:
    from ragkit.query.rerank import ChatReranker  # most searches need none of it
    from ragkit.query.token_calibration import known_tokens

    model = engine.chat
    if model is None:
        _log.warning("Not reranked: search.rerank is set, and there is no chat model.")
        return None
    return ChatReranker(model, engine.config.answer, tokens=known_tokens(engine.store, model))


def retrieve(
    question: str,
    store: VectorStore,
    embedder: Embedder | None,
    settings: SearchSettings,
    *,
    record: Mapping[str, Any] | None = None,
    restrict: Filter = NO_FILTER,
    as_of: int | None = None,
    on_event: OnEvent = None,
) -> list[Hit]:
    """Find the chunks that speak about a question.

    Args:
        question: In the words of its asker.
        store: Where to look.
        embedder: The one the store was built with; None suffices in mode ``keyword``.
        settings: How many hits, by which mode.
        record: The store's embedder when this one was chosen; None: whichever it has.
        restrict: Which documents may be found.
        as_of: A closed generation to look at; None: the newest commit.
        on_event: Told of the stages.

    Returns:
        At most ``settings.k`` hits, best first.

    Raises:
        InputError: The question is empty, or no text, or the mode needs an embedder and none was
            given.
        IndexChangedError: The store was rebuilt with another embedder than `record`.
    """
    require_question(question)
    request = SearchRequest(
        k=settings.k,
        mode=settings.mode,
        vector=_question_vector(question, embedder, settings.mode, on_event),
        embedder=record,
        text=question,
        filter=restrict,
        as_of=as_of,
        depth=settings.depth,
        keyword_weight=settings.keyword_weight,
        diversity=settings.diversity,
    )
    with traced(on_event, "search") as counts:
        hits = store.search(request)
        counts["hits"] = len(hits)
    return hits


def _question_vector(
    question: str, embedder: Embedder | None, mode: Mode, on_event: OnEvent
) -> Vectors | None:
    """A question's vector, None in mode ``keyword``; errors as `retrieve`."""
    if mode == "keyword":
        return None
    if embedder is None:
        msg = f"mode {mode!r} needs vectors, and the index has none: search.mode=keyword"
        raise InputError(msg)
    with traced(on_event, "embed") as counts:
        counts["texts"] = 1
        return embedder.embed_query(question)


def require_question(question: object) -> None:
    """Refuse what is no question.

    Raises:
        InputError: It is empty, or no text.
    """
    if not isinstance(question, str):
        msg = f"a question is a text, not {type(question).__name__}"
        raise InputError(msg)
    if not question.strip():
        msg = 'the question is empty: write what you want to know, as in ask("Who may sign?")'
        raise InputError(msg)
