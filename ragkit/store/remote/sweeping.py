"""Taking away what no manifest counts: rows of writers that ended badly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ragkit.store.remote.layout import chunks_index, documents_index
from ragkit.store.remote.snapshot import RemoteSnapshot

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
