"""How an index of a million chunks does: filling, searches, filters, older runs, memory, disk.

    python benchmarks/scale.py                    # a million chunks; writes SCALE.md
    python benchmarks/scale.py --chunks 100000    # fewer
    python benchmarks/scale.py --family uneven    # vectors with a third of their energy in 32 dims
    python benchmarks/scale.py --quick            # to see that it works: 20,000; writes nothing
    python benchmarks/scale.py --keep FOLDER      # leave the indexes there

The documents are made-up English of Zipf's word frequencies, 40 chunks of 694 characters each; the
vectors have 768 dimensions and are drawn from a seed, of a decaying spectrum on a random basis
unless told otherwise. All is written through the store's own interface. A question is a row with
noise and some words out of one chunk: the nearest is found by anything, the nine behind it are what
recall@10 measures, against an exact search over the same rows. Questions that are timed were not
asked before; the terms of others were. The floors are a flat FAISS index of the same rows in
float16, FTS5 alone, and a process that only imports what a search needs.

No vectors here are a model's. Those of decaying spectrum have about 30 dimensions that count, as
sentence embeddings have, but no topics: their neighbours lie in more of an index's lists than those
of texts do.

Full segments get lists, which costs a third of what filling them does, once in 65,536 chunks: so
the costs at the start and at the end are those of whole segments, where there are so many chunks.
What removing costs is measured on a copy, each question asked of both in turn.

A million chunks take about 25 minutes on two idle cores, 8 of them for filling, and 7 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import (
    HERE,
    Row,
    absolute,
    folder_bytes,
    median,
    model_server,
    ragkit,
    ratio,
    run,
)
from run import machine, table
from scale_data import FAMILIES, SEED, WARMING, K, Truth, documents, early_documents, searched

from ragkit.protocols import SearchRequest
from ragkit.records import Filter
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragkit.protocols import VectorStore
    from ragkit.records import Mode

    Report = dict[str, Any]

CHUNKS, QUICK_CHUNKS, SMALL_CHUNKS = 1_000_000, 20_000, 10_000
DOCUMENTS_A_COMMIT = 25
SEGMENT_ROWS = 65_536
COLD_REPEATS = 9
MODES: tuple[Mode, ...] = ("dense", "keyword", "hybrid")
FILTERS = {"path": Filter(paths=("07/*",)), "kind": Filter(kinds=("csv",))}


def main() -> int:
    """Measure what the options say; exit code 1 where a goal was not reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, help=f"{CHUNKS} unless told otherwise")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--family", choices=FAMILIES, default=FAMILIES[0])
    parser.add_argument("--keep", type=Path, help="folder of the indexes")
    parser.add_argument("--part", help=argparse.SUPPRESS)  # what another process of it does
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](given)))
        return 0
    given.chunks = given.chunks or (QUICK_CHUNKS if given.quick else CHUNKS)
    where = machine() | {
        "corpus": f"benchmarks/scale_data.py, seed {SEED}, {given.chunks} chunks, {given.family}",
        "command": f"python benchmarks/scale.py --chunks {given.chunks} --family {given.family}",
    }
    with tempfile.TemporaryDirectory(prefix="ragkit-scale-") as scratch:
        given.keep = given.keep or Path(scratch)
        report = measured(given)
    rows = judged(report, given.chunks)
    print(table([asdict(row) | {"met": row.is_met} for row in rows]))
    if not given.quick:
        write(where, report, rows)
    return 0 if all(row.is_met for row in rows) else 1


