"""What `VectorStore` promises of generations, for each store: log, diff, moments, retention."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from store_factory import dense, doc_id_of, ingest, put, vector_of

from ragkit.errors import StoreError
from ragkit.store.retention import choose_kept

if TYPE_CHECKING:
    from store_kinds import StoreKind

    from ragkit.protocols import VectorStore
    from ragkit.records import Generation


def counts(generation: Generation) -> tuple[int, ...]:
    g = generation
    return (g.documents_added, g.documents_changed, g.documents_removed, g.chunks_added,
            g.chunks_removed)  # fmt: skip


def three_runs(store: VectorStore) -> None:
    """Two documents; one changes and one comes; one goes."""
    ingest(store, {"a.txt": ["one", "two", "two"], "b.txt": ["bee"]})
    ingest(store, {"a.txt": ["one", "two", "three"], "c.txt": ["sea", "see"]})
    with store.writing("remove b.txt") as writer:
        writer.remove([doc_id_of("b.txt")])


def test_the_log_tells_what_each_run_changed_newest_first(store: VectorStore) -> None:
    assert store.log() == []
    three_runs(store)
    found = store.log()
    assert [g.id for g in found] == [3, 2, 1]
    assert [g.command for g in found] == ["remove b.txt", "index", "index"]
    assert [counts(g) for g in found] == [(0, 0, 1, 0, 1), (1, 1, 0, 3, 1), (2, 0, 0, 4, 0)]
    assert {(g.state, g.build) for g in found} == {("closed", 1)}
    assert all(g.finished_at and g.started_at <= g.finished_at for g in found)
    assert [g.id for g in store.log(2)] == [3, 2]


def test_a_run_that_failed_counts_what_it_committed(store: VectorStore) -> None:
    def fail() -> None:
        with store.writing("index") as writer:
            put(writer, "a.txt", ["a", "b"])
            writer.commit()
            put(writer, "b.txt", ["c"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (generation,) = store.log()
    assert (generation.state, counts(generation)) == ("interrupted", (1, 0, 0, 2, 0))


def test_a_document_added_and_removed_in_one_run_changes_nothing(store: VectorStore) -> None:
    ingest(store, {"a.txt": ["a"]})
    with store.writing("index") as writer:
        put(writer, "b.txt", ["b"])
        put(writer, "b.txt", ["c"])
        writer.remove([doc_id_of("b.txt")])
    assert counts(store.log()[0]) == (0, 0, 0, 0, 0)


def test_the_difference_of_two_generations_names_each_document(store: VectorStore) -> None:
    three_runs(store)
    found = store.diff(1)
    assert (found.before, found.after) == (1, 3)
    assert [(d.path, d.change, d.chunks_added, d.chunks_removed, d.chunks_kept)
            for d in found.documents] == [
        ("a.txt", "changed", 1, 1, 2), ("b.txt", "removed", 0, 1, 0), ("c.txt", "added", 2, 0, 0),
    ]  # fmt: skip
    assert (found.documents_added, found.documents_changed, found.documents_removed) == (1, 1, 1)
    assert (found.chunks_added, found.chunks_removed) == (3, 2)
    assert [d.path for d in store.diff(1, 2).documents] == ["a.txt", "c.txt"]
    assert [(d.path, d.change) for d in store.diff(3, 1).documents] == [
        ("a.txt", "changed"), ("b.txt", "added"), ("c.txt", "removed"),
    ]  # fmt: skip
    assert store.diff(2, 2).documents == ()


@pytest.mark.parametrize(("before", "after"), [(0, None), (9, None), (1, 9)])
def test_only_closed_generations_can_be_compared(
    store: VectorStore, before: int, after: int | None
) -> None:
    ingest(store, {"a.txt": ["a"]})
    with pytest.raises(StoreError, match=f"no finished run {after or before}"):
        store.diff(before, after)


def test_a_moment_means_the_last_generation_closed_by_then(store: VectorStore) -> None:
    with pytest.raises(StoreError):
        store.generation_at(datetime.now(UTC))
    three_runs(store)
    ends = [datetime.fromisoformat(g.finished_at or "") for g in reversed(store.log())]
    assert store.generation_at(datetime.now(UTC)) == 3
    for number, end in enumerate(ends, 1):
        last = max(n for n, other in enumerate(ends, 1) if other <= end)
        assert store.generation_at(end) == last >= number
    with pytest.raises(StoreError, match="oldest is 1"):
        store.generation_at(ends[0] - timedelta(milliseconds=1))


def test_retention_keeps_the_newest_and_says_what_is_gone(store: VectorStore) -> None:
    for number in range(1, 6):
        with store.writing("index") as writer:
            put(writer, "a.txt", [f"text {number}"])
            gone = writer.retain(last=2, days=0)
        assert gone == (1 if number > 2 else 0)
    assert [g.id for g in store.log()] == [5, 4]
    assert [hit.text for hit in dense(store, vector_of("q"), as_of=4)] == ["text 4"]
    with pytest.raises(StoreError, match=r"3 .*no longer kept.* oldest .* 4"):
        dense(store, vector_of("q"), as_of=3)
    with pytest.raises(StoreError, match="no longer kept"):
        store.diff(1)
    assert [counts(g) for g in store.log()] == [(0, 1, 0, 1, 1)] * 2
    assert store.generation() == 5
    assert list(store.check()) == []


def test_the_last_of_today_is_kept_beside_the_newest(store: VectorStore) -> None:
    for number in range(4):
        with store.writing("index") as writer:
            put(writer, "a.txt", [f"text {number}"])
            writer.retain(last=1, days=30)
    assert [g.id for g in store.log()] == [4]


def test_a_run_that_writes_nothing_lets_nothing_go(store: VectorStore) -> None:
    three_runs(store)
    with store.writing("index") as writer:
        assert writer.retain(last=1, days=0) == 0
    assert len(store.log()) == 3


def test_retention_by_days_keeps_the_last_of_each_day() -> None:
    noon = datetime(2026, 3, 31, 12).astimezone()
    closed = [(i + 1, (noon - timedelta(hours=9 * (29 - i))).isoformat()) for i in range(30)]
    by_day: dict[date, int] = {}
    for generation, ended in closed:
        by_day[datetime.fromisoformat(ended).date()] = generation
    days = sorted(by_day)

    assert choose_kept(closed, last=3, days=0, now=noon) == {28, 29, 30}
    kept = choose_kept(closed, last=1, days=4, now=noon)
    assert kept == {30, *(by_day[day] for day in days[-4:])}
    assert len(kept) == 4


def test_noting_again_what_is_known_makes_no_generation(
    kind: StoreKind, store: VectorStore
) -> None:
    ingest(store, {"a.txt": ["a"]})
    for _ in range(2):
        with store.writing("index") as writer:
            writer.mark_stale(doc_id_of("a.txt"), "cannot be read")
            writer.mark_stale("0" * 32, "unknown")
    assert [g.id for g in store.log()] == [2, 1]
    assert kind.reopen(store).documents()[0].stale == "cannot be read"
