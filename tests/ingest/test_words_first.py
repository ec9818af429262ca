"""Words at once: documents are found by their words before, and without, their vectors."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from commands import Shell, sent, wait_until, write_files
from hash_embedder import HashEmbedder, contents, dense
from ollama_double.server import Fault, OllamaServer, Settings
from ollama_helpers import settings_for

from ragkit.config import Config
from ragkit.errors import ConfigError, IndexMismatchError, ModelUnavailableError
from ragkit.ingest.load.formats import Format, Parsed
from ragkit.pipeline import Pipeline
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors

WORDS = Config().with_values({"search.mode": "keyword"})
FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "sub/travel.txt": "Rail travel is booked by the office, second class.\n",
    "sub/kitchen.txt": "The kitchen opens at noon and closes at two.\n",
}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_files(tmp_path / "docs", FILES)


class HeldEmbedder(HashEmbedder):
    """Embeds nothing before it is let go; may then fail."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.go, self.asked, self.fails = Event(), Event(), fails

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.asked.set()
        assert self.go.wait(30)
        if self.fails:
            msg = "nothing answers"
            raise ModelUnavailableError(msg, self.name)
        return super().embed_documents(texts)


def found(path: Path, words: str) -> list[str]:
    """The paths that a search by words finds, in a reader of its own."""
    with Pipeline(path, WORDS) as reader:
        return [hit.path for hit in reader.search(words)]


def waiting(path: Path) -> int:
    with closing(open_store(path)) as store:
        return store.stats().waiting


def test_words_are_found_while_the_model_has_given_no_vector_yet(
    tmp_path: Path, docs: Path
) -> None:
    embedder = HeldEmbedder()
    path = tmp_path / "index"
    with dense(embedder, path) as rag:
        writer = Thread(target=rag.index, args=(docs,))
        writer.start()
        try:
            wait_until(lambda: path.exists() and (path / "catalog.db").exists())
            wait_until(lambda: found(path, "kitchen opens") == ["sub/kitchen.txt"])
            assert waiting(path) == 3
            assert embedder.sent == []
        finally:
            embedder.go.set()
            writer.join()

        assert sorted(embedder.sent) == sorted(set(embedder.sent))
        assert len(embedder.sent) == 3
        assert waiting(path) == 0
        assert len(contents(rag)) == 3
        assert list(rag.store.check()) == []


def test_a_model_that_fails_leaves_all_files_to_words_and_the_next_run_reads_none_again(
    tmp_path: Path,
) -> None:
    read: list[str] = []

    def reader(data: bytes, name: str) -> Parsed:
        read.append(name)
        return Parsed(data.decode())

    texts = {f"{n:03}.own": f"Matter number {n} is settled." for n in range(300)}
    docs = write_files(tmp_path / "docs", texts)
    embedder = HeldEmbedder(fails=True)
    embedder.go.set()
    own = [Format("own", (".own",), reader)]
    with Pipeline(tmp_path / "index", WORDS, embedder=embedder, readers=own) as rag:
        with pytest.raises(ModelUnavailableError, match="nothing answers") as failed:
            rag.index(docs)
        assert "`ragkit index` adds the vectors" in failed.value.__notes__[0]
        assert len(read) == 300
        assert waiting(rag.path) == rag.stats().documents == 300
        assert found(rag.path, "217") == ["217.own"]
        assert list(rag.store.check()) == []

        embedder.fails = False
        report = rag.index()

        assert len(read) == 300
        assert (report.embedded, len(report.unchanged), waiting(rag.path)) == (300, 300, 0)
        assert sorted(embedder.sent) == sorted(texts.values())
        assert rag.index().embedded == 0
        assert list(rag.store.check()) == []


