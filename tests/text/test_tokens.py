"""Token estimates: additive, and near what a real tokenizer counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_text import ANY_TEXT

from ragkit.text import tokens as t


@given(ANY_TEXT, ANY_TEXT)
def test_weights_of_parts_add_up_to_the_weight_of_the_whole(left: str, right: str) -> None:
    assert t.token_weight(left) + t.token_weight(right) == t.token_weight(left + right)
    assert t.token_weight(left) == sum(t.char_weights(left))
    assert len(t.char_weights(left)) == len(left)


@given(ANY_TEXT.filter(bool), st.integers(0, 40_000))
def test_fit_finds_the_last_end_within_the_limit(text: str, limit: int) -> None:
    weights = [t.token_weight(text[:end]) for end in range(len(text) + 1)]
    expected = max((end for end, weight in enumerate(weights) if weight <= limit), default=0)
    assert t.fit(text, 0, limit) == max(expected, 1)


@pytest.mark.parametrize(
    ("text", "counted"),
    [  # counted with the tokenizer of multilingual-e5-small, its own marks left out
        (
            "The deadline was moved from Monday to Friday because two of "
            "the reviewers were ill. Nobody objected, and the committee a"
            "greed to publish the results in the following month.",
            34,
        ),
        (
            "审稿人中有两位生病，因此截止日期从星期一改到了星期五。没有人反对，委员会同意在下个月公布结果，并向所有参加者发出书面通知。",
            37,
        ),
        (
            "def area(width: float, height: float) -> float:\n    if width"
            " < 0 or height < 0:\n        raise ValueError('negative size'"
            ")\n    return width * height\n",
            44,
        ),
        ("name,year,amount\nBerlin,2024,1830.50\nParis,2023,977.25\nLyon,2021,12.75\n", 30),
        (
            "契約の解約予告期間は、当事者が別段の合意をしない限り、月末の四週間前までとする。通知は書面で行わなければならない。",
            38,
        ),
        (
            "계약 해지 통지 기간은 당사자가 달리 합의하지 않는 한 월말 사 주 전까지입니다. "
            "서면으로 통지해야 합니다.",
            30,
        ),
    ],
)
def test_estimate_lies_near_the_count_of_a_real_tokenizer(text: str, counted: int) -> None:
    assert 0.95 * counted <= t.estimate_tokens(text) <= 1.35 * counted


def test_estimate_of_nothing_is_nothing_and_of_anything_at_least_one() -> None:
    assert t.estimate_tokens("") == 0
    assert t.estimate_tokens(" ") == 1
    assert t.estimate_tokens("\ud800") == 1
