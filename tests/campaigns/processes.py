"""Processes of a campaign: the command, forked from one that has loaded it or started cold.

A fork saves a third of a second a command. What runs in it is `ragkit.cli.app.main` with the
command's words, standard streams and a folder of its own; a signal ends it as it ends the command.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ragkit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from campaigns.shim import Strike

DIM = 32
SETTINGS = ".config"  # the user's configuration, in the folder that a command runs in
LIMIT_S = 120.0
KILLED = -signal.SIGKILL
HANGS = -1000  # the "signal" of a process that did not end by itself
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code (a signal is negative) and what it said."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def failed_hard(self) -> bool:
        """A traceback, or the end of the interpreter itself."""
        return self.code < 0 or TRACEBACK in self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def last_line(self) -> str:
        return (self.err.strip().splitlines() or [""])[-1][:300]


def load_everything() -> None:
    """Import what commands import, so that forks need not."""
    for module in pkgutil.walk_packages(ragkit.__path__, "ragkit."):
        if not module.name.startswith(("ragkit.__main__", "ragkit.evaluate", "ragkit.models.emb")):
            with suppress(ImportError):  # an extra that is not installed
                importlib.import_module(module.name)
    for name in ("faiss", "requests", "sqlite_utils"):
        importlib.import_module(name)


def run(words: Sequence[str]) -> Outcome:
    """Run a command in this process, which is a fork made for that."""
    from ragkit.cli.app import main

    files = [os.memfd_create(name) for name in ("out", "err")]
    for place, fd in enumerate(files, 1):
        os.dup2(fd, place)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 -- a number
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["ragkit", *words]
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 -- the interpreter would print it and end with 1
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    said = []
    for fd in files:
        os.lseek(fd, 0, os.SEEK_SET)
        with os.fdopen(fd, "rb") as file:
            said.append(file.read().decode("utf-8", "replace"))
    return Outcome(code, *said)


@dataclass
class Child:
    """A forked process that hands back lines of JSON."""

    pid: int
    fd: int

    def end(self, limit_s: float = LIMIT_S) -> tuple[int, list[Any]]:
        """Wait for its end; its exit code (a signal is negative) and what it handed back."""
        pidfd = os.pidfd_open(self.pid)
        try:
            hangs = not select.select([pidfd], [], [], limit_s)[0]
        finally:
            os.close(pidfd)
        if hangs:
            os.kill(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.lseek(self.fd, 0, os.SEEK_SET)
        with os.fdopen(self.fd, "rb") as file:
            lines = file.read().splitlines()
        found = []
        for line in lines:
            with suppress(ValueError):  # the last line of one that was killed
                found.append(json.loads(line))
        return (HANGS if hangs else code), found


def fork(work: Callable[[Callable[[Any], None]], None], folder: Path) -> Child:
    """Start a fork in a folder; `work` is given a function that hands a value back."""
    fd = os.memfd_create("handed back")
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Child(pid, fd)
    code = 70
    try:
        os.chdir(folder)
        os.environ["XDG_CONFIG_HOME"] = str(folder / SETTINGS)
        work(lambda value: _hand_back(fd, value))
        code = 0
    except BaseException:  # noqa: BLE001 -- the parent reads the code
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _hand_back(fd: int, value: Any) -> None:
    data = memoryview(json.dumps(value).encode() + b"\n")
    while data:
        data = data[os.write(fd, data) :]


def command(
    words: Sequence[str], folder: Path, strike: Strike | None = None, *, cold: bool = False
) -> Outcome:
    """Run one command in a process of its own, perhaps one that is struck."""
    if cold:
        return _cold(words, folder, strike)

    def work(hand_back: Callable[[Any], None]) -> None:
        if strike:
            strike.arm()
        outcome = run(words)
        hand_back([outcome.code, outcome.out, outcome.err])

    code, found = fork(work, folder).end()
    return Outcome(*found[0]) if found else Outcome(code)


def _cold(words: Sequence[str], folder: Path, strike: Strike | None) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "ragkit", *words],
        cwd=folder,
        env=os.environ
        | {"XDG_CONFIG_HOME": str(folder / SETTINGS)}
        | (strike.variables if strike else {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def vector_server(latency_s: float = 0.0) -> Iterator[str]:
    """The tests' double of the Ollama server, in a process of its own; gives its address.

    Each text has its own vector, so that a row in another's place is noticed.
    """

    def serve(hand_back: Callable[[Any], None]) -> None:
        from ollama_double.server import OllamaServer, Settings

        with OllamaServer(Settings(dim=DIM, latency_s=latency_s)) as server:
            hand_back(server.url)
            while os.getppid() == parent:
                time.sleep(0.5)
                server.requests.clear()

    parent = os.getpid()
    child = fork(serve, Path("/"))
    try:
        while not (url := os.pread(child.fd, 999, 0).strip()):
            time.sleep(0.01)
        yield json.loads(url)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.end()
