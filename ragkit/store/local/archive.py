"""An index in one file: a plain tar, whose last member says what is in it and its hashes.

docs/format.md describes it. What is read from such a file is written by no name but those that the
format lists, below a hidden folder, which gets the index's name when every hash was right.
"""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import sys
import tarfile
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from ragkit._version import __version__
from ragkit.errors import IndexCorruptError, IndexExistsError, StoreError
from ragkit.store.local import disk
from ragkit.store.local.catalog import (
    FORMAT_VERSION,
    make_durable,
    reading,
    translated,
    write_seals,
)
from ragkit.store.local.connections import connect
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.queries import read_commits
from ragkit.store.local.troubles import NO_SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int], None]

ARCHIVE_VERSION = 1
CONTENTS = "contents.json"
_CATALOG = "catalog.db"
# The only names that a member may have: no folder, no link, nothing that leads elsewhere.
_MEMBER = re.compile(r"catalog\.db|vectors/\d{8}\.(f16|rbq|ivf)|contents\.json")
_BLOCK_BYTES = 1 << 20
_MOST_CONTENTS_BYTES = 1 << 26
_COPIED_PAGES = 4096


def _no_progress(_done: int, _total: int) -> None:
    pass


def _report(on_progress: Progress, before: int, total: int, done: int) -> None:
    on_progress(before + done, total)


# Writing -----------------------------------------------------------------------------------------


def write_archive(path: Path, file: Path, on_progress: Progress | None = None) -> int:
    """Write an index as it is at one commit; see `VectorStore.backup`.

    The catalog is copied within one read transaction. The rows that it names are on the disk and
    never change; their files are opened within it, so that a compaction cannot take them away.

    Args:
        path: The index folder.
        file: The archive to make.
        on_progress: As for `VectorStore.backup`.
    """
    if os.path.lexists(file):
        raise _taken(file)
    if not os.path.isdir(file.parent):  # noqa: PTH112 -- Path.is_dir raises where it is closed
        msg = f"{file} cannot be made: there is no folder {file.parent}: make it, or name another"
        raise StoreError(msg, path)
    part, copy = (file.with_name(f".{file.name}.{end}") for end in ("part", "catalog"))
    is_ours = False
    try:
        with translated(file), _begun(part, file) as target:
            is_ours = disk.locks(target.fileno(), wait_s=0.0) and _is_at(target, part)
            if not is_ours:
                msg = f"{file} is being made by another backup: wait for it, or give another name"
                raise StoreError(msg, path)
            target.truncate(0)  # what a backup that was killed left
            target.seek(0)
            _remove(copy)
            with ExitStack() as opened:
                copy.touch(exist_ok=False)  # a full disk is told better than by SQLite
                try:
                    sources = _snapshot(path, copy, opened)
                except IndexCorruptError:  # or a compaction took a file away in between
                    sources = _snapshot(path, copy, opened)
                written = _write_members(path, target, sources, on_progress or _no_progress)
                target.flush()
                disk.sync(target.fileno())
            _remove(copy)  # or a kill after the next step would leave it
            if sys.platform != "win32":  # where a file that is open keeps its name
                _give_name(part, file)
        if sys.platform == "win32":
            _give_name(part, file)
        disk.sync_folder(file.parent)
    finally:
        if is_ours:
            _remove(part, copy)
    return written


def _begun(part: Path, file: Path) -> IO[bytes]:
    """Open the file that an archive is written to.

    Raises:
        StoreError: There can be none.
    """
    try:
        return part.open("ab")
    except OSError as exc:
        if exc.errno in NO_SPACE:
            raise
        msg = f"{file} cannot be made: {exc.strerror}; name a file where this user may write"
        raise StoreError(msg, file) from exc


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file has this name yet; another process may have renamed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _give_name(part: Path, file: Path) -> None:
    """Give a whole archive its name, unless that was taken meanwhile.

    Raises:
        StoreError: It was.
    """
    if os.path.lexists(file):
        raise _taken(file)
    part.rename(file)


def _taken(file: Path) -> StoreError:
    msg = f"{file} is there already; a backup replaces no file: give it another name"
    return StoreError(msg, file)


def _remove(*files: Path) -> None:
    """Delete files, and what SQLite may have left beside one that is a catalog."""
    for file in files:
        for name in (file.name, *(f"{file.name}-{end}" for end in ("wal", "shm", "journal"))):
            with suppress(FileNotFoundError):
                file.with_name(name).unlink()


