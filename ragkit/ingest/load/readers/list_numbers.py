"""The numbers of lists and clauses as browsers and Word write them: 1, a, IV, 三, ①."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"),
    (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_HANZI = "零一二三四五六七八九"
_MOST = 3999


def list_number(number: int, kind: str) -> str:
    """Write the number of an item.

    Args:
        number: From 1 on; what a way of writing cannot say becomes figures.
        kind: As HTML's ``type`` (``1 a A i I``) or Word's ``numFmt`` (``lowerLetter``) name it;
            one not known here becomes figures.

    >>> [list_number(4, k) for k in ("1", "a", "upperRoman", "chineseCounting", "decimalZero")]
    ['4', 'd', 'IV', '四', '04']
    """
    write = _WAYS.get(kind)
    return write(number) if write and 0 < number <= _MOST else str(number)


def _letters(number: int) -> str:
    """Write a to z, then aa as HTML goes on; Word's ``aa bb`` differs behind the 26th only."""
    text = ""
    while number:
        number, place = divmod(number - 1, 26)
        text = chr(ord("a") + place) + text
    return text


def _roman(number: int) -> str:
    text = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        text += letters * count
    return text


def _counting(number: int) -> str:
    """Chinese numerals up to 99; figures one by one above."""
    if number > 99:
        return "".join(_HANZI[int(digit)] for digit in str(number)).replace("零", "〇")
    tens, ones = divmod(number, 10)
    head = "" if not tens else ("" if tens == 1 else _HANZI[tens]) + "十"
    return head + (_HANZI[ones] if ones else "")


def _circled(number: int) -> str:
    return chr(0x245F + number) if number <= 20 else str(number)


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _cycle(letters: str) -> Callable[[int], str]:
    return lambda number: letters[number - 1] if number <= len(letters) else str(number)


_WAYS: dict[str, Callable[[int], str]] = {
    "a": _letters,
    "A": lambda number: _letters(number).upper(),
    "i": _roman,
    "I": lambda number: _roman(number).upper(),
    "decimalZero": lambda number: f"{number:02d}",
    "ordinal": _ordinal,
    "chineseCounting": _counting,
    "chineseCountingThousand": _counting,
    "japaneseCounting": _counting,
    "koreanCounting": _cycle("일이삼사오육칠팔구"),
    "taiwaneseCounting": _counting,
    "taiwaneseCountingThousand": _counting,
    "ideographDigital": _counting,
    "decimalEnclosedCircle": _circled,
    "decimalEnclosedCircleChinese": _circled,
    "ideographTraditional": _cycle("甲乙丙丁戊己庚辛壬癸"),
    "ideographZodiac": _cycle("子丑寅卯辰巳午未申酉戌亥"),
    "russianLower": _cycle("абвгдежзиклмнопрстуфхцчшщыэюя"),
    "russianUpper": _cycle("АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЫЭЮЯ"),
    "aiueo": _cycle("アイウエオカキクケコサシスセソタチツテト"),
    "iroha": _cycle("イロハニホヘトチリヌルヲワカヨタレソツネ"),
}
_WAYS |= {"lowerLetter": _WAYS["a"], "upperLetter": _WAYS["A"]}
_WAYS |= {"lowerRoman": _WAYS["i"], "upperRoman": _WAYS["I"]}
