"""A writer's lease: which roots are its now, told from writers that may have been killed.

The manifest lists the writers that may commit (`Manifest.grants`): one that is listed excludes all
others of the same roots, and only one that is listed can commit, since each commit puts a manifest
in the place of the one that was read. Whoever finds that another one was there first reads it,
adds its own change and tries again. Beside the manifest each writer keeps a document that it
writes anew every few seconds. One that was not written anew for the time that its grant names, as
the waiting program itself measures it, is taken over: the clocks of machines are never compared.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

from ragkit.errors import IndexChangedError, IndexLockedError, StoreError
from ragkit.store.remote.cluster import PATIENCE_S
from ragkit.store.remote.layout import control_index
from ragkit.store.remote.manifest import Grant
from ragkit.store.remote.merging import merge_manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ragkit.store.remote.cluster import Cluster
    from ragkit.store.remote.manifest import Manifest, ManifestFile

_log = logging.getLogger(__name__)

LEASE_S = 20.0
_BEATS = 5  # in the time of a lease
_LOOK_S = 0.2


class Lease:
    """Held from `take` to `release`; a thread keeps it.

    Args:
        cluster: The nodes.
        file: The manifest's place.
        command: What runs, for others to read.
        roots: Whose documents are to be changed; None: all, and all else.
        lease_s: After how long without a sign of life others may take over.

    Attributes:
        manifest: As it was read or written last.
        grant: What the manifest gives this writer.
        given_up: The numbers of dead writers that were taken over; their rows can be swept.
    """

    manifest: Manifest
    grant: Grant

    def __init__(
        self,
        cluster: Cluster,
        file: ManifestFile,
        command: str,
        *,
        roots: Sequence[str] | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self._cluster, self._file = cluster, file
        self._wanted = None if roots is None else tuple(sorted(set(roots)))
        self._command, self._lease_s = command, lease_s
        self._place = (0, 0)
        self._silent: set[str] = set()
        self._beats = _Beats(cluster, lease_s)
        self._is_ended = True
        self.given_up: tuple[int, ...] = ()

    @property
    def token(self) -> str:
        """Names this writer."""
        return self._beats.token

    @property
    def is_held(self) -> bool:
        """Whether the manifest had this writer when it was read or written last."""
        return not self._is_ended

    def take(self, identity: str) -> None:
        """Take the lease, waiting for a holder that shows no sign of life.

        Args:
            identity: Of the index.

        Raises:
            IndexLockedError: Another one writes; it is named.
            IndexChangedError: Another index has the place.
        """
        try:
            self._take(identity)
        except BaseException:
            self.release()
            raise

    def _take(self, identity: str) -> None:
        while True:
            manifest, place = self._file.read_placed()
            self._require_same(manifest, identity)
            mine = manifest.granted(self.token)
            if mine is not None:  # it was written, and the answer got lost
                break
            dead = self._dead(manifest)
            if dead is None:  # the holder has just ended
                continue
            self._beats.begin()
            begun = relieve(manifest, dead)
            mine = Grant(
                self.token, begun.next_moment, begun.next_generation, self._wanted, self._command,
                host=socket.gethostname(), user=_user(), pid=os.getpid(), processes=_processes(),
                lease_s=self._lease_s,
            )  # fmt: skip
            manifest = begun.with_grant(mine)
            placed = self._file.put(manifest, place)
            if placed is not None:
                place = placed
                self.given_up = tuple(grant.moment for grant in dead)
                forget_beats(self._cluster, dead)
                break
        self.manifest, self._place, self.grant = manifest, place, mine
        self._is_ended = False

    def commit(
        self,
        made: Manifest,
        *,
        gives_up: bool = False,
        ends: bool = False,
        finish: Callable[[Manifest], Manifest] | None = None,
    ) -> None:
        """Put a changed manifest in place, with what other writers changed meanwhile.

        Args:
            made: `manifest` with this writer's changes.
            gives_up: Whether readers are never to see what was sent under the grant's number.
            ends: Whether the lease ends with it; else the grant has another number then.
            finish: What depends on the newest manifest; called again where another one came.

        Raises:
            IndexLockedError: Another writer has taken over; nothing was written.
            IndexChangedError: Another index has the place.
        """
        base, now = self.manifest, self.manifest
        while True:
            merged = merge_manifests(base, made, now, self.grant)
            if finish is not None:
                merged = finish(merged)
            sealed = self._sealed(merged, gives_up=gives_up, ends=ends)
            placed = self._file.put(sealed, self._place)
            if placed is not None:
                now, self._place = sealed, placed
                break
            now, self._place = self._read_newer(self._place)
            self._require_same(now, base.id)
            theirs = now.granted(self.token)
            if self.grant.moment in now.lost and not gives_up:
                self._taken_over()
            if theirs is None or theirs.moment != self.grant.moment:
                break  # it was written, and the answer got lost
        self.manifest = now
        theirs = now.granted(self.token)
        self._is_ended = theirs is None
        self.grant = theirs or self.grant

    def _read_newer(self, place: tuple[int, int]) -> tuple[Manifest, tuple[int, int]]:
        """The manifest that is in the place of an earlier one.

        A node that is cut off from the others may show that one, or older ones, for a while.

        Raises:
            StoreError: It does so for too long.
        """
        until = time.monotonic() + PATIENCE_S
        while True:
            now, there = self._file.read_placed()
            if there[0] > place[0] or now.id != self.manifest.id:
                return now, there
            if time.monotonic() > until:
                msg = "shows a state that was replaced long ago"
                raise self._cluster.failure(msg)
            time.sleep(_LOOK_S)

    def _sealed(self, made: Manifest, *, gives_up: bool, ends: bool) -> Manifest:
        """The manifest with this writer's number used up, and another one given."""
        if gives_up:
            made = replace(made, lost=(*made.lost, self.grant.moment))
        if ends:
            return made.without_grants({self.token})
        made = made.with_grant(self.grant)  # so that its number is not given again
        return made.with_grant(replace(self.grant, moment=made.next_moment))

    def release(self) -> None:
        """Give the lease back, if the last commit did not."""
        with contextlib.suppress(StoreError):  # it runs out by itself
            if not self._is_ended:  # something may have been sent
                self.commit(self.manifest, gives_up=True, ends=True)
            self._beats.end()
        self._beats.stop()
        self._is_ended = True

    def forget(self) -> None:
        """Stop keeping the lease of an index that is no more."""
        self._beats.stop()

    def _require_same(self, manifest: Manifest, identity: str) -> None:
        if manifest.id != identity:
            msg = f"{self._cluster.location} was replaced by another index; open it again"
            raise IndexChangedError(msg, self._cluster.location)

    def _taken_over(self) -> NoReturn:
        self._is_ended = True
        msg = (
            f"{self._cluster.location}: another writer took over while this one did not answer for "
            "too long; what this run committed before stays, the rest was not written. Run it again"
        )
        raise IndexLockedError(msg, self._cluster.location)

    def _dead(self, manifest: Manifest) -> list[Grant] | None:
        """The writers that are gone; None: one that was in the way ended just now.

        Raises:
            IndexLockedError: A living one is in the way.
        """
        dead = []
        for grant in manifest.grants:
            if is_gone(grant):
                dead.append(grant)
            elif grant.meets(self._wanted):
                state = self._state(grant)
                if state == "ended":
                    return None
                if state == "lives":
                    raise self._locked(grant)
                dead.append(grant)
        return dead

    def _state(self, grant: Grant) -> str:
        """Wait and see whether a writer shows signs of life; `lives`, `silent` or `ended`."""
        held = self._beat_of(grant)
        seen = f"{grant.token} {held}"
        until = time.monotonic() + (0 if held is None or seen in self._silent else grant.lease_s)
        while time.monotonic() < until:
            time.sleep(_LOOK_S)
            if self._beat_of(grant) != held:
                is_there = self._file.read().granted(grant.token) is not None
                return "lives" if is_there else "ended"
        self._silent.add(seen)
        return "silent"

    def _beat_of(self, grant: Grant) -> int | None:
        """What goes up with each sign of life; None: it gives none any more."""
        found = self._cluster.get(_beats_path(self._cluster, grant.token))
        return None if found is None else int(found["_seq_no"])

    def _locked(self, grant: Grant) -> IndexLockedError:
        msg = (
            f"{self._cluster.location} is being written by `{grant.command}` ({grant.writer}); try "
            "again when it has ended"
        )
        return IndexLockedError(msg, self._cluster.location)


