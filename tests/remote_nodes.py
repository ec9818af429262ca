"""What the tests of nodes share: what is written and seen, and which node is killed when."""

from __future__ import annotations

import sys
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from store_factory import dense, put, vector_of

from ragkit.errors import StoreUnavailableError
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.manifest import ManifestFile
from ragkit.store.remote.store import RemoteStore
from ragkit.store.remote.writer import RemoteWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine_nodes import Node, Nodes

EACH = 20
"""Documents of two passages in each commit."""

STEPS: dict[str, tuple[Any, str]] = {
    "lease": (ManifestFile, "put"),
    "rows": (Cluster, "bulk"),
    "refresh": (sys.modules["ragkit.store.remote.writer"], "refresh"),
    "note": (RemoteWriter, "_write_control"),
    "manifest": (ManifestFile, "put"),
    "end": (ManifestFile, "put"),
}
"""What a run does from its lease to its end, and where that is done."""


def manager(nodes: Nodes, _: str = "") -> str:
    """The node that manages the cluster."""
    return str(nodes.get("/_cat/cluster_manager", params={"format": "json"})[0]["node"])


def holder(nodes: Nodes, name: str) -> str:
    """The node that has the first copy of an index's shard."""
    shards = nodes.get(f"/_cat/shards/{name}", params={"format": "json"})
    return str(next(shard["node"] for shard in shards if shard["prirep"] == "p"))


def copies(nodes: Nodes, name: str) -> list[str]:
    """The nodes that have a copy of an index's shard."""
    shards = nodes.get(f"/_cat/shards/{name}", params={"format": "json"})
    return [str(shard["node"]) for shard in shards]


def named(nodes: Nodes, name: str) -> Node:
    return next(node for node in nodes.nodes if node.name == name)


def write(writer: Any, commit: int) -> None:
    for i in range(EACH):
        put(writer, f"{commit}-{i}.txt", [f"{commit} {i} one", f"{commit} {i} two"])


def texts_of(store: RemoteStore) -> set[str]:
    return {hit.text for hit in dense(store, vector_of("q"), 9999)}


def written(*commits: int) -> set[str]:
    return {f"{c} {i} {w}" for c in commits for i in range(EACH) for w in ("one", "two")}


@contextmanager
def killing(kill: Callable[[], None], step: str) -> Iterator[None]:
    """Kill a node once, before or after a step: "before refresh"."""
    due = [kill]

    def once() -> None:
        while due:
            due.pop()()

    when, _, what = step.partition(" ")
    place, name = STEPS[what]
    original: Callable[..., Any] = getattr(place, name)

    def stand_in(*args: Any, **fields: Any) -> Any:
        if when == "before":
            once()
        made = original(*args, **fields)
        once()
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(place, name, stand_in)
        yield
    assert due == []


@contextmanager
def looking(url: str, *, may_be_refused: bool = False) -> Iterator[list[int]]:
    """A reader beside, and how many passages it saw, look after look.

    Args:
        url: Of the index.
        may_be_refused: A look that is refused is not waited for long, and passed over.
    """
    ended, seen = threading.Event(), list[int]()
    refused = (StoreUnavailableError,) if may_be_refused else ()
    failed: list[Exception] = []

    def look() -> None:
        try:
            with closing(RemoteStore(url)) as reader:
                if may_be_refused:
                    reader._cluster._patience_s = 0.5
                while not ended.wait(0.05 if may_be_refused else 0):
                    with suppress(*refused):
                        seen.append(len(texts_of(reader)))
        except Exception as exc:  # noqa: BLE001 -- raised where the test is
            failed.append(exc)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
    if failed:
        raise failed[0]
