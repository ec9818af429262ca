"""Parts of the vector files that the catalog needs too.

They are apart, without NumPy, because a run over unchanged files must not load it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class MissingRowsError(Exception):
    """A segment's file lacks committed rows: it was compacted away, or it is damaged."""


def sync(fd: int) -> None:
    """Flush a file's data to the disk, past the drive's cache where the platform can."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk; Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
