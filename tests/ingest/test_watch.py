"""Watching: whatever happens to the files, the index follows, and nothing is removed by mistake."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import wait_until, write_files

from ragkit import Config, Pipeline
from ragkit.errors import IndexLockedError
from ragkit.ingest.mounts import Mount, mount_of
from ragkit.ingest.watch import Watcher, WatchTimes
from ragkit.records import IndexReport
from ragkit.store.local.disk import writer_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORDS = Config().with_values({"models.embedder": "none"})
FAST = WatchTimes(quiet=0.05, longest=1.0, poll=0.2, sweep=600.0, retry=0.05)
MOUNTS = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:40 / /mnt/a\\040share rw - nfs4 server:/a rw
31 30 0:41 / /mnt/a\\040share/local rw - ext4 /dev/vdb rw
32 22 0:42 / /home/me/far rw - fuse.sshfs me@far: rw
33 22 0:43 / /c rw - 9p C: rw
"""


@dataclass
class Watching:
    """A watcher under way, and what it did and told."""

    folder: Path
    index: Path
    said: list[str] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    error: BaseException | None = None

    def update(self, roots: Sequence[str]) -> IndexReport:
        with Pipeline(self.index, WORDS) as rag:
            report = rag.index(*roots)
        self.asked.append(list(roots))
        return report

    @property
    def paths(self) -> set[str]:
        if not self.asked:
            return set()
        with Pipeline(self.index, WORDS) as rag:
            return {document.path for document in rag.documents()}

    def until(self, *paths: str) -> None:
        wait_until(lambda: self.error is not None or self.paths == set(paths))
        assert self.error is None


@contextmanager
def watching(made: Watching, times: WatchTimes = FAST, *, polls: bool = False) -> Iterator[None]:
    """Watch a folder while the block runs; the first look is over when it begins."""
    stop = threading.Event()
    watcher = Watcher(
        [str(made.folder)], made.update, made.said.append, [str(made.index)], times, polls
    )

    def run() -> None:
        try:
            watcher.run(stop)
        except BaseException as exc:  # noqa: BLE001 -- the test tells of it
            made.error = exc

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: bool(made.asked or made.said or made.error))
        yield
    finally:
        stop.set()
        thread.join(10)
    assert made.error is None


@pytest.fixture
def made(tmp_path: Path) -> Watching:
    docs = write_files(tmp_path / "docs", {"a.md": "the harbour", "b.md": "the fee"})
    return Watching(docs, tmp_path / "docs" / "index")


@pytest.fixture
def events() -> None:
    pytest.importorskip("watchfiles", reason="the extra `watch` is not installed")


@pytest.fixture(params=["events", "polling"])
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "events":
        pytest.importorskip("watchfiles", reason="the extra `watch` is not installed")
    return str(request.param)


def found(made: Watching, word: str) -> list[str]:
    with Pipeline(made.index, WORDS) as rag:
        return [hit.path for hit in rag.search(word)]


def test_saves_of_editors_are_followed(made: Watching, way: str) -> None:
    with watching(made, polls=way == "polling"):
        made.until("a.md", "b.md")
        # As vim does: the old one is moved aside, and goes when the new one stands.
        Path(made.folder / "a.md").replace(made.folder / "a.md~")
        (made.folder / "a.md").write_text("the lighthouse")
        (made.folder / "a.md~").unlink()
        wait_until(lambda: found(made, "lighthouse") == ["a.md"])
        # As office programs do: a temporary file takes the place.
        (made.folder / ".b.tmp").write_text("the mooring")
        Path(made.folder / ".b.tmp").replace(made.folder / "b.md")
        wait_until(lambda: found(made, "mooring") == ["b.md"])
        assert found(made, "harbour") == []


def test_folder_that_is_moved_in_and_out_is_followed(
    made: Watching, tmp_path: Path, way: str
) -> None:
    write_files(tmp_path / "apart", {"deep/c.md": "one", "deep/er/d.md": "two"})
    with watching(made, polls=way == "polling"):
        made.until("a.md", "b.md")
        shutil.move(tmp_path / "apart", made.folder / "in")
        made.until("a.md", "b.md", "in/deep/c.md", "in/deep/er/d.md")
        write_files(made.folder, {"in/deep/er/e.md": "three"})
        made.until("a.md", "b.md", "in/deep/c.md", "in/deep/er/d.md", "in/deep/er/e.md")
        (made.folder / "b.md").unlink()
        made.until("a.md", "in/deep/c.md", "in/deep/er/d.md", "in/deep/er/e.md")


@pytest.mark.usefixtures("events")
@pytest.mark.long
def test_a_thousand_files_at_once_are_few_updates(made: Watching) -> None:
    with watching(made, WatchTimes(quiet=0.5, longest=5.0)):
        made.until("a.md", "b.md")
        write_files(made.folder, {f"many/{i}.md": f"number {i}" for i in range(1000)})
        wait_until(lambda: len(made.paths) == 1002, seconds=60)
        count = len(made.asked)
    assert count <= 4


