"""What was erased is nowhere in the bytes of the index's folder; what was killed is finished."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from store_factory import (
    dense,
    doc_id_of,
    ingest,
    key_of,
    keyword,
    new_store,
    put,
    vector_of,
    vectors_of,
)

from ragkit.store.local import erasure
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.store.local.store import LocalStore

SECRETS = [f"Zanzibarquery{i} guards xylophonist number {i}." for i in range(6)]
WORDS = [b"anzibarquer", b"xylophonist", b"xylophon"]  # as written, and as the keywords stem it
SIZES = SegmentSizes(rows=64, coded=32)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A secret document was changed twice; its first version was compacted away."""
    made = new_store(tmp_path / "index", sizes=SIZES)
    for run in range(3):
        with made.writing("index") as writer:
            put(writer, "secret.txt", SECRETS[run : run + 4])
            for i in range(20):
                put(writer, f"{i}.txt", [f"plain {i} {run}", f"other {i} {run}", f"third {i}"])
            writer.retain(last=2, days=0)
    made.compact()
    return made


def bytes_of(folder: Path) -> bytes:
    return b"\0".join(f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file())


def rows_of(texts: list[str]) -> list[bytes]:
    return [row.tobytes() for row in vectors_of(texts).astype("<f2")]


def found_in(folder: Path) -> list[bytes]:
    held = bytes_of(folder)
    return [what for what in [*WORDS, *rows_of(SECRETS), *map(key_of, SECRETS)] if what in held]


def test_what_was_erased_is_in_no_byte_of_the_folder(store: LocalStore) -> None:
    held = bytes_of(store.path)
    assert all(word in held for word in WORDS)
    assert all(row in held for row in rows_of(SECRETS[2:]))
    before = {h.text: h.score for h in dense(store, vector_of("q"), 99)}

    erased = store.erase([doc_id_of("secret.txt")], "remove --erase secret.txt")

    assert (erased.documents, erased.versions, erased.is_complete) == (("secret.txt",), 2, True)
    assert found_in(store.path) == []
    after = {h.text: h.score for h in dense(store, vector_of("q"), 99)}
    assert after == {text: score for text, score in before.items() if text not in SECRETS}
    assert keyword(store, "xylophonist") == []
    assert check_index(store.path) == []


@pytest.mark.parametrize("step", ["finish_erasing", "Compactor", "end_log"])
def test_an_erasure_that_was_ended_is_finished_by_the_next_compaction(
    store: LocalStore, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erasure, step, fail)
        with pytest.raises(KeyboardInterrupt):
            store.erase([doc_id_of("secret.txt")], "remove --erase secret.txt")
    assert keyword(store, "xylophonist") == []
    assert check_index(store.path) == []
    store.compact()
    assert found_in(store.path) == []


def test_a_reader_of_an_older_state_is_told_and_the_next_compaction_finishes(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "BUSY_MS", 50)
    with closing(sqlite3.connect(store.path / "catalog.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        erased = store.erase([doc_id_of("secret.txt")], "remove --erase secret.txt")
        assert not erased.is_complete
        assert keyword(store, "xylophonist") == []
        reader.execute("COMMIT")
    store.compact()
    assert found_in(store.path) == []


def test_a_text_that_another_document_has_stays_there(store: LocalStore) -> None:
    ingest(store, {"copy.txt": [SECRETS[3], "more"]})
    store.erase([doc_id_of("secret.txt")], "remove --erase secret.txt")
    assert [h.path for h in keyword(store, "xylophonist")] == ["copy.txt"]
    assert store.vectors(list(map(key_of, SECRETS))).keys() == {key_of(SECRETS[3])}
    assert check_index(store.path) == []


def test_rows_that_a_killed_writer_left_behind_are_cut_off(store: LocalStore) -> None:
    file = max((store.path / "vectors").glob("*.f16"))
    with file.open("ab") as tail:
        tail.write(rows_of(["left behind"])[0])
    store.erase([doc_id_of("secret.txt")], "remove --erase secret.txt")
    assert rows_of(["left behind"])[0] not in bytes_of(store.path)
