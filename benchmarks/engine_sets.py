"""Question sets with real embeddings in a folder and on a cluster: the same hits? See `engine.py`.

The exact neighbours are found by NumPy from the rows in the folder's files.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from contextlib import closing
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit import Pipeline
from ragkit.config import Config
from ragkit.evaluate.cache import CachedEmbedder
from ragkit.ingest.copying import copy_index
from ragkit.models.choose import new_embedder
from ragkit.protocols import SearchRequest
from ragkit.records import Document, make_chunk_id
from ragkit.store.open import open_store
from ragkit.store.remote import reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine_nodes import Nodes

    from ragkit.protocols import Vectors, VectorStore
    from ragkit.records import Mode

SETTINGS = Config().with_values({"models.backend": "embedded", "models.chat": "none"})
MODES: tuple[Mode, ...] = ("dense", "keyword", "hybrid")
K = 10


def compare_set(folder: Path, nodes: Nodes, work: Path, *, questions: int) -> dict[str, Any]:
    """Index a set in a folder, copy it to the nodes, and ask both.

    Args:
        folder: Has ``corpus.jsonl``, ``queries.jsonl`` and ``qrels.tsv``.
        nodes: Without indexes.
        work: Vectors and the index are kept here.
        questions: At most so many are asked, the first ones.
    """
    embedder = new_embedder(SETTINGS.models)
    if embedder is None:
        msg = "no embedded model is installed"
        raise RuntimeError(msg)
    cached = CachedEmbedder(embedder, work / "vectors")
    place = work / folder.name / "index"
    with Pipeline(place, SETTINGS, embedder=cached) as rag:
        rows = read_lines(folder / "corpus.jsonl")
        rag.add(
            Document.from_text(row["text"], id=row["_id"], title=row.get("title", ""))
            for row in rows
        )
    relevant = read_relevant(folder / "qrels.tsv")
    lines = [row for row in read_lines(folder / "queries.jsonl") if row["_id"] in relevant]
    searches = [(cached.embed_query(row["text"]), row["text"]) for row in lines[:questions]]
    wanted = [relevant[row["_id"]] for row in lines[:questions]]
    exact = nearest(place, np.array([vector for vector, _ in searches]))
    told: dict[str, Any] = {"embedder": cached.name, "dim": cached.dim, "questions": len(searches)}
    with closing(open_store(place)) as local:
        began = time.perf_counter()
        told["chunks"] = copy_index(local, nodes.url("sets")).chunks
        told["copy_s"] = round(time.perf_counter() - began, 1)
        with closing(open_store(nodes.url("sets"))) as remote:
            asked = {
                "folder": ask(local, searches, wanted),
                "cluster": ask(remote, searches, wanted),
            }
            limit, reader.EXACT_CHUNKS = reader.EXACT_CHUNKS, 0
            try:
                by_graph = hits_of(remote, "dense", searches)
            finally:
                reader.EXACT_CHUNKS = limit
    told["exact_up_to"] = limit
    told["recall@10"] = {
        kind: round(recall(found["dense"][0], exact), 4) for kind, found in asked.items()
    } | {"cluster, always by the graph": round(recall(by_graph[0], exact), 4)}
    told["ndcg@10"] = {
        mode: {kind: round(found[mode][1], 4) for kind, found in asked.items()} for mode in MODES
    }
    told["same_of_10"] = {
        mode: round(shared(asked["folder"][mode][0], asked["cluster"][mode][0]), 2)
        for mode in MODES
    }
    told["p50_ms"] = {
        mode: {kind: found[mode][2] for kind, found in asked.items()} for mode in MODES
    }
    return told


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The JSON values of a file's lines."""
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def read_relevant(file: Path) -> dict[str, set[str]]:
    """The documents that answer a question, by the question's id."""
    found: dict[str, set[str]] = {}
    for line in file.read_text("utf-8").splitlines()[1:]:
        question, document, grade = line.split("\t")
        if int(grade) > 0:
            found.setdefault(question, set()).add(document)
    return found


def hits_of(
    store: VectorStore, mode: Mode, searches: Sequence[tuple[Vectors, str]]
) -> tuple[list[list[str]], list[list[str]], float]:
    """The ids of the chunks found, the paths of their documents, and the median of the times."""
    ids, paths, seconds = [], [], []
    for vector, text in searches:
        request = SearchRequest(k=K, mode=mode, vector=vector, text=text)
        began = time.perf_counter()
        hits = store.search(request)
        seconds.append(time.perf_counter() - began)
        ids.append([hit.chunk_id for hit in hits])
        paths.append(list(dict.fromkeys(hit.path for hit in hits)))
    return ids, paths, round(1000 * median(seconds), 1)


def ask(
    store: VectorStore, searches: Sequence[tuple[Vectors, str]], wanted: Sequence[set[str]]
) -> dict[str, tuple[list[list[str]], float, float]]:
    """For each mode: the chunks found, nDCG@10 of their documents, and the median of the times."""
    told = {}
    for mode in MODES:
        ids, paths, p50 = hits_of(store, mode, searches)
        gains = [ndcg(ranked, those) for ranked, those in zip(paths, wanted, strict=True)]
        told[mode] = (ids, fmean(gains), p50)
    return told


def ndcg(ranked: Sequence[str], wanted: set[str]) -> float:
    """nDCG@10 of ranked documents, each wanted or not."""
    gain = sum(1 / math.log2(i + 2) for i, path in enumerate(ranked[:K]) if path in wanted)
    return gain / sum(1 / math.log2(i + 2) for i in range(min(K, len(wanted))))


def shared(left: Sequence[list[str]], right: Sequence[list[str]]) -> float:
    """How many hits two answers have in common, on average."""
    return fmean(len(set(a) & set(b)) for a, b in zip(left, right, strict=True))


def nearest(place: Path, queries: Vectors) -> list[set[str]]:
    """The ids of the `K` nearest chunks of each query; all that are as near as the last one."""
    names, rows = chunk_rows(place)
    products = queries.astype(np.float64) @ rows.astype(np.float64).T
    found = []
    for row in products:
        least = np.partition(row, -K)[-K] - 1e-6
        found.append({names[i] for i in np.flatnonzero(row >= least)})
    return found


def chunk_rows(place: Path) -> tuple[list[str], Vectors]:
    """The living chunks of an index in a folder, and their vectors; see docs/format.md."""
    with closing(sqlite3.connect(f"file:{place / 'catalog.db'}?mode=ro", uri=True)) as catalog:
        segments = {
            one: np.fromfile(place / "vectors" / f"{one:08d}.f16", "<f2", rows * dim).reshape(
                rows, dim
            )
            for one, dim, rows in catalog.execute("SELECT id, dim, rows FROM segments")
        }
        names, rows = [], []
        for doc_id, start, end, text, vector in catalog.execute(
            "SELECT d.doc_id, c.char_start, c.char_end, c.text, c.vector FROM chunks c"
            " JOIN documents d ON d.id = c.document WHERE d.died IS NULL AND c.vector IS NOT NULL"
        ):
            names.append(make_chunk_id(doc_id, start, end, text))
            rows.append(segments[vector >> 32][vector & 0xFFFFFFFF].astype(np.float32))
    return names, np.array(rows)


def recall(found: Sequence[list[str]], exact: Sequence[set[str]]) -> float:
    """Which share of the hits is among the nearest, on average."""
    return fmean(len(set(ids) & those) / K for ids, those in zip(found, exact, strict=True))
