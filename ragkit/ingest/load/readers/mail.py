"""Mail: a message, or a mailbox of many, each a page; its headers, its text, its attachments."""

from __future__ import annotations

import re
from email import policy
from email.header import decode_header
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ragkit.errors import UnsupportedFormatError
from ragkit.ingest.load.encoding import decode
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.members import Member, MemberNames
from ragkit.ingest.load.readers.html import read_html
from ragkit.ingest.load.readers.markdown_writer import literal_line
from ragkit.ingest.load.readers.page_texts import PageTexts, numbered
from ragkit.ingest.load.readers.text import decode_text
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from email.message import EmailMessage, Message

_SHOWN = ("From", "To", "Cc", "Date")
_SIGNS = frozenset(("from", "to", "date", "subject", "received", "message-id", "return-path"))
_BOM = b"\xef\xbb\xbf"
_LEADING = re.compile(r" {0,3}(?! )")
_ENVELOPE = late_pattern(rb"From [^\n]*\d\d?:\d\d[^\n]*\n")
"""How a message of a mailbox begins: behind a blank line, with a time in it, which prose lacks."""

_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_ENCRYPTED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
_MOST_PARTS = 1_000
_UNTITLED = "(no subject)"


def read_eml(data: bytes, name: str) -> Parsed:
    """Read a message: a heading, who wrote it to whom and when, and what was written.

    The plain text is preferred, else the HTML is read as a page is; quoted history is kept.
    ``metadata`` has ``from``, ``to``, ``cc``, ``date`` (ISO 8601) and ``subject``. Attachments are
    members of their own.

    Raises:
        UnsupportedFormatError: It is no message.
    """
    message = _parsed(data)
    if not _SIGNS.intersection(key.lower() for key in message):
        msg = "is no mail message: it has no headers"
        raise UnsupportedFormatError(msg, name)
    headers = _headers(message)
    text, metadata = _text(message, headers, name)
    members = tuple(_attachments(message, MemberNames()))
    metadata |= {key.lower(): value for key, value in headers.items()}
    return Parsed(text, headers.get("Subject", ""), None, (), metadata, members)


def read_mbox(data: bytes, name: str) -> Parsed:
    """Read a mailbox; each message is a page.

    Raises:
        UnsupportedFormatError: It does not begin as a mailbox does.
        LoadError: None of its messages can be read.
    """
    pages = PageTexts()
    doubtful: list[int] = []
    members: list[Member] = []
    hidden = 0
    for number, raw in enumerate(_messages(data, name), start=1):
        try:
            message = _parsed(raw)
            text, metadata = _text(message, _headers(message), name)
            members += _attachments(message, MemberNames(f"{number}/"))
        except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as exc:
            pages.fail(number, f"{type(exc).__name__}: {exc}")
            continue
        pages.add(number, text)
        hidden += metadata.get("hidden", 0)
        doubtful += [number] if metadata.get("notes") else []
    pages.check(name)
    text, found = pages.joined()
    about: dict[str, Any] = pages.failures() | ({"hidden": hidden} if hidden else {})
    if doubtful:
        about["notes"] = [f"{numbered('message', doubtful)} not read without doubt"]
    return Parsed(text, "", None, found, about, tuple(members))


def _messages(data: bytes, name: str) -> Iterator[bytes]:
    """The messages of a mailbox, each without the line that begins it."""
    starts = list(_envelopes(data))
    if not starts or data[: starts[0].start()].strip():
        msg = "is no mailbox: it does not begin with `From ` and a time"
        raise UnsupportedFormatError(msg, name)
    ends = [start.start() for start in starts[1:]] + [len(data)]
    for start, end in zip(starts, ends, strict=True):
        raw = data[start.end() : end]
        yield _QUOTED_FROM.sub(rb"\1", raw) if b"\n>" in raw else raw


def _envelopes(data: bytes) -> Iterator[re.Match[bytes]]:
    """The lines that begin messages; a mailbox is too large to be searched by a pattern."""
    place = 0
    while place >= 0:
        before = data[max(0, place - 3) : place]
        if place == 0 or before.endswith((b"\n\n", b"\n\r\n")):
            found = _ENVELOPE.match(data, place)
            if found:
                yield found
        place = data.find(b"\nFrom ", place)
        place += 1 if place >= 0 else 0


def _parsed(data: bytes) -> EmailMessage:
    message: Any = BytesParser(policy=policy.default).parsebytes(data.lstrip(b"\r\n"))
    return message  # type: ignore[no-any-return]


# Headers ----------------------------------------------------------------------------------------


def _headers(message: EmailMessage) -> dict[str, str]:
    """The headers that a mail program shows, decoded; those that are missing are left out."""
    raw: dict[str, str] = {}
    for key, value in message.raw_items():
        raw.setdefault(key.title(), str(value))
    found = {key: header_text(raw[key]) for key in (*_SHOWN, "Subject") if key in raw}
    if "Date" in found:
        found["Date"] = iso_date(found["Date"])
    return {key: value for key, value in found.items() if value}


