"""The writer's lock: one process at a time, released by the operating system if it dies.

Written here and not taken from a lock library because the file must go on naming its holder
while others wait; the common one empties the file at each try.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ragkit.errors import IndexLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
