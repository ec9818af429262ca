"""Word documents: numbers, headings, notes, formulas, tables, symbols, and damaged packages."""

from __future__ import annotations

import zipfile
from io import BytesIO

import make_files
import pytest

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.docx import read_docx
from ragkit.ingest.load.readers.docx_symbols import known_symbols, symbol
from ragkit.ingest.load.readers.html import read_html

run = make_files.run


def word(body: str, **parts: tuple[str, str]) -> Parsed:
    named = {f"{name}.xml": part for name, part in parts.items()}
    return read_docx(make_files.word_package(body, named), "a.docx")


def numbered(text: str, level: int = 0, number: int = 1) -> str:
    return (
        f'<w:p><w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
        f"</w:pPr>{run(text)}</w:p>"
    )


def level(depth: int, text: str, kind: str = "decimal", more: str = "") -> str:
    return (
        f'<w:lvl w:ilvl="{depth}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/>{more}'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
    )


NUMBERING = (
    '<w:numbering><w:abstractNum w:abstractNumId="0">'
    + level(0, "%1.")
    + level(1, "%1.%2")
    + level(2, "(%3)", "lowerLetter")
    + '</w:abstractNum><w:abstractNum w:abstractNumId="1">'
    + level(0, "•", "bullet")
    + '</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0">'
    '<w:startOverride w:val="1"/></w:lvlOverride></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="1"/></w:num></w:numbering>'
)


def test_clauses_have_the_numbers_that_word_counts() -> None:
    body = "".join(
        numbered(text, depth)
        for text, depth in (("A", 0), ("B", 0), ("C", 1), ("D", 1), ("E", 2), ("F", 0), ("G", 1))
    )
    text = word(body, numbering=("numbering", NUMBERING)).text
    assert text.split("\n") == [
        "1. A", "2. B", "  2.1 C", "  2.2 D", "    (a) E", "3. F", "  3.1 G",
    ]  # fmt: skip


def test_a_list_may_start_anew_and_bullets_are_dashes() -> None:
    body = numbered("A") + numbered("B") + numbered("C", number=2) + numbered("D", number=3)
    text = word(body, numbering=("numbering", NUMBERING)).text
    assert text.split("\n") == ["1. A", "2. B", "1. C", "- D"]


def test_an_empty_paragraph_takes_a_number_as_in_word_and_a_deleted_one_none() -> None:
    body = numbered("A") + numbered("") + numbered("B")
    assert word(body, numbering=("numbering", NUMBERING)).text == "1. A\n3. B"
    body = body.replace("</w:numPr>", "</w:numPr><w:rPr><w:del/></w:rPr>", 2).replace(
        "<w:rPr><w:del/></w:rPr>", "", 1
    )
    assert word(body, numbering=("numbering", NUMBERING)).text == "1. A\n\n2. B"


STYLES = (
    "<w:styles>"
    '<w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/><w:pPr><w:numPr>'
    '<w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Clause"/>'
    '<w:basedOn w:val="H1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="U2"><w:name w:val="Überschrift 2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="B3"><w:name w:val="标题 3"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Out"><w:name w:val="Out"/><w:pPr>'
    '<w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>'
)


@pytest.mark.parametrize(
    ("style", "line"),
    [("Own", "# Fees"), ("U2", "## Fees"), ("B3", "### Fees"), ("Out", "## Fees"),
     ("Heading2", "## Fees"), ("Nothing", "Fees")],
)  # fmt: skip
def test_headings_are_known_by_style_base_and_outline(style: str, line: str) -> None:
    assert word(make_files.paragraph("Fees", style=style), styles=("styles", STYLES)).text == line


def test_a_heading_is_known_by_the_level_of_its_paragraph() -> None:
    body = f'<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr>{run("Fees")}</w:p>'
    assert word(body).text == "# Fees"


def test_headings_are_numbered_by_their_style() -> None:
    body = make_files.paragraph("A", style="H1") + make_files.paragraph("B", style="Own")
    parts = {"styles": ("styles", STYLES), "numbering": ("numbering", NUMBERING)}
    assert word(body, **parts).text == "# 1. A\n\n# 2. B"


PAGE_OF = (
    f"<w:p>{run('Page ')}<w:r><w:instrText>PAGE</w:instrText></w:r>{run('1')}{run(' of 3')}</w:p>"
)


