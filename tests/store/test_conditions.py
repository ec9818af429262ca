"""Conditions on metadata: what meets them, in every store and mode, and what is refused."""

from __future__ import annotations

import os
from math import nan
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from store_factory import dense, doc_id_of, keyword, put, vector_of

from ragkit.errors import FilterError, InputError
from ragkit.protocols import SearchRequest
from ragkit.records import MODIFIED, Condition, Filter

if TYPE_CHECKING:
    from commands import Shell

    from ragkit.protocols import VectorStore
    from ragkit.records import Operator, Scalar

METADATA: dict[str, dict[str, Any]] = {
    "chen.md": {"author": "Chen", "year": 2023, "date": "2023-11-30", "draft": False},
    "lee.md": {"author": ["Lee", "Chen"], "year": 2024, "date": "2024-03-31T08:00", "draft": True},
    "wang.md": {"author": "Wang", "year": "2024", "date": "2024-04-01", "score": 0.5},
    "none.md": {},
}
CASES: list[tuple[str, Operator, Scalar | tuple[Scalar, ...], str]] = [
    ("author", "=", "Chen", "chen lee"),
    ("author", "=", "chen", ""),
    ("author", "in", ("Wang", "Lee"), "lee wang"),
    ("year", "=", 2024, "lee wang"),
    ("year", "=", "2024", "lee wang"),
    ("year", "<", 2024, "chen"),
    ("year", ">=", "2023.5", "lee wang"),
    ("date", "<=", "2024-03", "chen lee"),
    ("date", "=", "2024-03", "lee"),
    ("date", ">", "2024-03", "wang"),
    ("date", "<", "2024-03-31", "chen"),
    ("date", ">", "2023", "lee wang"),
    ("draft", "=", True, "lee"),
    ("draft", "=", False, "chen"),
    ("score", "<=", 0.5, "wang"),
    ("score", "<", "0.5", ""),
    ("score", "=", "high", ""),
]


@pytest.fixture
def described(store: VectorStore) -> VectorStore:
    """A store of documents that have metadata, and share a word."""
    with store.writing("index") as writer:
        for path, metadata in METADATA.items():
            put(writer, path, [f"shared {path}"], metadata=metadata)
    return store


@pytest.mark.parametrize(("field", "operator", "value", "expected"), CASES)
def test_documents_that_meet_a_condition_are_found_in_every_mode(
    described: VectorStore,
    field: str,
    operator: Operator,
    value: Scalar | tuple[Scalar, ...],
    expected: str,
) -> None:
    chosen = Filter(where=(Condition(field, operator, value),))
    names = {f"{name}.md" for name in expected.split()}
    vector = vector_of("anything")
    assert {hit.path for hit in dense(described, vector, 9, filter=chosen)} == names
    assert {hit.path for hit in keyword(described, "shared", 9, filter=chosen)} == names
    request = SearchRequest(9, "hybrid", vector=vector, text="shared", filter=chosen)
    assert {hit.path for hit in described.search(request)} == names


def test_all_conditions_must_hold_also_of_an_older_run(described: VectorStore) -> None:
    both = Filter(where=(Condition("author", "=", "Chen"), Condition("year", ">", 2023)))
    with described.writing("remove") as writer:
        writer.remove([doc_id_of("lee.md")])
    assert keyword(described, "shared", 9, filter=both) == []
    assert [h.path for h in keyword(described, "shared", 9, filter=both, as_of=1)] == ["lee.md"]


def test_a_field_that_no_document_has_is_refused_with_those_there_are(
    described: VectorStore,
) -> None:
    chosen = Filter(where=(Condition("autor", "=", "Chen"),))
    with pytest.raises(FilterError, match=r"'autor'; .*: author, date, draft, modified"):
        keyword(described, "shared", filter=chosen)
    assert described.fields() == ("author", "date", "draft", MODIFIED, "score", "year")


def test_how_a_file_was_read_is_no_field_but_a_program_may_use_its_names(
    store: VectorStore,
) -> None:
    with store.writing("index") as writer:
        put(writer, "a.md", ["shared"], metadata={"notes": ["torn"], "hidden": 2, "year": 2024})
    assert store.fields() == (MODIFIED, "year")
    torn = Filter(where=(Condition("notes", "=", "torn"),))
    with pytest.raises(FilterError, match="the field 'notes'"):
        keyword(store, "shared", filter=torn)
    with store.writing("add") as writer:
        put(writer, "b", ["shared"], metadata={"notes": "torn"}, origin="program")
    assert store.fields() == (MODIFIED, "notes", "year")
    assert [hit.path for hit in keyword(store, "shared", filter=torn)] == ["b"]


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("==", 1),
        ("in", "a"),
        ("in", ["a"]),
        ("=", ("a",)),
        ("=", None),
        ("=", {"a": 1}),
        ("<", nan),
    ],
)
def test_a_condition_that_says_nothing_cannot_be_made(operator: Any, value: Any) -> None:
    with pytest.raises(InputError, match=r"operator|tuple|compared"):
        Condition("a", operator, value)
    with pytest.raises(InputError, match="a field is the name of a value in metadata, not 3"):
        Condition(3, "=", 1)  # type: ignore[arg-type]  # what a program may write


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"paths": "*.md"}, r"paths=\('...',\), not '\*.md'"),
        ({"where": Condition("a", "=", 1)}, r"where=\(Condition\('author'"),
        ({"where": (("a", "=", 1),)}, r"where=\(Condition\('author'"),
    ],
)
def test_a_filter_of_no_tuples_cannot_be_made(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Filter(**given)


def test_numbers_that_no_column_holds_are_kept_with_the_document(store: VectorStore) -> None:
    metadata = {"big": 10**30, "list": [2**63, 7, 10**400]}
    with store.writing("index") as writer:
        put(writer, "a.md", ["shared"], metadata=metadata)
    wanted = Filter(where=(Condition("list", "=", 7), Condition("big", ">", 10**29)))
    assert [hit.path for hit in keyword(store, "shared", filter=wanted)] == ["a.md"]
    assert list(store.check()) == []


def test_the_commands_take_conditions(shell: Shell) -> None:
    docs = write_files(
        shell.folder / "docs", dict.fromkeys(("old.md", "new.md"), "Boats leave at six.\n")
    )
    os.utime(docs / "old.md", (1_500_000_000, 1_500_000_000))  # 14 July 2017
    shell("index", "docs", "--embedder", "none")
    search = ("search", "boats", "--json", "--where")
    assert [hit["path"] for hit in shell(*search, "modified >= 2018").json] == ["new.md"]
    assert [hit["path"] for hit in shell(*search, "modified=2016|2017-07").json] == ["old.md"]
    assert shell(*search, "modified<2018", "--where", "modified>2017").json == []
    assert "the field 'yaer'; the fields" in shell(*search, "yaer=1", code=2).err
    assert "expected FIELD=VALUE" in shell(*search, "year", code=2).err
    asked = shell("ask", "When do boats leave?", "--where", "modified<2018", "--json").json
    assert {citation["path"] for citation in asked["citations"]} == {"old.md"}
