"""An index on an OpenSearch cluster beside one in a folder: what it costs, and the same hits.

    python benchmarks/engine.py --parts rates asking --chunks 20000
    python benchmarks/engine.py --parts sets --eval EVAL --nodes 1 --sets scifact-train stard-a
    python benchmarks/engine.py --parts rates --chunks 500 --no-page      # to try it

Starts real nodes as the tests do, each with 512 MB of heap (tests/engine: Java 17 or 21 and Maven).

- ``rates``: writing through ragkit, against the engine's bulk API with the same rows made
  beforehand, and against the naive way (one document a request, its vector as a JSON list, into an
  index of the same settings and graph).
- ``asking``: time of a search of each mode, with a filter that 1 % pass, while another process
  writes, and with a node killed; bytes a chunk.
- ``sizes``: bytes a chunk of one copy, as written and once merged.
- ``sets``: question sets with real embeddings, copied from a folder to the nodes: recall against an
  exact search, and nDCG@10 of both. The first run embeds each text and keeps the vectors.

Chunks of ``rates`` and ``asking`` are seeded, of 768 dimensions near one of 200 centres: they say
nothing of recall. Results go to ``benchmarks/results/engine.json``, part by part, and
``benchmarks/ENGINE.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine_costs import asking, rates, sizes
from engine_page import page
from engine_sets import compare_set
from harness import HERE, REPOSITORY
from run import machine

sys.path.insert(0, str(REPOSITORY / "tests"))

from engine_nodes import HEAP, run_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_nodes import Nodes

RESULTS = HERE / "results" / "engine.json"
SETS = ("scifact-train", "stard-a", "dureader-search-a")


@contextmanager
def started(count: int) -> Iterator[Nodes]:
    """Nodes in a temporary folder, stopped at the end."""
    with tempfile.TemporaryDirectory() as folder:
        running = run_nodes(count, Path(folder))
        try:
            yield next(running)
        finally:
            running.close()


def where(given: argparse.Namespace, nodes: Nodes, beside: str) -> dict[str, Any]:
    """When, with what, and beside what a part was measured."""
    known = machine()
    kept = ("date", "commit", "cpu", "cores", "system", "python", "requests")
    version = nodes.get("/")["version"]["number"]
    command = f"python benchmarks/engine.py {' '.join(sys.argv[1:])}"
    for value, name in ((given.eval, "EVAL"), (given.work, "WORK")):
        command = command.replace(str(value), name) if value else command
    return {name: known[name] for name in kept} | {
        "opensearch": version, "nodes": given.nodes, "heap": HEAP, "seed": 17, "command": command,
        "beside": beside, "load_at_the_end": known["load_before"],
    }  # fmt: skip


def beside() -> str:
    """What the machine did besides, as far as the priority and the load tell."""
    is_idle = hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) == os.SCHED_IDLE
    load = os.getloadavg()[0]
    priority = "idle priority" if is_idle else "normal priority"
    return f"{priority}, load of {load:.1f} before it began"


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = ("rates", "asking", "sizes", "sets")
    parser.add_argument("--parts", nargs="+", choices=parts, default=["rates", "asking"])
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--naive", type=int, help="chunks of the naive way; else as many")
    parser.add_argument("--repeats", type=int, default=100, help="searches of each kind")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--eval", type=Path, default=os.environ.get("RAGKIT_EVAL"))
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--questions", type=int, default=300, help="at most so many of a set")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "indexes" / ".engine")
    parser.add_argument("--no-page", action="store_true", help="print only")
    given = parser.parse_args()
    if "sets" in given.parts and not given.eval:
        parser.error("name the folder of the question sets with --eval, or set RAGKIT_EVAL")
    return given


def keep(name: str, found: dict[str, Any], *, shown: bool) -> None:
    """Print a part's figures, and put them into the results and onto the page."""
    print(json.dumps({name: found}, indent=1), flush=True)
    if shown:
        told = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        told[name] = found
        RESULTS.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
        (HERE / "ENGINE.md").write_text(page(told), "utf-8")


def main() -> None:
    """Measure the parts that were asked for, each with nodes of its own."""
    given = arguments()
    for part in given.parts:
        if part == "sets":
            for name in given.sets:
                began = beside()
                with started(given.nodes) as nodes:
                    found = compare_set(
                        given.eval / name, nodes, given.work, questions=given.questions
                    )
                    found["where"] = where(given, nodes, began)
                keep(f"set {name}", found, shown=not given.no_page)
            continue
        began = beside()
        with started(given.nodes) as nodes:
            if part == "rates":
                found = rates(nodes, given.chunks, given.naive or given.chunks)
            elif part == "sizes":
                found = sizes(nodes, given.chunks)
            else:
                found = asking(nodes, given.chunks, given.repeats)
            found["where"] = where(given, nodes, began)
        keep(f"{part} {given.chunks}", found, shown=not given.no_page)


if __name__ == "__main__":
    main()
