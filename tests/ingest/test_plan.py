"""The plan of an ingest: real folders held against what an index knows; nothing is loaded."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import unicodedata
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import write_files

from ragkit.config import LoadSettings
from ragkit.errors import LoadError
from ragkit.ingest.plan import Plan, living_sources, make_plan
from ragkit.records import DocumentInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


def known(root: Path, path: str, content: str, *, stale: str | None = None) -> DocumentInfo:
    """A document as an index remembers it; its id is computed here from the documented rule."""
    data = content.encode()
    return DocumentInfo(
        doc_id=hashlib.sha256(f"{root}\0{path}".encode()).hexdigest()[:32],
        root=str(root),
        path=path,
        title=path,
        kind="text",
        encoding="utf-8",
        size_bytes=len(data),
        mtime_ns=0,
        file_sha256=hashlib.sha256(data).hexdigest(),
        chunks=1,
        pages=0,
        pages_without_text=(),
        stale=stale,
    )


def plan(
    *paths: Path,
    documents: list[DocumentInfo],
    asked: tuple[Path, ...] = (),
    prune: bool = False,
) -> Plan:
    sources = living_sources({str(path) for path in asked}, documents)
    return make_plan(paths, documents, LoadSettings(), sources=sources, prune=prune)


def to_load(made: Plan) -> list[str]:
    return sorted(planned.path for planned in made.load)


def removed(made: Plan) -> list[str]:
    return sorted(document.path for document in made.removed)


def test_new_changed_unchanged_and_lost_files_are_told_apart(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"new.md": "N", "other.md": "B2", "same.md": "C"})
    documents = [
        known(root, name, text)
        for name, text in {"other.md": "B", "same.md": "C", "lost.md": "D"}.items()
    ]

    made = plan(root, documents=documents)

    assert to_load(made) == ["new.md", "other.md"]
    assert [p.previous.path for p in made.load if p.previous] == ["other.md"]
    assert [document.path for document in made.unchanged] == ["same.md"]
    assert removed(made) == ["lost.md"]
    assert made.bytes_total == 3


@pytest.mark.parametrize(
    ("lost", "of", "is_too_much"), [(1, 2, False), (2, 4, False), (3, 4, True), (1, 1, True)]
)
def test_losing_more_than_half_is_refused_unless_pruned(
    tmp_path: Path, lost: int, of: int, *, is_too_much: bool
) -> None:
    kept = {f"{n}.md": f"text {n}" for n in range(lost, of)}
    root = write_files(tmp_path / "docs", {**kept, "keep.png": "left out"})
    documents = [known(root, f"{n}.md", f"text {n}") for n in range(of)]

    cautious = plan(root, documents=documents)
    pruned = plan(root, documents=documents, prune=True)

    assert len(cautious.removed) == (0 if is_too_much else lost)
    assert [o.reason.split(";")[0] for o in cautious.emptied] == (
        [f"{lost} of its {of} documents are gone from the disk"] if is_too_much else []
    )
    assert len(pruned.removed) == lost
    assert pruned.emptied == []


def test_moved_files_are_no_loss_however_many(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"b/1.md": "one", "b/2.md": "two", "b/3.md": "three"})
    documents = [known(root, f"a/{n}.md", t) for n, t in ((1, "one"), (2, "two"), (4, "four"))]

    made = plan(root, documents=documents)

    assert {p.path: p.moved_from for p in made.load} == {
        "b/1.md": "a/1.md",
        "b/2.md": "a/2.md",
        "b/3.md": None,
    }
    assert removed(made) == ["a/1.md", "a/2.md", "a/4.md"]


def test_what_moved_leaves_even_where_the_rest_is_kept(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"new.md": "one"})
    documents = [known(root, f"{n}.md", t) for n, t in ((1, "one"), (2, "two"), (3, "three"))]

    made = plan(root, documents=documents)

    assert removed(made) == ["1.md"]
    assert [o.reason.split(" are")[0] for o in made.emptied] == ["2 of its 3 documents"]


def test_only_documents_below_the_given_paths_can_be_lost(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"a/1.md": "one", "ab/2.md": "two"})
    documents = [
        known(root, "a/1.md", "one"),
        known(root, "a/gone.md", "x"),
        known(root, "ab/gone.md", "y"),  # "ab" begins with "a" and is not below it
        known(root, "gone.md", "z"),
    ]

    made = plan(root / "a", documents=documents, asked=(root,))

    assert removed(made) == ["a/gone.md"]
    assert to_load(made) == []


def test_a_file_inside_a_known_folder_belongs_to_that_folder(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"a.md": "A", "sub/b.md": "B"})

    made = plan(root / "sub/b.md", documents=[known(root, "a.md", "A")], asked=(root,))

    assert [(planned.root, planned.path) for planned in made.load] == [(root, "sub/b.md")]


def test_a_file_indexed_alone_does_not_take_its_folder_along(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"a.md": "A", "b.md": "B", "sub/c.md": "C"})
    alone, below = known(root, "a.md", "A"), known(root / "sub", "c.md", "C")
    asked = (root / "a.md", root / "sub")

    assert living_sources(set(map(str, asked)), [alone, below]) == [
        str(root / "a.md"),
        str(root / "sub"),
    ]
    made = plan(*asked, documents=[alone, below], asked=asked)
    assert {document.path for document in made.unchanged} == {"a.md", "c.md"}
    assert to_load(made) == []


def test_documents_whose_run_left_no_account_stand_for_their_folder(tmp_path: Path) -> None:
    documents = [known(tmp_path / "docs", "a.md", "A"), known(tmp_path / "x", "b.md", "B")]

    assert living_sources({str(tmp_path / "x")}, documents) == [
        str(tmp_path / "docs"),
        str(tmp_path / "x"),
    ]


def test_nested_folders_given_together_belong_to_the_outermost(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"a.md": "A", "sub/b.md": "B"})

    for paths in ((root, root / "sub"), (root / "sub", root), (root / "sub/b.md", root)):
        made = plan(*paths, documents=[])
        assert [(p.root, p.path) for p in sorted(made.load, key=lambda p: p.path)] == [
            (root, "a.md"),
            (root, "sub/b.md"),
        ]


def test_a_missing_path_plans_nothing_at_all(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"a.md": "A"})

    with pytest.raises(LoadError, match="no such file or folder"):
        plan(root, tmp_path / "nowhere", documents=[known(root, "gone.md", "x")])


def test_names_in_decomposed_unicode_are_the_same_documents(tmp_path: Path) -> None:
    composed, decomposed = "é.md", unicodedata.normalize("NFD", "é.md")
    folder = unicodedata.normalize("NFD", "übung")
    root = write_files(tmp_path / "docs", {decomposed: "E", f"{folder}/{decomposed}": "U"})
    documents = [known(root, composed, "E"), known(root, f"übung/{composed}", "U")]

    whole = plan(root, documents=documents, asked=(root,))
    part = plan(root / folder, root / decomposed, documents=documents, asked=(root,))

    for made in (whole, part):
        assert {document.path for document in made.unchanged} == {composed, f"übung/{composed}"}
        assert (to_load(made), removed(made)) == ([], [])


def test_a_file_that_is_left_out_now_leaves_the_index(tmp_path: Path) -> None:
    root = write_files(tmp_path / "docs", {"a.md": "A", "b.md": "B", ".gitignore": "b.md\n"})

    made = plan(root, documents=[known(root, "a.md", "A"), known(root, "b.md", "B")])

    assert removed(made) == ["b.md"]
    assert ("b.md", "left out by .gitignore") in [(o.path, o.reason) for o in made.skipped]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the right to read everything, which the superuser has."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that anyone may read, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_what_cannot_be_read_removes_nothing(readable: Path) -> None:
    root = write_files(readable / "docs", {"a.md": "A", "closed/b.md": "B", "closed/c.md": "C"})
    documents = [known(root, name, "x") for name in ("a.md", "closed/b.md", "closed/deep/d.md")]
    (root / "closed").chmod(0o000)

    with as_nobody():
        made = plan(root, documents=documents)
    (root / "closed").chmod(0o700)
    root.chmod(0o000)
    with as_nobody(), pytest.raises(LoadError, match="Permission denied"):
        plan(root, documents=documents)

    assert removed(made) == []
    assert [(o.path, o.reason) for o in made.unreadable] == [("closed/", "Permission denied")]
    assert to_load(made) == ["a.md"]
