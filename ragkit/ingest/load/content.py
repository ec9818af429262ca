"""What a file's name does not tell: packed files, and files without a suffix."""

from __future__ import annotations

import posixpath
import re
from io import BytesIO
from pathlib import Path

from ragkit.errors import LoadError

HEAD_BYTES = 4096
"""How much of a file without a suffix is looked at."""

NOT_TEXT = "no reader for unknown content without a suffix"
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_SECRET = re.compile(rb"-----BEGIN |PuTTY-User-Key|ssh-[a-z0-9]+ |ecdsa-")
_MAILBOX = re.compile(rb"From [^\n]*\d\d?:\d\d[^\n]*\n")
_CUT = 3  # bytes of a character in UTF-8 that the end of the head may cut off


def has_suffix(path: str) -> bool:
    """Whether a name has a suffix.

    >>> has_suffix("docs.d/notes"), has_suffix("a/notes.txt"), has_suffix(".profile")
    (False, True, False)
    """
    return bool(posixpath.splitext(posixpath.basename(path))[1])


def is_gzipped(path: str) -> bool:
    """Whether a name says that the file is packed: ``log.txt.gz``."""
    return path.lower().endswith(".gz")


def kind_by_content(head: bytes) -> str | None:
    r"""The kind of a file without a suffix: ``text``, ``code`` (a script), ``mbox``, or None.

    Only what is plainly text counts: UTF-8 with white space in it and without control characters,
    and no key or certificate, which nobody wants to find by a search.

    Args:
        head: Its first `HEAD_BYTES` bytes.

    >>> [kind_by_content(h) for h in (b"To do: x", b"#! /bin/sh", b"\x7fELF x", b"token")]
    ['text', 'code', None, None]
    """
    head = head[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf")
    if _CONTROLS.search(head) or _SECRET.match(head) or len(head.split(None, 1)) < 2:
        return None
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as exc:
        if exc.reason != "unexpected end of data" or len(head) < HEAD_BYTES - _CUT:
            return None
    if _MAILBOX.match(head):
        return "mbox"
    return "code" if head.startswith(b"#!") else "text"


def kind_of_file(path: str) -> str | None:
    """The kind of a file without a suffix.

    Raises:
        OSError: It cannot be read.
    """
    with Path(path).open("rb") as file:
        return kind_by_content(file.read(HEAD_BYTES))


def gunzip(data: bytes, most_bytes: int, name: str) -> bytes:
    """Unpack a file.

    Raises:
        LoadError: It is damaged, or holds more than `most_bytes`.
    """
    import gzip  # with zlib, for the few files that need them
    import zlib

    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as file:
            unpacked = file.read(most_bytes + 1)
    except (OSError, EOFError, zlib.error) as exc:
        msg = f"not a readable gzip file: {exc}"
        raise LoadError(msg, name) from exc
    if len(unpacked) > most_bytes:
        msg = f"unpacks to more than {most_bytes / 1_000_000:g} MB"
        raise LoadError(msg, name)
    return unpacked
