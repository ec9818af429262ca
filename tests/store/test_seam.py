"""Every verb over a store that is no folder: nothing outside the store knows which one it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import write_files
from hash_embedder import HashEmbedder
from memory_store import MemoryStore

from ragkit.config import Config
from ragkit.errors import UnsupportedByStoreError
from ragkit.ingest.embed import embedder_record
from ragkit.pipeline import Pipeline
from ragkit.records import Filter

if TYPE_CHECKING:
    from pathlib import Path

    from ollama_double.server import OllamaServer

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "travel.txt": "Rail travel is booked by the office, second class.\n",
    "kitchen.txt": "The kitchen opens at noon and closes at two.\n",
}
QUESTION = "How long is the notice period for permanent staff?"


def test_every_verb_works_over_a_store_in_memory(tmp_path: Path, ollama: OllamaServer) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    embedder = HashEmbedder()
    fixed = {"models.ollama_host": ollama.url, "search.keyword_weight": 1.0}
    config = Config().with_values(fixed)
    splitter = {"chunk_tokens": config.split.chunk_tokens}
    splitter["overlap_tokens"] = config.split.overlap_tokens
    store = MemoryStore.create(embedder_record(embedder), splitter)
    with Pipeline(config=config, store=store, embedder=embedder) as rag:
        assert sorted(rag.index(docs).added) == sorted(FILES)
        assert sorted(rag.index().unchanged) == sorted(FILES)
        assert rag.search(QUESTION)[0].path == "notice.md"
        assert [h.path for h in rag.search("staff", restrict=Filter(kinds=("text",)))] != []

        ollama.script("The notice period is three months for permanent staff [1].")
        answer = rag.ask(QUESTION)
        assert (answer.index, answer.generation) == (store.location, 1)
        assert [citation.path for citation in answer.citations] == ["notice.md"]
        assert [check.state for check in rag.verify(answer).citations] == ["holds"]
        assert rag.why_not(QUESTION, "notice.md").stage == "given"
        assert store.note(f"tokens:{answer.chat_digest}")  # what the prompt taught of its tokens

        assert rag.remove("kitchen.txt") == ("kitchen.txt",)
        assert rag.stats().documents == 2
        with pytest.raises(UnsupportedByStoreError):
            rag.rebuild()
        assert rag.stats().documents == 2
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]
    assert store.stats().documents == 2  # it is its owner's to close


def test_a_pipeline_without_path_and_store_is_refused() -> None:
    with pytest.raises(ValueError, match="a pipeline needs the path of an index"):
        Pipeline()
