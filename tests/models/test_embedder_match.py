"""An index and its embedder: which is refused, which is missing, and what rebuilding changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import write_files
from hash_embedder import HashEmbedder, dense
from ollama_double.models import CATALOGUE
from ollama_double.server import Fault, OllamaServer, Settings
from ollama_helpers import OTHER_NOMIC, settings_for

from ragkit.config import Config
from ragkit.errors import (
    ConfigError,
    IndexMismatchError,
    ModelNotFoundError,
    ModelResponseError,
    ModelUnavailableError,
)
from ragkit.models.choose import chat_model
from ragkit.pipeline import Pipeline

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "sub/travel.txt": "Rail travel is booked by the office, second class.\n",
    "sub/deep/kitchen.txt": "The kitchen opens at noon and closes at two.\n",
}
CLOSED = {"models.ollama_host": "http://127.0.0.1:9", "models.retries": 0}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_files(tmp_path / "docs", FILES)


def test_another_embedder_is_refused_even_where_nothing_changed(tmp_path: Path, docs: Path) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)
    other = HashEmbedder(digest="hash-2")

    with dense(other, tmp_path / "index") as rag:
        with pytest.raises(IndexMismatchError, match="`ragkit rebuild") as caught:
            rag.index(docs)
        with pytest.raises(IndexMismatchError):
            rag.search("rail")

    assert "hash-1" in caught.value.stored
    assert "hash-2" in caught.value.given
    assert other.sent == []


def test_other_split_settings_are_refused_and_rebuild_takes_them(
    tmp_path: Path, docs: Path
) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)
    small = Config().with_values({"split.chunk_tokens": 100})

    with Pipeline(tmp_path / "index", small, embedder=HashEmbedder()) as rag:
        with pytest.raises(IndexMismatchError, match="chunk_tokens"):
            rag.index(docs)
        rag.rebuild()
        assert rag.stats().splitter["chunk_tokens"] == 100
        assert sorted(rag.index(docs).unchanged) == sorted(FILES)


def test_after_a_rebuild_with_another_model_questions_go_to_that_one(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        rag.index(docs)
    with Pipeline(tmp_path / "index", settings_for(ollama, **{"models.embedder": "bge-m3"})) as rag:
        rag.search("rail travel")
        rag.rebuild()
        rag.search("rail travel")

        assert rag.stats().embedder["name"] == "bge-m3:latest"
        assert rag.embedder is not None
        assert rag.embedder.name == "bge-m3:latest"


def test_a_model_that_changed_on_the_server_is_a_mismatch_until_rebuilt(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        rag.index(docs)
    ollama.faults.append(
        Fault(
            "/api/tags",
            times=None,
            status=200,
            body={"models": [{"name": "nomic-embed-text:latest", "digest": "f" * 64}]},
        )
    )

    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        with pytest.raises(IndexMismatchError, match="ffffffffffff"):
            rag.search("rail")
        rag.rebuild()
        assert rag.search("rail travel")[0].path == "sub/travel.txt"
        assert rag.stats().embedder["digest"] == "f" * 64


def test_other_weights_are_refused_even_where_nothing_changed(tmp_path: Path, docs: Path) -> None:
    with OllamaServer() as server, Pipeline(tmp_path / "index", settings_for(server)) as rag:
        rag.index(docs)
    with OllamaServer(Settings(models=OTHER_NOMIC)) as server:
        rag = Pipeline(tmp_path / "index", settings_for(server))
        with rag, pytest.raises(IndexMismatchError, match=OTHER_NOMIC[0].digest[:12]):
            rag.index(docs)
        assert server.bodies("/api/embeddings") == []
    with Pipeline(tmp_path / "index", Config().with_values(CLOSED)) as rag:
        assert sorted(rag.index(docs).unchanged) == sorted(FILES)  # without a server as before


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_is_not_an_absent_one(
    tmp_path: Path, docs: Path, ollama: OllamaServer, status: int
) -> None:
    ollama.faults.append(Fault("/api/version", times=None, status=status, body=""))
    auto = settings_for(ollama, **{"models.backend": "auto"})
    rag = Pipeline(tmp_path / "index", auto)
    with rag, pytest.raises(ModelResponseError, match=f"HTTP {status}"):
        rag.index(docs)
    assert not (tmp_path / "index").exists()
    with pytest.raises(ModelResponseError, match=f"HTTP {status}"):
        chat_model(auto.models)


def test_a_server_that_is_down_is_reported_as_that_and_keyword_search_still_answers(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        rag.index(docs)
    down = Config().with_values(CLOSED)

    said = re.escape("nothing answers at http://127.0.0.1:9")
    rag = Pipeline(tmp_path / "index", down)
    with rag, pytest.raises(ModelUnavailableError, match=said):
        rag.search("rail")
    keyword = down.with_values({"search.mode": "keyword"})
    with Pipeline(tmp_path / "index", keyword) as rag:
        assert [hit.path for hit in rag.search("rail")] == ["sub/travel.txt"]


def test_a_model_that_is_not_installed_makes_no_index(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    unknown = settings_for(ollama, **{"models.embedder": "no-such-model"})

    rag = Pipeline(tmp_path / "index", unknown)
    with rag, pytest.raises(ModelNotFoundError, match="ragkit models pull no-such-model"):
        rag.index(docs)

    assert not (tmp_path / "index").exists()


def test_an_index_of_a_programs_own_embedder_needs_that_program(tmp_path: Path, docs: Path) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)

    with Pipeline(tmp_path / "index") as rag, pytest.raises(ConfigError, match="hashed-texts"):
        rag.search("rail")


def test_vectors_of_another_length_end_the_run_and_lose_nothing(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        rag.index(docs)
        write_files(docs, {"new.md": "Something new.\n"})
    small = tuple(model for model in CATALOGUE if model.embeds)
    with OllamaServer(Settings(dim=128, models=small)) as other:
        rag = Pipeline(tmp_path / "index", settings_for(other))
        with rag, pytest.raises(ModelResponseError, match="vector of length 128, not 256"):
            rag.index(docs)
    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        assert rag.search("rail travel")[0].path == "sub/travel.txt"
        assert [d.path for d in rag.documents()] == sorted([*FILES, "new.md"])
        assert [hit.path for _, hit in rag.store.waiting()] == ["new.md"]
