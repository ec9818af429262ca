"""How long ingest takes against the floor and the ideal, its memory, and the size on disk."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from harness import (
    HERE,
    LARGE,
    SMALL,
    Row,
    Run,
    Scope,
    absolute,
    floor,
    folder_bytes,
    fresh,
    index_command,
    interleaved,
    median,
    model_server,
    print_rows,
    ragkit,
    ratio,
    run,
    seconds,
)
from texts import Cut, equal_cut

if TYPE_CHECKING:
    from pathlib import Path

BATCH = "32"
LATENCY_MS, SLOTS = 5.0, 4
PLAIN = Cut(1000, 1000, 0, 0)  # as the floor cuts by itself: fewer texts, which do not overlap
ENDPOINTS = {"/api/embeddings": False, "/api/embed": True}


def measure(scope: Scope) -> list[Row]:
    """All rows of this question."""
    corpus = scope.corpus(SMALL)
    cut = equal_cut(corpus)
    rows = []
    with model_server() as url:
        for endpoint, figure in (("/api/embeddings", 0.84), ("/api/embed", 1.2)):
            runs = _both(scope, corpus, cut, url, batched=ENDPOINTS[endpoint], repeats=5)
            what = f"ingest {SMALL} files through {endpoint}, whole process"
            rows.append(_against_floor(what, figure, runs, cut))
        runs = _both(scope, corpus, PLAIN, url, batched=True, repeats=5)
        rows.append(_against_plain(SMALL, runs))
        rows.append(_against_vec_loop(scope, corpus, cut, url))
    with model_server(latency_ms=LATENCY_MS, slots=SLOTS) as url:
        for endpoint, batched in ENDPOINTS.items():
            runs = _both(scope, corpus, cut, url, batched=batched, repeats=3)
            rows.append(_against_ideal(endpoint, runs, cut))
    return rows + ([] if scope.quick else _large(scope))


def _large(scope: Scope) -> list[Row]:
    corpus = scope.corpus(LARGE)
    cut = equal_cut(corpus)
    with model_server() as url:
        plain = _both(scope, corpus, PLAIN, url, batched=True, repeats=3)
        runs = _both(scope, corpus, cut, url, batched=True, repeats=3)
    peaks = {name: median([r.peak_mb for r in of]) for name, of in runs.items()}
    index = scope.work / "index-ragkit"
    size = sum(file.stat().st_size for file in corpus.rglob("*.md"))
    what = f"ingest {LARGE} files through /api/embed, whole process"
    return [
        _against_floor(what, 1.3, runs, cut),
        _against_plain(LARGE, plain),
        absolute(f"peak memory of ingest, {size / 1e6:.0f} MB of text", 250, "MB",
                 ragkit=peaks["ragkit"], floor=peaks["floor"]),
        absolute("on disk, 768 dimensions, text and keyword index included", 4500, "bytes a chunk",
                 ragkit=median([folder_bytes(index) / cut.ragkit_texts]),
                 floor=median([folder_bytes(scope.work / "index-floor") / cut.floor_texts]),
                 source_bytes_a_chunk=round(size / cut.ragkit_texts)),
    ]  # fmt: skip


def _both(
    scope: Scope, corpus: Path, cut: Cut, url: str, *, batched: bool, repeats: int
) -> dict[str, list[Run]]:
    """Ingest by the floor and by ragkit in turn, each time into a new index."""
    bare, full = scope.work / "index-floor", scope.work / "index-ragkit"
    batch = ("--batch", BATCH) if batched else ()
    cases = {
        "floor": lambda: floor("index", corpus, fresh(bare), url, *cut.options, *batch),
        "ragkit": lambda: ragkit(*index_command(corpus, fresh(full), batched=batched), url=url),
    }
    return interleaved(cases, scope.repeats(repeats))


def _against_plain(files: int, runs: dict[str, list[Run]]) -> Row:
    """The floor as it is without ragkit: it embeds as many texts as it cuts."""
    texts = runs["floor"][0].json["chunks"], runs["ragkit"][0].json["chunks"]
    what = f"ingest {files} files through /api/embed, against the floor's own number of texts"
    return _against_floor(what, 1.5, runs, Cut(PLAIN.size, PLAIN.stride, *texts))


def _against_vec_loop(scope: Scope, corpus: Path, cut: Cut, url: str) -> Row:
    """A bare loop over sqlite-vec and FTS5, of as many texts; `pysqlite3` is needed for it."""
    bare, full = scope.work / "index-vec-loop", scope.work / "index-ragkit"
    command = [sys.executable, str(HERE / "vec_loop.py"), str(corpus)]
    cases = {
        "floor": lambda: run([*command, str(fresh(bare)), url, *cut.options, "--batch", BATCH]),
        "ragkit": lambda: ragkit(*index_command(corpus, fresh(full), batched=True), url=url),
    }
    runs = interleaved(cases, scope.repeats(5))
    what = f"ingest {SMALL} files through /api/embed, against sqlite-vec with FTS5"
    return _against_floor(what, 1.0, runs, cut)


def _details(runs: dict[str, list[Run]], cut: Cut) -> dict[str, object]:
    return {
        "floor_texts": cut.floor_texts,
        "ragkit_texts": cut.ragkit_texts,
        **{f"{name}_all_s": [round(r.seconds, 3) for r in of] for name, of in runs.items()},
        **{f"{name}_cpu_s": median([r.cpu_s for r in of]) for name, of in runs.items()},
    }


def _against_floor(what: str, figure: float, runs: dict[str, list[Run]], cut: Cut) -> Row:
    return ratio(
        what,
        figure,
        "s",
        floor=seconds(runs["floor"]),
        ragkit=seconds(runs["ragkit"]),
        **_details(runs, cut),
    )


def _against_ideal(endpoint: str, runs: dict[str, list[Run]], cut: Cut) -> Row:
    """The ideal keeps every slot of the server busy all the time; starting Python is not in it."""
    texts = {"floor": cut.floor_texts, "ragkit": cut.ragkit_texts}
    ideal = {name: count * LATENCY_MS / 1000 / SLOTS for name, count in texts.items()}
    times = {name: median([r.json["seconds"] for r in of]) for name, of in runs.items()}
    server = f"{LATENCY_MS:g} ms a text, {SLOTS} at once"
    what = f"ingest {SMALL} files, {server}, {endpoint}, against the ideal"
    return Row(
        what,
        "s",
        1.08,
        median([times["ragkit"] / ideal["ragkit"]]),
        times["floor"],
        times["ragkit"],
        _details(runs, cut)
        | {"ideal_s": ideal["ragkit"], "floor_to_ideal": median([times["floor"] / ideal["floor"]])},
    )


if __name__ == "__main__":
    print_rows(measure, __doc__ or "")
