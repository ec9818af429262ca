"""Three real nodes, of which one is killed at each step of a commit: nothing is lost."""

from __future__ import annotations

import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from store_factory import DIM, dense, manifest_of, put, vector_of

from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.manifest import ManifestFile
from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine_nodes import Node, Nodes

pytestmark = pytest.mark.long

EACH = 20


@pytest.fixture
def nodes(three_nodes: Nodes) -> Iterator[Nodes]:
    """Three nodes that run, also after a test that killed one."""
    three_nodes.clear()
    yield three_nodes
    for node in three_nodes.nodes:
        if node.process is None:
            node.start()
    three_nodes.wait_for("green", 3)


def manager(nodes: Nodes, _: str) -> str:
    """The node that manages the cluster."""
    return str(nodes.get("/_cat/cluster_manager", params={"format": "json"})[0]["node"])


def holder(nodes: Nodes, name: str) -> str:
    """The node that has the first copy of the manifest."""
    shards = nodes.get(f"/_cat/shards/{name}", params={"format": "json"})
    return str(next(shard["node"] for shard in shards if shard["prirep"] == "p"))


def named(nodes: Nodes, name: str) -> Node:
    return next(node for node in nodes.nodes if node.name == name)


def write(writer: Any, commit: int) -> None:
    for i in range(EACH):
        put(writer, f"{commit}-{i}.txt", [f"{commit} {i} one", f"{commit} {i} two"])


def at(step: str, kill: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill a node once, at a step of the next commit."""
    due = [kill]

    def once() -> None:
        while due:
            due.pop()()

    place, name = {
        "bulk": (Cluster, "bulk"),
        "refresh": (sys.modules["ragkit.store.remote.writer"], "refresh"),
        "manifest": (ManifestFile, "replace"),
    }[step.split()[-1]]
    original: Callable[..., Any] = getattr(place, name)

    def stand_in(*args: Any, **fields: Any) -> Any:
        if step.startswith("before"):
            once()
        made = original(*args, **fields)
        once()
        return made

    monkeypatch.setattr(place, name, stand_in)


@pytest.mark.parametrize(
    ("step", "victim"),
    [
        ("before bulk", manager), ("after bulk", holder), ("before refresh", manager),
        ("after refresh", holder), ("before manifest", holder), ("after manifest", manager),
    ],
)  # fmt: skip
def test_a_node_killed_at_a_commit_loses_nothing_and_shows_no_half(
    nodes: Nodes,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    victim: Callable[[Nodes, str], str],
) -> None:
    url = nodes.url("handbook")
    ended, seen = threading.Event(), []

    def look() -> None:
        with closing(RemoteStore(url)) as reader:
            while not ended.is_set():
                seen.append(len(dense(reader, vector_of("q"), 9999)))

    with closing(RemoteStore.create(url, **manifest_of(DIM))) as store:
        nodes.wait_for("green", 3)
        with store.writing("index") as writer:
            write(writer, 0)
        looking = threading.Thread(target=look)
        looking.start()
        try:
            with store.writing("index") as writer:
                write(writer, 1)
                writer.commit()
                write(writer, 2)
                name = victim(nodes, "handbook")
                with monkeypatch.context() as patched:
                    at(step, named(nodes, name).kill, patched)
                    writer.commit()
                assert named(nodes, name).process is None
                write(writer, 3)
        finally:
            ended.set()
            looking.join()
        assert seen == sorted(seen)
        assert {count // (2 * EACH) for count in seen} <= {1, 2, 3, 4}
        assert {count % (2 * EACH) for count in seen} == {0}
        expected = {f"{c} {i} {w}" for c in range(4) for i in range(EACH) for w in ("one", "two")}
        assert {hit.text for hit in dense(store, vector_of("q"), 9999)} == expected
        named(nodes, name).start()
        nodes.wait_for("green", 3)
        assert {hit.text for hit in dense(store, vector_of("q"), 9999)} == expected
        assert list(store.check(keywords=True)) == []
        assert [run["state"] for run in store.runs()] == ["closed", "closed"]
