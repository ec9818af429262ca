"""Indexes of every format version still open and answer the same."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from make_v1_index import DENSE, DIM, DOCUMENTS, INDEX, REPLACED, answers
from oracle import decode, exact_search
from plain_reader import edit, read_living
from store_factory import dense, ingest, vector_of

from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from pathlib import Path

LIVING = {path: texts for path, texts in (DOCUMENTS | REPLACED).items() if path != "old.pdf"}


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A copy of the committed index of format 1."""
    return shutil.copytree(INDEX, tmp_path / "v1")


def test_the_committed_index_is_small_and_names_no_machine() -> None:
    files = [f for f in INDEX.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 200_000
    assert sorted(f.name for f in files) == [
        "00000001.f16", "00000001.rbq", "00000002.f16", "catalog.db",
    ]  # fmt: skip


def test_format_1_opens_and_answers_as_it_did(v1: Path) -> None:
    store = LocalStore(v1)
    expected = json.loads(INDEX.with_suffix(".json").read_text("utf-8"))
    now = json.loads(json.dumps(answers(store)))
    assert now.keys() == expected.keys()
    for name, hits in expected.items():
        assert [hit[:3] for hit in now[name]] == [hit[:3] for hit in hits], name
        for hit, old in zip(now[name], hits, strict=True):
            assert hit[3:] == pytest.approx(old[3:], abs=1e-5)
    assert check_index(v1) == []


def test_format_1_answers_as_an_exact_search_over_its_rows(v1: Path) -> None:
    chunks = [chunk for part in read_living(v1).values() for chunk in part]
    rows = decode(np.stack([np.frombuffer(chunk.row, "<f2") for chunk in chunks]))
    store = LocalStore(v1)
    for question in DENSE:
        expected = exact_search(rows, vector_of(question, DIM), 6)
        hits = dense(store, vector_of(question, DIM), 6)
        assert [hit.text for hit in hits] == [chunks[i].text for i, _ in expected]
        assert [hit.score for hit in hits] == pytest.approx([s for _, s in expected], abs=1e-5)


def test_a_reader_written_from_the_page_finds_every_generation(v1: Path) -> None:
    def texts(as_of: int | None) -> dict[str, list[str]]:
        return {path: [c.text for c in part] for path, part in read_living(v1, as_of).items()}

    assert texts(1) == DOCUMENTS
    assert texts(2) == DOCUMENTS | REPLACED
    assert texts(3) == texts(None) == LIVING


def test_format_1_takes_more_documents(v1: Path) -> None:
    store = LocalStore(v1)
    assert ingest(store, {"new.txt": ["Something new.", "Notice must be in writing."]}) == 4
    assert dense(store, vector_of("Something new.", DIM), 1)[0].path == "new.txt"
    assert check_index(v1) == []


def test_the_catalog_is_what_the_page_says(v1: Path) -> None:
    edit(v1, "UPDATE head SET commits = commits")  # it can be written by any SQLite
    head = (v1 / "catalog.db").read_bytes()[:100]
    assert head[:16] == b"SQLite format 3\0"
    assert int.from_bytes(head[60:64], "big") == 1  # user_version
    assert head[68:72] == b"RAGB"  # application_id
