"""Files become documents, chunks and texts alike in this process and in another."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import is_gone

from ragkit.config import LoadSettings, SplitSettings
from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.prepare import APART_BYTES, Prepared, Preparer

if TYPE_CHECKING:
    from ragkit.prepare import Source

PREPARER = Preparer(LoadSettings(), SplitSettings(), 512)


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
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


def shown(result: Prepared | LoadError) -> object:
    if isinstance(result, LoadError):
        return type(result), str(result), str(result.path)
    return result


def children(pid: int | None = None) -> list[int]:
    pid = pid or os.getpid()
    task = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(pid) for pid in task.read_text().split()]


def test_another_process_gives_what_this_one_gives(sources: list[Source]) -> None:
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
def test_what_a_process_that_died_did_not_reach_is_prepared_here(sources: list[Source]) -> None:
    before = children()
    results = PREPARER.prepare(sources, size_bytes=APART_BYTES)
    found = [next(results)]
    (child,) = set(children()) - set(before)
    os.kill(child, signal.SIGKILL)
    found += results
    assert [shown(result) for result in found] == [shown(r) for r in PREPARER.here(sources)]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_results_that_nobody_wants_any_more_leave_no_process(sources: list[Source]) -> None:
    before = children()
    results = PREPARER.prepare(sources, size_bytes=APART_BYTES)
    next(results)
    assert children() != before
    results.close()
    assert children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_parser_that_hangs_ends_with_the_run(sources: list[Source]) -> None:
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
def test_a_few_files_need_no_process(sources: list[Source]) -> None:
    before = children()
    results = PREPARER.prepare(sources[4:6], size_bytes=APART_BYTES - 1)
    assert isinstance(next(results), Prepared)
    assert children() == before
