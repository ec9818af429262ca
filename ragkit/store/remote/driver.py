"""Makes and opens indexes on a cluster by their URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.errors import IndexNotFoundError
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.endpoint import parse_endpoint
from ragkit.store.remote.layout import delete_indexes, require_ours
from ragkit.store.remote.lease import Lease
from ragkit.store.remote.manifest import ManifestFile
from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Mapping


class RemoteDriver:
    """Satisfies `ragkit.protocols.StoreDriver`."""

    def exists(self, location: str) -> bool:
        """Whether there is an index of ragkit's at a URL."""
        cluster = Cluster(parse_endpoint(location))
        try:
            require_ours(cluster)
        except IndexNotFoundError:
            return False
        finally:
            cluster.close()
        return ManifestFile(cluster).read_or_none() is not None

    def open(self, location: str) -> RemoteStore:
        """Open an index."""
        return RemoteStore(location)

    def create(
        self, location: str, *, embedder: Mapping[str, Any], splitter: Mapping[str, Any]
    ) -> RemoteStore:
        """Make an empty index."""
        return RemoteStore.create(location, embedder=embedder, splitter=splitter)

    def delete(self, location: str) -> None:
        """Delete an index, whatever its format.

        Raises:
            IndexLockedError: Another process is writing to it.
        """
        cluster = Cluster(parse_endpoint(location))
        require_ours(cluster)
        file = ManifestFile(cluster)
        manifest = file.read_or_none()
        lease = Lease(cluster, file, "delete")
        try:
            if manifest is not None:
                lease.take(manifest.id)
            delete_indexes(cluster)
        finally:
            lease.forget()
            cluster.close()
