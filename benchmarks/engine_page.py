"""The page of `engine.py`: its parts as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MODES = ("dense", "keyword", "hybrid")
HEAD = """\
# An index on OpenSearch

Written by `python benchmarks/engine.py`, whose head says what is measured. All nodes and ragkit
ran on one machine, so that figures compare the ways on it; they promise nothing of other machines.
What ran beside is told at each part. Where that was much, times of the clock tell little, and the
time of processors is what compares.
"""


def page(told: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page of results."""
    shown = [HEAD]
    for name, part in told.items():
        kind, _, of = name.partition(" ")
        write = {"rates": _rates, "asking": _asking, "sizes": _sizes}.get(kind)
        if write:
            shown += [*write(f"{int(of):,}", part), *_where(part["where"])]
    sets = {name: part for name, part in told.items() if name.startswith("set ")}
    if sets:
        shown += _sets(sets)
        for name, part in sets.items():
            shown += [f"{name}:", "", *_where(part["where"])]
    return "\n".join(shown)


def _table(rows: Iterable[Sequence[object]]) -> list[str]:
    head, *rest = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [head, "|" + " --- |" * (head.count("|") - 1), *rest, ""]


def _where(where: Mapping[str, Any]) -> list[str]:
    return [", ".join(f"{name}: {value}" for name, value in where.items()) + ".", ""]


def _rates(count: str, part: Mapping[str, Any]) -> list[str]:
    own = part["ragkit"]
    rows: list[Sequence[object]] = [
        ("way", "chunks", "chunks a second", "ms of a core a chunk: the writer", "the nodes", "all",
         "ragkit's rate is × this", "its processor time is × this"),
    ]  # fmt: skip
    for name, one in part.items():
        if isinstance(one, dict) and "chunks_a_s" in one:
            both, ours = (x["own_cpu_ms"] + x["nodes_cpu_ms"] for x in (one, own))
            rate = own["chunks_a_s"] / one["chunks_a_s"]
            row = (f"{one['chunks']:,}", one["chunks_a_s"], one["own_cpu_ms"], one["nodes_cpu_ms"])
            rows.append((_way(name), *row, round(both, 2), f"{rate:.2f}", f"{ours / both:.2f}"))
    goal = "Goals: at least 3 × the naive rate, and at least 1 / 1.5 = 0.67 × the bulk rate."
    return [f"## Writing {count} chunks of {part['dim']} dimensions", "", *_table(rows), goal, ""]


def _way(name: str) -> str:
    return {
        "ragkit": "ragkit, on the cluster", "folder": "ragkit, in a folder",
        "naive": "one request a chunk, the vector as a JSON list",
    }.get(name, f"the same rows made beforehand, {name}")  # fmt: skip


def _asking(count: str, part: Mapping[str, Any]) -> list[str]:
    rows: list[Sequence[object]] = [("p50 / p99 in ms", "in a folder", "on the cluster")]
    states = ("quiet", "while another writes", "a node killed")
    for state in states:
        found = {kind: part[kind].get(state, {}) for kind in ("folder", "cluster")}
        for name, one in found["cluster"].items():
            if isinstance(one, dict):
                cells = [_both(found[kind].get(name)) for kind in ("folder", "cluster")]
                rows.append((f"{name}, {state}" if state != "quiet" else name, *cells))
    rows.append(
        ("bytes a chunk, all copies, as written",
         *(f"{part[kind]['bytes_a_chunk']:,}" for kind in ("folder", "cluster")))
    )  # fmt: skip
    killed = part["cluster"]["a node killed"]
    during = [part[kind]["while another writes"] for kind in ("folder", "cluster")]
    beside = ""
    if all("chunks" in one for one in during):
        beside = (
            "; while they were asked, the other process wrote "
            f"{during[0]['chunks']:,} chunks to the folder and {during[1]['chunks']:,} to the "
            "cluster, in runs of 500"
        )
    one = ", ".join(f"{name} {size:,}" for name, size in part["primary_bytes"].items())
    return [
        f"## Asking an index of {count} chunks of {part['dim']} dimensions", "", *_table(rows),
        f"{part['repeats']} searches of each kind{beside}. Bytes a chunk of one copy of "
        f"each of the cluster's indexes: {one}. The node that was asked first was killed: "
        f"the first search took {killed['first_s']} s, and {killed['same']} of {killed['of']} "
        "found what they had found.",
        "",
    ]  # fmt: skip


def _sizes(count: str, part: Mapping[str, Any]) -> list[str]:
    states = ("as written", "merged")
    rows: list[Sequence[object]] = [("bytes a chunk, one copy", *states)]
    rows += [(name, *(f"{part[state][name]:,}" for state in states)) for name in part["merged"]]
    rows.append(("all", *(f"{sum(part[state].values()):,}" for state in states)))
    return [f"## Disk for {count} chunks of {part['dim']} dimensions", "", *_table(rows)]


def _both(one: Mapping[str, float] | None) -> str:
    return f"{one['p50_ms']} / {one['p99_ms']}" if one else ""


def _sets(sets: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows: list[Sequence[object]] = [
        ("set", "chunks", "questions", "recall@10: folder", "cluster", "cluster, by the graph",
         *(f"nDCG@10 {mode}: folder, cluster" for mode in MODES),
         *(f"the same of 10, {mode}" for mode in MODES)),
    ]  # fmt: skip
    for name, one in sets.items():
        gains = (one["ndcg@10"][mode] for mode in MODES)
        rows.append(
            (name[4:], f"{one['chunks']:,}", one["questions"],
             *(f"{value:.4f}" for value in one["recall@10"].values()),
             *(f"{gain['folder']:.4f}, {gain['cluster']:.4f}" for gain in gains),
             *(one["same_of_10"][mode] for mode in MODES))
        )  # fmt: skip
    of = next(iter(sets.values()))
    said = (
        f"Embedded by {of['embedder']}, {of['dim']} dimensions. Recall is against an exact search "
        f"of the same rows by NumPy. Up to {of['exact_up_to']:,} chunks the cluster compares all "
        "vectors itself; the next column walks its graph for each set. Goals: recall 0.99; nDCG@10 "
        "by words and of both within 0.005; 9 of 10 the same by words."
    )
    return ["## The same hits", "", *_table(rows), said, ""]
