"""The folder walk: every file under a root, in stable order, each with what becomes of it."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ragkit.errors import LoadError
from ragkit.ingest.load.content import NOT_TEXT, has_suffix, kind_of_file
from ragkit.ingest.load.document import document_path, is_within, root_folder
from ragkit.ingest.load.formats import Formats, no_reader
from ragkit.ingest.load.ignore import IGNORE_FILES, Rules, ignored_by, make_rules, read_ignore_file
from ragkit.ingest.load.members import ARCHIVE_LEFT_OUT, ARCHIVES
from ragkit.ingest.load.ocr import PICTURE_LEFT_OUT
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.config import LoadSettings


TWIN = (
    "another name beside it is the same in Unicode NFC, or with bytes that are no UTF-8 as \\xNN: "
    "rename one of the two"
)
# What office programs and file managers leave beside documents: lock files and their own notes.
_BY_PROGRAMS = late_pattern(r"~\$|\.~lock\.|(?:thumbs\.db|desktop\.ini|\.ds_store)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WalkEntry:
    """A file to load, or something that is left out and why.

    ``relative`` is the document's path (NFC, ``/``), a folder's ends with ``/``; that of a file
    whose name in NFC is taken stays as the system spells it. ``reason`` is empty for a file to
    load. Size and time are those of a file to load.
    """

    path: Path
    relative: str
    status: Literal["file", "skipped", "unreadable"]
    reason: str = ""
    size_bytes: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on the way down, with the rules of the folders above it."""

    name: str
    relative: str
    rules: tuple[Rules, ...]


def walk_files(
    root: Path, settings: LoadSettings, formats: Formats | None = None
) -> Iterator[WalkEntry]:
    """List a folder's files, ordered by their relative path.

    Whatever is left out is listed with its reason: hidden, ignored, too large, empty, of
    unknown kind, not a regular file, a symbolic link that leaves the root or loops. A folder
    that is left out is one entry. Lock files of office programs and notes of file managers are
    passed over without one. A root that is a file is taken as named: only its kind and
    size count.

    Args:
        root: The folder, or a file.
        settings: Which files count.
        formats: Which there are readers for; as `Parser` has them where None.

    Raises:
        LoadError: The root does not exist or cannot be read.
    """
    walk = _Walk(root_folder(root), settings, formats or Formats())
    try:
        info = root.stat()
        if stat.S_ISDIR(info.st_mode):
            os.scandir(root).close()
    except OSError as exc:
        reason = "no such file or folder" if isinstance(exc, FileNotFoundError) else exc.strerror
        msg = f"{root}: {reason}"
        raise LoadError(msg, root) from exc
    if not stat.S_ISDIR(info.st_mode):
        absolute = os.path.abspath(root)  # noqa: PTH100 -- absolute() would keep `..`
        name = os.path.basename(absolute)  # noqa: PTH119 -- as above
        yield walk.file(absolute, document_path(name), info)
        return
    yield from walk.run()


