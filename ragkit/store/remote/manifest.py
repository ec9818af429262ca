"""The manifest: the one document whose change makes a commit, by compare-and-set.

All that a reader must know to see a commit whole stands in it; chunks and documents carry the
number of the commit that brought them, so that what no manifest counts is not there.
"""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ragkit._version import __version__
from ragkit.errors import IndexChangedError, IndexLockedError, IndexNotFoundError, StoreError
from ragkit.store.remote.layout import KEYWORDS, control_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.store.remote.cluster import Cluster


@dataclass(frozen=True, slots=True)
class RemoteBuild:
    """One making of the index; see docs/format.md.

    ``waits``: some of its chunks may wait for a vector. ``compacted`` goes up when documents that
    died were deleted. ``state`` is ``making``, ``living`` or ``retired``.
    """

    id: int
    embedder: dict[str, Any]
    splitter: dict[str, Any]
    state: str
    chunks: int = 0
    waits: bool = False
    compacted: int = 0

    @property
    def dim(self) -> int:
        """The length of its vectors, 0 without an embedder."""
        return int(self.embedder.get("dim", 0))


@dataclass(frozen=True, slots=True)
class Run:
    """A generation: a run that wrote, and the commits from ``first`` to ``last`` that it made.

    ``report`` names the document that holds its account. ``counts`` is set when it has ended.
    """

    id: int
    build: int
    command: str
    started_at: str
    first: int
    last: int
    finished_at: str | None = None
    state: str = "open"
    report: str | None = None
    counts: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """An index at one commit.

    Attributes:
        id: Names this index and no other.
        commits: Goes up by one in each commit.
        moment: The number that the last commit's chunks and documents carry.
        lost: Numbers above an earlier moment that were given up: what carries one of them is of a
            writer that ended badly, and may still arrive.
        next_number: Of the next chunk; older chunks have lower ones.
        next_version: Of the next version of a document.
        build: The living build.
        token: Of the writer that may commit; another one lost its lease.
        stale: Names the document that tells which documents are stale, and why; "": none is.
        erasing: The ids of documents that are being erased.
    """

    id: str
    created_at: str
    build: int
    builds: dict[int, RemoteBuild]
    commits: int = 0
    moment: int = 0
    lost: tuple[int, ...] = ()
    next_number: int = 1
    next_version: int = 1
    last_generation: int = 0
    token: str = ""
    runs: tuple[Run, ...] = ()
    sources: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    stale: str = ""
    erasing: tuple[str, ...] = ()
    ragkit: str = __version__
    keywords: dict[str, int] = field(default_factory=lambda: dict(KEYWORDS))

    @property
    def next_moment(self) -> int:
        """The number that the next commit's chunks carry."""
        return max(self.moment, *self.lost, 0) + 1

    def closed(self, build: int) -> list[Run]:
        """The generations of a build that can be looked at again, oldest first."""
        return [run for run in self.runs if run.build == build and run.state == "closed"]

    def with_build(self, build: RemoteBuild) -> Manifest:
        """The same with one build changed, or added."""
        return replace(self, builds=self.builds | {build.id: build})

    def with_run(self, run: Run) -> Manifest:
        """The same with one generation changed, or added at the end."""
        others = tuple(other for other in self.runs if other.id != run.id)
        return replace(self, runs=tuple(sorted((*others, run), key=lambda r: r.id)))


def first_manifest(embedder: Mapping[str, Any], splitter: Mapping[str, Any]) -> Manifest:
    """That of an empty index."""
    build = RemoteBuild(1, dict(embedder), dict(splitter), "living")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Manifest(uuid4().hex, now, 1, {1: build})


def to_source(manifest: Manifest) -> dict[str, Any]:
    """The document that a manifest is stored as."""
    values = asdict(manifest)
    return values | {"builds": list(values["builds"].values()), "runs": list(values["runs"])}


def from_source(source: Mapping[str, Any]) -> Manifest:
    """The manifest that a document holds; what this version does not know is passed over."""
    values = {f.name: source[f.name] for f in fields(Manifest) if f.name in source}
    builds = [RemoteBuild(**build) for build in values["builds"]]
    values["builds"] = {build.id: build for build in builds}
    values["runs"] = tuple(Run(**run) for run in values["runs"])
    for name in ("lost", "fields", "erasing"):
        values[name] = tuple(values.get(name, ()))
    return Manifest(**values)


class ManifestFile:
    """Reads the manifest, and puts a changed one in its place if nobody else did."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._path = f"/{control_index(cluster.endpoint.name)}/_doc/manifest"

    def create(self, manifest: Manifest) -> bool:
        """Write the first one; False: there is one already."""
        return self._cluster.put_if(self._path, to_source(manifest), None) is not None

    def read(self) -> Manifest:
        """The manifest as it is now.

        Raises:
            IndexNotFoundError: There is no index.
        """
        return self.read_placed()[0]

    def read_or_none(self) -> Manifest | None:
        """The manifest, None if there is none."""
        found = self._cluster.get(self._path)
        return None if found is None else from_source(found["_source"])

    def read_placed(self) -> tuple[Manifest, tuple[int, int]]:
        """The manifest, and what `replace` needs to know of its place."""
        found = self._cluster.get(self._path)
        if found is None:
            msg = f"no index at {self._cluster.location}"
            raise IndexNotFoundError(msg, self._cluster.location)
        return from_source(found["_source"]), (found["_seq_no"], found["_primary_term"])

    def replace(self, manifest: Manifest, place: tuple[int, int]) -> tuple[int, int]:
        """Put a manifest in the place of the one that was read.

        Returns:
            Its own place.

        Raises:
            IndexLockedError: Another writer has taken over; nothing was written.
            IndexChangedError: Another index has the place.
        """
        placed = self._cluster.put_if(self._path, to_source(manifest), place)
        if placed is not None:
            return placed
        now, there = self.read_placed()
        if now == manifest:  # it was written, and the answer got lost
            return there
        if now.id != manifest.id:
            msg = f"{self._cluster.location} was replaced by another index; open it again"
            raise IndexChangedError(msg, self._cluster.location)
        msg = (
            f"{self._cluster.location}: another writer took over while this one did not answer for "
            "too long; what this run committed before stays, the rest was not written. Run it again"
        )
        raise IndexLockedError(msg, self._cluster.location)


def no_such_generation(
    manifest: Manifest, build: int, generation: int, location: str
) -> StoreError:
    """The error for a generation that cannot be looked at."""
    closed = manifest.closed(build)
    oldest = f"; the oldest that can be searched is {closed[0].id}" if closed else ""
    of_other = [r for r in manifest.runs if r.id == generation and r.build != build]
    known = {run.id for run in manifest.runs}
    if of_other:
        why = f"generation {generation} left {location} when it was rebuilt"
    elif 0 < generation <= manifest.last_generation and generation not in known:
        why = (
            f"generation {generation} of {location} is no longer kept (settings history.last and "
            "history.days)"
        )
    else:
        why = f"{location} has no closed generation {generation} to search"
    return StoreError(f"{why}{oldest}; `ragkit log` lists them", location)


def this_host() -> str:
    """The name of this machine."""
    return socket.gethostname()
