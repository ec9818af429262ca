"""Figures of a statement and its passage written anew: the same in another spelling, or another.

Nothing here shares code or a list of words with `ragkit.query.proof`: English numbers are spelled,
and found, by num2words, Chinese ones by cn2an, months by the standard library's calendar.
"""

from __future__ import annotations

import calendar
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import cn2an
from num2words import num2words

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

LARGEST = 1_000_000
KINDS = ("number words", "ordinals", "fractions", "units", "dates")
_FOUND_UP_TO = 130
_YEARS = range(1000, 2100)
_COUNTERS = "个名人位次种座条项家所"
_COUNTED = {
    "en": re.compile(r"(?<![\w.,$€£:-])(?![12]\d{3} )\d+ [a-z]{3,}\b"),
    "zh": re.compile(rf"(?<![A-Za-z\d.,:：第/~～–-])\d+\s?[{_COUNTERS}]"),
}
_UNITS = {
    "en": (
        ("seconds", "minutes", "hours", "days", "weeks", "months", "years", "working days"),
        ("millimetres", "metres", "kilometres", "feet", "yards", "miles"),
        ("grams", "kilograms", "tonnes", "pounds", "ounces"),
        ("dollars", "euros", "yen", "francs", "rupees"),
        ("square metres", "hectares", "acres", "square miles"),
    ),
    "zh": (
        ("秒", "分钟", "小时", "天", "个星期", "个月", "年", "个工作日"),
        ("毫米", "厘米", "米", "公里", "英里", "海里"),
        ("克", "公斤", "吨", "斤"),
        ("元", "美元", "欧元", "日元", "英镑"),
        ("平方米", "公顷", "亩", "平方公里"),
    ),
}


@dataclass(frozen=True, slots=True)
class Written:
    """A passage with a figure written anew, a sentence that says it, one that says another."""

    kind: str
    text: str
    true: str
    false: str


def rewritten(said: str, text: str, language: str, rng: random.Random) -> Iterator[Written]:
    """Write a figure that a sentence and its passage share anew, in each way that it can be."""
    makers = (_numbers, _ordinals, _fractions, _units, _dates)
    for kind, maker in zip(KINDS, makers, strict=True):
        made = maker(said, text, language, rng)
        if made and made[1] != made[2]:
            yield Written(kind, *made)


Made = tuple[str, str, str] | None


# Finding and spelling ----------------------------------------------------------------------------


@cache
def _cardinals(language: str) -> dict[str, int]:
    spell = num2words if language == "en" else cn2an.an2cn
    return {spell(n): n for n in range(2 if language == "en" else 10, _FOUND_UP_TO)}


@cache
def _word_pattern(language: str, form: str) -> re.Pattern[str]:
    """Any of the spellings, the longest first, as whole words."""
    if form == "ordinal":
        written = [num2words(n, to="ordinal") for n in range(2, 100)]
        written += [num2words(n, to="ordinal_num") for n in range(2, 100)]
    else:
        written = list(_cardinals(language))
    any_of = "|".join(re.escape(w) for w in sorted(written, key=len, reverse=True))
    if language == "zh":
        behind = r"[A-Za-z\d.:：/~～%–-]|\s?[月日号世年届万亿]"
        digits = rf"(?<![A-Za-z\d.,:：第/~～–-])\d[\d,]*(?:\.\d+)?(?!{behind})"
        return re.compile(rf"{digits}|(?<![第\u4e00-\u9fa5])(?:{any_of})(?=[{_COUNTERS}])")
    digits = r"(?<![\w.,$€£:-])\d[\d,]*(?:\.\d+)?(?![\w.,:%-]*\w)|" if form == "cardinal" else ""
    return re.compile(rf"{digits}(?<![\w-])(?:{any_of})(?![\w-])")


@cache
def numbers(language: str) -> re.Pattern[str]:
    """Runs of digits, and the spellings of small numbers."""
    spelled = {num2words(n) for n in range(2, 100)}
    if language == "zh":
        spelled = {cn2an.an2cn(n) for n in range(2, 100)}
        any_of = "|".join(sorted(spelled, key=len, reverse=True))
        return re.compile(rf"\d+|(?<![第一-龥])(?:{any_of})(?=[个個年月日种種次名人位座條条項项])")
    return re.compile(rf"\d+|\b(?:{'|'.join(sorted(spelled, key=len, reverse=True))})\b")


