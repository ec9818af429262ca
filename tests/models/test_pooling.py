"""Vectors are checked and scaled, and long texts cut, by values worked out by hand."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.models.vectors import average, flaws, halve, pieces, unit_rows

texts = st.text(min_size=2, max_size=200)


def vector(*values: float) -> Any:
    return np.array(values, np.float32)


def test_rows_are_scaled_to_unit_length_and_zero_stays_zero() -> None:
    rows = unit_rows(np.stack([vector(3, 4), vector(0, 0), vector(-2, 0)]))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0], [-1.0, 0.0]], rtol=1e-6)
    assert rows.dtype == np.float32


def test_huge_and_tiny_vectors_keep_their_direction() -> None:
    rows = unit_rows(np.stack([vector(3e38, 3e38), vector(3e-38, 3e-38)]))
    np.testing.assert_allclose(rows, np.full((2, 2), math.sqrt(0.5)), rtol=1e-6)


def test_scaling_leaves_its_argument_as_it_is() -> None:
    given_rows = np.stack([vector(3, 4)])
    unit_rows(given_rows)
    np.testing.assert_array_equal(given_rows, [[3, 4]])


def test_flaws_name_the_rows_that_are_no_direction() -> None:
    rows = np.stack([vector(1, 0), vector(0, 0), vector(1, math.nan), vector(math.inf, 0)])
    assert flaws(rows) == {
        1: "the model gave a zero vector",
        2: "the model gave a vector that is not finite",
        3: "the model gave a vector that is not finite",
    }


def test_average_weighs_directions_and_not_norms() -> None:
    got = average([vector(100, 0), vector(0, 1)], [3, 4])
    np.testing.assert_allclose(got, [0.6, 0.8], rtol=1e-6)


def test_average_of_opposite_parts_is_zero() -> None:
    np.testing.assert_array_equal(average([vector(1, 0), vector(-1, 0)], [1, 1]), [0, 0])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One two three.\n\nFour, five. Six", "One two three.\n\n"),
        ("Notice is one month. It ends then.", "Notice is one month. "),
        ("通知期为一个月。学徒为两周。", "通知期为一个月。"),
        ("alpha beta gamma", "alpha "),
        ("aaaaaaaa", "aaaa"),
        ("ab", "a"),
    ],
    ids=["paragraph", "sentence", "chinese-sentence", "word", "no-boundary", "two-characters"],
)
def test_a_text_is_halved_at_the_best_boundary(text: str, first: str) -> None:
    assert halve(text) == (first, text[len(first) :])


@given(texts)
def test_halves_joined_are_the_text_and_neither_is_empty(text: str) -> None:
    first, second = halve(text)
    assert first + second == text
    assert first
    assert second


def test_a_cut_does_not_part_a_letter_from_its_marks() -> None:
    text = "e\u0301" * 5
    _, second = halve(text)
    assert not unicodedata.combining(second[0])


def test_one_character_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="one character"):
        halve("a")


@given(texts, st.integers(1, 50))
def test_pieces_fit_and_lose_only_blanks(text: str, limit: int) -> None:
    parts = pieces(text, lambda part: len(part) <= limit)
    assert all(len(part) <= limit and part.strip() for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_megabyte_on_one_line_is_cut() -> None:
    parts = pieces("词" * 1_000_000, lambda part: len(part) <= 10_000)
    assert "".join(parts) == "词" * 1_000_000
    assert max(map(len, parts)) <= 10_000
