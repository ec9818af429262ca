"""Files become documents, chunks and texts alike in this process and in another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import REPOSITORY, is_gone, wait_until

from ragkit.config import LoadSettings, SplitSettings
from ragkit.errors import ConfigError, LoadError, UnsupportedFormatError
from ragkit.ingest.child import APART_BYTES, reader_ahead
from ragkit.ingest.prepare import Prepared, Preparer

if TYPE_CHECKING:
    pass

PREPARER = Preparer(LoadSettings(), SplitSettings(), 512)


@pytest.fixture
def sources(tmp_path: Path) -> list[tuple[Path, Path]]:
    """Files of several kinds, with more text than a pipe holds."""
    body = "".join(
        f"## Part {i}\n\nThe term is {i} months. 合同期限为{i}个月。\n\n" for i in range(900)
    )
    contents = {
        "broken.pdf": b"%PDF-1.7 and no more",
        "empty.txt": b"",
        "page.html": b"<html><title>Rent</title><body><p>The rent is due.</p></body></html>",
        "picture.png": b"\x89PNG",
        **{f"{i:03}.md": f"# Contract {i}\n\n{body}".encode() for i in range(40)},
        "last.csv": b"name,term\nA,3\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [(tmp_path / name, tmp_path) for name in contents] + [(tmp_path / "gone.txt", tmp_path)]


@pytest.fixture
def huge_between(tmp_path: Path) -> list[tuple[Path, Path]]:
    """A file of 64 MB between two short ones."""
    contents = {"a.txt": "One.\n", "huge.txt": "Word upon word. " * 4_000_000, "z.txt": "Two.\n"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return [(tmp_path / name, tmp_path) for name in contents]


def shown(result: Prepared | LoadError) -> object:
    if isinstance(result, LoadError):
        return type(result), str(result), str(result.path)
    return result


def children(pid: int | None = None) -> list[int]:
    pid = pid or os.getpid()
    task = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(pid) for pid in task.read_text().split()]


@pytest.mark.long
def test_another_process_gives_what_this_one_gives(sources: list[tuple[Path, Path]]) -> None:
    apart = list(PREPARER.prepare(sources, size_bytes=APART_BYTES))
    here = list(PREPARER.here(sources))
    assert [shown(result) for result in apart] == [shown(result) for result in here]
    names = {source[0].name: result for source, result in zip(sources, apart, strict=True)}
    assert isinstance(names["picture.png"], UnsupportedFormatError)
    assert str(names["gone.txt"]) == "cannot be read: No such file or directory"
    contract = names["007.md"]
    assert isinstance(contract, Prepared)
    assert contract.document.title == "Contract 7"
    assert all(contract.document.text[c.start : c.end] == c.text for c in contract.chunks)
    assert len(contract.texts) == len(contract.chunks) > 50


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
@pytest.mark.long
def test_what_a_process_that_died_did_not_reach_is_prepared_here(
    sources: list[tuple[Path, Path]],
) -> None:
    before = children()
    results = PREPARER.prepare(sources, size_bytes=APART_BYTES)
    found = [next(results)]
    (child,) = set(children()) - set(before)
    os.kill(child, signal.SIGKILL)
    found += results
    assert [shown(result) for result in found] == [shown(r) for r in PREPARER.here(sources)]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_process_started_ahead_is_used_once_if_it_lives(
    tmp_path: Path, *, is_killed: bool
) -> None:
    (tmp_path / "a.md").write_text("# A\n\nThe term is three months.\n")
    sources = [(tmp_path / "a.md", tmp_path)]
    before = set(children())
    with reader_ahead() as reader:
        assert reader is not None
        if is_killed:
            reader.kill()
            reader.wait()
        preparer = replace(PREPARER, started=reader)
        for may_be_ahead in (True, False):
            results = preparer.prepare(sources, size_bytes=APART_BYTES)
            found = [next(results)]
            working = set(children()) - before
            assert (working == {reader.pid}) == (may_be_ahead and not is_killed)
            assert len(working) == 1
            assert [shown(r) for r in (*found, *results)] == [shown(*PREPARER.here(sources))]
    assert set(children()) == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_process_started_ahead_in_vain_is_ended() -> None:
    before, failure = set(children()), LoadError("no model", Path("a.md"))
    with pytest.raises(LoadError), reader_ahead() as reader:
        raise failure
    assert reader is not None
    assert reader.returncode is not None
    assert set(children()) == before


def kill_when_large(known: set[int], size_bytes: int) -> int:
    """Kill the next child that holds so much memory, as a system does that has no more."""
    large: list[int] = []

    def is_there() -> bool:
        large.extend(pid for pid in set(children()) - known if memory_bytes(pid) > size_bytes)
        return bool(large)

    wait_until(is_there)
    os.kill(large[0], signal.SIGKILL)
    return large[0]


def memory_bytes(pid: int) -> int:
    """What a process that reads files holds; 0 for another, and before it has begun."""
    process = Path(f"/proc/{pid}")
    try:
        if b"ragkit.ingest.prepare" not in (process / "cmdline").read_bytes():
            return 0  # it still has its parent's memory
        pages = int((process / "statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_file_on_which_the_process_dies_again_has_failed_and_the_rest_goes_on(
    huge_between: list[tuple[Path, Path]],
) -> None:
    size = 120 << 20
    before = set(children())

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kill_when_large, before, size)
        results = PREPARER.prepare(huge_between, size_bytes=APART_BYTES)
        found = [next(results)]
        second = pool.submit(lambda: kill_when_large(before | {first.result()}, size))
        found += results

    assert first.result() != second.result()
    assert [shown(result) for result in found[::2]] == [
        shown(result) for result in PREPARER.here(huge_between[::2])
    ]
    assert isinstance(found[1], LoadError)
    assert found[1].path == huge_between[1][0]
    assert str(found[1]) == (
        "the process that reads files died on it (signal SIGKILL); "
        "it may need more memory than there is"
    )


LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from test_prepare import PREPARER
files = [Path(name) for name in sys.argv[1:]]
list(PREPARER.here([(files[0], files[0].parent)]))  # what is imported on the way is there now
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (150 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for result in PREPARER.here([(file, file.parent) for file in files]):
    print(result if isinstance(result, Exception) else result.texts)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit of memory")
def test_a_file_that_needs_more_memory_than_there_is_has_failed(
    huge_between: list[tuple[Path, Path]],
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, *(file for file, _ in huge_between)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines() == ["['One.']", "needs more memory than there is", "['Two.']"]


def test_what_the_process_failed_with_is_told_once(
    sources: list[tuple[Path, Path]], caplog: pytest.LogCaptureFixture
) -> None:
    broken = Preparer(LoadSettings(), SplitSettings(), None)  # type: ignore[arg-type]  # a bug
    results = broken.prepare(sources[2:], size_bytes=APART_BYTES)
    with pytest.raises(TypeError, match="NoneType"):
        list(results)
    (record,) = caplog.records
    assert "Traceback" in record.getMessage()
    assert "TypeError: '<' not supported between instances of 'NoneType'" in record.getMessage()


def test_a_wrong_setting_is_no_failure_of_the_process(
    sources: list[tuple[Path, Path]], caplog: pytest.LogCaptureFixture
) -> None:
    narrow = Preparer(LoadSettings(), SplitSettings(), max_tokens=100)
    results = narrow.prepare(sources[2:], size_bytes=APART_BYTES)
    with pytest.raises(ConfigError, match="reads only 100 tokens"):
        list(results)
    assert caplog.records == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_results_that_nobody_wants_any_more_leave_no_process(
    sources: list[tuple[Path, Path]],
) -> None:
    before = children()
    results = PREPARER.prepare(sources, size_bytes=APART_BYTES)
    next(results)
    assert children() != before
    results.close()
    assert children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
@pytest.mark.long
def test_a_parser_that_hangs_ends_with_the_run(sources: list[tuple[Path, Path]]) -> None:
    before = children()
    results = PREPARER.prepare([sources[0]] * 4 + sources, size_bytes=APART_BYTES)
    next(results)
    (child,) = set(children()) - set(before)
    (parser,) = children(child)
    os.kill(parser, signal.SIGSTOP)
    results.close()
    assert children() == before
    assert is_gone(parser)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_few_files_need_no_process(sources: list[tuple[Path, Path]]) -> None:
    before = children()
    results = PREPARER.prepare(sources[4:6], size_bytes=APART_BYTES - 1)
    assert isinstance(next(results), Prepared)
    assert children() == before
