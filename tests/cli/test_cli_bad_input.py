"""A data folder that cannot be written, and an index that is somebody else's or lies elsewhere."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest
from commands import Shell, ordinary_user, write_files

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ("--embedder", "none")
STRANGER = 4321  # the number of a user that there is not


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A user without the superuser's rights, with a folder of documents."""
    write_files(tmp_path / "docs", {"key.txt": "The key hangs in the hall.\n"})
    shell = Shell(tmp_path)
    shell.before = ordinary_user()
    return shell


def digests(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_data_folder_that_cannot_be_written_is_said_with_what_to_do(shell: Shell) -> None:
    (shell.folder / "closed").mkdir(mode=0o555)
    (shell.folder / "file").touch()

    closed = shell("index", "docs", *WORDS, code=1, RAGKIT_INDEXES="closed/indexes")
    file = shell("index", "docs", *WORDS, code=1, RAGKIT_INDEXES="file")

    place = shell.folder / "closed/indexes"
    assert closed.err.splitlines()[-1] == (
        f"ragkit: no index can be made at {place}/docs: {place}: Permission denied; choose a "
        "folder that you may write to, with `--index PATH` or the setting `indexes`"
    )
    assert f"no index can be made at {shell.folder}/file/docs: " in file.err
    assert "Not a directory; choose a folder" in file.err
    assert shell("index", "docs", *WORDS, "-i", "./mine").out.startswith("1 added\n")


def test_an_index_that_belongs_to_somebody_else_is_named_and_stays_as_it_is(shell: Shell) -> None:
    shell("index", "docs", *WORDS)
    theirs = shell.folder / "indexes/docs"
    before = digests(theirs)
    if os.geteuid() == 0:
        os.chown(theirs, STRANGER, -1)
        told = f"it belongs to user {STRANGER}: ask for the right to use it, or make an index of"
    else:
        theirs.chmod(0)
        told = "make it writable for this user: `chmod -R u+rwX"

    for words in (("index", "docs"), ("ask", "key"), ("check",), ("delete", "docs", "-y")):
        said = shell(*words, code=1).err.splitlines()[-1]
        assert said.startswith(f"ragkit: {theirs}")
        assert "Permission denied; " in said
        assert told in said
    assert told in shell("indexes").out
    assert "FAIL  index docs" in shell("doctor", code=1).out
    assert shell("index", "docs", *WORDS, "-i", "mine").out.startswith("1 added\n")
    assert "there are 2 indexes" in shell("ask", "key", code=10).err

    theirs.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(theirs, 0, -1)
    assert digests(theirs) == before


def test_an_index_that_was_moved_is_named_by_its_path(shell: Shell) -> None:
    shell("index", "docs", *WORDS)
    (shell.folder / "indexes/docs").rename(shell.folder / "elsewhere")

    lost = shell("search", "key", "-i", "docs", code=10).err

    assert f"no index at {shell.folder}/indexes/docs; " in lost
    assert "one that lies elsewhere is named by its path" in lost
    assert shell("index", "-i", "./elsewhere").out == "1 unchanged\n"
    assert shell("search", "key", "-i", "./elsewhere").out.startswith("1. key.txt")
