"""The layout of PDF pages: raised text, doubles, columns, tables, running heads, forms, titles."""

from __future__ import annotations

import make_files
import pytest
from make_files import line

from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.page_furniture import goes_on, is_page_number, without_furniture
from ragkit.ingest.load.readers.pdf import read_pdf
from ragkit.ingest.load.readers.pdf_garbage import is_garbled


def read(*pages: str, **more: object) -> Parsed:
    return read_pdf(make_files.drawn_pdf(*pages, **more), "a.pdf")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (line(72, 700, "4 x 10") + line(104, 704, "6", 7) + line(110, 700, "litres"),
         "4 x 10^6 litres"),
        ("BT /F1 11 Tf 72 700 Td (10) Tj 4 Ts /F1 7 Tf (6) Tj 0 Ts /F1 11 Tf ( l) Tj ET", "10^6 l"),
        (line(72, 700, "warranty") + line(113.5, 704, "2", 7) + line(120, 700, "of it"),
         "warranty² of it"),
        (line(72, 700, "H") + line(80, 697, "2", 7) + line(84.2, 700, "O is wet"), "H2O is wet"),
        (line(72, 700, "Big", 20) + line(72, 660, "small", 11), "Big\nsmall"),
    ],
    ids=["power", "rise", "mark", "index", "heading"],
)  # fmt: skip
def test_raised_text_is_told_by_size_and_place(content: str, text: str) -> None:
    assert read(content).text == text


def test_text_that_is_drawn_twice_is_one_text() -> None:
    twice = line(72, 760, "Closed on Mondays", 14) + line(72.3, 760, "Closed on Mondays", 14)
    shadow = line(72, 720, "Open", 14) + line(73, 719, "Open", 14)
    again = line(72, 690, "ha") + line(90, 690, "ha")
    again += "BT /F1 11 Tf 72 670 Td (ho ) Tj (ho ) Tj ET"
    assert read(twice + shadow + again).text == "Closed on Mondays\nOpen\nha ha\nho ho"


LEFT = ("The canoe shed opens at", "seven and closes at nine", "in the evening by the sea.")
RIGHT = ("Dinghies may be booked a", "week ahead by members of", "the club and their guests.")


def test_columns_drawn_row_by_row_are_read_one_after_the_other() -> None:
    rows = "".join(
        line(60, 760 - 15 * i, a) + line(320, 760 - 15 * i, b)
        for i, (a, b) in enumerate(zip(LEFT, RIGHT, strict=True))
    )
    assert read(line(60, 790, "Rules") + rows + line(60, 690, "End.")).text.split("\n") == [
        "Rules", *LEFT, *RIGHT, "End.",
    ]  # fmt: skip


def test_columns_drawn_one_after_the_other_stay_as_they_are() -> None:
    content = "".join(line(60, 760 - 15 * i, a) for i, a in enumerate(LEFT))
    content += "".join(line(320, 760 - 15 * i, b) for i, b in enumerate(RIGHT))
    assert read(content).text.split("\n") == [*LEFT, *RIGHT]


def table(*rows: tuple[str, ...]) -> str:
    return "".join(
        line(72 + 110 * place, 760 - 18 * i, cell)
        for i, row in enumerate(rows)
        for place, cell in enumerate(row)
        if cell
    )


def test_empty_cells_of_a_table_keep_their_place() -> None:
    rows = ("Craft", "Member", "Guest"), ("Canoe", "", "44"), ("Dinghy", "55", "")
    assert read(table(*rows)).text == (
        "| Craft | Member | Guest |\n|---|---|---|\n| Canoe |  | 44 |\n| Dinghy | 55 |  |"
    )


def test_a_form_of_names_and_values_is_no_table_with_a_header() -> None:
    rows = ("Name:", "Mira", "Boat:", "Gull"), ("Berth:", "E4", "Fee:", ""), ("Key:", "7", "", "")
    assert read(table(*rows)).text == (
        "| Name: | Mira | Boat: | Gull |\n| Berth: | E4 | Fee: |  |\n| Key: | 7 |  |  |"
    )


def test_a_cell_that_goes_on_below_is_one_cell() -> None:
    rows = (
        ("Craft", "Note", "Fee"),
        ("Canoe", "for two", "44"),
        ("", "persons", ""),
        ("Raft", "", "9"),
    )
    assert read(table(*rows)).text.split("\n")[2:] == [
        "| Canoe | for two persons | 44 |",
        "| Raft |  | 9 |",
    ]


