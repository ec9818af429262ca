"""Any order of runs, kills, rebuilds and readers on a real node, against dicts and NumPy."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from oracle import decode, exact_search
from store_factory import DIM, dense, doc_id_of, keyword, manifest_of, put, vector_of, vectors_of

from ragkit.errors import IndexLockedError
from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_nodes import Nodes

    from ragkit.protocols import StoreWriter

pytestmark = [pytest.mark.long, pytest.mark.engine]

Place = tuple[str, str]
Held = dict[Place, tuple[str, ...]]
ROOTS = ("/one", "/two")
NAMES = st.sampled_from(["a.txt", "b.txt", "c.txt"])
WORDS = st.sampled_from(["harbour", "lantern", "granite", "signal"])
TEXTS = st.lists(st.tuples(WORDS, st.integers(0, 9)), min_size=1, max_size=4, unique=True)
EDITS = st.dictionaries(NAMES, TEXTS, min_size=1, max_size=3)
ROOT = st.sampled_from([0, 1])
LAST = 3


class RemoteMachine(RuleBasedStateMachine):
    """An index with documents of two roots, and two stores that are open on it.

    ``held`` is what the newest commit holds, ``history`` what was held when each generation of
    the living build was closed, ``gone`` a process that has ended.
    """

    nodes: Nodes
    names = count()
    runs = 0  # of all machines, that ended well

    def __init__(self) -> None:
        super().__init__()
        self.url = self.nodes.url(f"machine-{next(self.names)}")
        RemoteStore.create(self.url, **manifest_of(DIM)).close()
        self.stores = [self._opened(), self._opened()]
        self.held: Held = {}
        self.history: dict[int, Held] = {}
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            self.gone = ended.pid

    def _opened(self) -> RemoteStore:
        return RemoteStore(self.url, lease_s=2.0)

    def teardown(self) -> None:
        for store in self.stores:
            self._assert_holds(store)
            store.close()
        self.nodes.clear()

    # Runs ------------------------------------------------------------------------------------

    @rule(which=ROOT, root=ROOT, edits=EDITS)
    def index(self, which: int, root: int, edits: dict[str, Any]) -> None:
        with self.stores[which].writing("index", roots=[ROOTS[root]]) as writer:
            made = self._edit(writer, root, edits)
            writer.retain(last=LAST, days=0)
        self._closed(writer.generation, made)

    @rule(first=ROOT, edits=EDITS, others=EDITS)
    def index_both(self, first: int, edits: dict[str, Any], others: dict[str, Any]) -> None:
        """Two runs at once, of which either ends first."""
        with ExitStack() as outer, ExitStack() as inner:
            one = outer.enter_context(self.stores[0].writing("index", roots=[ROOTS[first]]))
            two = inner.enter_context(self.stores[1].writing("index", roots=[ROOTS[1 - first]]))
            made = self._edit(one, first, edits)
            others_made = self._edit(two, 1 - first, others)
            inner.close()
            self._closed(two.generation, others_made)
            self._assert_holds(self.stores[0])
        self._closed(one.generation, made)

    @rule(which=ROOT, root=ROOT, name=NAMES)
    def remove(self, which: int, root: int, name: str) -> None:
        place = (ROOTS[root], name)
        with self.stores[which].writing("remove") as writer:
            removed = writer.remove([doc_id_of(name, ROOTS[root])])
        assert removed == (place in self.held)
        if removed:
            self._closed(writer.generation, {place: ()})

    @precondition(lambda self: self.held)
    @rule(which=ROOT)
    def rebuild(self, which: int) -> None:
        held = dict(self.held)
        with (
            self.stores[which].rebuilding(**manifest_of(DIM)) as fresh,
            fresh.writing("rebuild") as writer,
        ):
            for (root, name), texts in held.items():
                put(writer, name, texts, root=root)
        self.history = {}
        self._closed(writer.generation, {})

    @rule(which=ROOT)
    def compact(self, which: int) -> None:
        self.stores[which].compact()

    @rule(which=ROOT)
    def reopen(self, which: int) -> None:
        self.stores[which].close()
        self.stores[which] = self._opened()

    # What goes wrong -------------------------------------------------------------------------

    @rule(which=ROOT, root=ROOT, edits=EDITS)
    def give_up(self, which: int, root: int, edits: dict[str, Any]) -> None:
        def fail() -> None:
            with self.stores[which].writing("fails", roots=[ROOTS[root]]) as writer:
                self._edit(writer, root, edits)
                writer._flush()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

    @rule(root=ROOT, edits=EDITS, others=EDITS)
    def be_killed(self, root: int, edits: dict[str, Any], others: dict[str, Any]) -> None:
        """One run is killed with rows sent; the other goes on, and nobody sees the first one's."""
        dying = self._opened()
        with self.stores[0].writing("lives", roots=[ROOTS[1 - root]]) as writer:
            made = self._edit(writer, 1 - root, others)
            writer._flush()
            run = dying.writing("dies", roots=[ROOTS[root]])
            dead = run.__enter__()
            self._edit(dead, root, edits)
            dead._flush()
            dead._settle()
            dead._sender.close()
            dead._lease._beats.stop()
            self._note_ended(dead._lease.token)
        self._closed(writer.generation, made)
        dying.close()

    def _note_ended(self, token: str) -> None:
        """Let the manifest name a process that has ended, as it would be after a kill."""
        file = self.stores[0]._file
        while True:
            manifest, place = file.read_placed()
            grant = manifest.granted(token)
            assert grant is not None
            if file.put(manifest.with_grant(replace(grant, pid=self.gone)), place) is not None:
                return

    @rule(root=ROOT)
    def be_refused(self, root: int) -> None:
        with self.stores[0].writing("index", roots=[ROOTS[root]]):
            for roots in ([ROOTS[root]], None):
                with pytest.raises(IndexLockedError), self.stores[1].writing("2", roots=roots):
                    pass
            with pytest.raises(IndexLockedError):
                self.stores[1].compact()

    # Readers ---------------------------------------------------------------------------------

    @rule(which=ROOT, word=WORDS)
    def search(self, which: int, word: str) -> None:
        store = self.stores[which]
        self._assert_holds(store)
        found = sorted(hit.text for hit in keyword(store, word, 999))
        assert found == sorted(text for text in _texts(self.held) if word in text)

    @precondition(lambda self: self.history)
    @rule(which=ROOT, data=st.data())
    def look_back(self, which: int, data: st.DataObject) -> None:
        generation = data.draw(st.sampled_from(sorted(self.history)))
        held = self.history[generation]
        hits = dense(self.stores[which], vector_of("q"), 999, as_of=generation)
        assert sorted(hit.text for hit in hits) == _texts(held)

    @precondition(lambda self: len(self.history) > 1)
    @rule(data=st.data())
    def compare(self, data: st.DataObject) -> None:
        before, after = (data.draw(st.sampled_from(sorted(self.history))) for _ in range(2))
        old, new = self.history[before], self.history[after]
        found = {(d.root, d.path): d.change for d in self.stores[0].diff(before, after).documents}
        for place in old.keys() | new.keys():
            change = "added" if place not in old else "removed" if place not in new else None
            if change or old[place] != new[place]:
                assert found.pop(place) == (change or "changed")
            elif found.pop(place, "changed") != "changed":  # put again as it was
                pytest.fail(f"{place} did not change")
        assert found == {}

    @rule()
    def check(self) -> None:
        assert list(self.stores[0].check(keywords=True)) == []

    # -----------------------------------------------------------------------------------------

    def _edit(self, writer: StoreWriter, root: int, edits: dict[str, Any]) -> Held:
        made: Held = {}
        for name, given in edits.items():
            texts = tuple(f"The {word} stands at {number}" for word, number in given)
            put(writer, name, texts, root=ROOTS[root])
            made[(ROOTS[root], name)] = texts
        return made

    def _closed(self, generation: int, made: Held) -> None:
        RemoteMachine.runs += 1
        self.held = {place: texts for place, texts in (self.held | made).items() if texts}
        self.history[generation] = dict(self.held)
        kept = {g.id for g in self.stores[0].log() if g.state == "closed"}
        self.history = {g: held for g, held in self.history.items() if g in kept}
        assert generation in kept

    def _assert_holds(self, store: RemoteStore) -> None:
        assert {(d.root, d.path) for d in store.documents()} == self.held.keys()
        query = vector_of("q")
        hits = dense(store, query, 999)
        texts = [hit.text for hit in hits]
        assert sorted(texts) == _texts(self.held)
        if texts:
            rows = decode(vectors_of(texts))
            exact = [score for _, score in exact_search(rows, query, len(texts))]
            assert np.allclose([hit.score or 0.0 for hit in hits], exact, atol=1e-5)
            assert np.allclose(rows @ query, exact, atol=1e-5)


def _texts(held: Held) -> list[str]:
    return sorted(text for texts in held.values() for text in texts)


@pytest.fixture
def machine(one_node: Nodes) -> Iterator[type[RemoteMachine]]:
    one_node.clear()
    RemoteMachine.nodes = one_node
    yield RemoteMachine
    with closing(RemoteStore.create(one_node.url("after"), **manifest_of(DIM))) as store:
        assert store.stats().documents == 0  # the node is well


def test_any_order_of_runs_kills_and_readers(machine: type[RemoteMachine]) -> None:
    short = settings(
        max_examples=6, stateful_step_count=16, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=short)
    assert machine.runs > 10
