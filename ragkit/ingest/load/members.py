"""Documents within a file: the attachments of a mail, the files of an archive."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from dataclasses import dataclass

MARK = "!/"
"""What parts the path of a file from that of a document in it: ``mail.eml!/a.pdf``."""

ARCHIVES = ("zip", "tar")
"""The kinds of files that hold nothing but files."""

ARCHIVE_LEFT_OUT = "an archive: the setting load.archives=true has its files read"
MOST_MEMBERS = 10_000
"""Files that all files within one file may be together."""

DEEPEST_MEMBER = 3
"""Files that may lie within each other below a file."""

_OUTER = re.compile(r"(.*?(?:[^/!]\.[^/.!]+|(?:\A|/)mbox))!(?:/(.*))?", re.DOTALL | re.IGNORECASE)


def container_of(path: str) -> tuple[str, str] | None:
    """Part the path of a document within a file; None for that of a file.

    >>> container_of("in/mail.eml!/a.zip!/b.txt"), container_of("in/mail.eml")
    (('in/mail.eml', 'a.zip!/b.txt'), None)
    """
    if MARK not in path:
        return None
    found = _OUTER.fullmatch(path)
    return (found[1], found[2]) if found and found[2] else None


@dataclass(frozen=True, slots=True)
class Member:
    """A file within a file.

    Attributes:
        name: Its path in there, from `MemberNames`.
        data: Its bytes.
        reason: Why it cannot be had; "" if it can.
        is_unwanted: Whether it is left out, and nothing is wrong with it.
    """

    name: str
    data: bytes = b""
    reason: str = ""
    is_unwanted: bool = False


class MemberNames:
    r"""Gives each member a name of its own that is a sound relative path.

    Args:
        prefix: What all names begin with.

    >>> names = MemberNames("7/")
    >>> [names.take(n) for n in ("a.pdf", "A.pdf", "../b\\c.txt", "x!/y.md", "")]
    ['7/a.pdf', '7/A (2).pdf', '7/b/c.txt', '7/x!_y.md', '7/unnamed']
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        """The name by which a member is known from now on."""
        plain = unicodedata.normalize("NFC", name.replace(MARK, "!_").replace("\\", "/"))
        shown = "".join(char if char.isprintable() else "_" for char in plain)
        parts = [part.strip() for part in shown.split("/")]
        sound = "/".join(part for part in parts if part not in ("", ".", "..")) or "unnamed"
        stem, suffix = posixpath.splitext(sound)
        found, count = sound, 1
        while found.casefold() in self._taken:
            count += 1
            found = f"{stem} ({count}){suffix}"
        self._taken.add(found.casefold())
        return self._prefix + found
