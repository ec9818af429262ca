"""Killed at any moment, the index is right; so it is when the disk is full."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import REPOSITORY

if sys.platform == "win32":
    pytest.skip("needs fork and SIGKILL", allow_module_level=True)

from crash_worker import FULL, STATES
from plain_reader import read_living
from store_factory import DIM, dense, ingest, new_store, put, vector_of, vectors_of

from ragkit.errors import StorageFullError
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLED = -9
State = dict[str, list[str]]


class Worker:
    """The process that is killed, through its pipes."""

    def __init__(self) -> None:
        script = REPOSITORY / "tests/crash_worker.py"
        self.process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def run(self, index: Path, **request: Any) -> tuple[int, list[Any]]:
        """Ingest in a child; its exit code (a signal is negative) and what it noted."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        log = index.with_suffix(".log")
        log.unlink(missing_ok=True)
        request |= {"index": str(index), "log": str(log)}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        lines = log.read_text().splitlines() if log.exists() else []
        return code, [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.process.communicate(timeout=10)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: a kill leaves the same files, and sooner."""
    memory = Path("/dev/shm")  # noqa: S108 -- a fresh folder below it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def living(index: Path) -> State:
    """What a reader written from the format's page alone finds; every row must be right."""
    found = read_living(index)
    for chunks in found.values():
        for chunk in chunks:
            assert chunk.row == vector_of(chunk.text).astype("<f2").tobytes()
    return {path: [chunk.text for chunk in chunks] for path, chunks in found.items()}


def allowed_states(before: State, notes: list[Any]) -> list[State]:
    """The last commit that was reported, and the one that was under way, if any."""
    last, trying = before, None
    for what, state in notes:
        last, trying = (state, None) if what == "done" else (last, state)
    return [last] if trying is None else [last, trying]


def assert_right_after_a_kill(index: Path, before: State, notes: list[Any]) -> State:
    """Every invariant holds and exactly the committed documents are there, whole."""
    if not (index / "catalog.db").exists():
        assert notes == []
        return before
    assert [p for p in check_index(index) if p.invariant != "orphans"] == []
    state = living(index)
    assert state in allowed_states(before, notes)
    return state


def assert_complete(index: Path) -> None:
    """What an undisturbed ingest leaves: both readers find it all, and nothing else lies there."""
    assert living(index) == STATES[-1]
    store = LocalStore(index)
    expected = sorted(text for texts in STATES[-1].values() for text in texts)
    assert sorted(hit.text for hit in dense(store, vector_of("q"), 99)) == expected
    store.close()
    assert check_index(index) == []


@pytest.mark.long
def test_killed_before_any_step_the_index_is_right_and_a_rerun_completes(
    worker: Worker, folder: Path
) -> None:
    code, notes = worker.run(folder / "whole", kill_at=0)
    assert code == 0
    steps = notes.pop()[1]  # those that find the disk other than the step before
    assert_complete(folder / "whole")
    seen = set()
    for number, step in enumerate(steps):
        index = folder / f"i{step}"
        code, notes = worker.run(index, kill_at=step)
        assert code == KILLED
        seen.add(json.dumps(assert_right_after_a_kill(index, {}, notes), sort_keys=True))
        if number % 5 == 0:
            assert worker.run(index)[0] == 0
            assert_complete(index)
        shutil.rmtree(index, ignore_errors=True)
    commits = 1 + sum(what == "done" for what, _ in notes)
    assert len(seen) == commits  # each commit was the last one of some kill


@pytest.mark.long
def test_killed_at_random_with_garbage_behind_the_rows_nothing_committed_is_lost(
    worker: Worker, folder: Path
) -> None:
    index, killed = folder / "index", 0
    state: State = {}
    chance = random.Random(11)  # noqa: S311 -- a fixed seed
    started = time.monotonic()
    assert worker.run(folder / "timed")[0] == 0
    whole_s = time.monotonic() - started
    for _ in range(25):
        code, notes = worker.run(index, kill_after_s=chance.uniform(0, whole_s))
        killed += code == KILLED
        state = assert_right_after_a_kill(index, state, notes)
        for file in (index / "vectors").glob("*.*"):
            with file.open("ab") as tail:
                tail.write(chance.randbytes(chance.randrange(200)))
    assert killed >= 5
    assert worker.run(index)[0] == 0
    assert_complete(index)


def test_files_of_a_segment_that_was_never_committed_are_swept_by_the_next_writer(
    folder: Path,
) -> None:
    store = new_store(folder / "index")
    ingest(store, {"a.txt": ["a"]})
    vectors = store.path / "vectors"
    (vectors / "00000002.f16").write_bytes(b"torn")
    (vectors / "00000002.rbq").write_bytes(b"torn")
    (vectors / "notes.txt").write_text("not ours")
    assert [p.invariant for p in check_index(store.path)] == ["orphans", "orphans"]
    ingest(store, {"b.txt": ["b"]})
    assert sorted(f.name for f in vectors.iterdir()) == ["00000001.f16", "notes.txt"]
    assert check_index(store.path) == []


def test_a_run_that_was_killed_is_closed_as_interrupted(worker: Worker, folder: Path) -> None:
    index = folder / "index"
    steps = worker.run(folder / "whole", kill_at=0)[1][-1][1]
    code, notes = worker.run(index, kill_at=steps[-6])
    assert code == KILLED
    assert notes[-1][1]["d"] == STATES[-1]["d"]  # the second run had begun
    store = LocalStore(index)
    ingest(store, {"z.txt": ["z"]})
    rows = store._connection.execute("SELECT state FROM generations ORDER BY id").fetchall()
    assert [state for (state,) in rows] == ["closed", "interrupted", "closed"]


def test_a_limit_on_file_size_is_reported_as_a_full_disk(worker: Worker, folder: Path) -> None:
    store = new_store(folder / "index")
    size = (store.path / "catalog.db").stat().st_size
    store.close()
    code, notes = worker.run(folder / "index", file_bytes=size + 20_000)
    assert code == FULL
    assert "done" in [what for what, _ in notes]
    assert_right_after_a_kill(folder / "index", {}, notes)
    assert worker.run(folder / "index")[0] == 0
    assert_complete(folder / "index")


def test_a_vector_file_that_may_not_grow_is_reported_as_a_full_disk(
    worker: Worker, folder: Path
) -> None:
    store = new_store(folder / "index")
    texts = [str(i) for i in range(4000)]
    with store.writing("index") as writer:
        put(writer, "big", texts, vectors=vectors_of(texts))
    store.close()
    rows = folder / "index" / "vectors" / "00000001.f16"
    assert rows.stat().st_size == 4000 * 2 * DIM
    code, notes = worker.run(folder / "index", file_bytes=4000 * 2 * DIM, sizes=[5000, 5000])
    assert (code, [what for what, _ in notes]) == (FULL, ["trying"])
    assert living(folder / "index") == {"big": texts}
    assert check_index(folder / "index") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 700 kB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a file system here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_space(
    small_disk: Path,
) -> None:
    store = new_store(small_disk / "index")
    committed: State = {}

    def fill() -> None:
        with store.writing("index") as writer:
            for i in range(1000):
                texts = [f"{i} {j} " + "word " * 100 for j in range(4)]
                put(writer, f"{i:04d}.txt", texts)
                writer.commit()
                committed[f"{i:04d}.txt"] = texts

    with pytest.raises(StorageFullError, match=r"disk that holds .* what was committed before"):
        fill()
    assert len(committed) > 5
    assert {path: [chunk.text for chunk in chunks] for path, chunks in
            read_living(store.path).items()} == committed  # fmt: skip
    assert check_index(store.path) == []
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    ingest(store, {"after.txt": ["after"]})
    assert dense(store, vector_of("after"), 1)[0].text == "after"
    assert len(store.documents()) == len(committed) + 1
    store.close()
