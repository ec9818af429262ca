"""What there is to read files with, in a word: where it changes, files are worth another look.

A file of which something was left unread (a scan, a font that does not tell its letters, a file in
it that failed) keeps the word of that day. See `ragkit.ingest.plan`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._version import __version__

if TYPE_CHECKING:
    from ragkit.config import LoadSettings
    from ragkit.ingest.load.formats import Formats

_PACKAGES = (
    "pypdf", "pypdfium2", "lxml", "cryptography", "python-calamine", "striprtf", "python-oxmsg",
    "msoffcrypto-tool", "rapidocr", "onnxruntime",
)  # fmt: skip
_DIGITS = 16


def reader_set(settings: LoadSettings, formats: Formats) -> str:
    """A hash, 16 hex digits, of all that decides what can be read.

    That is the versions of ragkit and of the packages that read, the readers of programs and of
    installed packages, LibreOffice, and the settings that bound readers or give them something.
    """
    from importlib.metadata import entry_points  # 20 ms, which few runs need
    from shutil import which

    from ragkit.ingest.load.formats import GROUP

    program = which(settings.libreoffice) if settings.libreoffice else None
    parts = {
        "ragkit": __version__,
        "packages": {name: _version(name) for name in _PACKAGES},
        "given": [[row.kind, row.suffixes] for row in formats.given],
        "installed": sorted(
            [entry.name, entry.value, entry.dist.version if entry.dist else ""]
            for entry in entry_points(group=GROUP)
        ),
        "libreoffice": _state(program) if program else None,
        "passwords": _state(settings.password_file) if settings.password_file else None,
        "settings": [
            settings.archives,
            settings.ocr,
            settings.max_file_mb,
            settings.parse_timeout_s,
            settings.parse_memory_mb,
        ],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _state(file: str) -> list[Any]:
    """What tells whether a file is another one, and nothing of what it holds."""
    try:
        info = Path(file).expanduser().stat()
    except OSError:
        return [file]
    return [file, info.st_size, info.st_mtime_ns]