def test_vectors_that_are_missing_are_told_by_every_command(tmp_path: Path, docs: Path) -> None:
    with OllamaServer() as server:
        shell = Shell(tmp_path, server.url)
        shell("index", "docs")
        write_files(docs, {"new.md": "The library lends books for two weeks.\n"})
    told = "vectors of 1 of 4 passages are not made yet: run `ragkit index`"

    failed = shell("index", "docs", "--set", "models.retries=0", code=13)
    assert "`ragkit index` adds the vectors" in failed.err
    by_words = shell("search", "library lends", "--mode", "keyword", "--json")
    assert [hit["path"] for hit in by_words.json] == ["new.md"]
    assert told in by_words.err
    assert told in shell("list").err
    assert told in shell("info").err
    assert shell("info", "--json").json["waiting"] == 1
    assert "every invariant holds" in shell("check").out

    with OllamaServer() as server:
        shell = Shell(tmp_path, server.url)
        asked = shell("ask", "What does the library lend?", "--json")
        assert told in asked.err
        assert asked.json["receipt"]["waiting"] == 1
        report = shell("index", "--json").json
        assert (report["embedded"], report["waiting"]) == (1, 0)
        assert len(sent(server)) == 1
        assert "not made yet" not in shell("search", "library lends").err


@pytest.mark.long
def test_a_killed_run_leaves_words_and_only_missing_vectors_are_sent_again(
    tmp_path: Path,
) -> None:
    texts = {f"{n:03}.txt": f"Matter number {n} is settled.\n" for n in range(400)}
    write_files(tmp_path / "docs", texts)
    with OllamaServer(Settings(latency_s=0.2, slots=2)) as server:
        shell, index = Shell(tmp_path, server.url), tmp_path / "indexes/docs"
        with shell.started("index", "docs") as process:
            wait_until(lambda: (index / "catalog.db").exists() and waiting(index) == 400)
            process.send_signal(signal.SIGKILL)
            process.wait()

    with OllamaServer() as server:
        shell = Shell(tmp_path, server.url)
        assert found(index, "399") == ["399.txt"]
        report = shell("index", "--json").json
        assert len(report["unchanged"]) == 400
        assert len(sent(server)) == report["embedded"] == 400
        assert shell("check").out.endswith("every invariant holds\n")


def test_a_text_that_stands_twice_gets_its_vector_once(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"a.md": "The same.", "b.md": "The same."})
    embedder = HeldEmbedder(fails=True)
    embedder.go.set()
    with dense(embedder, tmp_path / "index") as rag:
        with pytest.raises(ModelUnavailableError):
            rag.index(docs)
        embedder.fails = False
        rag.index()
        assert embedder.sent == ["The same."]
        assert [hit.path for hit in rag.search("The same.")] == ["a.md", "b.md"]
        assert list(rag.store.check()) == []


def test_a_key_that_is_not_that_of_its_text_is_made_anew(tmp_path: Path, docs: Path) -> None:
    embedder = HeldEmbedder(fails=True)
    embedder.go.set()
    with dense(embedder, tmp_path / "index") as rag, pytest.raises(ModelUnavailableError):
        rag.index(docs)
    with closing(sqlite3.connect(tmp_path / "index/catalog.db", isolation_level=None)) as catalog:
        catalog.execute("UPDATE pending SET key = zeroblob(32) WHERE chunk = 2")
    embedder.fails = False
    with dense(embedder, tmp_path / "index") as rag:
        rag.index()
        assert waiting(rag.path) == 0
        (text,) = [t for t in embedder.sent if "kitchen" in t]
        assert rag.search(text)[0].path == "sub/kitchen.txt"
        assert rag.search(text)[0].score == pytest.approx(1.0, abs=1e-3)
        assert list(rag.store.check()) == []


