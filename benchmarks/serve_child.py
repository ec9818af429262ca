"""A server, or the library itself, with a chat model of known speed: what `serve.py` asks.

    python benchmarks/serve_child.py serve INDEX PORT fixed|paced|waiting
    python benchmarks/serve_child.py direct INDEX SECONDS CLIENTS fixed|paced < questions

``direct`` prints how long each first word took, in milliseconds, as JSON.

The model is ``fixed``: says a sentence at once; ``waiting``: and then nothing, until it is stopped;
``paced``: speaks as fast as a real server did, see `recorded_paces`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.protocols import ChatDone, TextDelta
from ragkit.system import check_stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.protocols import ChatModel, ChatRequest

MOST_ASKS = 256
RECORDED = Path(__file__).parents[1] / "tests/ollama_double/replies.jsonl"
LONG_PROMPT = "chat long last message, num_ctx 512"
LONG_REPLIES = (
    "generate window used up, shift false",
    "generate window used up, shift true",
    "chat json",
)
SENTENCE = (
    "It is said there , in the passage that was given , how long it takes and who may do it [1]."
)
BEGIN_S = 10.0
"""Clients of a paced model begin one after another within so many seconds, about one answer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a model speaks: seconds to its first token and from each to the next, and tokens."""

    first_s: float
    token_s: float
    tokens: int


def recorded_paces() -> list[Pace]:
    """The paces of Ollama 0.33.0-rc2 with SmolLM2-135M-Instruct (Q4_1) in one thread of a CPU.

    Its own counts, as `RECORDED` holds them: the first token comes when the longest of the prompts
    (258 tokens) was read, 4.7 s; the longest replies have 200, 120 and 40 tokens, and 39, 21 and 25
    a second.
    """
    last: dict[str, dict[str, Any]] = {}
    for line in RECORDED.read_text("utf-8").splitlines():
        recorded = json.loads(line)
        if recorded.get("note") in (LONG_PROMPT, *LONG_REPLIES):
            last[recorded["note"]] = json.loads(recorded["response"]["body"])
    first_s = last[LONG_PROMPT]["prompt_eval_duration"] / 1e9
    counts = [(last[n]["eval_duration"] / 1e9, last[n]["eval_count"]) for n in LONG_REPLIES]
    return [Pace(first_s, seconds / tokens, tokens) for seconds, tokens in counts]


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


class PacedWords:
    """Says a sentence again and again, token by token, at one pace after another."""

    backend, name, digest, context_tokens = "benchmark", "paced", "0" * 64, 32_768
    _tokens: ClassVar = [f"{word} " for word in SENTENCE.split()]

    def __init__(self, paces: Sequence[Pace]) -> None:
        self._paces = cycle(paces)

    def chat(self, _request: ChatRequest) -> Iterator[TextDelta | ChatDone]:
        """Reply; a token that is fetched late does not delay the next."""
        pace = next(self._paces)
        due = time.monotonic() + pace.first_s
        for number in range(pace.tokens):
            time.sleep(max(0.0, due - time.monotonic()))
            check_stop()
            yield TextDelta(self._tokens[number % len(self._tokens)])
            due += pace.token_s
        yield ChatDone("stop")


def model_of(kind: str) -> ChatModel:
    """The chat model of a kind that the command line names."""
    return PacedWords(recorded_paces()) if kind == "paced" else FixedWords(waits=kind == "waiting")


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


def serve(index: Path, port: int, chat: ChatModel) -> None:
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


def direct(
    index: Path, seconds: float, clients: int, *, kind: str, questions: list[str]
) -> list[float]:
    """Milliseconds to the first word, asked by threads without a server; each asks once before."""
    times: list[float] = []
    spread_s = BEGIN_S if kind == "paced" else 0.0
    with Pipeline(index, settings(), chat=model_of(kind)) as rag:

        def ask(start: int) -> None:
            time.sleep(spread_s * start / clients)
            number, end = start, time.monotonic() + seconds
            while time.monotonic() < end:
                began = time.perf_counter()
                for place, _ in enumerate(rag.stream(questions[number % len(questions)])):
                    if place == 0 and number != start:
                        times.append((time.perf_counter() - began) * 1000)
                number += clients

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return times


def main() -> None:
    """Do what the command line says."""
    what, place, *rest = sys.argv[1:]
    if what == "serve":
        port, kind = rest
        serve(Path(place), int(port), model_of(kind))
    else:
        seconds, clients, kind = rest
        lines = sys.stdin.read().splitlines()
        times = direct(Path(place), float(seconds), int(clients), kind=kind, questions=lines)
        print(json.dumps(times))


if __name__ == "__main__":
    main()
