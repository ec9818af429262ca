"""The figures of a sentence, in digits or in words, in both languages."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from ragkit.text.words import compose

if TYPE_CHECKING:
    from ragkit.query.proof.analysed import AnalysedText

_COUNTS = "two three four five six seven eight nine ten eleven twelve"
_MONTHS = "january february march april may june july august september october november december"
_ENGLISH = {"zero": "0"} | {word: str(n) for n, word in enumerate(_COUNTS.split(), start=2)}
_ENGLISH_READ = _ENGLISH | {word: str(n) for n, word in enumerate(_MONTHS.split(), start=1)}
_DIGITS = {c: n % 10 for n, c in enumerate("〇一二三四五六七八九零")} | {"两": 2, "兩": 2}
_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "萬": 10_000}
_HAN_DIGITS = "〇零一二两兩三四五六七八九十百千万萬"
_HAN_RUN = rf"(?<![\d.])[{_HAN_DIGITS}]+"
# Alone it is a figure (零事故), but not within a word (零售, 凋零) or below freezing (零下).
_HAN_ZERO = (
    rf"(?<![\d.{_HAN_DIGITS}凋飘飄孤涕丁])零"
    rf"(?![{_HAN_DIGITS}售件食星碎散钱錢花工用部配乱亂头頭落丁下])"
)
_UNITS = (
    "(?:个|個|月|年|日|天|周|週|号|號|元|块|塊|条|條|项|項|名|人|次|倍|岁|歲|米|公|里|小时|小時|分钟|分鐘|秒|克|吨|噸|度|层|層|种|種"
    "|家|章|节|節|页|頁|届|屆|位|座|支|辆|輛|台|本|部|成)"
)
_FIGURE = re.compile(
    r"\d+(?:,\d{3})*(?:\.\d+)?[万萬亿億]?|[a-z][a-z\d]*"
)  # a letter's digits are a name: C2
_HAN_COUNTED = re.compile(f"{_HAN_RUN}(?={_UNITS})|{_HAN_ZERO}")
_HAN_ANY = re.compile(_HAN_RUN)
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_UNITS_OF_MEASURE = """
    years?|年 months?|个?月|個月 weeks?|周|週|星期 days?|天|日|号|號 hours?|小时|小時
    minutes?|分钟|分鐘 seconds?|秒 %|per.?cent euros?|欧元|歐元 dollars?|美元 元|yuan
    km|kilomet(?:er|re)s?|公里 met(?:er|re)s?|米 miles?|英里 kg|kilograms?|公斤
    tons?|tonnes?|吨|噸 岁|歲"""
_MEASURED = [re.compile(rf"[\s-]?(?:{words})") for words in _UNITS_OF_MEASURE.split()]
_LIST_NUMBER = re.compile(r"^\s*\d{1,3}[.)、．]\s*")


Figure = tuple[str, int]
"""Plain digits, and the unit behind them by its place in the table; -1: none that is known."""


def stated_figures(text: AnalysedText) -> set[Figure]:
    """Collect the figures that a statement makes.

    English two to twelve and zero, Chinese numerals before a unit and a lone 零 count; the number
    of a list item does not. ``1,000`` is ``1000``, ``2.50`` is ``2.5``.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> fee = AnalysedText("The fee is 1,000 euros, due in three months.")
    >>> sorted(value for value, unit in stated_figures(fee))
    ['1000', '3']
    """
    bare = _LIST_NUMBER.sub("", text.text)
    composed = text.composed if bare == text.text else compose(bare)
    return _read(composed, _ENGLISH, _HAN_COUNTED)


def readable_figures(text: AnalysedText) -> set[Figure]:
    """Collect all that can be read as a figure: numbers of months and bare numerals too."""
    return _read(text.composed, _ENGLISH_READ, _HAN_ANY)


def figures_missing(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence makes a figure that the evidence lacks, or has in another unit.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> figures_missing(AnalysedText("It takes 3 weeks."), AnalysedText("It takes three months."))
    True
    """
    held = evidence.once(readable_figures)
    values = {value for value, _ in held}
    return any(
        value not in values if unit < 0 else held.isdisjoint({(value, unit), (value, -1)})
        for value, unit in sentence.once(stated_figures)
    )


def _read(composed: str, english: dict[str, str], han: re.Pattern[str]) -> set[Figure]:
    found = set()
    for match in _FIGURE.finditer(composed):
        figure = english.get(match[0], match[0])
        if figure[0].isdigit():
            found.add((_plain(figure), _unit(composed, match.end())))
    han_figures = {
        (str(_han_value(m[0])), _unit(composed, m.end())) for m in han.finditer(composed)
    }
    return found | han_figures


def _unit(text: str, at: int) -> int:
    return next((i for i, unit in enumerate(_MEASURED) if unit.match(text, at)), -1)


def _plain(figure: str) -> str:
    if not figure[-1].isdigit():
        return _plain(str(Decimal(figure[:-1].replace(",", "")) * _MYRIADS[figure[-1]]))
    whole, _, decimals = figure.replace(",", "").partition(".")
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def _han_value(run: str) -> int:
    """Read a Chinese numeral below a hundred million, positional (二〇一九) or not (二十五)."""
    if not any(c in _POWERS for c in run):
        return int("".join(str(_DIGITS[c]) for c in run))
    total = section = digit = 0
    for char in run:
        power = _POWERS.get(char)
        if power is None:
            digit = _DIGITS[char]
        elif power < _POWERS["万"]:
            section += (digit or 1) * power
            digit = 0
        else:
            total += (section + digit or 1) * power
            section = digit = 0
    return total + section + digit
