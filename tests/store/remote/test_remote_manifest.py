"""What a reader sees while several writers commit, and how their changes are put together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import InputError
from ragkit.store.remote.endpoint import SHARDS, read_shards
from ragkit.store.remote.manifest import Grant, Manifest, first_manifest, from_source, to_source
from ragkit.store.remote.merging import merge_manifests
from ragkit.store.remote.view import View

Sources = dict[str, dict[str, list[str]]]


def grant(token: str, moment: int, *roots: str, generation: int = 1) -> Grant:
    return Grant(token, moment, generation, roots or None, "index")


def empty() -> Manifest:
    return first_manifest({"dim": 16}, {})


def test_what_other_writers_sent_is_not_seen() -> None:
    manifest = replace(
        empty(), moment=9, lost=(3, 12), grants=(grant("a", 7, "/a"), grant("b", 11, "/b"))
    )
    assert manifest.view() == View(9, frozenset({3, 7}))
    assert manifest.view(11) == View(11, frozenset({3, 7}))
    assert manifest.view(7) == View(9, frozenset({3}))
    assert (manifest.next_moment, manifest.next_generation) == (13, 2)
    assert [n for n in range(14) if manifest.view(11).has(n)] == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert not manifest.view().has(None)


@given(
    moment=st.integers(0, 12),
    without=st.frozensets(st.integers(0, 12)),
    born=st.integers(0, 15),
    died=st.none() | st.integers(0, 15),
)
def test_a_view_asks_for_what_it_has(
    moment: int, without: frozenset[int], born: int, died: int | None
) -> None:
    view = View.up_to(moment, without)
    seen = {n for n in range(16) if n <= moment and n not in without}
    asked = view.query("born")["bool"]
    (bounds,) = asked["filter"]
    among = born <= bounds["range"]["born"]["lte"]
    given_up = [n for terms in asked.get("must_not", ()) for n in terms["terms"]["born"]]
    assert view.has(born) == (born in seen) == (among and born not in given_up)
    assert view.shows(born, died) == (born in seen and died not in seen)


def test_a_manifest_comes_back_from_its_document() -> None:
    made = replace(
        empty(), lost=(2,), grants=(grant("a", 3, "/a"), grant("b", 4)), fields=("x",), gone=("g",)
    )
    assert from_source(to_source(made)) == made


def test_two_writers_changes_are_put_together() -> None:
    asked: Sources = {"/a": {"include": ["*.md"]}, "/b": {"include": []}}
    base = replace(
        empty(), grants=(grant("a", 1, "/a"), grant("b", 2, "/b")),
        sources=asked | {"/b/old": {"include": []}},
        decisions={"/a/x": "removed", "/b/x": "removed"}, fields=("author",),
    )  # fmt: skip
    build = base.builds[1]
    own = replace(
        base.with_build(replace(build, chunks=5, waits=True)),
        sources={**base.sources, "/a": {"include": ["*.txt"]}, "/b": {"include": ["mine"]}},
        decisions={"/b/x": "removed"}, fields=("author", "year"),
    )  # fmt: skip
    theirs = asked | {"/b/new": {"include": []}}
    now = replace(
        base.with_build(replace(build, chunks=7)), commits=1, moment=2, sources=theirs,
        decisions=base.decisions | {"/b/y": "accepted"}, fields=("author", "title"),
    )  # fmt: skip
    made = merge_manifests(base, own, now, base.grants[0])
    assert (made.commits, made.moment, made.grants) == (1, 2, base.grants)
    assert (made.builds[1].chunks, made.builds[1].waits) == (12, True)
    assert made.sources == theirs | {"/a": {"include": ["*.txt"]}}
    assert made.decisions == {"/b/x": "removed", "/b/y": "accepted"}
    assert made.fields == ("author", "title", "year")
    assert merge_manifests(base, own, base, base.grants[0]) is own


def test_the_environment_says_how_many_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARDS, raising=False)
    assert (read_shards(), read_shards(4)) == (1, 4)
    monkeypatch.setenv(SHARDS, "3")
    assert read_shards(4) == 3
    for wrong in ("0", "1025", "many", "-1", "²"):
        monkeypatch.setenv(SHARDS, wrong)
        with pytest.raises(InputError, match="a number from 1 to 1024"):
            read_shards()
