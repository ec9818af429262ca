"""Three real nodes, of which one is killed at each step of a commit: nothing is lost."""

from __future__ import annotations

import signal
import time
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from typing import TYPE_CHECKING

import pytest
from remote_nodes import (
    EACH,
    STEPS,
    holder,
    killing,
    looking,
    manager,
    named,
    texts_of,
    write,
    written,
)
from store_factory import DIM, doc_id_of, manifest_of
from tcp_proxy import Proxy, proxy_of

from ragkit.errors import StoreUnavailableError
from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine_nodes import Nodes

pytestmark = [pytest.mark.long, pytest.mark.engine]

CORE = pytest.mark.core
CATCH_UP_S = 120.0


IN_CORE = {("before", "manifest", holder), ("after", "manifest", manager)}


@pytest.mark.parametrize(
    ("step", "victim"),
    [
        pytest.param(
            f"{when} {what}", victim, marks=CORE if (when, what, victim) in IN_CORE else ()
        )
        for what in STEPS
        for when in ("before", "after")
        for victim in (holder, manager)
    ],
)
def test_a_node_killed_at_a_step_of_a_run_loses_nothing_and_shows_no_half(
    nodes: Nodes, step: str, victim: Callable[[Nodes, str], str]
) -> None:
    url = nodes.url("handbook")
    what = step.partition(" ")[2]
    with closing(RemoteStore.create(url, **manifest_of(DIM))) as store:
        nodes.wait_for("green", 3)
        with store.writing("index") as writer:
            write(writer, 0)
        index = "handbook-chunks-1" if what in {"rows", "refresh"} else "handbook"
        killed = named(nodes, victim(nodes, index))

        def at(*steps: str) -> AbstractContextManager[None]:
            return killing(killed.kill, step) if what in steps else nullcontext()

        with looking(url) as seen, ExitStack() as run:
            with at("lease"):
                writer = run.enter_context(store.writing("index"))
            write(writer, 1)
            writer.commit()
            write(writer, 2)
            writer.mark_stale(doc_id_of("0-0.txt"), "it is locked")
            with at("rows", "refresh", "note", "manifest"):
                writer.commit()
            write(writer, 3)
            with at("end"):
                run.close()
        assert killed.process is None
        assert seen == sorted(seen)
        assert {count // (2 * EACH) for count in seen} <= {1, 2, 3, 4}
        assert {count % (2 * EACH) for count in seen} == {0}
        assert texts_of(store) == written(0, 1, 2, 3)
        killed.start()
        nodes.wait_for("green", 3)
        assert texts_of(store) == written(0, 1, 2, 3)
        assert [d.path for d in store.documents() if d.stale] == ["0-0.txt"]
        assert list(store.check(keywords=True)) == []
        assert [run["state"] for run in store.runs()] == ["closed", "closed"]


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
                with killing(lambda: still.send(signal.SIGSTOP), "before rows"):
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
