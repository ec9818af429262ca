"""A dry run's estimate against what the run then takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hash_embedder import HashEmbedder

from ragkit import Estimate, Pipeline
from ragkit.config import Config

WORDS = Config().with_values({"models.embedder": "none"})


def write_notes(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        said = (f"Locker {number}-{row} is opened with key {row * 7} by the porter on duty. " * 3
                for row in range(40))  # fmt: skip
        (folder / f"{number}.txt").write_text("\n\n".join(said), "utf-8")
    return folder


def test_without_any_run_the_passages_are_estimated_and_no_time(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 4)
    with Pipeline(tmp_path / "indexes/docs", WORDS) as rag:
        told = rag.index(docs, dry_run=True).estimate
        assert not rag.path.exists()
        made = rag.index(docs)

    assert told is not None
    assert (told.seconds, told.basis) == (None, "")
    assert told.passages == pytest.approx(made.chunks, rel=0.5)
    assert made.estimate is None


def test_the_pace_is_that_of_the_indexs_own_last_run(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 4)
    with Pipeline(tmp_path / "indexes/docs", WORDS) as rag:
        first = rag.index(docs)
        write_notes(docs, 8, first=4)
        told = rag.index(docs, dry_run=True).estimate
        second = rag.index(docs)
        nothing = rag.index(docs, dry_run=True).estimate

    assert told is not None
    assert told.passages == pytest.approx(second.chunks, rel=0.1)  # by the index's own share
    assert told.seconds == pytest.approx(told.passages / (first.chunks / first.seconds), abs=0.1)
    assert told.basis.startswith("index docs (no vectors) on ")
    assert nothing is not None
    assert nothing.passages == 0


def test_a_new_index_is_judged_by_one_beside_it_that_has_the_same_kind_of_embedder(
    tmp_path: Path,
) -> None:
    docs, others = write_notes(tmp_path / "docs", 4), write_notes(tmp_path / "others", 1)
    with Pipeline(tmp_path / "indexes/docs", embedder=HashEmbedder()) as rag:
        made = rag.index(docs)
    (tmp_path / "indexes/broken").mkdir()
    (tmp_path / "indexes/broken/catalog.db").write_bytes(b"no catalog")

    with Pipeline(tmp_path / "indexes/others") as rag:
        told = rag.index(others, dry_run=True).estimate
    with Pipeline(tmp_path / "indexes/others", WORDS) as rag:
        words = rag.index(others, dry_run=True).estimate

    assert told is not None
    assert told.basis.startswith("index docs (")
    assert told.basis.endswith(" passages/s")
    assert told.seconds == pytest.approx(told.passages / (made.embedded / made.seconds), abs=0.1)
    assert words == Estimate(told.passages)


def test_a_changed_file_counts_by_what_it_had_and_a_moved_one_costs_nothing(
    tmp_path: Path,
) -> None:
    docs = write_notes(tmp_path / "docs", 4)
    with Pipeline(tmp_path / "indexes/docs", WORDS) as rag:
        rag.index(docs)
        before = {d.path: d.chunks for d in rag.documents()}
        (docs / "0.txt").rename(docs / "zero.txt")
        text = (docs / "1.txt").read_text("utf-8")
        (docs / "1.txt").write_text(text + "\n\n" + text.replace("Locker", "Cellar"), "utf-8")
        told = rag.index(docs, dry_run=True)

    assert told.moved == ("zero.txt",)
    assert told.changed == ("1.txt",)
    assert told.estimate is not None
    assert told.estimate.passages == pytest.approx(2 * before["1.txt"], abs=1)
