"""A machine that edits, runs, kills and reads in any order, against dicts and an exact search.

Driven by `store/test_machine.py` in short and by `campaigns/machine.py` at length.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import sys
import tempfile
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
import pytest
from campaigns.known import OPEN
from crash_worker import Tripwire
from hash_embedder import HashEmbedder, dense
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from oracle import decode, exact_search
from typer.testing import CliRunner

from ragkit.cli.app import make_app
from ragkit.errors import IndexMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragkit.pipeline import Pipeline
    from ragkit.protocols import Vectors
    from ragkit.records import Hit

Texts = dict[str, str]
NAMES = st.sampled_from(["a.txt", "b.txt", "sub/c.txt", "sub/d.txt", "e.txt", "f.txt"])
SENTENCES = st.sampled_from([f"The {word} stands number {i} in its row." for i in range(3)
                             for word in ("harbour", "lantern", "granite", "signal")])  # fmt: skip
CONTENTS = st.lists(SENTENCES, min_size=1, max_size=40).map(" ".join)
WHICH = st.sampled_from([0, 1])
QUESTION = "where does the lantern stand"


class Reversed(HashEmbedder):
    """Another model of the same name and dimension: every vector is turned round."""

    def __init__(self) -> None:
        super().__init__(digest="hash-2")

    def embed_query(self, text: str) -> Vectors:
        return -super().embed_query(text[::-1])


MODELS = (HashEmbedder, Reversed)


class StoreMachine(RuleBasedStateMachine):
    """A folder of files, an index of it, and two pipelines over that index.

    ``files`` is what lies on the disk, ``removed`` the names that were taken out by hand and stay
    out, ``indexed`` what the newest commit holds, ``history`` what each closed generation of this
    index held.
    """

    strict = False  # whether faults that are open count
    steps = examples = 0  # of all machines: runs that committed, machines

    def __init__(self) -> None:
        super().__init__()
        StoreMachine.examples += 1
        self._folder = tempfile.TemporaryDirectory()
        self.docs = Path(self._folder.name).resolve() / "docs"
        self.docs.mkdir()
        self.index = self.docs.with_name("index")
        self.files: Texts = {}
        self.removed: set[str] = set()
        self.indexed: Texts = {}
        self.history: dict[int, Texts] = {}
        self.model = 0
        self.pipelines = [self._opened(), self._opened()]

    def _opened(self) -> Pipeline:
        rag = dense(MODELS[self.model](), self.index)
        rag.config = rag.config.with_values({"history.last": 3, "history.days": 0})
        return rag

    def teardown(self) -> None:
        if self.exists:
            for rag in self.pipelines:
                self._assert_holds(rag, self.indexed)
            assert self._problems() in ([], ["orphans"])
        for rag in self.pipelines:
            rag.close()
        self._folder.cleanup()

    @property
    def exists(self) -> bool:
        return (self.index / "catalog.db").exists()

    @property
    def can_rebuild(self) -> bool:
        """Whether no folder looks emptied, which a rebuild refuses."""
        return self.exists and bool(self.indexed) and self.indexed.keys() <= self.files.keys()

    @property
    def wanted(self) -> Texts:
        """What an update or a rebuild brings the index to."""
        return {name: text for name, text in self.files.items() if name not in self.removed}

    # Files -----------------------------------------------------------------------------------

    @rule(name=NAMES, content=CONTENTS)
    def edit(self, name: str, content: str) -> None:
        path = self.docs / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        self.files[name] = content

    @rule(name=NAMES, new=NAMES)
    def rename(self, name: str, new: str) -> None:
        if name in self.files and name != new:
            (self.docs / new).parent.mkdir(exist_ok=True)
            (self.docs / name).rename(self.docs / new)
            self.files[new] = self.files.pop(name)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if self.files.pop(name, None) is not None:
            (self.docs / name).unlink()

    # Runs ------------------------------------------------------------------------------------

    @rule(which=WHICH)
    def update(self, which: int) -> None:
        self.pipelines[which].index(self.docs, prune=True)
        self._committed(self.wanted)

    @precondition(lambda self: self.exists)
    @rule(which=WHICH, name=NAMES)
    def remove(self, which: int, name: str) -> None:
        removed = self.pipelines[which].remove(self.docs / name)
        assert removed == ((name,) if name in self.indexed else ())
        self.removed.update(removed)
        self._committed({k: v for k, v in self.indexed.items() if k != name})

    @precondition(lambda self: self.exists)
    @rule(which=WHICH)
    def compact(self, which: int) -> None:
        self.pipelines[which].compact()
        self._committed(self.indexed)

    @precondition(lambda self: self.exists)
    @rule(which=WHICH, name=NAMES)
    def erase(self, which: int, name: str) -> None:
        """It leaves every generation, with what it was before it was renamed."""
        store = self.pipelines[which].store
        self.removed |= {name} & {document.path for document in store.documents(ever=True)}
        erased = self.pipelines[which].erase(self.docs / name)
        assert erased.documents == ((name,) if name in self.indexed else ())
        self.history.clear()
        self._committed({k: v for k, v in self.indexed.items() if k != name})

    @precondition(lambda self: self.can_rebuild)
    @rule(which=WHICH)
    def rebuild(self, which: int) -> None:
        self.pipelines[which].rebuild()
        self.history.clear()
        if not self.strict and "V4" in OPEN:
            self.reopen(1 - which)
        self._committed(self.wanted)

    @precondition(lambda self: self.can_rebuild)
    @rule(which=WHICH)
    def change_model(self, which: int) -> None:
        """What was open with the older model is refused; it must not write to the new index."""
        self.model = 1 - self.model
        self.reopen(which)
        self.pipelines[which].rebuild()
        self.history.clear()
        if self.strict or "V3" not in OPEN:
            self.edit("a.txt", f"{self.files.get('a.txt', 'A')} for model {self.model}.")
            with pytest.raises(IndexMismatchError):
                self.pipelines[1 - which].index(self.docs)
            with pytest.raises(IndexMismatchError):
                self.pipelines[1 - which].search(QUESTION)
            self.pipelines[which].index(self.docs, prune=True)
        self.reopen(1 - which)
        self._committed(self.wanted)

    @rule(which=WHICH)
    def reopen(self, which: int) -> None:
        self.pipelines[which].close()
        self.pipelines[which] = self._opened()

    # What goes wrong -------------------------------------------------------------------------

    @precondition(lambda self: self.exists and self.indexed)
    @rule(which=WHICH)
    def give_up(self, which: int) -> None:
        """A run that fails halfway leaves nothing."""
        store = self.pipelines[which].store

        def fail() -> None:
            with store.writing("fails") as writer:
                writer.remove([document.doc_id for document in store.documents()])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

    @rule(at=st.integers(1, 400))
    def kill_an_update(self, at: int) -> None:
        self._killed(at, lambda rag: rag.index(self.docs, prune=True))

    @precondition(lambda self: self.can_rebuild)
    @rule(at=st.integers(1, 600))
    def kill_a_rebuild(self, at: int) -> None:
        self._killed(at, lambda rag: rag.rebuild())
        if not self.strict and "V4" in OPEN:
            self.reopen(0)
            self.reopen(1)
        if self.exists:
            self.history.clear()

    @precondition(lambda self: self.exists)
    @rule(at=st.integers(1, 400))
    def kill_a_compaction(self, at: int) -> None:
        before = dict(self.indexed)
        self._killed(at, lambda rag: rag.compact())
        assert self.indexed == before

    def _killed(self, at: int, work: Callable[[Pipeline], Any]) -> None:
        """Run in a fork that is killed before its n-th step that changes anything."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
            child = os.fork()
        if child == 0:
            faiss.omp_set_num_threads(1)  # the library's threads are not in a fork: it would crash
            try:
                rag = self._opened()
                sys.setprofile(Tripwire(str(self.index), at))
                work(rag)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        self._settle()

    def _settle(self) -> None:
        """What a killed run committed: all or nothing."""
        from ragkit.store.locate import index_path

        index_path(str(self.index), self.index.parent)  # puts back what a rebuild put aside
        if not self.exists:
            assert self.indexed == {}
            return
        with self._opened() as rag:
            found = {document.path: document.file_sha256 for document in rag.documents()}
            self._forget(rag)
        assert found in [_hashes(self.indexed), _hashes(self.wanted)]
        if found != _hashes(self.indexed):
            self.indexed = self.wanted
            self.history = {}  # its generation counts once the next writer has closed it

    # Readers ---------------------------------------------------------------------------------

    @precondition(lambda self: self.exists)
    @rule(which=WHICH)
    def search(self, which: int) -> None:
        self._assert_holds(self.pipelines[which], self.indexed)

    @precondition(lambda self: self.exists and self.history)
    @rule(which=WHICH, data=st.data())
    def look_back(self, which: int, data: st.DataObject) -> None:
        generation = data.draw(st.sampled_from(sorted(self.history)))
        hits = self.pipelines[which].search(QUESTION, k=999, as_of=generation)
        self._assert_are(hits, self.history[generation])

    @precondition(lambda self: self.exists)
    @rule()
    def check(self) -> None:
        assert [p for p in self._problems() if p != "orphans"] == []

    def _committed(self, held: Texts) -> None:
        StoreMachine.steps += 1
        self.indexed = dict(held)
        if self.exists:
            with self._opened() as rag:
                closed = self._forget(rag)
            if closed:
                self.history[closed[0]] = dict(held)

    def _forget(self, rag: Pipeline) -> list[int]:
        """Forget the generations that were let go; returns the closed ones, newest first.

        Those before a rebuild cannot be looked at again, also if its run was killed after it
        switched and no generation of the new build has been closed.
        """
        with closing(sqlite3.connect(self.index / "catalog.db")) as catalog:
            (build,) = catalog.execute("SELECT build FROM head").fetchone()
        closed = [g.id for g in rag.store.log() if g.state == "closed" and g.build == build]
        self.history = {g: held for g, held in self.history.items() if g in closed}
        return closed

    def _problems(self) -> list[str]:
        told = CliRunner().invoke(make_app("check"), ["check", "-i", str(self.index), "--json"])
        return [problem["invariant"] for problem in json.loads(told.stdout)]

    def _assert_holds(self, rag: Pipeline, held: Texts) -> None:
        found = {document.path: document.file_sha256 for document in rag.documents()}
        assert found == _hashes(held)
        self._assert_are(rag.search(QUESTION, k=999), held)

    def _assert_are(self, hits: list[Hit], held: Texts) -> None:
        """The hits are all chunks of these documents, in the order of an exact search."""
        covered: dict[str, set[int]] = {name: set() for name in held}
        for hit in hits:
            assert hit.text == held[hit.path][hit.start : hit.end]
            covered[hit.path].update(range(hit.start, hit.end))
        for name, text in held.items():
            assert {i for i, c in enumerate(text) if not c.isspace()} <= covered[name]
        if hits:
            embedder = MODELS[self.model]()
            query = embedder.embed_query(QUESTION)
            rows = decode(embedder.embed_documents([hit.text for hit in hits]))
            scores = np.array([hit.score for hit in hits], float)
            exact = [score for _, score in exact_search(rows, query, len(hits))]
            assert np.allclose(scores, exact, atol=1e-5)
            assert np.allclose(scores, rows @ query, atol=1e-5)


def _hashes(held: Texts) -> Texts:
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in held.items()}
