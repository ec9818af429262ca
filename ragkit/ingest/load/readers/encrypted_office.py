"""Encrypted Word, Excel and PowerPoint files, opened with a password that was given."""

from __future__ import annotations

from io import BytesIO

from ragkit.errors import LoadError
from ragkit.ingest.load.aids import locked, needs_extra, reading_aids
from ragkit.ingest.load.readers.zip_parts import OLE

_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def is_encrypted_package(data: bytes) -> bool:
    """Whether a file is a newer office file that is encrypted."""
    return data.startswith(OLE[:4]) and _ENCRYPTED in data


def decrypted(data: bytes, name: str) -> bytes:
    """An office file without its encryption.

    Raises:
        LoadError: No password was given, none opens it, or it is broken.
        UnsupportedFormatError: The extra ``office`` is not installed.
    """
    passwords = reading_aids().passwords
    if not passwords:
        raise locked(name)
    try:
        from msoffcrypto import OfficeFile
        from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError
    except ImportError as exc:
        what = "opening an encrypted office file"
        raise needs_extra(what, name) from exc
    for password in passwords:
        target = BytesIO()
        try:
            file = OfficeFile(BytesIO(data))
            # Of the older formats the key is always checked; of these only when asked for.
            checked = {"verify_password": True} if file.format == "ooxml" else {}
            file.load_key(password=password, **checked)
            file.decrypt(target)
        except (InvalidKeyError, DecryptionError):  # the wrong one
            continue
        except (FileFormatError, OSError, ValueError, KeyError, IndexError) as exc:
            msg = f"is encrypted in a way that cannot be read: {exc}"
            raise LoadError(msg, name) from exc
        return target.getvalue()
    raise locked(name)
