"""An index on an OpenSearch cluster beside one in a folder: the same hits, what it costs.

    python benchmarks/engine.py EVAL --sets scifact-train dureader-search-a
    python benchmarks/engine.py --passages 5000 --nodes 1

Starts real nodes as the tests do (tests/engine: Java 17 and Maven). With EVAL, question sets are
indexed by words in a folder and copied to the nodes; then each question is asked of both. With
``--passages`` as many passages with seeded vectors of 768 dimensions are written to both: such
vectors say nothing of recall. Prints JSON. Walls are of nodes on this machine, beside what else
runs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import TYPE_CHECKING, Any

import numpy as np

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from engine_nodes import run_nodes  # noqa: E402
from store_factory import key_of, make_document, manifest_of, unit, vector_of  # noqa: E402

from ragkit.config import Config  # noqa: E402
from ragkit.ingest.copying import copy_index  # noqa: E402
from ragkit.pipeline import Pipeline  # noqa: E402
from ragkit.protocols import SearchRequest  # noqa: E402
from ragkit.records import NO_FILTER, Document, Filter, Mode  # noqa: E402
from ragkit.store.open import create_store, open_store  # noqa: E402
from ragkit.store.remote.bulks import BULK_BYTES  # noqa: E402
from ragkit.store.remote.layout import chunks_index, make_build  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine_nodes import Nodes

    from ragkit.protocols import VectorStore

DIM = 768
EACH = 20  # passages a document
WORDS = Config().with_values({"models.embedder": "none", "search.mode": "keyword"})
REPEATS = 60


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The JSON values of a file's lines."""
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def compare_words(folder: Path, nodes: Nodes, work: Path, most: int) -> dict[str, Any]:
    """Ask both for the questions of a set, by words."""
    relevant: dict[str, set[str]] = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, score = line.split("\t")
        if int(score) > 0:
            relevant.setdefault(query, set()).add(document)
    questions = [q for q in read_lines(folder / "queries.jsonl") if q["_id"] in relevant][:most]
    with Pipeline(work / folder.name, WORDS) as rag:
        rows = read_lines(folder / "corpus.jsonl")
        rag.add(
            Document.from_text(row["text"], id=row["_id"], title=row.get("title", ""))
            for row in rows
        )
    nodes.clear()
    place = nodes.url("words")
    told: dict[str, Any] = {"set": folder.name, "questions": len(questions)}
    with closing(open_store(work / folder.name)) as local:
        began = time.perf_counter()
        told["passages"] = copy_index(local, place).chunks
        told["copy_s"] = round(time.perf_counter() - began, 1)
        with closing(open_store(place)) as remote:
            told |= asked_both(local, remote, questions, relevant)
    return told


def asked_both(
    local: VectorStore,
    remote: VectorStore,
    questions: list[dict[str, Any]],
    relevant: dict[str, set[str]],
) -> dict[str, Any]:
    """Put questions to both, and compare what each finds."""
    gains: dict[str, list[float]] = {"local": [], "remote": []}
    seconds: dict[str, list[float]] = {"local": [], "remote": []}
    same, pairs = [], []
    for question in questions:
        found = {}
        for name, store in (("local", local), ("remote", remote)):
            request = SearchRequest(k=10, mode="keyword", text=question["text"])
            began = time.perf_counter()
            hits = store.search(request)
            seconds[name].append(time.perf_counter() - began)
            found[name] = {hit.chunk_id: hit.ranks.bm25 or 0.0 for hit in hits}
            ranked = list(dict.fromkeys(hit.path for hit in hits))
            gains[name].append(ndcg(ranked, relevant[question["_id"]]))
        both = found["local"].keys() & found["remote"].keys()
        same.append(len(both))
        pairs += [abs(found["local"][c] / found["remote"][c] - 1) for c in both]
    return {
        "ndcg@10": {name: round(fmean(values), 4) for name, values in gains.items()},
        "same_of_10": round(fmean(same), 2),
        "bm25_apart_median": round(median(pairs), 4),
        "p50_ms": {name: round(1000 * median(values), 1) for name, values in seconds.items()},
    }


def ndcg(ranked: list[str], wanted: set[str]) -> float:
    """nDCG@10 of ranked documents, each wanted or not."""
    gain = sum(1 / math.log2(i + 2) for i, path in enumerate(ranked[:10]) if path in wanted)
    best = sum(1 / math.log2(i + 2) for i in range(min(10, len(wanted))))
    return gain / best


