"""RTF, Outlook's messages, old office files and encrypted ones: what the extra `office` reads."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import make_files
import pytest
from commands import Shell
from msoffcrypto.format.ooxml import OOXMLFile
from office_files import pptx, rewritten, shape, xlsx
from ole_files import compound_file, locked_doc, locked_ppt, locked_xls, msg

from ragkit.config import LoadSettings
from ragkit.errors import ConfigError, LoadError, UnsupportedFormatError
from ragkit.ingest.load import Parser, load_document
from ragkit.ingest.load.aids import ReadingAids, read_passwords, with_aids
from ragkit.ingest.load.formats import read_with
from ragkit.ingest.load.readers.docx import read_docx
from ragkit.ingest.load.readers.msg import read_msg
from ragkit.ingest.load.readers.old_office import read_doc, read_ppt
from ragkit.ingest.load.readers.pdf import read_pdf
from ragkit.ingest.load.readers.pptx import read_pptx
from ragkit.ingest.load.readers.rtf import read_rtf
from ragkit.ingest.load.readers.sheets import read_sheets
from ragkit.ingest.load.readers.zip_parts import OLE

if TYPE_CHECKING:
    from ragkit.ingest.load.formats import Reader

SAMPLES = Path(__file__).parent.parent / "samples"
WORD = make_files.word_package(f"<w:p>{make_files.run('Berth 4 is free.')}</w:p>")

# RTF --------------------------------------------------------------------------------------------


def rtf(body: str, head: str = "") -> bytes:
    return (r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}" + head + body + "}").encode("latin-1")


def test_rtf_keeps_headings_tables_lists_and_notes() -> None:
    styles = r"{\stylesheet{\s0 Normal;}{\s1\sb240\b heading 1;}{\s2\outlinelevel1 Own;}}"
    body = (
        r"\pard\s1 Fees\par\pard\s2 Boats\par\pard\outlinelevel2 Yachts\par"
        r"\pard Paid{\super\chftn{\footnote\pard In \i cash\i0 .}} yearly.\par"
        r"\trowd\cellx1\cellx2 Craft\cell Fee\cell\row\trowd Yacht\cell 12\cell\row"
        r"\pard{\listtext 1.\tab}Call\par{\pntext\'b7\tab}Wait\par"
    )
    assert read_rtf(rtf(body, styles), "a.rtf").text.split("\n\n") == [
        "# Fees", "## Boats", "### Yachts", "Paid¹ yearly.", "¹ In cash.",
        "| Craft | Fee |\n|---|---|\n| Yacht | 12 |", "1. Call", "- Wait",
    ]  # fmt: skip


def test_rtf_is_what_is_seen() -> None:
    body = (
        r"10{\super 6} m\super 2\nosupersub  {\v unseen}seen{\strike old} \v unseen\v0 too"
        r"{\header Head}{\*\generator X;}{\pict 0102}\line # one\par"
    )
    found = read_rtf(rtf(body), "a.rtf")
    assert found.text == "10^6 m² seen too\n\n#\u00a0one"
    assert found.metadata == {
        "hidden": 2,
        "notes": ["struck-out text was left out in 1 place"],
    }


def test_rtf_is_decoded_as_it_says() -> None:
    head = (
        r"{\rtf1\ansi\ansicpg936{\info{\title \'ba\'cf\'cd\'ac}{\author Chen\~Wei}"
        r"{\keywords \u21512?, b}{\subject }{\creatim\yr2024\mo3\dy31\hr8\min0}}"
    )
    found = read_rtf((head + r"\'ba\'cf\'cd\'ac \u21512?\u-10179?\u-8704?\par}").encode(), "a.rtf")
    assert found.title == "合同"
    assert found.text.startswith("合同 合")
    assert found.metadata == {"author": "Chen Wei", "keywords": "合, b", "created": "2024-03-31"}


def test_properties_of_rtf_cost_no_more_than_their_length() -> None:
    stuffed = r"{\info{\title " + r"\aaaa" * 3_000 + "{"
    started = time.process_time()
    assert read_rtf(rtf(r"\pard Text\par", stuffed + "}}}"), "a.rtf").title == ""
    assert time.process_time() - started < 5


def test_what_is_no_rtf_is_refused_and_what_is_cut_ends() -> None:
    for data in (b"", b"plain text", b"PK\x03\x04", b"\0" * 50):
        with pytest.raises(UnsupportedFormatError, match="is no RTF"):
            read_rtf(data, "a.rtf")
    whole = rtf(r"\pard Text {\b bold} \'e9\par " * 5)
    texts = [read_with(read_rtf, whole[:end], "a.rtf").text for end in range(7, len(whole), 5)]
    assert texts[-1].startswith("Text bold é")
    assert all(texts[-1].startswith(text.strip()[:-4]) for text in texts)
    with pytest.raises(LoadError, match="nested deeper"):
        read_rtf(rtf("{" * 5_000 + "deep"), "a.rtf")


# Outlook ----------------------------------------------------------------------------------------

SUBJECT, TO, BODY, HEADERS, CLASS = 0x0037, 0x0E04, 0x1000, 0x007D, 0x001A
NAME, ADDRESS = 0x0C1A, 0x0C1F


def test_an_outlook_message_is_read_as_mail() -> None:
    data = msg(
        {
            SUBJECT: "合同 for café", TO: "Bob; Li", BODY: "Hello\r\n-----\r\nBye",
            CLASS: "IPM.Note", NAME: "Ann Müller", ADDRESS: "ann@x.example",
            HEADERS: "Date: Tue, 5 Mar 2024 14:07:00 +0100\r\n",
        },
        attachments={"a.txt": b"text", "a.TXT": b"more"},
    )  # fmt: skip
    found = read_msg(data, "a.msg")
    assert found.text.split("\n\n") == [
        "# 合同 for café",
        'From: "Ann Müller" <ann@x.example>\nTo: Bob; Li\nDate: 2024-03-05 14:07 +0100\n'
        "Attachments: a.txt, a (2).TXT",
        "Hello\n\u00a0-----\nBye",
    ]
    assert found.metadata == {
        "from": '"Ann Müller" <ann@x.example>',
        "to": "Bob; Li",
        "date": "2024-03-05 14:07 +0100",
        "subject": "合同 for café",
    }
    assert [(m.name, m.data) for m in found.members] == [("a.txt", b"text"), ("a (2).TXT", b"more")]


def test_an_outlook_message_may_be_html_or_of_a_kind_that_is_not_read() -> None:
    page = msg({SUBJECT: "s", CLASS: "IPM.Note"}, html="<p>Größe</p>".encode())
    assert read_msg(page, "a.msg").text == "# s\n\nGröße"
    packed = msg({SUBJECT: "s", CLASS: "IPM.Note"}, rtf=b"LZFu")
    assert read_msg(packed, "a.msg").metadata["notes"] == [
        "its text is in compressed RTF only, which is not read"
    ]


def test_what_is_no_outlook_message_fails_clearly() -> None:
    for data in (b"", b"From: a@x.example\n\nText", WORD):
        with pytest.raises(UnsupportedFormatError, match="no Outlook message"):
            read_msg(data, "a.msg")
    whole = msg({SUBJECT: "s" * 300, CLASS: "IPM.Note", BODY: "Text" * 300})
    broken = [whole[:600], whole[:1500], OLE + b"\0" * 2000, compound_file({"a": b"x"})]
    for data in (*broken, (SAMPLES / "fees.xls").read_bytes()):
        with pytest.raises(LoadError, match="not a readable MSG"):
            read_with(read_msg, data, "a.msg")


# LibreOffice ------------------------------------------------------------------------------------

FAKE = f"""#!{sys.executable}
import json, os, shutil, sys, time
from pathlib import Path
here = Path(__file__).parent
arguments = sys.argv[1:]
profile = next(a for a in arguments if a.startswith("-env:UserInstallation=file://"))
profile = Path(profile.partition("file://")[2], "user", "registrymodifications.xcu")
json.dump(
    dict(arguments=arguments, profile=profile.read_text(), home=os.environ["HOME"],
         secret=os.environ.get("RAGKIT_SECRET"), source=Path(arguments[-1]).read_bytes().hex()),
    (here / "seen.json").open("w"),
)
if (here / "hang").exists():
    (here / "pid").write_text(str(os.getpid()))
    time.sleep(60)