def _snapshot(path: Path, copy: Path, opened: ExitStack) -> list[tuple[str, IO[bytes], int]]:
    """Copy the catalog and open the files of its segments: names, files, sizes.

    A file is read up to that size: what the catalog names of it, or all there is of what is
    derived.
    """
    with closing(connect(path)) as connection, translated(path), reading(connection):
        segments = connection.execute("SELECT id, dim, rows FROM segments ORDER BY id").fetchall()
        sources = []
        for segment, dim, rows in segments:
            files = SegmentFiles(path / "vectors", dim)
            if rows:
                size = rows * files.row_bytes
                stream = opened.enter_context(_opened_rows(files, segment, size))
                sources.append((_name(segment, "f16"), stream, size))
            for derived in ("rbq", "ivf"):
                with suppress(FileNotFoundError):
                    there = path / _name(segment, derived)
                    stream = opened.enter_context(there.open("rb"))
                    size = os.fstat(stream.fileno()).st_size
                    sources.append((_name(segment, derived), stream, size))
        with translated(copy), closing(sqlite3.connect(copy)) as target:
            connection.backup(target, pages=_COPIED_PAGES)
            if read_commits(target) != read_commits(connection):
                msg = f"{path}: the copy of the catalog is not of the commit it was begun at"
                raise StoreError(msg, path)
    stream = opened.enter_context(copy.open("rb"))
    return [(_CATALOG, stream, copy.stat().st_size), *sources]


def _opened_rows(files: SegmentFiles, segment: int, size: int) -> IO[bytes]:
    """Open a file of so many bytes of rows.

    Raises:
        MissingRowsError: There are fewer.
    """
    what = f"segment {segment} does not hold the rows that the catalog names"
    try:
        stream = files.rows_path(segment).open("rb")
    except disk.ABSENT as exc:
        raise disk.MissingRowsError(what) from exc
    if os.fstat(stream.fileno()).st_size < size:
        stream.close()
        raise disk.MissingRowsError(what)
    return stream


def _name(segment: int, ending: str) -> str:
    return f"vectors/{segment:08d}.{ending}"


def _write_members(
    path: Path,
    target: IO[bytes],
    sources: list[tuple[str, IO[bytes], int]],
    on_progress: Progress,
) -> int:
    files: dict[str, dict[str, Any]] = {}
    total, done = sum(size for *_, size in sources), 0
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, stream, size in sources:
            hashed = _Hashed(stream, partial(_report, on_progress, done, total))
            archive.addfile(_member(name, size), hashed)
            files[name] = {"size": size, "sha256": hashed.digest()}
            done += size
        contents = {
            "archive": ARCHIVE_VERSION,
            "format": FORMAT_VERSION,
            "index": os.fsencode(path.resolve().name).decode("utf-8", "replace"),
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "ragkit": __version__,
            "files": files,
        }
        text = json.dumps(contents, ensure_ascii=False, indent=1).encode()
        archive.addfile(_member(CONTENTS, len(text)), io.BytesIO(text))
    return target.tell()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    member.mtime = int(datetime.now(UTC).timestamp())
    return member


class _Hashed:
    """A stream that hashes what is read of it."""

    def __init__(self, stream: IO[bytes], on_read: Callable[[int], None]) -> None:
        self._stream, self._on_read = stream, on_read
        self._hash = sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        self.size += len(data)
        self._on_read(self.size)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


# Reading -----------------------------------------------------------------------------------------


def read_contents(file: Path) -> dict[str, Any]:
    """What an archive says is in it.

    Raises:
        StoreError: It is no whole archive, or one of a later version.
    """
    with translated(file), _opened(file) as archive:
        last = None
        for member in _members(archive, file):
            last = member
        if last is None or last.name != CONTENTS:
            raise _refused(file, f"it ends without {CONTENTS}: it was cut off, or is none")
        return _contents(archive, last, file)


def restore_archive(
    file: Path, path: Path, contents: dict[str, Any], on_progress: Progress | None = None
) -> None:
    """Make an index of an archive; it gets its name when every hash was right.

    Args:
        file: The archive.
        path: The index folder, which is not there or empty.
        contents: As `read_contents` gave it.
        on_progress: Called now and then with the bytes done and the bytes there are.

    Raises:
        IndexExistsError: There is an index, or anything else, at the path.
        StoreError: The archive is damaged, or holds what no archive of ragkit's does.
    """
    made = path.with_name(f".{path.name}.restoring")
    with translated(path):
        _refuse_if_there(path)
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        with disk.writer_lock(made, "restore", wait_s=disk.WRITER_WAIT_S):
            if foreign := disk.foreign_files(made):
                msg = f"{made} holds {disk.in_short(foreign)}, which is not ragkit's: move it away"
                raise StoreError(msg, path)
            try:
                _empty(made)
                with _opened(file) as archive:
                    _write_files(archive, file, made, (contents, on_progress or _no_progress))
                _give_identity(made)
                _take_name(made, path)
            except BaseException:
                if made.exists():
                    disk.delete_index(made)
                raise


