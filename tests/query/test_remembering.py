"""An embedder that pays for each text once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hash_embedder import HashEmbedder

from ragkit import Config, Pipeline
from ragkit.query import remembering
from ragkit.query.remembering import RememberingEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


def test_another_program_does_not_embed_the_same_sentences_again(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("The lease ends in May. The fee is 40 euros.", "utf-8")
    settings = {"models.chat": "none", "answer.min_evidence": 0.0}
    asked, texts = [], []
    for _ in range(2):  # each with its own memory, as in a process of its own
        embedder = Counting()
        config = Config().with_values(settings)
        with Pipeline(tmp_path / "index", config, embedder=embedder) as rag:
            rag.index(tmp_path / "docs")
            embedder.asked.clear()
            texts.append(rag.ask("Wann endet der Mietvertrag?").text)
            asked.append(embedder.asked)
    assert asked[0][1:] == ["The lease ends in May.", "The fee is 40 euros."]
    assert asked[1] == asked[0][:1] == ["? Wann endet der Mietvertrag?"]
    assert texts[0] == texts[1] != ""
