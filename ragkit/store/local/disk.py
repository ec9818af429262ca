"""An index's folder: what in it is ragkit's, its writer's lock, its notes, its replacement.

Nothing here loads NumPy: listing documents and a run over unchanged files must not.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import struct
import sys
import time
import zlib
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ragkit.errors import IndexLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

WRITER_WAIT_S = 10.0

# What docs/format.md lists: nothing else in an index's folder is ragkit's to delete.
_OWN_NAMES = re.compile(
    r"catalog\.db(\.new)?(-wal|-shm|-journal)?|commits|writer\.lock|sentences\.f32|\.?learned\.json(\.\w+)?"
    r"|vectors|vectors/\d{8}\.(f16|rbq|ivf|new)|recognised|recognised/[0-9a-f]{32}(\.new)?"
)
VECTOR_SUFFIXES = {".f16", ".rbq", ".ivf", ".new"}
_NOTES = "learned.json"
_COMMITS = "commits"
_REPLACED = ".replaced"


def foreign_files(folder: Path) -> list[str]:
    """The names in an index's folder, and those within, that docs/format.md does not list.

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
    for emptied in (folder / "vectors", folder / "recognised", folder):
        with suppress(OSError):  # somebody else's file is left in it
            emptied.rmdir()


def _names(folder: Path) -> list[str]:
    names = []
    for prefix in ("", "vectors/", "recognised/"):
        place = folder / prefix
        if place.is_dir() and not (prefix and place.is_symlink()):
            names += [prefix + path.name for path in place.iterdir()]
    return names


def put_aside(index: Path) -> Path:
    """Rename an index that a new one replaces; returns where it is until it is deleted."""
    replaced = index.with_name(f".{index.name}{_REPLACED}")
    delete_index(replaced)
    index.rename(replaced)
    return replaced


def put_back(indexes: Path) -> None:
    """Put back each index of a folder whose rebuild was killed between its two renames."""
    if not os.path.isdir(indexes):  # noqa: PTH112 -- Path.is_dir raises where a folder is closed
        return
    for replaced in indexes.glob(f".*{_REPLACED}"):
        path = indexes / replaced.name[1 : -len(_REPLACED)]
        if path.exists() or not os.path.isfile(replaced / "catalog.db"):  # noqa: PTH113 -- as above
            continue
        with writer_lock(replaced, "put back", wait_s=WRITER_WAIT_S):  # a living rebuild holds it
            if not path.exists():
                replaced.rename(path)


def read_notes(index: Path) -> dict[str, Any]:
    """The notes kept in an index's folder; none without a file, or with one not to be read."""
    try:
        found = json.loads((index / _NOTES).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        _log.info("%s is not readable (%s): what it held is learned again", index / _NOTES, exc)
        return {}
    return found if isinstance(found, dict) else {}


def keep_note(index: Path, name: str, value: Any) -> None:  # noqa: ANN401 -- any JSON value
    """Keep a note; in an index that cannot be written it is not kept.

    Each write replaces the whole file, so that a reader never sees half of one; of two writers at
    the same moment one is forgotten, which costs one note.
    """
    import tempfile  # 5 ms that a search need not pay

    try:
        notes = read_notes(index) | {name: value}
        fd, name = tempfile.mkstemp(dir=index, prefix=f".{_NOTES}.")
        temporary = index / name
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(notes, file)
            temporary.replace(index / _NOTES)
        except BaseException:
            temporary.unlink()
            raise
    except OSError as exc:
        _log.debug("%s: not kept: %s", index / _NOTES, exc)


def unfinished_notes(index: Path) -> Iterator[Path]:
    """What `keep_note` left when it was killed."""
    return index.glob(f".{_NOTES}.*")


_COUNTER = struct.Struct("<QI")


def write_counter(index: Path, commits: int) -> None:
    """Write how many commits an index has seen; see `read_counter`. It need not reach the disk."""
    count = commits.to_bytes(8, "little")
    data = _COUNTER.pack(commits, zlib.crc32(count))
    try:
        fd = os.open(index / _COMMITS, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
    except OSError as exc:  # the commit itself is made
        _log.debug("%s: not counted: %s", index, exc)


def read_counter(index: Path) -> int:
    """How many commits an index has seen at least; 0 if that is not known."""
    try:
        commits, checksum = _COUNTER.unpack((index / _COMMITS).read_bytes())
    except (OSError, struct.error):
        return 0
    known = zlib.crc32(commits.to_bytes(8, "little")) == checksum
    return int(commits) if known else 0


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


def locks(fd: int, *, wait_s: float) -> bool:
    """Lock an open file until it is closed; False if another one held it for so many seconds."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            _try_lock(fd)
        except (BlockingIOError, PermissionError):  # the latter on Windows
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


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
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not locks(fd, wait_s=wait_s):
            raise IndexLockedError(_busy(path), folder)
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


ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What opening a file meets where none is: nothing, or a folder in its place or a file above it."""


class MissingRowsError(Exception):
    """A segment's file lacks committed rows: it was compacted away, or it is damaged."""