def test_words_of_a_line_are_no_cells() -> None:
    content = (
        line(72, 700, "one")
        + line(94, 700, "two")
        + line(72, 685, "three")
        + line(100, 685, "four")
    )
    assert read(content).text == "one two\nthree four"


def test_a_sentence_over_a_page_break_is_one_sentence() -> None:
    foot = "".join(line(280, 30, f"Page {n} of 2", 8) + "\f" for n in (1, 2)).split("\f")
    head = line(72, 815, "Ferry Rules - edition 4", 8)
    parsed = read(
        line(72, 760, "A lost ticket costs a fee of") + foot[0],
        head + line(72, 780, "nineteen crowns. It is void.") + foot[1],
    )
    assert (
        parsed.text
        == "A lost ticket costs a fee of\nnineteen crowns. It is void.\n\nFerry Rules - edition 4"
    )
    first, second = parsed.pages
    assert parsed.text[first.start : first.end] == "A lost ticket costs a fee of"
    assert parsed.text[second.start : second.end].startswith("nineteen")


def test_running_heads_and_feet_stand_once() -> None:
    pages = [
        f"Club rules\nText of {word}.\nIssued in May\n- {n} -" for n, word in enumerate("abcde")
    ]
    assert without_furniture(pages) == [
        "Club rules\nText of a.", "Text of b.", "Text of c.", "Text of d.",
        "Text of e.\n\nIssued in May",
    ]  # fmt: skip
    assert without_furniture(["one page\n1"]) == ["one page\n1"]
    assert without_furniture(["Fees\na", "Keys\nb", ""]) == ["Fees\na", "Keys\nb", ""]


@pytest.mark.parametrize(
    ("line_of_text", "is_number"),
    [("12", True), ("Seite 3 von 9", True), ("xiv", True), ("第 3 页", True), ("3 / 9", True),
     ("civil", False), ("Q-77", False), ("12 crowns", False), ("Page of honour", False)],
)  # fmt: skip
def test_page_numbers_are_told_from_text(line_of_text: str, *, is_number: bool) -> None:
    assert is_page_number(line_of_text) is is_number


def test_a_sentence_goes_on_where_it_has_not_ended() -> None:
    assert goes_on("the fee, which", "is due")
    assert goes_on("船只归还码", "头，逾期")
    assert not goes_on("It ends.³", "so")
    assert not goes_on("The end", "Chapter 2")
    assert not goes_on("| a | b |", "c")


NAMELESS = (
    "<</Type/Font/Subtype/Type0/BaseFont/ABCDEF+F/Encoding/Identity-H/DescendantFonts[<</Type/Font"
    "/Subtype/CIDFontType2/BaseFont/ABCDEF+F/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)"
    "/Supplement 0>>>>]>>"
)


def test_a_page_whose_font_tells_no_letters_is_named() -> None:
    shown = "BT /F9 12 Tf 72 700 Td <0037004b0048> Tj ET"
    data = make_files.drawn_pdf(shown, line(72, 700, "plain words here"), objects=(NAMELESS,))
    data = data.replace(b"/Font<</F1 3 0 R>>", b"/Font<</F1 3 0 R/F9 10 0 R>>")
    parsed = read_pdf(data, "a.pdf")
    assert parsed.text.strip() == "plain words here"
    assert parsed.metadata == {
        "notes": ["page 1 has no readable text: a font does not tell its letters"],
        "partly_unread": True,
    }


def with_font(look: str, table: str, shown: str) -> bytes:
    """A page of plain words and a text in a font of this look and this table of letters."""
    font = f"<</Type/Font{look}{'/ToUnicode 11 0 R' if table else ''}>>"
    cmap = f"/CIDInit /ProcSet findresource begin begincmap {table} endcmap end"
    data = make_files.drawn_pdf(
        f"BT /F9 12 Tf 72 700 Td <{shown}> Tj ET",
        line(72, 600, "plain words here"),
        objects=(font, ("", cmap.encode())) if table else (font,),
    )
    return data.replace(b"/Font<</F1 3 0 R>>", b"/Font<</F1 3 0 R/F9 10 0 R>>")


