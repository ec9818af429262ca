"""Pages without text and pictures are read by text recognition, which is marked."""

from __future__ import annotations

import stat
import sys
from io import BytesIO
from pathlib import Path

import make_files
import pytest
from commands import write_files
from make_files import line

from ragkit import Config, Format, Pipeline
from ragkit.cli.output import print_sources
from ragkit.cli.progress import _ingest_step
from ragkit.config import LoadSettings
from ragkit.errors import LoadError
from ragkit.ingest.load import Formats, Parsed, Parser
from ragkit.ingest.load import parser as parser_module
from ragkit.ingest.load.ocr import PICTURES, has_ocr, with_recognised
from ragkit.ingest.load.recognised import RecognisedPage
from ragkit.ingest.run import Progress
from ragkit.records import Page, to_json
from ragkit.store.local.disk import delete_index

Capture = pytest.CaptureFixture[str]
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
    texts = {1: RecognisedPage("one", "k1"), 3: RecognisedPage("three")}
    made = with_recognised(
        Parsed("two\n\nfor", "", None, pages, metadata), lambda number, *_: texts[number]
    )
    assert [made.text[p.start : p.end] for p in made.pages] == ["one", "two", "three", "for"]
    assert made.text == "one\n\ntwo\n\nthree\n\nfor"
    assert made.metadata == {
        "read_from_pictures": [1, 3],
        "ragkit": {"pictures": {"1": "k1"}},
        "failed_pages": {"9": "broken"},
        "notes": ["pages 1, 3 were read from a picture: letters may be wrong"],
    }


def test_pages_that_cannot_be_read_are_told_and_end_the_trying() -> None:
    tried: list[int] = []

    def read(number: int, _done: int, _total: int) -> RecognisedPage:
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


PICTURE_TEXTS = ("The mooring fee is 19 crowns.", "The rope is 98 metres long.")


def two_pages(_data: bytes, _name: str) -> Parsed:
    """A document of two pages, the second of them read from a picture."""
    first, second = PICTURE_TEXTS
    start = len(first) + 2
    pages = (Page(1, 0, len(first)), Page(2, start, start + len(second)))
    return Parsed("\n\n".join(PICTURE_TEXTS), "", None, pages, {"read_from_pictures": [2]})


def test_what_was_read_from_a_picture_is_marked(tmp_path: Path, capsys: Capture) -> None:
    docs = write_files(tmp_path / "docs", {"a.own": "x"})
    config = WORDS.with_values({"models.chat": "none"})
    with Pipeline(tmp_path / "index", config, readers=[Format("own", (".own",), two_pages)]) as rag:
        rag.index(docs)
        (hit,) = rag.search("rope")
        rope = rag.ask("How many metres long is the rope?")
        fee = rag.ask("What is the mooring fee?")
    marks = {c.quote: c.from_picture for a in (rope, fee) for c in a.citations}
    assert marks == {PICTURE_TEXTS[1]: True, PICTURE_TEXTS[0]: False}
    assert hit.from_picture
    assert [c["from_picture"] for c in to_json(rope)["citations"]] == [True]
    print_sources(rope)
    print_sources(fee)
    assert capsys.readouterr().out == (
        "  [1] a.own · page 2 · read from a picture\n  [1] a.own · page 1\n"
    )
    assert "a.own, page 2, read from a picture" in rope._repr_markdown_()


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Format:
    """A format whose pages are pictures, read by a stand-in in the sandbox."""
    monkeypatch.setattr(parser_module, "has_ocr", lambda: True)
    monkeypatch.setattr(parser_module, "READERS", {"scan": "picture_reader:recognise"})
    return Format("scan", (".scan",), "picture_reader:read_scan")


def recognised(tmp_path: Path) -> list[str]:
    """The pages that the stand-in recognised so far, in order."""
    log = tmp_path / "recognised.log"
    return log.read_text().split() if log.exists() else []


def kept(tmp_path: Path) -> list[str]:
    """The texts that are kept with the index."""
    folder = tmp_path / "index" / "recognised"
    found = [f.read_text().partition("\n")[2] for f in folder.iterdir()] if folder.exists() else []
    return sorted(found)


