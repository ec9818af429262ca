"""Files of which something was left unread are read again when there is more to read them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import make_files
import pytest
from commands import write_files
from office_files import archive

from ragkit import Config, Format, Parsed, Pipeline
from ragkit.config import LoadSettings
from ragkit.ingest.load import Formats, reader_set
from ragkit.records import Page

if TYPE_CHECKING:
    from pathlib import Path

WORDS = Config().with_values({"models.embedder": "none"})


def blank(_data: bytes, _name: str) -> Parsed:
    """Two pages, the second without text."""
    return Parsed("first", "", None, (Page(1, 0, 5), Page(2, 5, 5)))


def whole(_data: bytes, _name: str) -> Parsed:
    """Two pages with text."""
    return Parsed("first second", "", None, (Page(1, 0, 5), Page(2, 5, 12)))


def test_a_scan_is_read_again_when_there_is_another_reader(tmp_path: Path) -> None:
    files = {"a.scan": "x", "b.md": "typed"}
    docs = write_files(tmp_path / "docs", files)
    with Pipeline(tmp_path / "index", WORDS, readers=[Format("scan", (".scan",), blank)]) as rag:
        rag.index(docs)
        assert rag.index(docs).unchanged == ("a.scan", "b.md")
        assert next(iter(rag.documents())).reading.keys() == {"readers"}
    scans = Format("scan", (".scan", ".page"), whole)
    with Pipeline(tmp_path / "index", WORDS, readers=[scans]) as rag:
        report = rag.index(docs)
        assert (report.changed, report.unchanged) == (("a.scan",), ("b.md",))
        assert [hit.path for hit in rag.search("second")] == ["a.scan"]
        assert [document.reading for document in rag.documents()] == [{}, {}]
    with Pipeline(tmp_path / "index", WORDS, readers=[Format("scan", (".scan",), blank)]) as rag:
        assert rag.index(docs).unchanged == ("a.scan", "b.md")  # it was whole


def test_a_file_in_an_archive_that_was_left_unread_is_tried_again(tmp_path: Path) -> None:
    inner: dict[str, str | bytes] = {
        "good.md": "# Good",
        "later.nts": "the tide table",
        "scan.pdf": make_files.pdf([""]),
    }
    docs = write_files(tmp_path / "docs", {"a.zip": archive(inner)})
    config = WORDS.with_values({"load.archives": "true"})
    with Pipeline(tmp_path / "index", config) as rag:
        first = rag.index(docs)
        assert [o.path for o in first.skipped] == ["a.zip!/later.nts"]
        assert rag.index(docs).unchanged == ("a.zip", "a.zip!/good.md", "a.zip!/scan.pdf")

    def notes(data: bytes, _name: str) -> Parsed:
        return Parsed(data.decode())

    with Pipeline(tmp_path / "index", config, readers=[Format("notes", (".nts",), notes)]) as rag:
        report = rag.index(docs)
        assert report.added == ("a.zip!/later.nts",)
        assert report.changed == ("a.zip", "a.zip!/scan.pdf")
        assert rag.index(docs).changed == ()


@pytest.mark.parametrize(
    "change",
    [{"archives": True}, {"ocr": False}, {"max_file_mb": 200.0}, {"parse_memory_mb": 4096}],
)
def test_settings_that_bound_readers_count(change: dict[str, float]) -> None:
    plain = reader_set.reader_set(LoadSettings(), Formats())
    assert len(plain) == 16
    assert reader_set.reader_set(LoadSettings(), Formats()) == plain
    assert reader_set.reader_set(LoadSettings(**change), Formats()) != plain  # type: ignore[arg-type]


def test_versions_and_passwords_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = reader_set.reader_set(LoadSettings(), Formats())
    passwords = tmp_path / "passwords"
    settings = LoadSettings(password_file=str(passwords))
    missing = reader_set.reader_set(settings, Formats())
    passwords.write_text("secret\n")
    given = reader_set.reader_set(settings, Formats())
    assert len({plain, missing, given}) == 3
    monkeypatch.setattr(reader_set, "_version", lambda name: "99" if name == "pypdf" else None)
    assert reader_set.reader_set(LoadSettings(), Formats()) != plain