WIDE = (
    "/Subtype/Type0/BaseFont/ABCDEF+F/Encoding/Identity-H/DescendantFonts[<</Type/Font/Subtype"
    "/CIDFontType2/BaseFont/ABCDEF+F/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)>>>>]"
)
SIMPLE = "/Subtype/TrueType/BaseFont/ABCDEF+F/FirstChar 33/LastChar 90"
SPACE = "1 begincodespacerange <0000> <ffff> endcodespacerange"
CODES = "".join(f"{code:04x}" for code in range(1, 13))


def ranges(first: str) -> str:
    """A table in which the codes become letters that follow each other from one on."""
    return f"{SPACE} 1 beginbfrange <0001> <000c> <{first}> endbfrange"


ONE_SIGN = f"{SPACE} 12 beginbfchar {' '.join(f'<{i:04x}> <6253>' for i in range(1, 13))} endbfchar"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_font(WIDE, ONE_SIGN, CODES), id="one sign for all"),
        pytest.param(with_font(WIDE, ranges("e001"), CODES), id="private letters"),
        pytest.param(
            with_font(SIMPLE, "", "2122232425262728292a2b2c2d" * 2), id="numbered letters"
        ),
    ],
)
def test_a_page_whose_font_tells_wrong_letters_is_named(data: bytes) -> None:
    parsed = read_pdf(data, "a.pdf")
    assert parsed.text.strip() == "plain words here"
    (note,) = parsed.metadata["notes"]
    assert note == "page 1 has no readable text: a font does not tell its letters"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(with_font(WIDE, ranges("0061"), CODES), "abcdefghijkl", id="letters"),
        pytest.param(with_font(WIDE, ONE_SIGN, "0001" * 12), "打" * 12, id="one code of one sign"),
        pytest.param(with_font(SIMPLE, "", "41424344" * 8), "ABCD" * 8, id="codes of ASCII"),
        pytest.param(with_font(WIDE, ranges("f0b7"), "0001"), "\uf0b7", id="a bullet"),
    ],
)
def test_an_odd_text_is_kept(data: bytes, text: str) -> None:
    parsed = read_pdf(data, "a.pdf")
    assert parsed.text.startswith(text)
    assert "notes" not in parsed.metadata


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("打打打 打打打 打打打", True), ("\ufffd\ue001\ue002 " * 4, True), ("----------- ----", False),
     ("10 10 10 10 10", False), ("的士的士的士的士", False), ("打打打", False)],
)  # fmt: skip
def test_garbage_is_told_from_text(text: str, *, is_one: bool) -> None:
    assert is_garbled(text) == is_one


def test_values_of_a_form_and_notes_are_read() -> None:
    widgets = [
        "<</Type/Annot/Subtype/Widget/Rect[0 0 9 9]/FT/Tx/T(hirer)/V(Mira Holt)>>",
        "<</Type/Annot/Subtype/Widget/Rect[0 0 9 9]/FT/Btn/T(keys)/AS/Yes/V/Yes>>",
        "<</Type/Annot/Subtype/Widget/Rect[0 0 9 9]/FT/Tx/T(pin)/Ff 8192/V(1234)>>",
        "<</Type/Annot/Subtype/Widget/Rect[0 0 9 9]/F 2/FT/Tx/T(h)/V(hidden)>>",
        "<</Type/Annot/Subtype/FreeText/Rect[0 0 9 9]/Contents(Paid in May)>>",
        "<</Type/Annot/Subtype/Text/Rect[0 0 9 9]/T(Bo)/Contents(Ask her)>>",
    ]
    annotations = " ".join(f"{10 + i} 0 R" for i in range(len(widgets)))
    parsed = read(line(72, 760, "Hirer:"), objects=widgets, page=f"/Annots[{annotations}]")
    assert parsed.text.split("\n") == [
        "Hirer:", "hirer: Mira Holt", "keys: [x]", "Paid in May", "[Note by Bo: Ask her]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "title"),
    [("渡船规章".encode("gbk"), "渡船规章"), (b"Ferry rules", "Ferry rules"),
     (b"\xfe\xff" + "渡船".encode("utf-16-be"), "渡船"), (b"Microsoft Word - a.doc", ""),
     ("Правила переправы".encode("cp1251"), "Правила переправы")],
)  # fmt: skip
def test_a_title_is_read_in_the_encoding_that_it_is_in(raw: bytes, title: str) -> None:
    assert read(line(72, 700, "words"), info=b"/Title<" + raw.hex().encode() + b">").title == title
