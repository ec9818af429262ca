"""A large run leaves the keyword index in few parts, and questions find what they found."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from store_factory import keyword, new_store, put

from ragkit.store.local import keyword_parts
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.store.local.store import LocalStore

WORDS = ("apple", "birch", "cedar", "daisy", "elder", "ferns", "gorse")
COMMITS, CHUNKS = 7, 4


def written(folder: Path, commits: int = COMMITS) -> LocalStore:
    """An index that was written in one run with so many commits of `CHUNKS` chunks."""
    store = new_store(folder)
    with store.writing("index") as run:
        for i in range(commits):
            texts = [f"{WORDS[i]} {WORDS[(i + n) % 7]} number{i} shared" for n in range(CHUNKS)]
            put(run, f"{i}.txt", texts)
            run.commit()
    return store


def parts(store: LocalStore) -> int:
    """How many parts the keyword index has, by FTS5's own table of their first terms."""
    with closing(sqlite3.connect(store.path / "catalog.db")) as catalog:
        found = catalog.execute("SELECT count(DISTINCT segid) FROM keywords_1_idx").fetchone()
    return int(found[0])


def test_a_large_run_ends_by_merging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = written(tmp_path / "plain")
    assert parts(plain) == COMMITS
    monkeypatch.setattr(keyword_parts, "LARGE_RUN", COMMITS * CHUNKS)
    assert parts(written(tmp_path / "smaller", COMMITS - 1)) == COMMITS - 1
    merged = written(tmp_path / "merged")
    assert parts(merged) == 1
    questions = ("apple", "birch cedar", "shared number3", "gorse elder daisy", "nowhere")
    for question in questions:
        found, expected = keyword(merged, question, 30), keyword(plain, question, 30)
        assert [(hit.chunk_id, hit.ranks) for hit in found] == [
            (hit.chunk_id, hit.ranks) for hit in expected
        ]
    assert check_index(merged.path, keywords=True) == []
    assert [run["state"] for run in merged.runs()] == ["closed"]


def test_merging_takes_as_many_commits_as_its_pages_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyword_parts, "LARGE_RUN", COMMITS * CHUNKS)
    assert written(tmp_path / "once").commits() == COMMITS + 2  # its end, and one that merges
    monkeypatch.setattr(keyword_parts, "CHUNKS_A_PAGE", CHUNKS * COMMITS + 1)
    none = written(tmp_path / "none")
    assert (none.commits(), parts(none)) == (COMMITS + 1, COMMITS)


def test_a_run_is_kept_whose_keywords_could_not_be_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> bool:
        msg = "database or disk is full"
        raise sqlite3.OperationalError(msg)

    monkeypatch.setattr(keyword_parts, "LARGE_RUN", 1)
    monkeypatch.setattr(keyword_parts, "merge_some", fails)
    store = written(tmp_path / "index")
    assert "the keyword index was not merged" in caplog.text
    assert [run["state"] for run in store.runs()] == ["closed"]
    assert len(keyword(store, "shared", 30)) == COMMITS * CHUNKS
    assert check_index(store.path) == []
