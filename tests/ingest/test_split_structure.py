"""The split stage follows headings, tables, code, rows and pages."""

from __future__ import annotations

from ragkit.config import SplitSettings
from ragkit.ingest.split import split
from ragkit.records import Chunk, Document, Page

SENTENCES = (
    "The notice period is {n} weeks. It begins on the day on which the letter arrives. "
    "Apprentices may leave at any time during probation, and nobody has to give a reason for it."
)


def chunks(
    text: str, kind: str = "markdown", *, overlap: int = 40, pages: tuple[Page, ...] = ()
) -> list[Chunk]:
    whole = Document("doc", "/root", "a/file", "", kind, text, "", len(text), 0, None, pages)
    return list(split(whole, SplitSettings(240, overlap)))


def prose(paragraphs: int) -> str:
    return "\n\n".join(SENTENCES.format(n=n) for n in range(paragraphs))


def test_sections_become_chunks_with_their_heading_path() -> None:
    body = prose(4)
    text = (
        f"# Book\n\n{body}\n\n## One {{ #one }}\n\n{body}\n\n"
        f"### Deep ##\n{body}\n\nTwo\n---\n\n{body}"
    )
    found = chunks(text)
    assert [(c.heading, c.text.split("\n")[0]) for c in found] == [
        (("Book",), "# Book"),
        (("Book", "One"), "## One { #one }"),
        (("Book", "One", "Deep"), "### Deep ##"),
        (("Book", "Two"), "Two"),
    ]


def test_rst_headings_take_their_levels_from_the_order_of_styles() -> None:
    body = prose(4)
    text = (
        f"====\nBook\n====\n\n{body}\n\nOne\n~~~\n\n{body}\n\nDeep\n^^^^\n\n{body}\n\n"
        f"Two\n~~~\n\n{body}\n\n-----\n\nnot a heading"
    )
    found = chunks(text, "rst")
    assert [c.heading for c in found] == [
        ("Book",),
        ("Book", "One"),
        ("Book", "One", "Deep"),
        ("Book", "Two"),
    ]
    assert found[0].text.startswith("====\nBook\n====\n\nThe notice")


def test_lines_in_fenced_code_and_front_matter_are_not_headings() -> None:
    text = (
        "---\ntitle: x\n---\n# Real\n\n```sh\n# comment\n\n# more\n```\n~~~\n# tilde\n```\n~~~\n"
        + prose(2)
    )
    assert {c.heading for c in chunks(text)} <= {(), ("Real",)}
    assert all(c.heading == () for c in chunks("# not a heading\n\n" + prose(3), "text"))


def test_a_fence_that_is_never_closed_hides_no_heading() -> None:
    found = chunks(f"# A\n\n{prose(4)}\n\n```python\ncode\n\n# B\n\n{prose(4)}")
    assert [c.heading for c in found] == [("A",), ("B",)]


def test_small_sections_share_a_chunk_under_what_their_paths_have_in_common() -> None:
    text = "# FAQ\n\n" + "\n\n".join(f"## Question {n}?\n\nAnswer {n}." for n in range(6))
    (chunk,) = chunks(text)
    assert chunk.heading == ("FAQ",)
    assert chunk.text == text


def test_small_sections_do_not_leave_their_parent() -> None:
    big = prose(6)
    text = f"# A\n\n{big}\n\n## A1\n\nshort\n\n# B\n\n## B1\n\n{big}"
    found = chunks(text)
    assert all(not ("short" in c.text and "# B\n" in c.text) for c in found)
    assert next(c for c in found if "short" in c.text).heading == ("A", "A1")


def test_a_heading_is_never_alone() -> None:
    text = "\n\n".join(f"# Part {n}\n\n## Chapter {n}\n\n{prose(9)}" for n in range(5))
    for c in chunks(text):
        assert c.text.count(".") >= 3
        assert not c.text.split("\n")[-1].startswith("#")


def test_a_huge_table_is_cut_between_rows() -> None:
    row = "| {n} | Berlin | 12.50 | open |"
    text = "Intro.\n\n| id | city | sum | state |\n| --- | --- | --- | --- |\n" + "\n".join(
        row.format(n=n) for n in range(3000)
    )
    found = chunks(text, overlap=0)
    assert max(c.tokens for c in found) <= 300
    assert all(c.text.endswith("|") and c.text.startswith(("|", "Intro")) for c in found)


def test_code_is_cut_between_definitions() -> None:
    body = "".join(f"    value_{i} = compute({i})\n\n" for i in range(8))
    text = "import os\n\n\n" + "\n\n".join(f"def f{n}():\n{body}" for n in range(20))
    found = chunks(text, "code")
    assert max(c.tokens for c in found) <= 300
    assert all(c.text.startswith(("def f", "import os")) for c in found)


def test_rows_of_data_stay_whole() -> None:
    text = "\n".join(
        f"name: Item {n}; city: Lyon; state: sold. Twice; sum: {n}.50" for n in range(500)
    )
    for c in chunks(text, "csv"):
        assert c.text.startswith("name: ")
        assert c.text.endswith(".50")


def test_page_is_the_one_on_which_a_chunk_starts() -> None:
    parts = [prose(6), "", prose(1), prose(6)]
    text, pages, at = "\n\n".join(parts), [], 0
    for number, part in enumerate(parts, 1):
        pages.append(Page(number, at, at + len(part)))
        at += len(part) + 2
    found = chunks(text, "pdf", pages=tuple(pages))
    for c in found:
        assert c.page == max(p.number for p in pages if p.start < p.end and p.start <= c.start)
    assert {c.page for c in found} >= {1, 4}
    assert all(c.page is None for c in chunks(text))
