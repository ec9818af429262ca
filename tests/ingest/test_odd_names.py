"""Names and times of files that no index could hold: none of them ends a run, or is lost in it."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unicodedata import normalize

import pytest
from commands import write_files

from ragkit.config import Config
from ragkit.errors import InputError, LoadError, StoreError
from ragkit.ingest.load.formats import Format, Parsed
from ragkit.pipeline import Pipeline
from ragkit.records import PROGRAM_ROOT, SourceRules
from ragkit.store.local.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ODD = os.fsdecode(b"caf\xe9")
FAR_NS = 15_000_000_000_000_000_000  # the year 2445, which 64 bits of nanoseconds do not reach

needs_bytes = pytest.mark.skipif(sys.platform != "linux", reason="its names are UTF-8")


@pytest.fixture
def rag(tmp_path: Path) -> Iterator[Pipeline]:
    """An index that will be made of words alone."""
    with Pipeline(tmp_path / "index", Config().with_values({"models.embedder": "none"})) as made:
        yield made


def known(rag: Pipeline) -> list[str]:
    """The places of all documents."""
    return sorted(f"{d.root}/{d.path}" for d in rag.documents())


@needs_bytes
def test_a_name_that_is_spelt_as_another_one_is_told_and_ends_no_run(
    rag: Pipeline, tmp_path: Path
) -> None:
    docs = write_files(
        tmp_path / "docs", {f"{ODD}.txt": "Bytes.", "caf\\xe9.txt": "Letters.", "b.txt": "Other."}
    )

    report = rag.index(docs)

    assert report.added == ("b.txt", "caf\\xe9.txt")
    (left_out,) = report.skipped
    assert left_out.path == "caf\\udce9.txt"
    assert "or with bytes that are no UTF-8 as \\xNN: rename one" in left_out.reason
    assert [hit.text for hit in rag.search("letters")] == ["Letters."]
    assert rag.index(docs).skipped == report.skipped


@needs_bytes
def test_a_folder_that_no_index_can_name_is_refused_and_read_through_a_link(
    rag: Pipeline, tmp_path: Path
) -> None:
    docs = write_files(tmp_path / ODD, {"a.txt": "The warden's key.", f"sub/{ODD}.txt": "Below."})

    with pytest.raises(LoadError, match=r"caf\\xe9: its path has bytes that are no UTF-8"):
        rag.index(docs)
    assert not rag.exists
    link = tmp_path / "cafe"
    link.symlink_to(docs)
    assert rag.index(link).added == ("a.txt", "sub/caf\\xe9.txt")
    with pytest.raises(LoadError, match="bytes that are no UTF-8"):
        rag.move(tmp_path / "gone", docs)
    assert rag.remove(link / f"sub/{ODD}.txt") == ("sub/caf\\xe9.txt",)
    assert [run.command for run in rag.log(1)] == [f"remove {link}/sub/caf\\xe9.txt"]


@needs_bytes
def test_an_index_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    path = tmp_path / ODD
    made = {"chunk_tokens": 200, "overlap_tokens": 30}
    with closing(LocalStore.create(path, embedder={}, splitter=made)) as store:
        with store.writing("index"):
            pass
        assert store.backup(tmp_path / "backup.tar") > 0
    with closing(LocalStore(path)) as store:
        assert store.documents() == []


def test_a_time_beyond_what_an_index_holds_is_the_last_that_it_does(
    rag: Pipeline, tmp_path: Path
) -> None:
    docs = write_files(tmp_path / "docs", {"far.txt": "From a wrong clock.", "near.txt": "Now."})
    os.utime(docs / "far.txt", ns=(FAR_NS, FAR_NS))
    if (docs / "far.txt").stat().st_mtime_ns != FAR_NS:
        pytest.skip("this file system keeps no such time")

    assert rag.index(docs).added == ("far.txt", "near.txt")
    times = {d.path: d.mtime_ns for d in rag.documents()}
    assert times == {"far.txt": 2**63 - 1, "near.txt": (docs / "near.txt").stat().st_mtime_ns}
    assert rag.index(docs).unchanged == ("far.txt", "near.txt")
    assert [hit.text for hit in rag.search("clock")] == ["From a wrong clock."]


@pytest.mark.parametrize("year", ["1600", "2300"])
def test_a_text_of_a_program_with_such_a_time_is_refused(rag: Pipeline, year: str) -> None:
    with pytest.raises(InputError, match="'modified' lies between 1678 and 2262"):
        rag.add("A text.", metadata={"modified": f"{year}-01-01"})
    assert not rag.exists


def test_a_moment_at_an_end_of_the_calendar_is_before_or_after_all(
    rag: Pipeline, tmp_path: Path
) -> None:
    rag.index(write_files(tmp_path / "docs", {"a.txt": "Boats leave at seven."}))

    for first in (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)):
        with pytest.raises(StoreError, match=r"is as old as 0*1-01-0"):
            rag.search("boats", as_of=first)
    assert len(rag.search("boats", as_of=datetime(9999, 12, 31, tzinfo=UTC))) == 1
    for number in (99, 10**30):
        with pytest.raises(StoreError, match=rf"has no .* {number} to search"):
            rag.search("boats", as_of=number)
    assert [run.id for run in rag.log(10**30)] == [1]


def test_a_folder_that_is_named_by_a_link_is_the_same_folder(rag: Pipeline, tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"a.txt": "One.", "sub/b.txt": "Two."})
    link = tmp_path / "link"
    link.symlink_to(docs)
    rag.index(link)

    assert rag.index(docs).unchanged == ("a.txt", "sub/b.txt")
    assert rag.index(docs / "sub").unchanged == ("sub/b.txt",)
    (docs / "sub/b.txt").write_text("Three.")
    assert rag.index(docs / "sub/b.txt").changed == ("sub/b.txt",)
    assert known(rag) == [f"{link}/a.txt", f"{link}/sub/b.txt"]
    assert rag.remove(docs / "sub") == ("sub/b.txt",)
    assert rag.index().unchanged == ("a.txt",)
    assert rag.index(docs / "sub").added == ("sub/b.txt",)


def test_two_names_of_one_file_are_two_files(rag: Pipeline, tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"a.txt": "One."})
    os.link(docs / "a.txt", docs / "b.txt")

    rag.index(docs / "a.txt")
    rag.index(docs / "b.txt")

    assert known(rag) == [f"{docs}/a.txt", f"{docs}/b.txt"]


@needs_bytes
def test_decomposed_names_are_known_by_the_path_that_names_them(
    rag: Pipeline, tmp_path: Path
) -> None:
    """As they come from a Mac; documents have them composed."""
    name, folder = normalize("NFD", "café.txt"), normalize("NFD", "Übung")
    docs = write_files(tmp_path / "docs", {name: "One.", f"{folder}/a.txt": "Two.", "b.md": "3."})
    rag.index(docs)

    assert rag.remove(docs / name) == (normalize("NFC", name),)
    assert rag.remove(docs / folder) == (normalize("NFC", f"{folder}/a.txt"),)
    (docs / folder / "new.txt").write_text("Later.")
    assert rag.index().unchanged == ("b.md",)
    assert rag.index(docs / folder).added == tuple(
        normalize("NFC", f"{folder}/{file}") for file in ("a.txt", "new.txt")
    )
    rules = SourceRules(exclude=("n*",))
    assert rag.index(docs / folder, rules=rules).removed == (normalize("NFC", f"{folder}/new.txt"),)
    assert rag.index().skipped[-1].reason == "left out by --exclude"


@needs_bytes
def test_a_decomposed_file_that_was_indexed_alone_does_not_bring_its_folder_along(
    rag: Pipeline, tmp_path: Path
) -> None:
    name = normalize("NFD", "café.txt")
    docs = write_files(tmp_path / "docs", {name: "One.", "private.txt": "Two."})
    rag.index(docs / name)

    assert rag.index().added == ()
    assert known(rag) == [normalize("NFC", f"{docs}/{name}")]


@needs_bytes
def test_a_decomposed_file_can_be_accepted_as_it_is(rag: Pipeline, tmp_path: Path) -> None:
    name = normalize("NFD", "café.json")
    docs = write_files(tmp_path / "docs", {name: "{", "a.txt": "One."})
    assert [f.path for f in rag.index(docs).failed] == [normalize("NFC", name)]

    rag.accept(docs / name)
    assert rag.index().failed == ()
    rag.accept(docs / name, undo=True)
    assert len(rag.index().failed) == 1


def test_a_folder_that_is_called_as_what_lies_in_a_file_is_a_folder(
    rag: Pipeline, tmp_path: Path
) -> None:
    docs = write_files(tmp_path / "docs", {"v1.0!/a.txt": "One.", "v1.0!/b.md": "Two."})
    rules = SourceRules(include=("*.txt",))
    assert rag.index(docs, rules=rules).added == ("v1.0!/a.txt",)
    assert rag.index(docs).unchanged == ("v1.0!/a.txt",)
    assert rag.remove(docs / "v1.0!") == ("v1.0!/a.txt",)
    assert rag.index().added == ()


def test_texts_of_programs_have_no_file_to_be_mistaken_for(rag: Pipeline, tmp_path: Path) -> None:
    rag.add("A text.", id=normalize("NFD", "é"))
    rag.index(write_files(tmp_path / "docs", {"a.txt": "One."}))
    assert PROGRAM_ROOT in {d.root for d in rag.documents()}
    assert rag.remove(tmp_path) == ("a.txt",)
    assert rag.remove(normalize("NFD", "é")) == (normalize("NFC", "é"),)


def test_whatever_a_reader_says_of_a_file_is_kept(tmp_path: Path) -> None:
    def read(_data: bytes, name: str) -> Parsed:
        msg = "cannot be read: \ud800 stands in it"
        raise LoadError(msg, name)

    docs = write_files(tmp_path / "docs", {"a.nts": "Notes.", "b.txt": "Two."})
    notes = Format("notes", (".nts",), read)
    config = Config().with_values({"models.embedder": "none"})
    with Pipeline(tmp_path / "index", config, readers=[notes]) as rag:
        report = rag.index(docs)
        assert report.added == ("b.txt",)
        assert [f.reason for f in report.failed] == ["cannot be read: \ufffd stands in it"]
