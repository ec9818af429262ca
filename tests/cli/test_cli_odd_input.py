"""What a person types who does not know ragkit yet: the wrong file, the wrong place, a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import CLOSED, REPOSITORY, Shell, ordinary_user, write_files

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


def test_a_number_or_day_beyond_all_reason_is_refused_in_words(shell: Shell) -> None:
    shell("index", "docs", *WORDS)

    for as_of, code in (("9" * 20, 1), ("0001-01-01", 2)):
        for words in (("search", "key", "--as-of", as_of), ("diff", as_of)):
            assert last(shell(*words, code=code).err).startswith("ragkit: ")
    assert "index docs" in shell("log", "--limit", "9" * 20).out
    assert "key.txt" in shell("search", "key", "-k", "9" * 20).out
    for name in ("history.days", "load.max_file_mb", "load.parse_timeout_s", "search.k"):
        said = last(shell("index", "docs", "--set", f"{name}={'9' * 20}", code=2).err)
        assert said.endswith("must be at most 1000000000")
    write_files(shell.folder, {"docs/key.txt": "The key hangs elsewhere.\n"})
    shell("index", "docs", "--set", "history.days=999999999")


def test_what_lies_behind_a_closed_folder_is_named(shell: Shell) -> None:
    shell("index", "docs", *WORDS)
    closed = write_files(shell.folder / "closed", {"in/a.txt": "Behind a door.\n"})
    shell.before = ordinary_user()
    on_the_way = f"{closed}/in/ix: Permission denied: a folder on the way to it is closed to this"
    told = {
        ("index", "closed/in"): "closed/in: Permission denied",
        ("index", "closed/in/a.txt", "-i", "docs"): "closed/in/a.txt: Permission denied",
        ("index", "docs", "-i", "./closed/in/ix", *WORDS): on_the_way,
        ("search", "key", "-i", "./closed/in/ix"): on_the_way,
        (
            "backup",
            "docs",
            "closed/x.tar",
        ): "closed/x.tar cannot be made: Permission denied; name",
        ("restore", "closed/x.tar"): "closed/x.tar cannot be read: Permission denied",
    }

    closed.chmod(0)
    try:
        said = {words: last(shell(*words, code=1).err) for words in told}
    finally:
        closed.chmod(0o755)

    assert {words: said[words].startswith(f"ragkit: {told[words]}") for words in told} == (
        dict.fromkeys(told, True)
    )


def test_a_folder_of_somebody_else_among_the_indexes_is_passed_over(shell: Shell) -> None:
    shell("index", "docs", *WORDS)
    shell.before = ordinary_user()
    strange = shell.folder / "indexes/.gone.replaced"
    strange.mkdir(mode=0)
    assert "key.txt" in shell("search", "key").out
    strange.chmod(0o755)


def test_a_name_that_no_system_takes_is_told_as_that(shell: Shell) -> None:
    shell("index", "docs", *WORDS)
    name = "a" * 300

    for words in (("index", name), ("index", name, "-i", "docs"), ("restore", name)):
        assert "File name too long" in last(shell(*words, code=1).err)
    for asked in (("search", "key", "-i", name), ("delete", name, "--yes")):
        assert "no index at" in last(shell(*asked, code=10).err)
