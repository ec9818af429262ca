"""What Markdown writes around the words of a heading."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

_ATTRIBUTES = late_pattern(r"\{:?\s*(?:[#.][\w-]|[\w-]+=)[^{}]*\}\Z")
_CLOSING_HASHES = late_pattern(r"(?:\A|\s)#+\Z")


def heading_text(line: str) -> str:
    """Take off what closes a Markdown heading: an attribute list such as ``{#top}``, and hashes.

    >>> heading_text("First steps ## { #first-steps }"), heading_text("Notes on C#")
    ('First steps', 'Notes on C#')
    """
    whole = line.strip()
    return _CLOSING_HASHES.sub("", _ATTRIBUTES.sub("", whole).rstrip()).rstrip() or whole


_LINE = late_pattern(
    r"^(?P<fence>[ ]{0,3}(?:```|~~~))|^[ ]{0,3}(?P<atx>\#{1,6})[ \t]+(?P<title>\S.*)$"
    r"|(?:\A|\n)(?P<above>[^\s#>|*+-][^\n]*)\n(?P<rule>=+|-{3,})[ \t]*$",
    re.MULTILINE,
)


def headings_above(text: str, place: int, known: Sequence[str] = ()) -> tuple[str, ...]:
    r"""Name the headings below which a place of a text stands, outermost first.

    Args:
        text: Markdown, whole or a part of it.
        place: An offset in it.
        known: The headings of all of it; one that stands in the text as well is the same.

    >>> headings_above("## Leave\nThirty days.\n## Notice\nThree months.", 40, ("Handbook",))
    ('Handbook', 'Notice')
    """
    path = [(0, title) for title in known]
    is_code = False
    for match in _LINE.finditer(text, 0, place):
        if match["fence"]:
            is_code = not is_code
        elif not is_code:
            title = heading_text(match["title"] or match["above"])
            depth = len(match["atx"]) if match["atx"] else 1 if match["rule"][0] == "=" else 2
            path = _entered(path, depth, title)
    return tuple(title for _, title in path)


def _entered(path: list[tuple[int, str]], depth: int, title: str) -> list[tuple[int, str]]:
    """The path below a heading; depth 0 is that of what is only known."""
    titles = [known for _, known in path]
    if title in titles:
        at = titles.index(title)
        return [*path[:at], (depth, title)]
    return [*(entry for entry in path if entry[0] < depth), (depth, title)]
