"""Watching folders: whatever happens there only says that the index must look again.

What changed is told by the next incremental update alone, so events that are lost, doubled or
about files within a moved folder do no harm. Where the system tells of no events, and for files
that are watched alone, the update runs at intervals.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import (
    IndexLockedError,
    LoadError,
    ModelUnavailableError,
    StorageFullError,
    StoreUnavailableError,
)
from ragkit.ingest.load.ignore import IGNORE_FILES
from ragkit.ingest.mounts import mount_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ragkit.records import IndexReport

    Told = Callable[[str], None]
    Updated = Callable[[Sequence[str]], IndexReport]


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """Seconds.

    Attributes:
        quiet: Nothing may happen for so long before an update.
        longest: An update is not put off for longer, whatever happens.
        poll: Between updates of folders of which no events are told.
        sweep: Between updates of everything.
        retry: Before the next try where another process writes to the index, or its cluster is
            away.
    """

    quiet: float = 1.5
    longest: float = 30.0
    poll: float = 30.0
    sweep: float = 600.0
    retry: float = 10.0


_RESTS = 4  # times as long as an update took: so long the next one of an event waits at least
_LONGEST_REST_S = 300.0
_TICK_S = 1.0


@dataclass
class Watcher:
    """Keeps an index up to date with folders until it is stopped.

    Args:
        roots: The folders and files, absolute.
        update: Brings the index up to date with some of them.
        tell: Called with each sentence for people.
        apart: Folders in which nothing counts, such as the index itself.
        times: When to look.
        polls: Never wait for events.
        shows_hidden: Whether hidden files count.
    """

    roots: Sequence[str]
    update: Updated
    tell: Told
    apart: Sequence[str] = ()
    times: WatchTimes = WatchTimes()
    polls: bool = False
    shows_hidden: bool = False
    _due: dict[str, float] = field(default_factory=dict)
    _next_sweep: float = 0.0
    _next_poll: float = 0.0
    _rested: float = 0.0
    _said: dict[str, str] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Watch until ``stop`` is set, or Ctrl-C.

        Raises:
            RagkitError: An update failed for a reason that waiting does not mend.
        """
        while not stop.is_set():
            silent = self._silent()
            loud = [root for root in self.roots if root not in silent]
            seen = {root: _identity(root) for root in self.roots}
            # The events are waited for before the first look, so that none falls in between.
            with _Events(loud, self.times) as events:
                if events.failure:
                    self._say("events", f"no events can be had: {events.failure}; polling instead")
                    silent |= dict.fromkeys(loud, events.failure)
                self._next_sweep = min(self._next_sweep, time.monotonic())
                while not stop.is_set():
                    self._look(silent)
                    if {root: _identity(root) for root in self.roots} != seen:
                        break  # a root came, went or was replaced: events are told of the old one
                    rung = events.wait(stop, self._pause(silent))
                    self._note(path for path in rung if self._counts(path))

    # What is due ---------------------------------------------------------------------------------

    def _silent(self) -> dict[str, str]:
        """The roots of which no events are told, each with the reason."""
        found: dict[str, str] = {}
        for root in self.roots:
            mount = mount_of(root)
            if self.polls:
                found[root] = "as asked for"
            elif not has_events():
                found[root] = "the extra `watch` is not installed"
            elif mount is not None and mount.is_silent:
                found[root] = f"it lies on {mount.kind}, which tells of no changes"
            elif not os.path.isdir(root):  # noqa: PTH112 -- plain strings
                found[root] = "a file, or not there now"
            if root in found:
                every = f"looked at every {self.times.poll:g} s"
                self._say(f"silent {root}", f"{root} is {every}: {found[root]}")
        return found

    def _note(self, paths: Iterable[str]) -> None:
        now = time.monotonic()
        for path in paths:
            for root in self.roots:
                if path == root or path.startswith(root.rstrip(os.sep) + os.sep):
                    self._due.setdefault(root, max(now, self._rested))

    def _counts(self, path: str) -> bool:
        if any(path == a or path.startswith(a.rstrip(os.sep) + os.sep) for a in self.apart):
            return False
        if self.shows_hidden:
            return True
        root = max((r for r in self.roots if path.startswith(r)), key=len, default="")
        parts = Path(path[len(root) :]).parts
        return not any(p.startswith(".") and p not in IGNORE_FILES for p in parts)

    def _pause(self, silent: dict[str, str]) -> float:
        """How long nothing is due, in seconds."""
        now = time.monotonic()
        nexts = [self._next_sweep, *self._due.values()]
        if silent:
            nexts.append(max(self._next_poll, self._rested))
        return max(min(nexts) - now, 0.0)

    def _look(self, silent: dict[str, str]) -> None:
        """Update what is due."""
        now = time.monotonic()
        if now >= self._next_sweep:
            due, self._next_sweep = list(self.roots), now + self.times.sweep
            self._next_poll = now + self.times.poll
            self._due.clear()
        else:
            if silent and now >= max(self._next_poll, self._rested):
                self._next_poll = now + self.times.poll
                self._due |= dict.fromkeys(silent, now)
            due = [root for root, at in self._due.items() if at <= now]
            for root in due:
                del self._due[root]
        if due:
            self._update(due)

    def _update(self, roots: Sequence[str]) -> None:
        started = time.monotonic()
        there = [root for root in roots if os.path.lexists(root)]
        for root in roots:
            if root not in there:
                self._say(
                    f"gone {root}", f"{root} is not there: waiting for it; nothing is removed"
                )
            else:
                self._said.pop(f"gone {root}", None)
        try:
            if there:
                self._tell_update(self.update(there))
                self._said.pop("trouble", None)
        except (IndexLockedError, StoreUnavailableError) as exc:
            self._say("trouble", f"waiting: {exc}")
            self._due |= dict.fromkeys(there, time.monotonic() + self.times.retry)
        except (LoadError, ModelUnavailableError, StorageFullError) as exc:
            self._say("trouble", f"trying again later: {exc}")
        ended = time.monotonic()
        self._rested = ended + min(_RESTS * (ended - started), _LONGEST_REST_S)

    # What is told --------------------------------------------------------------------------------

    def _tell_update(self, report: IndexReport) -> None:
        kept = "; ".join(f"{item.path}: {item.reason}" for item in report.unreadable)
        if kept:
            self._say("unreadable", f"kept as it was: {kept}")
        else:
            self._said.pop("unreadable", None)

    def _say(self, about: str, sentence: str) -> None:
        """Tell something, but not again while it stays so."""
        if self._said.get(about) != sentence:
            self._said[about] = sentence
            self.tell(sentence)