def test_a_search_by_meaning_and_words_finds_what_has_no_vector(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        rag.index(docs)
        write_files(docs, {"new.md": "The library lends books for two weeks.\n"})
        ollama.faults.append(Fault("/api/embeddings", times=None, drop_after=0))
        with pytest.raises(ModelUnavailableError):
            rag.index()
        ollama.faults.clear()
        (hit,) = [h for h in rag.search("Which library lends books?") if h.path == "new.md"]
        assert (hit.score, hit.ranks.dense, hit.ranks.keyword) == (None, None, 1)
        diverse = rag.config.with_values({"search.diversity": 0.5})
        with Pipeline(rag.path, diverse) as other:
            assert "new.md" in [hit.path for hit in other.search("Which library lends books?")]
        assert rag.why_not("Which library lends books?", "new.md").stage == "given"


# No vectors at all ----------------------------------------------------------------------------


def test_an_index_without_a_model_is_searched_and_asked_by_words_and_gets_vectors_later(
    tmp_path: Path, docs: Path
) -> None:
    shell = Shell(tmp_path)  # nothing listens where it looks
    made = shell("index", "docs", "--embedder", "none", "--json").json
    assert (len(made["added"]), made["embedded"], made["waiting"]) == (3, 0, 0)
    hits = shell("search", "kitchen opens", "--json").json
    assert [(hit["path"], hit["score"]) for hit in hits] == [("sub/kitchen.txt", None)]
    answer = shell("ask", "When does the kitchen open?", "--extractive", "--json").json
    assert "opens at noon" in answer["text"]
    assert (answer["embedder"], answer["embedder_digest"]) == ("", "")
    assert shell("ask", "Who invented the telephone?", "--extractive", "--json").json["refused"]
    assert "search it" not in shell("search", "x", "--mode", "keyword").err
    refused = shell("search", "kitchen", "--mode", "dense", code=2)
    assert "`ragkit index --embedder NAME`" in refused.err
    assert "none: it is searched by words" in shell("info").out
    assert "every invariant holds" in shell("check").out
    write_files(docs, {"new.md": "The library lends books for two weeks.\n"})
    assert shell("index", "--json").json["added"] == ["new.md"]
    told = shell("why-not", "When does the kitchen open?", "--expect", "kitchen.txt").out
    assert "given" in told

    with OllamaServer() as server:
        shell = Shell(tmp_path, server.url)
        report = shell("index", "--embedder", "nomic-embed-text", "--json").json
        assert (len(report["unchanged"]), report["embedded"], report["waiting"]) == (4, 4, 0)
        assert shell("search", "lends books", "--mode", "dense", "--json").json[0]["score"]
        assert "every invariant holds" in shell("check").out
        named = shell("index", "--embedder", "none", code=12)
        assert "has vectors of nomic-embed-text" in named.err


def test_vectors_that_are_added_to_an_index_without_are_made_resumably(
    tmp_path: Path, docs: Path
) -> None:
    none = Config().with_values({"models.embedder": "none"})
    path = tmp_path / "index"
    with Pipeline(path, none) as rag:
        rag.index(docs)
        assert rag.embedder is None
        with pytest.raises(ConfigError, match="mode dense"):
            Pipeline(path, none.with_values({"search.mode": "dense"})).search("x")
    embedder = HeldEmbedder(fails=True)
    embedder.go.set()
    with dense(embedder, path) as rag:
        with pytest.raises(ModelUnavailableError):
            rag.index()
        assert waiting(path) == 3
        with pytest.raises(IndexMismatchError):
            dense(HashEmbedder(digest="other"), path).index()
        embedder.fails = False
        assert rag.index().embedded == 3
        assert len(contents(rag)) == 3
        assert list(rag.store.check()) == []


def test_a_rebuild_may_take_the_vectors_away_and_give_them_back(tmp_path: Path, docs: Path) -> None:
    path, embedder = tmp_path / "index", HashEmbedder()
    with dense(embedder, path) as rag:
        rag.index(docs)
    none = Config().with_values({"models.embedder": "none"})
    with Pipeline(path, none) as rag:
        rag.rebuild()
        assert rag.stats().embedder == {}
        assert [hit.path for hit in rag.search("kitchen")] == ["sub/kitchen.txt"]
        assert list(rag.store.check()) == []
    with dense(embedder, path) as rag:
        rag.index()
        assert len(contents(rag)) == 3
        assert list(rag.store.check()) == []
