"""Three real nodes, of which one is killed at each step of a commit: nothing is lost."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from store_factory import DIM, dense, doc_id_of, manifest_of, put, vector_of
from tcp_proxy import Proxy, proxy_of

from ragkit.errors import StoreUnavailableError
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.manifest import ManifestFile
from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine_nodes import Node, Nodes

pytestmark = [pytest.mark.long, pytest.mark.engine]

CORE = pytest.mark.core
EACH = 20
CATCH_UP_S = 120.0


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
        "manifest": (ManifestFile, "put"),
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
        ("after refresh", holder), pytest.param("before manifest", holder, marks=CORE),
        pytest.param("after manifest", manager, marks=CORE),
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


def texts_of(store: RemoteStore) -> set[str]:
    return {hit.text for hit in dense(store, vector_of("q"), 9999)}


def written(*commits: int) -> set[str]:
    return {f"{c} {i} {w}" for c in commits for i in range(EACH) for w in ("one", "two")}


@pytest.mark.parametrize("how", [pytest.param(Proxy.cut, marks=CORE), Proxy.fall_silent])
def test_a_node_that_clients_cannot_reach_is_passed_over_and_used_again(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, how: Callable[[Proxy], None]
) -> None:
    """Also one that takes what it is sent and never answers."""
    monkeypatch.setattr("ragkit.store.remote.cluster.READ_S", 0.5)
    monkeypatch.setattr("ragkit.store.remote.cluster.WRITE_S", 2.0)
    with ExitStack() as held:
        one, two = (held.enter_context(proxy_of(node.port)) for node in nodes.nodes[:2])
        url = f"opensearch-http://127.0.0.1:{one.port},127.0.0.1:{two.port}/handbook"
        with closing(RemoteStore.create(url, **manifest_of(DIM))) as store:
            with store.writing("index") as writer:
                write(writer, 0)
                writer.commit()
                how(one)
                write(writer, 1)
                writer.commit()
                one.mend()
                how(two)
                write(writer, 2)
            assert texts_of(store) == written(0, 1, 2)
            how(one)
            store._cluster._patience_s = 1.0
            with pytest.raises(StoreUnavailableError, match=rf"nor any other of .*:{two.port}"):
                texts_of(store)
            one.mend()
            two.mend()
            assert texts_of(store) == written(0, 1, 2)
            assert list(store.check()) == []
            assert [run["state"] for run in store.runs()] == ["closed"]


def test_a_node_that_stands_still_at_a_commit_and_goes_on_changes_nothing(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It missed what the others did meanwhile, and carries out what it was sent before."""
    monkeypatch.setattr("ragkit.store.remote.cluster.READ_S", 5.0)
    monkeypatch.setattr("ragkit.store.remote.cluster.WRITE_S", 5.0)
    with closing(RemoteStore.create(nodes.url("handbook"), **manifest_of(DIM))) as store:
        nodes.wait_for("green", 3)
        with store.writing("index") as writer:
            write(writer, 0)
        still = named(nodes, holder(nodes, "handbook-chunks-1"))
        try:
            with store.writing("index") as writer:
                write(writer, 1)
                with monkeypatch.context() as patched:
                    at("before bulk", lambda: still.send(signal.SIGSTOP), patched)
                    writer.commit()
                writer.remove([doc_id_of(f"0-{i}.txt") for i in range(EACH)])
                write(writer, 2)
            assert texts_of(store) == written(1, 2)
        finally:
            still.send(signal.SIGCONT)
        nodes.wait_for("green", 3)
        with closing(RemoteStore(nodes.url("handbook", of=[still]))) as reader:
            assert texts_of(reader) == written(1, 2)
            until = time.monotonic() + CATCH_UP_S
            while (found := list(reader.check(keywords=True))) and time.monotonic() < until:
                assert {v.invariant for v in found} == {"copies"}  # its copy catches up
                time.sleep(0.5)
            assert found == []
