"""Where the documents of a folder that was moved belong; the same for every store."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def moved_place(
    document: tuple[str, str], old: str, new: str, *, roots: Iterable[str] = ()
) -> tuple[str, str] | None:
    """The place of a document after a folder or file was moved.

    Args:
        document: Its root and its path below it.
        old: The absolute path that was moved, with ``/``.
        new: The absolute path where it is now.
        roots: The roots of the index. A document that comes to lie below one of them that was not
            moved belongs to the outermost of these.

    Returns:
        Its root and path; None for a document that was not moved.

    >>> moved_place(("/docs", "a/b.txt"), "/docs", "/papers")
    ('/papers', 'a/b.txt')
    >>> moved_place(("/docs", "a/b.txt"), "/docs/a", "/docs/c", roots=["/docs"])
    ('/docs', 'c/b.txt')
    >>> moved_place(("/docs", "b.txt"), "/docs/b.txt", "/else/c.txt")
    ('/else', 'c.txt')
    """
    root, path = document
    location = f"{root.rstrip('/')}/{path}"
    if is_below(root, old):
        moved = (new + root[len(old) :], path)
    else:
        old = unicodedata.normalize("NFC", old)
        if not is_below(unicodedata.normalize("NFC", location), old):
            return None
        rest = unicodedata.normalize("NFC", location)[len(old) + 1 :]
        parent, _, name = new.rpartition("/")
        moved = (new, rest) if rest else (parent, unicodedata.normalize("NFC", name))
    there = f"{moved[0].rstrip('/')}/{moved[1]}"
    for above in sorted(roots, key=len):
        if not is_below(above, old) and there.startswith(above.rstrip("/") + "/"):
            return above, unicodedata.normalize("NFC", there[len(above.rstrip("/")) + 1 :])
    return moved


def moved_location(location: str, old: str, new: str) -> str:
    """Where a location is after a move; one that is not below the old place stays."""
    return new + location[len(old) :] if is_below(location, old) else location


def is_below(location: str, folder: str) -> bool:
    """Whether a location, with ``/``, is a folder or lies below it."""
    return location == folder or location.startswith(folder.rstrip("/") + "/")
