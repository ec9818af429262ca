"""Two of three real nodes cannot reach each other, while clients reach all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from node_partition import Wiring, wired
from remote_nodes import EACH, copies, looking, manager, named, texts_of, write, written
from store_factory import DIM, manifest_of

from ragkit.errors import StoreUnavailableError
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.endpoint import parse_endpoint
from ragkit.store.remote.manifest import ManifestFile
from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_nodes import Node, Nodes

pytestmark = [
    pytest.mark.long, pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc tells whose a connection is"),
]  # fmt: skip

Pair = tuple[str, str]


@pytest.fixture(scope="module")
def wiring(three_nodes: Nodes) -> Iterator[Wiring]:
    three_nodes.clear()
    with wired(three_nodes) as made:
        yield made


def both_copies(nodes: Nodes) -> Pair:
    """The nodes with the passages' two copies."""
    one, other = copies(nodes, "handbook-chunks-1")
    return one, other


def manager_and_copy(nodes: Nodes) -> Pair:
    """The node that manages the cluster, and another one that has a copy of the passages."""
    managing = manager(nodes)
    return managing, next(n for n in copies(nodes, "handbook-chunks-1") if n != managing)


@pytest.mark.parametrize("chosen", [both_copies, manager_and_copy])
def test_two_nodes_that_cannot_reach_each_other_lose_nothing_and_show_no_half(
    three_nodes: Nodes,
    wiring: Wiring,
    monkeypatch: pytest.MonkeyPatch,
    chosen: Callable[[Nodes], Pair],
) -> None:
    """Writers and readers go on by the nodes that have a manager; the other one refuses."""
    monkeypatch.setattr("ragkit.store.remote.cluster.READ_S", 2.0)
    monkeypatch.setattr("ragkit.store.remote.cluster.WRITE_S", 5.0)
    nodes = three_nodes
    nodes.clear()
    with closing(RemoteStore.create(nodes.url("handbook"), **manifest_of(DIM))) as store:
        nodes.wait_for("green", 3)
        with store.writing("index") as writer:
            write(writer, 0)
        one, other = (named(nodes, name) for name in chosen(nodes))
        with ExitStack() as held:
            urls = [nodes.url("handbook", of=[node]) for node in nodes.nodes]
            seen = [held.enter_context(looking(url, may_be_refused=True)) for url in urls]
            with store.writing("index") as writer:
                write(writer, 1)
                wiring.part(one, other)
                writer.commit()
                write(writer, 2)
            assert texts_of(store) == written(0, 1, 2)
            if chosen is manager_and_copy:
                refused(nodes, other)
            wiring.mend()
            nodes.wait_for("green", 3)
            with store.writing("index") as writer:
                write(writer, 3)
        for by_node in seen:
            assert by_node == sorted(by_node)
            assert {count % (2 * EACH) for count in by_node} == {0}
        for node in nodes.nodes:
            with closing(RemoteStore(nodes.url("handbook", of=[node]))) as reader:
                assert texts_of(reader) == written(0, 1, 2, 3)
        assert list(store.check(keywords=True)) == []
        assert [run["state"] for run in store.runs()] == ["closed"] * 3


def refused(nodes: Nodes, alone: Node) -> None:
    """See that a node without a manager is told, and neither written to nor read from."""
    url = nodes.url("handbook", of=[alone])
    with closing(RemoteStore(nodes.url("handbook"))) as store:
        store._cluster = Cluster(parse_endpoint(url), patience_s=3.0)
        store._file = ManifestFile(store._cluster)
        told = rf"127.0.0.1:{alone.port} .*lost its cluster.* What was committed is intact"
        with pytest.raises(StoreUnavailableError, match=told), store.writing("index"):
            pass
        with pytest.raises(StoreUnavailableError, match=told):
            texts_of(store)
