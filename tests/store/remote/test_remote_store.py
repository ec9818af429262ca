"""An index on a real OpenSearch node: errors that tell what to do, writers that were killed."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from oracle import decode, exact_search
from store_factory import (
    DIM,
    dense,
    doc_id_of,
    ingest,
    key_of,
    keyword,
    make_document,
    manifest_of,
    put,
    vector_of,
    vectors_of,
)
from tcp_proxy import proxy_of

from ragkit.errors import (
    FormatVersionError,
    IndexChangedError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from ragkit.protocols import SearchRequest
from ragkit.store.open import check_index, create_store, delete_store, index_exists, open_store
from ragkit.store.remote import compaction, layout
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.endpoint import CERTIFICATES, SHARDS, parse_endpoint
from ragkit.store.remote.manifest import Grant, ManifestFile
from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_nodes import Nodes

pytestmark = [pytest.mark.long, pytest.mark.engine]

NO_ANSWER = StoreUnavailableError("no node answers", "x")
CHILD = """
import os, sys
sys.path[:0] = {paths!r}
from store_factory import put
from ragkit.store.remote.store import RemoteStore
store = RemoteStore(sys.argv[1])
with store.writing("index") as writer:
    put(writer, "a.txt", ["committed"])
    writer.commit()
    put(writer, "b.txt", ["late one", "late two"])
    writer.remove([{gone!r}])
    writer._flush()
    print("sent", flush=True)
    sys.stdin.read()
