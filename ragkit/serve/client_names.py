"""Names and paths that clients give: none of them may lead out of where it belongs."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from ragkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 200  # bytes; file systems take 255
_DEEPEST = 16
_FORBIDDEN = '<>:"|?*\\'
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)}


def checked_index_name(name: str) -> str:
    r"""The name of a new index, if it can be that of a folder on every system.

    >>> checked_index_name("handbook 2026")
    'handbook 2026'

    Raises:
        InputError: It cannot.
    """
    return _checked(unicodedata.normalize("NFC", name), "an index")


def checked_file_name(name: str) -> str:
    """A relative path of a file, in NFC, each part of which can be a name on every system.

    Raises:
        InputError: It leads elsewhere, is hidden, or has a character that names may not have.
    """
    parts = unicodedata.normalize("NFC", name).split("/")
    if len(parts) > _DEEPEST:
        msg = f"the file lies in {len(parts) - 1} folders, and at most {_DEEPEST - 1} are taken"
        raise InputError(msg)
    return "/".join(_checked(part, "a file") for part in parts)


def folder_below(path: str, roots: Sequence[str]) -> Path:
    """A folder that a client names, links resolved, if it lies below one of the roots.

    Raises:
        HTTPException: It does not; 403. Whether there is such a folder is then not told.
        InputError: There is none.
    """
    if not os.path.isabs(path) or "\0" in path:  # noqa: PTH117 -- plain strings
        msg = f"{path!r:.200} is no absolute path of a folder on the server"
        raise InputError(msg)
    found = Path(os.path.realpath(path))
    allowed = [Path(os.path.realpath(os.path.expanduser(root))) for root in roots]  # noqa: PTH111 -- as above
    if not any(found == root or root in found.parents for root in allowed):
        msg = f"{path!r:.200} does not lie below one of serve.roots, which the server's owner sets"
        raise HTTPException(403, msg)
    if not found.is_dir():
        msg = f"there is no folder {path!r:.200} on the server"
        raise InputError(msg)
    return found


def _checked(name: str, of: str) -> str:
    problem = ""
    if not name.strip():
        problem = "is empty"
    elif name.startswith("."):
        problem = "begins with a dot: such are hidden, and not indexed"
    elif name != name.strip() or name.endswith((".", "!")):
        problem = "begins with a space, or ends with a space, a dot or an exclamation mark"
    elif any(char in _FORBIDDEN or char == "/" or not char.isprintable() for char in name):
        problem = "has a character that names may not have"
    elif len(name.encode()) > _LONGEST:
        problem = f"is longer than {_LONGEST} bytes"
    elif name.partition(".")[0].casefold() in _DEVICES:
        problem = "is that of a device on Windows"
    if problem:
        msg = f"the name {name!r:.80} of {of} {problem}"
        raise InputError(msg)
    return name
