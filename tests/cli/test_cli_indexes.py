"""Where indexes live, which one is meant, and what becomes of one that is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files

if TYPE_CHECKING:
    from pathlib import Path

NONE = ("--embedder", "none")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with three folders of documents; nothing is set."""
    write_files(
        tmp_path,
        {
            "work/docs/lease.md": "The notice period is six weeks.",
            "work/docs/sub/rent.md": "The rent is due on the third.",
            "work/mail/letter.md": "The heating was repaired in March.",
            "other/docs/bike.md": "The bicycle is blue.",
        },
    )
    shell = Shell(tmp_path / "work")
    del shell.env["RAGKIT_INDEXES"]
    return shell


def names(shell: Shell) -> dict[str, int]:
    """Each index and its number of documents."""
    return {row["name"]: row["documents"] for row in shell("indexes", "--json").json}


def test_each_folder_gets_an_index_of_its_own_in_the_users_data_folder(
    shell: Shell, tmp_path: Path
) -> None:
    data = tmp_path / "work/.local/ragkit/indexes"

    first = shell("index", "docs", *NONE)
    second = shell("index", "mail", *NONE)
    shell("index", tmp_path / "other/docs", *NONE)  # the same name, another folder

    assert f"Index {data / 'docs'}" in first.err
    assert first.err.endswith('Ask it: ragkit ask "..."\n')
    assert second.err.endswith('Ask it: ragkit ask -i mail "..."\n')
    assert names(shell) == {"docs": 2, "docs-2": 1, "mail": 1}
    assert not (tmp_path / "work/indexes").exists()
    shell.folder = tmp_path / "other"  # from anywhere
    assert names(shell) == {"docs": 2, "docs-2": 1, "mail": 1}
    found = shell("search", "--index", "docs-2", "--mode", "keyword", "bicycle").out
    assert "The bicycle is blue." in found


def test_what_lies_in_an_indexed_folder_updates_its_index(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    shell("index", "mail", *NONE)
    write_files(shell.folder, {"docs/sub/more.md": "Pets are allowed.", "mail/x.md": "Good day."})

    shell("index", "docs/sub")
    assert names(shell) == {"docs": 3, "mail": 1}
    shell("index", "mail/x.md")
    assert names(shell) == {"docs": 3, "mail": 2}

    both = shell("index", "docs", "mail", code=1).err
    assert "docs is in docs; " in both
    assert "these paths belong to several indexes" in both


def test_a_folder_that_was_moved_stays_in_its_index(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    (shell.folder / "docs").rename(shell.folder / "papers")

    run = shell("index", "papers")

    assert "papers holds 2 of its 2 files: it was moved" in run.err
    assert run.out == "2 unchanged\n"
    assert names(shell) == {"docs": 2}


def test_a_projects_own_folder_is_taken_if_an_index_lies_there(shell: Shell) -> None:
    shell("index", "docs", *NONE, RAGKIT_INDEXES="indexes")
    assert names(shell) == {"docs": 2}
    assert (shell.folder / "indexes/docs/catalog.db").is_file()
    shell("index", "mail", *NONE)
    assert (shell.folder / "indexes/mail/catalog.db").is_file()


def test_which_index_is_meant_is_asked_and_can_be_chosen(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    shell("index", "mail", *NONE)

    asked = shell("search", "--mode", "keyword", "heating", code=10).err
    assert "docs, mail; name one with `--index NAME`, or" in asked
    assert "`ragkit use NAME`" in asked

    shell("use", "mail")
    assert "heating" in shell("search", "--mode", "keyword", "heating").out
    assert [row["name"] for row in shell("indexes", "--json").json if row["default"]] == ["mail"]

    for words in (("use", "mial"), ("search", "--index", "mial", "x"), ("delete", "mial")):
        assert "no index at" in (said := shell(*words, code=10).err)
        assert "there are: docs, mail" in said


def test_delete_asks_and_leaves_what_is_not_the_indexs_own(shell: Shell, tmp_path: Path) -> None:
    shell("index", "docs", *NONE)
    index = tmp_path / "work/.local/ragkit/indexes/docs"
    write_files(index, {"thesis.txt": "mine"})

    assert shell.piped(b"n\n", "delete", "docs").returncode == 1
    assert b"--yes deletes without asking" in shell.piped(b"", "delete", "docs").stderr
    assert names(shell) == {"docs": 2}
    said = shell("delete", "docs", "--yes")

    assert "thesis.txt" in said.err
    assert [path.name for path in index.iterdir()] == ["thesis.txt"]
    assert names(shell) == {}
    assert (shell.folder / "docs/lease.md").is_file()
    assert "no index" in shell("delete", "docs", code=10).err


def test_a_damaged_index_is_listed_with_its_reason_and_can_be_deleted(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    index = shell.folder / ".local/ragkit/indexes/docs"
    (index / "catalog.db").write_bytes(b"no database" * 1000)

    assert "not a database" in shell("indexes").out
    shell("delete", "docs", "--yes")
    assert not index.exists()


def test_a_damaged_index_is_not_passed_over_for_a_new_one(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    (shell.folder / ".local/ragkit/indexes/docs/catalog.db").write_bytes(b"no database" * 1000)

    assert "catalog.db is damaged" in shell("index", "docs", code=12).err
    assert not (shell.folder / ".local/ragkit/indexes/docs-2").exists()


def test_a_folder_that_is_named_by_a_link_has_one_index(shell: Shell) -> None:
    (shell.folder / "papers").symlink_to(shell.folder / "docs")
    shell("index", "papers", *NONE)

    for words in (("index", "papers"), ("index", "docs"), ("index", "docs/sub")):
        assert "unchanged" in shell(*words).out
    assert names(shell) == {"docs": 2}


def test_a_link_to_an_index_is_not_deleted_and_not_said_to_be(shell: Shell) -> None:
    shell("index", "docs", *NONE)
    index = shell.folder / ".local/ragkit/indexes/docs"
    index.with_name("other").symlink_to(index)

    said = shell("delete", "other", "--yes", code=1)

    assert f"other is a link to {index}: name that" in said.err
    assert said.out == ""
    assert names(shell) == {"docs": 2, "other": 2}


def test_a_name_with_a_line_end_writes_no_line_of_its_own(shell: Shell) -> None:
    name = "x.txt\n  failed     contract.txt"
    write_files(shell.folder, {f"docs/{name}": "Boats."})

    run = shell("index", "docs", "--files", *NONE)

    assert "  added      x.txt   failed     contract.txt" in run.out.splitlines()
    assert "text      x.txt   failed     contract.txt" in shell("list").out
    assert "1. x.txt   failed     contract.txt" in shell("search", "boats").out
    shell("remove", f"docs/{name}")
    assert shell("log").out.count("\n") == 3