class _Walk:
    """One walk: the settings, made ready, and the linked folders met so far."""

    def __init__(self, root: Path, settings: LoadSettings, formats: Formats) -> None:
        self._root = str(root)
        self._formats = formats
        self._settings = settings
        self._most_bytes = int(settings.max_file_mb * 1_000_000)
        self._include = _setting_rules(settings.include, "include")
        self._exclude = _setting_rules(settings.exclude, "exclude")
        self._linked: set[str] = set()

    def run(self) -> Iterator[WalkEntry]:
        """Walk without recursion, since folders may be nested deeper than Python's stack."""
        top = _Folder(self._root, "", ())
        stack = [self._children(top)]
        while stack:
            for item in stack[-1]:
                if isinstance(item, WalkEntry):
                    yield item
                else:
                    stack.append(self._children(item))
                    break
            else:
                stack.pop()

    def file(self, path: str, relative: str, info: os.stat_result) -> WalkEntry:
        """Judge a file by its type, kind and size."""
        reason = ""
        if not stat.S_ISREG(info.st_mode):
            reason = "not a regular file"
        elif self._formats.find(relative) is None and (has_suffix(relative) or info.st_size == 0):
            reason = no_reader(relative)
        elif info.st_size == 0:
            reason = "empty"
        elif info.st_size > self._most_bytes:
            reason = f"larger than {self._settings.max_file_mb:g} MB"
        else:
            reason = self._unread(path, relative)
        if reason:
            return _skip(path, relative, reason)
        return WalkEntry(Path(path), relative, "file", "", info.st_size, info.st_mtime_ns)

    def _unread(self, path: str, relative: str) -> str:
        """Why a file of a sound size is left out all the same, "" if it is not."""
        row = self._formats.find(relative)
        if row is None:
            try:
                return "" if kind_of_file(path) else NOT_TEXT
            except OSError:  # to load it tells the reason, and keeps what the index has of it
                return ""
        if row.kind == "picture" and not self._settings.ocr:
            return PICTURE_LEFT_OUT
        return ARCHIVE_LEFT_OUT if row.kind in ARCHIVES and not self._settings.archives else ""

    def _children(self, folder: _Folder) -> Iterator[WalkEntry | _Folder]:
        try:
            with os.scandir(folder.name) as found:
                entries = list(found)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            yield WalkEntry(Path(folder.name), folder.relative, "unreadable", reason)
            return
        rules = self._rules_here(folder, {entry.name for entry in entries})
        before = ""
        documents = ((_key(e), e) for e in entries if not _BY_PROGRAMS.match(e.name))
        for name, entry in sorted(documents, key=lambda d: (d[0], not _is_nfc(d[1].name))):
            relative = folder.relative + name
            if name == before:  # named as the system spells it: a path of its own
                spelt = entry.name.encode("utf-8", "backslashreplace").decode()
                yield _skip(entry.path, folder.relative + spelt, TWIN)
                continue
            before = name
            yield self._judge(entry, relative, rules)

    def _rules_here(self, folder: _Folder, names: set[str]) -> tuple[Rules, ...]:
        if not self._settings.gitignore:
            return ()
        here = (
            read_ignore_file(folder.name, name, folder.relative)
            for name in IGNORE_FILES
            if name in names
        )
        return folder.rules + tuple(rules for rules in here if rules)

    def _judge(
        self, entry: os.DirEntry[str], relative: str, rules: tuple[Rules, ...]
    ) -> WalkEntry | _Folder:
        reason = self._left_out(entry.name, relative, rules)
        if reason:
            return _skip(entry.path, relative, reason)
        try:
            if entry.is_symlink():
                reason = self._refused_link(entry.path)
                if reason:
                    return _skip(entry.path, relative, reason)
            if not relative.endswith("/"):
                return self.file(entry.path, relative, entry.stat())
            if os.path.isfile(f"{entry.path}/catalog.db"):  # noqa: PTH113 -- plain strings
                return _skip(entry.path, relative, "ragkit index")
        except FileNotFoundError:
            return _skip(entry.path, relative, "vanished while the folder was read")
        except OSError as exc:  # it is there: what the index knows of it must stay
            return WalkEntry(Path(entry.path), relative, "unreadable", exc.strerror or str(exc))
        return _Folder(entry.path, relative, rules)

    def _left_out(self, name: str, relative: str, rules: tuple[Rules, ...]) -> str:
        if name.startswith(".") and not self._settings.hidden:
            return "hidden"
        if rules or self._exclude:
            source = ignored_by(self._exclude, relative) or ignored_by(rules, relative)
            if source:
                return f"left out by {source}"
        if self._include and not relative.endswith("/") and not ignored_by(self._include, relative):
            return "not among the included"
        return ""

    def _refused_link(self, path: str) -> str:
        target = os.path.realpath(path)
        if not os.path.exists(target):  # noqa: PTH110 -- the walk deals in plain strings
            return "broken symbolic link"
        if not is_within(target, self._root):
            return "symbolic link that leaves the root"
        if not os.path.isdir(target):  # noqa: PTH112 -- as above
            return ""
        if any(is_within(above, target) for above in self._above(path)):
            return "symbolic link to a folder above it"
        if target in self._linked:
            return "symbolic link to a folder that another link has led to"
        self._linked.add(target)
        return ""

    def _above(self, path: str) -> Iterator[str]:
        """The folders that the walk went through to get here, the root included."""
        while len(path) > len(self._root):
            path = os.path.dirname(path)  # noqa: PTH120 -- the walk deals in plain strings
            yield path


def _setting_rules(patterns: tuple[str, ...], source: str) -> tuple[Rules, ...]:
    return (make_rules(patterns, source=f"the setting {source}"),) if patterns else ()


def _skip(path: str, relative: str, reason: str) -> WalkEntry:
    return WalkEntry(Path(path), relative, "skipped", reason)


def _is_nfc(name: str) -> bool:
    return document_path(name) == name


def _key(entry: os.DirEntry[str]) -> str:
    """Spell an entry as in documents; with its slash, a folder sorts as its files' paths do."""
    name = document_path(entry.name)
    try:
        return name + "/" if entry.is_dir() else name
    except OSError:  # a symbolic link to itself
        return name
