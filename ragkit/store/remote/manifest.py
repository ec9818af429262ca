"""The manifest: the one document whose change makes a commit, by compare-and-set.

All that a reader must know to see a commit whole stands in it; chunks and documents carry the
number of the commit that brought them, so that what no manifest counts is not there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ragkit._version import __version__
from ragkit.errors import IndexNotFoundError, StoreError
from ragkit.store.relocation import is_below
from ragkit.store.remote.layout import KEYWORDS, control_index
from ragkit.store.remote.view import View

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ragkit.store.remote.cluster import Cluster


@dataclass(frozen=True, slots=True)
class RemoteBuild:
    """One making of the index; see docs/format.md.

    ``waits``: some of its chunks may wait for a vector. ``compacted`` goes up when documents that
    died were deleted. ``state`` is ``making``, ``living`` or ``retired``. ``shards`` is how many
    primary shards its chunks have.
    """

    id: int
    embedder: dict[str, Any]
    splitter: dict[str, Any]
    state: str
    chunks: int = 0
    waits: bool = False
    compacted: int = 0
    shards: int = 1

    @property
    def dim(self) -> int:
        """The length of its vectors, 0 without an embedder."""
        return int(self.embedder.get("dim", 0))


@dataclass(frozen=True, slots=True)
class Run:
    """A generation: a run that wrote.

    ``first`` is the number of its first commit, ``last`` the highest number of any commit that was
    seen when it last committed, ``without`` those below that were not, since their writers were at
    work, and ``commit`` how many commits the index had seen then. ``roots`` are those that it
    could change; None: all. ``writer`` tells who ran it, and where. ``report`` names the document
    that holds its account. ``counts`` is set when it has ended.
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
    without: tuple[int, ...] = ()
    commit: int = 0
    roots: tuple[str, ...] | None = None
    writer: str = ""

    def covers(self, root: str) -> bool:
        """Whether it could change the documents of a root."""
        return _is_below_any(root, self.roots)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a writer that holds a lease was given; it can commit while the manifest has it.

    Attributes:
        token: Names the writer; no other has it.
        moment: The number that the rows of its next commit carry, and no other writer's.
        generation: Its run's; no other run's.
        roots: The roots whose documents it may change; None: all, and all else.
        command: What runs.
        host: Its machine's name.
        user: Who runs it.
        pid: Its process.
        processes: Names the space in which process ids mean one process, "": it is not known.
        lease_s: After so long without a sign of life it counts as gone.
    """

    token: str
    moment: int
    generation: int
    roots: tuple[str, ...] | None
    command: str
    host: str = ""
    user: str = ""
    pid: int = 0
    processes: str = ""
    lease_s: float = 0.0

    @property
    def writer(self) -> str:
        """Who it is, for people."""
        return f"process {self.pid} of {self.user} on {self.host}"

    def covers(self, place: str) -> bool:
        """Whether it may change the documents of a root, or what is said of a place."""
        return _is_below_any(place, self.roots)

    def meets(self, roots: tuple[str, ...] | None) -> bool:
        """Whether another writer, of some roots or of all, would be in its way."""
        if self.roots is None or roots is None:
            return True
        return any(is_below(a, b) or is_below(b, a) for a in self.roots for b in roots)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An index at one commit.

    Attributes:
        id: Names this index and no other.
        commits: Goes up by one in each commit.
        moment: The highest number that the rows of a commit so far carry.
        lost: Numbers that were given up: what carries one of them is of a writer that ended badly,
            and may still arrive.
        build: The living build.
        grants: The writers that may commit; another one lost its lease.
        stale: Names the document that tells which documents are stale, and why; "": none is.
        erasing: The ids of documents that are being erased.
        gone: Names the documents that tell which versions the last compaction and erasures deleted.
    """

    id: str
    created_at: str
    build: int
    builds: dict[int, RemoteBuild]
    commits: int = 0
    moment: int = 0
    lost: tuple[int, ...] = ()
    last_generation: int = 0
    grants: tuple[Grant, ...] = ()
    runs: tuple[Run, ...] = ()
    sources: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    stale: str = ""
    erasing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    ragkit: str = __version__
    keywords: dict[str, int] = field(default_factory=lambda: dict(KEYWORDS))

    @property
    def next_moment(self) -> int:
        """A number for a commit to come that no other has, or had."""
        return max(self.moment, *self.lost, *(grant.moment for grant in self.grants), 0) + 1

    @property
    def next_generation(self) -> int:
        """A generation above all others, also those that writers were given."""
        return max(self.last_generation, *(grant.generation for grant in self.grants), 0) + 1

    def view(self, own: int | None = None) -> View:
        """What a reader of this commit sees; a writer also what it sent under its `own` number."""
        to_come = [grant.moment for grant in self.grants if grant.moment != own]
        return View.up_to(max(self.moment, own or 0), [*self.lost, *to_come])

    def view_of(self, run: Run) -> View:
        """What was seen when a generation was closed."""
        return View.up_to(run.last, [*self.lost, *run.without])

    def is_at_work(self, run: Run) -> bool:
        """Whether the writer of a generation goes on with it."""
        return any(grant.generation == run.id for grant in self.grants)

    def granted(self, token: str) -> Grant | None:
        """What a writer was given; None: it may not commit, or no more."""
        return next((grant for grant in self.grants if grant.token == token), None)

    def with_grant(self, grant: Grant) -> Manifest:
        """The same with what one writer was given changed, or added."""
        others = [other for other in self.grants if other.token != grant.token]
        return replace(self, grants=(*others, grant))

    def without_grants(self, tokens: Collection[str]) -> Manifest:
        """The same without some writers."""
        left = tuple(grant for grant in self.grants if grant.token not in tokens)
        return replace(self, grants=left)

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


