"""What of a file can only be read as a picture, and how what was read joins its text."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.load.recognised import with_keys
from ragkit.records import RECOGNISED, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ragkit.ingest.load.formats import Parsed
    from ragkit.ingest.load.recognised import RecognisedPage

    ReadPage: TypeAlias = Callable[[int, int, int], RecognisedPage]

PICTURES = "pictures"
"""The key of what a reader returns for the numbers of pages to be read as pictures."""

PARTLY_UNREAD = "partly_unread"
"""The key of what a reader returns if it left text unread that another reader may read."""

PICTURE_LEFT_OUT = "a picture: the setting load.ocr=true has it read"
TIMEOUT_S = 120.0
"""For one page; on a busy machine most of it is waiting."""

MEMORY_MB = 4096
"""Of addresses: half of it is in use at most."""

READERS = {
    "picture": "ragkit.ingest.load.readers.picture:recognise_picture",
    "pdf": "ragkit.ingest.load.readers.picture:recognise_pdf_page",
}
_MOST_FAILURES = 3  # in a row; the other pages of such a file are not tried


class PageAtWork(NamedTuple):
    """The page that is read as a picture now: of which file, and the how many-th of how many."""

    path: str
    page: int
    pages: int


@cache
def has_ocr() -> bool:
    """Whether text in pictures can be read (the extra ``ocr``)."""
    try:
        return all(map(find_spec, ("rapidocr", "onnxruntime", "pypdfium2")))
    except ValueError:  # a module that is put there without a spec
        return False


def with_recognised(parsed: Parsed, read: ReadPage | None) -> Parsed:
    """Have the pages of a file that are pictures read, and put their texts in their places.

    Args:
        parsed: What a reader made of the file.
        read: Reads a page, given its number, how many were read before it and how many are to
            be; raises `LoadError` for one that cannot be. None: none is read.

    Raises:
        LoadError: A file of one picture cannot be read.
    """
    metadata = dict(parsed.metadata)
    numbers: list[int] = metadata.pop(PICTURES, [])
    parsed = replace(parsed, metadata=metadata)
    if read is None or not numbers:
        return parsed
    if not parsed.pages:
        found, failures = {1: read(1, 0, 1)}, dict[int, str]()
    else:
        found, failures = _read(numbers, read)
    metadata = with_keys(metadata, {number: page.key for number, page in found.items()})
    texts = {number: page.text for number, page in found.items() if page.text}
    if texts:
        metadata[RECOGNISED] = sorted(texts)
        failed = metadata.get("failed_pages", {})
        metadata["failed_pages"] = {n: why for n, why in failed.items() if int(n) not in texts}
        if not metadata["failed_pages"]:
            del metadata["failed_pages"]
    if failures:
        metadata[PARTLY_UNREAD] = True
    notes = [*metadata.get("notes", ()), *_notes(texts, failures)]
    if notes:
        metadata["notes"] = notes
    if not parsed.pages:
        return replace(parsed, text=texts.get(1, ""), metadata=metadata)
    text, pages = _joined(parsed, texts)
    return replace(parsed, text=text, pages=pages, metadata=metadata)


def _read(numbers: list[int], read: ReadPage) -> tuple[dict[int, RecognisedPage], dict[int, str]]:
    """What was read on pages, and why nothing was."""
    found: dict[int, RecognisedPage] = {}
    failures: dict[int, str] = {}
    row = 0
    for done, number in enumerate(numbers):
        if row >= _MOST_FAILURES:
            failures[number] = f"not tried: {_MOST_FAILURES} before it failed"
            continue
        try:
            found[number], row = read(number, done, len(numbers)), 0
        except LoadError as exc:
            failures[number] = str(exc)
            row += 1
    return found, failures


def _notes(texts: Mapping[int, str], failures: Mapping[int, str]) -> list[str]:
    notes = []
    if texts:
        which = f"page{'s' if len(texts) > 1 else ''} {', '.join(map(str, sorted(texts)))}"
        was = "were" if len(texts) > 1 else "was"
        notes.append(f"{which} {was} read from a picture: letters may be wrong")
    reasons: dict[str, list[int]] = {}
    for number, reason in failures.items():
        reasons.setdefault(reason, []).append(number)
    for reason, numbers in reasons.items():
        which = f"page{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        notes.append(f"the picture of {which} could not be read: {reason}")
    return notes


def _joined(parsed: Parsed, texts: Mapping[int, str]) -> tuple[str, tuple[Page, ...]]:
    """The text with that of pictures, and where its pages are now."""
    parts: list[str] = []
    pages: list[Page] = []
    before = length = 0
    for page in parsed.pages:
        gap = parsed.text[before : page.start]
        own = parsed.text[page.start : page.end]
        added = texts.get(page.number, "")
        own = f"{own}\n{added}" if own and added else own or added
        if own and length and not gap:
            gap = "\n\n"
        parts += [gap, own]
        start = length + len(gap)
        length = start + len(own)
        pages.append(Page(page.number, start, length))
        before = page.end
    parts.append(parsed.text[before:])
    return "".join(parts), tuple(pages)
