"""Cosine similarity by value, against angles and against plain arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.models.vectors import cosine_similarity, to_row

vectors = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3).filter(
    lambda v: math.hypot(*v) > 1e-3
)


@pytest.mark.parametrize(
    ("a", "b", "cosine"),
    [
        ([1, 0], [1, 0], 1.0),
        ([1, 0], [0, 5], 0.0),
        ([2, 0], [-3, 0], -1.0),
        ([1, 0], [1, 1], math.sqrt(0.5)),
        ([1, 2, 2], [2, 1, 2], 8 / 9),
        ([1e-300, 0], [1e300, 1e300], math.sqrt(0.5)),
    ],
)
def test_two_vectors_give_the_cosine_of_their_angle(a: Any, b: Any, cosine: float) -> None:
    got = cosine_similarity(a, b)
    assert got.shape == ()
    assert got.dtype == np.float32
    assert float(got) == pytest.approx(cosine, abs=1e-7)
    assert f"{got:.3f}" == f"{cosine:.3f}"


def test_two_matrices_give_a_table_with_a_row_for_each_of_the_first() -> None:
    first = np.array([[1, 0], [0, 2], [3, 3]], np.float32)
    second = np.array([[5, 0], [0, -1]], np.float32)
    root = math.sqrt(0.5)
    table = np.array([[1, 0], [0, -1], [root, -root]])
    np.testing.assert_allclose(cosine_similarity(first, second), table, atol=1e-7)
    np.testing.assert_allclose(cosine_similarity(first, second[0]), [1, 0, root], atol=1e-7)
    np.testing.assert_allclose(cosine_similarity(second[1], first), [0, -1, -root], atol=1e-7)


def test_no_vectors_give_no_rows() -> None:
    assert cosine_similarity(np.zeros((0, 2)), [[1, 0]]).shape == (0, 1)


@pytest.mark.parametrize(
    ("a", "words"),
    [
        ([0, 0], "no direction"),
        ([[1, 0], [0, 0]], "no direction"),
        ([math.nan, 1], "no direction"),
        ([math.inf, 1], "no direction"),
        ([1, 2, 3], "3 dimensions"),
        (1.0, "expected"),
        (np.ones((1, 1, 2)), "expected"),
        ([], "no direction"),
    ],
    ids=["zero", "zero-row", "nan", "inf", "longer", "number", "cube", "empty"],
)
def test_what_has_no_direction_is_refused(a: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cosine_similarity(a, [1, 0])
    if words != "3 dimensions":
        with pytest.raises(ValueError, match=f"^b .*{words}"):
            cosine_similarity([1, 0], a)


@given(vectors, vectors, st.floats(1e-3, 1e3))
def test_it_is_symmetric_bounded_and_blind_to_length(a: Any, b: Any, factor: float) -> None:
    got = float(cosine_similarity(a, b))
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    assert got == pytest.approx(dot / math.hypot(*a) / math.hypot(*b), abs=1e-6)
    assert got == float(cosine_similarity(b, a))
    assert -1 <= got <= 1
    assert got == pytest.approx(float(cosine_similarity([x * factor for x in a], b)), abs=1e-6)


@given(st.lists(st.one_of(st.floats(), st.integers(-(2**60), 2**60), st.none()), max_size=8))
def test_a_reply_becomes_the_row_that_numpy_makes_of_it(values: list[float | None]) -> None:
    with np.errstate(over="ignore"):
        expected = np.array(values, np.float32)
    np.testing.assert_array_equal(to_row(values), expected)
