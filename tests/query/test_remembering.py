"""An embedder that pays for each text once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hash_embedder import HashEmbedder

from ragkit.query import remembering
from ragkit.query.remembering import RememberingEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from ragkit.protocols import Vectors


class Counting(HashEmbedder):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return HashEmbedder().embed_documents(texts)

    def embed_query(self, text: str) -> Vectors:
        self.asked.append(f"? {text}")
        return HashEmbedder().embed_query(text)


def test_each_text_is_embedded_once_and_its_vector_stays_the_same() -> None:
    plain = Counting()
    embedder = RememberingEmbedder(plain, {})
    texts = ["one", "two", "one", "three"]
    first = embedder.embed_documents(texts)
    again = embedder.embed_documents(["three", "four"])
    asked = [embedder.embed_query("one") for _ in range(2)]
    assert plain.asked == ["one", "two", "three", "four", "? one"]
    expected = HashEmbedder().embed_documents([*texts, "three", "four"])
    np.testing.assert_array_equal(np.vstack([first, again]), expected)
    np.testing.assert_array_equal(asked[1], HashEmbedder().embed_query("one"))
    assert embedder.embed_documents([]).shape == (0, plain.dim)


def test_what_was_remembered_first_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST_REMEMBERED", 2)
    plain = Counting()
    embedder = RememberingEmbedder(plain, {})
    for text in ("one", "two", "three", "two", "one"):
        embedder.embed_documents([text])
    assert plain.asked == ["one", "two", "three", "one"]
