"""One file to one :class:`~ragkit.records.Document`: read once, hash and parse the same bytes."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.content import (
    NOT_TEXT,
    gunzip,
    has_suffix,
    is_gzipped,
    kind_by_content,
)
from ragkit.ingest.load.formats import no_reader
from ragkit.ingest.load.members import (
    ARCHIVE_LEFT_OUT,
    ARCHIVES,
    DEEPEST_MEMBER,
    MARK,
    MOST_MEMBERS,
    container_of,
)
from ragkit.ingest.load.ocr import PARTLY_UNREAD, PICTURE_LEFT_OUT
from ragkit.ingest.load.readers.text import markdown_title, rst_title
from ragkit.records import (
    EARLIEST_NS,
    LATEST_NS,
    OWN_METADATA,
    Document,
    make_doc_id,
    reading_facts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedReader

    from ragkit.config import LoadSettings
    from ragkit.ingest.load.formats import Format, Parsed, Structure
    from ragkit.ingest.load.members import Member
    from ragkit.ingest.load.parser import Parser

T = TypeVar("T")

_HEADINGS: dict[Structure, Callable[[str], str]] = {"markdown": markdown_title, "rst": rst_title}
_TRIES = 2  # a file that changes while it is read is read once more
_FAILED_SHOWN = 5
_DOC_ID_DIGITS = 32  # 128 bits: no two of any number of documents will meet
# Without O_NONBLOCK, opening a FIFO waits for its writer for ever.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Fingerprint(NamedTuple):
    """What tells whether a file changed: its hash (64 hex digits), size and time.

    A time that no index can hold, as a wrong clock makes it, is the nearest that one can.
    """

    file_sha256: str
    size_bytes: int
    mtime_ns: int


class LoadedMember(NamedTuple):
    """A file within a file: its document, or why there is none."""

    path: str
    size_bytes: int
    result: Document | LoadError

    @property
    def is_failed(self) -> bool:
        """Whether something is wrong with it; one of no known kind is only left out."""
        left_out = isinstance(self.result, UnsupportedFormatError)
        return isinstance(self.result, LoadError) and not left_out


class LoadedFile(NamedTuple):
    """A file's document, and those of the files in it."""

    document: Document
    members: tuple[LoadedMember, ...] = ()


def load_document(path: Path, *, root: Path, settings: LoadSettings, parser: Parser) -> Document:
    """Load one file, or one within a file: ``mail.eml!/a.pdf``; see `load_file`.

    Raises:
        UnsupportedFormatError, LoadError: As for `load_file`; the file holds no such file.
    """
    folder = root_folder(root)
    relative = relative_path(path, folder)
    within = container_of(relative)
    if within is None or os.path.lexists(path):
        return load_file(path, root=root, settings=settings, parser=parser).document
    outer = Path(folder, within[0])
    loaded = load_file(outer, root=root, settings=settings, parser=parser)
    found = next((m.result for m in loaded.members if m.path == relative), None)
    if isinstance(found, LoadError):
        raise found
    if found is None:
        msg = f"{within[0]} holds no {within[1]}"
        raise LoadError(msg, path)
    return found


def load_file(path: Path, *, root: Path, settings: LoadSettings, parser: Parser) -> LoadedFile:
    """Load one file, and the files in it, such as the attachments of a mail.

    The bytes that are hashed are those that are parsed. A file whose size or time changes while
    it is read is read once more, so what comes back is one state of it, never a mixture.

    Args:
        path: The file.
        root: The folder that it belongs to, or the file itself; its path is told from here.
        settings: ``max_file_mb`` bounds the file.
        parser: Parses the file; its formats are those that count.

    Raises:
        UnsupportedFormatError: There is no reader for its name, or it is not what its name says.
        LoadError: It is missing, unreadable, broken, too large, changes all the time, or lies
            outside the root (also by way of a symbolic link).
    """
    folder = root_folder(root)
    relative = relative_path(path, folder)
    if parser.formats.find(relative) is None and has_suffix(relative):
        raise UnsupportedFormatError(no_reader(relative), path)
    data, mark = _read(path, int(settings.max_file_mb * 1_000_000))
    loading = _Loading(printable(folder.as_posix()), settings, parser, mark.mtime_ns)
    document, inner = loading.document(relative, data, mark.file_sha256)
    document = replace(document, size_bytes=mark.size_bytes)
    members = tuple(loading.members(relative, inner))
    failed = [f"{m.path[len(relative) + len(MARK) :]}: {m.result}" for m in members if m.is_failed]
    if failed:
        told = [f"the file in it {reason}" for reason in failed[:_FAILED_SHOWN]]
        if len(failed) > _FAILED_SHOWN:
            told.append(f"{len(failed) - _FAILED_SHOWN} more files in it could not be read")
        document.metadata["notes"] = [*document.metadata.get("notes", ()), *told]
    if any(_is_worth_another_look(member.result) for member in members):
        _look_again(document, parser)
    return LoadedFile(document, members)


