"""Formats of a program's own and of installed packages: real packages, files and processes."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from commands import REPOSITORY, Shell, write_files
from hash_embedder import HashEmbedder, contents, dense

from ragkit.config import Config, LoadSettings, SplitSettings
from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.child import APART_BYTES
from ragkit.ingest.load import Format, Formats, Parsed, Parser, load_document, walk_files
from ragkit.ingest.load.formats import FORMATS
from ragkit.ingest.prepare import Prepared, Preparer
from ragkit.pipeline import Pipeline
from ragkit.records import Page

if TYPE_CHECKING:
    from pathlib import Path

    from ollama_double.server import OllamaServer

    from ragkit.ingest.load.formats import Reader
    from ragkit.records import IndexReport

WORDS = Config().with_values({"models.embedder": "none", "search.mode": "keyword"})
PACKAGE = """
import os, time
from pathlib import Path
from ragkit.ingest.load import Format, Parsed

with (Path(__file__).parent / "imports.log").open("a") as log:
    log.write(f"{os.getpid()}\\n")

FORMAT = Format("notes", (".nts", ".md"), "nts_reader:read", "markdown")
OTHER = Format("pdf", (".pdx",), "nts_reader:read")

def read(data, name):
    text = data.decode()
    if "hang" in text:
        time.sleep(600)
    if "broken" in text:
        raise ValueError("no notes")
    if "exit" in text:
        os._exit(7)
    return Parsed(text.replace("!", "# ").replace("PID", str(os.getpid())))
