"""A server, or the library itself, with a chat model that costs nothing: what `serve.py` asks.

    python benchmarks/serve_child.py serve INDEX PORT fixed|waiting
    python benchmarks/serve_child.py direct INDEX SECONDS CLIENTS < questions

``direct`` prints how long each first word took, in milliseconds, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.protocols import ChatDone, TextDelta
from ragkit.system import check_stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.protocols import ChatRequest

MOST_ASKS = 256


class FixedWords:
    """Says the same few words at once; `waits`: and then nothing, until it is stopped."""

    backend, name, digest, context_tokens = "benchmark", "fixed", "0" * 64, 32_768

    def __init__(self, *, waits: bool = False) -> None:
        self._waits = waits

    def chat(self, _request: ChatRequest) -> Iterator[TextDelta | ChatDone]:
        """Reply."""
        yield TextDelta("It is said there [1]. ")
        while self._waits:
            time.sleep(1)
            check_stop()
        yield ChatDone("stop")


def settings(port: int = 0) -> Config:
    """Of all that is measured: words alone, and no limit in the way."""
    values: dict[str, Any] = {
        "models.chat": "fixed",
        "search.mode": "keyword",
        "serve.port": port,
        "serve.max_asks": MOST_ASKS,
        "serve.stop_s": 1,
    }
    return Config().with_values(values)


def serve(index: Path, port: int, chat: FixedWords) -> None:
    """Serve an index until SIGTERM."""
    from ragkit.serve.application import make_application
    from ragkit.serve.registry import IndexRegistry
    from ragkit.serve.server import bind, guard_rules, make_server
    from ragkit.serve.serving import Serving

    config = settings(port)
    indexes = IndexRegistry(
        config,
        [str(index)],
        threads=MOST_ASKS + 8,
        make=lambda place, given: Pipeline(place, given, chat=chat),
    )
    serving = Serving(indexes, config.serve)
    app = make_application(serving, guard_rules(config.serve, ""))
    server = make_server(app, stop_s=1, on_stop=serving.stop)
    with bind(config.serve) as bound:
        server.run(sockets=[bound])


def direct(index: Path, seconds: float, clients: int, questions: list[str]) -> list[float]:
    """Milliseconds to the first word, asked by threads without a server."""
    times: list[float] = []
    end = time.monotonic() + seconds
    with Pipeline(index, settings(), chat=FixedWords()) as rag:

        def ask(start: int) -> None:
            number = start
            while time.monotonic() < end:
                began = time.perf_counter()
                for place, _ in enumerate(rag.stream(questions[number % len(questions)])):
                    if place == 0:
                        times.append((time.perf_counter() - began) * 1000)
                number += clients

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return times


if __name__ == "__main__":
    what, place, first, second = sys.argv[1:5]
    if what == "serve":
        serve(Path(place), int(first), FixedWords(waits=second == "waiting"))
    else:
        lines = sys.stdin.read().splitlines()
        print(json.dumps(direct(Path(place), float(first), int(second), lines)))
