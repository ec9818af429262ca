"""What is derived is made anew, without a model, and says what it was before."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files
from plain_reader import edit
from store_factory import dense, ingest, key_of, keyword, new_store, vector_of

from ragkit.errors import IndexLockedError
from ragkit.store.local import disk, keyword_check
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.records import Hit

SIZES = SegmentSizes(rows=40, coded=16)
TEXTS = [f"text {i} über 灯塔" for i in range(30)]
QUESTIONS = ["text 7", "uber", "灯塔", "29"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = new_store(tmp_path_factory.mktemp("sound") / "index", sizes=SIZES)
    ingest(store, {"a.txt": TEXTS, "b.txt": ["old"]})
    ingest(store, {"b.txt": ["beta", "gamma"]})
    store.close()
    return store.path


@pytest.fixture
def index(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "index")


def answers(index: Path) -> list[list[Hit]]:
    with closing(LocalStore(index, sizes=SIZES)) as store:
        return [keyword(store, q, 40) for q in QUESTIONS] + [
            dense(store, vector_of(q), 40) for q in QUESTIONS
        ]


DAMAGE = {
    "keywords": "INSERT INTO keywords_1 (keywords_1) VALUES ('delete-all')",
    "fields": "INSERT INTO fields VALUES ('author', 'Chen', 1)",
    "alive-bits": "UPDATE segments SET alive = x'ff'",
}


@pytest.mark.parametrize("invariant", [*DAMAGE, "codes", "orphans"])
def test_each_derived_thing_is_made_anew(index: Path, invariant: str) -> None:
    before = answers(index)
    codes = index / "vectors/00000001.rbq"
    if invariant == "codes":
        codes.write_bytes(bytes(codes.stat().st_size))
    elif invariant == "orphans":
        (index / "vectors/00000077.f16").write_bytes(b"x")
    else:
        edit(index, DAMAGE[invariant])
    broken = check_index(index)
    assert {p.invariant for p in broken} == {invariant}

    with closing(LocalStore(index)) as store:
        assert store.repair() == broken

    assert check_index(index, keywords=True) == []
    assert answers(index) == before
    with closing(LocalStore(index)) as store:
        assert store.repair() == []


def test_what_cannot_be_made_anew_is_not_said_to_be(index: Path) -> None:
    edit(index, "UPDATE segments SET rows = -5")
    broken = check_index(index)
    assert "catalog" in {one.invariant for one in broken}

    with closing(LocalStore(index)) as store:
        assert store.repair() == []

    assert check_index(index) == broken


@pytest.mark.parametrize("column", ["key", "vector"])
def test_a_cached_vector_whose_entry_was_changed_counts_as_absent(
    tmp_path: Path, column: str
) -> None:
    index = tmp_path / "index"
    with closing(new_store(index)) as store:
        ingest(store, {"a.txt": ["one", "two"]})
    other = "vector = (1 << 32) + 1" if column == "vector" else "key = x'00'"
    edit(index, f"UPDATE embedding_cache SET {other} WHERE key = x'{key_of('one').hex()}'")  # noqa: S608 -- ours

    assert [(p.invariant, p.severity) for p in check_index(index)] == [("cache-rows", "should")]
    with closing(LocalStore(index)) as store:
        assert set(store.vectors([key_of("one"), key_of("two")])) == {key_of("two")}
        ingest(store, {"b.txt": ["one"]})  # its text is embedded again
        assert store.vectors([key_of("one")])[key_of("one")] == pytest.approx(
            vector_of("one"), abs=1e-3
        )
        left = [] if column == "vector" else ["cache-rows"]  # the other was written over
        assert [p.invariant for p in store.repair()] == left
        assert set(store.vectors([key_of("one"), key_of("two")])) == {key_of("one"), key_of("two")}
    assert check_index(index) == []


TAKEN = (
    "INSERT INTO keywords_1 (keywords_1, rowid, heading, body) "
    "VALUES ('delete', 3, 'Part a.txt', 'text 2 uber 灯塔 塔')"
)
WORDS = {
    "a word too many": "INSERT INTO keywords_1 (rowid, heading, body) VALUES (3, '', 'surplus')",
    "another word": TAKEN + "; INSERT INTO keywords_1 (rowid, heading, body) "
    "VALUES (3, 'Part a.txt', 'surplus 2 uber 灯塔 塔')",
    "a wrong length": "UPDATE keywords_1_docsize SET sz = x'0105' WHERE id = 4",
    "wrong statistics": "UPDATE keywords_1_data SET block = x'210505' WHERE id = 1",
}


@pytest.mark.parametrize("what", WORDS)
@pytest.mark.parametrize("sampled", [False, True])
def test_keywords_that_are_not_those_of_the_texts_are_found(
    index: Path, what: str, *, sampled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sampled:
        monkeypatch.setattr(keyword_check, "SAMPLED_FROM", 5)
    for statement in WORDS[what].split("; "):
        edit(index, statement)
    if sampled and what == "wrong statistics":  # the sum of all is left to --keywords
        assert keyword_check.wrong_keywords(index, 1, sampled=False)
        return
    found = check_index(index)
    assert [(p.invariant, p.severity, p.repair) for p in found] == [
        ("keywords", "should", "`ragkit check --repair`")
    ]


def test_texts_are_compared_some_at_a_time(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyword_check, "_BATCH_CHUNKS", 7)
    assert check_index(index, keywords=True) == []
    for statement in WORDS["another word"].split("; "):
        edit(index, statement)
    (problem,) = check_index(index, keywords=True)
    assert "the words of the texts and those stored differ, in 2 of 65536 groups" in problem.detail


def test_an_index_that_is_being_written_is_not_repaired(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "WRITER_WAIT_S", 0.1)
    with (
        closing(LocalStore(index)) as store,
        LocalStore(index).writing("index"),
        pytest.raises(IndexLockedError, match="is being written by process"),
    ):
        store.repair()


def test_the_command_says_what_it_repaired(tmp_path: Path) -> None:
    write_files(tmp_path / "docs", {"a.txt": "The lighthouse keeper.\n"})
    shell = Shell(tmp_path)
    index = tmp_path / "indexes/docs"
    store = new_store(index)
    ingest(store, {"a.txt": ["The lighthouse keeper."]})
    store.close()
    edit(index, DAMAGE["keywords"])

    assert "`ragkit check --repair`" in shell("check").out
    told = shell("check", "--repair", "--keywords").out
    assert told.startswith("repaired: keywords: ")
    assert told.endswith("every invariant holds\n")
    assert shell("check", "--repair", "--json").json == {"repaired": [], "problems": []}
    assert "--quick" in shell("check", "--quick", "--repair", code=2).err