def other_word(word: str, language: str, rng: random.Random) -> str:
    """Another spelled number of as many words or characters, where there is one."""
    parts = (lambda w: len(w.split("-"))) if language == "en" else len
    spell = num2words if language == "en" else cn2an.an2cn
    others = [spell(n) for n in range(2, 100) if spell(n) != word]
    return rng.choice([o for o in others if parts(o) == parts(word)] or others)


def _shared(said: str, text: str, pattern: re.Pattern[str], rng: random.Random) -> str | None:
    """A match that the sentence and the passage share, once each."""
    found = {m[0] for m in pattern.finditer(said)} & {m[0] for m in pattern.finditer(text)}
    if pattern not in _YEAR.values():
        found = {f for f in found if not (f.isdigit() and int(f) in _YEARS)}
    found = {f for f in found if sum(m[0] == f for m in pattern.finditer(said)) == 1}
    return rng.choice(sorted(found)) if found else None


def _put(text: str, pattern: re.Pattern[str], old: str, new: str) -> str:
    return pattern.sub(lambda m: new if m[0] == old else m[0], text)


def _some(rng: random.Random, low: int = 2, high: int = LARGEST) -> int:
    """A whole number, its magnitudes equally frequent."""
    return round(math.exp(rng.uniform(math.log(low), math.log(high))))


def _two(rng: random.Random, draw: Callable[[], int]) -> tuple[int, int]:
    first = draw()
    near = rng.random() < 0.5
    other = first + rng.choice((-1, 1)) * rng.randint(1, 9) if near else draw()
    return (first, other) if other != first and other > 1 else (first, first + 1)


_SPELLINGS: dict[str, tuple[Callable[[int], str], ...]] = {
    "en": (num2words, num2words, str, lambda n: f"{n:,}"),
    "zh": (cn2an.an2cn, cn2an.an2cn, str, lambda n: cn2an.an2cn(n).replace("零", "〇")),
}


# Makers ------------------------------------------------------------------------------------------


def _numbers(said: str, text: str, language: str, rng: random.Random) -> Made:
    pattern = _word_pattern(language, "cardinal")
    if (old := _shared(said, text, pattern, rng)) is None:
        return None
    right, wrong = _two(rng, lambda: _some(rng))
    spell, held = rng.choice(_SPELLINGS[language]), rng.choice(_SPELLINGS[language])
    put = lambda where, new: _put(where, pattern, old, new)  # noqa: E731 -- shorter than a def
    return put(text, held(right)), put(said, spell(right)), put(said, spell(wrong))


_NTH_ZH = re.compile(r"第\s?(?:\d+|[一二三四五六七八九十百]+)")


def _ordinals(said: str, text: str, language: str, rng: random.Random) -> Made:
    pattern = _NTH_ZH if language == "zh" else _word_pattern("en", "ordinal")
    if (old := _shared(said, text, pattern, rng)) is None:
        return None
    right, wrong = _two(rng, lambda: _some(rng, 2, 1000))
    forms: tuple[Callable[[int], str], ...] = (
        lambda n: num2words(n, to="ordinal"),
        lambda n: num2words(n, to="ordinal_num"),
    )
    if language == "zh":
        forms = (lambda n: f"第{n}", lambda n: f"第{cn2an.an2cn(n)}")
    spell, held = rng.choice(forms), rng.choice(forms)
    put = lambda where, new: _put(where, pattern, old, new)  # noqa: E731 -- as above
    return put(text, held(right)), put(said, spell(right)), put(said, spell(wrong))