def _is_worth_another_look(result: Document | LoadError) -> bool:
    """Whether a file within a file was left unread, or something of it."""
    return isinstance(result, LoadError) or "readers" in reading_facts(result.metadata)


def _look_again(document: Document, parser: Parser) -> None:
    """Have a document's file read again once there is something else to read it with."""
    known = reading_facts(document.metadata)
    document.metadata[OWN_METADATA] = {**known, "readers": parser.reader_set}


@dataclass(slots=True)
class _Loading:
    """The loading of one file: what all documents that come of it have in common."""

    root: str
    settings: LoadSettings
    parser: Parser
    mtime_ns: int
    count: int = 0

    def document(
        self, path: str, data: bytes, file_sha256: str
    ) -> tuple[Document, tuple[Member, ...]]:
        """Parse the bytes of a file, and give the files in it."""
        name = f"{self.root}/{path}"
        row = self.parser.formats.find(path)
        if row is None and has_suffix(path):
            raise UnsupportedFormatError(no_reader(path), name)
        is_told = row is not None
        row = row or _by_content(data, self.parser, name)
        if row.kind in ARCHIVES and not self.settings.archives:
            raise UnsupportedFormatError(ARCHIVE_LEFT_OUT, name)
        if row.kind == "picture" and not self.settings.ocr:
            raise UnsupportedFormatError(PICTURE_LEFT_OUT, name)
        size = len(data)
        if is_gzipped(path):
            data = gunzip(data, int(self.settings.max_file_mb * 1_000_000), name)
        parsed = self.parser.parse(row.kind, data, name)
        metadata = dict(parsed.metadata)
        is_unread = metadata.pop(PARTLY_UNREAD, False) or not parsed.text.strip()
        if not is_told:
            told = f"its name has no suffix: it was read as {row.kind}, which its content is"
            metadata["notes"] = [*metadata.get("notes", ()), told]
        document = Document(
            doc_id=make_doc_id(self.root, path),
            root=self.root,
            path=path,
            title=_title(parsed, row.structure, path),
            kind=row.kind,
            text=parsed.text,
            file_sha256=file_sha256,
            size_bytes=size,
            mtime_ns=self.mtime_ns,
            encoding=parsed.encoding,
            pages=parsed.pages,
            metadata=metadata,
        )
        if is_unread or document.pages_without_text:
            _look_again(document, self.parser)
        return document, parsed.members

    def members(
        self, path: str, members: Sequence[Member], depth: int = 1
    ) -> Iterator[LoadedMember]:
        """Load the files in a file, and those in them."""
        for member in members:
            inner_path = f"{path}{MARK}{member.name}"
            inner: tuple[Member, ...] = ()
            try:
                result: Document | LoadError
                result, inner = self._member(inner_path, member, depth)
            except LoadError as exc:
                result = exc
            except MemoryError:
                result = LoadError("needs more memory than there is", inner_path)
            yield LoadedMember(inner_path, len(member.data), result)
            if inner:
                yield from self.members(inner_path, inner, depth + 1)

    def _member(self, path: str, member: Member, depth: int) -> tuple[Document, tuple[Member, ...]]:
        self.count += 1
        if member.is_unwanted:
            raise UnsupportedFormatError(member.reason, path)
        reason = member.reason
        if self.count > MOST_MEMBERS:
            reason = f"the file holds more than {MOST_MEMBERS:,} files"
        elif depth > DEEPEST_MEMBER:
            reason = f"lies deeper than {DEEPEST_MEMBER} files within each other"
        elif len(member.data) > self.settings.max_file_mb * 1_000_000:
            reason = f"larger than {self.settings.max_file_mb:g} MB"
        if reason:
            raise LoadError(reason, path)
        if not member.data:
            msg = "empty"
            raise UnsupportedFormatError(msg, path)
        return self.document(path, member.data, hashlib.sha256(member.data).hexdigest())


