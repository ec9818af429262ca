"""Two runs at once, and what keeps a run from its files: nothing is written twice or lost."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING
from unicodedata import normalize

import pytest
from commands import write_files
from hash_embedder import HashEmbedder, contents, dense

from ragkit.errors import LoadError
from ragkit.models.choose import Models
from ragkit.records import IndexReport
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.pipeline import Pipeline
    from ragkit.protocols import Vectors


class HeldEmbedder(HashEmbedder):
    """Embeds nothing before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = Event(), Event()

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.asked.set()
        assert self.go.wait(30)
        return super().embed_documents(texts)


def run_at_once(path: Path, docs: Path) -> tuple[IndexReport, IndexReport]:
    """A run that is held at its model, and another that begins meanwhile."""
    held, reports = HeldEmbedder(), dict[str, IndexReport]()

    def run(name: str, rag: Pipeline) -> None:
        reports[name] = rag.index(docs)

    with dense(held, path) as first, dense(HashEmbedder(), path) as second:
        one = Thread(target=run, args=("first", first))
        other = Thread(target=run, args=("second", second))
        one.start()
        assert held.asked.wait(10)
        other.start()
        other.join(0.5)  # it has planned, and waits for the lock
        assert other.is_alive()
        held.go.set()
        one.join()
        other.join()
    return reports["first"], reports["second"]


def test_a_run_that_waited_for_another_plans_anew(tmp_path: Path) -> None:
    texts = {f"{n:02}.md": f"Matter {n} is settled." for n in range(40)}
    docs, path = write_files(tmp_path / "docs", texts), tmp_path / "index"
    with dense(HashEmbedder(), path) as rag:
        rag.index(docs)
    write_files(docs, {name: f"{text} Anew." for name, text in texts.items()})

    first, second = run_at_once(path, docs)

    assert len(first.changed) == 40
    assert (len(second.unchanged), second.changed, second.chunks) == (40, (), 0)
    store = open_store(path)
    assert store.stats().vectors == 80  # the old and the new, each once
    assert [run["state"] for run in store.runs()] == ["closed", "closed"]
    assert list(store.check()) == []
    store.close()


def test_of_two_runs_that_make_an_index_the_later_goes_on_after_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = write_files(tmp_path / "docs", {"a.md": "One.", "b.md": "Two."})
    path = tmp_path / "index"
    new_embedder, patched = Models.new_embedder, list[bool]()

    def late(models: Models) -> object:
        """Another run makes the index after this one saw that there is none."""
        if not patched:
            patched.append(True)
            with dense(HashEmbedder(), path) as other:
                other.index(docs / "a.md")
        return new_embedder(models)

    with dense(HashEmbedder(), path) as rag:
        with monkeypatch.context() as patch:
            patch.setattr(Models, "new_embedder", late)
            report = rag.index(docs)
        assert (report.added, report.unchanged) == (("b.md",), ("a.md",))
        assert [file for file, _ in contents(rag)] == [f"{docs}/a.md", f"{docs}/b.md"]


def test_names_that_differ_in_unicode_form_only_are_told(tmp_path: Path) -> None:
    composed, decomposed = (normalize(form, "é.md") for form in ("NFC", "NFD"))
    docs = write_files(tmp_path / "docs", {composed: "Composed.", decomposed: "Decomposed."})
    if len(list(docs.iterdir())) < 2:
        pytest.skip("this file system takes both for one name")
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        report = rag.index(docs)
        assert report.added == (composed,)
        (left_out,) = report.skipped
        assert left_out.path in {composed, decomposed}
        assert "the same in Unicode NFC" in left_out.reason
        assert rag.index(docs).skipped == report.skipped
        assert rag.index(docs, dry_run=True).skipped == report.skipped


def test_a_missing_folder_does_not_keep_the_others_from_being_updated(tmp_path: Path) -> None:
    one = write_files(tmp_path / "one", {"a.md": "One."})
    other = write_files(tmp_path / "other", {"b.md": "Two."})
    file = write_files(tmp_path / "files", {"c.md": "Three."}) / "c.md"
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(one, other, file)
        other.rename(tmp_path / "away")
        file.unlink()
        write_files(one, {"new.md": "New."})

        for report in (rag.index(), rag.index(one, other, file)):
            assert report.removed == ()
            assert [outcome.path for outcome in report.unreadable] == [str(file), str(other)] or [
                outcome.path for outcome in report.unreadable
            ] == [str(other), str(file)]
            assert "no such file or folder; its documents were kept" in report.unreadable[0].reason
        assert [d.path for d in rag.documents()] == ["a.md", "b.md", "c.md", "new.md"]
        assert rag.store.sources() == sorted(map(str, (one, other, file)))
        with pytest.raises(LoadError, match="no such file or folder"):
            rag.index(one, tmp_path / "never")
        one.rename(tmp_path / "gone")
        with pytest.raises(LoadError, match="no such file or folder"):
            rag.index()


def test_an_index_that_was_just_made_is_searched_with_the_embedder_it_was_made_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragkit.models import choose

    made: list[HashEmbedder] = []

    def new_embedder(_: object) -> HashEmbedder:
        made.append(HashEmbedder())
        return made[-1]

    monkeypatch.setattr(choose, "new_embedder", new_embedder)
    docs = write_files(tmp_path / "docs", {"a.md": "One."})
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.models.given_embedder = None
        rag.index(docs)
        assert rag.search("One.")[0].path == "a.md"
        assert [rag.embedder] == made