def has_events() -> bool:
    """Whether what tells of events is installed (the extra ``watch``)."""
    try:
        return find_spec("watchfiles") is not None
    except ValueError:  # a module that is put there without a spec
        return False


class _Events:
    """What happens below some folders.

    Args:
        folders: Those that are there.
        times: ``quiet`` and ``longest`` of these.

    Attributes:
        failure: Why no events can be had, "" if they can.
    """

    def __init__(self, folders: Sequence[str], times: WatchTimes) -> None:
        self._folders, self._times = list(folders), times
        self._notify: object = None
        self.failure = ""

    def __enter__(self) -> _Events:
        if self._folders:
            self._open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._notify is not None:
            self._notify.close()  # type: ignore[attr-defined]  # its class is Rust's
            self._notify = None

    def _open(self) -> None:
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        try:
            self._notify = RustNotify(self._folders, False, False, 300, True, True)  # noqa: FBT003
        except (OSError, WatchfilesRustInternalError) as exc:
            self.failure = str(exc)

    def wait(self, stop: threading.Event, seconds: float) -> set[str]:
        """The paths of what happened, once it is quiet again; none if nothing does meanwhile.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """
        if self._notify is None:
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0 and not stop.wait(min(left, _TICK_S)):
                continue  # Windows lets no Ctrl-C through to a longer wait
            return set()
        longest, quiet = (round(s * 1000) for s in (self._times.longest, self._times.quiet))
        waited = max(round(seconds * 1000), 1)
        found = self._notify.watch(longest, quiet, waited, stop)  # type: ignore[attr-defined]
        if found == "signal":
            raise KeyboardInterrupt
        return {path for _, path in found} if isinstance(found, set) else set()


def _identity(root: str) -> tuple[int, int] | None:
    """What tells a folder from another of its name; None where there is none."""
    try:
        info = os.stat(root)  # noqa: PTH116 -- plain strings
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if stat.S_ISDIR(info.st_mode) else None
