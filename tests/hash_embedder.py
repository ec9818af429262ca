"""A small embedder of our own, as a user of the library may bring one: a hash of the text."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from ragkit.config import Config
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors


class HashEmbedder:
    """Satisfies `ragkit.protocols.Embedder`; remembers what it was sent.

    Equal texts have equal vectors; all others are unrelated.

    Args:
        dim: Length of a vector.
        digest: Pretends to be other weights.
    """

    backend = "hash"
    name = "hashed-texts"
    max_tokens = 512

    def __init__(self, dim: int = 32, digest: str = "hash-1") -> None:
        self.dim = dim
        self.digest = digest
        self.options: Mapping[str, str] = {}
        self.sent: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.sent += texts
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> Vectors:
        data = hashlib.shake_256(text.encode()).digest(2 * self.dim)
        row = np.frombuffer(data, "<u2").astype(np.float32) - 32767.5
        unit: Vectors = row / np.linalg.norm(row)
        return unit


def contents(rag: Pipeline) -> list[tuple[str, str]]:
    """Every document and its chunks' texts, as a search over all of them shows."""
    documents = rag.documents()
    count = sum(document.chunks for document in documents)
    hits = rag.search("anything", k=count) if count else []
    assert len(hits) == count
    return sorted((f"{hit.root}/{hit.path}", hit.text) for hit in hits)


def dense(embedder: HashEmbedder, path: Path) -> Pipeline:
    return Pipeline(path, Config().with_values({"search.mode": "dense"}), embedder=embedder)
