"""Formats that are text already: plain text, Markdown, reStructuredText, source code."""

from __future__ import annotations

import re
from typing import Any

from ragkit.errors import UnsupportedFormatError
from ragkit.ingest.load.encoding import decode, looks_binary
from ragkit.ingest.load.formats import Parsed, normalise
from ragkit.text.markdown import heading_text
from ragkit.text.patterns import late_pattern

_TITLE_WINDOW = 20_000  # characters in which a title is looked for
_FRONT_MATTER = late_pattern(
    r"(?:---[ \t]*\n(?P<yaml>.*?)\n(?:---|\.\.\.)|\+\+\+[ \t]*\n(?P<toml>.*?)\n\+\+\+)"
    r"[ \t]*(?:\n|\Z)",
    re.DOTALL,
)
_FRONT_TITLE = late_pattern(
    r"^title[ \t]*:[ \t]*(?P<value>[^\n]*)(?P<more>(?:\n[ \t]+[^\n]*|\n(?=\n*[ \t]))*)",
    re.MULTILINE | re.IGNORECASE,
)
_BLOCK_SCALAR = late_pattern(r"[>|][-+\d]*[ \t]*(?:#.*)?")
_FENCE = late_pattern(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_ATX = late_pattern(r"^ {0,3}#{1,6}[ \t]+(\S.*)$", re.MULTILINE)
_SETEXT = late_pattern(r"^ {0,3}(\S.*)\n {0,3}(?:=+|-{2,})[ \t]*$", re.MULTILINE)
_RST = late_pattern(r"^(\S.*)\n([=\-`:'\"~^_*+#<>.])\2{2,}[ \t]*$", re.MULTILINE)


def read_text(data: bytes, name: str) -> Parsed:
    """Read a file that is text already; a title is looked for in it by its structure."""
    text, encoding, metadata = decode_text(data, name)
    return Parsed(text, "", encoding, metadata=metadata)


def decode_text(
    data: bytes, name: str, declared: str | None = None
) -> tuple[str, str, dict[str, Any]]:
    """Decode and normalise a file that should be text.

    Args:
        data: The whole file.
        name: How errors call it.
        declared: An encoding that the file itself names.

    Returns:
        The text, its encoding, and metadata: ``replacement_characters`` counts U+FFFD, which
        stands where bytes did not fit the encoding, and ``notes`` tell what is not certain, if
        there is anything.

    Raises:
        UnsupportedFormatError: The bytes are no text.
    """
    text, encoding, doubt = decode(data, declared)
    if looks_binary(data, encoding):
        msg = "looks binary or in an unknown encoding: not the text that its name promises"
        raise UnsupportedFormatError(msg, name)
    broken = text.count("\ufffd")
    metadata: dict[str, Any] = {"replacement_characters": broken} if broken else {}
    if doubt:
        metadata["notes"] = [doubt]
    return normalise(text), encoding, metadata


def markdown_title(text: str) -> str:
    """Return the title of a Markdown text, or ""."""
    head = text[:_TITLE_WINDOW]
    front = _FRONT_MATTER.match(head)
    if front and (title := _front_title(front)):
        return title
    body = head[front.end() :] if front else head
    if "```" in body or "~~~" in body:
        body = _FENCE.sub("", body)
    hashed = _ATX.search(body)
    found = _SETEXT.search(body, 0, hashed.start() if hashed else len(body)) or hashed
    return heading_text(found.group(1)) if found else ""


def _front_title(front: re.Match[str]) -> str:
    """The title that front matter names: in TOML, or in YAML, where it may go over lines."""
    if front["toml"] is not None:
        import tomllib  # 5 ms that files without TOML need not pay

        try:
            title = tomllib.loads(front["toml"]).get("title", "")
        except tomllib.TOMLDecodeError:
            return ""
        return " ".join(title.split()) if isinstance(title, str) else ""
    found = _FRONT_TITLE.search(front["yaml"])
    if not found:
        return ""
    value = found["value"].strip()
    if _BLOCK_SCALAR.fullmatch(value):
        value = ""
    return " ".join(f"{value} {found['more']}".split()).strip("\"' \t")


def rst_title(text: str) -> str:
    """Return the title of a reStructuredText, or ""."""
    for found in _RST.finditer(text[:_TITLE_WINDOW]):
        title = found.group(1)
        if len(set(title)) > 1:  # an overline is itself a line of one character
            return title.strip()
    return ""
