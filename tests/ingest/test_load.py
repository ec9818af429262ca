"""Loading: what each kind of file becomes, by value, and how odd files fail."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import make_files
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.config import LoadSettings
from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load import Parser, fingerprint, load_document
from ragkit.ingest.load.formats import normalise
from ragkit.ingest.load.readers.text import markdown_title, rst_title
from ragkit.records import Document, Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = LoadSettings()


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser(SETTINGS) as one:
        yield one


class Loader:
    """Writes a file and loads it."""

    def __init__(self, root: Path, parser: Parser) -> None:
        self.root = root
        self.parser = parser

    def __call__(self, name: str, content: bytes | str) -> Document:
        data = content.encode() if isinstance(content, str) else content
        (self.root / name).write_bytes(data)
        return self.path(self.root / name)

    def path(self, path: Path) -> Document:
        return load_document(path, root=self.root, settings=SETTINGS, parser=self.parser)


@pytest.fixture
def load(tmp_path: Path, parser: Parser) -> Loader:
    return Loader(tmp_path, parser)


def test_a_document_tells_where_it_came_from(tmp_path: Path, parser: Parser) -> None:
    path = tmp_path / "sub" / "note.md"
    path.parent.mkdir()
    path.write_bytes(b"\xef\xbb\xbf# A note\r\n\r\nwords\rmore\n")
    document = load_document(path, root=tmp_path, settings=SETTINGS, parser=parser)
    root = tmp_path.as_posix()
    assert document == Document(
        doc_id=hashlib.sha256(f"{root}\0sub/note.md".encode()).hexdigest()[:32],
        root=root,
        path="sub/note.md",
        title="A note",
        kind="markdown",
        text="# A note\n\nwords\nmore\n",
        file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size_bytes=26,
        mtime_ns=path.stat().st_mtime_ns,
        encoding="utf-8-sig",
    )


def test_a_file_given_as_root_is_the_same_document_as_in_its_folder(load: Loader) -> None:
    document = load("a.txt", "words")
    path = load.root / "a.txt"
    alone = load_document(path, root=path, settings=SETTINGS, parser=load.parser)
    assert alone == document


def test_legacy_encodings_are_detected_and_recorded(load: Loader) -> None:
    document = load("合同.txt", "本合同自双方签字之日起生效，有效期为三年。".encode("gb18030"))
    assert document.text == "本合同自双方签字之日起生效，有效期为三年。"
    assert (document.encoding, document.title, document.metadata) == ("gb18030", "合同", {})


def test_bytes_that_do_not_fit_are_counted(load: Loader) -> None:
    document = load("a.txt", "中文内容完整".encode() + b"\xff" + "中文内容完整".encode())
    assert document.metadata == {"replacement_characters": 1}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntags: x\ntitle: 'From the front'\n---\n# Heading\n", "From the front"),
        ("---\ntags: x\n---\nintro\n\n## Second ##\n", "Second"),
        ("Under\n=====\n\n# Later\n", "Under"),
        ("# First steps { #first-steps }\n", "First steps"),
        ("```\n# comment\n```\n# Real\n", "Real"),
        ("no heading #here\n", ""),
        ("# " + "x " * 30_000, "x " * 9_999 + ""),
    ],
)
def test_markdown_titles(text: str, title: str) -> None:
    assert markdown_title(text) == title.strip()


def test_restructuredtext_titles() -> None:
    assert rst_title("=====\nGuide\n=====\n\nOther\n-----\n") == "Guide"
    assert rst_title("no title\n") == ""


def test_source_code_is_kept_as_it_is(load: Loader) -> None:
    document = load("tool.py", "def f():\n\treturn  1  # 中文\n")
    assert (document.kind, document.text) == ("code", "def f():\n\treturn  1  # 中文\n")
    assert document.title == "tool"


HTML = """<!doctype html><html><head><title>Page &amp; title</title><style>p {}</style></head>
<body><script>run()</script><h1>One <b>head</b>ing</h1><p>Text  with
<i>inline</i> words.<br>next line</p>
<div hidden>SECRET</div><p style="color:red; Display : None">SECRET</p>
<span style="visibility:hidden">SECRET</span><template>SECRET</template><!-- SECRET -->
<p style="font-size:0">SECRET</p><p style="font-size: 0.9em">kept</p>
<ul><li>first<ul><li>nested</li></ul></li><li><p>second</p></li></ul>
<table><tr><th>Name</th><th>Value</th></tr><tr><td>a<br>b</td><td><p>1</p></td></tr></table>
<pre>
  code {
    # kept
  }
</pre><h2>Two</h2>tail</body></html>"""

HTML_TEXT = """# One heading

