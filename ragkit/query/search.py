"""The retrieve stage: a question becomes a search request, and a store answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.protocols import SearchRequest
from ragkit.records import NO_FILTER, Filter

if TYPE_CHECKING:
    from ragkit.config import SearchSettings
    from ragkit.protocols import Embedder, VectorStore
    from ragkit.records import Hit


def retrieve(
    question: str,
    store: VectorStore,
    embedder: Embedder | None,
    settings: SearchSettings,
    *,
    restrict: Filter = NO_FILTER,
    as_of: int | None = None,
) -> list[Hit]:
    """Find the chunks that speak about a question.

    Args:
        question: In the words of its asker.
        store: Where to look.
        embedder: The one the store was built with; None suffices in mode ``keyword``.
        settings: How many hits, by which mode.
        restrict: Which documents may be found.
        as_of: A closed generation to look at; None: the newest commit.

    Returns:
        At most ``settings.k`` hits, best first.

    Raises:
        ValueError: The question is empty, or the mode needs an embedder and none was given.
    """
    if not question.strip():
        msg = "the question is empty"
        raise ValueError(msg)
    vector = None
    if settings.mode != "keyword":
        if embedder is None:
            msg = f"mode {settings.mode!r} needs an embedder"
            raise ValueError(msg)
        vector = embedder.embed_query(question)
    return store.search(
        SearchRequest(
            k=settings.k,
            mode=settings.mode,
            vector=vector,
            text=question,
            filter=restrict,
            as_of=as_of,
            depth=settings.depth,
            keyword_weight=settings.keyword_weight,
            diversity=settings.diversity,
        )
    )
