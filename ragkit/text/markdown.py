"""What Markdown writes around the words of a heading."""

from __future__ import annotations

import re

_ATTRIBUTES = re.compile(r"\{:?\s*(?:[#.][\w-]|[\w-]+=)[^{}]*\}\Z")
_CLOSING_HASHES = re.compile(r"(?:\A|\s)#+\Z")


def heading_text(line: str) -> str:
    """Take off what closes a Markdown heading: an attribute list such as ``{#top}``, and hashes.

    >>> heading_text("First steps ## { #first-steps }"), heading_text("Notes on C#")
    ('First steps', 'Notes on C#')
    """
    whole = line.strip()
    return _CLOSING_HASHES.sub("", _ATTRIBUTES.sub("", whole).rstrip()).rstrip() or whole