def _refuse_if_there(path: Path) -> None:
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        what = "an index" if (path / _CATALOG).exists() else "something"
        msg = f"there is {what} at {path} already; restore under another name: --index NAME"
        raise IndexExistsError(msg, path)


def _empty(made: Path) -> None:
    """Delete what a killed restore left, but for the lock that is held."""
    for file in (made / "vectors").glob("*"):
        file.unlink()
    for file in made.glob("c*"):
        file.unlink()
    (made / "vectors").mkdir(exist_ok=True)


def _opened(file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(file, "r:")
    except (tarfile.TarError, EOFError) as exc:
        raise _refused(file, str(exc)) from exc
    except OSError as exc:
        msg = f"{file} cannot be read: {exc.strerror}; name a file that `ragkit backup` wrote"
        raise StoreError(msg, file) from exc


def _members(archive: tarfile.TarFile, file: Path) -> Iterator[tarfile.TarInfo]:
    """The members in their order, each a plain file of a name that the format lists, once."""
    seen: set[str] = set()
    try:
        for member in archive:
            is_plain = member.type in {tarfile.REGTYPE, tarfile.AREGTYPE}  # and not sparse
            if not is_plain or not _MEMBER.fullmatch(member.name) or member.name in seen:
                raise _refused(file, f"{member.name!r} has no place in it")
            seen.add(member.name)
            yield member
    except (tarfile.TarError, EOFError) as exc:
        raise _refused(file, str(exc)) from exc


def _contents(archive: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> dict[str, Any]:
    stream = archive.extractfile(member)
    if stream is None or member.size > _MOST_CONTENTS_BYTES:
        raise _refused(file, f"{CONTENTS} cannot be read")
    try:
        contents = json.loads(stream.read())
        version, stored = contents["archive"], contents["format"]
        sizes = {name: (int(f["size"]), str(f["sha256"])) for name, f in contents["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise _refused(file, f"{CONTENTS} cannot be read: {exc}") from exc
    if version != ARCHIVE_VERSION or stored > FORMAT_VERSION:
        raise _refused(file, "a newer ragkit made it: install that")
    if _CATALOG not in sizes:
        raise _refused(file, f"{CONTENTS} names no {_CATALOG}")
    return {"index": str(contents.get("index", "")), "files": sizes}


def _write_files(
    archive: tarfile.TarFile,
    file: Path,
    made: Path,
    asked: tuple[dict[str, Any], Progress],
) -> None:
    contents, on_progress = asked
    expected: dict[str, tuple[int, str]] = dict(contents["files"])
    total, done = sum(size for size, _ in expected.values()), 0
    for member in _members(archive, file):
        if member.name == CONTENTS:
            continue
        size, digest = expected.pop(member.name, (-1, ""))
        stream = archive.extractfile(member)
        if stream is None or size != member.size:
            raise _refused(file, f"{member.name} is not as long as {CONTENTS} says")
        hashed = _Hashed(stream, partial(_report, on_progress, done, total))
        with (made / member.name).open("xb") as target:
            while block := hashed.read(_BLOCK_BYTES):
                target.write(block)
            target.flush()
            disk.sync(target.fileno())
        if hashed.digest() != digest:
            raise _refused(file, f"{member.name} is not what its hash says: the file is damaged")
        done += size
    if expected:
        raise _refused(file, f"it lacks {disk.in_short(sorted(expected))}")
    disk.sync_folder(made / "vectors")
    disk.sync_folder(made)


def _give_identity(made: Path) -> None:
    """Let the restored index be told from the one that was backed up, which may be there yet."""
    with closing(connect(made, write=True)) as connection:
        make_durable(connection)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "UPDATE manifest SET value = ? WHERE key = 'id'", (json.dumps(uuid4().hex),)
        )
        write_seals(connection)
        connection.execute("COMMIT")
        commits = read_commits(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    disk.write_counter(made, commits)


def _take_name(made: Path, path: Path) -> None:
    _refuse_if_there(path)
    if path.exists():
        path.rmdir()  # it is empty; Windows renames no folder over it
    made.rename(path)
    disk.sync_folder(path.parent)


def _refused(file: Path, why: str) -> StoreError:
    return StoreError(f"{file} is no backup that can be restored: {why}", file)
