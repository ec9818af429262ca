"""Sentences' vectors stay beside the index for other processes, and no longer than their texts."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from store_factory import DIM, doc_id_of, ingest, new_store, vectors_of

from ragkit.store.local import sentence_file
from ragkit.store.local.disk import locks
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.protocols import Vectors
    from ragkit.store.local.store import LocalStore

TEXTS = [f"Sentence number {i}." for i in range(4)]
KEYS = [bytes([i]) * 32 for i in range(4)]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    made = new_store(tmp_path / "index")
    ingest(made, {"a.txt": TEXTS, "b.txt": ["other"]})
    return made


def sources(store: LocalStore, path: str = "a.txt") -> dict[str, str]:
    return {d.doc_id: d.file_sha256 for d in store.documents() if d.path == path}


def vectors() -> dict[bytes, Vectors]:
    return dict(zip(KEYS, vectors_of(TEXTS), strict=True))


def kept(store: LocalStore) -> dict[bytes, Vectors]:
    with closing(open_store(store.location)) as another:
        return dict(another.sentence_vectors(KEYS))


def test_what_is_kept_is_found_by_others_as_it_was_and_makes_no_commit(store: LocalStore) -> None:
    before = store.commits(), store.generation(), (store.path / "catalog.db").read_bytes()
    with store.writing("index"):  # whose lock is not asked for
        store.keep_sentence_vectors(vectors(), sources(store))
    found = kept(store)
    assert set(found) == set(KEYS)
    for key, vector in vectors().items():
        np.testing.assert_array_equal(found[key], vector)
    assert store.sentence_vectors([b"?" * 32]) == {}
    assert (store.commits(), store.generation()) == before[:2]
    assert (store.path / "catalog.db").read_bytes() == before[2]


def test_nothing_is_kept_of_a_version_that_is_not_the_living_one(store: LocalStore) -> None:
    old = sources(store)
    ingest(store, {"a.txt": ["new"]})
    store.keep_sentence_vectors(vectors(), old | sources(store, "b.txt"))
    store.keep_sentence_vectors(vectors(), {"0" * 32: "0" * 64})
    assert kept(store) == {}


@pytest.mark.parametrize("how", ["erase", "compact", "rebuild"])
def test_vectors_go_with_the_texts_that_they_were_made_from(store: LocalStore, how: str) -> None:
    old = sources(store)
    store.keep_sentence_vectors(vectors(), old)
    if how == "erase":
        store.erase([doc_id_of("a.txt")], "remove --erase a.txt")
    elif how == "compact":
        store.compact()
    else:
        with store.rebuilding(embedder=store.embedder, splitter=store.splitter) as new:
            ingest(new, {"b.txt": ["other"]})
    assert (store.path / "sentences.f32").read_bytes() == b""
    if how != "compact":
        store.keep_sentence_vectors(vectors(), old)  # by one who still holds the text
        assert kept(store) == {}


def test_an_erasure_is_not_done_while_a_process_holds_the_file(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentence_file, "_EMPTY_WAIT_S", 0.0)
    store.keep_sentence_vectors(vectors(), sources(store))
    fd = os.open(store.path / "sentences.f32", os.O_RDWR)
    assert locks(fd, wait_s=0.0)
    assert not store.erase([doc_id_of("a.txt")], "remove --erase a.txt").is_complete
    os.close(fd)
    assert len(kept(store)) == len(KEYS)
    assert store.erase([], "remove --erase").is_complete
    assert kept(store) == {}


def test_while_another_process_keeps_some_nothing_is_kept(store: LocalStore) -> None:
    fd = os.open(store.path / "sentences.f32", os.O_RDWR | os.O_CREAT)
    assert locks(fd, wait_s=0.0)
    store.keep_sentence_vectors(vectors(), sources(store))
    os.close(fd)
    assert kept(store) == {}


def test_an_index_that_cannot_be_written_keeps_none_and_says_nothing(store: LocalStore) -> None:
    (store.path / "sentences.f32").mkdir()
    store.keep_sentence_vectors(vectors(), sources(store))
    assert store.sentence_vectors(KEYS) == {}


def test_damaged_and_torn_records_are_not_there(store: LocalStore) -> None:
    store.keep_sentence_vectors(vectors(), sources(store))
    file = store.path / "sentences.f32"
    data = file.read_bytes()
    size = 32 + 4 * DIM + 4
    assert len(data) == 4 * size
    file.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:-1])
    assert set(kept(store)) == set(KEYS[1:3])
    store.keep_sentence_vectors(vectors(), sources(store))
    assert sorted(kept(store)) == KEYS
    assert len(file.read_bytes()) == 4 * size


def test_a_full_file_loses_its_older_half(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentence_file, "MOST_SENTENCES", 2)
    for key, vector in vectors().items():
        store.keep_sentence_vectors({key: vector}, sources(store))
    assert sorted(kept(store)) == KEYS[2:]
