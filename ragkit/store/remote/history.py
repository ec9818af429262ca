"""The generations of an index on a cluster: what each changed, and which one a moment means."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from ragkit.errors import StoreError
from ragkit.records import DocumentChange, Generation, make_changes
from ragkit.store.remote.manifest import no_such_generation
from ragkit.store.remote.rows import read_version
from ragkit.store.remote.snapshot import RemoteSnapshot
from ragkit.store.remote.view import View
from ragkit.store.retention import as_moment, choose_kept, moment_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ragkit.records import IndexChanges
    from ragkit.store.remote.cluster import Cluster
    from ragkit.store.remote.manifest import Manifest, RemoteBuild, Run
    from ragkit.store.remote.rows import Version
    from ragkit.store.remote.snapshot import Query

COUNTED = (
    "documents_added", "documents_changed", "documents_removed", "chunks_added", "chunks_removed",
)  # fmt: skip


def now_text() -> str:
    """The present moment, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Changes:
    """Compares two commits of a build.

    Args:
        cluster: The nodes.
        manifest: One that counts both, or is about to.
        build: The build.
    """

    def __init__(self, cluster: Cluster, manifest: Manifest, build: RemoteBuild) -> None:
        self._now = RemoteSnapshot(cluster, manifest, build)

    def between(self, before: View, after: View, run: Run | None = None) -> list[DocumentChange]:
        """What became of each document from one commit to a later or earlier one.

        Args:
            before: What the one sees.
            after: What the other sees.
            run: Look at the documents of its roots alone.
        """
        old, new = {}, {}
        for version in self._touched(before, after):
            if run is not None and not run.covers(version.document.root):
                continue
            was, now = (view.shows(version.born, version.died) for view in (before, after))
            if was and not now:
                old[version.document.doc_id] = version
            elif now and not was:
                new[version.document.doc_id] = version
        texts = self._texts([old[d] for d in old if d in new] + [new[d] for d in new if d in old])
        return [
            _change(old.get(doc_id), new.get(doc_id), texts) for doc_id in old.keys() | new.keys()
        ]

    def counts(self, run: Run) -> dict[str, int]:
        """What a generation changed, by the names of `Generation`.

        Other runs that went on meanwhile had other roots.
        """
        manifest = self._now.manifest
        before = View.up_to(run.first - 1, manifest.lost)
        made = make_changes(run.id, run.id, self.between(before, manifest.view_of(run), run))
        return {name: getattr(made, name) for name in COUNTED}

    def _touched(self, before: View, after: View) -> Iterable[Version]:
        """The versions that were born or died in a commit that one has and the other has not."""
        low, high = sorted((before.moment, after.moment))
        apart = sorted(before.without ^ after.without)
        should: list[Query] = []
        for name in ("born", "died"):
            should.append({"range": {name: {"gt": low, "lte": high}}})
            if apart:
                should.append({"terms": {name: apart}})
        query = {"bool": {"should": should, "must_not": [{"terms": {"born": self._lost()}}]}}
        for row in self._now.scan(self._now.documents_index, query, "version"):
            yield read_version(row["_source"], self._now.location)

    def _lost(self) -> list[int]:
        return list(self._now.manifest.lost)

    def _texts(self, versions: list[Version]) -> dict[int, Counter[str]]:
        texts = {v.version: Counter[str]() for v in versions}
        numbers = sorted(texts)
        for i in range(0, len(numbers), 1000):
            query = {"terms": {"version": numbers[i : i + 1000]}}
            rows = self._now.scan(
                self._now.chunks_index, query, "number", source=["version", "text"]
            )
            for row in rows:
                texts[row["_source"]["version"]][row["_source"]["text"]] += 1
        return texts


def _change(
    was: Version | None, now: Version | None, texts: dict[int, Counter[str]]
) -> DocumentChange:
    version = was or now
    assert version is not None  # noqa: S101 -- one of them is there
    place = (version.document.root, version.document.path)
    what: Literal["added", "removed"] = "added" if was is None else "removed"
    if was is None or now is None:
        added, removed = (version.chunks, 0) if was is None else (0, version.chunks)
        return DocumentChange(*place, what, added, removed, 0)
    old, new = texts[was.version], texts[now.version]
    added, removed = (new - old).total(), (old - new).total()
    return DocumentChange(*place, "changed", added, removed, (old & new).total())


def read_log(cluster: Cluster, manifest: Manifest, limit: int | None) -> list[Generation]:
    """See `ragkit.protocols.VectorStore.log`."""
    found = []
    for run in [*reversed(manifest.runs)][:limit]:
        counts = run.counts
        if counts is None:
            build = manifest.builds.get(run.build)
            counts = {} if build is None else Changes(cluster, manifest, build).counts(run)
        found.append(
            Generation(
                run.id,
                run.build,
                run.command,
                run.started_at,
                run.finished_at,
                run.state,  # type: ignore[arg-type]  # one of its words
                **counts,
            )
        )
    return found


def read_difference(
    cluster: Cluster, manifest: Manifest, build: RemoteBuild, between: tuple[int, int | None]
) -> IndexChanges:
    """See `ragkit.protocols.VectorStore.diff`."""
    before, after = between
    closed = {run.id: run for run in manifest.closed(build.id)}
    if after is None:
        in_order = sorted(closed.values(), key=lambda run: (run.commit, run.id))
        after = in_order[-1].id if in_order else 0
    for generation in (before, after):
        if generation not in closed:
            raise no_such_generation(manifest, build.id, generation, cluster.location)
    views = (manifest.view_of(closed[before]), manifest.view_of(closed[after]))
    changes = Changes(cluster, manifest, build).between(*views)
    return make_changes(before, after, changes)


def last_closed_by(manifest: Manifest, build: RemoteBuild, when: datetime, location: str) -> int:
    """See `ragkit.protocols.VectorStore.generation_at`."""
    in_order = sorted(manifest.closed(build.id), key=lambda run: (run.commit, run.id))
    closed = [(run, as_moment(run.finished_at or "")) for run in in_order]
    by_then = [run.id for run, ended in closed if ended <= when]
    if by_then:
        return by_then[-1]
    if not closed:
        msg = f"{location} has no finished run to search"
        raise StoreError(msg, location)
    oldest, ended = closed[0]
    msg = (
        f"no run of {location} that is kept is as old as {moment_text(when)}; the oldest is "
        f"{oldest.id}, finished {moment_text(ended)}"
    )
    raise StoreError(msg, location)


def let_go(manifest: Manifest, newest: Run, *, last: int, days: int) -> tuple[Manifest, int]:
    """Drop generations by `choose_kept`; returns the manifest without, and how many those were."""
    now = datetime.now(UTC)
    closed = [
        (run.id, run.finished_at or "")
        for run in manifest.runs
        if run.state == "closed" and run.id != newest.id
    ]
    kept = choose_kept([*closed, (newest.id, now.isoformat())], last=last, days=days, now=now)
    oldest = min(kept)
    runs = tuple(
        run
        for run in manifest.runs
        if run.id == newest.id
        or run.id in kept
        or (run.id > oldest and run.state != "closed")
        or manifest.is_at_work(run)
    )
    return replace(manifest, runs=runs), len(manifest.runs) - len(runs)


def report_of(stored: dict[str, Any] | None) -> dict[str, Any] | None:
    """The account that a document beside the manifest holds."""
    return None if stored is None else stored["report"]