def header_text(raw: str) -> str:
    """A header as it is shown: its lines joined, its encoded words decoded.

    >>> header_text("=?gb2312?B?us/NrA==?= =?utf-8?q?_caf=C3=A9?=")
    '合同 café'
    """
    line = " ".join(raw.split())
    if not line.isascii():  # bytes that no header may hold, in an encoding that nothing tells
        line = decode(line.encode("utf-8", "surrogateescape")).text
    if "=?" not in line:
        return line
    try:
        parts = decode_header(line)
    except ValueError:  # base64 that is none
        return line
    texts = (
        part if isinstance(part, str) else decode(part, charset or "latin-1").text
        for part, charset in parts
    )
    return " ".join("".join(texts).split()) or line


def iso_date(date: str) -> str:
    """A date as ISO 8601 with its own offset; one that is none stays as it is.

    >>> iso_date("Tue, 5 Mar 2024 14:07:00 +0100"), iso_date("soon")
    ('2024-03-05 14:07 +0100', 'soon')
    """
    try:
        return parsedate_to_datetime(date).strftime("%Y-%m-%d %H:%M %z").strip()
    except (ValueError, TypeError, IndexError, OverflowError):
        return date


def head_lines(headers: Mapping[str, str], attached: Iterable[str] = ()) -> list[str]:
    """A message's heading, and the lines below it that say who wrote to whom and when."""
    lines = [f"# {headers.get('Subject', _UNTITLED)}", ""]
    lines += [f"{key}: {headers[key]}" for key in _SHOWN if key in headers]
    names = ", ".join(attached)
    lines += [f"Attachments: {names}"] if names else []
    return [*lines, ""] if lines[-1] else lines


# Text -------------------------------------------------------------------------------------------


def _text(
    message: EmailMessage, headers: Mapping[str, str], name: str
) -> tuple[str, dict[str, Any]]:
    """A message as text, and what is told of it."""
    if message.get_content_type() in _ENCRYPTED and _is_encrypted(message):
        body, metadata = "", {"notes": ["the message is encrypted: only its headers were read"]}
    else:
        body, metadata = _body(message, name)
    attached = [a.get_filename() or "" for a in _attached(message)]
    lines = head_lines(headers, filter(None, map(header_text, attached)))
    return "\n".join([*lines, body]).strip(), metadata


def _is_encrypted(message: EmailMessage) -> bool:
    kind = str(message.get_param("smime-type", "enveloped-data"))
    return "signed" not in kind.lower()


def _body(message: EmailMessage, name: str) -> tuple[str, dict[str, Any]]:
    plain = message.get_body(("plain",))
    if plain is not None:
        text, metadata = _decoded(plain, name)
        if text.strip():
            return literal_text(_unflowed(plain, text)), metadata
    html = message.get_body(("html",))
    if html is None:
        return "", {}
    text, metadata = _decoded(html, name)
    page = read_html(_BOM + text.encode("utf-8"), name)
    return page.text, metadata | page.metadata


def _decoded(part: Message, name: str) -> tuple[str, dict[str, Any]]:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return "", {}
    text, _, metadata = decode_text(payload, name, str(part.get_param("charset", "")) or None)
    return text, metadata


def _unflowed(part: Message, text: str) -> str:
    """Join the lines that the sender broke to fit the width of a screen (RFC 3676)."""
    if str(part.get_param("format", "")).lower() != "flowed":
        return text
    lines: list[str] = []
    is_open = False
    for line in text.split("\n"):
        is_signature = line == "-- "
        if is_open and not is_signature and _depth(line) == _depth(lines[-1]):
            lines[-1] += line.lstrip(">").removeprefix(" ") if _depth(line) else line
        else:
            lines.append(line)
        is_open = line.endswith(" ") and not is_signature
    return "\n".join(lines)


def _depth(line: str) -> int:
    """How often a line is quoted."""
    return len(line) - len(line.lstrip(">"))


def literal_text(text: str) -> str:
    """Plain text in which nothing is taken for a mark of Markdown but items of lists."""
    lines = []
    for line in text.split("\n"):
        bare = line.rstrip()
        lead = found[0] if (found := _LEADING.match(bare)) else ""
        lines.append(lead + literal_line(bare[len(lead) :]))
    return "\n".join(lines).strip("\n")


# Attachments ------------------------------------------------------------------------------------


def _attached(message: EmailMessage) -> list[Message]:
    """The parts that are attached, a forwarded message among them; not what a page shows in it."""
    found: list[Message] = []
    stack: list[Any] = [message]
    body = {message.get_body(("plain",)), message.get_body(("html",))}
    while stack and len(found) < _MOST_PARTS:
        part = stack.pop()
        if part.get_content_type() == "message/rfc822" and part is not message:
            found.append(part)
        elif part.is_multipart():
            stack += reversed(part.get_payload())
        elif part not in body and (part.get_filename() or part.is_attachment()):
            is_shown = part.get_content_maintype() == "image" and part["Content-ID"]
            found += [] if is_shown else [part]
    return found


def _attachments(message: EmailMessage, names: MemberNames) -> Iterator[Member]:
    for part in _attached(message):
        if part.get_content_type() == "message/rfc822":
            inner: Any = part.get_payload(0)
            subject = _headers(inner).get("Subject", "message")
            yield Member(names.take(f"{subject[:80]}.eml"), inner.as_bytes())
            continue
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        yield Member(names.take(header_text(part.get_filename() or "attachment")), data)
