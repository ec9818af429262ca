"""Taking away what no manifest counts: rows of writers that ended badly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ragkit.store.remote.layout import chunks_index, control_index, documents_index
from ragkit.store.remote.snapshot import MOST_TERMS, RemoteSnapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.store.remote.cluster import Cluster
    from ragkit.store.remote.manifest import Manifest

_TRIES_S = 60.0


def refresh(cluster: Cluster, build: int) -> None:
    """Let searches see all that was written to a build, on every copy of every shard.

    Raises:
        StoreError: A shard is not there; nothing may be committed then.
    """
    name = cluster.endpoint.name
    path = f"/{documents_index(name, build)},{chunks_index(name, build)}/_refresh"
    until = time.monotonic() + _TRIES_S
    while True:
        _, reply = cluster.send("POST", path)
        shards = reply["_shards"]
        if not shards["failed"] and shards["successful"]:
            return
        if time.monotonic() > until:
            msg = (
                f"could not refresh {shards['failed']} of {shards['total']} shards: bring back the "
                "nodes that are missing, and run the command again"
            )
            raise cluster.failure(msg)
        time.sleep(0.5)


def delete_rows(cluster: Cluster, index: str, query: dict[str, Any]) -> int:
    """Delete the rows that a query finds; returns how many those were."""
    body = {"query": query}
    params = {"conflicts": "proceed", "refresh": "true", "timeout": "60s"}
    _, reply = cluster.send("POST", f"/{index}/_delete_by_query", body, params=params)
    if reply["failures"]:
        msg = f"could not delete rows of {index}: {reply['failures'][:1]}"
        raise cluster.failure(msg)
    return int(reply["deleted"])


def sweep(cluster: Cluster, manifest: Manifest, lost: Sequence[int]) -> None:
    """Take away the rows that commits which never came were to bring.

    Nothing depends on it: readers leave out `Manifest.lost` anyway. It may be ended anywhere.
    Deaths of that number stay and count for nothing: a request that takes one away could arrive
    late, and undo a later one.
    """
    for build in manifest.builds.values():
        now = RemoteSnapshot(cluster, manifest, build)
        refresh(cluster, build.id)
        born = {"terms": {"born": list(lost)}}
        for index in (now.chunks_index, now.documents_index):
            delete_rows(cluster, index, born)


def note_gone(cluster: Cluster, number: int, versions: Sequence[int]) -> tuple[str, ...]:
    """Write down which versions of documents are about to be deleted, for `sweep_gone`.

    Args:
        cluster: The nodes.
        number: No earlier list has it.
        versions: They.

    Returns:
        The names of the documents that tell it, for `Manifest.gone`.
    """
    names = []
    for i in range(0, len(versions), MOST_TERMS):
        name = f"gone-{number}-{i}"
        source = {"gone": list(versions[i : i + MOST_TERMS])}
        cluster.send("PUT", f"/{control_index(cluster.endpoint.name)}/_doc/{name}", source)
        names.append(name)
    return tuple(names)


def sweep_gone(cluster: Cluster, manifest: Manifest) -> None:
    """Delete again what was deleted, as far as it has come back.

    A node that hung may carry out what once created a row long after the row was deleted. An
    erasure that was ended halfway is left: whoever goes on with it needs the rows that are left.
    """
    if manifest.erasing:
        return
    now = RemoteSnapshot(cluster, manifest, manifest.builds[manifest.build])
    if manifest.gone:
        refresh(cluster, now.build.id)
    for name in manifest.gone:
        noted = now.control(name) or {"gone": []}
        query = {"terms": {"version": noted["gone"]}}
        for index in (now.chunks_index, now.documents_index):
            if now.count(index, query):
                delete_rows(cluster, index, query)
