"""Several writers of one index on a real node at once: each of roots of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from served import NO_MODELS
from store_factory import dense, doc_id_of, keyword, put, vector_of

from ragkit.config import Config
from ragkit.errors import IndexLockedError, StoreError
from ragkit.pipeline import Pipeline
from ragkit.store.open import open_store
from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


pytestmark = [pytest.mark.long, pytest.mark.engine]

INDEX = """
import sys
sys.path[:0] = {paths!r}
from served import NO_MODELS
from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.records import to_json
import json

held = []

def wait(progress):
    if not held:
        held.append(progress)
        print("begun", flush=True)
        sys.stdin.readline()

with Pipeline(sys.argv[1], Config().with_values(NO_MODELS)) as rag:
    print(json.dumps(to_json(rag.index(sys.argv[2], on_progress=wait))), flush=True)
"""
WRITE = """
import sys
sys.path[:0] = {paths!r}
from store_factory import doc_id_of, put
from ragkit.store.remote.store import RemoteStore
root = sys.argv[2]
with RemoteStore(sys.argv[1]).writing("index " + root, roots=[root]) as writer:
    put(writer, "a.txt", [root + " committed"], root=root)
    writer.commit()
    writer.remove([doc_id_of("old.txt", root)])
    put(writer, "b.txt", [root + " sent one", root + " sent two"], root=root)
    writer._flush()
    writer._settle()
    print("sent", flush=True)
    sys.stdin.readline()
    put(writer, "c.txt", [root + " last"], root=root)
print("ended", flush=True)
"""


@contextmanager
def child(code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which is killed at the end."""
    tests = Path(__file__).parent.parent.parent
    code = code.format(paths=[str(tests), str(tests.parent)])
    made = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with made:
        try:
            yield made
        finally:
            made.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def texts(store: Any, **fields: Any) -> set[str]:
    return {hit.text for hit in dense(store, vector_of("q"), 99, **fields)}


def written(root: str, *names: str) -> set[str]:
    each = {
        "old": [f"{root} old"], "a": [f"{root} committed"],
        "b": [f"{root} sent one", f"{root} sent two"], "c": [f"{root} last"],
    }  # fmt: skip
    return {text for name in names for text in each[name]}


def test_two_processes_index_two_folders_at_once(tmp_path: Path, url: str) -> None:
    """One begins first and commits last; each reports all of its own, and a third is refused."""
    one = write_files(tmp_path / "one", {f"{i}.txt": f"The pears of {i}." for i in range(30)})
    two = write_files(tmp_path / "two", {f"{i}.txt": f"The plums of {i}." for i in range(20)})
    with Pipeline(url, Config().with_values(NO_MODELS)) as rag:
        rag.add("The canteen opens at noon.", id="canteen")
        with child(INDEX, url, str(one)) as first, child(INDEX, url, str(two)) as second:
            assert (read_line(first), read_line(second)) == ("begun", "begun")
            with pytest.raises(IndexLockedError, match=rf"`index {one}` \(process {first.pid} of"):
                rag.index(one)
            (one / "inner").mkdir()
            write_files(one / "inner", {"x.txt": "An inner pear."})
            with pytest.raises(IndexLockedError, match=rf"process {first.pid} of"):
                rag.index(one / "inner")
            for refused in (rag.compact, rag.rebuild, lambda: rag.remove("canteen")):
                with pytest.raises(IndexLockedError):
                    refused()
            assert rag.add("The garage is closed.", id="garage").added == ("garage",)
            go_on(second)
            told_second = json.loads(read_line(second))
            assert {d.root for d in rag.documents()} == {str(two), "program:"}
            go_on(first)
            told_first = json.loads(read_line(first))
        assert len(told_first["added"]) == 30
        assert len(told_second["added"]) == 20
        found = {root: {d.path for d in rag.documents() if d.root == root}
                 for root in (str(one), str(two))}  # fmt: skip
        assert found == {str(one): set(told_first["added"]), str(two): set(told_second["added"])}
        store = rag.store
        assert len(keyword(store, "pears", 99)) == 30
        generations = (told_first["generation"], told_second["generation"])
        assert len({1, *generations, 4}) == 4  # the canteen's, theirs, the garage's
        assert [g.state for g in store.log()] == ["closed"] * 4
        assert {g.id: g.documents_added for g in store.log()} == {
            1: 1, generations[0]: 30, generations[1]: 20, 4: 1,
        }  # fmt: skip
        writers = {run["id"]: run["writer"] for run in store.runs()}
        for generation, process in zip(generations, (first, second), strict=True):
            assert writers[generation].startswith(f"process {process.pid} of ")
        reports = {run["id"]: run["report"] for run in store.runs()}
        assert [len(reports[g]["added"]) for g in generations] == [30, 20]
        # As it was when each was closed: the second was so before the first, whatever its number.
        assert keyword(store, "pears", 99, as_of=generations[1]) == []
        assert len(keyword(store, "plums", 99, as_of=generations[0])) == 20
        changes = store.diff(generations[1], generations[0])
        assert (changes.documents_added, len(changes.documents)) == (30, 30)
        assert store.diff(generations[1]) == changes  # to what was closed last
        assert list(store.check(keywords=True)) == []
        rag.compact()
        assert len(keyword(store, "pears", 99)) == 30
        assert list(store.check(keywords=True)) == []