"""


def texts(store: Any) -> set[str]:
    return {hit.text for hit in dense(store, vector_of("q"), 99)}


@contextmanager
def another_writer(url: str, gone: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A writer in another process that committed once, sent more, and waits; killed at the end."""
    tests = Path(__file__).parent.parent.parent
    code = CHILD.format(paths=[str(tests), str(tests.parent)], gone=gone)
    child = subprocess.Popen(
        [sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"sent\n"
            yield child
        finally:
            child.kill()


def test_a_killed_writers_rows_are_invisible_and_swept(store: RemoteStore, url: str) -> None:
    ingest(store, {"old.txt": ["old"]})
    with (
        another_writer(url, doc_id_of("old.txt")) as child,
        pytest.raises(IndexLockedError, match=rf"`index` \(process {child.pid} of "),
    ):
        ingest(store, {"c.txt": ["second"]})

    assert texts(store) == {"old", "committed"}
    assert keyword(store, "late") == []
    assert store.runs()[0]["state"] == "open"

    assert ingest(store, {"c.txt": ["third"]}) == 3
    assert texts(store) == {"old", "committed", "third"}
    assert [run["state"] for run in store.runs()] == ["closed", "interrupted", "closed"]
    assert {(g.documents_added, g.documents_removed) for g in store.log()} == {(1, 0)}
    assert list(store.check(keywords=True)) == []
    manifest = store._file.read()
    now = store._snapshot(manifest)
    rows = list(now.scan(now.chunks_index, {"match_all": {}}, "number"))
    assert [row["_source"]["text"] for row in rows] == ["old", "committed", "third"]
    assert manifest.lost == (3,)


def test_recovering_ends_the_run_of_a_killed_writer(store: RemoteStore, url: str) -> None:
    ingest(store, {"old.txt": ["old"]})
    with another_writer(url):
        store.recover()
        assert store.runs()[0]["state"] == "open"
    store.recover()
    assert store.runs()[0]["state"] == "interrupted"
    assert texts(store) == {"old", "committed"}


def test_a_writer_that_lost_its_lease_can_commit_nothing(store: RemoteStore, url: str) -> None:
    ingest(store, {"a.txt": ["a"]})

    def write_slowly() -> None:
        with open_store(url).writing("index") as writer:
            put(writer, "b.txt", ["slow"])
            # As if this program had stood still: its lease is another's.
            change_grants(store, pid=process_that_ended())
            ingest(store, {"c.txt": ["other"]})
            writer.remove([doc_id_of("a.txt")])

    with pytest.raises(IndexLockedError, match="another writer took over"):
        write_slowly()
    assert texts(store) == {"a", "other"}
    with store.writing("index") as writer:
        put(writer, "d.txt", ["d"])
    assert texts(store) == {"a", "other", "d"}
    assert list(store.check()) == []


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("answers_again", [False, True])
def test_a_commit_whose_answer_got_lost_is_never_taken_back(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, *, closes: bool, answers_again: bool
) -> None:
    """It was carried out: the run fails, and what it committed is there, whatever it cleans up."""
    ingest(store, {"a.txt": ["a"]})
    put_manifest, lost = ManifestFile.put, [True]

    def unanswered(self: ManifestFile, *args: Any) -> Any:
        if lost[0]:
            placed = put_manifest(self, *args)
            assert placed is not None
            lost[0] = not answers_again
            patched.setattr(ManifestFile, "put", after)
            raise NO_ANSWER
        return put_manifest(self, *args)

    def after(self: ManifestFile, *args: Any) -> Any:
        if lost[0]:
            raise NO_ANSWER
        return put_manifest(self, *args)

    def write() -> None:
        with store.writing("index") as writer:
            put(writer, "b.txt", ["b"])
            writer.remove([doc_id_of("a.txt")])
            patched.setattr(ManifestFile, "put", unanswered)
            if not closes:
                writer.commit()

    with monkeypatch.context() as patched, pytest.raises(StoreUnavailableError):
        write()
    assert texts(store) == {"b"}
    ingest(store, {"c.txt": ["c"]})
    assert texts(store) == {"b", "c"}
    states = [run["state"] for run in store.runs()]
    assert states == ["closed", "closed" if closes else "interrupted", "closed"]
    assert list(store.check(keywords=True)) == []


def test_a_run_whose_end_could_not_be_noted_shows_nothing_later(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is given to no other run, whose commit would show what it had sent."""
    put_manifest, fails = ManifestFile.put, [True, True]

    def away(self: ManifestFile, *args: Any) -> Any:
        if fails:
            fails.pop()
            raise NO_ANSWER
        return put_manifest(self, *args)

    def write() -> None:
        with store.writing("index") as writer:
            put(writer, "a.txt", ["never committed"])
            patched.setattr(ManifestFile, "put", away)
            writer.commit()

    with monkeypatch.context() as patched, pytest.raises(StoreUnavailableError):
        write()
    assert fails == []  # neither the commit nor what takes it back; the lease's end was noted
    ingest(store, {"b.txt": ["b"]})
    assert texts(store) == {"b"}
    assert list(store.check(keywords=True)) == []


def process_that_ended() -> int:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def change_grants(store: RemoteStore, **changed: Any) -> None:
    """Change what the manifest says of the writers."""
    manifest, place = store._file.read_placed()
    grants = tuple(replace(grant, **changed) for grant in manifest.grants)
    assert grants
    assert store._file.put(replace(manifest, grants=grants), place) is not None


def test_a_lease_that_is_renewed_is_respected_and_one_that_is_not_is_taken_over(
    store: RemoteStore, url: str
) -> None:
    with store.writing("index") as writer:
        put(writer, "a.txt", ["a"])
        with pytest.raises(IndexLockedError):
            ingest(store, {"b.txt": ["b"]})
    manifest, place = store._file.read_placed()
    elsewhere = Grant(
        "t", manifest.next_moment, manifest.next_generation, None, "index", host="another",
        user="ada", pid=1, processes="another", lease_s=2.0,
    )  # fmt: skip
    store._file.put(manifest.with_grant(elsewhere), place)
    beats, path = threading.Event(), f"/{parse_endpoint(url).name}/_doc/lease-t"
    store._cluster.send("PUT", path, {"beat": 0})

    def beat() -> None:
        cluster = Cluster(parse_endpoint(url))
        while not beats.wait(0.3):
            cluster.send("PUT", path, {"beat": 1})
        cluster.close()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(IndexLockedError, match="of ada on another"):
            ingest(store, {"b.txt": ["b"]})
    finally:
        beats.set()
        thread.join()
    ingest(store, {"b.txt": ["b"]})
    assert texts(store) == {"a", "b"}
    assert store._cluster.get(path) is None


def test_a_vector_that_was_cached_before_a_kill_reaches_the_chunks_that_wait(
    store: RemoteStore,
) -> None:
    with store.writing("index") as writer:
        writer.add(*make_document("a.txt", ["alpha"]), [key_of("alpha")])

    def fail() -> None:
        with store.writing("index") as writer:
            writer.add_vectors([key_of("alpha")], vectors_of(["alpha"]))
            writer._flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert dense(store, vector_of("alpha")) == []
    assert [key for key, _ in store.waiting()] == [key_of("alpha")]
    with store.writing("index") as writer:
        assert writer.known([key_of("alpha")]) == {key_of("alpha")}
    assert [hit.text for hit in dense(store, vector_of("alpha"))] == ["alpha"]
    assert list(store.waiting()) == []
    assert list(store.check()) == []


def test_no_index_another_programs_and_a_newer_one_are_told(one_node: Nodes, url: str) -> None:
    assert not index_exists(url)
    with pytest.raises(IndexNotFoundError, match="ragkit index FOLDER -i"):
        open_store(url)
    web = one_node.nodes[0].url
    name = parse_endpoint(url).name
    requests.put(f"{web}/{name}", timeout=60).raise_for_status()
    for use in (open_store, index_exists, check_index, delete_store):
        with pytest.raises(StoreError, match="not ragkit's; it was left as it is"):
            use(url)
    with pytest.raises(StoreError, match="not ragkit's; it was left as it is"):
        create_store(url, **manifest_of(DIM))
    assert requests.head(f"{web}/{name}", timeout=60).status_code == 200
    requests.delete(f"{web}/{name}", timeout=60).raise_for_status()

    create_store(url, **manifest_of(DIM)).close()
    with pytest.raises(IndexExistsError):
        create_store(url, **manifest_of(DIM))
    newer = {"_meta": {"ragkit": {"format": 99}}}
    requests.put(f"{web}/{name}/_mapping", json=newer, timeout=60).raise_for_status()
    with pytest.raises(FormatVersionError, match="format 99, made by a newer ragkit"):
        open_store(url)


def test_an_index_is_deleted_whole_and_no_other(store: RemoteStore, url: str) -> None:
    ingest(store, {"a.txt": ["a"]})
    neighbour = RemoteStore.create(f"{url}-x", **manifest_of(DIM))
    ingest(neighbour, {"b.txt": ["b"]})
    assert delete_store(url) == []
    assert not index_exists(url)
    assert texts(neighbour) == {"b"}
    neighbour.close()


def test_where_no_node_answers_the_error_names_it() -> None:
    cluster = Cluster(parse_endpoint("opensearch-http://127.0.0.1:9,127.0.0.1:1/x"), patience_s=0.3)
    with pytest.raises(StoreError, match=r"127.0.0.1:\d does not answer .*see that the nodes run"):
        cluster.send("GET", "/")


def test_the_next_node_answers_where_one_does_not(store: RemoteStore, url: str) -> None:
    ingest(store, {"a.txt": ["a"]})
    behind = url.replace("//", "//127.0.0.1:9,")
    with closing(open_store(behind)) as other:
        assert texts(other) == {"a"}


def test_full_disks_are_told_and_nothing_is_lost(
    store: RemoteStore, one_node: Nodes, url: str
) -> None:
    ingest(store, {"a.txt": ["a"]})
    web, name = one_node.nodes[0].url, parse_endpoint(url).name
    block = {"index.blocks.read_only_allow_delete": True}
    requests.put(f"{web}/{name}-*/_settings", json=block, timeout=60).raise_for_status()
    store._cluster._patience_s = 1.0
    with pytest.raises(StoreError, match="disks of the cluster are nearly full"):
        ingest(store, {"b.txt": ["b"]})
    assert texts(store) == {"a"}
    free = {"index.blocks.read_only_allow_delete": None}
    requests.put(f"{web}/{name}-*/_settings", json=free, timeout=60).raise_for_status()
    ingest(store, {"b.txt": ["b"]})
    assert texts(store) == {"a", "b"}


def test_damage_is_told_and_never_served(store: RemoteStore) -> None:
    ingest(store, {"a.txt": ["alpha one", "beta"], "b.txt": ["gamma"]})
    now = store._snapshot(store._file.read())
    (row,) = (
        row
        for row in now.scan(now.chunks_index, {"match_all": {}}, "number")
        if row["_source"]["text"] == "beta"
    )
    changed = row["_source"] | {"text": "beta, forged", "words": "beta forg"}
    path = f"/{now.chunks_index}/_doc/{row['_id']}"
    store._cluster.send("PUT", path, changed, params={"refresh": "true"})
    with pytest.raises(StoreError, match="chunk-row"):
        keyword(store, "beta")
    assert {v.invariant for v in store.check()} == {"chunk-row"}
    store._cluster.send("DELETE", path, params={"refresh": "true"})
    assert {v.invariant for v in store.check()} == {"document-row"}


def test_above_the_exact_size_the_graph_finds_the_same(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"text {i}" for i in range(600)]
    ingest(store, {f"{i}.txt": words[i : i + 20] for i in range(0, 600, 20)})
    queries = vectors_of([f"q{i}" for i in range(10)])
    exact = [[h.text for h in dense(store, q, 10)] for q in queries]
    monkeypatch.setattr("ragkit.store.remote.reader.EXACT_CHUNKS", 0)
    graph = [[h.text for h in dense(store, q, 10)] for q in queries]
    same = sum(len({*a} & {*b}) for a, b in zip(exact, graph, strict=True))
    assert same >= 98  # of 100


def test_an_index_that_keeps_vectors_as_they_once_were_is_used_on(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, and in the graph that the engine makes unless it is told."""
    once = {
        "type": "knn_vector", "dimension": DIM,
        "method": {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"},
    }  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(layout, "vector_field", lambda _: once)
        RemoteStore.create(url, **manifest_of(DIM)).close()
    words = [f"text {i}" for i in range(60)]
    for limit in (10_000, 0):  # by comparing all, and by the graph
        monkeypatch.setattr("ragkit.store.remote.reader.EXACT_CHUNKS", limit)
        with closing(open_store(url)) as store:
            ingest(store, {"a.txt": words[:30]})
            ingest(store, {"b.txt": words[30:]})
            query = vector_of("q")
            found = [hit.text for hit in dense(store, query, 10)]
            rows = decode(vectors_of(words))
            assert found == [words[i] for i, _ in exact_search(rows, query, 10)]
            assert list(store.check(keywords=True)) == []


def test_an_index_of_several_shards_finds_the_same(
    one_node: Nodes, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the words, whose frequencies are those of all shards; a rebuild changes their number."""
    documents = {f"{i}.txt": [f"word {i} stands", f"lantern number {i % 7}"] for i in range(40)}
    query = SearchRequest(k=20, mode="hybrid", text="lantern 3", vector=vector_of("q"))
    asked = [query, replace(query, mode="keyword", vector=None), replace(query, mode="dense")]
    found = []
    for shards in ("1", "3"):
        monkeypatch.setenv(SHARDS, shards)
        with closing(RemoteStore.create(f"{url}-{shards}", **manifest_of(DIM))) as store:
            ingest(store, documents)
            hits = [store.search(request) for request in asked]
            found.append([{h.chunk_id: pytest.approx(h.score) for h in each} for each in hits])
            assert shards_of(one_node, store, "chunks-1") == int(shards)
            assert list(store.check(keywords=True)) == []
            if shards == "3":
                monkeypatch.delenv(SHARDS)
                rebuild_empty(store)
                assert shards_of(one_node, store, "chunks-2") == 3
                monkeypatch.setenv(SHARDS, "2")
                rebuild_empty(store)
                assert shards_of(one_node, store, "chunks-3") == 2
    assert found[1][2] == found[0][2]  # dense ones; the words' scores differ in their lengths
    assert [len(each) for each in found[1]] == [len(each) for each in found[0]] == [20, 20, 20]


def shards_of(nodes: Nodes, store: RemoteStore, index: str) -> int:
    name = f"{parse_endpoint(store.location).name}-{index}"
    rows = nodes.get(f"/_cat/shards/{name}", params={"format": "json"})
    return sum(row["prirep"] == "p" for row in rows)


def rebuild_empty(store: RemoteStore) -> None:
    with store.rebuilding(**manifest_of(DIM)) as fresh, fresh.writing("rebuild") as writer:
        put(writer, "new.txt", ["new"])
    assert texts(store) == {"new"}


@pytest.mark.parametrize("goes_on", ["erase", "compact"])
def test_an_erasure_that_was_ended_halfway_is_gone_on_with(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, goes_on: str
) -> None:
    monkeypatch.setattr(compaction, "_EXPUNGE_S", 0.0)
    ingest(store, {"a.txt": ["secret", "common"], "b.txt": ["common"]})

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "erase_versions", stop)
        with pytest.raises(KeyboardInterrupt):
            store.erase([doc_id_of("a.txt")], "remove --erase")
    ingest(store, {"c.txt": ["common"]})  # it leaves that as it is
    assert {hit.text for hit in dense(store, vector_of("q"), as_of=1)} == {"secret", "common"}
    if goes_on == "erase":
        assert store.erase([], "remove --erase").versions == 1
    else:
        store.compact()
    assert {hit.text for hit in dense(store, vector_of("q"), as_of=1)} == {"common"}
    assert store.vectors([key_of("secret")]) == {}
    assert store.vectors([key_of("common")]).keys() == {key_of("common")}
    assert store._file.read().erasing == ()
    assert list(store.check()) == []


def test_readers_see_commits_whole(store: RemoteStore, url: str) -> None:
    """While one writer replaces ten documents again and again, each look sees one state."""

    def replace_all(run: int) -> None:
        with store.writing("index") as writer:
            for i in range(10):
                put(writer, f"{i}.txt", [f"run {run} of {i}", f"also {run} of {i}"])

    replace_all(0)
    seen: list[set[str]] = []
    ended = threading.Event()

    def look() -> None:
        with closing(open_store(url)) as reader:
            while not ended.is_set():
                found = keyword(reader, "run", 99)
                seen.append({hit.text.split()[1] for hit in found})
                assert len(found) == 10

    thread = threading.Thread(target=look)
    thread.start()
    for run in range(1, 6):
        replace_all(run)
    ended.set()
    thread.join()
    assert {len(one) for one in seen} == {1}
    assert len(seen) > 5


def test_requests_that_arrive_late_change_nothing(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a node that hung carries out long after, of writers that ended or were killed."""

    def give_up() -> None:
        with store.writing("index") as writer:
            writer.remove([doc_id_of("a.txt"), doc_id_of("b.txt")])
            put(writer, "late.txt", ["late"])
            writer._flush()
            raise ZeroDivisionError

    with monkeypatch.context() as patched:
        sent = bulks_noted(patched)
        ingest(store, {"a.txt": ["a"], "b.txt": ["b"], "c.txt": ["c"]})
        with store.writing("index") as writer:
            writer.remove([doc_id_of("c.txt")])
        with pytest.raises(ZeroDivisionError):
            give_up()
    with store.writing("index") as writer:
        writer.remove([doc_id_of("a.txt")])
    assert texts(store) == {"b"}
    for lines in sent:
        store._cluster.bulk(lines, conflicts=True)
    ingest(store, {"d.txt": ["d"]})  # its commit lets searches see all of that
    assert texts(store) == {"b", "d"}
    assert keyword(store, "late") == []
    assert {hit.text for hit in dense(store, vector_of("q"), 99, as_of=1)} == {"a", "b", "c"}
    assert list(store.check(keywords=True)) == []


def bulks_noted(patched: pytest.MonkeyPatch) -> list[list[bytes]]:
    """All bulk requests from now on, to be sent again."""
    sent: list[list[bytes]] = []
    bulk = Cluster.bulk

    def noted(self: Cluster, lines: list[bytes], **fields: Any) -> None:
        sent.append(list(lines))
        bulk(self, lines, **fields)

    patched.setattr(Cluster, "bulk", noted)
    return sent


@pytest.mark.parametrize("deletes", ["compact", "erase"])
@pytest.mark.parametrize("sweeps", ["index", "compact"])
def test_what_arrives_after_its_rows_were_deleted_is_swept(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, deletes: str, sweeps: str
) -> None:
    monkeypatch.setattr(compaction, "_EXPUNGE_S", 0.0)
    with monkeypatch.context() as patched:
        sent = bulks_noted(patched)
        ingest(store, {"a.txt": ["a one", "a two"], "b.txt": ["b"]})
    if deletes == "erase":
        store.erase([doc_id_of("a.txt")], "remove --erase")
    else:
        with store.writing("index") as writer:
            writer.remove([doc_id_of("a.txt")])
            writer.account({})
            writer.retain(last=1, days=0)
        assert store.compact().chunks == 2
    for lines in sent:
        store._cluster.bulk(lines, conflicts=True)
    if sweeps == "compact":
        store.compact()
    else:
        ingest(store, {"c.txt": ["c"]})
    assert texts(store) == {"b"} | ({"c"} if sweeps == "index" else set())
    assert list(store.check(keywords=True)) == []
    now = store._snapshot(store._file.read())
    rows = list(now.scan(now.chunks_index, {"match_all": {}}, "number"))
    assert {row["_source"]["text"] for row in rows} == texts(store)


def test_a_reader_sees_the_index_that_took_the_place_of_another(
    store: RemoteStore, url: str
) -> None:
    ingest(store, {"a.txt": ["a"], "b.txt": ["b"]})
    with store.writing("index") as writer:
        writer.remove([doc_id_of("a.txt")])
    assert texts(store) == {"b"}
    delete_store(url)
    with pytest.raises(IndexNotFoundError):
        texts(store)
    with closing(create_store(url, **manifest_of(DIM))) as other:
        ingest(other, {"new.txt": ["new"], "newer.txt": ["newer"]})
        ingest(other, {"newest.txt": ["newest"]})
        assert texts(store) == texts(other) == {"new", "newer", "newest"}
    with pytest.raises(IndexChangedError, match="replaced by another index"):
        ingest(store, {"c.txt": ["c"]})


def test_a_mapping_that_was_changed_and_an_index_that_is_gone_are_told(
    store: RemoteStore, one_node: Nodes, url: str
) -> None:
    ingest(store, {"a.txt": ["alpha"]})
    chunks = f"{one_node.nodes[0].url}/{parse_endpoint(url).name}-chunks-1"
    requests.delete(chunks, timeout=60).raise_for_status()
    with pytest.raises(StoreError, match=r"has no index .*-chunks-1, which belongs to it"):
        keyword(store, "alpha")
    (gone,) = store.check(quick=True)
    assert (gone.invariant, gone.severity) == ("shards", "must")
    alone = {"settings": {"number_of_replicas": 0}}
    requests.put(chunks, json=alone, timeout=60).raise_for_status()
    assert [v.invariant for v in store.check()] == ["mapping"]  # the rows cannot be read


def test_a_shard_on_no_node_is_told_and_nothing_is_left_out(
    store: RemoteStore, one_node: Nodes, url: str, tmp_path: Path
) -> None:
    ingest(store, {"a.txt": ["alpha"]})
    chunks = f"{one_node.nodes[0].url}/{parse_endpoint(url).name}-chunks-1"

    settings = requests.get(f"{chunks}/_settings", timeout=60).json()
    (uuid,) = (found["settings"]["index"]["uuid"] for found in settings.values())
    (shard,) = one_node.nodes[0].folder.glob(f"data/nodes/0/indices/{uuid}/0")

    requests.post(f"{chunks}/_close", timeout=60).raise_for_status()
    shard.rename(tmp_path / "shard")
    waits = {"wait_for_active_shards": "0"}
    requests.post(f"{chunks}/_open", params=waits, timeout=60).raise_for_status()
    store._cluster._patience_s = 1.0
    (told,) = [v for v in store.check(quick=True) if v.invariant == "shards"]
    assert f"{parse_endpoint(url).name}-chunks-1 is on no node" in told.detail
    with pytest.raises(StoreUnavailableError, match="What was committed is intact"):
        keyword(store, "alpha")
    request = SearchRequest(k=3, mode="hybrid", text="alpha", vector=vector_of("alpha"))
    with pytest.raises(StoreUnavailableError):
        store.search(request)
    with pytest.raises(StoreError):
        ingest(store, {"b.txt": ["beta"]})


def test_a_certificate_must_be_trusted(
    store: RemoteStore,
    one_node: Nodes,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ingest(store, {"a.txt": ["a"]})
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with proxy_of(one_node.nodes[0].port, tls=tls) as node:
        secure = f"opensearch://127.0.0.1:{node.port}/{parse_endpoint(url).name}"
        monkeypatch.delenv(CERTIFICATES, raising=False)
        with pytest.raises(StoreError, match=f"is not trusted .* authority in {CERTIFICATES}"):
            open_store(secure)
        monkeypatch.setenv(CERTIFICATES, str(certificate))
        with closing(open_store(secure)) as trusting:
            assert texts(trusting) == {"a"}
        monkeypatch.setenv(CERTIFICATES, str(tmp_path / "none.pem"))
        with pytest.raises(StoreError, match=rf"{CERTIFICATES}.*none\.pem"):
            open_store(secure)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine's own making for 127.0.0.1, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
