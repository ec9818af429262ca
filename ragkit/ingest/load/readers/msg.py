"""Outlook's messages (MSG), read as mail is."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.aids import needs_extra
from ragkit.ingest.load.formats import Parsed, normalise
from ragkit.ingest.load.members import Member, MemberNames
from ragkit.ingest.load.readers.html import read_html
from ragkit.ingest.load.readers.mail import head_lines, header_text, iso_date, literal_text
from ragkit.ingest.load.readers.zip_parts import OLE

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOM = b"\xef\xbb\xbf"
_SHOWN_TO, _SHOWN_CC = 0x0E04, 0x0E03  # PidTagDisplayTo and PidTagDisplayCc (MS-OXPROPS)
_RTF = 0x1009


def read_msg(data: bytes, name: str) -> Parsed:
    """Read a message as `read_eml` does: headers, text, and attachments as members.

    Raises:
        UnsupportedFormatError: It is no such message, or the extra ``office`` is not installed.
        LoadError: It is broken.
    """
    if not data.startswith(OLE):
        msg = "is no Outlook message: it does not begin as one"
        raise UnsupportedFormatError(msg, name)
    try:
        from oxmsg import Message
    except ImportError as exc:
        what = "reading Outlook's MSG"
        raise needs_extra(what, name) from exc
    try:
        message = Message.load(data)
        headers = _headers(message)
        body, metadata = _body(message, name)
        members = tuple(_attachments(message))
    except (OSError, ValueError, KeyError, IndexError, struct.error, AttributeError) as exc:
        msg = f"not a readable MSG: {exc}"
        raise LoadError(msg, name) from exc
    lines = head_lines(headers, [member.name for member in members])
    metadata |= {key.lower(): value for key, value in headers.items()}
    text = "\n".join([*lines, body]).strip()
    return Parsed(text, headers.get("Subject", ""), None, (), metadata, members)


def _headers(message: Any) -> dict[str, str]:  # noqa: ANN401 -- untyped
    """What a mail program shows: from the headers of the mail, else from Outlook's own fields."""
    raw = {key.title(): value for key, value in message.message_headers.items()}
    own = {
        "From": message.sender or "",
        "To": message.properties.str_prop_value(_SHOWN_TO) or "",
        "Cc": message.properties.str_prop_value(_SHOWN_CC) or "",
        "Subject": message.subject,
    }
    found = {key: header_text(str(raw.get(key) or value)) for key, value in own.items()}
    found["Subject"] = " ".join(message.subject.split()) or found["Subject"]
    if date := raw.get("Date"):
        found["Date"] = iso_date(str(date))
    elif message.sent_date:
        found["Date"] = message.sent_date.strftime("%Y-%m-%d %H:%M %z").strip()
    return {key: value.replace("\0", "") for key, value in found.items() if value}


def _body(message: Any, name: str) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 -- untyped
    text = message.body or ""
    if text.strip():
        return literal_text(normalise(text)), {}
    if html := message.html_body:
        page = read_html(_BOM + html.encode("utf-8", "replace"), name)
        return page.text, dict(page.metadata)
    if message.properties.binary_prop_value(_RTF):
        return "", {"notes": ["its text is in compressed RTF only, which is not read"]}
    return "", {}


def _attachments(message: Any) -> Iterator[Member]:  # noqa: ANN401 -- untyped
    names = MemberNames()
    for attachment in message.attachments:
        data = attachment.file_bytes
        name = names.take(attachment.file_name or "attachment")
        if data is None:
            yield Member(
                name, reason="is a message or an object of Outlook's own, which is not read"
            )
        else:
            yield Member(name, data)
