"""Where documents belong after a folder or file was moved."""

from __future__ import annotations

import pytest

from ragkit.store.relocation import is_below, moved_place

CASES = {
    "a root": (("/docs", "a/b.txt"), "/docs", "/papers", (), ("/papers", "a/b.txt")),
    "what lies above roots": (("/mnt/a/docs", "b.txt"), "/mnt/a", "/mnt/b", (),
                              ("/mnt/b/docs", "b.txt")),
    "a folder within its root": (("/docs", "a/b.txt"), "/docs/a", "/docs/c/d", ("/docs",),
                                 ("/docs", "c/d/b.txt")),
    "a folder out of its root": (("/docs", "a/x/b.txt"), "/docs/a", "/else", ("/docs",),
                                 ("/else", "x/b.txt")),
    "a root into another": (("/docs", "b.txt"), "/docs", "/all/docs", ("/docs", "/all"),
                            ("/all", "docs/b.txt")),
    "a root into the outermost": (("/docs", "b.txt"), "/docs", "/all/x/docs", ("/all", "/all/x"),
                                  ("/all", "x/docs/b.txt")),
    "a file": (("/docs", "a/b.txt"), "/docs/a/b.txt", "/docs/c.txt", ("/docs",),
               ("/docs", "c.txt")),
    "a file alone": (("/docs", "b.txt"), "/docs/b.txt", "/else/c.txt", (), ("/else", "c.txt")),
    "a name that only begins alike": (("/docs2", "b.txt"), "/docs", "/papers", (), None),
    "a file that only begins alike": (("/docs", "sub2/b.txt"), "/docs/sub", "/x", (), None),
    "something else": (("/docs", "b.txt"), "/other", "/papers", (), None),
    "a decomposed name": (("/docs", "\u00e9t\u00e9/b.txt"), "/docs/e\u0301te\u0301", "/docs/hiver",
                          ("/docs",), ("/docs", "hiver/b.txt")),
    "below the root of the disk": (("/", "a/b.txt"), "/a", "/c", ("/",), ("/", "c/b.txt")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_moved_document_has_its_place(
    case: tuple[tuple[str, str], str, str, tuple[str, ...], tuple[str, str] | None],
) -> None:
    document, old, new, roots, expected = case
    assert moved_place(document, old, new, roots=roots) == expected


def test_a_location_is_below_itself_and_its_folders() -> None:
    assert [is_below(p, "/a/b") for p in ("/a/b", "/a/b/c", "/a/bc", "/a", "/")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert is_below("/a", "/")
