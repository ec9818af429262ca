"""A backup file: what it holds, what is refused, and that nothing half made takes a name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from plain_reader import read_living
from store_factory import dense, ingest, new_store, put, vector_of

from ragkit.errors import IndexExistsError, StoreError
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore
from ragkit.store.open import check_index, restore_store

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = SegmentSizes(rows=32, coded=16)
TEXTS = {f"{i}.txt": [f"text {i} {j}" for j in range(5)] for i in range(20)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = new_store(tmp_path / "ix", sizes=SIZES)
    ingest(made, TEXTS)
    yield made
    made.close()


@pytest.fixture
def file(store: LocalStore, tmp_path: Path) -> Path:
    store.backup(tmp_path / "ix.tar")
    return tmp_path / "ix.tar"


def test_a_backup_is_a_plain_tar_with_the_hash_of_everything_in_it(
    store: LocalStore, file: Path
) -> None:
    with tarfile.open(file, "r:") as archive:
        data = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]  # files all
    *names, last = data
    contents = json.loads(data[last])
    assert last == "contents.json"
    assert (contents["archive"], contents["format"], contents["index"]) == (1, 2, "ix")
    # One full segment a commit gets its lists, which take the place of its codes.
    assert names == [
        "catalog.db", "vectors/00000001.f16", "vectors/00000001.ivf",
        *(f"vectors/0000000{i}.{e}" for i in (2, 3) for e in ("f16", "rbq")),
        "vectors/00000004.f16",
    ]  # fmt: skip
    assert contents["files"] == {
        name: {"size": len(data[name]), "sha256": hashlib.sha256(data[name]).hexdigest()}
        for name in names
    }
    for name in names[1:]:
        assert data[name] == (store.path / name).read_bytes()
    assert sorted(p.name for p in file.parent.iterdir()) == ["ix", "ix.tar"]


def test_a_restored_index_is_the_same_and_another_one(file: Path, tmp_path: Path) -> None:
    path = restore_store(file, tmp_path / "indexes")
    assert path == tmp_path / "indexes" / "ix"
    assert read_living(path) == read_living(tmp_path / "ix")
    assert check_index(path) == []
    assert sorted(p.name for p in path.parent.iterdir()) == ["ix"]
    identities = {LocalStore(p)._identity for p in (path, tmp_path / "ix")}
    assert len(identities) == 2


def test_what_is_there_is_not_replaced(file: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexExistsError, match=r"there is an index at .*ix already"):
        restore_store(file, tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(IndexExistsError, match="there is something at"):
        restore_store(file, tmp_path, "mine")
    assert (tmp_path / "mine/notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert check_index(restore_store(file, tmp_path, "empty")) == []
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(IndexExistsError):
        restore_store(file, tmp_path, "link")


def test_a_place_that_is_named_from_the_working_folder(
    store: LocalStore, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_index(restore_store(file, tmp_path, "./there/ix")) == []
    assert (tmp_path / "there/ix/catalog.db").is_file()
    with pytest.raises(StoreError, match="there is no folder none: make it, or name another"):
        store.backup(Path("none/ix.tar"))
    Path("link.tar").symlink_to("elsewhere.tar")
    with pytest.raises(StoreError, match=r"link.tar is there already"):
        store.backup(Path("link.tar"))
    assert not Path("elsewhere.tar").exists()


def rewritten(file: Path, change: Any) -> Path:
    """The archive again, its members changed by a function: a list of (TarInfo, bytes)."""
    with tarfile.open(file, "r:") as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive]  # type: ignore[union-attr]  # files all
    made = file.with_name("changed.tar")
    with tarfile.open(made, "w") as archive:
        for member, data in change(members):
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made


def info(name: str, **fields: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def with_contents(members: list[Any], **changes: Any) -> list[Any]:
    *others, (last, text) = members
    return [*others, (last, json.dumps(json.loads(text) | changes).encode())]


HOSTILE = {
    "a path upwards": lambda ms: [(info("../evil"), b"x"), *ms],
    "an absolute path": lambda ms: [(info("/tmp/evil"), b"x"), *ms],  # noqa: S108 -- must not be made
    "a path upwards behind a name of ours": lambda ms: [(info("vectors/../../evil"), b"x"), *ms],
    "a link": lambda ms: [(info("catalog.db", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b""),
                          *ms[1:]],
    "a hard link": lambda ms: [(info("vectors/00000009.f16", type=tarfile.LNKTYPE,
                                     linkname="catalog.db"), b""), *ms],
    "a folder": lambda ms: [(info("vectors", type=tarfile.DIRTYPE), b""), *ms],
    "a file that the format does not list": lambda ms: [(info("writer.lock"), b"x"), *ms],
    "a file twice": lambda ms: [ms[0], *ms],
    "a changed byte": lambda ms: [ms[0], (ms[1][0], b"\1" + ms[1][1][1:]), *ms[2:]],
    "a shorter file": lambda ms: [ms[0], (ms[1][0], ms[1][1][:-1]), *ms[2:]],
    "a file less": lambda ms: [ms[0], *ms[2:]],
    "no contents": lambda ms: ms[:-1],
    "contents that are no JSON": lambda ms: [*ms[:-1], (ms[-1][0], b"{")],
    "contents of another kind": lambda ms: [*ms[:-1], (ms[-1][0], b"[1]")],
    "contents without a catalog": lambda ms: with_contents(ms, files={}),
    "a newer archive": lambda ms: with_contents(ms, archive=2),
    "a newer format": lambda ms: with_contents(ms, format=99),
    "a catalog that is none": lambda ms: _with_catalog(ms, b"not a catalog" * 99),
}  # fmt: skip


def _with_catalog(members: list[Any], data: bytes) -> list[Any]:
    files = json.loads(members[-1][1])["files"]
    files["catalog.db"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return with_contents([(members[0][0], data), *members[1:]], files=files)


@pytest.mark.parametrize("change", HOSTILE.values(), ids=list(HOSTILE))
def test_what_no_backup_holds_is_refused_and_leaves_nothing(
    file: Path, change: Any, tmp_path: Path
) -> None:
    bad = rewritten(file, change)
    target = tmp_path / "indexes"
    with pytest.raises(StoreError):
        restore_store(bad, target, "ix")
    assert not target.exists() or list(target.iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


def test_a_file_that_was_cut_off_anywhere_is_refused(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    end = whole.rindex(b"contents.json")  # what follows its data is padding
    for size in [*range(0, end, end // 40), end + 511]:
        cut = tmp_path / "cut.tar"
        cut.write_bytes(whole[:size])
        with pytest.raises(StoreError, match="no backup that can be restored"):
            restore_store(cut, tmp_path / "indexes")
    assert not (tmp_path / "indexes" / "ix").exists()


def test_a_backup_made_while_a_writer_commits_is_one_of_its_commits(
    store: LocalStore, tmp_path: Path
) -> None:
    stop = threading.Event()

    def write() -> None:
        i = 0
        while not stop.is_set():
            ingest(store, {f"n{i}.txt": [f"new {i} {j}" for j in range(7)]})
            i += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with_reader = LocalStore(store.path)
        for number in range(8):
            with_reader.backup(tmp_path / f"{number}.tar")
    finally:
        stop.set()
        thread.join()
    for number in range(8):
        path = restore_store(tmp_path / f"{number}.tar", tmp_path, f"r{number}")
        assert check_index(path) == []
        found = read_living(path)
        assert {p: [c.text for c in found[p]] for p in TEXTS} == TEXTS
        new = sorted(p for p in found if p.startswith("n"))
        assert new == sorted(f"n{i}.txt" for i in range(len(new)))
        assert all(len(found[p]) == 7 for p in new)


def test_of_two_backups_to_one_file_the_second_is_refused(
    store: LocalStore, tmp_path: Path
) -> None:
    file, refused = tmp_path / "b.tar", list[str]()

    def another(_done: int, _total: int) -> None:
        if not refused:
            with pytest.raises(StoreError) as told:
                store.backup(file)
            refused.append(str(told.value))

    size = store.backup(file, another)
    assert refused == [f"{file} is being made by another backup: wait for it, or give another name"]
    assert file.stat().st_size == size
    assert check_index(restore_store(file, tmp_path, "r")) == []
    assert [p.name for p in tmp_path.glob(".b.tar*")] == []


def test_a_file_that_came_while_a_backup_was_made_is_not_replaced(
    store: LocalStore, tmp_path: Path
) -> None:
    file = tmp_path / "b.tar"

    def meanwhile(_done: int, _total: int) -> None:
        file.write_bytes(b"mine")

    with pytest.raises(StoreError, match="is there already"):
        store.backup(file, meanwhile)
    assert file.read_bytes() == b"mine"
    file.unlink()
    (tmp_path / ".b.tar.part").write_bytes(b"left by a kill" * 10_000)
    assert store.backup(file) == file.stat().st_size
    assert check_index(restore_store(file, tmp_path, "r")) == []


def test_a_backup_while_it_is_compacted_is_whole(store: LocalStore, tmp_path: Path) -> None:
    for run in range(6):
        with store.writing("index") as writer:
            for i in range(0, 20, 2):
                put(writer, f"{i}.txt", [f"text {i} {run} {j}" for j in range(5)])
            writer.retain(last=1, days=0)
    done: list[str] = []

    def compact_in_the_middle(_done: int, _total: int) -> None:
        if not done:
            done.append("")
            LocalStore(store.path, sizes=SIZES).compact()

    before = read_living(store.path)
    store.backup(tmp_path / "b.tar", compact_in_the_middle)
    assert done
    assert read_living(restore_store(tmp_path / "b.tar", tmp_path, "r")) == before
    assert check_index(tmp_path / "r") == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_a_full_disk_leaves_neither_half_a_backup_nor_half_an_index(
    store: LocalStore, file: Path, tmp_path: Path, what: str
) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000,) * 2)\n"
        "from ragkit.errors import StorageFullError\n"
        "from ragkit.store.open import open_store, restore_store\n"
        "what, index, file, to = sys.argv[1], *map(Path, sys.argv[2:])\n"
        "try:\n"
        "    if what == 'backup': open_store(index).backup(to / 'new.tar')\n"
        "    else: restore_store(file, to, 'new')\n"
        "except StorageFullError as exc: sys.exit(28)\n"
    )
    to = tmp_path / "to"
    to.mkdir()
    words = [sys.executable, "-c", script, what, str(store.path), str(file), str(to)]
    assert subprocess.run(words, env=os.environ, check=False).returncode == 28
    assert list(to.iterdir()) == []


def test_a_restored_index_is_written_on(file: Path, tmp_path: Path) -> None:
    restored = LocalStore(restore_store(file, tmp_path, "r"), sizes=SIZES)
    assert ingest(restored, {"new.txt": ["new"]}) == 2
    assert dense(restored, vector_of("new"), 1)[0].path == "new.txt"
    assert [h.text for h in dense(restored, vector_of("new"), as_of=1)] != ["new"]
    restored.close()
