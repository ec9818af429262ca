"""The vectors that an index's own embedder makes of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.errors import InputError

if TYPE_CHECKING:
    from ragkit.async_pipeline import AsyncPipeline
    from ragkit.pipeline import Pipeline
    from ragkit.protocols import Vectors

MOST_TEXTS = 2048


def read_texts(given: Any) -> list[str]:  # noqa: ANN401 -- of a request
    """The texts of a request: one, or a list.

    Raises:
        InputError: They are none, or too many.
    """
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        msg = "input must be a text or a list of texts"
        raise InputError(msg)
    if len(texts) > MOST_TEXTS:
        msg = f"input has {len(texts)} texts, and one request takes {MOST_TEXTS}"
        raise InputError(msg)
    return texts


async def embed_texts(rag: AsyncPipeline, texts: list[str], dimensions: Any = None) -> Vectors:  # noqa: ANN401 -- of a request
    """Embed texts as an index's documents are.

    Args:
        rag: The index.
        texts: Any number.
        dimensions: Of what is wanted; a vector of fewer is cut and made one of unit length.

    Returns:
        float32, shape (len(texts), dim), rows of unit length.

    Raises:
        InputError: The index has no vectors, a text is empty, or `dimensions` is no number.
    """
    if any(not text.strip() for text in texts):
        msg = "an empty text has no vector"
        raise InputError(msg)
    if dimensions is not None and (isinstance(dimensions, bool) or not isinstance(dimensions, int)):
        msg = "dimensions must be a whole number"
        raise InputError(msg)
    vectors = await rag.run(lambda pipeline: _embedded(pipeline, texts))
    return _shortened(vectors, dimensions or 0)


def _embedded(pipeline: Pipeline, texts: list[str]) -> Vectors:
    embedder = pipeline.embedder
    if embedder is None:
        msg = "this index has no vectors: it is searched by words alone"
        raise InputError(msg)
    return embedder.embed_documents(texts)


def _shortened(vectors: Vectors, dimensions: int) -> Vectors:
    if not 0 < dimensions < vectors.shape[1]:
        return vectors
    from ragkit.models.vectors import unit_rows

    return unit_rows(vectors[:, :dimensions])
