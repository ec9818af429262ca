"""An index's folder is its own: what lies beside it is never deleted, and never moved."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from commands import write_files
from hash_embedder import HashEmbedder
from plain_reader import edit

from ragkit import Config, Pipeline
from ragkit.errors import ForeignFilesError, IndexCorruptError, LoadError
from ragkit.store.local.disk import delete_index, foreign_files
from ragkit.store.open import check_index, open_store

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"thesis.txt": "The notice period is three months.", "sub/photo.txt": "A photo."}


def opened(path: Path) -> Pipeline:
    return Pipeline(path, Config(), embedder=HashEmbedder())


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.txt")}


def test_a_folder_with_other_files_is_refused_as_an_index(tmp_path: Path) -> None:
    proj = write_files(tmp_path / "proj", FILES)
    before = sorted(p.name for p in proj.iterdir())
    with (
        opened(proj) as rag,
        pytest.raises(ForeignFilesError, match=r"it holds sub, thesis\.txt; an index needs") as no,
    ):
        rag.index(proj)

    assert no.value.path == proj
    assert sorted(p.name for p in proj.iterdir()) == before


def test_an_empty_folder_and_what_a_killed_creation_left_become_an_index(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    index = tmp_path / "index"
    (index / "vectors").mkdir(parents=True)
    for name in ("writer.lock", "catalog.db.new", "catalog.db.new-wal", ".learned.json.k2x_1"):
        (index / name).write_bytes(b"")

    with opened(index) as rag:
        assert len(rag.index(docs).added) == 2


def test_rebuild_in_a_folder_that_the_index_shares_leaves_all_there(tmp_path: Path) -> None:
    proj = tmp_path / "proj"
    docs = write_files(tmp_path / "docs", FILES)
    with opened(proj) as rag:
        rag.index(docs)
        write_files(proj, FILES | {"vectors/notes.txt": "mine"})
        before = tree(proj)

        assert len(rag.rebuild().added) == 2
        assert tree(proj) == before
        assert rag.index().unchanged == ("sub/photo.txt", "thesis.txt")
        assert len(rag.search("notice period")) == 2
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("gone", ["all", "most"])
def test_rebuild_with_an_emptied_folder_removes_nothing(tmp_path: Path, gone: str) -> None:
    docs = write_files(tmp_path / "docs", {f"{i}.txt": f"Rule {i}." for i in range(5)})
    with opened(tmp_path / "index") as rag:
        rag.index(docs)
        for i in range(5 if gone == "all" else 3):
            (docs / f"{i}.txt").unlink()
        with pytest.raises(LoadError, match="of its 5 documents are gone from the disk") as no:
            rag.rebuild()

        assert str(no.value.path) == str(docs)
        assert "`ragkit index --prune`" in str(no.value)
        assert len(rag.documents()) == 5
        rag.index(prune=True)
        assert len(rag.rebuild().added) == (0 if gone == "all" else 2)


def test_deleting_an_index_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    with opened(tmp_path / "index") as rag:
        rag.index(docs)
    (tmp_path / "index/vectors/00000099.f16").symlink_to(docs / "thesis.txt")
    write_files(tmp_path / "index", {"vectors/1.f16": "mine", "notes.txt": "mine"})

    delete_index(tmp_path / "index")

    left = sorted(p.relative_to(tmp_path).as_posix() for p in (tmp_path / "index").rglob("*"))
    assert left == ["index/notes.txt", "index/vectors", "index/vectors/1.f16"]
    assert foreign_files(tmp_path / "index") == ["notes.txt", "vectors/1.f16"]
    assert tree(docs) == {name: text.encode() for name, text in FILES.items()}


def test_a_link_to_an_index_is_not_followed_when_it_is_deleted(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    with opened(tmp_path / "index") as rag:
        rag.index(docs)
        (tmp_path / "link").symlink_to(tmp_path / "index")
        delete_index(tmp_path / "link")

        assert len(rag.documents()) == 2


def killed_run(index: Path) -> None:
    """Bring an index to where a kill leaves it that comes after a commit and a write."""
    child = os.fork()
    if not child:
        store = open_store(index)
        with store.writing("index docs") as writer:
            writer.decide(["/nowhere/else.md"], "accepted")
            writer.commit()
            (index / "vectors/00000009.f16").write_bytes(b"never committed")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_a_run_that_finds_nothing_to_do_puts_right_what_a_kill_left(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    index = tmp_path / "index"
    with opened(index) as rag:
        rag.index(docs)
    killed_run(index)
    with opened(index) as rag:
        assert [run["state"] for run in rag.store.runs()] == ["open", "closed"]
    assert [(p.invariant, p.repair) for p in check_index(index)] == [
        ("orphans", "the next `ragkit index` removes it")
    ]

    with opened(index) as rag:
        assert len(rag.index().unchanged) == 2
        assert [run["state"] for run in rag.store.runs()] == ["interrupted", "closed"]
    assert check_index(index) == []
    assert sorted(p.name for p in (index / "vectors").iterdir()) == ["00000001.f16"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_an_index_behind_a_link_is_rebuilt_in_its_place(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    with opened(tmp_path / "link") as rag:
        rag.index(docs)
        write_files(docs, {"new.txt": "A new file."})
        assert len(rag.rebuild().added) == 3
        assert len(rag.search("notice period")) == 3
    assert (tmp_path / "link").is_symlink()
    assert check_index(tmp_path / "far") == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["docs", "far", "link"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a tmpfs")
def test_an_index_whose_folder_is_a_mount_point_is_rebuilt_in_its_place(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    (tmp_path / "index").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path / "index")]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        with opened(tmp_path / "index") as rag:
            rag.index(docs)
            assert len(rag.rebuild().added) == 2
            assert len(rag.search("notice period")) == 2
        assert check_index(tmp_path / "index") == []
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "index")], check=False)
    assert list((tmp_path / "index").iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["docs", "index"]


def test_a_document_whose_row_was_damaged_is_cured_by_a_rebuild(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    with opened(tmp_path / "index") as rag:
        rag.index(docs)
        edit(tmp_path / "index", "UPDATE documents SET title = 'another' WHERE path = 'thesis.txt'")
        with pytest.raises(
            IndexCorruptError, match=r"thesis\.txt was changed; .* `ragkit rebuild --from files`"
        ):
            rag.documents()

        assert rag.rebuild().added == ("sub/photo.txt", "thesis.txt")
        assert {d.title for d in rag.documents()} == {"photo", "thesis"}
    assert check_index(tmp_path / "index") == []


def test_a_text_that_no_file_has_is_not_left_out_of_a_rebuild(tmp_path: Path) -> None:
    with opened(tmp_path / "index") as rag:
        rag.add("The key hangs in the hall.", id="key")
        edit(tmp_path / "index", "UPDATE documents SET title = 'another'")
        with pytest.raises(IndexCorruptError, match=r"no file has this text; .* backup"):
            rag.rebuild("files")
    with closing(sqlite3.connect(tmp_path / "index/catalog.db")) as connection:
        assert connection.execute("SELECT text FROM chunks WHERE died IS NULL").fetchall() == [
            ("The key hangs in the hall.",)
        ]


def test_an_empty_log_that_a_reader_left_means_nothing(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    index = tmp_path / "index"
    with opened(index) as rag:
        rag.index(docs)  # whose reader closes after its writer
    assert (index / "catalog.db-wal").stat().st_size == 0
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (index / name).unlink()
    assert check_index(index) == []
    with opened(index) as rag:
        assert len(rag.documents()) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
def test_only_its_owner_can_read_a_new_index(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    index = tmp_path / "index"
    with opened(index) as rag:
        rag.index(docs)
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in index.rglob("*")}
    folders = {"index": stat.S_IMODE(index.stat().st_mode), "vectors": modes.pop("vectors")}
    assert folders == {"index": 0o700, "vectors": 0o700}
    assert set(modes.values()) == {0o600}, modes

    index.chmod(0o755)  # somebody's wish, which is kept
    with opened(index) as rag:
        rag.index(docs)
    assert stat.S_IMODE(index.stat().st_mode) == 0o755
