"""The command line as its users run it: real processes, in a folder of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fork_server import ForkServer, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ollama_double.server import OllamaServer

REPOSITORY = Path(__file__).parent.parent
CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens there
LIMIT_S = 60
_AS_ORDINARY_USER = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
_FORKS = ForkServer()


@dataclass(frozen=True)
class Run:
    """What a finished command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs ``ragkit`` in a folder, with a server, no user configuration, and no other variables.

    Args:
        folder: The working folder.
        host: Address of the model server.
        variables: Further environment variables.
    """

    def __init__(self, folder: Path, host: str = CLOSED, **variables: str) -> None:
        self.folder = folder
        self.before: tuple[str, ...] = ()  # a program that runs the command, e.g. under a limit
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAGKIT_", "OLLAMA"))}
        self.env = inherited | {
            "OLLAMA_HOST": host,
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "XDG_DATA_HOME": str(folder / ".local"),
            "RAGKIT_INDEXES": "indexes",
            "PYTHONPATH": str(REPOSITORY),
            **variables,
        }

    def __call__(self, *words: str | Path, code: int = 0, **variables: str) -> Run:
        """Run a command to its end; it must end with this exit code."""
        env = self.env | variables
        if self._can_fork(env):
            ordinary = self.before == _AS_ORDINARY_USER
            request = Request([*map(str, words)], str(self.folder), env, ordinary)
            run = Run(*_FORKS.run(request, LIMIT_S))
        else:
            with self.started(*words, **variables) as process:
                out, err = process.communicate(timeout=LIMIT_S)
            run = Run(process.returncode, out, err)
        assert run.code == code, f"exit {run.code}\n{run.out}\n{run.err}"
        return run

    def _can_fork(self, env: Mapping[str, str]) -> bool:
        """Say whether nothing was asked for that only a start from nothing gives."""
        starts = ("PYTHON", "LANG", "LC_", "LD_", "OMP_")
        changed = {name for name, value in env.items() if os.environ.get(name) != value}
        unlike = [name for name in changed if name.startswith(starts) and name != "PYTHONPATH"]
        plain = not unlike and env["PYTHONPATH"] == str(REPOSITORY)
        return sys.platform == "linux" and plain and self.before in {(), _AS_ORDINARY_USER}

    def piped(
        self, given: bytes, *words: str, **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command with this on its standard input, to whatever end."""
        return subprocess.run(
            [*self.before, sys.executable, "-m", "ragkit", *words],
            cwd=self.folder,
            env=self.env | variables,
            input=given,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )

    @contextmanager
    def started(self, *words: str | Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """A command under way; it is killed where the block leaves it running."""
        process = subprocess.Popen(
            [*self.before, sys.executable, "-m", "ragkit", *map(str, words)],
            cwd=self.folder,
            env=self.env | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)


def ordinary_user() -> tuple[str, ...]:
    """What runs a command without the superuser's right to read and write everything."""
    if os.name != "posix":
        pytest.skip("needs the permissions of POSIX")
    if os.geteuid() != 0:
        return ()
    works = [*_AS_ORDINARY_USER, "true"]
    if not shutil.which("setpriv") or subprocess.run(works, check=False).returncode:
        pytest.skip("run as root, it needs setpriv of util-linux and the right to give up rights")
    return _AS_ORDINARY_USER


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder; returns the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def sent(server: OllamaServer) -> list[str]:
    """The passages that were sent to be embedded, in order, without their prefix."""
    prompts = [body["prompt"] for body in server.bodies("/api/embeddings")]
    passages = [p.removeprefix("search_document: ") for p in prompts if "search_document" in p]
    return [p for p in passages if p != "dimension"]  # the probe of the vectors' length


def messages(server: OllamaServer) -> list[Any]:
    """What each request to chat was sent, in order."""
    return [body["messages"] for body in server.bodies("/api/chat")]


def wait_until(happened: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for something that another process or thread does."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def is_gone(pid: int, within_s: float = 5.0) -> bool:
    """Tell whether a process ends in time; one that nobody waited for counts as ended."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
