"""``ragkit watch`` as its users run it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from commands import Shell, wait_until, write_files

if TYPE_CHECKING:
    from pathlib import Path

WATCH = ("watch", "--embedder", "none", "--poll", "0.2")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    write_files(tmp_path / "docs", {"a.md": "the harbour"})
    return Shell(tmp_path)


def test_updates_are_lines_and_ctrl_c_ends_it(shell: Shell) -> None:
    with shell.started(*WATCH, "docs") as process:
        assert process.stdout is not None
        assert process.stdout.readline()[9:].startswith("1 added, 1 passage,")
        write_files(shell.folder / "docs", {"b.md": "the fee"})
        assert process.stdout.readline().rstrip().endswith(": b.md")
        (shell.folder / "docs/b.md").write_text("the free fee")
        assert "1 changed" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    lines = err.splitlines()
    assert lines[1].startswith("watching ")
    assert lines[1].endswith("docs; Ctrl-C ends it")
    assert lines[-1] == "ragkit: interrupted; what was committed is kept"


def test_killed_run_is_completed_by_the_next(shell: Shell) -> None:
    write_files(shell.folder / "docs", {f"{i}.md": f"number {i} " * 200 for i in range(300)})
    with shell.started(*WATCH, "docs") as process:
        wait_until(lambda: any((shell.folder / "indexes/docs").glob("*")))
        process.kill()
    with shell.started(*WATCH, "--json", "docs") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert len(first["added"]) + len(first["unchanged"]) == 301
    assert len(shell("list", "--json").json) == 301
    shell("check")


def test_folder_that_was_removed_by_hand_stays_removed(shell: Shell) -> None:
    write_files(shell.folder / "docs", {"b.md": "the fee", "c.md": "the rope"})
    shell("index", "--embedder", "none", "docs")
    shell("remove", "docs/b.md")
    with shell.started(*WATCH) as process:
        assert process.stdout is not None
        write_files(shell.folder / "docs", {"d.md": "the buoy"})
        assert process.stdout.readline().rstrip().endswith(": d.md")
    assert [d["path"] for d in shell("list", "--json").json] == ["a.md", "c.md", "d.md"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [(["none.d"], 1, "no such file or folder"), ([], 10, "ragkit: ")],
)
def test_nothing_to_watch_is_an_error(shell: Shell, words: list[str], code: int, told: str) -> None:
    assert told in shell(*WATCH, *words, code=code).err
