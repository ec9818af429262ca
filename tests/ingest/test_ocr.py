"""Pages without text and pictures are read by text recognition, which is marked."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import make_files
import pytest
from commands import write_files
from make_files import line

from ragkit import Config, Format, Pipeline
from ragkit.cli.ask import read_from_pictures
from ragkit.config import LoadSettings
from ragkit.errors import LoadError
from ragkit.ingest.load import Formats, Parsed, Parser
from ragkit.ingest.load.ocr import PICTURES, has_ocr, with_recognised
from ragkit.records import Page

CHINESE_FONT = Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf")
WORDS = Config().with_values({"models.embedder": "none"})
needs_ocr = pytest.mark.skipif(not has_ocr(), reason="the extra `ocr` is not installed")


def scan(*lines: str, font: Path | None = None, size: int = 32) -> bytes:
    """A PNG of lines of text."""
    from PIL import Image, ImageDraw, ImageFont

    letters = ImageFont.truetype(str(font), size) if font else ImageFont.load_default(size)
    picture = Image.new("RGB", (760, 20 + 60 * len(lines)), "white")
    draw = ImageDraw.Draw(picture)
    for number, text in enumerate(lines):
        draw.text((20, 10 + 60 * number), text, font=letters, fill="black")
    made = BytesIO()
    picture.save(made, "PNG")
    return made.getvalue()


def scanned_pdf(picture: bytes) -> bytes:
    """A PDF of a page of text, a scan, and a page with nothing."""
    from PIL import Image

    image = Image.open(BytesIO(picture)).convert("L")
    entries = (
        f"/Type/XObject/Subtype/Image/Width {image.width}/Height {image.height}"
        "/ColorSpace/DeviceGray/BitsPerComponent 8"
    )
    shown = f"q {image.width * 0.7} 0 0 {image.height * 0.7} 30 500 cm /Im Do Q"
    return make_files.drawn_pdf(
        line(72, 700, "typed"),
        shown,
        "",
        resources="/XObject<</Im 10 0 R>>",
        objects=((entries, image.tobytes()),),
    )


@needs_ocr
@pytest.mark.long
def test_scanned_page_is_read_and_marked(tmp_path: Path) -> None:
    docs = write_files(
        tmp_path / "docs", {"a.pdf": scanned_pdf(scan("The mooring fee is 19 crowns."))}
    )
    with Pipeline(tmp_path / "index", WORDS) as rag:
        rag.index(docs)
        (hit,) = rag.search("mooring")
        (document,) = rag.documents()
    assert hit.text == "typed\n\nThe mooring fee is 19 crowns."
    assert [page.number for page in hit.pages] == [1, 2]
    assert document.pages_without_text == (3,)
    assert document.notes == ("page 2 was read from a picture: letters may be wrong",)


@needs_ocr
@pytest.mark.long
def test_picture_file_is_read() -> None:
    with Parser(LoadSettings()) as parser:
        parsed = parser.parse("picture", scan("Notice is given", "by 31 March."), "a.png")
    assert parsed.text == "Notice is given\nby 31 March."
    assert parsed.metadata["read_from_pictures"] == [1]


@needs_ocr
@pytest.mark.long
@pytest.mark.skipif(not CHINESE_FONT.exists(), reason="needs a Chinese font")
def test_chinese_picture_is_read() -> None:
    with Parser(LoadSettings()) as parser:
        parsed = parser.parse("picture", scan("合同期限为六个月。", font=CHINESE_FONT), "a.png")
    assert parsed.text == "合同期限为六个月。"


@needs_ocr
@pytest.mark.long
def test_broken_picture_fails_alone() -> None:
    with Parser(LoadSettings()) as parser, pytest.raises(LoadError, match="not a readable picture"):
        parser.parse("picture", scan("x")[:90], "a.png")


@needs_ocr
def test_pictures_are_left_out_where_the_setting_says_so(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"a.md": "x", "b.png": b"\x89PNG"})
    with Pipeline(tmp_path / "index", WORDS.with_values({"load.ocr": "false"})) as rag:
        (skipped,) = rag.index(docs).skipped
    assert skipped.reason == "a picture: the setting load.ocr=true has it read"


def test_without_the_extra_a_picture_is_of_no_known_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    has_ocr.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    try:
        assert Formats().find("photo.png") is None
        assert Formats().of_kind("picture") is None
    finally:
        has_ocr.cache_clear()


def test_recognised_text_stands_on_its_page() -> None:
    pages = (Page(1, 0, 0), Page(2, 0, 3), Page(3, 3, 3), Page(4, 5, 8))
    metadata = {PICTURES: [1, 3], "failed_pages": {"3": "broken", "9": "broken"}}
    made = with_recognised(
        Parsed("two\n\nfor", "", None, pages, metadata), lambda n: {1: "one", 3: "three"}[n]
    )
    assert [made.text[p.start : p.end] for p in made.pages] == ["one", "two", "three", "for"]
    assert made.text == "one\n\ntwo\n\nthree\n\nfor"
    assert made.metadata == {
        "read_from_pictures": [1, 3],
        "failed_pages": {"9": "broken"},
        "notes": ["pages 1, 3 were read from a picture: letters may be wrong"],
    }


def test_pages_that_cannot_be_read_are_told_and_end_the_trying() -> None:
    tried: list[int] = []

    def read(number: int) -> str:
        tried.append(number)
        msg = "took longer than 120 s to parse"
        raise LoadError(msg, "a.pdf")

    pages = tuple(Page(n, 0, 0) for n in range(1, 6))
    made = with_recognised(Parsed("", "", None, pages, {PICTURES: [1, 2, 3, 4, 5]}), read)
    assert tried == [1, 2, 3]
    assert made.metadata["notes"] == [
        "the picture of pages 1, 2, 3 could not be read: took longer than 120 s to parse",
        "the picture of pages 4, 5 could not be read: not tried: 3 before it failed",
    ]


def test_nothing_is_read_or_told_where_there_is_no_recognition() -> None:
    parsed = Parsed("a", "", None, (Page(1, 0, 1),), {PICTURES: [1]})
    assert with_recognised(parsed, None) == Parsed("a", "", None, (Page(1, 0, 1),))


def test_answer_names_the_cited_pages_that_were_read_from_pictures(tmp_path: Path) -> None:
    texts = ["The mooring fee is 19 crowns.", "The rope is 98 metres long."]
    start = len(texts[0]) + 2
    pages = (Page(1, 0, len(texts[0])), Page(2, start, start + len(texts[1])))

    def read(_data: bytes, _name: str) -> Parsed:
        return Parsed("\n\n".join(texts), "", None, pages, {"read_from_pictures": [2]})

    docs = write_files(tmp_path / "docs", {"a.own": "x"})
    config = WORDS.with_values({"models.chat": "none"})
    with Pipeline(tmp_path / "index", config, readers=[Format("own", (".own",), read)]) as rag:
        rag.index(docs)
        answer = rag.ask("How many metres long is the rope?")
        cited = {citation.page for citation in answer.citations}
        assert 2 in cited
        assert read_from_pictures(rag.store, answer) == ["a.own, page 2"]
        only_first = replace(answer, citations=tuple(replace(c, page=1) for c in answer.citations))
        assert read_from_pictures(rag.store, only_first) == []
