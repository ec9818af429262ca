"""Parts of the vector files that the catalog needs too.

They are apart, without NumPy, because a run over unchanged files must not load it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ragkit.errors import IndexLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What docs/format.md lists: nothing else in an index's folder is ragkit's to delete.
_OWN_NAMES = re.compile(
    r"catalog\.db(\.new)?(-wal|-shm|-journal)?|writer\.lock|\.?learned\.json(\.\w+)?"
    r"|vectors|vectors/\d{8}\.(f16|rbq|ivf|new)"
)


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


def foreign_files(folder: Path) -> list[str]:
    """The names in an index's folder, and in its ``vectors``, that docs/format.md does not list.

    Returns:
        Names relative to the folder, sorted; none for a folder that is not there.
    """
    return sorted(name for name in _names(folder) if not _OWN_NAMES.fullmatch(name))


def in_short(names: list[str], most: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def delete_index(folder: Path) -> None:
    """Delete an index: the names that docs/format.md lists, then the folder if nothing is left.

    A link is never followed. Deleting an index that is gone does nothing.
    """
    if folder.is_symlink():
        return
    own = [folder / name for name in _names(folder) if _OWN_NAMES.fullmatch(name)]
    for path in own:
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
    for emptied in (folder / "vectors", folder):
        with suppress(OSError):  # somebody else's file is left in it
            emptied.rmdir()


def _names(folder: Path) -> list[str]:
    names = []
    for prefix, place in (("", folder), ("vectors/", folder / "vectors")):
        if place.is_dir() and not (prefix and place.is_symlink()):
            names += [prefix + path.name for path in place.iterdir()]
    return names


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk; Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


if sys.platform == "win32":
    import msvcrt

    _OFFSET = 1 << 30  # Windows locks are mandatory: lock a byte behind the text

    def _try_lock(fd: int) -> None:
        os.lseek(fd, _OFFSET, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def writer_lock(folder: Path, command: str, *, wait_s: float) -> Iterator[None]:
    """Hold ``writer.lock`` of an index folder.

    Args:
        folder: The index folder.
        command: What the holder does, for those who wait.
        wait_s: Seconds to wait for another holder.

    Raises:
        IndexLockedError: Another process held it all the time; the message says which.
    """
    path = folder / "writer.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                _try_lock(fd)
                break
            except (BlockingIOError, PermissionError) as exc:  # the latter on Windows
                if time.monotonic() >= deadline:
                    raise IndexLockedError(_busy(path), folder) from exc
                time.sleep(0.05)
        _sign(fd, command)
        yield
    finally:
        os.close(fd)


def _sign(fd: int, command: str) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": command,
        "start": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(holder).encode()
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, text)


def _busy(path: Path) -> str:
    try:
        holder = json.loads(path.read_text("utf-8"))
        who = "process {pid} on {host} ({command}, since {start})".format(**holder)
    except (OSError, ValueError, KeyError):
        who = "another process"
    return f"{path.parent} is being written by {who}; wait for it to finish and try again"
