"""What text recognition read is kept by the picture it read, so that no page is paid for twice.

The texts lie in the folder of the index, a file for each picture. They are no part of the index:
without them its pages are only read again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ragkit.records import OWN_METADATA, reading_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set
    from typing import Any

PICTURE_KEY = "picture_key"
"""The key of what a reader returns for the hash of the picture that it read."""

_FOLDER = "recognised"  # of an index
_PICTURES = "pictures"
_KEY = re.compile(r"[0-9a-f]{32}")
_CHECK_DIGITS = 16
_log = logging.getLogger(__name__)


class RecognisedPage(NamedTuple):
    """What was read in a picture; ``key`` names the picture and what read it, "" if unknown."""

    text: str
    key: str = ""


def kept_folder(location: str) -> str:
    """The folder of an index that keeps what is read in pictures; "" if the index is no folder."""
    folder = Path(location)
    return str(folder / _FOLDER) if folder.is_dir() else ""


def picture_key(pixels: bytes, size: tuple[int, int], reader: str) -> str:
    """The key of a picture, 32 hex digits: of its pixels and shape, and of what reads it."""
    digest = hashlib.sha256(f"{reader}\0{size[0]}x{size[1]}\0".encode())
    digest.update(pixels)
    return digest.hexdigest()[:32]


def kept_text(folder: str, key: str) -> str | None:
    """The text of a picture that was read before; None: it was not, or its file was damaged."""
    if not folder:
        return None
    try:
        check, _, text = Path(folder, key).read_bytes().partition(b"\n")
    except OSError:
        return None
    return text.decode("utf-8") if check.decode("ascii", "replace") == _check(text) else None


def keep_text(folder: str, page: RecognisedPage) -> None:
    """Keep what was read; a folder that cannot be written keeps nothing."""
    if not (folder and _KEY.fullmatch(page.key)) or kept_text(folder, page.key) is not None:
        return
    body = page.text.encode("utf-8")
    temporary = Path(folder, f"{page.key}.new")
    try:
        Path(folder).mkdir(mode=0o700, exist_ok=True)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(f"{_check(body)}\n".encode("ascii") + body)
        temporary.replace(Path(folder, page.key))
    except OSError as exc:
        _log.info("the text of a picture is not kept: %s", exc)
        with suppress(OSError):
            temporary.unlink()


def forget_texts(folder: Path, needed: Set[str]) -> int:
    """Delete the kept texts but for those whose keys are needed; returns how many.

    Raises:
        OSError: One cannot be deleted.
    """
    if not folder.is_dir() or folder.is_symlink():
        return 0
    gone = [file for file in folder.iterdir() if _KEY.match(file.name) and file.name not in needed]
    for file in gone:
        file.unlink(missing_ok=True)
    return len(gone)


def with_keys(metadata: Mapping[str, Any], keys: Mapping[int, str]) -> dict[str, Any]:
    """A document's metadata with the keys of its pictures, by the numbers of its pages."""
    found = {str(number): key for number, key in sorted(keys.items()) if key}
    if not found:
        return dict(metadata)
    return {**metadata, OWN_METADATA: {**reading_facts(metadata), _PICTURES: found}}


def needed_keys(readings: Iterable[Mapping[str, Any]]) -> set[str]:
    """The keys of all pictures that documents were read from, by their `DocumentInfo.reading`."""
    return {key for reading in readings for key in reading.get(_PICTURES, {}).values()}


def _check(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:_CHECK_DIGITS]