def test_headers_and_footers_stand_once_and_without_page_numbers() -> None:
    section = (
        '<w:sectPr><w:headerReference w:type="{}" r:id="r0"/><w:footerReference r:id="r1"/>'
        "</w:sectPr>"
    )
    body = (
        make_files.paragraph("Body.")
        + f"<w:p><w:pPr>{section.format('default')}</w:pPr></w:p>"
        + section.format("first")
    )
    parsed = word(
        body,
        header1=("header", f"<w:hdr>{make_files.paragraph('Ref LN-2290')}</w:hdr>"),
        footer1=(
            "footer",
            f"<w:ftr>{PAGE_OF}{make_files.paragraph('Q-77')}</w:ftr>",
        ),
    )
    assert parsed.text == "Body.\n\nRef LN-2290\n\nQ-77"


def test_notes_and_comments_stand_below_their_paragraph() -> None:
    body = (
        f"<w:p>{run('A warranty')}<w:r><w:footnoteReference w:id='2'/></w:r>{run(' of ten years.')}"
        "<w:r><w:commentReference w:id='0'/></w:r></w:p>" + make_files.paragraph("Next.")
    )
    notes = (
        '<w:footnotes><w:footnote w:type="separator" w:id="0"/>'
        f'<w:footnote w:id="2">{make_files.paragraph("Not for lenses.")}</w:footnote></w:footnotes>'
    )
    comments = (
        f'<w:comments><w:comment w:id="0" w:author="Bo">{make_files.paragraph("Ask her.")}'
        "</w:comment></w:comments>"
    )
    parsed = word(body, footnotes=("footnotes", notes), comments=("comments", comments))
    assert parsed.text == (
        "A warranty¹ of ten years.\n\n¹ Not for lenses.\n\n[Comment by Bo: Ask her.]\n\nNext."
    )


def raised(text: str) -> str:
    return run(text, '<w:vertAlign w:val="superscript"/>')


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (run("4 × 10") + raised("6") + run(" litres"), "4 × 10^6 litres"),
        (run("the 1") + raised("s") + raised("t") + run(" prize"), "the 1st prize"),
        (run("warranty") + raised("3"), "warranty³"),
        (run("10") + run("6", '<w:position w:val="8"/><w:sz w:val="14"/>'), "10^6"),
        (run("H") + run("2", '<w:vertAlign w:val="subscript"/>') + run("O"), "H2O"),
        (run("old", "<w:strike/>") + run("new"), "new"),
        (run("a") + '<w:r><w:sym w:font="Symbol" w:char="F0A3"/></w:r>' + run("b"), "a≤b"),
        (run("\uf0fc", '<w:rFonts w:ascii="Wingdings"/>') + run(" done"), "✓ done"),
        ("<w:r><w:ruby><w:rt>" + run("けい") + "</w:rt><w:rubyBase>" + run("係") +
         "</w:rubyBase></w:ruby></w:r>" + run("留"), "係留"),
        (run("# of berths: 40"), "#\u00a0of berths: 40"),
    ],
    ids=["power", "ordinal", "mark", "position", "index", "struck", "symbol", "wingdings", "ruby",
         "hash"],
)  # fmt: skip
def test_runs_are_written_as_they_are_seen(inner: str, text: str) -> None:
    assert word(f"<w:p>{inner}</w:p>").text == text


def math(inner: str) -> str:
    return f"<w:p>{run('is ')}<m:oMath>{inner}</m:oMath>{run(' crowns')}</w:p>"


def t(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (t("c=") + f"<m:f><m:num>{t('12d')}</m:num><m:den>{t('7')}</m:den></m:f>", "c=12d/7"),
        (f"<m:f><m:num>{t('a+b')}</m:num><m:den>{t('2')}</m:den></m:f>", "(a+b)/2"),
        (f"<m:sSup><m:e>{t('x')}</m:e><m:sup>{t('2')}</m:sup></m:sSup>", "x^2"),
        (f"<m:rad><m:deg>{t('3')}</m:deg><m:e>{t('8')}</m:e></m:rad>", "∛(8)"),
        ('<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr>'
         f"<m:sub>{t('i=1')}</m:sub><m:sup>{t('n')}</m:sup><m:e>{t('i')}</m:e></m:nary>",
         "∑_(i=1)^n i"),
        (f"<m:d><m:e>{t('a+b')}</m:e></m:d>", "(a+b)"),
        (f"<m:func><m:fName>{t('sin')}</m:fName><m:e>{t('x')}</m:e></m:func>", "sin x"),
        (f"<m:m><m:mr><m:e>{t('1')}</m:e><m:e>{t('0')}</m:e></m:mr></m:m>", "[1, 0]"),
    ],
)  # fmt: skip
def test_a_formula_is_written_on_the_line(formula: str, text: str) -> None:
    assert word(math(formula)).text == f"is {text} crowns"


def test_a_formula_may_be_a_paragraph() -> None:
    body = f"<w:p><m:oMathPara><m:oMath>{t('L=3w+45')}</m:oMath></m:oMathPara></w:p>"
    assert word(body).text == "L=3w+45"


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{make_files.paragraph(text)}</w:tc>"


