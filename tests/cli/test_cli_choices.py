"""What a person chose for an index holds at the next run too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files

if TYPE_CHECKING:
    from pathlib import Path

NONE = ("--embedder", "none")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    write_files(
        tmp_path / "docs",
        {
            "a.md": "The notice period is six weeks.",
            "b.txt": "The rent is due on the third.",
            "private/diary.md": "Dear diary.",
            "private/more/letter.md": "Dear friend.",
        },
    )
    return Shell(tmp_path)


def paths(shell: Shell) -> list[str]:
    return [document["path"] for document in shell("list", "--json").json]


def test_what_was_excluded_stays_out_of_later_runs(shell: Shell) -> None:
    shell("index", "docs", *NONE, "--exclude", "private/")
    assert paths(shell) == ["a.md", "b.txt"]

    again = shell("index")
    below = shell("index", "docs/private", code=1)

    assert "2 skipped (2 left out by --exclude)" in again.out
    assert paths(shell) == ["a.md", "b.txt"]
    assert "2 skipped" in below.out
    assert "--exclude  private/  below " in shell("info").out
    shell("index", "docs", "--include", "*.md")  # in place of the rule before
    assert paths(shell) == ["a.md", "private/diary.md", "private/more/letter.md"]
    shell("index")
    assert len(paths(shell)) == 3


def test_a_rule_takes_documents_out_that_are_in_the_index(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    shell("index", "docs", "--include", "a.md")  # three of four: meant, and not a lost disk
    assert paths(shell) == ["a.md"]
    shell("rebuild", *NONE)
    assert paths(shell) == ["a.md"]


def test_what_was_removed_stays_out_until_it_is_named_or_forgotten(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    shell("remove", "docs/private", "b.txt")
    write_files(shell.folder / "docs/private", {"new.md": "Dear you."})

    again = shell("index")

    assert paths(shell) == ["a.md"]
    assert "4 skipped (4 removed by hand)" in again.out
    assert f"removed    {shell.folder}/docs/private\n" in shell("info").out
    shell("index", "docs/b.txt")
    assert paths(shell) == ["a.md", "b.txt"]
    shell("index", "--forget-removed")
    assert len(paths(shell)) == 5
    shell("index")
    assert len(paths(shell)) == 5


def test_what_was_erased_stays_out_too(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    shell("remove", "--erase", "a.md")
    shell("index")
    assert "a.md" not in paths(shell)


def test_a_file_that_is_accepted_as_unreadable_is_no_failure(shell: Shell) -> None:
    write_files(shell.folder / "docs", {"torn.pdf": b"%PDF-1.4 torn"})
    shell("index", "docs", *NONE, code=3)

    torn = shell.folder / "docs/torn.pdf"
    assert shell("accept", "docs/torn.pdf").out == f"{torn} is accepted as it is\n"
    told = shell("index", "--files")
    assert "accepted as it is (" in told.out
    assert shell("accept", "docs/torn.pdf", "--undo").out == f"{torn} is a failure again\n"
    shell("index", code=3)

    # as the report names it; and what is no file of the index is not noted
    assert shell("accept", "torn.pdf").out == f"{torn} is accepted as it is\n"
    said = shell("accept", "tron.pdf", code=1).err
    assert said.startswith("ragkit: tron.pdf: there is no such file in the folders of this index: ")
    torn.unlink()
    assert shell("accept", "torn.pdf", "--undo").out == f"{torn} is a failure again\n"