def fingerprint(path: Path) -> Fingerprint:
    """Hash a file without holding it in memory, to tell whether it must be loaded again.

    Raises:
        LoadError: It is missing, unreadable, no regular file, or changes all the time.
    """

    def digest(file: BufferedReader, _size: int) -> str:
        return hashlib.file_digest(file, "sha256").hexdigest()

    return _fingerprint(*_consistent(path, digest))


def root_folder(root: Path) -> Path:
    """Return the absolute folder that paths are told from; a file's is the one it lies in.

    Symbolic links on the way stay in the name, so that a link which is moved to another release
    of the same folder keeps its documents.
    """
    folder = Path(os.path.abspath(root))  # noqa: PTH100 -- absolute() would keep `..`
    return folder.parent if os.path.isfile(folder) else folder  # noqa: PTH113 -- never raises


def relative_path(path: Path, folder: Path) -> str:
    """Tell a path from a folder as documents are named: NFC, with ``/``, printable.

    Raises:
        LoadError: The file lies outside the folder, by its name or by a symbolic link.
    """
    absolute, top = os.path.abspath(path), _with_separator(str(folder))  # noqa: PTH100 -- as above
    if not absolute.startswith(top) or not is_within(absolute, str(folder)):
        msg = f"lies outside the root {folder}"
        raise LoadError(msg, path)
    return document_path(absolute[len(top) :].replace(os.sep, "/"))


def is_within(path: str, folder: str) -> bool:
    """Tell whether a path, its symbolic links followed, lies in a folder or is it."""
    real = _with_separator(os.path.realpath(path))
    if real.startswith(_with_separator(folder)):  # reached without links: one look is enough
        return True
    return real.startswith(_with_separator(os.path.realpath(folder)))


def _with_separator(folder: str) -> str:
    return folder if folder.endswith(os.sep) else folder + os.sep


def document_path(relative: str) -> str:
    r"""Spell a relative path as it is stored: NFC; bytes that are no UTF-8 as ``\xNN``."""
    return printable(unicodedata.normalize("NFC", relative))


def printable(name: str) -> str:
    r"""Replace bytes of a file name that are no UTF-8 by ``\xNN``, so that it can be stored."""
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _read(path: Path, most_bytes: int) -> tuple[bytes, Fingerprint]:
    def content(file: BufferedReader, size: int) -> bytes:
        if size > most_bytes:
            msg = f"larger than {most_bytes / 1_000_000:g} MB"
            raise LoadError(msg, path)
        return file.read(size + 1)  # one more than expected shows growth

    data, info = _consistent(path, content)
    return data, _fingerprint(hashlib.sha256(data).hexdigest(), info)


def _fingerprint(file_sha256: str, info: os.stat_result) -> Fingerprint:
    mtime_ns = min(max(info.st_mtime_ns, EARLIEST_NS), LATEST_NS)
    return Fingerprint(file_sha256, info.st_size, mtime_ns)


def _consistent(path: Path, read: Callable[[BufferedReader, int], T]) -> tuple[T, os.stat_result]:
    """Read from a file whose size and time are the same before and after."""
    for _ in range(_TRIES):
        try:
            with os.fdopen(os.open(path, _OPEN_FLAGS), "rb") as file:
                before = os.fstat(file.fileno())
                if not stat.S_ISREG(before.st_mode):
                    msg = "not a regular file"
                    raise LoadError(msg, path)
                result = read(file, before.st_size)
                after = os.fstat(file.fileno())
        except OSError as exc:
            msg = f"cannot be read: {exc.strerror or exc}"
            raise LoadError(msg, path) from exc
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return result, after
    msg = "changes while it is read"
    raise LoadError(msg, path)


def _by_content(data: bytes, parser: Parser, name: str) -> Format:
    """The format of a file whose name tells none."""
    kind = kind_by_content(data)
    row = parser.formats.of_kind(kind) if kind else None
    if row is None:
        raise UnsupportedFormatError(NOT_TEXT, name)
    return row


def _title(parsed: Parsed, structure: Structure, relative: str) -> str:
    """The file's own title, else the first heading of its text, else the stem of its name."""
    title = parsed.title
    if not title and structure in _HEADINGS:
        title = _HEADINGS[structure](parsed.text)
    stem = relative.rpartition("/")[2]
    return " ".join(title.split()) or stem.rpartition(".")[0] or stem
