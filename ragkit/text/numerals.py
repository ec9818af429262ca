"""The numerals of a text, in digits and in words, English and Chinese, with their values.

``text2num`` and ``cn2an`` were measured for it: the first reads ``between one hundred and two
hundred`` as 102 and 100 and knows no fractions or years; the second reads 两个半小时 as 2 and 0.5,
and 三五天 as 35 days, and takes a quarter of a second to load. What others spell tests this module.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind = Literal["cardinal", "ordinal", "share", "times"]


class Numeral(NamedTuple):
    """A number as it stands in a text.

    Attributes:
        start, end: Its half-open span.
        value: What it says; a share is a part of one.
        kind: ``share`` are fractions, ``times`` multiples (twice).
        is_weak: It may be no number at all (``one`` of them, 一般): what stands beside it tells.
    """

    start: int
    end: int
    value: Fraction
    kind: Kind = "cardinal"
    is_weak: bool = False


def find_numerals(text: str) -> list[Numeral]:
    """List the numerals of a text in order; none overlaps another.

    Args:
        text: Casefolded, in compatibility forms and simplified characters.

    >>> [str(n.value) for n in find_numerals("twenty-one of 1,200 cases, 三十二, two thirds")]
    ['21', '1200', '32', '2/3']
    """
    found = sorted([*_digits(text), *_english(text), *_han(text)], key=lambda n: (n.start, -n.end))
    kept: list[Numeral] = []
    for numeral in found:
        if not kept or numeral.start >= kept[-1].end:
            kept.append(numeral)
    return kept


# Digits ------------------------------------------------------------------------------------------

_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8, "兆": 10**12}
_WORDED = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_LETTERED = {"k": 1000, "m": 10**6, "mn": 10**6, "bn": 10**9, "b": 10**9}
_WHOLE = r"\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)|\d{1,3}(?:['’ ]\d{3})+(?![\d.]*\d)|\d+"
_DIGITS = late_pattern(
    # A letter's digits are a name (C2), and so are those of a version (3.10.2).
    rf"(?<![a-z_\d.])(?P<minus>(?:(?<![^\s(（:：为是至到])[-−–]|minus |零下|负)\s?)?"
    rf"(?:(?!\d+\.\d+\.\d)(?P<number>(?:{_WHOLE})(?:\.\d+)?)"
    r"(?:\s?[×x*]\s?10\^?(?P<power>[-−]?\d{1,2})|\^(?P<raised>[-−]?\d{1,2})"
    r"|(?P<han>(?:\s?[十百千万亿兆])+(?:(?:\d+(?:\.\d+)?|[一二两三四五六七八九零]+)[十百千万亿兆]*)*(?![分个]之))"
    r"|\s?-?(?P<word>hundred|thousand|million|billion|trillion|bn|mn)\b|(?P<letter>k)\b"
    r"|(?P<ordinal>st|nd|rd|th)\b"
    r"|(?:\s|-|\sand\s)(?P<half>\d{1,2}[⁄/]\d{1,2}(?!\d)|a half\b|half\b|a quarter\b)"
    r"|(?P<slash>\s?[⁄/]\s?\d{1,4}(?!\d|[⁄/]))?))"
)
_PARTS = late_pattern(r"(\d+(?:\.\d+)?|[零一二两三四五六七八九]+)([十百千万亿兆]*)")


def _digits(text: str) -> Iterator[Numeral]:
    for match in _DIGITS.finditer(text):
        sign = -1 if match["minus"] else 1
        if not match["slash"]:
            kind: Kind = "ordinal" if match["ordinal"] else "cardinal"
            yield Numeral(match.start(), match.end(), sign * _digit_value(match), kind)
            continue
        value, below = _whole(match["number"]), int(match["slash"].strip(" ⁄/"))
        if value < below <= _LARGEST_BELOW:
            yield Numeral(match.start(), match.end(), sign * value / below, "share")
        else:  # it only looks like a fraction: 24/7, 2019/20
            yield Numeral(match.start(), match.end("number"), sign * value)
            behind = match.end() - len(match["slash"].strip(" ⁄/"))
            yield Numeral(behind, match.end(), Fraction(below))


def _whole(number: str) -> Fraction:
    return Fraction(re.sub(r"[,'’ ]", "", number))


def _digit_value(match: re.Match[str]) -> Fraction:
    value = _whole(match["number"])
    if power := match["power"]:
        return value * Fraction(10) ** int(power.replace("−", "-"))
    if power := match["raised"]:
        return Fraction(value ** int(power.replace("−", "-"))) if value else value
    if match["han"]:
        return _mixed(match["number"].replace(",", "") + re.sub(r"\s", "", match["han"]))
    if name := match["word"] or match["letter"]:
        return value * (_WORDED.get(name) or _LETTERED[name])
    return value + _part(match["half"]) if match["half"] else value


_LARGEST_BELOW = 1000


def _part(text: str) -> Fraction:
    named = {"half": Fraction(1, 2), "quarter": Fraction(1, 4)}.get(text.removeprefix("a "))
    if named is not None:
        return named
    above, below = (int(n) for n in re.split("[⁄/]", text))
    return Fraction(above, below) if below else Fraction(0)


def _mixed(text: str) -> Fraction:
    """Read 3万5千, 1.5亿, 2亿3000万, 3万5."""
    parts = _PARTS.findall(text)
    if len(parts) > 1 and not parts[-1][1] and len(parts[-1][0]) == 1 and parts[-2][1]:
        parts[-1] = (parts[-1][0], "十百千万亿兆"["十百千万亿兆".index(parts[-2][1][-1]) - 1])
        if parts[-2][1][-1] in "亿兆":
            parts[-1] = (parts[-1][0], {"亿": "千万", "兆": "千亿"}[parts[-2][1][-1]])
    total = section = Fraction(0)
    for number, powers in parts:
        value = Fraction(number) if number[0].isdigit() else Fraction(han_value(number))
        for power in powers:
            if _POWERS[power] >= _POWERS["万"] and section and power == powers[-1]:
                value = (section + value) * _POWERS[power]
                section = Fraction(0)
            else:
                value *= _POWERS[power]
        if powers and _POWERS[powers[-1]] >= _POWERS["万"]:
            total += value
        else:
            section += value
    return total + section


# Chinese -----------------------------------------------------------------------------------------

_HAN_DIGITS = {c: n % 10 for n, c in enumerate("〇一二三四五六七八九零")} | {
    c: n for n, c in enumerate("壹贰叁肆伍陆柒捌玖", start=1)
}
_HAN_DIGITS |= {"两": 2, "幺": 1}
_HAN_POWERS = _POWERS | {"拾": 10, "佰": 100, "仟": 1000}
_HAN_TENS = {"廿": 20, "卅": 30}
_HAN_RUN = late_pattern(
    "(?P<minus>负|零下)?(?P<run>(?<![\\d.])[〇零一二三四五六七八九两十百千万亿兆廿卅壹贰叁肆伍陆柒捌玖拾佰仟幺]+)"
    "(?:点(?P<decimals>[〇零一二三四五六七八九]+)(?!分(?!之)))?"
)
_NO_NUMERAL = late_pattern(
    "千万(?![元个人吨美日英平公里字册港欧户亩年])|万千|千百|一五一十|七七八八|三三两两|万万|万一|千千万万|十分(?![之钟])"
    "|[一二两三四五六七八九]{2}(?![〇零一二三四五六七八九])|[一二三](?=线[城品])"
    "|一(?=[般定些样起直切致旦律贯并带向概再同边味时])|两(?=[岸侧极国地])|百(?=货|姓|科|分点)|万(?=[物能象岁圣])|千(?=里马|金)"
    "|零(?=[售件食星碎散钱花工用部配乱头落丁下])"
)
"""Words that numerals begin, and numbers that are none: 十分, 三五天 (a few)."""
_WITHIN_WORD = late_pattern(
    "(?:(?<=[统唯专单万])一|(?<=[凋飘孤涕])零|(?<=[成数上几好])[百千万]|(?<=[老])百)"
)
_SURE_POSITIONAL = 3
_ZERO = frozenset("零〇")
_ALONE = late_pattern(r"(?:[为是达共约到至等于]|[^\w])?")
_PER = frozenset("百千万")
"""What stands before 分之 without a numeral of its own: 百分之十."""


def _han(text: str) -> Iterator[Numeral]:
    for match in _HAN_RUN.finditer(text):
        run = match["run"]
        is_denominator = run in _PER and text.startswith("分之", match.end("run"))
        if is_denominator or _is_word(text, match):
            continue
        value = Fraction(han_value(run))
        if match["decimals"]:
            digits = "".join(str(_HAN_DIGITS[c]) for c in match["decimals"])
            value += Fraction(int(digits), 10 ** len(digits))
        powers = [c for c in run if c in _HAN_POWERS or c in _HAN_TENS]
        is_sure = len(run) > 1 and len(powers) < len(run) and bool(powers)
        is_sure = is_sure or (not powers and len(run) >= _SURE_POSITIONAL)
        is_sure = is_sure or bool(match["decimals"]) or run in _ZERO or _is_alone(text, match)
        minus = -1 if match["minus"] else 1
        yield Numeral(match.start(), match.end(), minus * value, is_weak=not is_sure)


def _is_alone(text: str, match: re.Match[str]) -> bool:
    """Whether a lone character stands as a number does, as at the end of 总数为三."""
    start, end = match.span()
    return not text[end : end + 1].isalnum() and bool(
        _ALONE.fullmatch(text[start - 1 : start] if start else "")
    )


def _is_word(text: str, match: re.Match[str]) -> bool:
    """Whether the characters of a numeral are part of a word, or name no number."""
    if match["run"] in ("兆", "幺"):
        return True
    start = match.start("run")
    return bool(_NO_NUMERAL.match(text, start) or _WITHIN_WORD.match(text, start))


def han_value(run: str) -> int:
    """Read a Chinese numeral, positional (二〇一九) or not (二十五); 一百二 is 120.

    >>> han_value("三万五千"), han_value("一亿零三百万"), han_value("两千五"), han_value("一百〇五")
    (35000, 103000000, 2500, 105)
    """
    if not any(c in _HAN_POWERS or c in _HAN_TENS for c in run):
        return int("".join(str(_HAN_DIGITS[c]) for c in run))
    total = section = digit = 0
    last = 1  # the power before a digit that ends the run: 一百二
    for char in run:
        power = _HAN_POWERS.get(char)
        if char in _HAN_TENS:
            section, last = section + _HAN_TENS[char], 1
        elif power is None:
            last = 1 if not _HAN_DIGITS[char] else last
            digit = digit * 10 + _HAN_DIGITS[char] if digit else _HAN_DIGITS[char]
        elif power < _POWERS["万"]:
            section, digit, last = section + (digit or 1) * power, 0, power
        elif total and power > total:
            total, section, digit, last = (total + section + digit) * power, 0, 0, power
        else:
            total, section, digit, last = total + (section + digit or 1) * power, 0, 0, power
    short = digit and run[-1] in _HAN_DIGITS and last > _HAN_POWERS["十"]
    return total + section + digit * (last // 10 if short else 1)


# English -----------------------------------------------------------------------------------------

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_SMALL_VALUES = {word: n for n, word in enumerate(_SMALL)}
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_TENS_VALUES = {word: 10 * n for n, word in enumerate(_TENS, start=2)} | {"fourty": 40}
_IRREGULAR = {"first": "one", "second": "two", "third": "three", "fifth": "five"}
_IRREGULAR |= {"eighth": "eight", "ninth": "nine", "twelfth": "twelve"}
_TIMES = {"twice": 2, "thrice": 3, "double": 2, "doubled": 2, "doubles": 2, "doubling": 2}
_TIMES |= {"triple": 3, "tripled": 3, "triples": 3, "quadruple": 4, "quadrupled": 4}
_TIMES |= {f"{word}fold": n for word, n in _SMALL_VALUES.items() if n > 1} | {"tenfold": 10}
_DENOMINATORS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
_TOKEN = late_pattern(r"(?<![\w.])[a-z]+(?![\w]|['’][a-z])")
_GAP = late_pattern(r"[\s-]+")
_NOT_HALF = frozenset(
    [
        "first",
        "second",
        "latter",
        "other",
        "former",
        "better",
        "top",
        "bottom",
        "northern",
        "southern",
    ]
)
_PRONOUN = frozenset(
    [
        "no",
        "each",
        "every",
        "any",
        "this",
        "that",
        "the",
        "another",
        "which",
        "some",
        "every",
        "only",
    ]
)
_EQUALS = frozenset(["is", "was", "are", "were", "equals", "to", "than", "of", "by", "totals"])
_NOT_COUNTED = late_pattern(
    r"\s*(?:[^\w\s(-]|$|(?:of|another|or|who|that|which|is|was|has|can|must)\b)"
)


class _Word(NamedTuple):
    start: int
    end: int
    word: str


def _english(text: str) -> Iterator[Numeral]:
    if not _MAY_BEGIN.search(text):
        return
    words = [_Word(m.start(), m.end(), m[0]) for m in _TOKEN.finditer(text)]
    after = 0
    for at, word in enumerate(words):
        if at < after or not _MAY_BEGIN.fullmatch(word.word):
            continue
        if word.word in _ARTICLES and not _AFTER_ARTICLE.match(text, word.end):
            continue
        found, end = _Reader(text, words, at).numeral()
        if found is not None:
            yield found
            after = end


def _ordinal(word: str) -> str | None:
    """The cardinal of an ordinal, singular or plural: thirds, twentieth."""
    word = word.removesuffix("s") if word.endswith(("ths", "ds", "rds")) else word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ieth"):
        return word.removesuffix("ieth") + "y"
    bare = word.removesuffix("th")
    return bare if bare != word and (bare in _SMALL_VALUES or bare in _WORDED) else None


class _Reader:
    """Reads one English numeral from a word on; ``at`` is the next word that it may take."""

    def __init__(self, text: str, words: Sequence[_Word], at: int) -> None:
        self._text, self._words, self._first, self._at = text, words, at, at
        self._is_ordinal = False
        self._comma = -1  # the word that a comma may stand before: thousand, two hundred

    def numeral(self) -> tuple[Numeral | None, int]:
        """The numeral that begins here, if one does, and the word behind it."""
        word = self._peek()
        if word in _TIMES:
            self._at += 1
            return self._made(Fraction(_TIMES[word]), "times"), self._at
        if (share := self._named_share()) is not None:
            return share, self._at
        value = self._number()
        if value is None:
            return None, self._first + 1
        if self._is_ordinal:
            return self._made_ordinal(value), self._at
        value = self._decimals(value)
        return self._with_parts(value), self._at

    # what may follow ---

    def _peek(self, ahead: int = 0) -> str:
        """The word ahead if nothing but space or a hyphen parts it from the one before."""
        at = self._at + ahead
        if at >= len(self._words):
            return ""
        if at == self._first:
            return self._words[at].word
        between = self._text[self._words[at - 1].end : self._words[at].start]
        is_joined = _GAP.fullmatch(between) or (at == self._comma and between == ", ")
        return self._words[at].word if is_joined else ""

    def _before(self) -> str:
        if not self._first:
            return ""
        word = self._words[self._first - 1]
        between = self._text[word.end : self._words[self._first].start]
        return word.word if _GAP.fullmatch(between) else ""

    def _made(self, value: Fraction, kind: Kind, *, is_weak: bool = False) -> Numeral:
        start, end = self._words[self._first].start, self._words[self._at - 1].end
        minus = self._before() == "minus"
        return Numeral(start, end, -value if minus else value, kind, is_weak)

    # fractions ---

    def _named_share(self) -> Numeral | None:
        """half, half a million, a quarter of, a third of, a hundredth of."""
        word, following = self._peek(), self._peek(1)
        if word == "half" and self._before() not in _NOT_HALF:
            self._at += 1
            if self._peek() == "a" and self._peek(1) in (*_WORDED, "dozen"):
                self._at += 2
                name = self._words[self._at - 1].word
                return self._made(Fraction(_WORDED.get(name, 12), 2), "cardinal")
            return self._made(Fraction(1, 2), "share")
        if word in ("a", "an", "one") and (below := self._below(following)) is not None:
            self._at += 2
            is_scale = following.endswith(("hundredth", "thousandth", "illionth"))
            if self._peek() == "of" or (word == "one" and not is_scale):
                return self._made(Fraction(1, below), "share")
            if following == "half":
                return self._made(Fraction(1, 2), "share")
            self._at = self._first
        return None

    def _below(self, word: str) -> int | None:
        """The denominator that a word names; ``first`` and ``second`` name none."""
        if word in _DENOMINATORS:
            return _DENOMINATORS[word]
        cardinal = _ordinal(word)
        if cardinal is None or word.removesuffix("s") in ("first", "second"):
            return None
        return _SMALL_VALUES.get(cardinal) or _TENS_VALUES.get(cardinal) or _WORDED.get(cardinal)

    def _with_parts(self, value: Fraction) -> Numeral:
        """A cardinal with what makes a fraction of it: two thirds, one and a half, two dozen."""
        word = self._peek()
        below = self._below(word)
        if below is not None and (value == 1 or word.endswith("s") or word == "halves"):
            self._at += 1
            return self._made(value / below, "share")
        if word == "and":
            value = self._and_part(value)
        if self._peek() == "dozen":
            self._at += 1
            value *= 12
        elif (scale := _WORDED.get(self._peek())) and value.denominator > 1:
            self._at += 1
            value *= scale
        is_one = value == 1 and self._at == self._first + 1
        return self._made(value, "cardinal", is_weak=is_one and self._is_pronoun())

    def _and_part(self, value: Fraction) -> Fraction:
        above = 1 if self._peek(1) in ("a", "one") else _SMALL_VALUES.get(self._peek(1), 0)
        below = self._below(self._peek(2))
        is_part = self._peek(2) in _DENOMINATORS or self._peek(2).endswith("s") or above == 1
        if above and below is not None and is_part:
            self._at += 3
            return value + Fraction(above, below)
        return value

    def _is_pronoun(self) -> bool:
        """Whether a lone ``one`` may be no number: one of them, no one."""
        end = self._words[self._at - 1].end
        if self._before() in _EQUALS and not self._text[end : end + 1].strip(".,;:!?)"):
            return False
        return self._before() in _PRONOUN or _NOT_COUNTED.match(self._text, end) is not None

    def _made_ordinal(self, value: Fraction) -> Numeral | None:
        last = self._words[self._at - 1].word
        if last in ("seconds", "second") and self._at == self._first + 1:
            before = self._before()
            if last == "seconds" or before in ("per", "each", "every", "split"):
                return None
            if before in ("a", "one") and not re.match(
                r"[\s-][a-z]", self._text[self._words[self._first].end :]
            ):
                return None
        if last.endswith(("ths", "rds")) or last == "quarters":
            return None
        return self._made(value, "ordinal")

    def _decimals(self, value: Fraction) -> Fraction:
        if self._peek() != "point" or self._peek(1) not in _SMALL_VALUES:
            return value
        self._at += 1
        digits = ""
        while (digit := _SMALL_VALUES.get(self._peek(), 10)) < 10:
            digits += str(digit)
            self._at += 1
        return value + Fraction(int(digits), 10 ** len(digits)) if digits else value

    # whole numbers ---

    def _number(self) -> Fraction | None:
        """A whole number, cardinal or ordinal: groups below a thousand with falling scales."""
        if self._peek() in ("a", "an"):
            if self._peek(1) not in (*_WORDED, "dozen"):
                return None
            self._at += 1
            first: int | None = 1
        else:
            first = self._group()
        if first is None:
            return None
        if (
            self._peek() == "dozen"
            and self._at == self._first + 1
            and self._words[self._first].word == "a"
        ):
            return Fraction(1)
        total, largest = 0, 10**15
        group: int | None = first
        while group is not None and not self._is_ordinal:
            scale = self._scale()
            if scale is None or scale >= largest:
                return Fraction(total + group)
            total, largest = total + group * scale, scale
            if self._is_ordinal:
                return Fraction(total)
            group = self._next_group(largest)
        return Fraction(total + (group or 0))

    def _scale(self) -> int | None:
        word = self._peek()
        if word in _WORDED:
            self._at += 1
            if word == "hundred":
                return 100
            return _WORDED[word]
        cardinal = _ordinal(word)
        if cardinal in _WORDED and not word.endswith("s"):
            self._at += 1
            self._is_ordinal = True
            return _WORDED[cardinal]
        return None

    def _next_group(self, largest: int) -> int | None:
        """The group behind a scale: ``thousand, two``, ``hundred and two``, ``thousand two``."""
        kept = self._comma = self._at
        if self._peek() in _BEGINS:
            pass
        elif self._peek() == "and" and self._peek(1) in _BEGINS:
            self._at += 1
            if self._before() in ("between", "both") or self._begins_another(largest):
                self._at = kept
                return None
        else:
            return None
        group = self._group(is_first=False)
        if group is None or group >= largest:
            self._at, self._is_ordinal = kept, False
            return None
        return group

    def _begins_another(self, largest: int) -> bool:
        """Whether what follows "and" is a number of its own: a hundred and two hundred."""
        kept, ordinal = self._at, self._is_ordinal
        self._group(is_first=False)
        scale = self._scale() or 1
        self._at, self._is_ordinal = kept, ordinal
        return (scale >= largest and largest > 100) or (scale == 100 and largest == 100)

    def _group(self, *, is_first: bool = True) -> int | None:
        """A number below a thousand, or a year spoken in pairs: nineteen eighty-four."""
        value = self._below_hundred()
        if value is None or self._is_ordinal:
            return value
        if value < 100 and self._peek() in ("hundred", "hundredth"):
            self._at += 1
            if self._words[self._at - 1].word == "hundredth":
                self._is_ordinal = True
                return value * 100
            value *= 100
            rest = self._and_below_hundred()
            return value + rest
        if is_first and 10 < value <= 20:
            return self._year(value)
        return value

    def _and_below_hundred(self) -> int:
        kept = self._at
        if self._peek() == "and":
            if self._before() in ("between", "both"):
                return 0
            self._at += 1
            if self._begins_another(100):
                self._at = kept
                return 0
        value = self._below_hundred()
        if value is None:
            self._at = kept
            return 0
        return value

    def _below_hundred(self) -> int | None:
        word = self._peek()
        if word in _SMALL_VALUES:
            self._at += 1
            return _SMALL_VALUES[word]
        if word in _TENS_VALUES:
            self._at += 1
            tens, unit = _TENS_VALUES[word], self._peek()
            if 0 < _SMALL_VALUES.get(unit, 0) < 10:
                self._at += 1
                return tens + _SMALL_VALUES[unit]
            cardinal = _ordinal(unit) if not unit.endswith(("s",)) else None
            if cardinal and 0 < _SMALL_VALUES.get(cardinal, 0) < 10:
                self._at += 1
                self._is_ordinal = True
                return tens + _SMALL_VALUES[cardinal]
            return tens
        cardinal = _ordinal(word)
        if cardinal in _SMALL_VALUES or cardinal in _TENS_VALUES:
            self._at += 1
            self._is_ordinal = True
            return _SMALL_VALUES[cardinal] if cardinal in _SMALL_VALUES else _TENS_VALUES[cardinal]
        return None

    def _year(self, century: int) -> int:
        kept = self._at
        word, following = self._peek(), self._peek(1)
        if word in ("oh", "o") and 0 < _SMALL_VALUES.get(following, 0) < 10:
            self._at += 2
            return century * 100 + _SMALL_VALUES[following]
        is_pair = word in _TENS_VALUES or _SMALL_VALUES.get(word, 0) >= 10
        value = self._below_hundred() if is_pair else None
        if value is None or self._is_ordinal or self._peek() in _WORDED:
            self._at, self._is_ordinal = kept, False
            return century
        return century * 100 + value


_NAMED_ORDINALS = frozenset(
    [*_IRREGULAR, *(w + "th" for w in _SMALL), *(w.removesuffix("y") + "ieth" for w in _TENS)]
)
_BEGINS = frozenset(_SMALL_VALUES) | frozenset(_TENS_VALUES) | _NAMED_ORDINALS
_ARTICLES = frozenset(("a", "an"))
_MAY_BEGIN = late_pattern(rf"\b(?:{'|'.join(sorted({*_BEGINS, *_TIMES, *_ARTICLES, 'half'}))})\b")
_AFTER_ARTICLE = late_pattern(
    rf"[\s-]+(?:{'|'.join([*_WORDED, *_DENOMINATORS, 'dozen'])}|{'|'.join(_NAMED_ORDINALS)}"
    r"|hundredth|thousandth|millionth)\b"
)
