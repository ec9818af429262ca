"""What a reader found wrong with a file reaches its user: report, list, and why-not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import make_files
import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder, dense

from ragkit.records import FileOutcome, reading_notes

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = "text that nobody sees was left out in {}"
BROKEN = "page 2 cannot be read: "


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "docs",
        {
            "bytes.txt": "Leave is thirty days, 中文内容完整".encode() + b"\xff\n",
            "hidden.html": "<p>Seen.</p><p style='display:none'>No.</p><div hidden>No.</div>",
            "hidden.docx": make_files.docx(
                f"<w:p>{make_files.run('Seen.')}{make_files.run('No.', '<w:vanish/>')}</w:p>"
            ),
            "bytes.html": b"<meta charset=utf-8><p>Seen \xe4\xb8\xad\xe6\x96\x87\xff.</p>",
            "plan.pdf": make_files.pdf_with_broken_page("The plan begins."),
            "right.md": "# Right\n\nNothing is wrong here.\n",
            "scan.pdf": make_files.pdf(["A cover.", ""]),
        },
    )


def test_every_run_reports_what_readers_found_wrong(tmp_path: Path, docs: Path) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        first, again = rag.index(docs), rag.index(docs)
        documents = {d.path: d for d in rag.documents()}

    (broken,) = [note for note in first.notes if note.path == "plan.pdf"]
    assert broken.reason.startswith(BROKEN)
    undecoded = "1 character cannot be decoded and became U+FFFD"
    assert first.notes == (
        FileOutcome("bytes.html", undecoded),
        FileOutcome("bytes.txt", undecoded),
        FileOutcome("hidden.docx", HIDDEN.format("1 place")),
        FileOutcome("hidden.html", HIDDEN.format("2 places")),
        broken,
    )
    assert first.failed_pages == {"plan.pdf": (2,)}
    assert first.pages_without_text == {"plan.pdf": (2,), "scan.pdf": (2,)}
    assert again.unchanged == first.added
    assert (again.notes, again.failed_pages) == (first.notes, first.failed_pages)
    assert documents["plan.pdf"].failed_pages == (2,)
    assert documents["plan.pdf"].notes == (broken.reason,)
    assert documents["right.md"].notes == ()
    assert documents["scan.pdf"].failed_pages == ()


def test_commands_tell_a_page_that_failed_from_a_scan(tmp_path: Path, docs: Path) -> None:
    write_files(docs, {f"many/{n:02}.html": "<p>A</p><p hidden>B</p>" for n in range(30)})
    with dense(HashEmbedder(), tmp_path / "indexes/docs") as rag:
        rag.index(docs)
    shell = Shell(tmp_path)

    out = shell("index", "docs").out.splitlines()
    listed = {line.split("  (")[0].split()[-1]: line for line in shell("list").out.splitlines()}
    whole = shell("index", "docs", "--files").out.splitlines()
    ask = ("why-not", "What does it say?", "--mode", "keyword", "--expect")
    why, scan = (shell(*ask, place).out for place in ("plan.pdf:2", "scan.pdf:2"))

    assert [line for line in out if "no text on" in line] == ["  no text on scan.pdf: page 2"]
    noted = [line for line in out if line.startswith("  noted")]
    assert noted[0].startswith(f"  noted      plan.pdf: {BROKEN}")
    assert len(noted) == 21
    assert noted[-1] == "  noted      15 more; `ragkit list` has all"
    assert len([line for line in whole if line.startswith("  noted")]) == 35
    assert f"(2 pages, {BROKEN}" in listed["plan.pdf"]
    assert "without text" not in listed["plan.pdf"]
    assert listed["scan.pdf"].endswith("(2 pages, 1 without text)")
    assert listed["hidden.html"].endswith(f"({HIDDEN.format('2 places')})")
    assert f"page 2 could not be read; {BROKEN}" in why
    assert "needs OCR" not in why
    assert "needs OCR" in scan


def test_notes_are_words_the_gravest_first() -> None:
    metadata = {
        "hidden": 1,
        "notes": ["its macros were not run"],
        "replacement_characters": 3,
        "failed_pages": {"1": "EOF", "3": "EOF", "7": "no font"},
    }
    assert reading_notes(metadata) == (
        "pages 1, 3 cannot be read: EOF",
        "page 7 cannot be read: no font",
        "3 characters cannot be decoded and became U+FFFD",
        "its macros were not run",
        "text that nobody sees was left out in 1 place",
    )
