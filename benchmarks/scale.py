"""How a search of many vectors does: recall against exact search, time, and memory.

Usage::

    python benchmarks/scale.py                     # a million rows of decaying spectrum
    python benchmarks/scale.py --quick             # 50,000 rows
    python benchmarks/scale.py --family uneven --rows 262144
    python benchmarks/scale.py --vectors real.npz  # `rows` and `queries` of a real model in it
    python benchmarks/scale.py --keep FOLDER       # leave the index there, or take the one there

It makes unit vectors from a seed, writes them with the store's own `SegmentTail` into an index
without texts, and asks for the nearest as a search does: scan, exact rescoring, checksums. What
reads documents and keywords is not in it. Questions are rows with noise: the nearest is found by
anything, the nine behind it are what recall@10 measures. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.store.local.catalog import connect, create
from ragkit.store.local.segments import SegmentSizes, SegmentTail
from ragkit.store.local.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors

SEED = 20261128
DIM, ROWS, QUICK_ROWS, BATCH = 768, 1_000_000, 50_000, 8192
QUESTIONS, NOISE, K = 100, 0.75, 10
ASKED_FOR = 40  # what the store asks a snapshot for where a user asks for ten
UNEVEN_DIMS, UNEVEN_SHARE = 32, 0.35
FAMILIES = ("decaying", "uneven", "isotropic")
FILTERS = (1.0, 0.1, 0.01)  # shares of the rows that may be found


def main() -> None:
    """Measure what the options say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--quick", action="store_const", dest="rows", const=QUICK_ROWS)
    parser.add_argument("--family", choices=FAMILIES, default="decaying")
    parser.add_argument("--vectors", type=Path, help="an .npz with rows and queries")
    parser.add_argument("--segment", type=int, default=SegmentSizes().rows, help="rows a segment")
    parser.add_argument("--keep", type=Path, help="folder of the index")
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)  # the second process
    options = parser.parse_args()
    if options.search:
        print(json.dumps(search(options.search)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "index"
        report: dict[str, Any] = {"family": str(options.vectors or options.family)}
        if not (folder / "truth.npz").exists():
            report |= build(folder, options)
        command = [sys.executable, __file__, "--search", str(folder)]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
        print(json.dumps(report | json.loads(found.stdout), indent=1))


def spectrum(family: str) -> Vectors:
    """The standard deviation of each dimension: float32, shape (DIM,)."""
    place = np.arange(DIM)
    variance = {
        "decaying": 1 / (1 + place),
        "uneven": np.where(
            place < UNEVEN_DIMS,
            UNEVEN_SHARE / UNEVEN_DIMS,
            (1 - UNEVEN_SHARE) / (DIM - UNEVEN_DIMS),
        ),
        "isotropic": np.ones(DIM),
    }[family]
    return np.sqrt(variance / variance.sum()).astype(np.float32)


def made(family: str, rows: int, seed: int) -> Iterator[Vectors]:
    """Unit rows in batches, float32 (n, DIM); of decaying spectrum, on a random basis."""
    random = np.random.Generator(np.random.PCG64(seed))
    transform = np.diag(spectrum(family))
    if family == "decaying":
        basis = np.random.Generator(np.random.PCG64(SEED)).standard_normal((DIM, DIM))
        transform = transform @ np.linalg.qr(basis)[0].astype(np.float32)
    for start in range(0, rows, BATCH):
        drawn = random.standard_normal((min(BATCH, rows - start), DIM), np.float32)
        yield unit(drawn @ transform if family == "decaying" else drawn * np.diag(transform))


def unit(rows: Vectors) -> Vectors:
    """The rows, scaled to length 1."""
    scaled: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def build(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Write the index and, beside it, the questions and what exact search answers."""
    if options.vectors:
        given = np.load(options.vectors)
        rows, queries = given["rows"].astype(np.float32), unit(given["queries"][:QUESTIONS])
        batches: Iterator[Vectors] = iter([rows])
        count, dim = rows.shape
    else:
        count, dim = options.rows, DIM
        batches = made(options.family, count, SEED + 1)
        near = next(made(options.family, QUESTIONS, SEED + 1))  # the first rows
        queries = unit(near + NOISE * next(made(options.family, QUESTIONS, SEED + 2)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vectors").mkdir(exist_ok=True)
    create(folder, {"embedder": {"dim": dim}})
    connection = connect(folder, write=True)
    usual = SegmentSizes()
    listed = usual.listed if options.segment >= usual.rows else usual.listed // 8
    sizes = SegmentSizes(options.segment, min(usual.coded, options.segment), listed)
    tail = SegmentTail(connection, folder / "vectors", dim, sizes=sizes)
    scores, writing_s, lists_s = [], 0.0, []
    for batch in batches:
        started = time.process_time()
        connection.execute("BEGIN IMMEDIATE")
        tail.load()
        for vector in tail.append(batch):
            tail.own(vector, vector)
        tail.flush()
        connection.execute("UPDATE head SET commits = commits + 1")
        connection.execute("COMMIT")
        writing_s += time.process_time() - started
        lists_s += [seconds for seconds in [timed(tail.make_lists)] if seconds > 0.02]
        scores.append(queries @ batch.astype(np.float16).astype(np.float32).T)
    while (seconds := timed(tail.make_lists)) > 0.02:
        lists_s.append(seconds)
    for segment, rows in connection.execute("SELECT id, rows FROM segments").fetchall():
        alive = np.packbits(np.ones(rows, np.uint8), bitorder="little").tobytes()
        connection.execute("UPDATE segments SET alive = ? WHERE id = ?", (alive, segment))
    connection.close()
    exact = np.concatenate(scores, axis=1)
    random = np.random.Generator(np.random.PCG64(SEED + 3))
    truth: dict[str, Any] = {"queries": queries}
    for share in FILTERS:
        allowed = random.random(count) < share if share < 1 else np.ones(count, bool)
        masked = np.where(allowed, exact, -np.inf)
        best = np.argpartition(-masked, K, axis=1)[:, :K]
        truth |= {f"allowed {share}": np.packbits(allowed), f"best {share}": best}
    np.savez(folder / "truth.npz", **truth)
    return {
        "writing_cpu_us_a_row": round(1e6 * writing_s / count, 1),
        "lists_cpu_s_a_segment": np.round(lists_s, 2).tolist(),
    }


def timed(act: Callable[[], None]) -> float:
    """The processor time that it takes."""
    started = time.process_time()
    act()
    return time.process_time() - started


def search(folder: Path) -> dict[str, Any]:
    """Ask all questions, in a process that holds nothing else."""
    truth = np.load(folder / "truth.npz")
    queries = truth["queries"]
    connection = connect(folder)
    snapshot = Snapshot(connection, folder, queries.shape[1])
    started = time.perf_counter()
    snapshot.refresh()
    loaded_s = time.perf_counter() - started
    sizes = dict(connection.execute("SELECT id, rows FROM segments ORDER BY id"))
    report: dict[str, Any] = {"rows": sum(sizes.values()), "load_s": round(loaded_s, 3)}
    for share in FILTERS:
        flags = np.unpackbits(truth[f"allowed {share}"], count=sum(sizes.values()))
        bits = as_bits(flags, sizes)
        numbers = np.cumsum([0, *sizes.values()])
        times, cpu, hits = [], time.process_time(), 0
        for query, best in zip(queries, truth[f"best {share}"], strict=True):
            started = time.perf_counter()
            found = snapshot.nearest(query, ASKED_FOR, bits)
            times.append(1000 * (time.perf_counter() - started))
            segments = list(sizes)
            ids = {numbers[segments.index(i >> 32)] + (i & 0xFFFFFFFF) for i in list(found)[:K]}
            hits += len(ids & set(best.tolist()))
        cpu = 1000 * (time.process_time() - cpu) / len(queries)
        report[f"{share:.0%} of the rows"] = {
            "recall@10": round(hits / (K * len(queries)), 4),
            "p50_ms": round(float(np.median(times)), 2),
            "p95_ms": round(float(np.quantile(times, 0.95)), 2),
            "cpu_ms": round(cpu, 2),
        }
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        report["anonymous_mb"] = round(int(lines["RssAnon"].split()[0]) * 1024e-6)
    report["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6)
    return report


def as_bits(flags: NDArray[np.uint8], sizes: dict[int, int]) -> dict[int, NDArray[np.uint8]]:
    """The rows that may be found, as a snapshot takes them."""
    bits, first = {}, 0
    for segment, rows in sizes.items():
        bits[segment] = np.packbits(flags[first : first + rows], bitorder="little")
        first += rows
    return bits


if __name__ == "__main__":
    main()
