"""What a reader of a document sees is read, and what nobody sees is not: HTML, Markdown, Word."""

from __future__ import annotations

import make_files
import pytest

from ragkit.ingest.load.readers.docx import read_docx
from ragkit.ingest.load.readers.html import read_html
from ragkit.ingest.load.readers.markdown_source import read_markdown


@pytest.mark.parametrize(
    "body",
    [
        '<div style="font-size:0"><span style="font-size:16px">seen</span></div>',
        '<ul style="font-size:0"><li><p style="font-size:1rem">seen</p></li></ul>',
        '<div style="background-image:url(sea.jpg)"><h1 style="color:#fff">seen</h1></div>',
        '<div style="background:linear-gradient(red, blue)"><b style="color:white">seen</b></div>',
        '<div style="margin-left:-1000px;padding-left:1000px"><p>seen</p></div>',
        '<div style="margin:0 -1200px;padding:0 1200px">seen</div>',
        '<div style="visibility:hidden">no<p style="visibility:visible">seen</p></div>',
        '<div style="color:white">no<p style="background:#036">seen</p></div>',
        '<div style="color:white">no<p style="color:black">seen</p></div>',
        '<img src="a.png"><p style="position:absolute;top:0;color:#fff">seen</p>',
        '<p style="color:white;text-shadow:1px 1px 2px black">seen</p>',
        '<p style="left:-2000px">seen</p>',
    ],
)
def test_html_that_is_seen_is_read(body: str) -> None:
    text = read_html(f"<!doctype html><body>{body}".encode(), "a.html").text
    assert text.strip("#- ") == "seen"


@pytest.mark.parametrize(
    "body",
    [
        '<div style="font-size:0"><span style="font-size:2em">no</span></div>',
        '<div style="color:white"><p>no</p></div>',
        '<div style="color:hsl(0, 0%, 100%)">no</div>',
        '<div style="position:absolute;left:-5000px">no</div>',
        '<div style="background:#eee"><p style="color:#eee">no</p></div>',
    ],
)
def test_html_that_nobody_sees_is_left_out_and_counted(body: str) -> None:
    parsed = read_html(f"<!doctype html><body><p>seen</p>{body}".encode(), "a.html")
    assert (parsed.text, parsed.metadata) == ("seen", {"hidden": 1})


def test_html_white_text_in_front_of_a_picture_is_kept_and_noted() -> None:
    page = '<div style="background:url(a.png)"><p style="color:white">title</p></div>'
    parsed = read_html(page.encode(), "a.html")
    assert parsed.text == "title"
    assert parsed.metadata["notes"] == [
        "white text was kept in 1 place: what lies behind it is not known"
    ]


@pytest.mark.parametrize("tag", ["del", "s", "strike", 'span style="text-decoration:line-through"'])
def test_html_what_is_struck_out_is_not_said(tag: str) -> None:
    page = f"<p>It costs <{tag}>5</{tag.split()[0]}> 8 crowns.</p>"
    parsed = read_html(page.encode(), "a.html")
    assert parsed.text == "It costs 8 crowns."
    assert parsed.metadata == {"notes": ["struck-out text was left out in 1 place"]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n<!-- old: 20 -->\nb\n", "a\n\nb\n"),
        ("a <!-- one\ntwo -->b\n", "a \nb\n"),
        ("[//]: # (a note)\ntext\n", "\ntext\n"),
        ('[comment]: <> "a note"\ntext\n', "\ntext\n"),
        ("It costs ~~5~~ 8.\n", "It costs  8.\n"),
        ("```html\n<!-- kept -->\n```\n", "```html\n<!-- kept -->\n```\n"),
        ("Write `<!-- kept -->` so.\n", "Write `<!-- kept -->` so.\n"),
        ("An open <!-- stays.\n", "An open <!-- stays.\n"),
        ("[link]: https://a.example/x (kept)\n", "[link]: https://a.example/x (kept)\n"),
        ("~~~\n~~kept~~\n~~~\n", "~~~\n~~kept~~\n~~~\n"),
    ],
)
def test_markdown_comments_are_left_out_and_lines_stay_lines(text: str, shown: str) -> None:
    parsed = read_markdown(text.encode(), "a.md")
    assert parsed.text == shown
    assert parsed.text.count("\n") == text.count("\n")
    assert bool(parsed.metadata) is (shown != text)


def test_markdown_with_a_hundred_thousand_open_marks_takes_no_time() -> None:
    text = "~~~a\n```b\n<!-- `c\n" * 30_000  # it took ten seconds when each looked to the end
    assert read_markdown(text.encode(), "a.md").text == text


WHITE = '<w:color w:val="FFFFFF"/>'
STYLES = """<w:styles>
<w:style w:type="character" w:styleId="Ghost"><w:name w:val="Ghost"/><w:rPr>{}</w:rPr></w:style>
<w:style w:type="character" w:styleId="Son"><w:basedOn w:val="Ghost"/></w:style></w:styles>"""


def _word(properties: str, around: str = "{}") -> tuple[str, int]:
    body = make_files.paragraph("seen") + around.format(
        f"<w:p>{make_files.run('maybe', properties)}</w:p>"
    )
    styles = STYLES.format("<w:vanish/>")
    parsed = read_docx(make_files.word_package(body, {"styles.xml": ("styles", styles)}), "a.docx")
    return " ".join(parsed.text.split()), parsed.metadata.get("hidden", 0)


@pytest.mark.parametrize(
    "properties",
    [WHITE, '<w:sz w:val="2"/>', '<w:rStyle w:val="Ghost"/>', '<w:rStyle w:val="Son"/>'],
)
def test_word_text_that_nobody_sees_is_left_out_and_counted(properties: str) -> None:
    assert _word(properties) == ("seen", 1)


CELL = "<w:tbl><w:tblPr>{}</w:tblPr><w:tr><w:tc><w:tcPr>{}</w:tcPr>{}</w:tc></w:tr></w:tbl>"


@pytest.mark.parametrize(
    ("properties", "around"),
    [
        (WHITE + '<w:shd w:fill="003366"/>', "{}"),
        (WHITE + '<w:highlight w:val="darkBlue"/>', "{}"),
        (WHITE, CELL.format("", '<w:shd w:fill="003366"/>', "{}")),
        (WHITE, CELL.format('<w:tblStyle w:val="GridTable5Dark"/>', "", "{}")),
        (WHITE, "<w:p><w:r><w:txbxContent>{}</w:txbxContent></w:r></w:p>"),
        ('<w:vanish w:val="0"/>', "{}"),
        ('<w:color w:val="auto"/>', "{}"),
    ],
)
def test_word_text_that_is_seen_is_read(properties: str, around: str) -> None:
    assert _word(properties, around) == ("seen maybe", 0)