RESTART, SPAN = '<w:vMerge w:val="restart"/>', '<w:gridSpan w:val="2"/>'


def test_merged_cells_are_filled_and_header_rows_known() -> None:
    header = f"<w:tr><w:trPr><w:tblHeader/></w:trPr>{cell('Season')}{cell('Craft')}</w:tr>"
    down = (
        f"<w:tr>{cell('Winter', RESTART)}{cell('Canoe')}</w:tr>"
        f"<w:tr>{cell('', '<w:vMerge/>')}{cell('Dinghy')}</w:tr>"
    )
    across = f"<w:tr>{cell('Closed', SPAN)}</w:tr>"
    assert word(f"<w:tbl>{header}{down}{across}</w:tbl>").text.split("\n") == [
        "| Season | Craft |", "|---|---|", "| Winter | Canoe |", "| Winter | Dinghy |",
        "| Closed |",
    ]  # fmt: skip


def test_a_part_of_another_format_is_read() -> None:
    parts = {"a.html": ("aFChunk", "<p>Oars cost <b>12</b> crowns.</p>")}
    body = make_files.paragraph("See:") + '<w:altChunk r:id="r0"/>'
    assert read_docx(make_files.word_package(body, parts), "a").text == (
        "See:\n\nOars cost 12 crowns."
    )
    archived = (
        "MIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n\n--x\nContent-Type: "
        "text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
        "<p>Oars cost =\n<b>12</b> crowns.</p>\n--x--\n"
    )
    rich = "{\\rtf1 Oars cost {\\b 12} crowns.\\par}"
    for part, content in (("a.mht", archived), ("a.rtf", rich)):
        data = make_files.word_package(body, {part: ("aFChunk", content)})
        assert read_docx(data, "a").text == "See:\n\nOars cost 12 crowns."
    parsed = read_docx(make_files.word_package(body, {"a.xyz": ("aFChunk", "x")}), "a")
    assert parsed.metadata == {"notes": ["its part word/a.xyz was not read"]}


def test_what_word_passes_over_costs_no_text() -> None:
    body = make_files.paragraph("whole")
    assert word(body).text == "whole"
    missing = word(body, styles=("styles", ""))
    assert (missing.text, missing.metadata) == (
        "whole", {"notes": ["its part word/styles.xml is missing or broken"]}
    )  # fmt: skip
    broken = word(body, numbering=("numbering", "<w:numbering><"))
    assert broken.text == "whole"
    null = make_files.word_package(body, {"NULL": ("image", "")})
    assert (read_docx(null, "a").text, read_docx(null, "a").metadata) == ("whole", {})


def test_strict_open_xml_is_read() -> None:
    data = make_files.word_package(make_files.paragraph("Fees", style="H"), {"styles.xml": (
        "styles",
        '<w:styles><w:style w:styleId="H"><w:name w:val="heading 1"/></w:style></w:styles>'
    )})  # fmt: skip
    target = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            for usual, strict in (
                (
                    "schemas.openxmlformats.org/wordprocessingml/2006",
                    "purl.oclc.org/ooxml/wordprocessingml",
                ),
                (
                    "schemas.openxmlformats.org/officeDocument/2006",
                    "purl.oclc.org/ooxml/officeDocument",
                ),
            ):
                text = text.replace(usual, strict)
            new.writestr(name, text)
    assert read_docx(target.getvalue(), "a").text == "# Fees"


def test_a_file_without_a_main_part_fails_clearly() -> None:
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
    with pytest.raises(LoadError, match="not a readable DOCX: there is no part"):
        read_docx(target.getvalue(), "a")


def test_entities_of_the_file_are_not_resolved() -> None:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    bomb = (
        f'<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa">]><w:document xmlns:w="{space}"><w:body><w:p><w:r>'
        "<w:t>&a;</w:t></w:r></w:p></w:body></w:document>"
    )
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("word/document.xml", bomb)
    assert "aaaa" not in read_docx(target.getvalue(), "a").text


def test_symbols_are_what_is_seen() -> None:
    assert symbol("Symbol", "F062") == "β"
    assert symbol("Wingdings", "A8") == "◻"
    assert symbol("Wingdings", "nonsense") == ""
    assert known_symbols("Symbol", "a\uf0b3b") == "a≥b"


def test_a_document_without_properties_has_no_title_of_a_program() -> None:
    assert word(make_files.paragraph("words")).title == ""


def test_word_and_html_write_the_same_table_alike() -> None:
    rows = [["Craft", "Fee"], ["Canoe", "30"], ["Dinghy", "55"]]
    page = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    assert word(make_files.table(rows)).text == (
        read_html(f"<table>{page}</table>".encode(), "a").text
    )
