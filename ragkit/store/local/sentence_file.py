"""The vectors of sentences that answers were quoted from, in a file beside the catalog.

Readers write it, as they do notes: it is no part of the index, and may be absent. Its records are
found by key and believed by checksum, so half a write is no record. Compactions, erasures and the
end of a rebuild empty it, since what it holds was made from texts that may now be gone; a reader
that still has such a text keeps nothing of it, because it looks for the document's version in the
catalog while it holds the file's lock, and who empties the file waits for that lock.
"""

from __future__ import annotations

import logging
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragkit.store.local.disk import locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors

_log = logging.getLogger(__name__)

_NAME = "sentences.f32"
_KEY_BYTES = 32
_CHECKSUM_BYTES = 4
MOST_SENTENCES = 1024
"""Records of a file, 3 MB with 768 dimensions; where it is full, the older half goes."""
_EMPTY_WAIT_S = 10.0


def read_sentences(index: Path, dim: int, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
    """The vectors that are kept under keys: float32, shape (dim,); none where none are.

    Args:
        index: The index folder.
        dim: Of the index's vectors.
        keys: Of the sentences, 32 bytes each.
    """
    try:
        data = (index / _NAME).read_bytes()
    except OSError:
        return {}
    wanted = set(keys)
    return {
        record[:_KEY_BYTES]: _vector(record)
        for record in _records(data, dim)
        if record[:_KEY_BYTES] in wanted and _is_whole(record)
    }


def keep_sentences(
    index: Path, dim: int, vectors: Mapping[bytes, Vectors], is_current: Callable[[], bool]
) -> None:
    """Keep vectors under their keys, if the folder can be written and no other process writes.

    Args:
        index: The index folder.
        dim: Of the index's vectors; a file of another dimension is begun anew.
        vectors: Unit length, by key.
        is_current: Asked while the file is locked: are the texts still in the catalog?
    """
    try:
        with _opened(index, create=True) as fd:
            if not locks(fd, wait_s=0.0) or not is_current():
                return
            records = [record for record in _records(_content(fd), dim) if _is_whole(record)]
            known = {record[:_KEY_BYTES] for record in records}
            records += [_record(key, v) for key, v in vectors.items() if key not in known]
            if len(records) > MOST_SENTENCES:
                records = records[-MOST_SENTENCES // 2 :]
            os.lseek(fd, 0, os.SEEK_SET)
            written = os.write(fd, b"".join(records))
            os.ftruncate(fd, written)
    except OSError as exc:
        _log.debug("%s: sentences are not kept: %s", index, exc)


def empty_sentences(index: Path) -> bool:
    """Empty the file; the writer calls it once the texts are out of the catalog.

    Returns:
        Whether nothing of it is left; False if a process held its lock all the time.
    """
    try:
        with _opened(index, create=False) as fd:
            if not locks(fd, wait_s=_EMPTY_WAIT_S):
                return False
            os.ftruncate(fd, 0)
    except FileNotFoundError:
        return True
    return True


@contextmanager
def _opened(index: Path, *, create: bool) -> Iterator[int]:
    flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | (os.O_CREAT if create else 0)
    fd = os.open(index / _NAME, flags, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _content(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, os.fstat(fd).st_size)


def _records(data: bytes, dim: int) -> Iterator[bytes]:
    size = _KEY_BYTES + 4 * dim + _CHECKSUM_BYTES
    for start in range(0, len(data) - size + 1, size):
        yield data[start : start + size]


def _vector(record: bytes) -> Vectors:
    import numpy as np  # not for a run that only empties the file

    return np.frombuffer(record[_KEY_BYTES:-_CHECKSUM_BYTES], "<f4").astype(np.float32)


def _record(key: bytes, vector: Vectors) -> bytes:
    told = key + vector.astype("<f4").tobytes()
    return told + zlib.crc32(told).to_bytes(_CHECKSUM_BYTES, "little")


def _is_whole(record: bytes) -> bool:
    checksum = int.from_bytes(record[-_CHECKSUM_BYTES:], "little")
    return zlib.crc32(record[:-_CHECKSUM_BYTES]) == checksum
