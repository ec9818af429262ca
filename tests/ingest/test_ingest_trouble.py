"""The ingest and texts that give trouble: a server that stops, NaN, over-long, one endless line."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest
from commands import sent, write_files
from hash_embedder import HashEmbedder
from ollama_double.server import Fault, OllamaServer
from ollama_helpers import settings_for

from ragkit.config import Config
from ragkit.errors import ModelUnavailableError
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.ingest.run import Progress
    from ragkit.protocols import Vectors

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "leave.md": "# Leave\n\nAnnual leave amounts to thirty working days.\n",
    "sub/travel.txt": "Rail travel is booked by the office, second class.\n",
    "sub/kitchen.txt": "The kitchen opens at noon and closes at two.\n",
}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_files(tmp_path / "docs", FILES)


def test_a_server_that_stops_midway_costs_only_what_was_not_committed(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    docs = write_files(
        tmp_path / "docs", {f"{n:03}.txt": f"Matter number {n}.\n" for n in range(200)}
    )
    # Three batches of 32 are under way at once: with 150 texts served, one at least is whole.
    ollama.faults.append(Fault("/api/embeddings", times=None, skip=150, drop_after=0))

    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        with pytest.raises(ModelUnavailableError):
            rag.index(docs)
        kept, before = rag.stats(), sent(ollama)
        state = rag.store.runs()[0]["state"]
        ollama.faults.clear()
        ollama.requests.clear()
        report = rag.index(docs)

    assert kept.documents == len(report.unchanged) == 200
    assert 32 <= kept.vectors == 200 - kept.waiting < 200
    assert state == "interrupted"
    assert len(sent(ollama)) == report.embedded == kept.waiting
    assert not set(sent(ollama)) & set(before[:32])


class FirstBatchFails(HashEmbedder):
    """Fails the batch that holds the first text, once a later one has come back."""

    def __init__(self) -> None:
        super().__init__()
        self.later = Event()
        self.fails = True

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if self.fails and "Text number 000." in texts:
            self.later.wait(10)
            time.sleep(0.3)  # so that it has come back
            msg = "the server broke off"
            raise ModelUnavailableError(msg, self.name)
        rows = super().embed_documents(texts)
        self.later.set()
        return rows


def test_a_batch_that_came_back_behind_one_that_failed_is_kept(tmp_path: Path) -> None:
    files = {f"{i:03}.md": f"Text number {i:03}." for i in range(64)}
    docs = write_files(tmp_path / "docs", files)
    embedder = FirstBatchFails()
    with Pipeline(tmp_path / "index", embedder=embedder) as rag:
        with pytest.raises(ModelUnavailableError, match="broke off"):
            rag.index(docs)
        assert len(rag.documents()) == 64
        assert {int(hit.path[:3]) for _, hit in rag.store.waiting()} == set(range(32))
        assert list(rag.store.check()) == []
        embedder.fails, embedder.sent = False, []

        assert len(rag.index(docs).unchanged) == 64
        assert sorted(embedder.sent) == [f"Text number {i:03}." for i in range(32)]
        assert list(rag.store.check()) == []


def test_vectors_that_came_back_before_an_interruption_are_not_asked_for_again(
    tmp_path: Path,
) -> None:
    docs = write_files(tmp_path / "docs", {f"{i}.md": f"Text number {i}." for i in range(200)})
    embedder = HashEmbedder()

    def interrupt(progress: Progress) -> None:
        if progress.files_done:
            time.sleep(0.3)  # all that was sent comes back
            raise KeyboardInterrupt

    with Pipeline(tmp_path / "index", embedder=embedder) as rag:
        with pytest.raises(KeyboardInterrupt):
            rag.index(docs, on_progress=interrupt)
        assert len(embedder.sent) >= 64
        rag.index(docs)
    assert len(embedder.sent) == 200


def test_a_text_without_a_usable_vector_is_found_by_its_words_and_its_file_is_told(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    nan = {"error": "failed to encode response: json: unsupported value: NaN"}
    ollama.faults += [
        Fault("/api/embeddings", times=None, match="rail travel", status=500, body=nan),
        Fault("/api/embeddings", times=None, match="Rail travel", status=500, body=nan),
        Fault("/api/embeddings", times=None, match="kitchen opens", vector=[0.0] * 256),
    ]

    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        report = rag.index(docs)
        with Pipeline(rag.path, rag.config.with_values({"search.mode": "keyword"})) as reader:
            words = reader.search("rail travel")
        again, behind = rag.index(docs), rag.stats().waiting
        ollama.faults.clear()
        ollama.requests.clear()
        repaired = rag.index(docs)
        meaning = rag.search("rail travel")

    refused = {o.path: o.reason for o in report.notes}
    assert set(refused) == {"sub/travel.txt", "sub/kitchen.txt"}
    assert "NaN" in refused["sub/travel.txt"]
    assert (behind, report.failed, set(report.added)) == (2, (), set(FILES))
    assert (words[0].path, words[0].score) == ("sub/travel.txt", None)
    assert set(again.notes) == set(report.notes)
    assert (repaired.notes, repaired.embedded) == ((), 2)
    assert (meaning[0].path, meaning[0].score is None) == ("sub/travel.txt", False)
    assert len(sent(ollama)) == 2


def test_a_text_over_the_models_window_is_embedded_in_parts_and_not_cut(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    long = "".join(f"Clause {n} binds party {n}. " for n in range(12)).strip()
    write_files(docs, {"long.txt": long})
    refusal = {"error": "the input length exceeds the context length"}
    ollama.faults.append(Fault("/api/embeddings", match="Clause 0", status=500, body=refusal))

    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        report = rag.index(docs)
        hits = rag.search(long)

    parts = [text for text in sent(ollama) if "Clause" in text and text != long]
    assert report.failed == ()
    assert len(parts) == 2
    assert "".join(parts).replace(" ", "") == long.replace(" ", "")
    assert hits[0].path == "long.txt"
    assert hits[0].text == long


@pytest.mark.long
def test_a_file_of_one_long_line_is_indexed_whole(tmp_path: Path) -> None:
    line = "".join(f"word{n} " for n in range(450_000))[:5_000_000]
    docs = write_files(tmp_path / "docs", {"line.txt": line})

    words = Config().with_values({"search.mode": "keyword"})
    with Pipeline(tmp_path / "index", words, embedder=HashEmbedder()) as rag:
        report = rag.index(docs)
        hits = rag.search("word400000")

    assert report.added == ("line.txt",)
    assert "word400000 " in hits[0].text
    assert all(line[hit.start : hit.end] == hit.text for hit in hits)