"""
ENTRY_POINTS = """[ragkit.readers]
broken = no_such_module:FORMAT
notes = nts_reader:FORMAT
other = nts_reader:OTHER
wrong = nts_reader:PID
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of an installed package that reads ``.nts``."""
    return write_files(
        tmp_path / "packages",
        {
            "nts_reader.py": PACKAGE,
            "nts_reader-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: nts-reader\n"
            "Version: 1.0\n",
            "nts_reader-1.0.dist-info/entry_points.txt": ENTRY_POINTS,
        },
    )


def imported(package: Path) -> int:
    log = package / "imports.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def shell(tmp_path: Path, package: Path, ollama: OllamaServer) -> Shell:
    path = os.pathsep.join((str(REPOSITORY), str(package)))
    return Shell(tmp_path, ollama.url, PYTHONPATH=path)


# --- installed packages -------------------------------------------------------------------------


@pytest.mark.long
def test_an_installed_package_adds_a_format_and_its_failures_end_no_run(shell: Shell) -> None:
    write_files(
        shell.folder / "docs",
        {
            "a.nts": "!Leave\n\nLeave is thirty days.\n",
            "b.nts": "broken",
            "c.nts": "exit",
            "d.nts": "hang",
            "plain.md": "!Notice\n\nThe notice period is three months.\n",
        },
    )

    run = shell("index", "docs", "--json", "--set", "load.parse_timeout_s=2", code=3)
    listed = shell("list", "--json").json
    (hit,) = shell("search", "thirty days of leave", "--kind", "notes", "--json").json

    assert run.json["added"] == ["a.nts", "plain.md"]
    assert {o["path"]: o["reason"] for o in run.json["failed"]} == {
        "b.nts": "cannot be parsed: ValueError: no notes",
        "c.nts": "its parser ended without a reply (exit status 7)",
        "d.nts": "took longer than 2 s to parse",
    }
    assert [(d["kind"], d["title"]) for d in listed] == [("notes", "Leave"), ("markdown", "plain")]
    assert hit["heading"] == ["Leave"]
    assert "The reader broken (no_such_module:FORMAT) cannot be loaded" in run.err
    assert "the kind pdf is taken" in run.err
    assert "The reader wrong (nts_reader:PID)" in run.err


def test_packages_are_looked_for_once_and_only_if_no_format_of_ragkits_own_fits(
    shell: Shell, package: Path
) -> None:
    docs = write_files(shell.folder / "docs", {"a.md": "Leave is thirty days.", "b.txt": "Words."})
    shell("index", "docs")
    shell("index", "docs")
    assert imported(package) == 0

    write_files(docs, {"a.png": "P", "b.png": "P", "c.svg": "S"})
    skipped = shell("index", "docs", "--json").json["skipped"]
    assert [o["reason"] for o in skipped] == ["no reader for .png"] * 2 + ["no reader for .svg"]
    assert imported(package) == 1


# --- a program's own ----------------------------------------------------------------------------


def update(folder: Path, *given: Format, docs: Path) -> IndexReport:
    with Pipeline(folder, embedder=HashEmbedder(), readers=given) as rag:
        return rag.index(docs)


def test_a_reader_named_by_its_path_runs_in_another_process(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package)
    own = Format("own", (".own",), "nts_reader:read", sandboxed=False)
    apart = Format("apart", (".apart",), "nts_reader:read")
    docs = write_files(tmp_path / "docs", {"a.own": "PID", "b.apart": "PID", "c.apart": "PID"})

    report = update(tmp_path / "index", own, apart, docs=docs)

    assert report.added == ("a.own", "b.apart", "c.apart")
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        here, *there = (text for _, text in contents(rag))
    assert here == str(os.getpid())
    assert there[0] == there[1] != here


def test_doctor_names_the_readers_of_installed_packages(shell: Shell) -> None:
    findings = {f["what"]: f["detail"] for f in shell("doctor", "--json").json}
    assert findings["reader notes"] == "*.nts, of an installed package"


def test_a_function_runs_here_even_if_there_is_much_to_read(tmp_path: Path) -> None:
    pids = []

    def read(data: bytes, name: str) -> Parsed:
        pids.append(os.getpid())
        if b"broken" in data:
            msg = f"{name} is broken"
            raise KeyError(msg)
        return Parsed(data.decode())

    files = {"a.own": "Own words.", "b.own": "broken", "c.md": "Other words. " * 100_000}
    docs = write_files(tmp_path / "docs", files)

    report = update(tmp_path / "index", Format("own", (".own",), read), docs=docs)

    assert (docs / "c.md").stat().st_size > APART_BYTES
    assert report.added == ("a.own", "c.md")
    (failed,) = report.failed
    assert failed.path == "b.own"
    assert failed.reason.startswith("cannot be parsed: KeyError: ")
    assert pids == [os.getpid()] * 2


def test_a_given_format_takes_the_place_of_ragkits(tmp_path: Path) -> None:
    def read(_data: bytes, _name: str) -> Parsed:
        return Parsed("read by another")

    formats = Formats([Format("html", (".HTML", ".csv"), read)])
    for name in ("a.html", "b.csv", "c.htm"):
        (tmp_path / name).write_bytes(b"a,b")

    assert [e.status for e in walk_files(tmp_path, LoadSettings(), formats)] == [
        "file",
        "file",
        "skipped",
    ]
    with Parser(LoadSettings(), formats) as parser:
        document = load_document(
            tmp_path / "b.csv", root=tmp_path, settings=LoadSettings(), parser=parser
        )
        with pytest.raises(UnsupportedFormatError, match=r"no reader for \.htm"):
            load_document(tmp_path / "c.htm", root=tmp_path, settings=LoadSettings(), parser=parser)
    assert (document.kind, document.text) == ("html", "read by another")


def test_another_process_has_given_formats_too(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package)
    row = Format("rows", (".nts",), "nts_reader:read", "rows", sandboxed=False)
    (tmp_path / "a.nts").write_text("One word. " * 200 + "\nPID")
    formats = Formats([row])
    preparer = Preparer(LoadSettings(), SplitSettings(), 512, formats)

    (prepared,) = preparer.prepare([(tmp_path / "a.nts", tmp_path)], size_bytes=APART_BYTES)

    assert isinstance(prepared, Prepared)
    assert prepared.document.text.splitlines()[-1] != str(os.getpid())
    starts, ends = [c.start for c in prepared.chunks], [c.end for c in prepared.chunks]
    assert len(starts) > 1
    assert all(start >= end for start, end in zip(starts[1:], ends, strict=False))  # no overlap
    assert pickle.loads(pickle.dumps(formats)).given == (row,)  # noqa: S301 -- of this test


# --- what a reader returns ----------------------------------------------------------------------


def parsed_with(reader: Reader) -> Parsed:
    with Parser(LoadSettings(), Formats([Format("own", (".own",), reader)])) as parser:
        return parser.parse("own", b"", "a.own")


def test_text_and_pages_are_normalised_where_a_reader_returns() -> None:
    pages = (Page(1, 0, 6), Page(2, 6, 9))
    raw = Parsed("a\r\nb\r\nc\0d", title="T\0", pages=pages)
    assert parsed_with(lambda _data, _name: raw) == replace(
        raw, text="a\nb\ncd", title="T", pages=(Page(1, 0, 4), Page(2, 4, 6))
    )


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("only text", "TypeError: a reader returns a Parsed, not 'only text'"),
        (Parsed("ab", pages=(Page(1, 0, 3),)), "ValueError: pages lie in the text, in order"),
        (Parsed("ab", pages=(Page(1, 1, 2), Page(2, 0, 1))), "pages lie in the text, in order"),
        (Parsed("ab", metadata={"x": {1, 2}}), "value of 'x' in metadata is no JSON: {1, 2}"),
        (Parsed("ab", metadata={"x": float("nan")}), "value of 'x' in metadata is no JSON: nan"),
        (Parsed("ab", metadata=["x"]), "metadata are values by name"),  # type: ignore[arg-type]
        (Parsed("ab", metadata={"notes": [3]}), "a list of sentences"),
        (Parsed(3), "the text of a Parsed is a str, not 3"),  # type: ignore[arg-type]
        (Parsed("ab", title=3), "the title of a Parsed is a str, not 3"),  # type: ignore[arg-type]
        (Parsed("ab", metadata={"failed_pages": [1]}), "AttributeError"),
        (Parsed("ab", metadata={"notes": "no macros"}), "a list of sentences"),
    ],
)
def test_what_no_later_stage_can_use_fails_the_file(returned: Parsed, reason: str) -> None:
    with pytest.raises(LoadError, match="cannot be parsed: ") as caught:
        parsed_with(lambda _data, _name: returned)
    assert reason in str(caught.value)


def test_metadata_that_no_text_can_hold_end_no_run(tmp_path: Path) -> None:
    front = '---\nauthor: "\\ud800x"\n"k\\udfff": 1\n---\nBody.'
    docs = write_files(tmp_path / "docs", {"a.md": front, "b.md": "Fine."})
    with Pipeline(tmp_path / "index", WORDS) as rag:
        assert rag.index(docs).added == ("a.md", "b.md")
        assert rag.documents()[0].metadata == {"author": "\ufffdx", "k\ufffd": 1}


def test_a_reader_that_cannot_be_imported_fails_the_file() -> None:
    for path in ("no_such_module:read", "json:no_such_function"):
        with (
            Parser(LoadSettings(), Formats([Format("own", (".own",), path)])) as parser,
            pytest.raises(LoadError, match="its parser cannot be imported"),
        ):
            parser.parse("own", b"", "a.own")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"suffixes": ("own",)}, "suffixes"),
        ({"suffixes": ".own"}, "suffixes"),
        ({"suffixes": (".tar.gz",)}, "suffixes"),
        ({"reader": "package.module"}, "package.module:function"),
        ({"reader": 3}, "the reader 3 is not of the form .*, nor a function"),
        ({"structure": "html"}, "structure"),
    ],
)
def test_a_wrong_format_is_refused_at_once(values: dict[str, object], reason: str) -> None:
    right = {"kind": "own", "suffixes": (".own",), "reader": "package.module:function"}
    assert Format(**right).sandboxed  # type: ignore[arg-type]  # any values
    with pytest.raises(ValueError, match=reason):
        Format(**right | values)  # type: ignore[arg-type]  # as above


def test_no_two_formats_of_ragkits_own_share_a_kind_or_a_name() -> None:
    kinds = [row.kind for row in FORMATS]
    keys = [key for row in FORMATS for key in row.keys]
    assert len(set(kinds)) == len(kinds)
    assert len(set(keys)) == len(keys)


def test_the_example_of_the_page_about_readers_works(tmp_path: Path) -> None:
    code = (REPOSITORY / "docs/readers.md").read_text().split("```python\n")[1].split("```")[0]
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102 -- the page's example is what is tested
    row = replace(scope["FORMAT"], reader=scope["read_srt"])
    lines = "1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n\n2\n00:01 --> 00:02\nGoodbye.\n"
    docs = write_files(tmp_path / "docs", {"film.srt": lines})

    update(tmp_path / "index", row, docs=docs)

    with dense(HashEmbedder(), tmp_path / "index") as rag:
        assert [text for _, text in contents(rag)] == ["Good morning.\n\nGoodbye."]
        assert [d.kind for d in rag.documents()] == ["srt"]


def test_an_answer_from_an_added_format_is_verified_to_the_line(tmp_path: Path) -> None:
    def read(data: bytes, _name: str) -> Parsed:
        return Parsed(data.decode())

    row = Format("own", (".own",), read, keeps_lines=True)
    docs = write_files(tmp_path / "docs", {"a.own": "Preface\n\nThe tower is 98 metres high.\n"})
    index, embedder = tmp_path / "index", HashEmbedder()
    config = Config().with_values({"search.mode": "keyword", "models.chat": "none"})

    with Pipeline(index, config, embedder=embedder, readers=[row]) as rag:
        rag.index(docs)
        answer = rag.ask("How high is the tower?")
        known = rag.verify(answer)
    with Pipeline(index, config, embedder=embedder) as rag:
        unknown = rag.verify(answer)

    assert [(c.state, c.line) for c in known.citations] == [("holds", 3)]
    assert [c.state for c in unknown.citations] == ["unreadable"]
