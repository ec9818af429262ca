"""What writing to a cluster and asking it takes; see `engine.py`."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import numpy as np
import requests

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from store_factory import key_of, make_document, manifest_of, unit, vector_of

from ragkit.protocols import SearchRequest
from ragkit.records import NO_FILTER, Chunk, Document, Filter, Mode
from ragkit.store.open import create_store, open_store
from ragkit.store.remote.bulks import BULK_BYTES
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.endpoint import parse_endpoint
from ragkit.store.remote.layout import SETTINGS, chunks_index, make_build, vector_field
from ragkit.store.remote.rows import Version, chunk_source, line, to_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.synchronize import Event

    from engine_nodes import Nodes

    from ragkit.protocols import Vectors, VectorStore

DIM = 768
EACH = 20  # chunks a document
COMMITTED = 2_000  # chunks a commit
WRITTEN_ON = 500  # chunks of each run while searches are measured
FORGOTTEN_S = 70  # after which the engine keeps no more of a chunk's source than is asked for
WARM = 2_000  # chunks that are written before anything is measured
SEED = 17
MODES: tuple[Mode, ...] = ("dense", "keyword", "hybrid")


@dataclass(frozen=True)
class Given:
    """A document as an ingest has it, with the vectors of its chunks."""

    document: Document
    chunks: list[Chunk]
    keys: list[bytes]
    rows: Vectors


@dataclass(frozen=True)
class Spent:
    """Seconds of the clock, and of processors: of this process, and of all nodes."""

    wall: float
    own: float
    nodes: float

    def told(self, chunks: int) -> dict[str, float]:
        """The rate, and milliseconds of a core for each chunk."""
        return {
            "chunks": chunks,
            "chunks_a_s": round(chunks / self.wall, 1),
            "own_cpu_ms": round(1000 * self.own / chunks, 2),
            "nodes_cpu_ms": round(1000 * self.nodes / chunks, 2),
        }


def made(chunks: int, first: int = 0) -> list[Given]:
    """Seeded documents of `EACH` chunks; one in a hundred is of the kind ``rare``."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((200, DIM))
    rng = np.random.default_rng((SEED, first))
    found = []
    for number in range(first, first + chunks // EACH):
        places = (rng.zipf(1.3, (EACH, 120)) % 20_000).tolist()
        texts = [f"p{number}-{i} " + " ".join(f"w{w}" for w in row) for i, row in enumerate(places)]
        rows = unit(centres[rng.integers(0, 200, EACH)] + rng.standard_normal((EACH, DIM)))
        kind = "rare" if number % 100 == 0 else "text"
        document, own = make_document(f"{number}.txt", texts, kind=kind)
        found.append(Given(document, own, [key_of(text) for text in texts], rows))
    return found


def write(store: VectorStore, given: Sequence[Given]) -> None:
    """Write documents as an ingest does, with a commit for each `COMMITTED` chunks."""
    with store.writing("index") as writer:
        for number, one in enumerate(given, 1):
            writer.known(one.keys)
            writer.add_vectors(one.keys, one.rows)
            writer.add(one.document, one.chunks, one.keys)
            if number % (COMMITTED // EACH) == 0:
                writer.commit()


def nodes_cpu(nodes: Nodes) -> float:
    """Seconds of processors that the running nodes used since they started."""
    ticks = 0
    for node in nodes.nodes:
        if node.process is not None:
            stat = Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def settle(nodes: Nodes) -> None:
    """Wait until no node merges any more."""
    while (nodes.get("/_stats/merge")["_all"]["total"].get("merges") or {}).get("current"):
        time.sleep(0.2)


def spent(nodes: Nodes, run: Callable[[], object]) -> Spent:
    """Run something; what nodes merge afterwards counts for their processors, not for the wall."""
    settle(nodes)
    before, own, began = nodes_cpu(nodes), time.process_time(), time.perf_counter()
    run()
    wall, own = time.perf_counter() - began, time.process_time() - own
    settle(nodes)
    return Spent(wall, own, nodes_cpu(nodes) - before)


# Rates ------------------------------------------------------------------------------------------


def rates(nodes: Nodes, chunks: int, naive: int) -> dict[str, Any]:
    """Write the same chunks through ragkit, by the bulk API alone, and by one request each.

    Each begins with an empty cluster.
    """
    given = made(chunks)
    told: dict[str, Any] = {"dim": DIM}

    def ingest(place: str) -> Callable[[], None]:
        def run() -> None:
            with closing(create_store(place, **manifest_of(DIM))) as store:
                write(store, given)

        return run

    few = given[: max(1, naive // EACH)]
    warm = floor_bulks(nodes, given[: WARM // EACH])  # the nodes compile what they run often
    send_bulks(nodes, warm, 1)

    def measured(name: str, run: Callable[[], object], count: int = chunks) -> None:
        told[name] = spent(nodes, run).told(count)
        print(name, told[name], file=sys.stderr, flush=True)
        nodes.clear()

    nodes.clear()
    measured("ragkit", ingest(nodes.url("costs")))
    bulks = floor_bulks(nodes, given)
    measured("bulk, 1 at once", lambda: send_bulks(nodes, bulks, 1))
    measured("naive", lambda: write_naively(nodes, few), len(few) * EACH)
    floor_bulks(nodes, [])
    measured("bulk, 2 at once", lambda: send_bulks(nodes, bulks, 2))
    with tempfile.TemporaryDirectory() as folder:
        measured("folder", ingest(str(Path(folder) / "x")))
    return told


def floor_bulks(nodes: Nodes, given: Sequence[Given]) -> list[list[bytes]]:
    """The rows of chunks that ragkit sends, as bulk requests; their index is made."""
    cluster = Cluster(parse_endpoint(nodes.url("floor")))
    make_build(cluster, 1, DIM)
    cluster.close()
    index, lines, size, number = chunks_index("floor", 1), [], 0, 0
    bulks: list[list[bytes]] = []
    for v, one in enumerate(given):
        held = Version(v, 1, EACH, len(one.document.text), one.document)
        for chunk, key, row in zip(one.chunks, one.keys, to_rows(one.rows), strict=True):
            number += 1
            source = line(chunk_source(held, chunk, number, key=key, row=row))
            lines += [line({"index": {"_index": index, "_id": str(number)}}), source]
            size += len(source)
        if size >= BULK_BYTES // 2:
            bulks.append(lines)
            lines, size = [], 0
    return [*bulks, lines]


def send_bulks(nodes: Nodes, bulks: Sequence[list[bytes]], senders: int) -> None:
    """Send bulk requests, so many at a time, and refresh."""
    cluster = Cluster(parse_endpoint(nodes.url("floor")), patience_s=600)
    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(cluster.bulk, filter(None, bulks)))
    cluster.send("POST", f"/{chunks_index('floor', 1)}/_refresh")
    cluster.close()


def write_naively(nodes: Nodes, given: Sequence[Given]) -> None:
    """What a first program does: a request for each chunk over one connection, with a list.

    The index has the settings and the graph of ragkit's.
    """
    base = nodes.nodes[0].url + "/naive"
    fields = {
        "text": {"type": "text"}, "path": {"type": "keyword"}, "vector": vector_field(DIM),
    }  # fmt: skip
    body = {"settings": {"index": {**SETTINGS, "knn": True}}, "mappings": {"properties": fields}}
    with requests.Session() as session:
        session.put(base, json=body, timeout=60).raise_for_status()
        for one in given:
            for chunk, row in zip(one.chunks, one.rows, strict=True):
                source = {"text": chunk.text, "path": one.document.path, "vector": row.tolist()}
                session.post(f"{base}/_doc", json=source, timeout=60).raise_for_status()
        session.post(f"{base}/_refresh", timeout=60).raise_for_status()


# Asking -----------------------------------------------------------------------------------------


def asking(nodes: Nodes, chunks: int, repeats: int) -> dict[str, Any]:
    """Ask both kinds of index, in quiet, while another process writes, and with a node killed."""
    given = made(chunks)
    told: dict[str, Any] = {"dim": DIM, "chunks": chunks, "repeats": repeats}
    with tempfile.TemporaryDirectory() as folder:
        places = {"folder": str(Path(folder) / "x"), "cluster": nodes.url("costs")}
        for kind, place in places.items():
            with closing(create_store(place, **manifest_of(DIM))) as store:
                write(store, given)
                settle(nodes)
                told[kind] = {"quiet": times(store, repeats)}
                told[kind]["bytes_a_chunk"] = round(store.stats().size_bytes / chunks)
        told["primary_bytes"] = primary_bytes(nodes, chunks)
        for kind, place in places.items():
            told[kind]["while another writes"] = times_meanwhile(place, chunks, repeats)
    settle(nodes)
    with closing(open_store(places["cluster"])) as store:
        told["cluster"]["a node killed"] = times_after_kill(nodes, store, repeats)
    return told


def sizes(nodes: Nodes, chunks: int) -> dict[str, Any]:
    """Bytes a chunk as written, and once the engine has merged what it keeps for lost copies."""
    told: dict[str, Any] = {"dim": DIM, "chunks": chunks}
    with closing(create_store(nodes.url("costs"), **manifest_of(DIM))) as store:
        write(store, made(chunks))
    settle(nodes)
    told["as written"] = primary_bytes(nodes, chunks)
    base, index = nodes.nodes[0].url, chunks_index("costs", 1)
    requests.post(f"{base}/{index}/_flush", timeout=600).raise_for_status()
    time.sleep(FORGOTTEN_S)
    merged = f"{base}/{index}/_forcemerge?max_num_segments=1"
    requests.post(merged, timeout=3600).raise_for_status()
    for _ in range(3):  # the files before are deleted once a later commit is known to be safe
        time.sleep(FORGOTTEN_S / 3)
        requests.post(f"{base}/{index}/_flush?force=true", timeout=600).raise_for_status()
    told["merged"] = primary_bytes(nodes, chunks)
    return told


def primary_bytes(nodes: Nodes, chunks: int) -> dict[str, int]:
    """Bytes a chunk of one copy of each of the cluster's indexes."""
    found = nodes.get("/_stats/store")["indices"]
    return {
        name: round(one["primaries"]["store"]["size_in_bytes"] / chunks)
        for name, one in sorted(found.items())
    }


def asked(repeats: int) -> dict[str, list[SearchRequest]]:
    """The searches of each kind."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((200, DIM))
    found: dict[str, list[SearchRequest]] = {}
    for name, chosen in (("", NO_FILTER), (", 1 % pass", Filter(kinds=("rare",)))):
        for mode in MODES:
            found[mode + name] = [
                SearchRequest(
                    k=10, mode=mode, filter=chosen, text=f"w{i + 40} w{i + 300} w{i + 2000}",
                    vector=unit(centres[i % 200] + 28 * vector_of(f"q{i}", DIM)),
                )
                for i in range(repeats)
            ]  # fmt: skip
    return found


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The 50th and 99th, in milliseconds."""
    p99 = quantiles(seconds, n=100)[98] if len(seconds) > 1 else seconds[0]
    return {"p50_ms": round(1000 * median(seconds), 1), "p99_ms": round(1000 * p99, 1)}


def times(store: VectorStore, repeats: int) -> dict[str, Any]:
    """How long searches of each kind take, those of a kind one after the other."""
    told = {}
    for name, searches in asked(repeats).items():
        store.search(searches[-1])
        seconds = []
        for request in searches:
            began = time.perf_counter()
            store.search(request)
            seconds.append(time.perf_counter() - began)
        told[name] = percentiles(seconds)
    return told


def times_meanwhile(place: str, chunks: int, repeats: int) -> dict[str, Any]:
    """How long searches without a filter take while another process writes run after run."""
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    writing = context.Process(target=_write_on, args=(place, chunks, is_over), daemon=True)
    with closing(open_store(place)) as store:
        searches = {mode: asked(repeats)[mode] for mode in MODES}
        seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
        before = store.generation()
        writing.start()
        while writing.is_alive() and store.generation() == before:
            time.sleep(0.05)
        first = store.generation()
        for mode, request in ((mode, searches[mode][i]) for i in range(repeats) for mode in MODES):
            began = time.perf_counter()
            store.search(request)
            seconds[mode].append(time.perf_counter() - began)
        runs = store.generation() - first
    is_over.set()
    writing.join()
    if writing.exitcode:
        msg = f"the process that writes ended with {writing.exitcode}"
        raise RuntimeError(msg)
    return {mode: percentiles(seconds[mode]) for mode in MODES} | {"chunks": runs * WRITTEN_ON}


def _write_on(place: str, first: int, is_over: Event) -> None:
    number = first // EACH
    with closing(open_store(place)) as store:
        while not is_over.is_set():
            write(store, made(WRITTEN_ON, first=number))
            number += WRITTEN_ON // EACH


def times_after_kill(nodes: Nodes, store: VectorStore, repeats: int) -> dict[str, Any]:
    """How long searches take once the node that was asked first is killed, and what they find."""
    kept = [asked(min(repeats, 20))[mode] for mode in MODES]
    before = [store.search(request) for requests_ in kept for request in requests_]
    nodes.nodes[0].kill()
    began = time.perf_counter()
    store.search(kept[0][0])
    told: dict[str, Any] = {"first_s": round(time.perf_counter() - began, 2)}
    told |= times(store, repeats)
    after = [store.search(request) for requests_ in kept for request in requests_]
    same = [
        [hit.chunk_id for hit in one] == [hit.chunk_id for hit in other]
        for one, other in zip(before, after, strict=True)
    ]
    return told | {"same": sum(same), "of": len(same)}
