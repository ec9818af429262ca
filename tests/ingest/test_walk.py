"""The walk: which files are found, in which order, and why the others are not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from ragkit.config import LoadSettings
from ragkit.errors import LoadError
from ragkit.ingest.load import WalkEntry, walk_files
from ragkit.ingest.load.content import NOT_TEXT

SETTINGS = LoadSettings()


def make(root: Path, *names: str, content: str = "words\n") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def files(root: Path, **changes: object) -> list[str]:
    return [e.relative for e in listing(root, **changes) if e.status == "file"]


def reasons(root: Path, **changes: object) -> dict[str, str]:
    return {e.relative: e.reason for e in listing(root, **changes) if e.status != "file"}


def listing(root: Path, **changes: object) -> list[WalkEntry]:
    return list(walk_files(root, replace(SETTINGS, **changes)))  # type: ignore[arg-type]  # any setting


def test_files_come_in_the_order_of_their_relative_paths(tmp_path: Path) -> None:
    names = ["a/z.md", "a-b.md", "a.md", "a0/x.md", "b/c/d.md", "b/c.md", "中/文.md", "Z.md"]
    make(tmp_path, *names)
    assert files(tmp_path) == sorted(names)


def test_an_entry_carries_size_time_and_path(tmp_path: Path) -> None:
    make(tmp_path, "sub/a.md", content="12345")
    (entry,) = listing(tmp_path)
    info = (tmp_path / "sub/a.md").stat()
    assert entry == WalkEntry(tmp_path / "sub/a.md", "sub/a.md", "file", "", 5, info.st_mtime_ns)


def test_every_file_that_is_left_out_has_its_reason(tmp_path: Path) -> None:
    make(tmp_path, "kept.md", ".hidden.md", ".git/config.ini", "photo.xyz", "noname", "big.txt")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "big.txt").write_bytes(b"x" * 2000)
    assert files(tmp_path, max_file_mb=0.001) == ["kept.md"]
    assert reasons(tmp_path, max_file_mb=0.001) == {
        ".git/": "hidden",
        ".hidden.md": "hidden",
        "big.txt": "larger than 0.001 MB",
        "empty.txt": "empty",
        "noname": NOT_TEXT,
        "photo.xyz": "no reader for .xyz",
    }


def test_hidden_files_are_found_when_asked_for(tmp_path: Path) -> None:
    make(tmp_path, ".notes/a.md", "b.md")
    assert files(tmp_path, hidden=True) == [".notes/a.md", "b.md"]


def test_a_root_may_be_a_file_and_is_then_taken_as_named(tmp_path: Path) -> None:
    make(tmp_path, ".gitignore", content="*.md")
    make(tmp_path, ".draft.md")
    assert files(tmp_path / ".draft.md") == [".draft.md"]


def test_a_missing_root_is_an_error_and_not_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="nowhere: no such file or folder"):
        listing(tmp_path / "nowhere")


def test_ignore_files_hold_at_every_level_and_the_deepest_decides(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "b.log", "sub/a.md", "sub/b.log", "sub/deep/b.log", "build/x.md")
    make(tmp_path, "other/build/x.md", "sub/only.md", "only.md")
    make(tmp_path, ".gitignore", content="*.log\nbuild/\n# a comment\n\n")
    make(tmp_path, "sub/.gitignore", content="!b.log\n/only.md\n")
    assert files(tmp_path) == ["a.md", "only.md", "sub/a.md", "sub/b.log", "sub/deep/b.log"]
    left_out = reasons(tmp_path)
    assert left_out["b.log"] == left_out["build/"] == "left out by .gitignore"
    assert left_out["sub/only.md"] == "left out by sub/.gitignore"


def test_ragkitignore_overrules_gitignore_beside_it(tmp_path: Path) -> None:
    make(tmp_path, "data.csv", "b.md")
    make(tmp_path, ".gitignore", content="*.csv\n")
    make(tmp_path, ".ragkitignore", content="!data.csv\nb.md\n")
    assert files(tmp_path) == ["data.csv"]
    assert files(tmp_path, gitignore=False) == ["b.md", "data.csv"]


def test_the_walk_leaves_out_what_git_leaves_out(tmp_path: Path) -> None:
    rules = ["*.tmp.md", "/top.md", "docs/**", "!docs/keep.md", "lib/", "**/cache", "a[0-9].md"]
    make(tmp_path, ".gitignore", content="\n".join([*rules, "!", "x/**/y.md"]) + "\n")
    make(tmp_path, "x.tmp.md", "top.md", "sub/top.md", "docs/keep.md", "docs/no.md", "lib/a.md")
    make(tmp_path, "sub/cache/a.md", "a1.md", "ab.md", "x/y.md", "x/1/2/y.md", "sub/lib", "lib.md")
    git = ["git", "-c", "core.excludesFile=", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    command = [*git, "ls-files", "-z", "--others", "--exclude-standard"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    expected = sorted(n for n in shown.split("\0") if n.endswith(".md"))
    assert files(tmp_path) == expected
    assert "docs/keep.md" in expected


def test_include_and_exclude_are_globs_from_the_root(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "b.txt", "sub/c.md", "sub/drafts/d.md")
    changes = {"include": ("*.md",), "exclude": ("drafts/", "/a.md")}
    assert files(tmp_path, **changes) == ["sub/c.md"]
    assert reasons(tmp_path, **changes) == {
        "a.md": "left out by the setting exclude",
        "b.txt": "not among the included",
        "sub/drafts/": "left out by the setting exclude",
    }


def test_links_that_loop_or_leave_the_root_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(tmp_path, "outside/secret.md")
    make(root, "a/x.md", "b/y.md")
    (root / "a/up").symlink_to(root)
    (root / "a/to_b").symlink_to(root / "b")
    (root / "b/to_a").symlink_to(root / "a")
    (root / "c.md").symlink_to(root / "b/y.md")
    (root / "gone.md").symlink_to(root / "nothing.md")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "secret.md").symlink_to("../outside/secret.md")
    (root / "self.md").symlink_to(root / "self.md")
    assert files(root) == ["a/to_b/y.md", "a/x.md", "b/to_a/x.md", "b/y.md", "c.md"]
    found = reasons(root)
    assert found["a/up/"] == "symbolic link to a folder above it"
    assert found["a/to_b/to_a/"] == "symbolic link to a folder above it"
    assert found["gone.md"] == found["self.md"] == "broken symbolic link"
    assert found["out/"] == found["secret.md"] == "symbolic link that leaves the root"


def test_links_that_cross_many_folders_do_not_multiply(tmp_path: Path) -> None:
    for one in range(8):
        make(tmp_path, f"d{one}/x.md")
        for other in range(8):
            (tmp_path / f"d{one}" / f"to{other}").symlink_to(tmp_path / f"d{other}")
    assert len(files(tmp_path)) <= 16  # each folder by its name and by one link at most


def test_pipes_and_sockets_are_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    os.mkfifo(tmp_path / ".gitignore")
    (tmp_path / "folder.txt").mkdir()
    monkeypatch.chdir(tmp_path)  # a socket's whole path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.txt")
        assert files(tmp_path) == []
    assert reasons(tmp_path) == {
        ".gitignore": "hidden",
        "pipe.txt": "not a regular file",
        "socket.txt": "not a regular file",
    }


def test_a_name_that_is_no_utf_8_is_spelt_with_escapes(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.md"
    with open(raw, "wb") as file:  # noqa: PTH123 -- pathlib takes no bytes
        file.write(b"words")
    (entry,) = listing(tmp_path)
    assert (entry.relative, os.fsencode(entry.path)) == ("caf\\xe9.md", raw)


def test_names_are_told_in_nfc_and_a_twin_is_left_out(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "Café.md")
    decomposed = unicodedata.normalize("NFD", composed)
    make(tmp_path, composed, decomposed)
    assert [(e.relative, e.status) for e in listing(tmp_path)] == [
        (composed, "file"),
        (decomposed, "skipped"),
    ]


def test_a_folder_that_cannot_be_listed_is_reported_and_not_taken_for_empty(
    tmp_path: Path,
) -> None:
    make(tmp_path, "a.md", "b.md", "c/x.md")
    entries = walk_files(tmp_path, SETTINGS)
    assert next(entries).relative == "a.md"
    (tmp_path / "c/x.md").unlink()  # the walk has listed the root; now its folder vanishes
    (tmp_path / "c").rmdir()
    rest = [(e.relative, e.status, e.reason) for e in entries]
    assert rest == [("b.md", "file", ""), ("c/", "unreadable", "No such file or directory")]


def test_folders_may_be_nested_deeper_than_the_stack(tmp_path: Path) -> None:
    levels = sys.getrecursionlimit() + 50
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    make(tmp_path, "z.md")
    try:
        assert files(tmp_path) == ["z.md"]
    finally:  # too deep for pytest's cleanup
        subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)


def test_two_thousand_files_are_walked_in_a_fraction_of_a_second(tmp_path: Path) -> None:
    for number in range(2000):
        folder = tmp_path / f"d{number % 40}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.md").write_bytes(b"x")
    times = []
    for _ in range(3):
        start = time.perf_counter()
        found = len(listing(tmp_path))
        times.append(time.perf_counter() - start)
    assert found == 2000
    assert min(times) < 0.3  # 0.03 s on an idle machine


def test_a_walk_without_patterns_does_not_import_pathspec(tmp_path: Path) -> None:
    make(tmp_path, "a.md")
    code = (
        "import sys; from pathlib import Path; from ragkit.config import LoadSettings\n"
        "from ragkit.ingest.load import walk_files\n"
        "list(walk_files(Path(sys.argv[1]), LoadSettings()))\n"
        "heavy = {'pathspec', 'lxml', 'pypdf', 'docx', 'charset_normalizer', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"
