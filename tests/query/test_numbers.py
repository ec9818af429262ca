"""Figures in any spelling, tested with what others spell: num2words and cn2an."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import cn2an
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from num2words import num2words

from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.numbers import Date, conversions, figures_missing, read_figures
from ragkit.query.proof.support import Evidence, judge
from ragkit.text.numerals import find_numerals

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS = st.one_of(st.integers(0, 1200), st.integers(0, 2_000_000))

ENGLISH: list[Callable[[int], str]] = [
    str,
    lambda n: f"{n:,}",
    num2words,
    lambda n: num2words(n).replace("-", " "),
    lambda n: num2words(n).replace(" and ", " ").replace(",", ""),
    lambda n: num2words(n).capitalize(),
]
CHINESE: list[Callable[[int], str]] = [
    str,
    lambda n: f"{n:,}",
    cn2an.an2cn,
    lambda n: cn2an.an2cn(n, "up"),
    lambda n: cn2an.an2cn(n).replace("零", "〇"),
    lambda n: f"{n / 10_000:.4f}".rstrip("0").rstrip(".") + "万",
]
ORDINALS: list[Callable[[int], str]] = [
    lambda n: num2words(n, to="ordinal"),
    lambda n: num2words(n, to="ordinal_num"),
]
ENGLISH_FRAMES = [
    "The notice period is {} days.",
    "The fee for the permit is {} euros.",
    "At the end of the year {} members were present.",
    "Exactly {} percent of the staff agreed to the plan.",
]
CHINESE_FRAMES = [
    "通知期为{}天。",
    "该许可证的费用是{}欧元。",
    "年底到会的有{}名会员。",
    "总人口为{}。",
]
ORDINAL_FRAMES = ["It was the {} session of the council.", "He came {} in the race that year."]


def values(text: str) -> list[Fraction]:
    return [numeral.value for numeral in find_numerals(text.casefold())]


@settings(max_examples=400, deadline=None)
@given(NUMBERS, st.sampled_from(ENGLISH))
def test_a_number_that_num2words_spells_is_read(n: int, spell: Callable[[int], str]) -> None:
    assert values(spell(n)) == [n]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2_000_000), st.sampled_from(ORDINALS))
def test_an_ordinal_that_num2words_spells_is_read(n: int, spell: Callable[[int], str]) -> None:
    (found,) = find_numerals(spell(n))
    assert found.kind == "ordinal"
    assert found.value == n


@settings(max_examples=400, deadline=None)
@given(NUMBERS, st.sampled_from(CHINESE[:5]))
def test_a_number_that_cn2an_spells_is_read(n: int, spell: Callable[[int], str]) -> None:
    assert values(spell(n)) == [n]


PAIRS = st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair[0] != pair[1])
SPELLED = [
    *((ENGLISH, frame) for frame in ENGLISH_FRAMES),
    *((CHINESE, frame) for frame in CHINESE_FRAMES),
    *((ORDINALS, frame) for frame in ORDINAL_FRAMES),
]


@settings(max_examples=800, deadline=None)
@given(PAIRS, st.sampled_from(SPELLED), st.data())
@pytest.mark.long
def test_another_number_is_never_supported(
    pair: tuple[int, int], spelled: tuple[list[Callable[[int], str]], str], data: st.DataObject
) -> None:
    spellings, frame = spelled
    said, held = (data.draw(st.sampled_from(spellings))(n) for n in pair)
    verdict = judge(frame.format(said), [Evidence(frame.format(held))])
    assert verdict.status == "unsupported"


# Without 1: "one" is a pronoun too, and not every text that has it states a figure.
@settings(max_examples=300, deadline=None, derandomize=True)
@given(NUMBERS.filter(lambda n: n != 1), st.sampled_from(SPELLED), st.data())
def test_the_same_number_is_supported_in_any_spelling(
    n: int, spelled: tuple[list[Callable[[int], str]], str], data: st.DataObject
) -> None:
    spellings, frame = spelled
    said, held = (data.draw(st.sampled_from(spellings))(n) for _ in range(2))
    verdict = judge(frame.format(said), [Evidence(frame.format(held))])
    assert verdict.status in ("supported", "quoted")


FRACTIONS = st.tuples(st.integers(1, 9), st.integers(2, 10)).filter(lambda f: f[0] < f[1])


def spelled_fraction(above: int, below: int) -> list[str]:
    name = {2: "half", 4: "quarter"}.get(below, num2words(below, to="ordinal"))
    words = f"{num2words(above)} {name}{'s' if above > 1 else ''}"
    return [words, f"{above}/{below}", f"{cn2an.an2cn(below)}分之{cn2an.an2cn(above)}"]


@settings(max_examples=300, deadline=None)
@given(FRACTIONS, FRACTIONS, st.integers(0, 2), st.integers(0, 1))
def test_a_fraction_is_held_by_the_same_fraction_alone(
    said: tuple[int, int], held: tuple[int, int], spelling: int, shift: int
) -> None:
    frame = "全体会员的{}表示同意。" if spelling == 2 else "In all {} of the members agreed."
    one = AnalysedText(frame.format(spelled_fraction(*said)[spelling]))
    other = AnalysedText(frame.format(spelled_fraction(*held)[spelling - shift]))
    assert figures_missing(one, other) is (Fraction(*said) != Fraction(*held))


PP = "percentage points"


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("half a million people, one and a half years", {("500000", ""), ("3/2", "years")}),
        ("twice as much, 3 times the rate, 三倍", {("2", "times"), ("3", "times")}),
        (
            "it doubled; a third of it; 两个半小时",
            {("2", "times"), ("1/3", "share"), ("5/2", "hours")},
        ),
        ("百分之十五, 15%, fifteen per cent", {("3/20", "share")}),
        ("0.5 percentage points, 2个百分点", {("1/2", PP), ("2", PP)}),
        (
            "$3.5 million; 20 EUR; 人民币5万元",
            {("3500000", "dollars"), ("20", "euros"), ("50000", "yuan")},
        ),
        ("three to five weeks, 3至5年", {(n, u) for n in "35" for u in ("weeks", "years")}),
        ("30 working days, 5个工作日", {("30", "working days"), ("5", "working days")}),
        (
            "the 19th century, 九十年代, the 1990s",
            {("19", "century"), ("90", "decade"), ("1990", "decade")},
        ),
        ("one of them, no one, on the one hand", set()),
        ("minus five degrees, 零下五度, -5 °", {("-5", "degrees")}),
        ("twenty seconds, per second, the second day", {("20", "seconds"), ("2", "ordinal")}),
        ("1½ hours, 10⁶ bytes, as shown¹", {("3/2", "hours"), ("1000000", "")}),
        ("十分重要，统一管理，千万小心，百姓，一般", set()),
        ("三五天，两三百人", set()),
    ],
)
def test_figures_and_their_units_are_read(text: str, stated: set[tuple[str, str]]) -> None:
    found = AnalysedText(text).once(read_figures).stated
    assert {(str(f.value), f.unit) for f in found} == stated


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("It may be extended by days.", set()),
        ("on 3 May 2019; May 3rd, 2019; 2019-05-03; 2019年5月3日", {(2019, 5, 3)}),
        ("in May 2019, on the third of June", {(2019, 5, 0), (0, 6, 3)}),
        ("3月，三个月，二〇一九年", {(0, 3, 0), (2019, 0, 0)}),
    ],
)
def test_a_month_is_a_figure_only_beside_a_day_or_a_year(
    text: str, dates: set[tuple[int, int, int]]
) -> None:
    assert AnalysedText(text).once(read_figures).dates == {Date(*date) for date in dates}


@pytest.mark.parametrize(
    ("said", "held", "missing"),
    [
        ("It takes 5 days.", "It may be extended by days.", True),
        ("It was on 3 May.", "It was on 3 June and 5 May.", True),
        ("It was in May 2019.", "It was on 3 May 2019.", False),
        ("It was on 3 May 2019.", "In 2019 it was on May 3rd.", False),
        ("It was on 3 May 2018.", "It was on May 3rd, 2019.", True),
        ("It costs 30.", "It costs 30%.", True),
        ("It takes 30 days.", "It takes 30 working days.", True),
        ("It takes a week.", "It takes one week.", False),
        ("One manager signs.", "A manager signs.", False),
        ("One manager signs.", "Two managers sign.", True),
        ("The fee is one euro.", "The fee is two euros, with a form.", True),
        ("The rent doubled.", "The rent tripled.", True),
        ("He was the second son.", "He was the third son, for two years.", True),
        ("这是首次会议。", "这是第一次会议。", False),
        ("酿成五死。", "酿成四死。", True),
        ("他生于四川。", "他是四川人。", False),
        ("有一名会员。", "有0名会员，一般如此。", True),
        ("这是一部小说。", "这部小说很长。", False),
        ("占百分之十。", "占百分之二十，共十人。", True),
    ],
)
def test_what_a_figure_is_held_by(said: str, held: str, missing: bool) -> None:  # noqa: FBT001 -- a table
    assert figures_missing(AnalysedText(said), AnalysedText(held)) is missing


def test_the_same_in_another_unit_is_named() -> None:
    said = "Notice is 12 weeks, the way 5 km."
    held = AnalysedText("Notice is 84 days, the way 5000 metres, 3 years.")
    named = [("5 km", "5000 metres"), ("12 weeks", "84 days")]
    assert conversions(AnalysedText(said), held) == named


@pytest.mark.parametrize("held", ["总人口为三十。", "总人口为三点五。", "总人口为三万。"])
def test_a_quotation_does_not_cut_a_number(held: str) -> None:
    assert judge("总人口为三。", [Evidence(held)]).status == "unsupported"
    assert judge(held, [Evidence(f"据统计，{held}")]).status == "quoted"