class _Beats:
    """The document by which a writer shows that it lives, and the thread that writes it anew."""

    def __init__(self, cluster: Cluster, lease_s: float) -> None:
        self.token = uuid4().hex
        self._cluster, self._pause_s = cluster, lease_s / _BEATS
        self._path = _beats_path(cluster, self.token)
        self._place: tuple[int, int] | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Write it, and go on doing so."""
        if self._thread is None:
            self._write(0, {})
            self._thread = threading.Thread(target=self._keep, name="ragkit-lease", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Write it no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def end(self) -> None:
        """Take it away."""
        self.stop()
        if self._thread is not None:
            self._cluster.send("DELETE", self._path, accept=(404,))

    def _write(self, beat: int, limits: dict[str, float]) -> bool:
        """Returns whether it is still this writer's."""
        place = self._cluster.put_if(self._path, {"beat": beat}, self._place, **limits)
        if place is None:
            now = self._cluster.get(self._path)
            if now is None:
                return False
            place = (now["_seq_no"], now["_primary_term"])  # an answer that got lost
        self._place = place
        return True

    def _keep(self) -> None:
        beat = 0
        while not self._ended.wait(self._pause_s):
            beat += 1
            try:
                if not self._write(beat, {"silent_s": self._pause_s}):
                    _log.warning("%s: another writer took over", self._cluster.location)
                    break
            except StoreError as exc:
                _log.warning("the lease was not renewed: %s", exc)
        self._cluster.close()


def relieve(manifest: Manifest, dead: Collection[Grant]) -> Manifest:
    """The manifest without dead writers: what they sent and did not commit is given up."""
    left = manifest.without_grants({grant.token for grant in dead})
    at_work = {grant.generation for grant in left.grants}
    runs = tuple(
        replace(run, state="interrupted") if run.state == "open" and run.id not in at_work else run
        for run in manifest.runs
    )
    lost = (*manifest.lost, *(grant.moment for grant in dead))
    return replace(left, runs=runs, lost=lost)


def forget_beats(cluster: Cluster, dead: Collection[Grant]) -> None:
    """Take away the signs of life of dead writers."""
    for grant in dead:
        cluster.send("DELETE", _beats_path(cluster, grant.token), accept=(404,))


def is_gone(grant: Grant) -> bool:
    """Whether a writer is known to be gone: it ran on this machine, and its process is no more."""
    here = _processes()
    return bool(here) and grant.processes == here and not _is_running(grant.pid)


def _beats_path(cluster: Cluster, token: str) -> str:
    return f"/{control_index(cluster.endpoint.name)}/_doc/lease-{token}"


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
