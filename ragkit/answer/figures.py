"""Figures and negations of a sentence: the small words that turn a statement round."""

from __future__ import annotations

import re
import unicodedata

from ragkit.answer.terms import content_terms

_COUNTS = "two three four five six seven eight nine ten eleven twelve"
_MONTHS = "january february march april may june july august september october november december"
_ENGLISH = {word: str(n) for n, word in enumerate(_COUNTS.split(), start=2)}
_ENGLISH_READ = _ENGLISH | {word: str(n) for n, word in enumerate(_MONTHS.split(), start=1)}
_DIGITS = {c: n % 10 for n, c in enumerate("〇一二三四五六七八九零")} | {"两": 2, "兩": 2}
_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "萬": 10_000}
_HAN_RUN = "[〇零一二两兩三四五六七八九十百千万萬]+"
_UNITS = (
    "(?:个|個|月|年|日|天|周|週|号|號|元|块|塊|条|條|项|項|名|人|次|倍|岁|歲|米|公|里|小时|小時|分钟|分鐘|秒|克|吨|噸|度|层|層|种|種"
    "|家|章|节|節|页|頁|届|屆|位|座|支|辆|輛|台|本|部|成)"
)
_FIGURE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|[a-z]+")
_HAN_COUNTED = re.compile(_HAN_RUN + f"(?={_UNITS})")
_HAN_ANY = re.compile(_HAN_RUN)
_LIST_NUMBER = re.compile(r"^\s*\d{1,3}[.)、．]\s*")

_NEGATION = re.compile(
    r"\b(?:not|no|never|without|neither|nor|cannot|\w+n['’]t)\b(?=((?:\W+\w+){1,4}))"
)
_NEGATED_HAN = re.compile(
    "(?:不|没有|沒有|没|沒|未|无|無|勿|并非|並非|禁止)(?!仅|僅|但|过|過|同|断|斷|久|论|論|只|少|来|來|限于)"
    "[得能会會可是被曾要再向在由从]?([\u4e00-\u9fff]{2})"
)


def figures(text: str) -> set[str]:
    """Collect the figures that a statement makes, as plain digits.

    English two to twelve and Chinese numerals before a unit count; the number of a list item
    does not. ``1,000`` is ``1000``, ``2.50`` is ``2.5``.

    >>> sorted(figures("The fee is 1,000 euros, due in three months."))
    ['1000', '3']
    """
    return _read(_LIST_NUMBER.sub("", text), _ENGLISH, _HAN_COUNTED)


def figures_read(text: str) -> set[str]:
    """Collect every figure that a passage can be read to hold, months of the year included."""
    return _read(text, _ENGLISH_READ, _HAN_ANY)


def negated(text: str) -> set[str]:
    """Collect the content words that come first behind a negation: stems, Chinese pairs.

    >>> sorted(negated("It is not to be allowed.")), sorted(negated("公司不允许加班。"))
    (['allow'], ['允许'])
    """
    english = (content_terms(m[1])[:1] for m in _NEGATION.finditer(text.casefold()))
    return {t for terms in english for t in terms} | {m[1] for m in _NEGATED_HAN.finditer(text)}


def _read(text: str, english: dict[str, str], han: re.Pattern[str]) -> set[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = set()
    for match in _FIGURE.finditer(folded):
        figure = english.get(match[0], match[0])
        if figure[0].isdigit():
            found.add(_plain(figure))
    return found | {str(_han_value(m[0])) for m in han.finditer(folded)}


def _plain(figure: str) -> str:
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
