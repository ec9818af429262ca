"""A process that is killed while it writes an index: run by `test_crash.py`, once a test module.

Reads one request a line from standard input, forks a child that does the work of `ingest_all`,
and answers with the child's end. The fork saves the imports, which take longer than the work.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store_factory import doc_id_of, key_of, new_store, put

import ragkit.store.local.scan  # noqa: F401 -- loaded once, before the forks
import ragkit.store.local.writer  # noqa: F401 -- likewise
from ragkit.errors import IndexNotFoundError, StorageFullError
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SIZES = (7, 3)  # rows a segment; rows from which it has codes
FULL = 28  # exit code of a child that was told that the disk is full
EFFECTS = {
    "execute", "executemany", "executescript", "connect",  # SQLite
    "open", "write", "fdatasync", "fsync", "ftruncate", "mkdir", "rename", "replace", "unlink",
    "flock",
}  # fmt: skip
"""The C functions that change anything on disk. A child is killed before one of them."""

STATES: list[dict[str, list[str]]] = [
    {"a": ["shared", "alpha 1"], "c": ["shared"], "d": ["delta 1", "delta 2", "delta 3"]},
    {"a": ["shared", "alpha 2"], "d": ["delta 2", "delta 3", "delta 4", "shared", "delta 5"]},
]
"""What the index is to hold, path to texts, after the first run and after the second."""


def ingest_all(
    path: Path, note: Callable[[str, dict[str, list[str]]], None], sizes: SegmentSizes
) -> None:
    """Bring an index to each state in turn; `note` hears of every commit before and after."""
    try:
        store = LocalStore(path, sizes=sizes)
    except IndexNotFoundError:
        store = new_store(path, sizes=sizes)
    for state in STATES:
        _bring(store, state, note)
    store.close()


def _bring(
    store: LocalStore,
    state: dict[str, list[str]],
    note: Callable[[str, dict[str, list[str]]], None],
) -> None:
    held = {d.path: d.file_sha256 for d in store.documents()}
    texts = {sha_of(t): t for s in STATES for t in s.values()}
    now = {path: texts.get(sha, []) for path, sha in held.items()}
    with store.writing("index") as writer:
        for path, wanted in state.items():
            if now.get(path) != wanted:
                put(writer, path, wanted)
                now = now | {path: wanted}
                note("trying", now)
                writer.commit()
                note("done", now)
        writer.remove([doc_id_of(path) for path in now.keys() - state.keys()])
        note("trying", state)
    note("done", state)


def sha_of(texts: list[str]) -> str:
    """The hash that `put` gives a document of these texts."""
    return key_of("\n".join(texts)).hex()


class Tripwire:
    """Kills the process before its n-th step; with 0 it notes which steps find a changed disk.

    A kill between two steps that leave the disk as it was tells nothing new.
    """

    def __init__(self, index: str, kill_at: int) -> None:
        self.steps: list[int] = []
        self._index = index
        self._kill_at = kill_at
        self._count = 0
        self._seen = b""

    def __call__(self, _: FrameType, event: str, function: Any) -> None:
        if event != "c_call" or function.__name__ not in EFFECTS:
            return
        self._count += 1
        if self._count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if not self._kill_at and self._seen != (now := _fingerprint(self._index)):
            self._seen = now
            self.steps.append(self._count)


def _work(request: dict[str, Any]) -> None:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(what: str, state: object) -> None:
        os.write(log, json.dumps([what, state]).encode() + b"\n")

    if "file_bytes" in request:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"],) * 2)
    tripwire = Tripwire(request["index"], request.get("kill_at", -1))
    if "kill_at" in request:
        sys.setprofile(tripwire)
    try:
        ingest_all(Path(request["index"]), note, SegmentSizes(*request.get("sizes", SIZES)))
    except StorageFullError:
        os._exit(FULL)
    sys.setprofile(None)
    note("steps", tripwire.steps)


def _fingerprint(index: str) -> bytes:
    """What lies on the disk; a kill between two steps that leave it as it was tells nothing."""
    digest = hashlib.sha256()
    for file in sorted(Path(index).rglob("*")):
        digest.update(str(file).encode() + (file.read_bytes() if file.is_file() else b""))
    return digest.digest()


def main() -> None:
    """Serve requests until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _work(request)
            os._exit(0)
        if "kill_after_s" in request:
            time.sleep(request["kill_after_s"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 -- the answer


if __name__ == "__main__":
    main()
