"""Encrypted Word, Excel and PowerPoint files, opened with a password that was given."""

from __future__ import annotations

import struct
from io import BytesIO

from ragkit.errors import LoadError
from ragkit.ingest.load.aids import locked, needs_extra, reading_aids
from ragkit.ingest.load.readers.ole_streams import OleStreams
from ragkit.ingest.load.readers.zip_parts import OLE

_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_OF_EXCEL = "VelvetSweatshop"  # with which Excel encrypts what it opens without asking
_WORD_FLAGS, _IS_ENCRYPTED = 0x0A, 0x0100  # MS-DOC, 2.5.2
_SLIDES_HEAD, _ENCRYPTED_SLIDES = 12, b"\xdf\xc4\xd1\xf3"  # MS-PPT, 2.3.2
_BROKEN = (
    OSError, ValueError, KeyError, IndexError, AttributeError, AssertionError, TypeError,
    struct.error,
)  # fmt: skip
"""What msoffcrypto fails with on broken files, beside its own errors."""


def is_encrypted_package(data: bytes) -> bool:
    """Whether a file is a newer office file that is encrypted."""
    return data.startswith(OLE[:4]) and _ENCRYPTED in data


def is_encrypted_document(data: bytes) -> bool:
    """Whether a DOC or PPT file opens with a password only."""
    streams = OleStreams(data)
    flags = streams.read("WordDocument")[_WORD_FLAGS : _WORD_FLAGS + 2]
    head = streams.read("Current User")[_SLIDES_HEAD : _SLIDES_HEAD + 4]
    return bool(int.from_bytes(flags, "little") & _IS_ENCRYPTED) or head == _ENCRYPTED_SLIDES


def decrypted(data: bytes, name: str) -> bytes:
    """An office file without its encryption.

    Raises:
        LoadError: No password was given, none opens it, or it is broken.
        UnsupportedFormatError: The extra ``office`` is not installed.
    """
    passwords = reading_aids().passwords
    try:
        from msoffcrypto import OfficeFile
        from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError
    except ImportError as exc:
        if not passwords:
            raise locked(name) from exc
        what = "opening an encrypted office file"
        raise needs_extra(what, name) from exc
    for password in (*passwords, _OF_EXCEL):
        target = BytesIO()
        try:
            file = OfficeFile(BytesIO(data))
            # Of the older formats the key is always checked; of these only when asked for.
            checked = {"verify_password": True} if file.format == "ooxml" else {}
            file.load_key(password=password, **checked)
            file.decrypt(target)
        except InvalidKeyError:
            continue
        except (DecryptionError, FileFormatError, *_BROKEN) as exc:
            if isinstance(exc, DecryptionError) and "nsupported" not in str(exc):
                continue
            msg = f"is encrypted in a way that cannot be read: {exc}"
            raise LoadError(msg, name) from exc
        return target.getvalue()
    raise locked(name)
