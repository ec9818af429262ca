"""Giving back what no generation can see, and erasing documents from every generation."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ragkit.store.remote.layout import (
    chunks_index,
    control_index,
    documents_index,
    vectors_index,
)
from ragkit.store.remote.rows import line
from ragkit.store.remote.snapshot import RemoteSnapshot
from ragkit.store.remote.sweeping import delete_rows, refresh, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from ragkit.store.remote.cluster import Cluster
    from ragkit.store.remote.manifest import Manifest

    Progress = Callable[[int, int], None] | None

_VERSIONS_A_STEP = 1_000
_EXPUNGE_S = 30.0


@dataclass(slots=True)
class Deleted:
    """How many rows were deleted."""

    documents: int = 0
    chunks: int = 0
    vectors: int = 0


def size_bytes(cluster: Cluster) -> int:
    """What all indexes take on the disks of the cluster, replicas counted."""
    names = f"{control_index(cluster.endpoint.name)},{cluster.endpoint.name}-*"
    _, reply = cluster.send("GET", f"/{names}/_stats/store", params={"ignore_unavailable": "true"})
    return int(reply["_all"]["total"].get("store", {}).get("size_in_bytes", 0))


def unseen_versions(cluster: Cluster, manifest: Manifest) -> list[int]:
    """The versions of documents that died and that no generation sees."""
    build = manifest.builds[manifest.build]
    kept = [*(manifest.view_of(run) for run in manifest.closed(build.id)), manifest.view()]
    died = _died(RemoteSnapshot(cluster, manifest, build))
    return [v for v, born, ended in died if not any(view.shows(born, ended) for view in kept)]


def compact_index(
    cluster: Cluster, manifest: Manifest, unseen: Sequence[int], on_progress: Progress
) -> tuple[Manifest, Deleted]:
    """Delete versions that no generation sees, and what else is of no use.

    Returns:
        The manifest to put in place, and what went.
    """
    build = manifest.builds[manifest.build]
    now = RemoteSnapshot(cluster, manifest, build)
    if manifest.lost:
        sweep(cluster, manifest, manifest.lost)
    gone = delete_versions(now, unseen, on_progress)
    gone.vectors += _forget(cluster, now)
    left = now.count(now.chunks_index, {"match_all": {}})
    changed = replace(build, chunks=left, compacted=build.compacted + bool(gone.documents))
    _drop_controls(cluster, manifest)
    if on_progress:
        on_progress(len(unseen) + 1, len(unseen) + 1)
    return manifest.with_build(changed), gone


def _died(now: RemoteSnapshot) -> Iterator[tuple[int, int, int]]:
    """The versions that died: number, born, died."""
    query = {"bool": {"filter": [now.brought(), now.brought("died")]}}
    fields = ["version", "born", "died"]
    for row in now.scan(now.documents_index, query, "version", source=fields):
        source = row["_source"]
        yield source["version"], source["born"], source["died"]


def delete_versions(
    now: RemoteSnapshot, versions: Sequence[int], on_progress: Progress = None
) -> Deleted:
    """Delete versions of documents, their chunks first: what ends halfway can be gone on with."""
    gone = Deleted()
    for i in range(0, len(versions), _VERSIONS_A_STEP):
        query = {"terms": {"version": list(versions[i : i + _VERSIONS_A_STEP])}}
        with_vector = {"bool": {"filter": [query, now.embedded()]}}
        gone.vectors += now.count(now.chunks_index, with_vector)
        gone.chunks += delete_rows(now.cluster, now.chunks_index, query)
        gone.documents += delete_rows(now.cluster, now.documents_index, query)
        if on_progress:
            on_progress(min(i + _VERSIONS_A_STEP, len(versions)), len(versions) + 1)
    return gone


def _forget(cluster: Cluster, now: RemoteSnapshot, only: Collection[str] = ()) -> int:
    """Delete cache entries that no chunk of any build has; returns how many.

    Args:
        cluster: The nodes.
        now: Of any build.
        only: Look at these keys alone; none: at all.
    """
    cache = vectors_index(cluster.endpoint.name)
    cluster.send("POST", f"/{cache}/_refresh")
    count = 0
    for keys in _listed(only) if only else _cache_keys(now, cache):
        used: set[str] = set()
        for build in now.manifest.builds.values():
            index = chunks_index(cluster.endpoint.name, build.id)
            body = {
                "size": 0, "query": {"terms": {"key": keys}},
                "aggs": {"keys": {"terms": {"field": "key", "size": len(keys)}}},
            }  # fmt: skip
            buckets = now.search(index, body)["aggregations"]["keys"]["buckets"]
            used.update(bucket["key"] for bucket in buckets)
        unused = [key for key in keys if key not in used]
        if unused:
            cluster.bulk([line({"delete": {"_index": cache, "_id": key}}) for key in unused])
            count += len(unused)
    return count


def _listed(keys: Collection[str]) -> Iterator[list[str]]:
    listed = sorted(keys)
    for i in range(0, len(listed), _VERSIONS_A_STEP):
        yield listed[i : i + _VERSIONS_A_STEP]


def _cache_keys(now: RemoteSnapshot, cache: str) -> Iterator[list[str]]:
    """The keys of the embedding cache, some at a time."""
    after: list[Any] = []
    while True:
        body: dict[str, Any] = {
            "size": _VERSIONS_A_STEP, "_source": False, "sort": [{"key": "asc"}],
            "query": {"match_all": {}},
        }  # fmt: skip
        found = now.search(cache, body | ({"search_after": after} if after else {}))["hits"]["hits"]
        if not found:
            return
        yield [row["_id"] for row in found]
        after = found[-1]["sort"]


def _drop_controls(cluster: Cluster, manifest: Manifest) -> None:
    """Delete reports and lists of stale documents that the manifest names no more."""
    name = control_index(cluster.endpoint.name)
    cluster.send("POST", f"/{name}/_refresh")
    kept = {run.report for run in manifest.runs} | {manifest.stale}
    kept |= {*manifest.gone, *(f"lease-{grant.token}" for grant in manifest.grants)}
    body = {"size": 10_000, "_source": False, "query": {"match_all": {}}}
    _, reply = cluster.send("POST", f"/{name}/_search", body)
    names = [row["_id"] for row in reply["hits"]["hits"]]
    lines = [
        line({"delete": {"_index": name, "_id": i}})
        for i in names
        if i not in kept and i.startswith(("report-", "stale-", "lease-", "gone-"))
    ]
    if lines:
        cluster.bulk(lines)


def versions_of(cluster: Cluster, manifest: Manifest, doc_ids: Sequence[str]) -> list[int]:
    """All versions of documents that are stored."""
    now = RemoteSnapshot(cluster, manifest, manifest.builds[manifest.build])
    found: list[int] = []
    for part in _listed(set(doc_ids)):
        rows = now.scan(
            now.documents_index, {"terms": {"doc_id": part}}, "version", source=["version"]
        )
        found += [row["_source"]["version"] for row in rows]
    return found


def erase_versions(
    cluster: Cluster, manifest: Manifest, versions: Sequence[int], on_progress: Progress
) -> tuple[Manifest, Deleted]:
    """Delete versions of documents, and the cache entries that were theirs alone."""
    build = manifest.builds[manifest.build]
    now = RemoteSnapshot(cluster, manifest, build)
    keys = {
        row["_source"]["key"]
        for i in range(0, len(versions), _VERSIONS_A_STEP)
        for row in now.scan(
            now.chunks_index,
            {"terms": {"version": versions[i : i + _VERSIONS_A_STEP]}},
            "number",
            source=["key"],
        )
        if "key" in row["_source"]
    }
    gone = delete_versions(now, versions, on_progress)
    if keys:
        _forget(cluster, now, keys)
    changed = replace(
        build, chunks=build.chunks - gone.chunks, compacted=build.compacted + bool(versions)
    )
    return manifest.with_build(changed), gone


def expunge(cluster: Cluster, build: int) -> bool:
    """Write the segments anew that hold deleted rows; returns whether none is left on any disk.

    OpenSearch keeps deleted rows for copies of a shard that may have to catch up, for as long as
    it takes them to tell that they did: half a minute.
    """
    name = cluster.endpoint.name
    indexes = ",".join(
        [chunks_index(name, build), documents_index(name, build), vectors_index(name)]
    )
    until = time.monotonic() + _EXPUNGE_S
    while True:
        refresh(cluster, build)
        cluster.send("POST", f"/{indexes}/_flush", params={"force": "true"})
        params = {"only_expunge_deletes": "true"}
        cluster.send("POST", f"/{indexes}/_forcemerge", params=params)
        _, reply = cluster.send("GET", f"/{indexes}/_stats/docs")
        deleted = reply["_all"]["total"]["docs"]["deleted"]
        if not deleted or time.monotonic() > until:
            return not deleted
        time.sleep(1.0)