def batches(passages: int) -> Iterator[tuple[int, list[str], Any]]:
    """Documents of seeded texts, each with its vectors; near one of 200 centres."""
    rng = np.random.default_rng(17)
    centres = rng.standard_normal((200, DIM))
    words = [f"w{i}" for i in range(20_000)]
    for number in range(passages // EACH):
        places = (rng.zipf(1.3, (EACH, 120)) % len(words)).tolist()
        texts = [
            f"p{number}-{i} " + " ".join(words[w] for w in row) for i, row in enumerate(places)
        ]
        rows = unit(centres[rng.integers(0, 200, EACH)] + rng.standard_normal((EACH, DIM)))
        yield number, texts, rows


def ingest(store: VectorStore, passages: int) -> dict[str, float]:
    """Write passages, one commit for 2,000."""
    spent, began, cpu = 0.0, time.perf_counter(), time.process_time()
    with store.writing("index") as writer:
        for number, texts, rows in batches(passages):
            started = time.perf_counter()
            keys = [key_of(text) for text in texts]
            writer.known(keys)
            writer.add_vectors(keys, rows)
            kind = "rare" if number % 100 == 0 else "text"
            writer.add(*make_document(f"{number}.txt", texts, kind=kind), keys)
            if number % 100 == 99:
                writer.commit()
            spent += time.perf_counter() - started
    return {
        "passages_a_s": round(passages / spent),
        "own_cpu_s": round(time.process_time() - cpu, 1),
        "wall_s": round(time.perf_counter() - began, 1),
    }


def timed(store: VectorStore, make: Callable[[int], SearchRequest]) -> dict[str, float]:
    """Ask many times; milliseconds."""
    seconds = []
    for i in range(REPEATS):
        request = make(i)
        began = time.perf_counter()
        store.search(request)
        seconds.append(1000 * (time.perf_counter() - began))
    return {"p50_ms": round(median(seconds), 1), "p99_ms": round(quantiles(seconds, n=100)[98], 1)}


def costs(store: VectorStore, passages: int) -> dict[str, Any]:
    """What writing and asking takes."""
    told: dict[str, Any] = {"ingest": ingest(store, passages)}
    queries = [vector_of(f"q{i}", DIM) for i in range(REPEATS)]
    rare = Filter(kinds=("rare",))

    def request(i: int, mode: Mode, chosen: Filter = NO_FILTER) -> SearchRequest:
        text = f"w{i + 40} w{i + 300} w{i + 2000}"
        return SearchRequest(k=10, mode=mode, vector=queries[i], text=text, filter=chosen)

    modes: tuple[Mode, ...] = ("dense", "keyword", "hybrid")
    for mode in modes:
        told[mode] = timed(store, lambda i, mode=mode: request(i, mode))
    told["hybrid, 1 % pass"] = timed(store, lambda i: request(i, "hybrid", rare))
    told["bytes_a_passage"] = round(store.stats().size_bytes / passages)
    return told


def bulk_floor(nodes: Nodes, passages: int) -> int:
    """Passages a second that the engine takes where the same rows are made beforehand."""
    from ragkit.store.remote.cluster import Cluster
    from ragkit.store.remote.endpoint import parse_endpoint
    from ragkit.store.remote.rows import Version, chunk_source, line, to_rows

    cluster = Cluster(parse_endpoint(nodes.url("floor")))
    make_build(cluster, 1, DIM)
    index, lines, bulks, number = chunks_index("floor", 1), [], [], 0
    for version, texts, rows in batches(passages):
        document, chunks = make_document(f"{version}.txt", texts)
        held = Version(version, 1, EACH, len(document.text), document)
        for chunk, text, row in zip(chunks, texts, to_rows(rows), strict=True):
            number += 1
            source = chunk_source(held, chunk, number, key=key_of(text), row=row)
            lines += [line({"index": {"_index": index, "_id": str(number)}}), line(source)]
        if sum(map(len, lines)) >= BULK_BYTES // 2:
            bulks.append(lines)
            lines = []
    began = time.perf_counter()
    for part in [*bulks, lines]:
        cluster.bulk(part)
    cluster.send("POST", f"/{index}/_refresh")
    rate = round(passages / (time.perf_counter() - began))
    cluster.close()
    return rate


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sets", nargs="+", default=["scifact-train"])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--passages", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=1)
    given = parser.parse_args()
    told: dict[str, Any] = {"nodes": given.nodes}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        running = run_nodes(given.nodes, work / "nodes")
        nodes = next(running)
        try:
            if given.folder:
                told["words"] = []
                for one in given.sets:
                    found = compare_words(given.folder / one, nodes, work, given.questions)
                    told["words"].append(found)
                    print(json.dumps(found), flush=True)
            if given.passages:
                nodes.clear()
                places = {"local": work / "local", "remote": nodes.url("costs")}
                for kind, place in places.items():
                    with closing(create_store(place, **manifest_of(DIM))) as store:
                        told[kind] = costs(store, given.passages)
                    print(kind, json.dumps(told[kind]), flush=True)
                nodes.clear()
                told["bulk_floor_passages_a_s"] = bulk_floor(nodes, given.passages)
        finally:
            running.close()
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