@pytest.mark.usefixtures("events")
@pytest.mark.long
def test_nothing_is_done_while_nothing_happens(made: Watching) -> None:
    with watching(made, WatchTimes()):
        made.until("a.md", "b.md")
        time.sleep(0.2)
        count, before = len(made.asked), time.process_time()
        assert (made.folder / "a.md").read_text() == "the harbour"  # reading is no change
        time.sleep(2)
        spent = time.process_time() - before
        assert len(made.asked) == count
    assert spent < 0.1


@pytest.mark.usefixtures("events")
def test_what_happens_in_the_index_is_no_change(made: Watching) -> None:
    with watching(made):
        made.until("a.md", "b.md")
        time.sleep(0.3)
        count = len(made.asked)
        (made.index / "x.md").write_text("not a document")
        (made.folder / ".hidden").write_text("nor this")
        time.sleep(0.4)
        assert len(made.asked) == count


def test_missing_root_removes_nothing_and_is_taken_up_again(tmp_path: Path, way: str) -> None:
    docs = write_files(tmp_path / "docs", {"a.md": "x", "b.md": "y"})
    made = Watching(docs, tmp_path / "index")
    with watching(made, polls=way == "polling"):
        made.until("a.md", "b.md")
        Path(docs).replace(tmp_path / "away")
        wait_until(lambda: any("is not there" in said for said in made.said))
        assert made.paths == {"a.md", "b.md"}
        write_files(tmp_path / "away", {"c.md": "z"})
        Path(tmp_path / "away").replace(docs)
        made.until("a.md", "b.md", "c.md")
    assert sum("is not there: waiting" in said for said in made.said) == 1


def test_mass_loss_removes_nothing_and_is_told_once(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {f"{i}.md": f"number {i}" for i in range(12)})
    made = Watching(docs, tmp_path / "index")
    with watching(made, polls=True):
        made.until(*(f"{i}.md" for i in range(12)))
        for i in range(11):
            (docs / f"{i}.md").unlink()
        wait_until(lambda: any(said.startswith("kept as it was") for said in made.said))
        count = len(made.asked)
        wait_until(lambda: len(made.asked) > count + 1)
        assert len(made.paths) == 12
    assert sum(said.startswith("kept as it was") for said in made.said) == 1


def test_held_lock_is_waited_for(made: Watching) -> None:
    tries: list[int] = []

    def update(roots: Sequence[str]) -> IndexReport:
        tries.append(len(roots))
        if len(tries) < 3:
            msg = "the index is being written by another process"
            raise IndexLockedError(msg, made.index)
        return Watching.update(made, roots)

    stop = threading.Event()
    watcher = Watcher(
        [str(made.folder)], update, made.said.append, [str(made.index)], FAST, polls=True
    )
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        made.until("a.md", "b.md")
    finally:
        stop.set()
        thread.join(10)
    assert made.said[-1] == "waiting: the index is being written by another process"
    assert len(made.said) == 2  # the other says that it polls


def test_the_lock_of_another_writer_is_waited_for(made: Watching) -> None:
    made.update([str(made.folder)])
    write_files(made.folder, {"c.md": "the pier"})
    with ExitStack() as held:
        held.enter_context(writer_lock(made.index, "ragkit compact", wait_s=0.0))
        with watching(made, polls=True):
            wait_until(lambda: any(said.startswith("waiting: ") for said in made.said))
            assert made.paths == {"a.md", "b.md"}
            held.close()
            made.until("a.md", "b.md", "c.md")
    assert "ragkit compact" in next(said for said in made.said if said.startswith("waiting: "))


def test_polling_is_told(made: Watching) -> None:
    with watching(made, polls=True):
        made.until("a.md", "b.md")
    assert made.said == [f"{made.folder} is looked at every 0.2 s: as asked for"]


def test_mount_is_polled_and_told(made: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("watchfiles", reason="the extra `watch` is not installed")
    monkeypatch.setattr("ragkit.ingest.watch.mount_of", lambda _: Mount("/mnt", "nfs4"))
    with watching(made):
        made.until("a.md", "b.md")
        write_files(made.folder, {"c.md": "z"})
        made.until("a.md", "b.md", "c.md")
    reason = "it lies on nfs4, which tells of no changes"
    assert made.said == [f"{made.folder} is looked at every 0.2 s: {reason}"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/me/docs", ("ext4", False)),
        ("/mnt/a share/docs", ("nfs4", True)),
        ("/mnt/a share/local/docs", ("ext4", False)),
        ("/mnt/a shared", ("ext4", False)),
        ("/home/me/far", ("fuse.sshfs", True)),
        ("/c/Users", ("9p", True)),
    ],
)
def test_file_system_of_a_path(tmp_path: Path, path: str, expected: tuple[str, bool]) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    mount = mount_of(path, table)
    assert mount is not None
    assert (mount.kind, mount.is_silent) == expected


def test_system_without_a_table_of_mounts_tells_none(tmp_path: Path) -> None:
    assert mount_of("/home", tmp_path / "none") is None
