"""Files that clients send: kept in the user's data folder, where citations find them again."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

from platformdirs import user_data_path
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ragkit.errors import StorageFullError, StoreError
from ragkit.serve.upload_limits import INCOMING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

UploadState: TypeAlias = Literal["stored", "replaced", "unchanged"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PIECE = 1 << 20
_IDLE_S = 60.0
"""A client that sends nothing for so long is not waited for."""


@dataclass(frozen=True, slots=True)
class UploadReply:
    """A file that was sent. ``unchanged``: it was there already, byte for byte."""

    index: str
    path: str
    size_bytes: int
    sha256: str
    state: UploadState


def uploads_folder(index: str, place: Path) -> Path:
    """Where the files of an index are kept; there may be none yet.

    Args:
        index: Its name.
        place: Its folder. Indexes of one name that lie elsewhere have folders of their own.
    """
    data = user_data_path("ragkit", appauthor=False)
    usual = data / "indexes" / index
    mark = hashlib.sha256(os.fsencode(place)).hexdigest()[:8]
    return data / "uploads" / (index if place == usual else f"{index}-{mark}")


class Upload:
    """A file on its way into a folder; it is there whole or not at all.

    Args:
        folder: Of an index's uploads.
        name: A relative path that `checked_file_name` let through.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._target = folder, folder / name
        self._incoming = folder.parent / INCOMING / secrets.token_hex(8)
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Of what has come, in hexadecimal."""
        return self._hash.hexdigest()

    async def receive(self, pieces: AsyncIterator[bytes], *, replace: bool) -> UploadState:
        """Take a file in.

        Args:
            pieces: Its bytes.
            replace: Whether it may take the place of another file of its name.

        Raises:
            HTTPException: There is another file of its name already; 409. It stays as it is. Or
                nothing came for `_IDLE_S`; 408.
            StorageFullError: The disk is full; nothing is left behind, and nothing lost.
            StoreError: It cannot be written.
        """
        try:
            await run_in_threadpool(self._prepare)
            with self._incoming.open("xb") as file:
                await self._write(file, pieces)
            return await run_in_threadpool(self._keep, replace=replace)
        except OSError as exc:
            raise self._told(exc) from exc
        finally:
            self._incoming.unlink(missing_ok=True)

    def require_room(self, size: int) -> None:
        """Refuse a file for which there is no room.

        Raises:
            StorageFullError: There is none.
        """
        there = next(p for p in (self._folder, *self._folder.parents) if p.exists())
        if shutil.disk_usage(there).free < size:
            raise _full(self._folder)

    def _prepare(self) -> None:
        for folder in (self._incoming.parent, self._target.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        real = Path(os.path.realpath(self._target.parent))
        root = Path(os.path.realpath(self._folder))
        if root != real and root not in real.parents:
            raise HTTPException(403, f"{self._target.name!r} would lie outside of the folder")

    async def _write(self, file: BinaryIO, pieces: AsyncIterator[bytes]) -> None:
        waiting = bytearray()
        while (piece := await _next_piece(pieces)) is not None:
            waiting += piece
            if len(waiting) >= _PIECE:
                await run_in_threadpool(self._append, file, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(self._append, file, bytes(waiting))
        await run_in_threadpool(_sync, file)

    def _append(self, file: BinaryIO, piece: bytes) -> None:
        file.write(piece)
        self._hash.update(piece)
        self.size_bytes += len(piece)

    def _keep(self, *, replace: bool) -> UploadState:
        """Give what has come its name."""
        try:
            os.link(self._incoming, self._target)
        except FileExistsError:
            return self._meet_other(replace=replace)
        return "stored"

    def _meet_other(self, *, replace: bool) -> UploadState:
        if self._target.is_file():
            with self._target.open("rb") as file:
                there = hashlib.file_digest(file, "sha256").hexdigest()
            if there == self.sha256:
                return "unchanged"
            if replace:
                self._incoming.replace(self._target)
                return "replaced"
        name = self._target.relative_to(self._folder).as_posix()
        msg = f"there is another {name!r} already; send it with replace=true to put it in its place"
        raise HTTPException(409, msg)

    def _told(self, exc: OSError) -> Exception:
        if exc.errno in _FULL:
            return _full(self._folder)
        name = self._target.relative_to(self._folder).as_posix()
        if isinstance(exc, (FileExistsError, NotADirectoryError)):
            return HTTPException(409, f"a file stands where {name!r} needs a folder")
        msg = f"{name!r} cannot be written: {exc.strerror}"
        return StoreError(msg, self._folder)


async def _next_piece(pieces: AsyncIterator[bytes]) -> bytes | None:
    """What comes next; None at the end."""
    try:
        async with asyncio.timeout(_IDLE_S):
            return await anext(pieces, None)
    except TimeoutError as exc:
        msg = f"nothing of the file came for {_IDLE_S:.0f} s; nothing of it was kept"
        raise HTTPException(408, msg, {"Connection": "close"}) from exc


def _full(folder: Path) -> StorageFullError:
    msg = "the disk of the server has no room for this file; nothing of it was kept"
    return StorageFullError(msg, folder)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
