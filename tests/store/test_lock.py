"""One writer at a time, any number of readers, in several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import REPOSITORY
from store_factory import ingest, new_store, put

from ragkit.errors import IndexLockedError, StoreError
from ragkit.store.local.disk import writer_lock
from ragkit.store.local.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = new_store(tmp_path / "index")
    yield made
    made.close()


def child(verb: str, index: Path) -> subprocess.Popen[str]:
    """Another process at work on the index; returns once it says that it is."""
    script = REPOSITORY / "tests/store_child.py"
    process = subprocess.Popen(
        [sys.executable, script, verb, index],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def test_a_second_writer_learns_which_process_holds_the_index_until_that_is_killed(
    store: LocalStore,
) -> None:
    holder = child("hold", store.path)
    with (
        pytest.raises(IndexLockedError) as caught,
        store.writing("index", wait_s=0.0),
    ):
        pytest.fail("two writers at once")
    assert f"process {holder.pid} on " in str(caught.value)
    assert "index the handbook" in str(caught.value)
    assert caught.value.path == store.path
    holder.kill()
    holder.communicate()
    assert ingest(store, {"a.txt": ["a"]}) == 1


def test_a_second_writer_waits_its_turn(store: LocalStore) -> None:
    holder = child("hold", store.path)
    ender = threading.Timer(0.3, holder.communicate)
    ender.start()
    began = time.monotonic()
    with store.writing("index", wait_s=30.0) as writer:
        waited = time.monotonic() - began
        put(writer, "a.txt", ["a"])
    ender.join()
    assert 0.2 < waited < 20
    assert [d.path for d in store.documents()] == ["a.txt"]


def test_a_second_writer_of_the_same_process_is_refused_too(store: LocalStore) -> None:
    with (
        store.writing("index"),
        pytest.raises(IndexLockedError, match=f"process {os.getpid()} on "),
        LocalStore(store.path).writing("index", wait_s=0.1),
    ):
        pytest.fail("two writers at once")


def test_the_lock_file_says_who_holds_it(tmp_path: Path) -> None:
    with writer_lock(tmp_path, "index 文档", wait_s=0.0):
        holder = json.loads((tmp_path / "writer.lock").read_text("utf-8"))
    assert holder["pid"] == os.getpid()
    assert holder["command"] == "index 文档"
    assert holder.keys() == {"pid", "host", "command", "start"}


def test_a_lock_file_that_cannot_be_read_still_locks(tmp_path: Path) -> None:
    with writer_lock(tmp_path, "index", wait_s=0.0):
        (tmp_path / "writer.lock").write_bytes(b"\xff{")
        with (
            pytest.raises(IndexLockedError, match="being written by another process"),
            writer_lock(tmp_path, "index", wait_s=0.0),
        ):
            pytest.fail("two writers at once")


def test_a_lock_that_cannot_be_made_is_our_error(store: LocalStore) -> None:
    (store.path / "writer.lock").unlink()
    (store.path / "writer.lock").mkdir()
    with pytest.raises(StoreError, match="directory"), store.writing("index", wait_s=0.0):
        pytest.fail("wrote without the lock")


def test_readers_in_other_processes_see_only_whole_commits(store: LocalStore) -> None:
    versions = [[f"v{n} word {i}" for i in range(8)] for n in range(30)]
    ingest(store, {"doc.txt": versions[0]})
    readers = [child("read", store.path) for _ in range(2)]
    with store.writing("index") as writer:
        for texts in versions:
            put(writer, "doc.txt", texts)
            writer.commit()
        put(writer, "doc.txt", ["last word"])
    seen: set[str] = set()
    for reader in readers:
        answer, _ = reader.communicate(timeout=30)
        assert reader.returncode == 0
        seen |= set(answer.splitlines())
    assert seen <= {",".join(sorted(texts)) for texts in [*versions, ["last word"]]}
    assert len(seen) > 2


READ_ONLY = """
import mmap, os, sys
# All imports before root is given up.
import faiss, ragkit.store.local.reader, ragkit.store.local.writer
from pathlib import Path
from store_factory import dense, vector_of
from ragkit.store.local.store import LocalStore
from ragkit.errors import StoreError
query = vector_of("b")
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
store = LocalStore(Path(sys.argv[1]))
print([hit.text for hit in dense(store, query)])
try:
    with store.writing("index", wait_s=0.0):
        print("wrote")
except StoreError as exc:
    print(exc)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no write permission there")
@pytest.mark.parametrize("in_use", [False, True], ids=["at rest", "with a log"])
def test_an_index_in_a_folder_that_cannot_be_written_is_read(*, in_use: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # the reader is another user where the tests run as root
        store = new_store(Path(name) / "index")
        ingest(store, {"a.txt": ["a"]})
        if in_use:  # a reader that looks at a commit keeps what follows in the log
            store._connection.execute("BEGIN")
            store._connection.execute("SELECT * FROM head").fetchone()
        ingest(LocalStore(store.path), {"a.txt": ["b"]})
        if not in_use:
            store.close()
        log = store.path / "catalog.db-wal"
        assert (log.exists() and log.stat().st_size > 0) == in_use
        names = sorted(p.name for p in store.path.iterdir())
        for file in store.path.rglob("*"):  # its owner lets others read it
            file.chmod(0o755 if file.is_dir() else 0o644)
        store.path.chmod(0o555)
        run = subprocess.run(
            [sys.executable, "-c", READ_ONLY, store.path],
            capture_output=True,
            text=True,
            cwd=REPOSITORY / "tests",
            check=False,
        )
        store.path.chmod(0o755)
        assert run.stderr == ""
        answer, refusal = run.stdout.splitlines()
        assert answer == "['b']"
        assert "Permission denied" in refusal
        assert sorted(p.name for p in store.path.iterdir()) == names
        store.close()