def test_a_page_is_recognised_once(tmp_path: Path, scans: Format) -> None:
    docs = write_files(tmp_path / "docs", {"a.scan": "one\ntwo", "b.md": "typed"})
    config = WORDS.with_values({"models.chat": "none"})
    with Pipeline(tmp_path / "index", config, readers=[scans]) as rag:
        rag.index(docs)
        assert recognised(tmp_path) == ["one", "two"]
        (docs / "a.scan").write_text("one\nthree\ntwo")
        rag.index(docs)
        assert recognised(tmp_path) == ["one", "two", "three"]
        rag.rebuild("files")
        assert recognised(tmp_path) == ["one", "two", "three"]
        (document,) = (d for d in rag.documents() if d.kind == "scan")
        assert document.notes == ("pages 1, 2, 3 were read from a picture: letters may be wrong",)
        assert [hit.text for hit in rag.search("text three")] == [
            "text of one\n\ntext of three\n\ntext of two"
        ]
        assert list(rag.store.check()) == []
        assert rag.verify(rag.ask("What is the text of three?")).holds
        assert recognised(tmp_path) == ["one", "two", "three"]
    assert kept(tmp_path) == ["text of one", "text of three", "text of two"]
    folder = tmp_path / "index" / "recognised"
    assert {stat.S_IMODE(f.stat().st_mode) for f in (folder, *folder.iterdir())} == {0o700, 0o600}


def test_a_kept_text_that_was_damaged_is_recognised_again(tmp_path: Path, scans: Format) -> None:
    docs = write_files(tmp_path / "docs", {"a.scan": "one\ntwo"})
    with Pipeline(tmp_path / "index", WORDS, readers=[scans]) as rag:
        rag.index(docs)
        first = next((tmp_path / "index" / "recognised").iterdir())
        first.write_bytes(first.read_bytes()[:-1] + b"x")
        rag.rebuild("files")
    assert len(recognised(tmp_path)) == 3
    assert kept(tmp_path) == ["text of one", "text of two"]


def test_erasing_a_document_erases_the_texts_of_its_pictures(tmp_path: Path, scans: Format) -> None:
    docs = write_files(tmp_path / "docs", {"a.scan": "one\nboth", "b.scan": "two\nboth"})
    with Pipeline(tmp_path / "index", WORDS, readers=[scans]) as rag:
        rag.index(docs)
        (docs / "a.scan").write_text("later\nboth")
        rag.index(docs)
        assert kept(tmp_path) == ["text of both", "text of later", "text of one", "text of two"]
        rag.erase("a.scan")
        assert kept(tmp_path) == ["text of both", "text of two"]
        rag.erase("b.scan")
    assert kept(tmp_path) == []


def test_compacting_forgets_pictures_that_no_run_has(tmp_path: Path, scans: Format) -> None:
    docs = write_files(tmp_path / "docs", {"a.scan": "one\ntwo"})
    config = WORDS.with_values({"history.last": "1", "history.days": "0"})
    with Pipeline(tmp_path / "index", config, readers=[scans]) as rag:
        rag.index(docs)
        (docs / "a.scan").write_text("two")
        rag.index(docs)
        rag.compact()
    assert kept(tmp_path) == ["text of two"]


def test_progress_tells_the_page_at_work(tmp_path: Path, scans: Format) -> None:
    docs = write_files(tmp_path / "docs", {"a.scan": "one\ntwo"})
    seen: list[Progress] = []
    with Pipeline(tmp_path / "index", WORDS, readers=[scans]) as rag:
        rag.index(docs, on_progress=seen.append)
    steps = [(step.path, step.page, step.pages) for step in seen if step.pages]
    assert steps == [("a.scan", 1, 2), ("a.scan", 2, 2)]
    assert _ingest_step(seen[0], 1.0).line == "0/1 files, 0%, a.scan, page 1 of 2"
    assert _ingest_step(seen[0], 1.0).columns["path"] == "a.scan, page 1 of 2"


def test_deleting_an_index_deletes_the_texts_of_its_pictures(tmp_path: Path, scans: Format) -> None:
    docs = write_files(tmp_path / "docs", {"a.scan": "one"})
    with Pipeline(tmp_path / "index", WORDS, readers=[scans]) as rag:
        rag.index(docs)
    delete_index(tmp_path / "index")
    assert not (tmp_path / "index").exists()
