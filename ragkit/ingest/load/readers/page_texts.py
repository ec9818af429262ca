"""Texts of slides, sheets, chapters and messages, joined to one text with pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import normalise
from ragkit.records import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

_BREAK = "\n\n"
_MOST_NAMED = 20


class PageTexts:
    """Collects pages in order."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._pages: list[Page] = []
        self._failed: dict[str, str] = {}
        self._end = 0

    def add(self, number: int, text: str) -> None:
        """Add a page; one without text lies where the text before it ends."""
        text = normalise(text).strip("\n")
        start = self._end
        if text:
            start += len(_BREAK) if self._texts else 0
            self._texts.append(text)
            self._end = start + len(text)
        self._pages.append(Page(number, start, self._end))

    def fail(self, number: int, reason: str) -> None:
        """Add a page that cannot be read."""
        self.add(number, "")
        self._failed[str(number)] = reason

    def joined(self) -> tuple[str, tuple[Page, ...]]:
        """The text and its pages."""
        return _BREAK.join(self._texts), tuple(self._pages)

    def failures(self) -> dict[str, Any]:
        """Metadata on the pages that cannot be read, if there are any."""
        return {"failed_pages": self._failed} if self._failed else {}

    def check(self, name: str) -> None:
        """See that not all pages have failed.

        Raises:
            LoadError: They have.
        """
        if self._failed and len(self._failed) == len(self._pages):
            number, reason = next(iter(self._failed.items()))
            msg = f"no part of it can be read; part {number}: {reason}"
            raise LoadError(msg, name)


def numbered(what: str, numbers: Sequence[int]) -> str:
    """Name things of which something is told.

    >>> numbered("hidden slide", [3]), numbered("hidden slide", [3, 5])
    ('hidden slide 3 was', 'hidden slides 3, 5 were')
    """
    listed = ", ".join(map(str, numbers[:_MOST_NAMED]))
    more = len(numbers) - _MOST_NAMED
    listed += f" and {more} more" if more > 0 else ""
    return f"{what} {listed} was" if len(numbers) == 1 else f"{what}s {listed} were"


def places(count: int) -> str:
    """Say how often.

    >>> places(1), places(4)
    ('1 place', '4 places')
    """
    return "1 place" if count == 1 else f"{count} places"
