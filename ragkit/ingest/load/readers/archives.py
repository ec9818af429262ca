"""ZIP and TAR archives: their files, each to be read as a document of its own."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError
from ragkit.ingest.load.aids import locked, reading_aids
from ragkit.ingest.load.encoding import decode
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.frames import MOST_OF_MEMBERS
from ragkit.ingest.load.members import MOST_MEMBERS, Member, MemberNames
from ragkit.ingest.load.readers.zip_parts import DAMAGE, MOST_RATIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zipfile import ZipFile, ZipInfo

_UTF_8 = 0x800  # the flag of a ZIP entry whose name is in UTF-8
_SMALL = 1_000_000
_BY_PROGRAMS = re.compile(r"(?:.*/)?(?:__MACOSX/|\.DS_Store$|Thumbs\.db$|~\$)", re.IGNORECASE)
_DAMAGED = (*DAMAGE, tarfile.TarError, lzma.LZMAError)
_PACKED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}


def read_zip(data: bytes, name: str) -> Parsed:
    """List the files of a ZIP archive, and unpack them as members.

    A file that is damaged, too large, packed like a bomb, or that no password opens is a member
    that cannot be had. Names without a sign of UTF-8 are decoded as texts are.

    Raises:
        LoadError: It is no archive, or holds too many files or too much.
    """
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
            _check(len(files), 0, name)
            return _listed(_unzipped(archive, files, name))
    except _DAMAGED as exc:
        msg = f"not a readable ZIP archive: {exc}"
        raise LoadError(msg, name) from exc


def read_tar(data: bytes, name: str) -> Parsed:
    """List the files of a TAR archive, packed or not, and unpack them as members.

    Raises:
        LoadError: It is no archive, or holds too many files or too much.
    """
    try:
        return _listed(_untarred(data, name))
    except _DAMAGED as exc:
        msg = f"not a readable TAR archive: {exc}"
        raise LoadError(msg, name) from exc


def _listed(members: Iterator[Member]) -> Parsed:
    found = tuple(members)
    return Parsed("\n".join(member.name for member in found), members=found)


def _check(count: int, size: int, name: str) -> None:
    most = MOST_OF_MEMBERS * reading_aids().most_bytes
    if count > MOST_MEMBERS:
        msg = f"holds {count:,} files, more than {MOST_MEMBERS:,}"
        raise LoadError(msg, name)
    if size > most:
        msg = f"unpacks to more than {most / 1_000_000:g} MB"
        raise LoadError(msg, name)


def _unwanted(path: str) -> str:
    """Why a file is left out by its name, "" if it is not."""
    return "hidden" if any(part.startswith(".") for part in path.split("/")) else ""


def _too_large(size: int) -> str:
    most = reading_aids().most_bytes
    return f"larger than {most / 1_000_000:g} MB" if size > most else ""


def _unzipped(archive: ZipFile, files: list[ZipInfo], name: str) -> Iterator[Member]:
    names, total = MemberNames(), 0
    for info in files:
        path = info.filename
        if not info.flag_bits & _UTF_8 and not path.isascii():
            path = decode(path.encode("cp437", "replace")).text
        if _BY_PROGRAMS.match(path):
            continue
        shown = names.take(path)
        is_dense = info.file_size > max(_SMALL, MOST_RATIO * info.compress_size)
        reason = "is packed like a zip bomb" if is_dense else _too_large(info.file_size)
        if unwanted := _unwanted(shown):
            yield Member(shown, reason=unwanted, is_unwanted=True)
        elif reason:
            yield Member(shown, reason=reason)
        else:
            total += info.file_size
            _check(0, total, name)
            yield _unzipped_one(archive, info, shown)


def _unzipped_one(archive: ZipFile, info: ZipInfo, shown: str) -> Member:
    if not info.flag_bits & 1:
        try:
            return Member(shown, archive.read(info))
        except (RuntimeError, *_DAMAGED) as exc:
            return Member(shown, reason=f"cannot be unpacked: {exc}")
    for password in reading_aids().passwords:
        # A wrong password is told from a right one by one byte, and then makes damaged content.
        with suppress(RuntimeError, *_DAMAGED):
            return Member(shown, archive.read(info, password.encode("utf-8")))
    return Member(shown, reason=str(locked(shown)))


def _untarred(data: bytes, name: str) -> Iterator[Member]:
    names, total = MemberNames(), 0
    opener = next((o for sign, o in _PACKED.items() if data.startswith(sign)), None)
    stream: Any = opener(io.BytesIO(data)) if opener else io.BytesIO(data)
    with stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for count, info in enumerate(archive, start=1):
            total += info.size
            _check(count, total, name)
            if not info.isreg() or _BY_PROGRAMS.match(info.name):
                continue
            path = info.name.encode("utf-8", "surrogateescape")
            shown = names.take(decode(path).text)
            if unwanted := _unwanted(shown):
                yield Member(shown, reason=unwanted, is_unwanted=True)
            elif reason := _too_large(info.size):
                yield Member(shown, reason=reason)
            else:
                file = archive.extractfile(info)
                content = file.read() if file else b""
                is_cut = len(content) < info.size
                yield Member(shown, content, "is cut off" if is_cut else "")
