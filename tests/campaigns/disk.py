"""What a disk may hold after a power cut: a recorded run, with what was not synced left in doubt.

The model is meaner than ext4 with its default options, and close to what POSIX allows.

* A file's content: writes and truncations before its last `fsync` or `fdatasync` are there. Each
  later one is there or not, whatever became of those before it; one that is there may be torn: any
  of its 512-byte sectors may be missing. A hole reads as zeros.
* A folder's entries: what was created, renamed or unlinked before the folder's last `fsync` is so.
  Of the later changes a prefix is, each folder its own. That a synced file's entry is then sure
  too, which ext4 grants, is not assumed.
* A rename is one step: the name means the one file or the other.
* What SQLite keeps in memory that is mapped (``-shm``) is lost; it does not trust that file.
* The disk does not lie about a sync, and what was there before the run is there.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from campaigns import shim

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from campaigns.shim import Call

SECTOR = 512


@dataclass
class File:
    """A file: what it held before the run, and the run's changes with their numbers."""

    content: bytes = b""
    changes: list[tuple[int, Call]] = field(default_factory=list)
    synced: int = 0  # the number of the last sync

    def after_the_cut(self, at: int, dice: Random, keep: float) -> bytes:
        """Its content if the power fails before call number `at`."""
        content = bytearray(self.content)
        for number, call in self.changes:
            if number >= at:
                break
            if number < self.synced:
                _apply(content, call.offset, call)
            elif dice.random() < keep:
                _apply_torn(content, call, dice, keep)
        return bytes(content)


def _apply(content: bytearray, offset: int, call: Call) -> None:
    if call.kind == shim.TRUNCATE:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
    else:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(call.data)] = call.data


def _apply_torn(content: bytearray, call: Call, dice: Random, keep: float) -> None:
    """Apply a write of which some sectors may be missing."""
    if call.kind == shim.TRUNCATE or keep >= 1 or dice.random() < 0.6:
        _apply(content, call.offset, call)
        return
    for start in range(0, len(call.data), SECTOR):
        part = call.data[start : start + SECTOR]
        at = call.offset + start
        if dice.random() < 0.5:
            content.extend(bytes(max(0, at - len(content))))
            content[at : at + len(part)] = part


@dataclass
class Folder:
    """A folder: its entries before the run, and the run's changes of them with their numbers."""

    entries: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[tuple[int, dict[str, File | Folder | None]]] = field(default_factory=list)
    synced: int = 0

    def now(self) -> dict[str, File | Folder]:
        """The entries after all changes so far."""
        return self._with(len(self.changes))

    def after_the_cut(self, at: int, dice: Random, keep: float) -> dict[str, File | Folder]:
        """Its entries if the power fails before call number `at`."""
        sure = sum(number < min(self.synced, at) for number, _ in self.changes)
        most = sum(number < at for number, _ in self.changes)
        kept = most if keep >= 1 else sure if keep <= 0 else dice.randint(sure, most)
        return self._with(kept)

    def _with(self, count: int) -> dict[str, File | Folder]:
        made = dict(self.entries)
        for _, change in self.changes[:count]:
            for name, what in change.items():
                if what is None:
                    made.pop(name, None)
                else:
                    made[name] = what
        return made


class Disk:
    """The folder `indexes` of a recorded run, at any moment after a power cut.

    Args:
        base: What lay there before the run.
        place: Where it lay while it was recorded.
        calls: The run.
    """

    def __init__(self, base: Path, place: Path, calls: list[Call]) -> None:
        self._top = _read(base)
        self._place = PurePosixPath(place)
        self._inodes: dict[int, File] = {}
        self._calls = calls

    def cut(self, at: int, dice: Random, keep: float) -> dict[str, bytes | None]:
        """Relative paths and contents (None: a folder) if the power fails before call `at`.

        Args:
            at: From 0; the number of calls means after the last.
            dice: Decides what is in doubt.
            keep: Probability that a change in doubt is there; 0: none is, 1: all are.
        """
        self._play(at)
        found: dict[str, bytes | None] = {}

        def visit(folder: Folder, prefix: str) -> None:
            for name, what in sorted(folder.after_the_cut(at, dice, keep).items()):
                if isinstance(what, Folder):
                    found[prefix + name] = None
                    visit(what, f"{prefix}{name}/")
                elif not name.endswith("-shm"):
                    found[prefix + name] = what.after_the_cut(at, dice, keep)

        visit(self._top, "")
        return found

    def _play(self, at: int) -> None:
        """Note the first calls: whose change each is, and what was synced by then."""
        self._forget(self._top)
        self._inodes.clear()
        for number, call in enumerate(self._calls[:at]):
            self._note(number, call)

    def _forget(self, folder: Folder) -> None:
        folder.changes, folder.synced = [], 0
        for what in folder.entries.values():
            if isinstance(what, Folder):
                self._forget(what)
            else:
                what.changes, what.synced = [], 0

    def _note(self, number: int, call: Call) -> None:
        if call.kind in {shim.WRITE, shim.TRUNCATE, shim.SYNC}:
            file = self._file(call)
            if call.kind == shim.SYNC:
                file.synced = number
            else:
                file.changes.append((number, call))
        elif call.kind == shim.SYNC_FOLDER:
            found = self._find(call.path)
            if isinstance(found, Folder):
                found.synced = number
        else:
            self._note_entry(number, call)

    def _note_entry(self, number: int, call: Call) -> None:
        folder, name = self._parent(call.path)
        if call.kind in {shim.UNLINK, shim.RMDIR}:
            folder.changes.append((number, {name: None}))
        elif call.kind == shim.CREATE:
            made = self._inodes[call.inode] = File()
            folder.changes.append((number, {name: made}))
        elif call.kind == shim.MKDIR:
            folder.changes.append((number, {name: Folder()}))
        else:  # a rename or a link
            target, new = self._parent(call.target)
            moved = folder.now()[name]
            gone: dict[str, File | Folder | None] = {} if call.kind == shim.LINK else {name: None}
            if target is folder:
                folder.changes.append((number, gone | {new: moved}))
            else:
                target.changes.append((number, {new: moved}))
                folder.changes.append((number, gone))

    def _file(self, call: Call) -> File:
        if call.inode not in self._inodes:
            found = self._find(call.path)
            assert isinstance(found, File), call.path
            self._inodes[call.inode] = found
        return self._inodes[call.inode]

    def _find(self, path: str) -> File | Folder:
        found: File | Folder = self._top
        for name in PurePosixPath(path).relative_to(self._place).parts:
            assert isinstance(found, Folder), path
            found = found.now()[name]
        return found

    def _parent(self, path: str) -> tuple[Folder, str]:
        parent, name = PurePosixPath(path).parent, PurePosixPath(path).name
        found = self._find(str(parent))
        assert isinstance(found, Folder), path
        return found, name


def _read(path: Path) -> Folder:
    return Folder(
        {p.name: _read(p) if p.is_dir() else File(p.read_bytes()) for p in path.iterdir()}
    )


def write_tree(files: dict[str, bytes | None], folder: Path) -> None:
    """Make a folder hold exactly these files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


def digest(files: dict[str, bytes | None]) -> str:
    """Equal for equal trees."""
    made = hashlib.sha256()
    for name, content in sorted(files.items()):
        made.update(f"{name}\0{content is None}\0{len(content or b'')}\0".encode())
        made.update(content or b"")
    return made.hexdigest()
