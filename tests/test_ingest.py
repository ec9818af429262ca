"""The ingest: what is sent to the model, what is kept, and that every file is accounted for.

The model server is the double of `ollama_server`, over a real socket; it counts what it is sent.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import make_files
import pytest
from commands import sent, write_files
from hash_embedder import HashEmbedder
from ollama_server import Fault, OllamaServer

from ragkit.config import Config
from ragkit.errors import LoadError, ModelUnavailableError
from ragkit.pipeline import Pipeline
from ragkit.records import FileOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "leave.md": "# Leave\n\nAnnual leave amounts to thirty working days.\n",
    "sub/travel.txt": "Rail travel is booked by the office, second class.\n",
    "sub/kitchen.txt": "The kitchen opens at noon and closes at two.\n",
}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_files(tmp_path / "docs", FILES)


@pytest.fixture
def rag(tmp_path: Path, docs: Path, ollama: OllamaServer) -> Iterator[Pipeline]:
    """A pipeline whose index holds `docs`; what the server was sent is forgotten."""
    with Pipeline(tmp_path / "indexes/one", settings_for(ollama)) as pipeline:
        pipeline.index(docs)
        ollama.requests.clear()
        yield pipeline


def settings_for(server: OllamaServer, **values: object) -> Config:
    fixed = {"models.backend": "ollama", "models.ollama_host": server.url, "models.retries": 0}
    return Config().with_values(fixed | values)


def found(rag: Pipeline, words: str) -> list[str]:
    """The paths of the chunks that hold a word."""
    request = rag.config.with_values({"search.mode": "keyword"})
    with Pipeline(rag.path, request) as reader:
        return [hit.path for hit in reader.search(words)]


def test_first_run_sends_each_text_once_and_names_every_file(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    write_files(docs, {"copy.md": FILES["leave.md"], "photo.png": make_files.compressed(b"x" * 99)})

    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        report = rag.index(docs)

    assert set(report.added) == {"copy.md", *FILES}
    assert [outcome.path for outcome in report.skipped] == ["photo.png"]
    assert (report.chunks, report.embedded, report.reused) == (5, 4, 1)
    assert len(sent(ollama)) == 4
    assert not report.failed


def test_nothing_changed_sends_no_request_at_all(
    rag: Pipeline, docs: Path, ollama: OllamaServer
) -> None:
    for path in docs.rglob("*.*"):
        os.utime(path, (1, 1))  # touched: other times, same content

    with Pipeline(rag.path, rag.config) as later:
        report = later.index(docs)

    assert set(report.unchanged) == set(FILES)
    assert (report.added, report.changed, report.embedded) == ((), (), 0)
    assert ollama.requests == []
    assert len(rag.store.runs()) == 1


def test_only_the_changed_chunks_of_a_changed_file_are_sent(
    rag: Pipeline, docs: Path, ollama: OllamaServer
) -> None:
    parts = [f"# Part {n}\n\n" + f"Rule {n} speaks of matter {n}. " * 40 for n in range(6)]
    (docs / "long.md").write_text("\n\n".join(parts))
    rag.index(docs)
    before = len(sent(ollama))
    parts[3] = parts[3].replace("matter 3", "subject 3")
    (docs / "long.md").write_text("\n\n".join(parts))

    report = rag.index(docs)

    new = sent(ollama)[before:]
    assert report.changed == ("long.md",)
    assert new
    assert all("subject 3" in text for text in new)
    assert report.embedded == len(new)
    assert found(rag, "subject") == ["long.md"] * len(new)
    assert report.reused == report.chunks - len(new)


def test_a_renamed_or_copied_file_costs_no_embedding(
    rag: Pipeline, docs: Path, ollama: OllamaServer
) -> None:
    (docs / "notice.md").rename(docs / "sub/period.md")
    write_files(docs, {"copy.txt": FILES["sub/travel.txt"]})

    report = rag.index(docs)

    assert report.moved == ("sub/period.md",)
    assert report.added == ("copy.txt",)
    assert report.removed == ()
    assert sent(ollama) == []
    assert found(rag, "permanent staff") == ["sub/period.md"]
    assert sorted(found(rag, "rail")) == ["copy.txt", "sub/travel.txt"]


def test_a_renamed_folder_is_a_move_and_no_loss(
    rag: Pipeline, docs: Path, ollama: OllamaServer
) -> None:
    (docs / "sub").rename(docs / "house")
    (docs / "notice.md").rename(docs / "house/notice.md")

    report = rag.index(docs)

    assert set(report.moved) == {"house/travel.txt", "house/kitchen.txt", "house/notice.md"}
    assert report.unreadable == ()
    assert {d.path for d in rag.documents()} == {"leave.md", *report.moved}
    assert sent(ollama) == []


def test_a_deleted_file_is_found_no_more(rag: Pipeline, docs: Path, ollama: OllamaServer) -> None:
    assert found(rag, "kitchen") == ["sub/kitchen.txt"]
    (docs / "sub/kitchen.txt").unlink()

    report = rag.index(docs)

    assert report.removed == ("sub/kitchen.txt",)
    assert found(rag, "kitchen") == []
    assert sent(ollama) == []


def test_deleted_files_are_removed_while_no_server_answers(
    rag: Pipeline, docs: Path, ollama: OllamaServer
) -> None:
    (docs / "sub/kitchen.txt").unlink()
    ollama.close()

    with Pipeline(rag.path, rag.config) as later:
        report = later.index(docs)

    assert report.removed == ("sub/kitchen.txt",)
    assert found(rag, "kitchen") == []


def test_losing_over_half_of_a_folder_needs_prune(rag: Pipeline, docs: Path) -> None:
    for name in ("notice.md", "leave.md", "sub/travel.txt"):
        (docs / name).unlink()

    kept = rag.index(docs)

    assert kept.removed == ()
    assert kept.unreadable == (
        FileOutcome(
            str(docs),
            "3 of its 4 documents are gone from the disk; they were kept: "
            "use --prune to remove them",
        ),
    )
    assert found(rag, "rail") == ["sub/travel.txt"]
    pruned = rag.index(docs, prune=True)
    assert set(pruned.removed) == {"notice.md", "leave.md", "sub/travel.txt"}
    assert [d.path for d in rag.documents()] == ["sub/kitchen.txt"]


def test_an_emptied_or_missing_folder_removes_nothing(rag: Pipeline, docs: Path) -> None:
    docs.rename(docs.with_name("elsewhere"))

    with pytest.raises(LoadError, match="no such file or folder"):
        rag.index(docs)
    docs.mkdir()  # a mount point without its disk
    report = rag.index(docs)

    assert report.removed == ()
    assert len(report.unreadable) == 1
    assert found(rag, "kitchen") == ["sub/kitchen.txt"]


def test_a_changed_file_that_fails_to_load_keeps_its_old_chunks_as_stale(
    rag: Pipeline, docs: Path, ollama: OllamaServer
) -> None:
    good = make_files.pdf(["The first page speaks of pensions.", ""])
    (docs / "plan.pdf").write_bytes(good)
    first = rag.index(docs)
    (docs / "plan.pdf").write_bytes(b"%PDF-1.7 torn off")

    broken = rag.index(docs)

    assert first.pages_without_text == {"plan.pdf": (2,)}
    assert [outcome.path for outcome in broken.stale] == ["plan.pdf"]
    assert broken.failed == ()
    assert found(rag, "pensions") == ["plan.pdf"]
    assert [d.path for d in rag.documents() if d.stale] == ["plan.pdf"]
    assert rag.stats().stale == 1
    ollama.requests.clear()
    (docs / "plan.pdf").write_bytes(good)
    reverted = rag.index(docs)
    assert "plan.pdf" in reverted.unchanged
    assert [d.path for d in rag.documents() if d.stale] == []
    assert ollama.requests == []


def test_files_that_cannot_be_read_are_named_and_end_nothing(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    write_files(
        docs,
        {
            "locked.pdf": make_files.pdf(["Secret."], password="x"),  # noqa: S106 -- of a test file
            "torn.pdf": b"%PDF-1.7 torn off",
            "binary.txt": make_files.compressed(os.urandom(5000)),
            "empty.md": "",
        },
    )

    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        report = rag.index(docs)
        again = rag.index(docs)

    reasons = {o.path: o.reason for o in (*report.failed, *report.skipped)}
    assert set(report.added) == set(FILES)
    assert set(reasons) == {"locked.pdf", "torn.pdf", "binary.txt", "empty.md"}
    assert "password" in reasons["locked.pdf"]
    assert reasons["empty.md"] == "empty"
    assert all(reasons.values())
    assert again.failed == report.failed
    assert again.skipped == report.skipped
    assert set(again.unchanged) == set(FILES)


def test_a_server_that_stops_midway_costs_only_what_was_not_committed(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    docs = write_files(
        tmp_path / "docs", {f"{n:03}.txt": f"Matter number {n}.\n" for n in range(150)}
    )
    ollama.faults.append(Fault("/api/embeddings", times=None, skip=100, drop_after=0))

    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        with pytest.raises(ModelUnavailableError):
            rag.index(docs)
        kept = rag.stats()
        state = rag.store.runs()[0]["state"]
        ollama.faults.clear()
        ollama.requests.clear()
        report = rag.index(docs)

    assert 32 <= kept.documents < 150
    assert state == "interrupted"
    assert len(report.unchanged) == kept.documents
    assert len(sent(ollama)) == report.embedded == 150 - kept.vectors
    assert not set(sent(ollama)) & {f"Matter number {n}." for n in range(kept.documents)}
    assert len(report.added) + len(report.unchanged) == 150


def test_a_text_without_a_usable_vector_fails_its_file_only(
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
        ollama.faults.clear()
        ollama.requests.clear()
        repaired = rag.index(docs)

    failed = {o.path: o.reason for o in report.failed}
    assert set(failed) == {"sub/travel.txt", "sub/kitchen.txt"}
    assert "NaN" in failed["sub/travel.txt"]
    assert all(reason.startswith("cannot be embedded: ") for reason in failed.values())
    assert set(report.added) == {"notice.md", "leave.md"}
    assert set(repaired.added) == set(failed)
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
