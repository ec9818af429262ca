"""Rebuilding: from the stored text or from the files, and what cannot be read keeps its text."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import make_files
import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder, contents, dense

from ragkit.config import Config
from ragkit.errors import ConfigError, LoadError, ModelUnavailableError
from ragkit.pipeline import Pipeline
from ragkit.records import SourceRules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.ingest.update import RebuildSource
    from ragkit.protocols import Vectors
    from ragkit.records import Hit

FILES = {
    "notice.md": "# Notice\n\n## Staff\n\n" + "The notice period is three months.\n\n" * 60,
    "travel.txt": "Rail travel is booked by the office, second class.\n",
    "empty.txt": " \n",
}


class FailingEmbedder(HashEmbedder):
    """Fails after so many texts."""

    def __init__(self, most: int, digest: str) -> None:
        super().__init__(digest=digest)
        self.most = most

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if len(self.sent) + len(texts) > self.most:
            msg = "nothing answers"
            raise ModelUnavailableError(msg, self.name)
        return super().embed_documents(texts)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    pages = make_files.pdf(["The first page speaks of pensions.", "", "The third of leave."])
    return write_files(tmp_path / "docs", FILES | {"plan.pdf": pages})


def chunks(rag: Pipeline) -> list[Hit]:
    """All chunks of an index, without what a search says of them."""
    found = [hit for d in rag.documents() for hit in rag.store.chunks_at(d.doc_id, 0, 10**9)]
    assert len(found) == rag.stats().chunks
    return found


def test_another_model_embeds_the_stored_text_and_reads_no_file(tmp_path: Path, docs: Path) -> None:
    path = tmp_path / "index"
    with dense(HashEmbedder(), path) as rag:
        rag.index(docs)
        before, documents = chunks(rag), rag.documents()
    shutil.rmtree(docs)
    other = HashEmbedder(digest="hash-2")
    with dense(other, path) as rag:
        report = rag.rebuild()

        assert sorted(report.unchanged) == ["empty.txt", "notice.md", "plan.pdf", "travel.txt"]
        assert (report.added, rag.stats().waiting) == ((), 0)
        assert len(before) == report.chunks
        assert len(other.sent) == report.embedded == len({hit.text for hit in before})
        assert chunks(rag) == before
        assert rag.documents() == documents
        assert rag.stats().embedder["digest"] == "hash-2"
        assert len(contents(rag)) == len(before)
        assert rag.store.runs()[0]["command"] == "rebuild"
        assert list(rag.store.check()) == []
        with pytest.raises(LoadError, match="no such file or folder"):
            rag.rebuild("files")
        assert chunks(rag) == before


@pytest.mark.long
def test_the_files_are_read_where_more_than_the_model_changes_or_it_is_asked_for(
    tmp_path: Path, docs: Path
) -> None:
    path = tmp_path / "index"
    with dense(HashEmbedder(), path) as rag:
        rag.index(docs)
        write_files(docs, {"new.md": "A new rule."})
        assert "new.md" in rag.rebuild().added  # nothing changes: then it is for the files
    write_files(docs, {"newer.md": "A newer rule."})
    with dense(HashEmbedder(digest="hash-2"), path) as rag:
        assert "newer.md" in rag.rebuild("files").added
    smaller = Config().with_values({"split.chunk_tokens": 64})
    with Pipeline(path, smaller, embedder=HashEmbedder(digest="hash-3")) as rag:
        with pytest.raises(ConfigError, match="--from files"):
            rag.rebuild("text")
        count = rag.stats().chunks
        rag.rebuild()
        assert rag.stats().chunks > count


def test_a_rebuild_from_text_that_ends_early_is_taken_up(tmp_path: Path, docs: Path) -> None:
    path = tmp_path / "index"
    write_files(docs, {f"{n:03}.md": f"Rule {n} speaks of matter {n}." for n in range(120)})
    with dense(HashEmbedder(), path) as rag:
        rag.index(docs)
        before = chunks(rag)
    other = FailingEmbedder(70, "hash-2")
    with dense(other, path) as rag, pytest.raises(ModelUnavailableError):
        rag.rebuild()
    assert 0 < len(other.sent) <= 70
    other.most = 10**6
    with dense(HashEmbedder(), path) as rag:
        assert chunks(rag) == before  # it answers as it was
        rag.remove("000.md")
    with dense(other, path) as rag:
        rag.rebuild()
        assert [hit for hit in before if hit.path != "000.md"] == chunks(rag)
        assert sorted(other.sent) == sorted(set(other.sent))
        assert list(rag.store.check()) == []


def test_a_file_that_cannot_be_read_now_keeps_its_older_chunks_and_it_is_told(
    tmp_path: Path, docs: Path
) -> None:
    path, other = tmp_path / "index", write_files(tmp_path / "other", {"far.md": "Far away."})
    with dense(HashEmbedder(), path) as rag:
        rag.index(docs, other)
        before = [hit for hit in chunks(rag) if hit.path in {"plan.pdf", "far.md"}]
        assert [len(hit.pages) for hit in before] == [0, 2]
        (docs / "plan.pdf").write_bytes(b"%PDF-1.7 torn off")
        other.rename(tmp_path / "away")

        report = rag.rebuild("files")

        assert [hit for hit in chunks(rag) if hit.path in {"plan.pdf", "far.md"}] == before
        assert [outcome.path for outcome in report.stale] == ["plan.pdf"]
        assert (report.failed, report.removed) == ((), ())
        assert [outcome.path for outcome in report.unreadable] == [str(other)]
        assert "were kept" in report.unreadable[0].reason
        assert [d.path for d in rag.documents() if d.stale] == ["plan.pdf"]
        assert "plan.pdf" not in report.added
        again = replace(rag.rebuild("text"), seconds=0.0)
        assert [outcome.path for outcome in again.stale] == ["plan.pdf"]
        assert list(rag.store.check()) == []


def test_the_command_says_from_what(shell: Shell, docs: Path) -> None:
    shell("index", "docs")
    shutil.rmtree(docs)
    report = shell("rebuild", "--embedder", "bge-m3", "--json").json
    assert len(report["unchanged"]) == 4
    assert shell("info", "--json").json["embedder"]["name"].startswith("bge-m3")
    assert shell("rebuild", "--from", "files", code=1).err.startswith("ragkit: ")
    assert "neither text nor files" in shell("rebuild", "--from", "air", code=2).err


@pytest.mark.parametrize("source", ["text", "files"])
def test_a_rebuild_keeps_what_was_removed_by_hand_and_which_files_count(
    tmp_path: Path, source: RebuildSource
) -> None:
    folder = write_files(tmp_path / "chosen", {"a.md": "A.", "b.md": "B.", "c.md": "C."})
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(folder, rules=SourceRules(exclude=("c.md",)))
        rag.remove(folder / "b.md")
        kept = rag.store.decisions(), rag.store.rules()
    assert kept[0] == {str(folder / "b.md"): "removed"}
    with dense(HashEmbedder(digest="hash-2"), tmp_path / "index") as rag:
        rag.rebuild(source)
        assert (rag.store.decisions(), rag.store.rules()) == kept
        assert rag.index(folder).added == ()
        assert [document.path for document in rag.documents()] == ["a.md"]