made = here / ("made." + arguments[arguments.index("--convert-to") + 1])
if made.exists():
    shutil.copy(made, Path(arguments[arguments.index("--outdir") + 1], "in" + made.suffix))
else:
    print("Error: source file could not be loaded")
"""
OLD = OLE + b"\0" * 600


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """A program in the place of LibreOffice: it gives what lies beside it, and notes its call."""
    program = tmp_path / "bin" / "soffice"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    return program


def test_an_old_file_is_read_as_what_libreoffice_makes_of_it(
    office: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGKIT_SECRET", "x")
    (office.parent / "made.docx").write_bytes(WORD)
    (office.parent / "made.pptx").write_bytes(pptx([shape("One"), shape("Two")]))
    (tmp_path / "a.doc").write_bytes(OLD)
    (tmp_path / "a.ppt").write_bytes(OLD)
    settings = LoadSettings(libreoffice=str(office))
    with Parser(settings) as parser:
        text, slides = (
            load_document(tmp_path / n, root=tmp_path, settings=settings, parser=parser)
            for n in ("a.doc", "a.ppt")
        )
    assert (text.kind, text.text) == ("doc", "Berth 4 is free.")
    assert (slides.kind, slides.text, len(slides.pages)) == ("ppt", "One\n\nTwo", 2)
    seen = json.loads((office.parent / "seen.json").read_text())
    assert {"--headless", "--norestore", "--convert-to"} < set(seen["arguments"])
    assert seen["source"] == OLD.hex()
    assert seen["secret"] is None
    assert not Path(seen["home"]).exists()  # a folder of its own, which is gone
    for setting in ("DisableMacrosExecution", "BlockUntrustedRefererLinks", "ooInetHTTPProxyName"):
        assert setting in seen["profile"]


def test_an_old_file_fails_alone_where_libreoffice_hangs_or_makes_nothing(office: Path) -> None:
    aids = ReadingAids(libreoffice=str(office), timeout_s=1.0)
    with with_aids(aids), pytest.raises(LoadError, match="nothing of it: Error: source file"):
        read_doc(OLD, "a.doc")
    (office.parent / "hang").touch()
    begun = time.monotonic()
    with with_aids(aids), pytest.raises(LoadError, match=r"took longer than 0\.8 s"):
        read_doc(OLD, "a.doc")
    assert time.monotonic() - begun < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((office.parent / "pid").read_text()), 0)
    for data in (b"", b"text", OLE):
        with with_aids(aids), pytest.raises(LoadError, match="not a readable DOC"):
            read_doc(data, "a.doc")


def test_an_old_file_is_skipped_with_a_hint_where_there_is_no_libreoffice(tmp_path: Path) -> None:
    (tmp_path / "a.doc").write_bytes(OLD)
    for program in ("", "no-such-program"):
        settings = LoadSettings(libreoffice=program)
        with (
            Parser(settings) as parser,
            pytest.raises(UnsupportedFormatError, match=r"reading \.doc needs LibreOffice"),
        ):
            load_document(tmp_path / "a.doc", root=tmp_path, settings=settings, parser=parser)


def test_other_formats_under_the_name_of_an_old_one_are_read() -> None:
    assert read_doc(WORD, "a.doc").text == "Berth 4 is free."
    assert read_doc(rtf(r"\pard Text\par"), "a.doc").text == "Text"
    assert read_doc(b"<html><p>Text</p></html>", "a.doc").text == "Text"


# Passwords --------------------------------------------------------------------------------------

OPENS = "Hafen 12 船"


def encrypted(data: bytes) -> bytes:
    target = BytesIO()
    types = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
    # The encryption of this library makes broken files of less than 4,096 bytes.
    more: dict[str, str | bytes] = {
        "[Content_Types].xml": types,
        "padding": hashlib.shake_256(b"").digest(6_000),
    }
    whole = rewritten(data, lambda part: part, more)
    OOXMLFile(BytesIO(whole)).encrypt(OPENS, target)
    return target.getvalue()


LOCKED: dict[str, tuple[Reader, bytes, str]] = {
    "docx": (read_docx, encrypted(WORD), "Berth 4 is free."),
    "pptx": (read_pptx, encrypted(pptx([shape("One")])), "One"),
    "xlsx": (read_sheets, encrypted(xlsx({"A": [["x"]]})), "# A\n\nx"),
    "xls": (
        read_sheets,
        locked_xls((SAMPLES / "notes.xls").read_bytes(), OPENS),
        read_sheets((SAMPLES / "notes.xls").read_bytes(), "notes.xls").text,
    ),
    "pdf": (read_pdf, make_files.pdf(["Berth 4"], password=OPENS[:8]), "Berth 4"),
}


@pytest.mark.parametrize("kind", LOCKED)
def test_an_encrypted_file_opens_with_one_of_the_passwords_that_were_given(kind: str) -> None:
    reader, data, text = LOCKED[kind]
    with pytest.raises(LoadError, match=r"opens with a password only; `--password-file FILE`"):
        reader(data, "a")
    with (
        with_aids(ReadingAids(passwords=("wrong", "too"))),
        pytest.raises(LoadError, match="none of the 2 given opens it"),
    ):
        reader(data, "a")
    with with_aids(ReadingAids(passwords=("wrong", OPENS, "Hafen 12"))):
        assert reader(data, "a").text == text


def test_an_old_document_is_decrypted_before_libreoffice_gets_it(office: Path) -> None:
    (office.parent / "made.docx").write_bytes(WORD)
    program, data = str(office), locked_doc(b"Berth 4 is free.", OPENS)
    with with_aids(ReadingAids(libreoffice=program)), pytest.raises(LoadError, match="a password"):
        read_doc(data, "a.doc")
    assert not (office.parent / "seen.json").exists()
    wrong = ReadingAids(libreoffice=program, passwords=("wrong",))
    with with_aids(wrong), pytest.raises(LoadError, match="the one given does not open it"):
        read_doc(data, "a.doc")
    with with_aids(ReadingAids(libreoffice=program, passwords=("wrong", OPENS))):
        assert read_doc(data, "a.doc").text == "Berth 4 is free."
    given = bytes.fromhex(json.loads((office.parent / "seen.json").read_text())["source"])
    assert b"Berth 4 is free." in given
    assert b"Berth 4 is free." not in data


def test_old_encrypted_files_say_so_without_the_extra(
    office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "msoffcrypto", None)
    silent, given = (ReadingAids(libreoffice=str(office), passwords=p) for p in ((), ("x",)))
    for reader, data in ((read_ppt, locked_ppt()), (read_doc, locked_doc(b"", OPENS))):
        with with_aids(silent), pytest.raises(LoadError, match=r"opens with a password only"):
            reader(data, "a")
        with with_aids(given), pytest.raises(UnsupportedFormatError, match="office"):
            reader(data, "a")


def test_an_encryption_that_is_not_known_is_told_as_that(office: Path) -> None:
    obfuscated = locked_doc(b"", OPENS, flags=0x8300)
    aids = ReadingAids(libreoffice=str(office), passwords=(OPENS,))
    with with_aids(aids), pytest.raises(LoadError, match="in a way that cannot be read"):
        read_doc(obfuscated, "a.doc")


def test_a_workbook_that_excel_opens_without_asking_is_read() -> None:
    data = locked_xls((SAMPLES / "notes.xls").read_bytes(), "VelvetSweatshop")
    assert "Yacht" in read_sheets(data, "a.xls").text


def test_a_broken_encrypted_file_fails_clearly() -> None:
    data = LOCKED["docx"][1]
    with with_aids(ReadingAids(passwords=(OPENS,))):
        for end in (600, len(data) // 2):
            with pytest.raises(LoadError, match=r"encrypted"):
                read_with(read_docx, data[:end] + OLE, "a.docx")


def test_passwords_are_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(f"\ufeff{OPENS}\r\n\n second \n", "utf-8")
    assert read_passwords(str(tmp_path / "p.txt")) == (OPENS, " second ")
    assert OPENS not in repr(ReadingAids(passwords=(OPENS,)))
    with pytest.raises(ConfigError, match=r"load\.password_file: .* cannot be read: No such file"):
        read_passwords(str(tmp_path / "none.txt"))
    (tmp_path / "b.txt").write_bytes(b"secret\xff\n")
    with pytest.raises(ConfigError, match="it is not UTF-8") as raised:
        read_passwords(str(tmp_path / "b.txt"))
    assert "secret" not in str(raised.value)


def test_the_command_reads_encrypted_files_with_a_file_of_passwords(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.docx").write_bytes(LOCKED["docx"][1])
    (tmp_path / "p.txt").write_text(OPENS, "utf-8")
    failed = shell("index", "docs", "--embedder", "none", "--json", code=3)
    assert "--password-file" in failed.json["failed"][0]["reason"]
    read = shell("index", "docs", "--embedder", "none", "--password-file", "p.txt", "--json")
    assert read.json["added"] == ["a.docx"]
    shown = shell("config", RAGKIT_LOAD_PASSWORD_FILE=str(tmp_path / "p.txt"))
    assert "p.txt" in shown.out
    assert OPENS not in read.out + shown.out
