"""Pages that pypdf cannot read are read by pypdfium2 where it is installed, which is told."""

from __future__ import annotations

import sys

import make_files
import pytest
from make_files import line

from ragkit.errors import LoadError
from ragkit.ingest.load.readers.pdf import read_pdf

IMAGE = "/XObject<</Im 10 0 R>>"
PICTURE = (
    "/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8",
    b"\x80",
)
CUT_OFF = " <zz> Tj"  # no hexadecimal number: pypdf gives the page up
FORM = "/Type/XObject/Subtype/Form/BBox[0 0 600 850]/Resources<</Font<</F2 11 0 R>>>>"
# Adobe-Japan1 numbers the hiragana from 842 (small a): 843 is あ, 845 い, 847 う.
JAPANESE = "<<{}/Type/Font/Subtype/Type0/BaseFont/A/Encoding/{}/DescendantFonts[12 0 R]>>"
SHAPES = (
    "<</Type/Font/Subtype/CIDFontType0/BaseFont/A/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)"
    "/Supplement 2>>/FontDescriptor 13 0 R/DW 1000>>"
)
DESCRIPTOR = (
    "<</Type/FontDescriptor/FontName/A/Flags 4/FontBBox[0 0 1000 1000]/ItalicAngle 0/Ascent 880"
    "/Descent -120/CapHeight 700/StemV 80>>"
)


def japanese(content: str, encoding: str = "Identity-H") -> bytes:
    """A PDF whose form has a font of Japan1 without a table of its letters."""
    form = FORM, f"BT /F2 11 Tf 72 700 Td {content} Tj ET".encode()
    return make_files.drawn_pdf(
        f"{line(72, 600, 'a')} /Fm Do",
        resources="/XObject<</Fm 10 0 R>>",
        objects=(form, JAPANESE.format("", encoding), SHAPES, DESCRIPTOR),
    )


@pytest.fixture
def second() -> None:
    pytest.importorskip("pypdfium2", reason="the extra `pdf` is not installed")


@pytest.fixture
def no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)


@pytest.mark.usefixtures("second")
def test_failed_page_is_read_again_and_told() -> None:
    data = make_files.drawn_pdf(line(72, 700, "first"), line(72, 700, "second") + CUT_OFF)
    parsed = read_pdf(data, "a.pdf")
    assert [parsed.text[p.start : p.end] for p in parsed.pages] == ["first", "second"]
    assert parsed.metadata == {"notes": ["page 2 was read by pypdfium2, since pypdf could not"]}


@pytest.mark.usefixtures("no_second")
def test_failed_page_stays_failed_without_pypdfium2() -> None:
    data = make_files.drawn_pdf(line(72, 700, "first"), line(72, 700, "second") + CUT_OFF)
    parsed = read_pdf(data, "a.pdf")
    assert parsed.text.strip() == "first"
    assert list(parsed.metadata["failed_pages"]) == ["2"]


@pytest.mark.usefixtures("second")
def test_line_ends_are_those_of_ragkit() -> None:
    data = make_files.drawn_pdf(line(72, 700, "one") + line(72, 680, "two") + CUT_OFF)
    assert read_pdf(data, "a.pdf").text == "one\ntwo"


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize(
    ("hidden", "resources"),
    [
        (f"1 g {line(72, 760, 'maybe')}", ""),
        (f"3 Tr {line(72, 760, 'maybe')}", ""),
        (f"/Gs gs {line(72, 760, 'maybe')}", "/ExtGState<</Gs <</ca 0>>>>"),
        (line(72, 900, "maybe"), ""),
    ],
    ids=["white", "invisible", "clear", "off the page"],
)
def test_hidden_text_stays_out(hidden: str, resources: str) -> None:
    content = f"{line(72, 600, 'seen')} {hidden} {CUT_OFF}"
    parsed = read_pdf(make_files.drawn_pdf(content, resources=resources), "a.pdf")
    assert parsed.text == "seen"
    assert parsed.metadata.get("hidden", 1) == 1


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize("mode", ["3 Tr", "1 g"], ids=["scan", "white on a picture"])
def test_text_on_a_picture_is_kept(mode: str) -> None:
    content = f"q 300 0 0 300 50 600 cm /Im Do Q {mode} {line(72, 760, 'maybe')} {CUT_OFF}"
    data = make_files.drawn_pdf(content, resources=IMAGE, objects=(PICTURE,))
    assert read_pdf(data, "a.pdf").text == "maybe"


@pytest.mark.usefixtures("second")
def test_page_whose_text_is_all_hidden_is_not_read_again() -> None:
    parsed = read_pdf(make_files.drawn_pdf(f"1 g {line(72, 700, 'secret')}"), "a.pdf")
    assert (parsed.text, parsed.metadata) == ("", {"hidden": 1})


@pytest.mark.usefixtures("second")
def test_font_of_a_known_collection_is_read_by_its_tables() -> None:
    parsed = read_pdf(japanese("<034b034d034f>"), "a.pdf")
    assert sorted(parsed.text.split()) == ["a", "あいう"]
    assert parsed.metadata == {"notes": ["page 1 was read by pypdfium2, since pypdf could not"]}


@pytest.mark.usefixtures("no_second")
@pytest.mark.parametrize("encoding", ["Identity-H", "EUC-H"])
def test_font_of_a_collection_is_no_garbage_without_pypdfium2(encoding: str) -> None:
    parsed = read_pdf(japanese("<034b034d034f>", encoding), "a.pdf")
    assert parsed.text == ""
    (note,) = parsed.metadata["notes"]
    assert note.startswith("page 1 has no readable text: a font does not tell its letters")


@pytest.mark.usefixtures("second")
def test_what_neither_can_open_is_pypdf_s_error() -> None:
    with pytest.raises(LoadError, match="not a readable PDF"):
        read_pdf(b"%PDF-1.4 nothing", "a.pdf")


def test_gap_in_a_font_of_wide_letters_parts_words() -> None:
    wide = " ".join(["700"] * 224)
    font = (
        f"<</Type/Font/Subtype/TrueType/BaseFont/W/FirstChar 32/LastChar 255/Widths[{wide}]"
        "/Encoding/WinAnsiEncoding>>"
    )
    form = FORM, b"BT /F2 11 Tf 72 700 Td [(kept)-30( )40(apart)-240(words)] TJ ET"
    data = make_files.drawn_pdf("/Fm Do", resources="/XObject<</Fm 10 0 R>>", objects=(form, font))
    assert read_pdf(data, "a.pdf").text == "kept apart words"
