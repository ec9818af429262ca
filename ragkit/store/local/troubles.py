"""Errors of SQLite and of the file system made ours: what happened, to what, and what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from typing import TYPE_CHECKING

from ragkit.errors import (
    IndexCorruptError,
    IndexLockedError,
    IndexNotFoundError,
    StorageFullError,
    StoreError,
)

if TYPE_CHECKING:
    from pathlib import Path

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY = {*_FORBIDDEN, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}
# SQLite reports a quota or a limit on file size as these, and keeps the reason to itself.
_WRITE_FAILED = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
_CORRUPT_VTAB = getattr(sqlite3, "SQLITE_CORRUPT_VTAB", 267)
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_UNCLEAR = {
    sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG,
}  # fmt: skip
_PROBE_BYTES = 1 << 16

RESTORE = (
    "`ragkit check` tells more; restore the index from a backup, or make a new one: "
    "`ragkit index FOLDER --index NAME`"
)
REPAIR = "`ragkit check --repair` makes it again"


def is_unclear(exc: sqlite3.Error) -> bool:
    """Whether either the index is damaged or the program is wrong: statements are its own."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in _UNCLEAR


def of_sqlite(exc: sqlite3.Error, path: Path) -> StoreError:
    """The error for one of SQLite's.

    Args:
        exc: As SQLite raised it.
        path: The index folder.
    """
    text = str(exc)
    extended = getattr(exc, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code == sqlite3.SQLITE_FULL or extended in _WRITE_FAILED:
        return StorageFullError(full(path), path)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return IndexLockedError(f"{path} is locked by another program: {text}; try again", path)
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return _unopened(path, text)
    if code == sqlite3.SQLITE_IOERR:
        return _unread(path, text)
    if extended == _CORRUPT_VTAB or "invalid fts5 file format" in text:
        msg = f"{path}: invariant keywords is broken: {text}; {REPAIR}"
        return IndexCorruptError(msg, path)
    # "Could not decode" is the module's own, without a code.
    if code in _DAMAGED or text.startswith("Could not decode"):
        return IndexCorruptError(f"{path}/catalog.db is damaged: {text}; {RESTORE}", path)
    return StoreError(f"{path}: {text}", path)


def of_system(exc: OSError, path: Path) -> StoreError:
    """The error for one of the operating system's.

    Args:
        exc: As it was raised.
        path: The index folder.
    """
    if exc.errno in NO_SPACE:
        return StorageFullError(full(path), path)
    reason = exc.strerror or str(exc)
    what = exc.filename or path
    if not os.path.exists(path):  # noqa: PTH110 -- Path.exists raises where a folder is closed
        if _is_out_of_sight(path):
            return _closed(path, reason)
        return _not_made(path, f"{what}: {reason}") if exc.errno in _IN_THE_WAY else _gone(path)
    if exc.errno == errno.EEXIST and not os.path.isdir(path):  # noqa: PTH112 -- as above
        return _not_made(path, "it is a file")
    if exc.errno in _FORBIDDEN:
        return StoreError(f"{what}: {reason}; {_to_allow(path)}", path)
    if exc.errno == errno.EIO:
        return _unread(path, reason)
    return StoreError(f"{what}: {reason}; what was committed before is kept: try again", path)


def full(path: Path) -> str:
    """The sentence for a disk without space."""
    return (
        f"the disk that holds {path} is full; what was committed before is intact: free some "
        "space and run the same command again"
    )


def _unopened(path: Path, text: str) -> StoreError:
    """SQLite keeps to itself why a file cannot be opened or written: look for the reason."""
    if path.is_file():  # the copy of the catalog that a backup makes
        return _unwritten(path, path.parent, text)
    if not path.is_dir():
        return _gone(path)
    if not os.access(path, os.R_OK | os.X_OK):
        return StoreError(f"{path} may not be read by this user: {_to_allow(path)}", path)
    catalog = path / "catalog.db"
    for file in (catalog, catalog.with_name("catalog.db-wal"), catalog.with_name("catalog.db-shm")):
        if file.exists() and not os.access(file, os.R_OK):
            return StoreError(f"{file} may not be read by this user: {_to_allow(path)}", path)
    if os.access(path, os.W_OK) and (os.access(catalog, os.W_OK) or not catalog.exists()):
        return _unwritten(path, path, text)
    log = catalog.with_name("catalog.db-wal")
    if log.exists() and log.stat().st_size:
        msg = (
            f"{path} cannot be written, and a run that was killed left a log in it that has to be "
            f"read first: {_to_allow(path)}, or copy the folder to where it can be written"
        )
        return StoreError(msg, path)
    return StoreError(f"{path} cannot be written: {text}; {_to_allow(path)}", path)


def _unwritten(path: Path, folder: Path, text: str) -> StoreError:
    reason = _why_no_file(folder)
    if reason in NO_SPACE:
        return StorageFullError(full(path), path)
    detail = os.strerror(reason) if reason else text
    return StoreError(f"{path}: {detail}; see that the disk can be written: try again", path)


def _why_no_file(path: Path) -> int:
    """The number of the error that a new file meets in a folder; 0 if none does."""
    try:
        with tempfile.TemporaryFile(dir=path, prefix=".learned.json.") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
    except OSError as exc:
        return exc.errno or errno.EIO
    return 0


def _to_allow(path: Path) -> str:
    """What to do about an index that this user may not read or write; it may be somebody's."""
    owner = path.stat().st_uid
    if hasattr(os, "geteuid") and owner != os.geteuid():
        return (
            f"it belongs to {_user_name(owner)}: ask for the right to use it, or make an index of "
            "your own with `ragkit index FOLDER --index NAME`"
        )
    return f"make it writable for this user: `chmod -R u+rwX {path}`"


def _user_name(number: int) -> str:
    import pwd  # there is none on Windows, where nobody asks

    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"


def _is_out_of_sight(path: Path) -> bool:
    """Whether a folder above keeps this user from looking if there is anything at a path."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _closed(path: Path, reason: str) -> StoreError:
    msg = (
        f"{path}: {reason}: a folder on the way to it is closed to this user; have it opened, or "
        "name an index elsewhere with --index"
    )
    return StoreError(msg, path)


def _not_made(path: Path, reason: str) -> StoreError:
    msg = (
        f"no index can be made at {path}: {reason}; choose a folder that you may write to, with "
        "`--index PATH` or the setting `indexes`"
    )
    return StoreError(msg, path)


def _gone(path: Path) -> StoreError:
    msg = (
        f"{path} is no longer there: it was moved, deleted or unmounted; what was committed is in "
        "it: bring it back, or name its new place with --index, and run the same command again"
    )
    return IndexNotFoundError(msg, path)


def _unread(path: Path, text: str) -> StoreError:
    if not path.exists():
        return _gone(path)
    msg = (
        f"{path}: the disk failed: {text}; what was committed before is kept: look at the system's "
        "log and at the disk, and run the same command again"
    )
    return StoreError(msg, path)
