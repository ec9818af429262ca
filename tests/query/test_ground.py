"""Grounding: which hits become passages, and that the budget holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.query.context import build_context
from ragkit.query.prompt import passage_block
from ragkit.records import Context, Hit
from ragkit.text.tokens import estimate_tokens

DOCUMENT = (
    "The notice period is three months. It ends with a quarter. Apprentices may leave at any time. "
    "通知期为三个月。学徒可以随时离职。Holidays are thirty days. Unused days lapse in March."
)


def hit(rank: int, start: int, end: int, text: str | None = None, **over: Any) -> Hit:
    fields: dict[str, Any] = {
        "rank": rank,
        "score": 1 - rank / 100,
        "chunk_id": f"c{rank}",
        "doc_id": "d",
        "root": "/r",
        "path": "handbook.md",
        "title": "Handbook",
        "kind": "markdown",
        "heading": ("Leaving",),
        "page": None,
        "start": start,
        "end": end,
        "text": DOCUMENT[start:end] if text is None else text,
        "file_sha256": "f",
    }
    return Hit(**(fields | over))


def spans(context: Context) -> list[tuple[int, int]]:
    return [(p.start, p.end) for p in context.passages]


def test_overlapping_and_touching_hits_become_one_exact_passage() -> None:
    context = build_context([hit(1, 0, 34), hit(2, 20, 59), hit(3, 59, 70)], budget_tokens=1000)
    assert spans(context) == [(0, 70)]
    passage = context.passages[0]
    assert passage.text == DOCUMENT[0:70]
    assert passage.chunk_ids == ("c1", "c2", "c3")
    assert passage.score == pytest.approx(0.99)
    assert context.dropped == ()


def test_hit_between_two_passages_joins_all_three_at_the_best_rank() -> None:
    hits = [hit(1, 0, 10), hit(2, 100, 120), hit(3, 30, 40), hit(4, 8, 32)]
    context = build_context(hits, budget_tokens=1000)
    assert spans(context) == [(0, 40), (100, 120)]
    assert [p.number for p in context.passages] == [1, 2]
    assert context.passages[0].chunk_ids[0] == "c1"


def test_hits_apart_by_unknown_text_stay_apart() -> None:
    context = build_context([hit(1, 0, 34), hit(2, 35, 59)], budget_tokens=1000)
    assert spans(context) == [(0, 34), (35, 59)]


@pytest.mark.parametrize("over", [{"heading": ("Other",)}, {"file_sha256": "g"}])
def test_neighbours_of_another_section_or_version_stay_apart(over: dict[str, Any]) -> None:
    context = build_context([hit(1, 0, 34), hit(2, 20, 59, **over)], budget_tokens=1000)
    assert spans(context) == [(0, 34), (20, 59)]


def test_texts_that_disagree_on_their_overlap_stay_apart() -> None:
    context = build_context([hit(1, 0, 34), hit(2, 20, 59, text="x" * 39)], budget_tokens=1000)
    assert len(context.passages) == 2


def test_repeats_are_dropped_with_their_reason() -> None:
    same = "The  NOTICE period\nis three months."
    hits = [hit(1, 0, 59), hit(2, 5, 20), hit(3, 0, len(same), same, doc_id="copy")]
    context = build_context(hits, budget_tokens=1000)
    assert spans(context) == [(0, 59)]
    assert [(d.chunk_id, d.reason) for d in context.dropped] == [("c2", "repeat"), ("c3", "repeat")]


@pytest.mark.parametrize(
    ("taken", "other"),
    [
        ("The fee is 15 euros.", "The fee is 1.5 euros."),
        ("The fee is 15 euros.", "The fee is 5 euros."),
        ("Bring a party hat.", "Bring art"),
        ("party", "art"),
        ("10² metres", "102 metres"),
    ],
)
def test_texts_that_differ_in_what_they_say_are_no_repeats(taken: str, other: str) -> None:
    hits = [hit(1, 0, len(taken), taken), hit(2, 0, len(other), other, doc_id="e")]
    context = build_context(hits, budget_tokens=1000)
    assert [p.text for p in context.passages] == [taken, other]


def test_hit_over_budget_is_dropped_and_a_smaller_one_still_taken() -> None:
    small, large = hit(1, 0, 34), hit(2, 0, 4000, "long words " * 400, doc_id="e")
    last = hit(3, 35, 59)
    one = build_context([small], budget_tokens=1000).tokens
    context = build_context([last, large, small], budget_tokens=one * 2 + 20)
    assert [p.chunk_ids for p in context.passages] == [("c1",), ("c3",)]
    assert [(d.chunk_id, d.reason) for d in context.dropped] == [("c2", "budget")]


def test_first_hit_above_the_budget_is_cut_at_a_sentence_and_the_rest_listed() -> None:
    header = build_context([hit(1, 0, 1)], budget_tokens=1000).tokens
    context = build_context([hit(1, 0, len(DOCUMENT))], budget_tokens=header + 17)
    (passage,) = context.passages
    assert passage.text == DOCUMENT[: passage.end]
    assert passage.text.endswith("quarter.")
    (rest,) = context.dropped
    assert (rest.start, rest.end, rest.reason) == (passage.end, len(DOCUMENT), "budget")


def test_one_megabyte_without_a_sentence_end_is_cut_to_the_budget() -> None:
    context = build_context([hit(1, 0, 10**6, "字" * 10**6)], budget_tokens=300)
    assert 250 < context.tokens <= 300
    assert set(context.passages[0].text) == {"字"}


@pytest.mark.parametrize("budget", [0, 1, -5])
def test_budget_too_small_for_anything_gives_an_empty_context(budget: int) -> None:
    context = build_context([hit(1, 0, 34)], budget_tokens=budget)
    assert context.passages == ()
    assert [(d.start, d.end, d.reason) for d in context.dropped] == [(0, 34, "budget")]


def test_no_hits_give_an_empty_context() -> None:
    assert build_context([], budget_tokens=100) == Context((), 0, 100)


PLACES = st.tuples(st.integers(0, len(DOCUMENT) - 1), st.integers(1, 90), st.sampled_from("abc"))


@settings(max_examples=100, deadline=None)
@given(st.lists(PLACES, max_size=12), st.integers(0, 400))
def test_context_keeps_budget_exact_text_and_accounts_for_each_hit(
    places: list[tuple[int, int, str]], budget: int
) -> None:
    hits = [
        hit(rank, start, min(start + length, len(DOCUMENT)), doc_id=doc)
        for rank, (start, length, doc) in enumerate(places, start=1)
    ]
    context = build_context(hits, budget_tokens=budget)
    assert context == build_context(list(reversed(hits)), budget_tokens=budget)
    assert all(p.text == DOCUMENT[p.start : p.end] for p in context.passages)
    rendered = "".join(passage_block(p, "0123456789abcdef") for p in context.passages)
    assert estimate_tokens(rendered) <= context.tokens <= budget or not context.passages
    assert [p.number for p in context.passages] == list(range(1, len(context.passages) + 1))
    named = [i for p in context.passages for i in p.chunk_ids] + [
        d.chunk_id for d in context.dropped
    ]
    assert set(named) == {h.chunk_id for h in hits}
