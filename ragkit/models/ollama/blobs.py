"""The endpoints for files that models are made from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from ragkit.errors import ConfigError, ModelResponseError
from ragkit.models.ollama.connection import Connection
from ragkit.models.ollama.problems import Problem
from ragkit.models.ollama.transport import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Blob:
    """A file on the server. ``uploaded`` is False where it was there before."""

    digest: str
    size_bytes: int
    uploaded: bool


class Blobs(Connection):
    """Checks for and uploads files by their digests."""

    def has_blob(self, digest: str) -> bool:
        """True if the server has a file. ``HEAD /api/blobs/:digest``.

        Args:
            digest: ``sha256:`` and 64 hex digits; see `file_digest`.

        Raises:
            ConfigError: It is no digest.
        """
        got = self._transport.call(Request("HEAD", _path(digest)))
        if isinstance(got, Problem):
            # A HEAD has no body, so the status is all there is to tell by.
            if got.status == _NOT_FOUND:
                return False
            raise got.to_error(model="", address=self.address)
        return True

    def upload_blob(self, path: Path, report: Callable[[int, int], None] | None = None) -> Blob:
        """Upload a file, if the server does not have it. ``POST /api/blobs/:digest``.

        The file is read twice, in pieces: for its digest, which the address of the upload needs,
        and to be sent. The digest of what was sent is computed along the way.

        Args:
            path: The file.
            report: Called with the bytes sent so far and the file's size, while it is sent.

        Raises:
            ModelResponseError: The file changed between the two readings, or the server refuses
                it.
            OSError: The file cannot be read.
        """
        digest, size = file_digest(path), path.stat().st_size
        if self.has_blob(digest):
            return Blob(digest, size, uploaded=False)
        with path.open("rb") as file:
            reader = _Reader(file, size, report)
            # It reads like a file; of a file's other methods none is used.
            body = cast("BinaryIO", reader)
            request = Request("POST", _path(digest), file=body, size=size, repeat=False, tries=0)
            got = self._transport.call(request)
        if reader.digest() != digest:
            msg = f"{path} changed while it was uploaded to {self.address}; upload it again"
            raise ModelResponseError(msg)
        if isinstance(got, Problem):
            raise got.to_error(path.name, self.address)
        return Blob(digest, size, uploaded=True)


def file_digest(path: Path) -> str:
    """The digest of a file as the server names it: ``sha256:`` and 64 hex digits."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


class _Reader:
    """Hands out a file's bytes, counts and hashes them, and reports how far it is."""

    def __init__(
        self, file: BinaryIO, size: int, report: Callable[[int, int], None] | None
    ) -> None:
        self._file, self._size, self._report = file, size, report
        self._hash = hashlib.sha256()
        self._sent = 0

    def read(self, count: int = -1) -> bytes:
        # Not beyond the size announced: a file that grows must not spoil the connection.
        left = self._size - self._sent
        piece = self._file.read(left if count < 0 else min(count, left))
        self._hash.update(piece)
        self._sent += len(piece)
        if self._report and piece:
            self._report(self._sent, self._size)
        return piece

    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _path(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        msg = f"{digest!r} is no digest; expected sha256: and 64 hexadecimal digits"
        raise ConfigError(msg)
    return f"/api/blobs/{digest}"
