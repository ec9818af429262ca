"""How long a search and an answer take: a cold process; a warm one with the embedding apart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from corpus import questions
from floor import CHAT, Flat
from harness import (
    LARGE,
    SMALL,
    Row,
    Run,
    Scope,
    floor,
    fresh,
    index_command,
    interleaved,
    median,
    model_server,
    print_rows,
    ragkit,
    ratio,
    seconds,
)
from texts import Cut, equal_cut

from ragkit.config import ModelSettings
from ragkit.models.ollama import OllamaClient, OllamaEmbedder
from ragkit.protocols import SearchRequest
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ragkit.records import Mode

QUESTIONS, ROUNDS = 50, 4
# Seconds and milliseconds to reach where the floor takes the second number; elsewhere their ratio
# counts.
COLD_FIGURES = {SMALL: (0.35, 0.21), LARGE: (0.45, 0.26)}
WARM_FIGURES: dict[Mode, dict[int, tuple[float, float]]] = {
    "dense": {SMALL: (1.0, 0.37), LARGE: (4.0, 7.4)},
    "hybrid": {SMALL: (3.0, 0.37), LARGE: (12.0, 7.4)},
}


def measure(scope: Scope) -> list[Row]:
    """All rows of this question."""
    rows = []
    for files in scope.sizes:
        corpus = scope.corpus(files)
        cut = equal_cut(corpus)
        bare, full = scope.work / "found-floor", scope.work / "found-ragkit"
        with model_server() as url:  # for an exact scan one vector costs as much as another
            floor("index", corpus, fresh(bare), url, *cut.options, "--batch", "32")
        with model_server(real=True) as url:
            ragkit(*index_command(corpus, fresh(full), batched=True), url=url)
            asked = questions(corpus, QUESTIONS)
            rows += _cold(scope, files, (bare, full), url, asked, cut)
            if files == SMALL:
                rows.append(_cold_ask(scope, (bare, full), url, asked))
            vectors = _vectors(asked, url)
        rows += _warm(files, (bare, full), asked, vectors)
    return rows


def _cold(
    scope: Scope, files: int, indexes: tuple[Path, Path], url: str, asked: list[str], cut: Cut
) -> list[Row]:
    """Whole processes, files in the system's cache."""
    bare, full = indexes
    turn = iter(range(10_000))

    def searched(mode: str) -> Run:
        question = asked[next(turn) % QUESTIONS]
        return ragkit("search", question, "--index", full, "--mode", mode, "--json", url=url)

    cases: dict[str, Callable[[], Run]] = {
        "floor": lambda: floor("search", bare, url, asked[next(turn) % QUESTIONS]),
        "dense": lambda: searched("dense"),
        "hybrid": lambda: searched("hybrid"),
    }
    interleaved(cases, 1)  # fills the cache
    runs = interleaved(cases, scope.repeats(7))
    return [
        ratio(
            f"cold {mode} search in {cut.ragkit_texts} chunks, whole process",
            _ratio(COLD_FIGURES[files]),
            "s",
            ragkit=seconds(runs[mode]),
            floor=seconds(runs["floor"]),
            first_byte_s=median([r.first_byte_s for r in runs[mode]]),
            cpu_s=median([r.cpu_s for r in runs[mode]]),
            floor_cpu_s=median([r.cpu_s for r in runs["floor"]]),
            peak_mb=median([r.peak_mb for r in runs[mode]]),
        )
        for mode in ("dense", "hybrid")
    ]


def _cold_ask(scope: Scope, indexes: tuple[Path, Path], url: str, asked: list[str]) -> Row:
    """Whole processes that answer by a chat model, which takes no time here."""
    bare, full = indexes
    turn = iter(range(10_000))
    options = ("--index", full, "--json", "--set", f"models.chat={CHAT}")
    cases: dict[str, Callable[[], Run]] = {
        "floor": lambda: floor("ask", bare, url, asked[next(turn) % QUESTIONS]),
        "ragkit": lambda: ragkit("ask", asked[next(turn) % QUESTIONS], *options, url=url),
    }
    interleaved(cases, 1)
    runs = interleaved(cases, scope.repeats(7))
    return ratio(
        "cold ask, whole process",
        1.3,
        "s",
        ragkit=seconds(runs["ragkit"]),
        floor=seconds(runs["floor"]),
        cpu_s=median([r.cpu_s for r in runs["ragkit"]]),
        floor_cpu_s=median([r.cpu_s for r in runs["floor"]]),
    )


def _ratio(figure: tuple[float, float]) -> float:
    reached, floor_then = figure
    return round(reached / floor_then, 2)


def _vectors(asked: list[str], url: str) -> list[NDArray[np.float32]]:
    client = OllamaClient(url, settings=ModelSettings())
    embedder = OllamaEmbedder(client, "nomic-embed-text")
    return [embedder.embed_query(question) for question in asked]


def _warm(
    files: int, indexes: tuple[Path, Path], asked: list[str], vectors: list[NDArray[np.float32]]
) -> list[Row]:
    """Medians over all questions, one process, the question's vector given."""
    flat, store = Flat(indexes[0]), open_store(indexes[1])

    def found(mode: Mode, i: int) -> object:
        return store.search(SearchRequest(k=8, mode=mode, vector=vectors[i], text=asked[i]))

    cases: dict[str, Callable[[int], object]] = {
        "floor": lambda i: flat.search(vectors[i]),
        "dense": lambda i: found("dense", i),
        "hybrid": lambda i: found("hybrid", i),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(-1, ROUNDS):
        # In turn round by round: a scan of the floor's flat index empties the caches.
        for name, search in cases.items():
            for i in range(QUESTIONS):
                started = time.perf_counter()
                search(i)
                if number >= 0:  # the first round warms up
                    times[name].append((time.perf_counter() - started) * 1000)
    chunks = store.stats().chunks
    store.close()
    return [
        ratio(
            f"warm {mode} search in {chunks} chunks, p50, embedding apart",
            _ratio(WARM_FIGURES[mode][files]),
            "ms",
            ragkit=median(times[mode]),
            floor=median(times["floor"]),
            p95_ms=float(f"{sorted(times[mode])[len(times[mode]) * 95 // 100]:.4g}"),
        )
        for mode in WARM_FIGURES
    ]


if __name__ == "__main__":
    print_rows(measure, __doc__ or "")
