"""The preloaded library of `shim.c`: compiled when it is first needed, armed, its log read."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
COUNT, KILL, TORN, FULL, BROKEN, SHORT = range(1, 7)
CREATE, WRITE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, TRUNCATE, LINK, SYNC_FOLDER = range(1, 11)
GROWING = {CREATE, WRITE, MKDIR, LINK}
_HEAD = struct.Struct("<IIIIQQ")


def why_not() -> str:
    """Why the library cannot be used here; "" where it can."""
    if sys.platform != "linux":
        return "needs LD_PRELOAD and /proc as Linux has them"
    return "" if shutil.which(_compiler()) else "needs a C compiler"


def _compiler() -> str:
    return os.environ.get("CC", "cc")


def compiled() -> Path:
    """The compiled library; it lies where Python puts what it compiles."""
    source = HERE / "shim.c"
    built = HERE / "__pycache__" / f"shim-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.so"
    if not built.exists():
        built.parent.mkdir(exist_ok=True)
        new = built.with_suffix(f".{os.getpid()}")
        flags = ["-O2", "-shared", "-fPIC", "-ldl", "-lpthread"]
        subprocess.run([_compiler(), str(source), "-o", str(new), *flags], check=True)
        new.replace(built)
    return built


def preload() -> None:
    """Start this program anew with the library loaded, if it is not, and one thread a library."""
    path = str(compiled())
    if os.environ.get("LD_PRELOAD") == path:
        return
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAGKIT_", "OLLAMA_"))}
    kept |= {"LD_PRELOAD": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    kept |= {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{HERE.parent}"}
    os.execve(sys.executable, [sys.executable, *sys.argv], kept)  # noqa: S606 -- itself


@cache
def _loaded() -> ctypes.CDLL:
    return ctypes.CDLL(str(compiled()))


@dataclass(frozen=True)
class Strike:
    """What the library is to do: at which call, below which folder; `log` records every call."""

    folder: Path
    mode: int = COUNT
    at: int = 0
    log: Path | None = None

    def arm(self) -> None:
        """Begin, in this process."""
        log = str(self.log).encode() if self.log else b""
        _loaded().shim_arm(str(self.folder).encode(), self.mode, ctypes.c_long(self.at), log)

    @property
    def variables(self) -> dict[str, str]:
        """Begin in a process that is started with these in its environment."""
        return {
            "SHIM_FOLDER": str(self.folder),
            "SHIM_MODE": str(self.mode),
            "SHIM_AT": str(self.at),
            "SHIM_LOG": str(self.log or ""),
        }


@dataclass(frozen=True, slots=True)
class Call:
    """One call that changed files, as the log has it."""

    kind: int
    path: str
    target: str
    inode: int
    offset: int
    data: bytes


def read_log(path: Path) -> Iterator[Call]:
    """The calls of a run, in order."""
    raw = path.read_bytes() if path.exists() else b""
    at = 0
    while at < len(raw):
        kind, one, two, size, inode, offset = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        first, second = raw[at : at + one].decode(), raw[at + one : at + one + two].decode()
        at += one + two
        yield Call(kind, first, second, inode, offset, raw[at : at + size])
        at += size