def _is_below_any(place: str, roots: tuple[str, ...] | None) -> bool:
    return roots is None or any(is_below(place, root) for root in roots)


def first_manifest(
    embedder: Mapping[str, Any], splitter: Mapping[str, Any], shards: int = 1
) -> Manifest:
    """That of an empty index."""
    build = RemoteBuild(1, dict(embedder), dict(splitter), "living", shards=shards)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Manifest(uuid4().hex, now, 1, {1: build})


def to_source(manifest: Manifest) -> dict[str, Any]:
    """The document that a manifest is stored as."""
    values = asdict(manifest)
    return values | {"builds": list(values["builds"].values())}


def from_source(source: Mapping[str, Any]) -> Manifest:
    """The manifest that a document holds; what this version does not know is passed over."""
    values = {f.name: source[f.name] for f in fields(Manifest) if f.name in source}
    builds = [RemoteBuild(**build) for build in values["builds"]]
    values["builds"] = {build.id: build for build in builds}
    values["runs"] = tuple(Run(**_with_tuples(run)) for run in values["runs"])
    values["grants"] = tuple(Grant(**_with_tuples(grant)) for grant in values.get("grants", ()))
    for name in ("lost", "fields", "erasing", "gone"):
        values[name] = tuple(values.get(name, ()))
    return Manifest(**values)


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no tuples."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


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

    def put(self, manifest: Manifest, place: tuple[int, int]) -> tuple[int, int] | None:
        """Put a manifest in the place of the one that was read.

        Returns:
            Its own place; None: another one is there. After an answer that was lost, that may be
            this very one.
        """
        return self._cluster.put_if(self._path, to_source(manifest), place)


def no_such_generation(
    manifest: Manifest, build: int, generation: int, location: str
) -> StoreError:
    """The error for a generation that cannot be looked at."""
    closed = manifest.closed(build)
    oldest = f"; the oldest that can be searched is {closed[0].id}" if closed else ""
    of_other = [r for r in manifest.runs if r.id == generation and r.build != build]
    known = {run.id for run in manifest.runs}
    if of_other:
        why = f"run {generation} left {location} when it was rebuilt"
    elif 0 < generation <= manifest.last_generation and generation not in known:
        why = (
            f"run {generation} of {location} is no longer kept (settings history.last and "
            "history.days), or its run wrote nothing"
        )
    else:
        why = f"{location} has no finished run {generation} to search"
    return StoreError(f"{why}{oldest}; `ragkit log` lists them", location)