def _fraction_forms(value: Fraction, language: str) -> list[str]:
    above, below = value.numerator, value.denominator
    per_cent = value * 100
    if language == "zh":
        forms = [f"{cn2an.an2cn(below)}分之{cn2an.an2cn(above)}", f"{above}/{below}"]
        if per_cent.denominator == 1:
            forms += [f"百分之{cn2an.an2cn(int(per_cent))}", f"{per_cent}%"]
        return [f"{form}的" for form in forms]
    name = {2: "half", 4: "quarter"}.get(below, num2words(below, to="ordinal"))
    forms = [f"{num2words(above)} {name}{'s' if above > 1 else ''} of", f"{above}/{below} of"]
    if per_cent.denominator == 1:
        forms += [f"{num2words(int(per_cent))} percent of", f"{per_cent}% of"]
    return forms


def _fractions(said: str, text: str, language: str, rng: random.Random) -> Made:
    pattern = _COUNTED["zh"] if language == "zh" else _word_pattern("en", "cardinal")
    if (old := _shared(said, text, pattern, rng)) is None:
        return None
    values = sorted({Fraction(a, b) for b in (2, 3, 4, 5, 6, 7, 8, 9, 10, 20) for a in range(1, b)})
    right, wrong = rng.sample(values, 2)
    put = lambda where, value: _put(  # noqa: E731 -- as above
        where, pattern, old, rng.choice(_fraction_forms(value, language))
    )
    return put(text, right), put(said, right), put(said, wrong)


def _units(said: str, text: str, language: str, rng: random.Random) -> Made:
    pattern = _COUNTED[language]
    if (old := _shared(said, text, pattern, rng)) is None:
        return None
    group = rng.choice(_UNITS[language])
    right, wrong = rng.sample(group, 2)
    number = _some(rng, 2, 2000)
    space = " " if language == "en" else ""
    put = lambda where, unit: _put(  # noqa: E731 -- as above
        where, pattern, old, f"{rng.choice(_SPELLINGS[language])(number)}{space}{unit}"
    )
    return put(text, right), put(said, right), put(said, wrong)


_MONTHS = list(calendar.month_name)
_DATE_EN = re.compile(
    rf"(?P<d>\d{{1,2}}) (?P<m>{'|'.join(_MONTHS[1:])}) (?P<y>\d{{4}})"
    rf"|(?P<m2>{'|'.join(_MONTHS[1:])}) (?P<d2>\d{{1,2}}), (?P<y2>\d{{4}})"
)
_DATE_ZH = re.compile(r"(?P<y>\d{4})\s?年\s?(?P<m>\d{1,2})\s?月\s?(?P<d>\d{1,2})\s?日")


_YEAR = {
    "en": re.compile(r"(?<=\b[Ii]n )[12]\d{3}(?= |,|\.$)"),
    "zh": re.compile(r"(?<!\d)[12]\d{3}\s?年(?!代|\s?\d)"),
}


def _dates(said: str, text: str, language: str, rng: random.Random) -> Made:
    pattern = _DATE_EN if language == "en" else _DATE_ZH
    if (old := _shared(said, text, pattern, rng)) is None:
        pattern = _YEAR[language]
        if (old := _shared(said, text, pattern, rng)) is None:
            return None
    right = [rng.randint(1200, 2029), rng.randint(1, 12), rng.randint(1, 28)]
    wrong = list(right)
    part = rng.randrange(3)
    ranges = (range(1200, 2030), range(1, 13), range(1, 29))
    wrong[part] = rng.choice([n for n in ranges[part] if n != right[part]])
    put = lambda where, date: _put(  # noqa: E731 -- as above
        where, pattern, old, _date(date, language, rng)
    )
    return put(text, right), put(said, right), put(said, wrong)


def _date(date: list[int], language: str, rng: random.Random) -> str:
    year, month, day = date
    if language == "zh":
        spelled = f"{cn2an.an2cn(year, 'direct')}年{cn2an.an2cn(month)}月{cn2an.an2cn(day)}日"
        return rng.choice((f"{year}年{month}月{day}日", spelled, f"{year}年{month:02}月{day:02}日"))
    name, nth = _MONTHS[month], num2words(day, to="ordinal_num")
    short = calendar.month_abbr[month]
    return rng.choice(
        (
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
            f"{short} {nth}, {year}",
            f"the {num2words(day, to='ordinal')} of {name} {year}",
            f"{year}-{month:02}-{day:02}",
        )
    )
