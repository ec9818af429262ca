"""What text recognition would add is said where it is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import make_files
import pytest
from commands import Shell, write_files

from ragkit.ingest.load.ocr import has_ocr

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(has_ocr(), reason="the extra `ocr` is installed")


def test_report_says_what_would_be_read(tmp_path: Path) -> None:
    files = {"a.pdf": make_files.pdf(["text", "", ""]), "b.png": b"x", "c.JPG": b"x", "d.svg": b"x"}
    write_files(tmp_path / "docs", files)
    shell = Shell(tmp_path)
    told = shell("index", "--embedder", "none", "docs").out
    assert "2 pages without text and 2 pictures, for want of the extra `ocr`" in told
    assert "extra `ocr`" not in shell("index").out  # it was said
    assert "2 pictures, for want of the extra `ocr`" in shell("index", "--files").out
    (tmp_path / "docs/e.tif").write_text("x")
    assert "and 3 pictures, for want of the extra `ocr`" in shell("index").out
    (tmp_path / "docs/e.tif").unlink()
    write_files(tmp_path / "docs", {"a.pdf": make_files.pdf(["text"])})
    (tmp_path / "docs/b.png").unlink()
    (tmp_path / "docs/c.JPG").unlink()
    assert "extra `ocr`" not in shell("index", "docs").out


def test_doctor_says_what_would_be_read(tmp_path: Path) -> None:
    told = Shell(tmp_path)("doctor", "--json").json
    (finding,) = (f for f in told if f["what"] == "pictures")
    assert finding["state"] == "note"
    assert "no extra `ocr`" in finding["detail"]
