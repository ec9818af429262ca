"""Neighbour expansion: an answer may use what stands beside a hit; the hits stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import write_files
from hash_embedder import HashEmbedder
from store_factory import ingest, keyword, new_store

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.query.context import build_context, with_neighbours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ollama_double.server import OllamaServer

    from ragkit.protocols import VectorStore

TEXTS = [f"line {i} {'wolf' if i in (3, 8) else 'deer'}" for i in range(10)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VectorStore]:
    index = new_store(tmp_path / "index")
    ingest(index, {"a.txt": TEXTS, "b.txt": ["another wolf alone"]})
    yield index
    index.close()


@pytest.mark.parametrize(
    ("count", "lines"),
    [(0, []), (1, [2, 4, 7, 9]), (2, [2, 4, 1, 5, 7, 9, 6]), (9, [2, 4, 1, 5, 0, 6, 7, 9])],
)
def test_neighbours_follow_the_hits_nearest_first_and_once(
    store: VectorStore, count: int, lines: list[int]
) -> None:
    hits = keyword(store, "wolf")
    assert {hit.text for hit in hits} == {TEXTS[3], TEXTS[8], "another wolf alone"}
    ordered = sorted(hits, key=lambda hit: (hit.path, hit.start))

    found = with_neighbours(ordered, store, count)

    assert found[:3] == ordered
    assert [hit.text for hit in found[3:]] == [TEXTS[i] for i in lines]
    assert [hit.rank for hit in found[3:]] == list(range(4, 4 + len(lines)))
    assert {hit.path for hit in found[3:]} <= {"a.txt"}


def test_a_document_that_changed_since_adds_nothing(store: VectorStore) -> None:
    hits = keyword(store, "wolf")
    ingest(store, {"a.txt": ["something new", *TEXTS]})
    assert with_neighbours(hits, store, 2) == hits


def test_neighbours_take_only_what_the_hits_leave_of_the_budget(store: VectorStore) -> None:
    hits = keyword(store, "wolf")
    tight = build_context(hits, budget_tokens=10_000).tokens
    context = build_context(with_neighbours(hits, store, 1), budget_tokens=tight)
    assert {p.text for p in context.passages} == {hit.text for hit in hits}
    assert {d.reason for d in context.dropped} == {"budget"}
    assert len(context.dropped) == 4


SENTENCES = [f"Paragraph {i} tells of matter {i} in a sentence of its own." for i in range(60)]


def test_an_answer_is_given_from_the_joined_text_around_a_hit(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    text = " ".join(SENTENCES).replace("matter 30", "zebras")
    docs = write_files(tmp_path / "docs", {"long.txt": text})
    fixed = {"models.ollama_host": ollama.url, "search.mode": "keyword", "search.k": 1}
    config = Config().with_values(fixed)
    prompts = []
    with Pipeline(tmp_path / "index", config, embedder=HashEmbedder()) as rag:
        rag.index(docs)
        (hit,) = rag.search("Where are zebras?")
        for count in (0, 1):
            rag.config = config.with_values({"search.neighbours": count})
            assert rag.search("Where are zebras?") == [hit]
            ollama.script("Zebras are in paragraph 30 [1].")
            answer = rag.ask("Where are zebras?")
            assert [found.chunk_id for found in answer.receipt.found] == [hit.chunk_id]
            assert answer.receipt.passages_given == 1
            prompts.append(ollama.bodies("/api/chat")[-1]["messages"][-1]["content"])
        assert rag.why_not("Where are zebras?", "long.txt", text="Paragraph 30").stage == "given"
    around = text[hit.start - 100 : hit.end + 100]  # across both of the hit's borders
    assert 100 < hit.start < hit.end < len(text) - 100
    assert [around in prompt for prompt in prompts] == [False, True]
