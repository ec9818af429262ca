"""Copies of an index hold what it holds, in every kind of store, and no model is asked."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder

from ragkit.config import Config
from ragkit.errors import IndexExistsError, StoreError
from ragkit.ingest import copying
from ragkit.ingest.copying import copy_index
from ragkit.pipeline import Pipeline
from ragkit.records import SourceRules
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from engine_nodes import Nodes

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months.\n\n## Staff\n\nPermanent staff.\n",
    "travel.txt": "Rail travel is booked by the office, second class.\n",
    "合同.txt": "劳动合同法第十条规定,应当订立书面劳动合同。\n",
    "left.out": "x",
}


def made(tmp_path: Path) -> Path:
    """An index of documents with rules, a decision and a text of a program."""
    docs = write_files(tmp_path / "docs", FILES)
    with Pipeline(tmp_path / "one", Config(), embedder=HashEmbedder()) as rag:
        rag.index(docs, rules=SourceRules(exclude=("*.out",)))
        rag.add("The canteen opens at noon.", id="canteen", metadata={"floor": 2})
        rag.remove("travel.txt")
    return tmp_path / "one"


ON_A_NODE = [pytest.mark.long, pytest.mark.engine]


@pytest.mark.parametrize("where", ["local", pytest.param("remote", marks=ON_A_NODE)])
def test_a_copy_and_a_copy_of_it_are_equal(
    tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    place: str | Path = tmp_path / "two"
    if where == "remote":
        nodes: Nodes = request.getfixturevalue("one_node")
        nodes.clear()
        place = nodes.url("two")
    embedder = HashEmbedder()
    with closing(open_store(made(tmp_path))) as source:
        steps: list[tuple[int, int]] = []
        report = copy_index(source, place, on_progress=lambda *step: steps.append(step))
        assert (report.documents, report.waiting) == (3, 0)
        assert report.vectors == report.chunks == source.stats().chunks
        assert steps[-1] == (3, 3)
        with pytest.raises(IndexExistsError):
            copy_index(source, place)
        with closing(open_store(place)) as copy:
            copy_index(copy, tmp_path / "three")
            assert list(copy.check()) == []
        with (
            closing(open_store(tmp_path / "three")) as back,
            Pipeline(store=back, embedder=embedder) as rag,
            Pipeline(store=source, embedder=embedder) as original,
        ):
            assert list(back.check(keywords=True)) == []
            found, expected = (
                [(h.chunk_id, h.score, h.text) for h in one.search("notice period")]
                for one in (rag, original)
            )
            assert found == expected
            assert rag.index().unchanged == ("notice.md", "合同.txt")
            assert back.decisions() == source.decisions() != {}


def test_a_copy_that_was_ended_goes_on_and_one_that_differs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_COMMITTED_CHUNKS", 1)
    with closing(open_store(made(tmp_path))) as source:

        def stop(done: int, _: int) -> None:
            if done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copy_index(source, tmp_path / "two", on_progress=stop)
        with closing(open_store(tmp_path / "two")) as half:
            assert len(half.documents()) == 2
        with source.writing("index") as writer:  # what was decided was taken back meanwhile
            writer.decide(list(source.decisions()), None)
        assert copy_index(source, tmp_path / "two").documents == 3

        def change(done: int, _: int) -> None:
            if done == 3:
                with source.writing("remove") as writer:
                    writer.remove([source.documents()[0].doc_id])

        with pytest.raises(StoreError, match=r"is not equal to .* the documents differ"):
            copy_index(source, tmp_path / "four", on_progress=change)


def test_the_command_copies_by_name(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    write_files(tmp_path / "docs", {"a.txt": "A text.\n"})
    shell("index", "docs", "--embedder", "none")
    told = shell("copy", "docs", "other", "--json").json
    assert (told["documents"], told["chunks"], told["vectors"]) == (1, 1, 0)
    assert shell("list", "-i", "other", "--json").json[0]["path"] == "a.txt"
    assert "already" in shell("copy", "docs", "other", code=1).err
