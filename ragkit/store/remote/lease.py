"""The writer's lease: who may write to an index now, told from who may have been killed.

A lease is a document that its holder writes anew every few seconds. One that was not written anew
for the time that it names, as the waiting program itself measures it, is taken over: the clocks of
machines are never compared. The holder that was taken over can commit nothing, since the manifest
names the writer that may (`Manifest.token`).
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ragkit.errors import IndexLockedError, StoreError
from ragkit.store.remote.layout import control_index
from ragkit.store.remote.manifest import this_host

if TYPE_CHECKING:
    from ragkit.store.remote.cluster import Cluster

_log = logging.getLogger(__name__)

LEASE_S = 20.0
_BEATS = 5  # in the time of a lease
_LOOK_S = 0.2


class Lease:
    """Held from `take` to `release`; a thread keeps it.

    Attributes:
        token: Names this writer; no other has it.
        took_over: Whether it was taken from a writer that did not end it.
    """

    def __init__(self, cluster: Cluster, command: str, *, lease_s: float = LEASE_S) -> None:
        self._cluster = cluster
        self._path = f"/{control_index(cluster.endpoint.name)}/_doc/lease"
        self._lease_s = lease_s
        self._command = command
        self._place: tuple[int, int] | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.token = uuid4().hex
        self.took_over = False

    def take(self, *, waits: bool = True) -> None:
        """Take the lease, waiting for a holder that shows no sign of life.

        Args:
            waits: Whether to wait; else only a holder is taken over that is known to be gone.

        Raises:
            IndexLockedError: Another one writes; it is named.
        """
        while True:
            held = self._cluster.get(self._path)
            if held is None or not held["_source"]["token"]:
                self.took_over = False
            elif held["_source"]["token"] == self.token:  # it was written, and the answer got lost
                self._place = (held["_seq_no"], held["_primary_term"])
                break
            elif self._is_gone(held) or (waits and self._stands_still(held)):
                self.took_over = True
            else:
                raise self._locked(held["_source"])
            place = None if held is None else (held["_seq_no"], held["_primary_term"])
            self._place = self._cluster.put_if(self._path, self._source(0), place)
            if self._place is not None:
                break
        self._thread = threading.Thread(target=self._keep, name="ragkit-lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the lease back."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(StoreError):  # it runs out by itself
            if self._place is not None:
                self._cluster.put_if(self._path, self._source(0) | {"token": ""}, self._place)

    def forget(self) -> None:
        """Stop keeping the lease of an index that is no more."""
        self._place = None
        self.release()

    def _source(self, beat: int) -> dict[str, Any]:
        return {
            "token": self.token, "host": this_host(), "pid": os.getpid(), "user": _user(),
            "processes": _processes(), "command": self._command, "beat": beat,
            "lease_s": self._lease_s,
        }  # fmt: skip

    def _keep(self) -> None:
        beat, pause_s = 0, self._lease_s / _BEATS
        while not self._ended.wait(pause_s):
            beat += 1
            try:
                place = self._cluster.put_if(
                    self._path, self._source(beat), self._place, silent_s=pause_s
                )
            except StoreError as exc:
                _log.warning("the lease was not renewed: %s", exc)
                continue
            if place is None:
                now = self._cluster.get(self._path)
                if now is None or now["_source"]["token"] != self.token:
                    _log.warning("%s: another writer took over", self._cluster.location)
                    self._place = None
                    break
                place = (now["_seq_no"], now["_primary_term"])  # an answer that got lost
            self._place = place
        self._cluster.close()

    def _stands_still(self, held: dict[str, Any]) -> bool:
        """Wait and see whether the holder renews its lease."""
        until = time.monotonic() + held["_source"]["lease_s"]
        while time.monotonic() < until:
            time.sleep(_LOOK_S)
            now = self._cluster.get(self._path)
            if now is None or not now["_source"]["token"]:
                return True
            if now["_seq_no"] != held["_seq_no"]:
                return False
        return True

    def _is_gone(self, held: dict[str, Any]) -> bool:
        source = held["_source"]
        here = _processes()
        return bool(here) and source["processes"] == here and not _is_running(source["pid"])

    def _locked(self, source: dict[str, Any]) -> IndexLockedError:
        msg = (
            f"{self._cluster.location} is being written by `{source['command']}` (process "
            f"{source['pid']} of {source['user']} on {source['host']}); try again when it has ended"
        )
        return IndexLockedError(msg, self._cluster.location)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _processes() -> str:
    """Names the space in which a process id means one process, "" where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
