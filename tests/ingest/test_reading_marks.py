"""Raised text, formulas, lists, rulings and literal marks in HTML; titles; alternative texts."""

from __future__ import annotations

import pytest

from ragkit.ingest.load.readers.document_titles import clean_title
from ragkit.ingest.load.readers.html import read_html
from ragkit.ingest.load.readers.list_numbers import list_number
from ragkit.ingest.load.readers.text import markdown_title
from ragkit.text.raising import lower_text, raise_text, unraise


def html(body: str) -> str:
    return read_html(f"<!doctype html><body>{body}".encode(), "a.html").text


@pytest.mark.parametrize(
    ("before", "raised", "text"),
    [
        ("4 × 10", "6", "4 × 10^6"),
        ("10", "-3", "10^-3"),
        ("2", "n+1", "2^(n+1)"),
        ("warranty", "3", "warranty³"),
        ("warranty", "1,2", "warranty¹,²"),
        ("ten years.", "4", "ten years.⁴"),
        ("5 m", "2", "5 m²"),
        ("The 1", "st", "The 1st"),
        ("Le 2", "e", "Le 2e"),
        ("M", "me", "Mme"),
        ("x", "n", "x^n"),
        ("Lamp", "TM", "Lamp™"),
        ("so", "[1]", "so[1]"),
        ("12", "*", "12*"),
        ("a note ", "(see the page before)", "a note (see the page before)"),
    ],
)
def test_raised_text_does_not_join_what_it_stands_behind(
    before: str, raised: str, text: str
) -> None:
    assert before + raise_text(before, raised) == text
    assert html(f"<p>{before}<sup>{raised}</sup></p>") == text


@pytest.mark.parametrize(
    ("before", "lowered", "text"),
    [("H", "2", "H2"), ("1010", "2", "1010_2"), ("x", "max", "x_max"), ("a", "i+1", "a_(i+1)")],
)
def test_lowered_text_is_parted_from_a_figure(before: str, lowered: str, text: str) -> None:
    assert before + lower_text(before, lowered) == text
    assert html(f"<p>{before}<sub>{lowered}</sub></p>") == text


def test_raised_digits_in_a_text_stay_apart_from_figures_and_words() -> None:
    assert unraise("4 × 10⁶ l, warranty², 5 m²") == "4 × 10^6 l, warranty 2, 5 m²"
    assert unraise("plain") == "plain"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("<mfrac><mn>3</mn><mn>8</mn></mfrac>", "3/8"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac>", "(a+b)/2"),
        ("<msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><msub><mi>y</mi><mi>i</mi></msub>", "x^2+y_i"),
        ("<msqrt><mi>a</mi><mo>+</mo><mi>b</mi></msqrt>", "√(a+b)"),
        ("<mroot><mn>8</mn><mn>3</mn></mroot>", "∛(8)"),
        ("<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>"
         "<mi>i</mi>", "∑_(i=1)^n i"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mn>0</mn></mtd>"
         "<mtd><mn>1</mn></mtd></mtr></mtable>", "[1, 0; 0, 1]"),
        ("<semantics><mfrac><mn>1</mn><mn>2</mn></mfrac><annotation>\\frac12</annotation>"
         "</semantics>", "1/2"),
        ("<mn>3</mn><mn>8</mn>", "3 8"),
    ],
)  # fmt: skip
def test_a_formula_is_written_on_the_line(formula: str, text: str) -> None:
    assert html(f"<p>It is <math>{formula}</math> here.</p>") == f"It is {text} here."


def test_a_formula_nested_without_end_fails_the_file_and_no_more() -> None:
    with pytest.raises(RecursionError):
        html("<math>" + "<mrow>" * 500 + "x")


