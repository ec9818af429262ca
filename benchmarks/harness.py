"""What the measurements share: processes under the clock, the model server, rows of results."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
SMALL, LARGE, HUGE = 200, 2000, 20_000  # files
BATCH_ENDPOINT = ("--set", "models.embed_endpoint=/api/embed")


@dataclass(frozen=True)
class Run:
    """One process. Seconds from its start to its first byte of output and to its end."""

    seconds: float
    first_byte_s: float
    cpu_s: float
    peak_mb: float
    output: str

    @property
    def json(self) -> Any:  # noqa: ANN401 -- whatever it printed
        """Its output, parsed."""
        return json.loads(self.output)


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end; its peak memory is its own and that of its children.

    Linux counts the memory of the process that starts another as its peak too, so that whoever
    calls this should hold little: FAISS and models do not belong into the same process.

    Raises:
        RuntimeError: It failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        list(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    if process.stdout is None or process.stderr is None:
        msg = "started without pipes"
        raise RuntimeError(msg)
    first = process.stdout.read(1)
    first_byte_s = time.perf_counter() - started
    output = (first + process.stdout.read()).decode()
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        msg = f"{' '.join(command)} ended with {process.returncode}: {errors[-2000:]}"
        raise RuntimeError(msg)
    to_mb = 1e-6 if sys.platform == "darwin" else 1024e-6
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(seconds, first_byte_s, cpu_s, usage.ru_maxrss * to_mb, output)


def ragkit(*arguments: str | Path, url: str = "") -> Run:
    """Run the command line as a user would."""
    _compile_package()
    env = {"OLLAMA_HOST": url} if url else {}
    return run(ragkit_command(*arguments), env)


@cache
def _compile_package() -> None:
    """Compile ragkit as pip does; with PYTHONDONTWRITEBYTECODE a checkout never would be."""
    if not compileall.compile_dir(REPOSITORY / "ragkit", quiet=1):
        msg = "ragkit does not compile"
        raise RuntimeError(msg)


def ragkit_command(*arguments: str | Path) -> list[str]:
    """The command that `ragkit` runs."""
    return [sys.executable, "-m", "ragkit", *map(str, arguments)]


def index_command(
    corpus: Path, index: Path, *, batched: bool = False, backend: str = "ollama"
) -> list[str]:
    """Arguments that make an index, or bring it up to date where `backend` is empty."""
    named = ("--backend", backend) if backend else ()
    endpoint = BATCH_ENDPOINT if batched else ()
    return ["index", str(corpus), "--index", str(index), "--json", *named, *endpoint]


def floor(*arguments: str | Path) -> Run:
    """Run the floor."""
    return run([sys.executable, str(HERE / "floor.py"), *map(str, arguments)])


@contextmanager
def model_server(*, latency_ms: float = 0.0, slots: int = 4, real: bool = False) -> Iterator[str]:
    """The tests' model server as a process of its own; yields its address.

    It sends prepared vectors at no cost worth mentioning unless it is to be `real`: then a
    text's vector is a sum over its words, so that searches find what they should.
    """
    command = [sys.executable, "-m", "ollama_double.server"]
    command += ["--latency-ms", str(latency_ms), "--slots", str(slots)]
    process = subprocess.Popen(
        [*command, *(["--real"] if real else [])],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY / "tests",
    )
    try:
        if process.stdout is None:
            msg = "started without a pipe"
            raise RuntimeError(msg)
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def interleaved(cases: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    """Run the cases in turn, A B A B, so that a slow minute of the machine befalls all."""
    runs: dict[str, list[Run]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            runs[name].append(case())
    return runs


def median(values: Sequence[float]) -> float:
    """The median, to four digits."""
    return float(f"{statistics.median(values):.4g}")


def seconds(runs: Sequence[Run]) -> float:
    """The median time of whole processes."""
    return median([r.seconds for r in runs])


def fresh(path: Path) -> Path:
    """A path where nothing lies any more."""
    shutil.rmtree(path, ignore_errors=True)
    return path


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@dataclass(frozen=True)
class Row:
    """One figure to reach: at most `figure`, and what was measured.

    ``floor`` and ``ragkit`` are medians in ``unit``; ``measured`` is what is held against the
    figure (their ratio, or ragkit's own). ``details`` holds whatever else is worth keeping.
    """

    what: str
    unit: str
    figure: float
    measured: float
    floor: float | None = None
    ragkit: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether the figure was reached."""
        return self.measured <= self.figure


def ratio(
    what: str, figure: float, unit: str, *, floor: float, ragkit: float, **details: object
) -> Row:
    """A figure that is a multiple of the floor."""
    return Row(what, unit, figure, median([ragkit / floor]), floor, ragkit, details)


def absolute(
    what: str,
    figure: float,
    unit: str,
    *,
    ragkit: float,
    floor: float | None = None,
    **details: object,
) -> Row:
    """A figure of its own; the floor, where there is one, is for comparison."""
    return Row(what, unit, figure, ragkit, floor, ragkit, details)


@dataclass(frozen=True)
class Scope:
    """What to measure on: a folder for corpora and indexes, and how thoroughly."""

    work: Path
    quick: bool

    def corpus(self, files: int) -> Path:
        """A corpus, made where it is not there yet."""
        folder = self.work / f"corpus-{files}"
        if not folder.exists():
            command = [sys.executable, str(HERE / "corpus.py"), str(folder), "--files", str(files)]
            run(command)
        return folder

    def repeats(self, wanted: int) -> int:
        """How often to measure."""
        return 1 if self.quick else wanted

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of files."""
        return (SMALL,) if self.quick else (SMALL, LARGE)


def print_rows(measure: Callable[[Scope], Sequence[Row]], description: str) -> None:
    """Run a script's measurement as its command line says and print the rows as JSON."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, help="folder for corpora and indexes, kept")
    parser.add_argument("--quick", action="store_true", help="once, and on 200 files only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ragkit-bench-") as temporary:
        rows = measure(Scope(given.work or Path(temporary), given.quick))
    print(json.dumps([asdict(row) | {"met": row.is_met} for row in rows], ensure_ascii=False))
