"""How many files come in at the same time, and how much all that were sent may take."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ragkit.config import ServeSettings

INCOMING = ".incoming"
"""The folder of files that have not come whole."""

_RETRY_AFTER_S = 2
_MB = 1e6


class UploadLimits:
    """Lets files in as long as there is leave for one more; used in the thread of the event loop.

    Args:
        settings: `max_uploads`, `max_upload_mb` and `max_uploads_mb`.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._coming = 0
        self._promised = 0

    @asynccontextmanager
    async def room(self, uploads: Path, size: int | None) -> AsyncIterator[None]:
        """Room for one file, for the length of a block.

        Args:
            uploads: The folder of all files that were sent, of whatever index.
            size: Bytes of the file; None: not told, so that it may be as large as one is let in.

        Raises:
            HTTPException: So many are coming already, 429; or all together would take more than
                they may, 413.
        """
        if self._coming >= self._settings.max_uploads:
            msg = f"{self._coming} files are being sent (serve.max_uploads): send it again soon"
            raise HTTPException(429, msg, {"Retry-After": str(_RETRY_AFTER_S)})
        promised = int(self._settings.max_upload_mb * _MB) if size is None else size
        self._coming += 1
        self._promised += promised
        try:
            # What is promised is told before the folder is looked at: a file that comes to its end
            # meanwhile counts twice, and none is missed.
            await self._require(uploads, self._promised)
            yield
        finally:
            self._coming -= 1
            self._promised -= promised

    async def _require(self, uploads: Path, promised: int) -> None:
        kept = await run_in_threadpool(_size_of, os.fspath(uploads))
        most = int(self._settings.max_uploads_mb * _MB)
        if kept + promised > most:
            msg = (
                f"the files that were sent take {kept:,} bytes, and this one would lead beyond the "
                f"{most:,} that they may take together (serve.max_uploads_mb)"
            )
            raise HTTPException(413, msg)


def _size_of(folder: str) -> int:
    """Bytes of all whole files below a folder; links are not followed."""
    total, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != INCOMING:
                            waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue  # there is none yet, or it went meanwhile
    return total
