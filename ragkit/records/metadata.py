"""What a document's metadata tell: of the document itself, and of how its file was read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ragkit.records.sources import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MODIFIED = "modified"
"""The field that each document of a file has: when the file was changed, e.g. 2026-03-31T14:05."""

MEMBERS = "documents_within"
"""The key of a document's metadata that counts the documents within its file."""

RECOGNISED = "read_from_pictures"
"""The key of a document's metadata for the numbers of pages that text recognition read."""

EARLIEST_NS, LATEST_NS = -(2**63), 2**63 - 1
"""The times that an index can hold, in nanoseconds: from 1677 to 2262."""

OWN_METADATA = "ragkit"
"""The key of a document's metadata under which ragkit keeps what it needs itself.

Of a file that is what a later run must know of its reading: ``readers`` names those that left
something of it unread, ``rules`` the choices by which files in it were left out, ``pictures`` the
pages that were recognised, by their hashes.
"""

READING_FACTS = frozenset(
    {"failed_pages", "replacement_characters", "hidden", "notes", MEMBERS, OWN_METADATA}
)
"""The keys of a file's metadata that tell how it was read, not what it says."""


def told_metadata(metadata: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """A document's metadata without what ragkit keeps there for itself."""
    own = {OWN_METADATA} if origin == "program" else READING_FACTS
    return {key: value for key, value in metadata.items() if key not in own}


def read_from_picture(metadata: Mapping[str, Any], pages: Iterable[int]) -> bool:
    """Whether text recognition read any of a document's pages; without pages, the document."""
    recognised, numbers = metadata.get(RECOGNISED), set(pages)
    if not isinstance(recognised, list) or not recognised:
        return False
    return not (numbers and numbers.isdisjoint(recognised))


def reading_facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a later run must know of how a document's file was read; see `OWN_METADATA`."""
    found = metadata.get(OWN_METADATA, {})
    return found if isinstance(found, dict) else {}


def failed_pages(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """Numbers of the pages that could not be read, in order, by a document's metadata."""
    return tuple(int(number) for number in metadata.get("failed_pages", {}))


def member_count(metadata: Mapping[str, Any]) -> int:
    """How many documents lie within a document's file, by its metadata."""
    count = metadata.get(MEMBERS, 0)
    return count if isinstance(count, int) else 0


def reading_notes(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader found wrong with a file, in words, gravest first.

    Args:
        metadata: A document's. ``failed_pages`` maps numbers of pages to why they could not be
            read, ``replacement_characters`` and ``hidden`` are counts, and ``notes`` are
            sentences of a reader's own.
    """
    pages: dict[str, list[str]] = {}
    for number, reason in metadata.get("failed_pages", {}).items():
        pages.setdefault(reason, []).append(number)
    notes = [
        f"page{'s' if len(numbers) > 1 else ''} {', '.join(numbers)} cannot be read: {reason}"
        for reason, numbers in pages.items()
    ]
    if count := metadata.get("replacement_characters"):
        notes.append(f"{_times(count, 'character')} cannot be decoded and became U+FFFD")
    notes += metadata.get("notes", ())
    if count := metadata.get("hidden"):
        notes.append(f"text that nobody sees was left out in {_times(count, 'place')}")
    return tuple(notes)


def _times(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def modified_text(mtime_ns: int) -> str:
    """The value of `MODIFIED` for a time in nanoseconds.

    Examples:
        >>> modified_text(1_774_965_900_000_000_000)
        '2026-03-31T14:05:00'
    """
    return datetime.fromtimestamp(mtime_ns // 1_000_000_000, UTC).isoformat()[:19]
