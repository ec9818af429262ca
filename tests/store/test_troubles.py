"""Permissions, a full disk, a folder that moves: each message says what to do."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from commands import Shell, ordinary_user, write_files
from store_factory import dense, ingest, new_store, put, vector_of

from ragkit.errors import IndexNotFoundError, StorageFullError, StoreError
from ragkit.store.local.store import LocalStore
from ragkit.store.local.troubles import of_sqlite
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ollama_double.server import OllamaServer


@pytest.fixture
def shell(tmp_path: Path, ollama: OllamaServer) -> Shell:
    """An index ``docs`` of one file, and a user who is not the superuser."""
    shell = Shell(tmp_path, ollama.url)
    shell.before = ordinary_user()
    write_files(tmp_path / "docs", {"a.txt": "The lighthouse keeper.\n"})
    shell("index", "docs")
    return shell


@pytest.fixture
def index(shell: Shell) -> Iterator[Path]:
    """The index, whose files are made writable again at the end."""
    path = shell.folder / "indexes/docs"
    yield path
    path.chmod(0o755)
    for file in path.iterdir():
        file.chmod(0o755)


def leave_a_log(index: Path) -> None:
    """Bring an index to where a kill leaves it: with commits that are only in the log."""
    with closing(sqlite3.connect(index / "catalog.db")) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("UPDATE head SET commits = commits + 1")
        writer.commit()
        shutil.copytree(index, index.with_name("copy"))
    shutil.rmtree(index)
    index.with_name("copy").rename(index)
    (index / "catalog.db-shm").unlink()
    assert (index / "catalog.db-wal").stat().st_size


@pytest.mark.parametrize(
    "words", [("list",), ("search", "--mode", "keyword", "keeper"), ("check",)]
)
def test_a_log_in_a_folder_that_cannot_be_written(
    shell: Shell, index: Path, words: tuple[str, ...]
) -> None:
    leave_a_log(index)
    index.chmod(0o555)
    said = shell(*words, code=1).err
    assert "a run that was killed left a log in it that has to be read first" in said
    assert f"make it writable for this user: `chmod -R u+rwX {index}`" in said
    index.chmod(0o755)
    shell(*words)


def test_a_folder_that_cannot_be_written_is_read_and_not_indexed(shell: Shell, index: Path) -> None:
    write_files(shell.folder / "docs", {"b.txt": "The lantern.\n"})
    assert (index / "catalog.db-wal").stat().st_size == 0
    index.chmod(0o555)
    assert "a.txt" in shell("list").out
    assert shell("check").out.endswith("every invariant holds\n")
    index.chmod(0o755)
    for name in ("catalog.db-wal", "catalog.db-shm"):  # with these SQLite can do without others
        (index / name).unlink(missing_ok=True)
    index.chmod(0o555)
    for words in (("index", "docs"), ("rebuild",)):
        said = shell(*words, code=1).err
        assert "make it writable for this user: `chmod -R u+rwX" in said, words


def test_a_catalog_that_may_not_be_read(shell: Shell, index: Path) -> None:
    (index / "catalog.db").chmod(0o000)
    for words in (("list",), ("check",), ("index", "docs")):
        said = shell(*words, code=1).err
        assert "docs/catalog.db may not be read by this user: make it writable" in said, words
    assert "may not be read by this user" in shell("doctor", code=1).out


def test_a_catalog_that_may_not_be_written(shell: Shell, index: Path) -> None:
    (index / "catalog.db").chmod(0o444)
    write_files(shell.folder / "docs", {"b.txt": "The lantern.\n"})
    assert "a.txt" in shell("list").out
    for words in (("index", "docs"), ("remove", "a.txt")):
        said = shell(*words, code=1).err
        assert "make it writable for this user: `chmod -R u+rwX" in said, words
        assert "attempt to write" not in said.split(";")[-1]


def test_a_folder_that_is_moved_during_a_run(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    ingest(store, {"a.txt": ["a"]})
    moved = tmp_path / "moved"

    def write() -> None:
        with store.writing("index") as writer:
            put(writer, "b.txt", ["b"])
            writer.commit()
            (tmp_path / "index").rename(moved)
            put(writer, "c.txt", ["c"])
            writer.commit()

    with pytest.raises(IndexNotFoundError, match=r"it was moved, deleted or unmounted; .* --index"):
        write()
    store.close()
    assert check_index(moved) == []
    with closing(LocalStore(moved)) as again:
        ingest(again, {"c.txt": ["c"]})
        assert [d.path for d in again.documents()] == ["a.txt", "b.txt", "c.txt"]


def fill(file: Path) -> None:
    """Write a file until the disk is full."""
    with suppress(OSError), file.open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a tmpfs")
def test_a_full_disk_is_named_where_sqlite_says_that_it_cannot_open_a_file(
    tmp_path: Path,
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        store = new_store(small / "index")
        fill(small / "filler")
        with pytest.raises(StorageFullError, match="is full; what was committed before is intact"):
            ingest(store, {"a.txt": ["a"]})
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN  # as SQLite sets it
        assert isinstance(of_sqlite(error, small / "index"), StorageFullError)
        (small / "copy").touch()  # as a backup makes one of the catalog
        assert isinstance(of_sqlite(error, small / "copy"), StorageFullError)
        (small / "filler").unlink()
        ingest(store, {"a.txt": ["a"]})
        assert dense(store, vector_of("a"), 1)[0].text == "a"
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_failing_disk_is_named(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    found = of_sqlite(error, tmp_path)
    assert type(found) is StoreError
    assert "the disk failed: disk I/O error; what was committed before is kept" in str(found)
