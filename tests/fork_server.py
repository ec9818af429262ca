"""A process that has loaded ``ragkit`` and becomes its commands: a fork for each, as real as one
that starts from nothing, a third of a second cheaper.

What runs in a fork is `ragkit.cli.app.main` as ``python -m ragkit`` runs it, with the words, the
folder, the environment and the streams of the command. At the end its threads end, and what is to
be done at exit is done; only the memory is not given back object by object, which took more of the
processor than most commands.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What no command of the tests needs, or only in a process of its own.
_NOT_LOADED = (
    "ragkit.__main__", "ragkit.evaluate", "ragkit.models.local", "ragkit.serve.mcp_server",
)  # fmt: skip
_CAPABILITIES_3, _DROP_BOUND = 0x20080522, 24  # of linux/capability.h and linux/prctl.h
_READ_AND_WRITE_ALL = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_MOST_BYTES = 1 << 18  # of a request: words, folder and environment


@dataclass(frozen=True)
class Request:
    """A command to run: its words, where, with which variables, and whether as a superuser."""

    words: Sequence[str]
    folder: str
    variables: Mapping[str, str]
    is_ordinary: bool = False


class ForkServer:
    """Starts the server when the first command needs it; one command runs at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def run(self, request: Request, limit_s: float) -> tuple[int, str, str]:
        """Run a command to its end.

        Returns:
            Its exit code (that of a signal is negative), its standard output and error.

        Raises:
            subprocess.TimeoutExpired: It took longer; it was killed.
        """
        message = json.dumps(astuple(request)).encode()
        with self._lock, TemporaryFile() as out, TemporaryFile() as err:
            server = self._started()
            socket.send_fds(server, [message], [out.fileno(), err.fileno()])
            pid = json.loads(server.recv(99))
            in_time = bool(select.select([server], [], [], limit_s)[0])
            if not in_time:
                os.kill(pid, 9)
            code = json.loads(server.recv(99))
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read().decode("utf-8").replace("\r\n", "\n"))
        if not in_time:
            raise subprocess.TimeoutExpired(list(request.words), limit_s, *said)
        return code, said[0], said[1]

    def _started(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, __file__, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={k: v for k, v in os.environ.items() if not k.startswith("COV_")}
                    | {"PYTHONPATH": str(Path(__file__).parent.parent)},
                )
            atexit.register(process.wait)
            atexit.register(self._socket.close)  # it ends with its socket
        return self._socket


def _load() -> None:
    import ragkit
    from ragkit.text.patterns import late_pattern

    for module in pkgutil.walk_packages(ragkit.__path__, "ragkit.", onerror=lambda _: None):
        if not module.name.startswith(_NOT_LOADED):
            with suppress(ImportError):  # an extra that is not installed
                importlib.import_module(module.name)
    for name in ("faiss", "requests"):
        importlib.import_module(name)
    # Patterns that are compiled by their first use: once for all commands.
    late = type(late_pattern(""))
    for pattern in [found for found in gc.get_objects() if type(found) is late]:
        _ = pattern.search


def _serve(server: socket.socket) -> list[str] | None:
    """Answer requests; in a fork, return the words of its command."""
    while True:
        message, fds, _, _ = socket.recv_fds(server, _MOST_BYTES, 2)
        if not message:
            return None
        pid = os.fork()
        if pid == 0:
            server.close()
            words, folder, variables, is_ordinary = json.loads(message)
            if is_ordinary:
                give_up_rights()
            for place, fd in enumerate(fds, 1):
                os.dup2(fd, place)
                os.close(fd)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(variables)
            return list(words)
        for fd in fds:
            os.close(fd)
        server.send(json.dumps(pid).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        server.send(json.dumps(code).encode())


def give_up_rights() -> None:
    """Give up the superuser's rights to read and write everything, as `setpriv` does (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)  # of this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    calls = [libc.capget(header, sets)]
    calls += [libc.prctl(_DROP_BOUND, right, 0, 0, 0) for right in _READ_AND_WRITE_ALL]
    for place in range(3):
        sets[place] &= ~sum(1 << right for right in _READ_AND_WRITE_ALL)
    calls.append(libc.capset(header, sets))
    if any(calls):
        raise OSError(ctypes.get_errno(), "the rights cannot be given up")


def _leave() -> None:
    """End a fork whose command has ended. It is the last that is done at exit: the first noted."""
    if _exit_codes:
        with suppress(Exception):  # it cannot be written any more: the interpreter says so
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_exit_codes[0])


if __name__ == "__main__":
    _exit_codes: list[int] = []
    atexit.register(_leave)
    sys.path[0] = ""  # as ``python -m`` has it: the folder that the command runs in
    _load()
    words = _serve(socket.socket(fileno=int(sys.argv[1])))
    if words is not None:
        from ragkit.cli.app import main

        sys.argv = ["ragkit", *words]
        try:
            main()
            _exit_codes.append(0)
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                _exit_codes.append(end.code or 0)
            raise