def test_lists_have_the_numbers_that_a_browser_gives_them() -> None:
    assert html("<ol start=7><li>a<li>b<li value=20>c<li>d</ol>") == "7. a\n8. b\n20. c\n21. d"
    assert html("<ol reversed><li>a<li>b</ol>") == "2. a\n1. b"
    assert html("<ol type=a><li>x<ol type=I><li>y</ol><li>z</ol>") == "a. x\n  I. y\nb. z"
    assert html("<ul><li>x<ol><li>y</ol></ul>") == "- x\n  1. y"


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [(27, "a", "aa"), (1999, "upperRoman", "MCMXCIX"), (12, "chineseCounting", "十二"),
     (30, "japaneseCounting", "三十"), (3, "decimalZero", "03"), (2, "ordinal", "2nd"),
     (5, "decimalEnclosedCircle", "⑤"), (0, "a", "0"), (3, "never heard of", "3")],
)  # fmt: skip
def test_numbers_are_written_as_their_list_says(number: int, kind: str, text: str) -> None:
    assert list_number(number, kind) == text


@pytest.mark.parametrize(
    "literal", ["# of berths: 40", "~~~", "```", "===", "---", "+++", "| a line"]
)
def test_a_paragraph_that_begins_with_a_mark_stays_a_paragraph(literal: str) -> None:
    text = html(f"<p>{literal}</p><h2>Fees</h2><p>{literal}</p>")
    first, heading, last = text.split("\n\n")
    assert first.replace("\u00a0", " ").strip() == literal == last.replace("\u00a0", " ").strip()
    assert heading == "## Fees"
    assert markdown_title(text) == "Fees"


def test_readings_beside_characters_do_not_part_their_word() -> None:
    ruby = "<ruby>係<rt>けい</rt>留<rp>(</rp><rt>りゅう</rt><rp>)</rp>料</ruby>"
    assert html(f"<p>{ruby}を払う。</p>") == "係留料を払う。"


def test_a_line_end_between_ideographs_is_no_space() -> None:
    assert html("<p>租船人应在码\n  头归还船只。</p>") == "租船人应在码头归还船只。"
    assert html("<p>two\nlines</p>") == "two lines"


def test_a_picture_is_read_by_its_alternative_text_if_that_says_something() -> None:
    assert html('<p>See <img alt="the east gate is number four"> here') == (
        "See [the east gate is number four] here"
    )
    assert html('<p>a<img alt="logo"><img alt="IMG 1.png"><img alt=""><img>') == "a"
    assert html('<p><img alt="码头平面图"></p>') == "[码头平面图]"


def test_fields_of_a_form_show_their_values() -> None:
    form = (
        '<label>Name <input value="Mira Holt"></label><input type=hidden value=x>'
        "<textarea>two oars</textarea><input type=checkbox checked> keys "
        "<select><option>red<option selected>blue</select><input type=password value=p>"
    )
    assert " ".join(html(form).split()) == "Name Mira Holt two oars [x] keys blue"


@pytest.mark.parametrize(
    ("title", "clean"),
    [
        ("Microsoft Word - draft7_final(2).doc", ""),
        ("Microsoft Word - Ferry rules", "Ferry rules"),
        ("PowerPoint Presentation", ""),
        ("Word Document", ""),
        ("rules.indd", ""),
        ("C:\\Users\\bo\\rules", ""),
        ("untitled", ""),
        ("无标题", ""),
        ("Document12", ""),
        ("Version 2.1 of the rules", "Version 2.1 of the rules"),
        ("Node.js", "Node.js"),
        ("  Harbour \n rules ", "Harbour rules"),
    ],
)
def test_a_title_is_not_the_name_of_a_program_or_a_file(title: str, clean: str) -> None:
    assert clean_title(title) == clean


@pytest.mark.parametrize(
    ("front", "title"),
    [
        ("---\ntitle: >-\n  Pier rules\n  for guests\nauthor: Bo\n---\n", "Pier rules for guests"),
        ("---\ntitle: |\n  Pier rules\n---\n", "Pier rules"),
        ("---\ntitle: Pier\n  rules\nx: 1\n---\n", "Pier rules"),
        ('+++\ntitle = "Pier rules"\ntags = ["night"]\n+++\n', "Pier rules"),
        ("+++\n[[broken\n+++\n", "Head"),
        ("---\nsubtitle: x\n---\n", "Head"),
        ("---\ntitle:\n---\n", "Head"),
    ],
)
def test_front_matter_names_the_title(front: str, title: str) -> None:
    assert markdown_title(f"{front}\n# Head\n") == title
