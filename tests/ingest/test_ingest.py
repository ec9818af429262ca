"""The ingest: what is sent to the model, what is kept, and that every file is accounted for.

The model server is `ollama_double.server`, over a real socket; it counts what it is sent.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import make_files
import pytest
from commands import sent, write_files
from ollama_double.server import OllamaServer
from ollama_helpers import settings_for

from ragkit.errors import LoadError
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


def test_nothing_changed_sends_no_text(rag: Pipeline, docs: Path, ollama: OllamaServer) -> None:
    for path in docs.rglob("*.*"):
        os.utime(path, (1, 1))  # touched: other times, same content

    with Pipeline(rag.path, rag.config) as later:
        report = later.index(docs)

    assert set(report.unchanged) == set(FILES)
    assert (report.added, report.changed, report.embedded) == ((), (), 0)
    assert ollama.paths() == ["/api/version", "/api/tags"]  # has the model the same weights still?
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


def test_documents_without_any_text_are_named_in_every_run(rag: Pipeline, docs: Path) -> None:
    write_files(
        docs,
        {
            "app.html": "<script>draw()</script><div id='app'></div>",
            "leave.md": " \n\t\n",
            "scan.pdf": make_files.pdf(["", ""]),
        },
    )

    first, again = rag.index(docs), rag.index(docs)

    assert first.without_text == ("app.html", "leave.md", "scan.pdf")
    assert set(first.added) == {"app.html", "scan.pdf"}
    assert first.changed == ("leave.md",)
    assert first.pages_without_text == {"scan.pdf": (1, 2)}
    assert found(rag, "leave") == []
    assert again.without_text == first.without_text
    assert again.pages_without_text == first.pages_without_text