@pytest.mark.core
def test_one_of_two_writers_is_killed_and_the_other_commits_all(
    store: RemoteStore, url: str
) -> None:
    with store.writing("index") as writer:
        for root in ("/one", "/two"):
            put(writer, "old.txt", [f"{root} old"], root=root)
    with child(WRITE, url, "/one") as first, child(WRITE, url, "/two") as second:
        assert (read_line(first), read_line(second)) == ("sent", "sent")
        both = written("/one", "old", "a") | written("/two", "old", "a")
        assert texts(store) == both
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert texts(store) == both
        with store.writing("index /one", roots=["/one"]) as writer:  # it sweeps
            put(writer, "d.txt", ["/one d"], root="/one")
            now = store._snapshot(store._file.read())
            rows = now.scan(now.chunks_index, {"match_all": {}}, "number")
            assert {r["_source"]["text"] for r in rows} == both | written("/two", "b")
        assert texts(store) == both | {"/one d"}
        go_on(second)
        assert read_line(second) == "ended"
    expected = written("/one", "old", "a") | {"/one d"} | written("/two", "a", "b", "c")
    assert texts(store) == expected
    assert sorted(run["state"] for run in store.runs()) == ["closed"] * 3 + ["interrupted"]
    assert {(g.command, g.state): g.documents_added for g in store.log()} == {
        ("index", "closed"): 2, ("index /one", "interrupted"): 1, ("index /one", "closed"): 1,
        ("index /two", "closed"): 3,
    }  # fmt: skip
    assert list(store.check(keywords=True)) == []


def test_a_reader_of_two_writers_sees_each_commit_whole(store: RemoteStore, url: str) -> None:
    """Both replace their ten documents again and again, in commits that meet."""
    rounds = 8

    def replace_all(root: str) -> None:
        with (
            closing(open_store(url)) as own,
            own.writing(f"index {root}", roots=[root]) as writer,
        ):
            for turn in range(rounds):
                for i in range(10):
                    put(writer, f"{i}.txt", [f"turn {turn} of {root} {i}"], root=root)
                writer.mark_stale(doc_id_of("0.txt", root), f"turn {turn}")
                writer.ask_for([*own.sources(), f"{root}/{turn}"])
                writer.commit()

    threads = [threading.Thread(target=replace_all, args=(root,)) for root in ("/one", "/two")]
    for thread in threads:
        thread.start()
    seen: list[set[str]] = []
    while any(thread.is_alive() for thread in threads):
        turns = [hit.text.split() for hit in keyword(store, "turn", 99)]
        for root in ("/one", "/two"):
            of_root = [turn for _, turn, _, r, _ in turns if r == root]
            assert len(of_root) in (0, 10)
            assert len(set(of_root)) <= 1
        seen.append({turn for _, turn, *_ in turns})
    for thread in threads:
        thread.join()
    last = str(rounds - 1)
    assert sorted(hit.text for hit in keyword(store, "turn", 99)) == sorted(
        f"turn {last} of {root} {i}" for root in ("/one", "/two") for i in range(10)
    )
    assert len(seen) > 3
    assert [d.stale for d in store.documents() if d.stale] == [f"turn {last}"] * 2
    assert [run["state"] for run in store.runs()] == ["closed"] * 2
    assert {(g.documents_added, g.documents_removed) for g in store.log()} == {(10, 0)}
    assert store.commits() == 2 * rounds + 2  # each closes with one more
    assert {f"{root}/{last}" for root in ("/one", "/two")} <= set(store.sources())
    assert list(store.check(keywords=True)) == []


def test_a_run_of_some_roots_changes_no_others(store: RemoteStore) -> None:
    with store.writing("index") as writer:
        put(writer, "a.txt", ["a"], root="/one")

    def write(act: Any) -> None:
        with store.writing("index", roots=["/two"]) as writer:
            put(writer, "b.txt", ["b"], root="/two/inner")
            act(writer)

    for act in (
        lambda writer: put(writer, "c.txt", ["c"], root="/one"),
        lambda writer: writer.remove([doc_id_of("a.txt", "/one")]),
    ):
        with pytest.raises(StoreError, match="this run is not of /one"):
            write(act)
    assert texts(store) == {"a"}
    write(lambda writer: writer.commit())
    assert texts(store) == {"a", "b"}
    assert list(store.check()) == []


@pytest.mark.parametrize(
    ("held", "wanted"),
    [(["/a"], ["/b"]), (["/a"], ["/ab"]), (["/a", "/b"], ["/c"])],
)
def test_roots_that_do_not_meet_are_written_at_once(
    store: RemoteStore, held: Sequence[str], wanted: Sequence[str]
) -> None:
    with store.writing("one", roots=held), store.writing("two", roots=wanted) as writer:
        assert writer.roots == tuple(wanted)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (["/a"], ["/a/b"]), (["/a/b"], ["/a"]), (["/a", "/b"], ["/c", "/b"]), (["/a"], None),
        (None, ["/a"]), (None, None),
    ],
)  # fmt: skip
def test_roots_that_meet_exclude_each_other(
    store: RemoteStore, held: Sequence[str] | None, wanted: Sequence[str] | None
) -> None:
    with (
        store.writing("one", roots=held),
        pytest.raises(IndexLockedError, match="`one`"),
        store.writing("two", roots=wanted),
    ):
        pass
