"""Indexes of every format version still open and answer the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_golden_index import DENSE, DIM, DOCUMENTS, INDEXES, REPLACED, answers
from oracle import decode, exact_search
from plain_reader import edit, read_living
from store_factory import dense, ingest, vector_of

from ragkit.store.local.migrate import migrate
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index

LIVING = {path: texts for path, texts in (DOCUMENTS | REPLACED).items() if path != "old.pdf"}


VERSIONS = ("v1", "v2")


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a committed index."""
    version: str = request.param
    return shutil.copytree(INDEXES / version, tmp_path / version)


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A copy of the committed index of format 1."""
    return shutil.copytree(INDEXES / "v1", tmp_path / "v1")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_committed_index_is_small_and_names_no_machine(version: str) -> None:
    files = [f for f in (INDEXES / version).rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 200_000
    codes = {"v1": "00000001.rbq"}.get(version, "00000001.ivf")  # the first segment is full
    assert sorted(f.name for f in files) == sorted(
        ["00000001.f16", codes, "00000002.f16", "catalog.db"]
    )


def test_every_format_opens_and_answers_as_it_did(golden: Path) -> None:
    store = LocalStore(golden)
    expected = json.loads((INDEXES / f"{golden.name}.json").read_text("utf-8"))
    now = json.loads(json.dumps(answers(store)))
    assert now.keys() == expected.keys()
    for name, hits in expected.items():
        assert [hit[:3] for hit in now[name]] == [hit[:3] for hit in hits], name
        for hit, old in zip(now[name], hits, strict=True):
            assert hit[3:] == pytest.approx(old[3:], abs=1e-5)
    assert check_index(golden) == []


def test_every_format_answers_as_an_exact_search_over_its_rows(golden: Path) -> None:
    chunks = [chunk for part in read_living(golden).values() for chunk in part]
    rows = decode(np.stack([np.frombuffer(chunk.row, "<f2") for chunk in chunks]))
    store = LocalStore(golden)
    for question in DENSE:
        expected = exact_search(rows, vector_of(question, DIM), 6)
        hits = dense(store, vector_of(question, DIM), 6)
        assert [hit.text for hit in hits] == [chunks[i].text for i, _ in expected]
        assert [hit.score for hit in hits] == pytest.approx([s for _, s in expected], abs=1e-5)


def test_a_reader_written_from_the_page_finds_every_generation(golden: Path) -> None:
    def texts(as_of: int | None) -> dict[str, list[str]]:
        return {path: [c.text for c in part] for path, part in read_living(golden, as_of).items()}

    assert texts(1) == DOCUMENTS
    assert texts(2) == DOCUMENTS | REPLACED
    assert texts(3) == texts(None) == LIVING


def test_every_format_takes_more_documents(golden: Path) -> None:
    store = LocalStore(golden)
    assert ingest(store, {"new.txt": ["Something new.", "Notice must be in writing."]}) == 4
    assert dense(store, vector_of("Something new.", DIM), 1)[0].path == "new.txt"
    assert check_index(golden, keywords=True) == []  # its columns stand the other way round
    with closing(sqlite3.connect(golden / "catalog.db")) as catalog:  # it got what it lacked
        entries = catalog.execute("SELECT key, vector, crc32 FROM embedding_cache").fetchall()
    assert len(entries) > 30
    for key, vector, checksum in entries:
        assert checksum == zlib.crc32(key + vector.to_bytes(8, "little"))


def test_every_format_is_rebuilt(golden: Path) -> None:
    """One of format 1 cannot give pages back to the disk: that is no reason to wait for it."""
    with closing(LocalStore(golden)) as store:
        with store.rebuilding(embedder=store.embedder, splitter=store.splitter) as new:
            ingest(new, {"new.txt": ["Something new."]})
        assert [d.path for d in store.documents()] == ["new.txt"]
    assert check_index(golden) == []


def test_a_migration_keeps_texts_and_rows_and_happens_once(
    v1: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = [read_living(v1, as_of) for as_of in (1, 2, 3)]
    LocalStore(v1).close()
    LocalStore(v1).close()
    assert [read_living(v1, as_of) for as_of in (1, 2, 3)] == before
    assert [r.message for r in caplog.records if "format 2" in r.message] == [
        f"{v1}: bringing the index to format 2, once."
    ]
    assert sorted(path.name for path in v1.iterdir() if "db" in path.name) == ["catalog.db"]


STATEMENTS = re.compile("ALTER|CREATE|INSERT|UPDATE|DELETE|DROP|COMMIT|PRAGMA user_version =")


@pytest.mark.long
def test_a_migration_killed_before_any_statement_leaves_one_format_or_the_other(
    tmp_path: Path,
) -> None:
    """Each statement of the migration is the last once, in a process of its own."""
    whole = read_living(INDEXES / "v1")
    steps = 0
    while True:
        steps += 1
        index = shutil.copytree(INDEXES / "v1", tmp_path / str(steps))
        child = os.fork()
        if not child:
            _migrate_and_die(index, steps)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):  # it came to its end
            break
        assert read_living(index) == whole
        assert check_index(index) == []  # opens it, which migrates it
        shutil.rmtree(index)
    assert steps > 40


def _migrate_and_die(index: Path, at: int) -> None:
    count = 0

    def trace(statement: str) -> None:
        nonlocal count
        count += bool(STATEMENTS.match(statement.strip()))
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    class Traced(sqlite3.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.set_trace_callback(trace)

    connect = sqlite3.connect
    sqlite3.connect = partial(connect, factory=Traced)  # type: ignore[assignment]  # this process ends
    migrate(index)
    os._exit(0)


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no write permission there")
def test_an_index_of_format_1_that_cannot_be_written_says_what_to_do() -> None:
    code = (
        "import os, sys, pathlib\n"
        "import ragkit.store.local.migrate  # before root is given up\n"
        "from ragkit.store.open import open_store\n"
        "from ragkit.errors import FormatVersionError\n"
        "os.getuid() or os.setgid(65534) or os.setuid(65534)\n"
        "try:\n    open_store(pathlib.Path(sys.argv[1]))\n"
        "except FormatVersionError as exc:\n    print(exc)\n"
    )
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # the reader is another user where the tests run as root
        v1 = shutil.copytree(INDEXES / "v1", Path(name) / "v1")
        (v1 / "catalog.db").chmod(0o444)
        v1.chmod(0o555)
        run = subprocess.run(
            [sys.executable, "-c", code, v1], capture_output=True, text=True, check=False
        )
        v1.chmod(0o755)
    assert run.stderr == ""
    assert "has index format 1 and cannot be written; make it writable once" in run.stdout


def test_the_catalog_is_what_the_page_says(tmp_path: Path) -> None:
    v2 = shutil.copytree(INDEXES / "v2", tmp_path / "v2")
    edit(v2, "UPDATE head SET commits = commits")  # it can be written by any SQLite
    head = (v2 / "catalog.db").read_bytes()[:100]
    assert head[:16] == b"SQLite format 3\0"
    assert int.from_bytes(head[60:64], "big") == 2  # user_version
    assert head[68:72] == b"RAGB"  # application_id
