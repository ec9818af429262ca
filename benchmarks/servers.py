"""How much sooner are texts embedded by two servers than by one of them, at a fixed latency?

The servers take 20 ms for a text, four at a time, so that one gives at most 200 texts a second.
What is timed is ragkit's embed stage as an ingest uses it, from the first text to the last vector.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from harness import Row, Scope, median, model_server, print_rows, ratio

from ragkit.config import ModelSettings
from ragkit.ingest.embed import EmbeddingQueue
from ragkit.models.choose import new_embedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.models.ollama.client import Endpoint

LATENCY_MS, SLOTS, TEXTS = 20.0, 4, 240
ENDPOINTS: tuple[Endpoint, ...] = ("/api/embeddings", "/api/embed")
FIGURE = 0.55  # half, and a tenth of it for the ends of the work, where a server has less to do


def embed(settings: ModelSettings) -> float:
    """Seconds to embed all texts."""
    embedder = new_embedder(settings)
    embedder.embed_documents(["a text that opens the connections"] * SLOTS * 4)
    queue = EmbeddingQueue(embedder)
    done = 0
    started = time.perf_counter()
    for number in range(TEXTS):
        queue.put(number.to_bytes(32), f"text number {number}")
        done += sum(len(batch.keys) for batch in queue.ready())
    done += sum(len(batch.keys) for batch in queue.drain())
    seconds = time.perf_counter() - started
    queue.close()
    if done != TEXTS:
        msg = f"{done} of {TEXTS} texts came back"
        raise RuntimeError(msg)
    return seconds


def compared(endpoint: Endpoint, urls: Sequence[str], repeats: int) -> Row:
    """The row of an endpoint; one server and two take turns."""
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for servers, seconds in times.items():
            hosts = ",".join(urls[:servers])
            settings = ModelSettings("ollama", ollama_host=hosts, embed_endpoint=endpoint)
            seconds.append(embed(settings))
    one, two = median(times[1]), median(times[2])
    return ratio(
        f"{TEXTS} texts, {LATENCY_MS:g} ms each, {SLOTS} at once, {endpoint}: two servers "
        "against one",
        FIGURE,
        "s",
        floor=one,
        ragkit=two,
        texts_a_second={"one": round(TEXTS / one), "two": round(TEXTS / two)},
        times_the_rate=round(one / two, 2),
    )


def measure(scope: Scope) -> list[Row]:
    """A row an endpoint; the floor is one server."""
    with ExitStack() as running:
        servers = (model_server(latency_ms=LATENCY_MS, slots=SLOTS) for _ in range(2))
        urls = [running.enter_context(server) for server in servers]
        return [compared(endpoint, urls, scope.repeats(3)) for endpoint in ENDPOINTS]


if __name__ == "__main__":
    print_rows(measure, __doc__ or "")