Text with inline words.
next line

kept

- first
  - nested
- second

| Name | Value |
|---|---|
| a b | 1 |

```
  code {
    # kept
  }
```

## Two

tail"""


def test_html_becomes_what_its_reader_sees(load: Loader) -> None:
    document = load("page.html", HTML)
    assert document.text == HTML_TEXT
    assert (document.kind, document.title, document.encoding) == ("html", "Page & title", "utf-8")


def test_html_keeps_a_power_apart_from_its_base(load: Loader) -> None:
    page = "<p>2<sup>8</sup> minus 1, <i>10</i><sup>6</sup>, 5 m<sup>2</sup>, so<sup>[1]</sup>"
    assert load("p.html", page).text == "2^8 minus 1, 10^6, 5 m², so[1]"


def test_html_is_read_in_the_encoding_that_it_declares(load: Loader) -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=big5"><h1>標題</h1>'
    document = load("p.htm", page.encode("big5"))
    assert (document.text, document.title, document.encoding) == ("# 標題", "標題", "big5")


def test_a_table_that_arranges_a_page_is_read_in_blocks(load: Loader) -> None:
    page = "<table><tr><td><h2>Left</h2><p>words</p></td><td>right</td></tr></table>"
    assert load("p.html", page).text == "## Left\n\nwords\n\nright"


def test_html_nested_beyond_the_parser_fails_instead_of_losing_text(load: Loader) -> None:
    deep = 1500
    assert load("a.html", "<div>" * deep + "deep").text == "deep"
    with pytest.raises(LoadError, match="goes beyond a limit of its parser"):
        load("b.html", "<div>" * 100_000 + "deep")


def test_a_pdf_keeps_its_pages_and_names_those_without_text(load: Loader) -> None:
    document = load("a.pdf", make_files.pdf(["First page", "", "第三页的内容"], title="报告"))
    assert document.text == "First page\n\n\n\n第三页的内容"
    assert document.pages == (Page(1, 0, 10), Page(2, 12, 12), Page(3, 14, 20))
    assert document.text[14:20] == "第三页的内容"
    assert document.pages_without_text == (2,)
    assert (document.title, document.kind, document.encoding) == ("报告", "pdf", None)


def test_no_marks_of_markdown_make_a_title_in_a_pdf(load: Loader) -> None:
    document = load("report.pdf", make_files.pdf(["# of seats: 4"]))
    assert (document.text, document.title) == ("# of seats: 4", "report")


def test_a_pdf_page_that_cannot_be_read_is_told_and_the_others_kept(load: Loader) -> None:
    document = load("a.pdf", make_files.pdf_with_broken_page("good page"))
    assert (document.text.strip(), document.pages_without_text) == ("good page", (2,))
    assert list(document.metadata["failed_pages"]) == ["2"]


def test_an_encrypted_pdf_opens_with_the_empty_password_only(load: Loader) -> None:
    assert load("open.pdf", make_files.pdf(["words"], password="")).text == "words"
    with pytest.raises(LoadError, match="is encrypted"):
        load("closed.pdf", make_files.pdf(["words"], password="geheim"))  # noqa: S106 -- a file made for this test


@pytest.mark.parametrize("name", ["a.pdf", "a.docx"])
@pytest.mark.parametrize("content", [b"", b"%PDF-1.7 nonsense", b"PK\x03\x04 nonsense"])
def test_broken_files_fail_clearly(load: Loader, name: str, content: bytes) -> None:
    with pytest.raises(LoadError, match=r"^not a readable (PDF|DOCX): "):
        load(name, content)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_files_fail_or_give_what_is_left(load: Loader, share: float) -> None:
    for name, whole in (
        ("a.pdf", make_files.pdf(["words"])),
        ("a.docx", make_files.docx(make_files.paragraph("words"))),
    ):
        try:
            text = load(name, whole[: int(len(whole) * share)]).text
        except LoadError as exc:
            text = str(exc)
        assert text in ("", "words") or text.startswith("not a readable ")


def test_word_documents_keep_headings_lists_and_tables_in_order(load: Loader) -> None:
    body = (
        make_files.paragraph("Report", style="Title")
        + make_files.paragraph("Results", style="Heading2")
        + make_files.paragraph("Before the table.")
        + make_files.table([["Year", "Sum"], ["2024", "7"]])
        + make_files.paragraph("one", number=True)
        + make_files.paragraph("two", style="ListBullet")
        + make_files.paragraph("最后一段。")
    )
    document = load("a.docx", make_files.docx(body))
    assert document.text == (
        "# Report\n\n## Results\n\nBefore the table.\n\n| Year | Sum |\n|---|---|\n| 2024 | 7 |\n\n"
        "- one\n- two\n\n最后一段。"
    )
    assert (document.title, document.kind) == ("Report", "docx")


def test_word_text_is_what_its_reader_sees(load: Loader) -> None:
    run = make_files.run
    body = (
        f"<w:p>{run('kept ')}<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
        f"<w:ins>{run('inserted')}</w:ins>{run(' hidden', '<w:vanish/>')}</w:p>"
        f"<w:sdt><w:sdtContent>{make_files.paragraph('in a control')}</w:sdtContent></w:sdt>"
    )
    document = load("a.docx", make_files.docx(body, title="Named"))
    assert (document.text, document.title) == ("kept inserted\n\nin a control", "Named")


def test_an_old_word_document_under_the_name_of_a_new_one_is_named_as_that(load: Loader) -> None:
    with pytest.raises(LoadError, match=r"is an old \.doc file"):
        load("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500))


def test_every_csv_row_explains_itself(load: Loader) -> None:
    content = 'name;city;note\nAda;London;"two\nlines; here"\n李雷;;\n\nBo;Rome;x;extra\n'
    document = load("a.csv", content)
    assert document.text == (
        "name: Ada; city: London; note: two lines; here\n"
        "name: 李雷\n"
        "name: Bo; city: Rome; note: x; column 4: extra"
    )
    assert document.kind == "csv"


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.tsv", "k\tv\na, b\t1\n", "k: a, b; v: 1"),
        ("a.csv", "1,2\n3,4\n", "column 1: 1; column 2: 2\ncolumn 1: 3; column 2: 4"),
        ("b.csv", "only a header,here\n", "only a header; here"),
        ("c.csv", "text\nplain words\n", "text: plain words"),
        ("d.csv", ",a\nx,1\n", "column 1: x; a: 1"),
        ("e.csv", "a,b\n" + "x" * 200_000 + ",1\n", "a: " + "x" * 200_000 + "; b: 1"),
    ],
)
def test_csv_dialects(load: Loader, name: str, content: str, text: str) -> None:
    assert load(name, content).text == text


def test_json_becomes_lines_of_path_and_value(load: Loader) -> None:
    content = (
        '{"title": "T", "a": {"b": [1.10, true, null]}, "e": [], "a": "again", "n": "\\u4e2d"}'
    )
    document = load("a.json", content)
    assert document.text == (
        "title: T\na.b[0]: 1.10\na.b[1]: true\na.b[2]: null\ne: []\na: again\nn: 中"
    )
    assert (document.title, document.kind) == ("T", "json")
    assert load("b.json", '[{"x": "\\u0000\\ud800"}, 2]').text == "[0].x: \ufffd\n\n[1]: 2"


def test_json_lines_are_paragraphs(load: Loader) -> None:
    document = load("a.jsonl", '{"q": 1, "a": "x"}\n\n{"q": 2}\n')
    assert (document.text, document.kind) == ("q: 1\na: x\n\nq: 2", "jsonl")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", '{"a": 1,\n "b": }', "not valid JSON at line 2, column 7"),
        ("a.jsonl", '{"a"\n{"b"\n{"c": 1}', "not valid JSON at line 1, column 5"),
        ("b.json", "[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_json_names_the_place(load: Loader, name: str, content: str, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        load(name, content)


def test_a_number_of_any_length_is_kept(load: Loader) -> None:
    assert load("a.json", "9" * 6000).text == "9" * 6000


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.py", "a.csv", "a.json", "a.html"])
def test_binary_content_under_a_text_name_is_refused(load: Loader, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match="looks binary"):
        load(name, make_files.compressed(b"picture" * 1000))


def test_a_name_without_reader_is_refused(load: Loader) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"no reader for \.xyz"):
        load("a.xyz", "words")


def test_one_line_of_five_megabytes_loads(load: Loader) -> None:
    line = "长行 long " * 500_000
    document = load("a.txt", line)
    assert len(document.text) == len(line)
    assert document.text == line


def test_files_that_cannot_be_read_fail_with_the_reason(load: Loader) -> None:
    (load.root / "gone.md").symlink_to(load.root / "nothing.md")
    (load.root / "folder.md").mkdir()
    os.mkfifo(load.root / "pipe.md")
    reasons = {
        "gone.md": "cannot be read: No such file",
        "vanished.md": "cannot be read: No such file",
        "folder.md": "cannot be read: Is a directory",
        "pipe.md": "not a regular file",
    }
    for name, reason in reasons.items():
        with pytest.raises(LoadError, match=reason) as caught:
            load.path(load.root / name)
        assert caught.value.path == load.root / name


def test_a_file_that_outgrew_the_limit_is_refused(load: Loader) -> None:
    path = load.root / "a.txt"
    path.write_bytes(b"x" * 2000)
    small = replace(SETTINGS, max_file_mb=0.001)
    with pytest.raises(LoadError, match=r"larger than 0\.001 MB"):
        load_document(path, root=load.root, settings=small, parser=load.parser)


def test_a_path_outside_the_root_is_refused_also_through_a_link(load: Loader) -> None:
    inner = load.root / "inner"
    inner.mkdir()
    (load.root / "secret.md").write_text("words")
    (inner / "link.md").symlink_to(load.root / "secret.md")
    for path in (load.root / "secret.md", inner / ".." / "secret.md", inner / "link.md"):
        with pytest.raises(LoadError, match="lies outside the root"):
            load_document(path, root=inner, settings=SETTINGS, parser=load.parser)


def test_a_root_that_is_a_link_works_and_keeps_its_name(load: Loader) -> None:
    real, link = load.root / "release-1", load.root / "current"
    real.mkdir()
    (real / "a.md").write_text("words")
    link.symlink_to(real)
    document = load_document(link / "a.md", root=link, settings=SETTINGS, parser=load.parser)
    assert (document.root, document.path) == (link.as_posix(), "a.md")


def test_a_name_that_is_no_utf_8_loads_and_can_be_stored(load: Loader) -> None:
    raw = os.fsencode(load.root) + b"/caf\xe9.html"
    with open(raw, "wb") as file:  # noqa: PTH123 -- pathlib takes no bytes
        file.write(b"<p>words</p>")
    document = load.path(load.root / os.fsdecode(b"caf\xe9.html"))
    assert (document.path, document.text) == ("caf\\xe9.html", "words")


def test_a_fingerprint_is_that_of_the_document(load: Loader) -> None:
    document = load("a.txt", "words " * 1000)
    assert fingerprint(load.root / "a.txt") == (
        document.file_sha256,
        document.size_bytes,
        document.mtime_ns,
    )
    with pytest.raises(LoadError, match="cannot be read"):
        fingerprint(load.root / "nothing.txt")


def test_a_file_that_is_replaced_is_the_old_or_the_new_one(load: Loader) -> None:
    path = load.root / "a.txt"
    states = {letter * 2_000_000 for letter in "ab"}
    path.write_text(min(states))
    stop = threading.Event()

    def replace_often() -> None:
        while not stop.is_set():
            for state in states:
                (load.root / "new").write_text(state)
                (load.root / "new").replace(path)

    writer = threading.Thread(target=replace_often)
    writer.start()
    try:
        documents = [load.path(path) for _ in range(20)]
    finally:
        stop.set()
        writer.join()
    assert {d.text for d in documents} <= states
    assert all(hashlib.sha256(d.text.encode()).hexdigest() == d.file_sha256 for d in documents)


def test_a_file_that_never_stops_growing_fails_with_the_reason(load: Loader) -> None:
    path = load.root / "a.log"
    path.write_bytes(b"line\n" * 2_000_000)
    code = "import os, sys\nwith open(sys.argv[1], 'ab', 0) as f:\n  while True: f.write(b'x')"
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as writer:
        try:
            outcomes: set[str] = set()
            deadline = time.monotonic() + 30
            while "changes while it is read" not in outcomes and time.monotonic() < deadline:
                outcomes.add(_outcome(load, path))
        finally:
            writer.kill()
    assert "changes while it is read" in outcomes


def _outcome(load: Loader, path: Path) -> str:
    try:
        return load.path(path).file_sha256
    except LoadError as exc:
        return str(exc)


@given(st.text(alphabet=st.characters(codec=None)))
def test_normalised_text_can_be_stored_and_stays_as_it_is(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once.encode().decode() == once
    assert not set(once) & {"\0", "\r"}


def test_surrogates_become_characters_where_they_pair() -> None:
    assert normalise("\ufeffa\r\nb\rc\0 \ud83d\ude00 \ud83d") == "a\nb\nc 😀 \ufffd"


def test_loading_imports_no_parser_that_it_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("words")
    code = (
        "import sys; from pathlib import Path; from ragkit.config import LoadSettings\n"
        "from ragkit.ingest.load import Parser, load_document\n"
        "root, settings = Path(sys.argv[1]), LoadSettings()\n"
        "with Parser(settings) as parser:\n"
        "    load_document(root / 'a.md', root=root, settings=settings, parser=parser)\n"
        "    print(parser.pid, sorted({'lxml', 'pypdf', 'docx', 'csv'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "None []\n"
