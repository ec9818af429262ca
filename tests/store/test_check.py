"""A damaged index: a search that reaches the damage says so, and `check` names the invariant."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from plain_reader import edit
from store_factory import (
    dense,
    doc_id_of,
    ingest,
    keyword,
    new_store,
    put,
    vector_of,
    vectors_of,
)

from ragkit.errors import FormatVersionError, IndexCorruptError, IndexNotFoundError, StoreError
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from pathlib import Path

SIZES = SegmentSizes(rows=40, coded=16)
TEXTS = [f"text {i}" for i in range(30)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound index of two segments, both with codes, with a removed and a replaced document."""
    store = new_store(tmp_path_factory.mktemp("sound") / "index", sizes=SIZES)
    ingest(store, {"gone.txt": ["gone"], "a.txt": TEXTS, "b.txt": ["old", "text 3"]})
    with store.writing("index") as writer:
        put(writer, "b.txt", [f"beta {i}" for i in range(25)])
        writer.remove([doc_id_of("gone.txt")])
    store.close()
    assert check_index(store.path) == []
    return store.path


@pytest.fixture
def index(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound index, to be damaged."""
    return shutil.copytree(sound, tmp_path / "index")


def found(index: Path, *, quick: bool = False) -> list[tuple[str, str]]:
    """What is broken: invariants and severities."""
    return [(p.invariant, p.severity) for p in check_index(index, quick=quick)]


def flip(file: Path, offset: int) -> None:
    """Change one bit of a file."""
    data = bytearray(file.read_bytes())
    data[offset] ^= 4
    file.write_bytes(data)


def test_a_flipped_bit_in_a_row_is_an_error_of_the_search_that_reaches_it(index: Path) -> None:
    row = 7  # the 7th of segment 1: "text 6", behind "gone"
    flip(index / "vectors" / "00000001.f16", row * 32 + 3)
    store = LocalStore(index)
    with pytest.raises(IndexCorruptError, match=r"row-checksum .* segment 1, row 7;") as caught:
        dense(store, vector_of("text 6"), 1)
    assert caught.value.path == index
    assert keyword(store, "beta 3", 1)[0].text == "beta 3"
    assert found(index) == [("row-checksum", "must"), ("lists", "should")]
    assert "1 rows, the first is row 7" in check_index(index)[0].detail
    assert found(index, quick=True) == []


def test_the_writer_does_not_copy_a_damaged_row(index: Path) -> None:
    flip(index / "vectors" / "00000001.f16", 7 * 32 + 3)
    store = LocalStore(index)
    with pytest.raises(IndexCorruptError, match="row-checksum"):
        ingest(store, {"c.txt": ["text 6"]})


def test_an_edited_text_is_never_served(index: Path) -> None:
    edit(index, "UPDATE chunks SET text = 'text 5, edited' WHERE text = 'text 5'")
    store = LocalStore(index)
    with pytest.raises(IndexCorruptError, match=r"chunk-row is broken: .* a\.txt"):
        dense(store, vector_of("text 5"), 1)
    with pytest.raises(IndexCorruptError, match=r"chunk-row is broken: .* a\.txt"):
        keyword(store, "5", 9)
    assert dense(store, vector_of("beta 1"), 1)[0].text == "beta 1"
    assert found(index) == [("chunk-row", "must"), ("keywords", "should")]


def test_a_text_that_is_no_longer_utf_8_is_never_served(index: Path) -> None:
    edit(index, "UPDATE chunks SET text = CAST(x'74ff' AS TEXT) WHERE text = 'text 5'")
    with pytest.raises(IndexCorruptError, match="decode"):
        dense(LocalStore(index), vector_of("text 5"), 1)
    assert ("catalog", "must") in found(index)


def test_a_truncated_vector_file_is_refused_by_reader_and_writer(index: Path) -> None:
    file = index / "vectors" / "00000002.f16"
    file.write_bytes(file.read_bytes()[:-1])
    store = LocalStore(index)
    with pytest.raises(IndexCorruptError, match="rows-exist"):
        dense(store, vector_of("q"))
    file.write_bytes(file.read_bytes()[:-64])
    with pytest.raises(IndexCorruptError, match="rows-exist"):
        ingest(store, {"c.txt": ["c"]})
    assert found(index) == [("rows-exist", "must")]
    assert found(index, quick=True) == [("rows-exist", "must")]


def test_a_missing_vector_file_is_refused(index: Path) -> None:
    (index / "vectors" / "00000001.f16").unlink()
    with pytest.raises(IndexCorruptError, match="rows-exist"):
        dense(LocalStore(index), vector_of("q"))
    assert found(index, quick=True) == [("rows-exist", "must")]


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_codes_that_are_gone_are_made_again_in_memory_and_by_the_next_write(
    index: Path, damage: str
) -> None:
    before = [dense(LocalStore(index), vector_of(f"q{i}"), 9) for i in range(5)]
    codes = index / "vectors" / "00000002.rbq"
    whole = codes.read_bytes()
    if damage == "missing":
        codes.unlink()
    else:
        codes.write_bytes(whole[:-25])
    assert [dense(LocalStore(index), vector_of(f"q{i}"), 9) for i in range(5)] == before
    assert found(index) == [("codes", "should")]
    ingest(LocalStore(index, sizes=SIZES), {"new.txt": ["new"]})
    assert codes.read_bytes()[: len(whole)] == whole
    assert found(index) == []


def test_wrong_codes_are_named(index: Path) -> None:
    flip(index / "vectors" / "00000002.rbq", 0)
    assert found(index) == [("codes", "should")]


DAMAGE = {
    "one-version": "DROP INDEX documents_living; UPDATE documents SET died = NULL",
    "row-checksum": "DELETE FROM vectors WHERE id = (1 << 32) + 5; UPDATE head SET commits = 99",
    "vector-owner": "UPDATE vectors SET chunk = chunk + 1 WHERE chunk IN (8, 10)",
    "chunk-row": "UPDATE chunks SET char_start = char_start + 1 WHERE ordinal = 4",
    "alive-bits": "UPDATE segments SET alive = x'ff' WHERE id = 2",
    "cache-rows": "UPDATE embedding_cache SET vector = (9 << 32)",
    "keywords": "INSERT INTO keywords_1 (keywords_1) VALUES ('delete-all')",
    "document-row": "UPDATE documents SET title = 'another' WHERE path = 'a.txt'",
    "fields": "INSERT INTO fields VALUES ('author', 'Chen', 1)",
    "pending": "INSERT INTO pending VALUES (1, x'00')",
    "one-build": "UPDATE builds SET state = 'retired'",
    "commits": "UPDATE head SET commits = 0",
    "rows-exist": "INSERT INTO vectors VALUES ((7 << 32) + 1, 0, NULL)",
}  # fmt: skip


@pytest.mark.parametrize("invariant", DAMAGE)
def test_each_broken_invariant_of_the_catalog_is_named(index: Path, invariant: str) -> None:
    for statement in DAMAGE[invariant].split("; "):
        edit(index, statement)
    problems = check_index(index)
    assert invariant in {p.invariant for p in problems}
    severity = {p.severity for p in problems if p.invariant == invariant}
    assert severity == {"should" if invariant in {"keywords", "fields", "cache-rows"} else "must"}
    assert all(p.detail and p.repair for p in problems)


def test_a_row_that_the_catalog_does_not_name_is_an_error(index: Path) -> None:
    edit(index, "DELETE FROM vectors WHERE id = (1 << 32) + 5")
    with pytest.raises(IndexCorruptError, match="row-checksum"):
        dense(LocalStore(index), vector_of("text 4"))


def test_a_chunk_that_is_gone_is_an_error(index: Path) -> None:
    edit(index, "DELETE FROM chunks WHERE text = 'text 4'")
    with pytest.raises(IndexCorruptError, match="vector-owner"):
        dense(LocalStore(index), vector_of("text 4"))
    assert ("vector-owner", "must") in found(index)


def test_a_newer_format_is_refused(index: Path) -> None:
    edit(index, "PRAGMA user_version = 3")
    with pytest.raises(FormatVersionError, match="index format 3; this ragkit reads up to 2"):
        LocalStore(index)
    assert found(index) == [("version", "must")]


def test_a_database_of_something_else_is_refused(index: Path) -> None:
    edit(index, "PRAGMA application_id = 7")
    with pytest.raises(IndexCorruptError, match="not a ragkit index"):
        LocalStore(index)


@pytest.mark.parametrize(
    "content", [b"", b"garbage " * 1000, bytes(8192)], ids=["empty", "garbage", "zeros"]
)
def test_a_catalog_that_is_no_database_is_corrupt(index: Path, content: bytes) -> None:
    (index / "catalog.db").write_bytes(content)
    with pytest.raises(IndexCorruptError):
        LocalStore(index)
    assert found(index) == [("catalog", "must")]


def test_damage_within_the_catalog_is_found(index: Path) -> None:
    file = index / "catalog.db"
    data = bytearray(file.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 400] = b"\xff" * 400
    file.write_bytes(data)
    with pytest.raises(StoreError):
        dense(LocalStore(index), vector_of("q"))
    assert ("catalog", "must") in found(index)
    assert ("catalog", "must") in found(index, quick=True)


@pytest.mark.parametrize(
    ("statement", "lost"),
    [
        ("DROP TABLE pages", "table pages"),
        ("ALTER TABLE documents RENAME COLUMN stale TO old", "column documents.stale"),
    ],
)
def test_a_catalog_that_lacks_a_table_or_a_column_is_found(
    index: Path, statement: str, lost: str
) -> None:
    edit(index, statement)
    for quick in (False, True):
        (violation,) = check_index(index, quick=quick)
        assert (violation.invariant, violation.severity) == ("catalog", "must")
        assert violation.detail == f"it lacks the {lost}"


def test_check_of_no_index_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError):
        check_index(tmp_path)


def test_check_changes_no_byte(index: Path) -> None:
    before = {p: p.read_bytes() for p in index.rglob("*") if p.is_file()}
    check_index(index)
    assert {p: p.read_bytes() for p in index.rglob("*") if p.is_file()} == before


def test_check_while_a_writer_is_between_two_commits_finds_nothing(index: Path) -> None:
    with LocalStore(index, sizes=SIZES).writing("index") as writer:
        put(writer, "c.txt", ["committed"])
        writer.commit()
        put(writer, "d.txt", ["not yet"], vectors=vectors_of(["not yet"]))
        writer._segments.flush()
        assert check_index(index) == []