def part(name: str, given: argparse.Namespace) -> Report:
    """What a part reports that is run as a process of its own."""
    print(f"{name} …", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--part", name, "--keep", str(given.keep)]
    command += ["--chunks", str(given.chunks), "--family", given.family]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    report: Report = json.loads(found.stdout)
    return report


def measured(given: argparse.Namespace) -> Report:
    """All reports, by the names of their parts."""
    index = given.keep / "large"
    report: Report = {}
    with model_server() as url:
        filled = given.keep / "fill.json"
        if not filled.exists():
            for name in ("small", "large"):
                given.keep.mkdir(parents=True, exist_ok=True)
                note = given.keep / "note.txt"
                note.write_text("Made to have an embedder.\n")
                ragkit("index", note, "--index", given.keep / name, "--backend", "ollama", url=url)
            filled.write_text(json.dumps(part("fill", given)))
        report["fill"] = json.loads(filled.read_text())
        report["bytes"] = folder_bytes(index) / given.chunks
        report["search"] = part("search", given)
        report["floors"] = part("floors", given)
        report["cold"] = cold(given, url)
    report["check"] = checked(index)
    report["remove"] = part("remove", given)
    report["add"] = part("add", given)
    return report


def fill(given: argparse.Namespace) -> Report:
    """Fill both indexes; beside them goes what an exact search answers."""
    small = written(given.keep / "small", "decaying", SMALL_CHUNKS, None)
    truth = Truth(given.family, given.chunks, early_documents(given.chunks, DOCUMENTS_A_COMMIT))
    large = written(given.keep / "large", given.family, given.chunks, truth)
    truth.save(given.keep / "truth.npz")
    return {"small": small, "large": large}


def written(index: Path, family: str, chunks: int, truth: Truth | None) -> Report:
    """Write documents through the store's interface, most in one run and the last in another."""
    store = open_store(index)
    costs: list[float] = []
    ends: list[float] = []
    batches = documents(family, chunks, DOCUMENTS_A_COMMIT)
    for wanted in (early_documents(chunks, DOCUMENTS_A_COMMIT), chunks):
        with store.writing("index") as writer:
            for batch in batches:
                if truth is not None:
                    truth.add(batch.vectors)
                started = time.process_time()
                keys = [*chain.from_iterable(batch.keys)]
                writer.known(keys)
                writer.add_vectors(keys, batch.vectors)
                for document in batch.documents:
                    writer.add(*document)
                writer.commit()
                costs.append(1e6 * (time.process_time() - started) / len(keys))
                if batch.last >= wanted:
                    break
            started = time.process_time()
        ends.append(1e6 * (time.process_time() - started) / chunks)
    store.close()
    part_chunks = window(chunks)
    # Rounded up: the commit that fills a segment makes its lists.
    tenth = -(-part_chunks * len(costs) // chunks)
    return {
        "part_chunks": part_chunks,
        "cpu_us_a_chunk": median(costs),
        "mean_cpu_us_a_chunk": round(statistics.mean(costs), 1),
        "start_cpu_us": round(statistics.mean(costs[:tenth]), 1),
        "end_cpu_us": round(statistics.mean(costs[-tenth:]), 1),
        "ends_of_runs_cpu_us": round(sum(ends), 1),
        "peak_mb": peak_mb(),
    }


def window(chunks: int) -> int:
    """How many chunks at the start and at the end are compared: two segments, or a tenth."""
    return 2 * SEGMENT_ROWS if chunks >= 6 * SEGMENT_ROWS else max(1, chunks // 10)


def search(given: argparse.Namespace) -> Report:
    """Ask all questions in each mode, without a filter and with, in a process without the rows."""
    store, asked, truth = warmed(given.keep / "large", given)
    report: Report = {"warm_mb": anonymous_mb()}
    cases: dict[str, dict[str, Any]] = {"": {}, "as_of": {"as_of": store.generation() - 1}}
    cases |= {name: {"filter": chosen} for name, chosen in FILTERS.items()}
    for name, fields in cases.items():
        started = time.perf_counter()
        vector, text = asked[0]
        store.search(request(vector, text, "dense", **fields))
        report[f"{name} first_ms"] = round(1000 * (time.perf_counter() - started), 1)
        for mode in MODES:
            best = truth[f"best {name}"][WARMING:]
            report[f"{name} {mode}"] = timed(store.search, asked, best, mode=mode, **fields)
    return report | {"all_mb": anonymous_mb()}


def warmed(index: Path, given: argparse.Namespace) -> tuple[VectorStore, list[Any], Any]:
    """An index after some searches, the questions that were not asked, and the answers.

    Its files are read once: a system may have let go of what nobody read for a while.
    """
    for file in sorted(index.rglob("*")):
        if file.is_file():
            with file.open("rb") as opened:
                while opened.read(1 << 20):
                    pass
    store = open_store(index)
    truth = np.load(given.keep / "truth.npz")
    asked = [*zip(truth["queries"], truth["texts"].tolist(), strict=True)]
    for vector, text in asked[:WARMING]:
        for mode in MODES:
            store.search(request(vector, text, mode))
    return store, asked[WARMING:], truth


def request(vector: Any, text: str, mode: Mode, **fields: Any) -> SearchRequest:  # noqa: ANN401
    """A request for the best K."""
    return SearchRequest(k=K, mode=mode, vector=vector, text=text, **fields)


def timed(
    find: Callable[[SearchRequest], Any],
    asked: list[Any],
    best: Any,  # noqa: ANN401 -- int64, (questions, K)
    **fields: Any,  # noqa: ANN401
) -> Report:
    """Times of searches, how many hits came at least, and the recall of dense ones."""
    times, least, found = [], K, 0
    cpu = time.process_time()
    for (vector, text), expected in zip(asked, best, strict=True):
        started = time.perf_counter()
        hits = find(request(vector, text, **fields))
        times.append(1000 * (time.perf_counter() - started))
        least = min(least, len(hits))
        found += len({searched(hit.text) for hit in hits} & set(expected.tolist()))
    report = {"p50_ms": median(times), "p95_ms": median([float(np.quantile(times, 0.95))])}
    report["cpu_ms"] = median([1000 * (time.process_time() - cpu) / len(asked)])
    report["least_hits"] = least
    return report | ({"recall": found / best.size} if fields["mode"] == "dense" else {})


def floors(given: argparse.Namespace) -> Report:
    """A flat index of the same rows in float16, and FTS5 asked for the same words."""
    import faiss

    truth = np.load(given.keep / "truth.npz")
    files = sorted((given.keep / "large" / "vectors").glob("*.f16"))
    dim = truth["queries"].shape[1]
    flat = faiss.IndexScalarQuantizer(
        dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    for file in files:
        flat.add_sa_codes(np.fromfile(file, np.uint8).reshape(-1, 2 * dim))
    dense, words = [], []
    for query in truth["queries"][-10:]:
        started = time.perf_counter()
        flat.search(query[None], K)
        dense.append(1000 * (time.perf_counter() - started))
    with closing(sqlite3.connect(given.keep / "large" / "catalog.db")) as catalog:
        (build,) = catalog.execute("SELECT build FROM head").fetchone()
        for text in truth["texts"][-10:].tolist():
            match = " OR ".join(f'"{word}"' for word in text.split())
            started = time.perf_counter()
            catalog.execute(
                f"SELECT rowid FROM keywords_{build} WHERE keywords_{build} MATCH ? "  # noqa: S608
                "ORDER BY rank LIMIT 10",
                (match,),
            ).fetchall()
            words.append(1000 * (time.perf_counter() - started))
    return {"dense_ms": median(dense), "keyword_ms": median(words)}


def cold(given: argparse.Namespace, url: str) -> Report:
    """Whole processes of the command, in turn with one that only imports; files in the cache."""
    index, texts = given.keep / "large", np.load(given.keep / "truth.npz")["texts"].tolist()
    imports = [sys.executable, "-c", "import sqlite3, numpy, faiss, requests"]
    times: dict[str, list[float]] = {"floor": [], "dense": [], "hybrid": []}
    for text in texts[:COLD_REPEATS]:
        times["floor"].append(run(imports).seconds)
        for mode in ("dense", "hybrid"):
            found = ragkit("search", text, "--index", index, "--mode", mode, "--json", url=url)
            times[mode].append(found.seconds)
    return {name: median(values) for name, values in times.items()}


def checked(index: Path) -> Report:
    """The forms of `ragkit check`."""
    report: Report = {}
    for name, options in (("quick", ["--quick"]), ("full", []), ("keywords", ["--keywords"])):
        done = ragkit("check", "--index", index, *options)
        report[name] = {"s": median([done.seconds]), "peak_mb": round(done.peak_mb)}
    return report


def add(given: argparse.Namespace) -> Report:
    """The processor time of adding 1,000 chunks to each index, in turn."""
    costs: dict[str, list[float]] = {"small": [], "large": []}
    batches = documents("decaying", 20_000, DOCUMENTS_A_COMMIT, seed=SEED + 9, name="added")
    for _ in range(5):
        for name, index_costs in costs.items():
            batch = next(batches)
            started = time.process_time()
            with closing(open_store(given.keep / name)) as store, store.writing("index") as writer:
                keys = [*chain.from_iterable(batch.keys)]
                writer.add_vectors(keys, batch.vectors)
                for document in batch.documents:
                    writer.add(*document)
            index_costs.append(time.process_time() - started)
    return {name: median(values) for name, values in costs.items()}


def remove(given: argparse.Namespace) -> Report:
    """Remove a tenth of the documents from a copy, and ask both."""
    copied(given.keep / "large", given.keep / "removed")
    store = open_store(given.keep / "removed")
    gone = [info.doc_id for info in store.documents() if info.path.endswith("3.md")]
    started = time.perf_counter()
    with store.writing("remove") as writer:
        writer.remove(gone)
    seconds = time.perf_counter() - started
    store.close()
    return {"documents": len(gone), "s": round(seconds, 2)} | part("again", given)


def copied(index: Path, to: Path) -> None:
    """Copy an index; the rows, which only grow at their end, are the same files."""
    shutil.rmtree(to, ignore_errors=True)
    rows = index / "vectors"
    shutil.copytree(index, to, ignore=lambda folder, names: names if folder == str(rows) else [])
    for file in rows.iterdir():
        os.link(file, to / "vectors" / file.name)


def again(given: argparse.Namespace) -> Report:
    """Each question of each mode, asked of the index and of the copy that lost a tenth, in turn."""
    report: Report = {}
    stores = [warmed(given.keep / name, given) for name in ("large", "removed")]
    _, asked, truth = stores[0]
    best = truth["best removed"][WARMING:]
    for mode in MODES:
        ratios = []
        for vector, text in asked:
            cpu = []
            for store, *_ in stores:
                started = time.process_time()
                store.search(request(vector, text, mode))
                cpu.append(time.process_time() - started)
            ratios.append(cpu[1] / cpu[0])
        found = timed(stores[1][0].search, asked, best, mode=mode)
        before = timed(stores[0][0].search, asked, best, mode=mode)
        report[mode] = found | {"cpu_ratio": median(ratios), "before_ms": before["p50_ms"]}
    return report


def anonymous_mb() -> int:
    """Memory of this process that no file backs, in MB; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return round(int(lines["RssAnon"].split()[0]) * 1024e-6)


def peak_mb() -> int:
    """The largest that this process was, in MB."""
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6)


def judged(report: Report, chunks: int) -> list[Row]:
    """The goals and what was measured."""
    found, bare, after = report["search"], report["floors"], report["remove"]
    rows = []
    for mode, goal in (("dense", 5.0), ("keyword", 20.0), ("hybrid", 25.0)):
        own, floor = found[f" {mode}"], bare["keyword_ms" if mode == "keyword" else "dense_ms"]
        rows.append(absolute(
            f"warm {mode} search in {chunks} chunks, p50", goal, "ms",
            ragkit=own["p50_ms"], floor=floor, **own,
        ))  # fmt: skip
    for name, most in (("path", 1.5), ("kind", 1.5), ("as_of", 2.0)):
        what = "as of an earlier run" if name == "as_of" else f"filter of 1 % ({name})"
        for mode in MODES:
            own = found[f"{name} {mode}"]
            rows.append(ratio(
                f"{mode} search, {what}, against none", most, "ms",
                floor=found[f" {mode}"]["p50_ms"], ragkit=own["p50_ms"], **own,
            ))  # fmt: skip
    for name in ("", "path", "kind", "as_of"):
        missed = 1 - found[f"{name} dense"]["recall"]
        missing = K - min(found[f"{name} {mode}"]["least_hits"] for mode in MODES)
        rows += [
            absolute(f"recall@10 missed, {name or 'all'}", 0.01, "", ragkit=round(missed, 4)),
            absolute(f"hits fewer than asked, {name or 'all'}", 0, "hits", ragkit=missing),
        ]
    for mode in MODES:
        rows.append(ratio(
            f"{mode} search after removing 10 %, processor", 1.05, "",
            floor=1.0, ragkit=after[mode]["cpu_ratio"], **after[mode],
        ))  # fmt: skip
    return rows + _sizes(report)


def _sizes(report: Report) -> list[Row]:
    cold_s, check = report["cold"], report["check"]
    rows = [
        absolute(f"cold {mode} search, whole process", 0.35, "s",
                 ragkit=cold_s[mode], floor=cold_s["floor"])
        for mode in ("dense", "hybrid")
    ]  # fmt: skip
    added = report["add"]
    rows += [
        absolute("anonymous memory, warm", 150, "MB", ragkit=report["search"]["warm_mb"]),
        absolute("anonymous memory, filters too", 150, "MB", ragkit=report["search"]["all_mb"]),
        absolute("on disk", 3000, "bytes a chunk", ragkit=round(report["bytes"], 1)),
        ratio(f"adding 1,000 chunks, against {SMALL_CHUNKS}", 1.2, "s",
              floor=added["small"], ragkit=added["large"]),
        absolute("check --quick", 5, "s", ragkit=check["quick"]["s"], **check["quick"]),
        absolute("check", 40, "s", ragkit=check["full"]["s"], **check["full"]),
        absolute("check --keywords", 150, "s", ragkit=check["keywords"]["s"], **check["keywords"]),
        absolute("check, memory", 300, "MB",
                 ragkit=max(check[form]["peak_mb"] for form in ("full", "keywords"))),
    ]  # fmt: skip
    large = report["fill"]["large"]
    rows.append(ratio(
        f"filling, the last {large['part_chunks']} chunks against the first", 1.15, "µs a chunk",
        floor=large["start_cpu_us"], ragkit=large["end_cpu_us"], **large,
    ))  # fmt: skip
    return rows


def details(report: Report) -> str:
    """The searches in Markdown, with the processor time of all threads."""
    lines = [
        "| search | p50 | p95 | processor, mean | recall@10 |",
        "| --- | --- | --- | --- | --- |",
    ]
    cases = {name: found for name, found in report["search"].items() if isinstance(found, dict)}
    cases |= {f"removed {mode}": report["remove"][mode] for mode in MODES}
    for name, found in cases.items():
        times = " | ".join(f"{found[key]:g} ms" for key in ("p50_ms", "p95_ms", "cpu_ms"))
        recall = f"{found['recall']:.4f}" if "recall" in found else ""
        lines.append(f"| {name.strip()} | {times} | {recall} |")
    return "\n".join(lines) + "\n"


def write(where: Report, report: Report, rows: list[Row]) -> None:
    """Write the results, and the page with all that were taken at this size or another."""
    name = where["command"].partition("--chunks ")[2].replace(" --family ", "-")
    listed = [asdict(row) | {"met": row.is_met} for row in rows]
    text = json.dumps({"machine": where, "rows": listed, "report": report}, indent=2)
    (HERE / "results" / f"scale-{name}.json").write_text(text + "\n", encoding="utf-8")
    parts = []
    for file in sorted((HERE / "results").glob("scale-*.json")):
        kept = json.loads(file.read_text("utf-8"))
        facts = "\n".join(f"- {key}: {value}" for key, value in kept["machine"].items())
        title = f"## {kept['machine']['corpus']}"
        parts.append(f"{title}\n\n{table(kept['rows'])}\n{details(kept['report'])}\n{facts}\n")
    head = (
        "# Scale\n\nWritten by `python benchmarks/scale.py`, whose first lines say what is "
        "measured. The floor of a ratio is what it is held against. Where `load_before` is "
        "above the number of cores, others computed too, and times are several times as long as on "
        "an idle machine: what a search costs is then told by the processor's time.\n\n"
    )
    (HERE / "SCALE.md").write_text(head + "\n".join(parts), encoding="utf-8")


PARTS = {
    "fill": fill,
    "search": search,
    "floors": floors,
    "add": add,
    "remove": remove,
    "again": again,
}


if __name__ == "__main__":
    sys.exit(main())
