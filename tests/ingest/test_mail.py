"""Mail: messages and mailboxes as people read them, and what is no mail."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.formats import read_with
from ragkit.ingest.load.readers.mail import literal_text, read_eml, read_mbox

if TYPE_CHECKING:
    from pathlib import Path


def message(text: str = "", *, subject: str = "Berth 4", **headers: str) -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = subject
    for key, value in {"From": "Ann <ann@port.example>", **headers}.items():
        made[key] = value
    made.set_content(text)
    return made


def test_a_message_has_its_headers_as_metadata_and_its_subject_as_title() -> None:
    made = message(
        "请看附件。\n",
        subject="合同 for café",
        To="Li Wei <li@port.example>, b@port.example",
        Cc="Jörg <j@port.example>",
        Date="Tue, 5 Mar 2024 14:07:00 +0100",
    )
    found = read_eml(made.as_bytes(), "a.eml")
    assert found.title == "合同 for café"
    assert found.metadata == {
        "from": "Ann <ann@port.example>",
        "to": "Li Wei <li@port.example>, b@port.example",
        "cc": "Jörg <j@port.example>",
        "date": "2024-03-05 14:07 +0100",
        "subject": "合同 for café",
    }
    assert found.text.split("\n\n") == [
        "# 合同 for café",
        "From: Ann <ann@port.example>\nTo: Li Wei <li@port.example>, b@port.example\n"
        "Cc: Jörg <j@port.example>\nDate: 2024-03-05 14:07 +0100",
        "请看附件。",
    ]


def test_plain_text_is_preferred_and_its_lines_are_no_marks() -> None:
    made = message("Fees\n----\n# of berths: 3\n\n> Who pays?\nWe do.\n-- \nAnn\n")
    made.add_alternative("<h1>Wrong</h1>", subtype="html")
    body = read_eml(made.as_bytes(), "a.eml").text.split("\n\n", 2)[2]
    assert body == ("Fees\n\u00a0----\n#\u00a0of berths: 3\n\n> Who pays?\nWe do.\n\u00a0--\nAnn")


def test_html_is_read_as_a_page_where_there_is_no_plain_text() -> None:
    made = message()
    page = (
        '<html><head><meta charset="latin-1"></head><body><p>Größe</p>'
        '<p style="display:none">unseen</p><ul><li>one</li></ul></body></html>'
    )
    made.set_content(page, subtype="html", charset="utf-8")
    found = read_eml(made.as_bytes(), "a.eml")
    assert found.text.endswith("\n\nGröße\n\n- one")
    assert found.metadata["hidden"] == 1


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("=?gb2312?B?us/NrA==?=", "合同"),
        ("=?utf-8?B?5ZCI?= =?utf-8?B?5ZCM?=", "合同"),
        ("=?utf-8?q?caf=C3=A9?= in\r\n the harbour", "café in the harbour"),
        ("=?no-such?q?abc?=", "abc"),
        ("=?utf-8?B?*?=", "=?utf-8?B?*?="),
        ("Größe", "Größe"),
        ("", "(no subject)"),
    ],
)
def test_subjects_are_read_as_mail_programs_write_them(raw: str, subject: str) -> None:
    data = f"From: a@x.example\r\nSubject: {raw}\r\n\r\nText\r\n".encode()
    assert read_eml(data, "a.eml").text == f"# {subject}\n\nFrom: a@x.example\n\nText"


def test_a_body_is_decoded_as_it_says_or_as_it_is() -> None:
    for charset, text in (("gb2312", "合同"), ("koi8-r", "Договор"), ("x-unknown", "合同 café")):
        codec = "utf-8" if charset == "x-unknown" else charset
        head = f"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset={charset}\n\n"
        found = read_eml(head.encode() + text.encode(codec), "a.eml")
        assert found.text.endswith(text)


def test_lines_that_were_broken_to_fit_a_screen_are_joined() -> None:
    head = "From: a@x.example\nSubject: s\nContent-Type: text/plain; format=flowed\n\n"
    body = "The berth is \nfree.\n> Is it \n> yours?\n-- \nAnn\n"
    found = read_eml((head + body).encode(), "a.eml")
    assert found.text.endswith("\n\nThe berth is free.\n> Is it yours?\n\u00a0--\nAnn")


def test_attachments_are_members_with_names_of_their_own() -> None:
    made = message("See below.")
    made.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Gebühr.pdf")
    made.add_attachment("a,b\n1,2\n", subtype="csv", filename="../x/Gebühr.pdf")
    made.add_attachment(message("inner text", subject="Re: tide/wind"))
    html = EmailMessage()
    html.set_content("<img src='cid:1'>", subtype="html")
    html.add_related(b"PNG", "image", "png", cid="<1>", filename="logo.png")
    made.attach(html)
    found = read_eml(made.as_bytes(), "a.eml")
    assert "Attachments: Gebühr.pdf, ../x/Gebühr.pdf" in found.text
    assert {member.name: member.data for member in found.members[:2]} == {
        "Gebühr.pdf": b"%PDF",
        "x/Gebühr.pdf": b"a,b\n1,2\n",
    }
    assert found.members[2].name == "Re: tide/wind.eml"
    assert read_eml(found.members[2].data, "b.eml").text.endswith("inner text")
    assert len(found.members) == 3


def test_an_encrypted_message_gives_its_headers_and_says_so() -> None:
    head = b"From: a@x.example\nSubject: secret plan\n"
    kind = b'Content-Type: multipart/encrypted; boundary="b"\n\n--b\n\nVersion: 1\n--b--\n'
    found = read_eml(head + kind, "a.eml")
    assert found.text == "# secret plan\n\nFrom: a@x.example"
    assert found.metadata["notes"] == ["the message is encrypted: only its headers were read"]


def test_the_messages_of_a_mailbox_are_its_pages(tmp_path: Path) -> None:
    texts = ["One", "From then on\nit rained.\n\nFrom what I know, 5 of them", ""]
    box = mailbox.mbox(tmp_path / "in.mbox")
    for number, text in enumerate(texts):
        box.add(message(text + "\n", subject=f"No {number}"))
    box.close()
    found = read_mbox((tmp_path / "in.mbox").read_bytes(), "in.mbox")
    head = "\n\nFrom: Ann <ann@port.example>"
    assert [found.text[p.start : p.end] for p in found.pages] == [
        f"# No {n}{head}\n\n{text}".strip() for n, text in enumerate(texts)
    ]
    assert [page.number for page in found.pages] == [1, 2, 3]


def test_attachments_in_a_mailbox_stand_below_the_number_of_their_message() -> None:
    made = message("x")
    made.add_attachment("text", filename="a.txt")
    envelope = b"From ann@port.example Tue Mar  5 14:07:00 2024\n"
    data = b"\n\n".join([envelope + message("y").as_bytes(), envelope + made.as_bytes()])
    found = read_mbox(data.replace(b"\n", b"\r\n"), "in.mbox")
    assert [member.name for member in found.members] == ["2/a.txt"]


def test_what_is_no_mail_is_refused() -> None:
    for data in (b"\x89PNG\r\n\x1a\n" * 20, b"just a text\n", b"%PDF-1.7\n", b"\n"):
        with pytest.raises(UnsupportedFormatError, match="no mail message"):
            read_eml(data, "a.eml")
        with pytest.raises(UnsupportedFormatError, match="no mailbox"):
            read_mbox(data, "a.mbox")


def test_a_message_cut_anywhere_is_read_as_far_as_it_goes_or_fails_clearly() -> None:
    made = message("Text " * 20)
    made.add_alternative("<p>" + "Text " * 20, subtype="html")
    made.add_attachment(b"\0" * 300, maintype="application", subtype="pdf", filename="a.pdf")
    whole = made.as_bytes()
    outcomes = set()
    for end in range(0, len(whole), 7):
        try:
            outcomes.add(type(read_with(read_eml, whole[:end], "a.eml")).__name__)
        except LoadError as exc:
            outcomes.add(str(exc))
    assert outcomes == {"Parsed", "is no mail message: it has no headers"}


def test_parts_nested_thousands_deep_end() -> None:
    head = b"From: a@x.example\nSubject: s\n"
    part = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (i, i) for i in range(3000)
    )
    with pytest.raises(LoadError, match="nested"):
        read_with(read_eml, head + part + b"\n\ndeep", "a.eml")


def test_plain_text_stays_as_it_is_but_for_marks() -> None:
    text = "  ## x\n    code\n- item\n| a\n~~~\nok"
    assert literal_text(text).split("\n") == [
        "  ##\u00a0x", "    code", "- item", "\u00a0| a", "\u00a0~~~", "ok",
    ]  # fmt: skip
