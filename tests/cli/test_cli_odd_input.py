"""What a person types who does not know ragkit yet: the wrong file, the wrong place, a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import CLOSED, REPOSITORY, Shell, write_files

from ragkit.errors import LoadError
from ragkit.verify.answers import read_answer

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ("--embedder", "none")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with a document and a file that is none."""
    write_files(tmp_path, {"docs/key.txt": "The key hangs in the hall.\n", "file": "no index"})
    return Shell(tmp_path)


def last(said: str) -> str:
    return said.splitlines()[-1]


def test_a_question_may_come_from_standard_input(shell: Shell) -> None:
    shell("index", "docs", *WORDS)

    asked = shell.piped(b"where is the key,\nplease?\n", "search", "-")
    empty = shell.piped(b" \n", "ask", "-")

    assert asked.stdout.startswith(b"1. key.txt")
    assert (empty.returncode, b"it is empty" in empty.stderr) == (2, True)


def test_a_chat_model_that_was_named_and_cannot_be_asked_is_told_each_time(shell: Shell) -> None:
    shell("index", "docs", *WORDS)
    shell("ask", "Where does the key hang?")

    said = shell("ask", "Where does the key hang?", "--chat", "llama3.2")

    assert "The key hangs in the hall." in said.out
    assert said.err == f"(llama3.2 was not asked: no server answers at {CLOSED})\n"


def test_an_answer_that_did_not_come_through_the_pipe_is_called_empty() -> None:
    with pytest.raises(LoadError, match=r"^standard input is empty: .* `ragkit ask --json`"):
        read_answer(b"\n", "standard input")


def test_no_index_is_made_or_looked_for_in_a_file(shell: Shell) -> None:
    made = last(shell("index", "docs", *WORDS, "-i", "./file", code=1).err)
    asked = last(shell("ask", "key", "-i", "./file", code=10).err)

    file = shell.folder / "file"
    assert made == (
        f"ragkit: no index can be made at {file}: it is a file; choose a folder that you may write "
        "to, with `--index PATH` or the setting `indexes`"
    )
    assert asked.startswith(f"ragkit: {file} is no index; `ragkit index FOLDER` makes one")
    assert file.read_text() == "no index"


@pytest.mark.parametrize(
    ("name", "reason"), [("no.tar", "No such file or directory"), ("docs", "Is a directory")]
)
def test_what_cannot_be_restored_is_named(shell: Shell, name: str, reason: str) -> None:
    said = last(shell("restore", name, code=1).err)

    assert said == (
        f"ragkit: {name} cannot be read: {reason}; name a file that `ragkit backup` wrote"
    )


def test_a_file_that_was_indexed_alone_is_accepted_by_the_name_that_reports_give_it(
    shell: Shell,
) -> None:
    shell("index", "docs/key.txt", *WORDS)
    key = shell.folder / "docs/key.txt"

    assert shell("accept", "key.txt").out == f"{key} is accepted as it is\n"


def test_a_closed_stream_ends_no_command(shell: Shell) -> None:
    shell.before = ("sh", "-c", 'exec "$0" "$@" 2>&-')

    assert shell("index", "docs", *WORDS).out.startswith("1 added\n")


def test_no_file_gets_the_number_of_a_closed_stream() -> None:
    program = "from ragkit.cli.terminal import guard_descriptors; guard_descriptors(); import os; "
    program += "os.write(1, os.readlink('/proc/self/fd/2').encode())"
    closed = ("sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, "-c", program)
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}

    assert subprocess.check_output(closed, env=env) == b"/dev/null"
