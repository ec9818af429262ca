"""The figures of a text: numbers in digits or words with their units, ordinals, shares, dates."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from ragkit.query.proof.unit_table import CLASSIFIERS, Unit, before, behind, is_abbreviation, units
from ragkit.text.numerals import Numeral, find_numerals
from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms, simplified, stem

if TYPE_CHECKING:
    from ragkit.query.proof.analysed import AnalysedText


class Quantity(NamedTuple):
    """A number with what it counts.

    ``unit`` is the name of a unit of measure; ``ordinal``, ``share`` (of one), ``times``; or empty
    for anything else.
    """

    value: Fraction
    unit: str = ""


class Date(NamedTuple):
    """A day, month or year; 0 where a part is not given."""

    year: int = 0
    month: int = 0
    day: int = 0


@dataclass(slots=True)
class Figures:
    """What a text says in figures.

    Attributes:
        stated: Figures.
        bare: Values that stand alone: no word that they could count follows.
        loose: Values that may be figures: ``one``, the 一 of 一般.
        dates: Dates; their years and days are no figures.
        single: The words that ``one`` counts, stemmed: one *manag*.
        counted: What Chinese counts, by the word for it: 两部 is (2, 部).
        also: Figures that are meant and not stated: 首次 is the first.
        articles: The words of which an article or ``single`` makes one: a *manag*, per *month*.
        spans: Half-open spans of all these but the loose ones, in the text as it was read.
        units: The unit by its name.
    """

    stated: set[Quantity] = field(default_factory=set)
    bare: set[Fraction] = field(default_factory=set)
    loose: set[Fraction] = field(default_factory=set)
    dates: set[Date] = field(default_factory=set)
    single: set[str] = field(default_factory=set)
    counted: set[tuple[Fraction, str]] = field(default_factory=set)
    also: set[Quantity] = field(default_factory=set)
    articles: set[str] = field(default_factory=set)
    spans: list[tuple[int, int]] = field(default_factory=list)
    units: dict[str, Unit] = field(default_factory=dict)


class Conversion(NamedTuple):
    """A figure of a sentence and the same in another unit, which the evidence gives."""

    said: str
    held: str


_LIST_NUMBER = late_pattern(r"^\s*\d{1,3}(?:[)、．]|\.(?!\d))\s*")
_ORDINAL, _SHARE, _TIMES, _DAYS = "ordinal", "share", "times", "days"
_UNIT_OF_KIND = {"ordinal": _ORDINAL, "share": _SHARE, "times": _TIMES}
_FIRST_ZH = late_pattern("首(?=[次个届位名部家座批任期条款轮])|最早|头(?=[一个次])")
_FIRST_EN = late_pattern(r"\b(?:earliest|initial|initially|original|originally|inaugural)\b")
_ENUMERATES = late_pattern(r"(?:^|[.!?;:\n]\s*)(?:and\s+)?(?:at\s+)?\Z")


def read_figures(text: AnalysedText) -> Figures:
    """Read what a text says in figures; ask by ``text.once(read_figures)``.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> found = read_figures(AnalysedText("Thirty days, 1,000 euros, 百分之十, on 3 May 2019"))
    >>> sorted((str(f.value), f.unit) for f in found.stated)
    [('1/10', 'share'), ('1000', 'euros'), ('30', 'days')]
    >>> found.dates
    {Date(year=2019, month=5, day=3)}
    """
    return text.once(_reading).figures


def _reading(text: AnalysedText) -> _Reading:
    return _Reading(_LIST_NUMBER.sub("", text.text))


def without_figures(text: AnalysedText) -> str:
    """A text casefolded, in compatibility forms and simplified, a space for each figure in it."""
    return text.once(_without_figures)


def _without_figures(text: AnalysedText) -> str:
    return _replaced(text, " ")


def _replaced(text: AnalysedText, stand_in: str) -> str:
    reading = text.once(_reading)
    composed = reading.text
    for start, end in sorted(reading.figures.spans, reverse=True):
        composed = f"{composed[:start]}{stand_in}{composed[end:]}"
    return composed


def compared_terms(text: AnalysedText) -> frozenset[str]:
    """The content terms of a text, each figure being one, however it is spelled."""
    return text.once(_compared_terms)


def _compared_terms(text: AnalysedText) -> frozenset[str]:
    figures = text.once(read_figures)
    values = {f.value for f in figures.stated}
    values |= {Fraction(part) for date in figures.dates for part in date if part}
    # In Chinese it stays a character, so that 十点 shares its pair with 10点关闭.
    bare = _replaced(text, "〇" if text.is_cjk else " ")
    return frozenset(content_terms(bare)) | {str(value) for value in values}


def is_figure(word: str, text: AnalysedText) -> bool:
    """Whether a word of a text with a capital is a number or a date's month, and so no name.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> moved = AnalysedText("May left on 3 March 2019.")
    >>> is_figure("March", moved), is_figure("May", moved), is_figure("Thirty-two", moved)
    (True, False, True)
    """
    small = word.casefold()
    if small in _MONTH_NUMBERS:
        return any(date.month == _MONTH_NUMBERS[small] for date in text.once(read_figures).dates)
    found = find_numerals(small)
    return len(found) == 1 and found[0].end - found[0].start == len(small)


def figures_missing(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence makes a figure that the evidence lacks, or has in another unit.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> figures_missing(AnalysedText("It takes 3 weeks."), AnalysedText("It takes three months."))
    True
    """
    said, held = sentence.once(read_figures), evidence.once(read_figures)
    values = {f.value for f in held.stated if f.unit != _SHARE} | held.loose
    is_one = Fraction(1) in values
    return (
        any(not _is_held(figure, held) for figure in said.stated)
        or any(not _is_dated(date, held) for date in said.dates)
        or (not is_one and not said.single <= held.articles)
        or any(word in _others(held) for value, word in said.counted if value == 1)
        # A lone 五 may be half of a word, which then stands in the evidence too.
        or not {value for value in said.loose if value > 1} <= values | _of_dates(held)
    )


def _of_dates(held: Figures) -> set[Fraction]:
    return {Fraction(part) for date in held.dates for part in date if part}


def _others(held: Figures) -> set[str]:
    """The words by which a text counts other things than one."""
    return {word for value, word in held.counted if (Fraction(1), word) not in held.counted}


def conversions(sentence: AnalysedText, evidence: AnalysedText) -> list[Conversion]:
    """The figures of a sentence that the evidence gives in another unit, with what it gives.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> conversions(AnalysedText("It takes 12 weeks."), AnalysedText("It takes 84 days."))
    [Conversion(said='12 weeks', held='84 days')]
    """
    said, held = sentence.once(read_figures), evidence.once(read_figures)
    return [
        Conversion(_named(figure), _named(other))
        for figure in sorted(said.stated)
        if not _is_held(figure, held) and (unit := said.units.get(figure.unit)) and unit.dimension
        for other in sorted(held.stated)
        if (of := held.units.get(other.unit)) and of.dimension == unit.dimension
        if figure.value * unit.size == other.value * of.size
    ]


def _named(figure: Quantity) -> str:
    value = figure.value
    number = str(value) if value.denominator == 1 else f"{float(value):g}"
    return f"{number} {figure.unit}"


def _is_held(figure: Quantity, held: Figures) -> bool:
    if figure in held.stated or figure in held.also:
        return True
    if figure.unit == _ORDINAL:
        return any(date.day == figure.value for date in held.dates)
    if figure.unit == _TIMES:
        return False
    if figure.unit == _DAYS and any(date.day == figure.value for date in held.dates):
        return True  # 5日 may be a day of a month
    if figure.unit:
        is_per = figure.value == 1 and figure.unit.rstrip("s") in held.articles
        return figure.value in held.bare or is_per
    values = {f.value for f in held.stated if f.unit not in (_SHARE, _ORDINAL)}
    values |= {Fraction(d.year) for d in held.dates}
    return figure.value in values | held.bare | held.loose


def _is_dated(date: Date, held: Figures) -> bool:
    """Whether dates of the evidence give all parts of one, those of a day together."""
    years = {d.year for d in held.dates} | {
        int(v)
        for v in held.bare | {f.value for f in held.stated if not f.unit}
        if v.denominator == 1
    }
    if not date.month:
        return date.year in years
    fitting = [
        d for d in held.dates if d.month == date.month and (not date.day or d.day == date.day)
    ]
    if not date.year:
        return bool(fitting)
    return any(d.year == date.year or (not d.year and date.year in years) for d in fitting)


# Reading -----------------------------------------------------------------------------------------

_VULGAR = {ord(c): f" {unicodedata.normalize('NFKC', c)} " for c in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWER = late_pattern("(?<=10)([⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_NOTE = late_pattern(
    "(?<=[0-9a-z)])(?<![a-z][mM])(?<!k[mM])(?<!c[mM])(?<!m)[⁰¹²³⁴⁵⁶⁷⁸⁹]+", re.IGNORECASE
)
_WIDE_SPACE = late_pattern(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_BASE, _YEARS = 0xF0000, 0x7000
"""Each numeral of a text becomes one private character for the patterns below: from the base on,
and so much higher if it may be a year (1000 to 2999)."""

_D = f"[{chr(_BASE)}-{chr(_BASE + _YEARS - 1)}]"
_Y = f"[{chr(_BASE + _YEARS)}-{chr(_BASE + 2 * _YEARS - 1)}]"
_N = f"[{chr(_BASE)}-{chr(_BASE + 2 * _YEARS - 1)}]"
_MONTHS = "january february march april may june july august september october november december"
_MONTH_NUMBERS = {name: n for n, name in enumerate(_MONTHS.split(), start=1)}
_MONTH_NUMBERS |= {name[:3]: n for name, n in _MONTH_NUMBERS.items()} | {"sept": 9}
_MONTH = rf"(?:{'|'.join(sorted(_MONTH_NUMBERS, key=len, reverse=True))})\b\.?"
_DATES = late_pattern(
    rf"(?P<y1>{_Y})\s?年(?!代)(?:\s?(?P<m1>{_D})\s?月份?(?:\s?(?P<d1>{_D})\s?[日号])?)?"
    rf"|(?P<m2>{_D})\s?月份?(?:\s?(?P<d2>{_D})\s?[日号])?"
    rf"|(?P<d3>{_D})(?:\s+day)?\s+(?:of\s+)?(?P<m3>{_MONTH})(?:,?\s+(?P<y3>{_Y}))?"
    rf"|(?<![a-z])(?P<m5>{_MONTH})(?:\s+of)?,?\s+(?P<y5>{_Y})"
    rf"|(?<![a-z])(?P<m4>{_MONTH})\s+(?:the\s+)?(?P<d4>{_D})(?:(?:\s?,\s?|\s+)(?P<y4>{_Y}))?"
)
_ISO = late_pattern(r"(?<![\d-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?![\d-])")
_CLOCK = late_pattern(r"(?<![\d:])(\d{1,2})[:：](\d{2})(?::\d{2})?(?![\d:])")
_SHARES = late_pattern(
    rf"(?P<of>{_N}|百|千|万)分之(?P<n1>{_N})|(?P<n2>{_N})\s?(?P<sign>%|‰|percent\b|per\s?cent\b|per\s?mille\b|成(?![为立就员年长])|折)"
)
_PER_SIGN = {"‰": 1000, "permille": 1000, "成": 10, "折": 10}
_HALF = late_pattern(f"(?P<one>{_D})半|半数|对半|折半|半价|(?<=[占过近])半(?=以?上|成)")
_HALF_OF = late_pattern(
    "(?<![上下前后大小多夜一个])半(?:个)?(?P<unit>年(?!级)|天|小时|月|日(?!制)|公里|米|公斤|斤)"
)
_DECADES = late_pattern(rf"(?P<n>{_N})['’]?s\b|(?P<z>{_N})\s?年代")
_TENS = [
    "twenties",
    "thirties",
    "forties",
    "fifties",
    "sixties",
    "seventies",
    "eighties",
    "nineties",
]
_DECADE_VALUES = {word: Fraction(10 * n) for n, word in enumerate(_TENS, start=2)}
_DECADE_WORDS = late_pattern(rf"\b(?:{'|'.join(_TENS)})\b")
_CENTURY = late_pattern(rf"(?P<n>{_N})[\s-]+centur(?:y|ies)\b|(?P<z>{_N})\s?世纪")
_RANGE = r"(?:\s?(?:-|–|—|~|至|到|或)\s?|\s(?:to|or|and)\s)"
_RANGES = late_pattern(rf"(?P<low>{_N})(?={_RANGE}(?P<high>{_N}))")
_NTH = late_pattern(rf"第\s?(?P<n>{_N})")
_MULTIPLE = late_pattern(
    rf"(?P<n>{_N})(?:个)?(?:(?P<zh>倍)|[\s-]?times\b(?!\s+(?:a|per|each)\b)|x\b|[\s-]?fold\b)"
)
_BC = late_pattern(r"(?:公元前|西元前)\Z")
_BC_BEHIND = late_pattern(r"\s?(?:b\.?c\.?(?:e\.?)?)(?![a-z])")
_HALVED = frozenset(("年", "岁", "小时", "天", "周"))
_HALF_BEHIND = late_pattern("半(?![个数年天])")
"""It adds half a unit: 一年半."""
_MONTHS_A_YEAR, _LONGEST_MONTH = 12, 31
_CLASSIFIER = late_pattern(f"\\s?个?([{CLASSIFIERS}])")
_NEXT_WORD = late_pattern(r"[a-z]+")
_ARTICLE = late_pattern(r"\b(?:an?|per|each|every|single|sole|only)\s+([a-z]+(?:\s[a-z]+)?)")
_COUNTED = late_pattern(r"[\s-]?[^\W\d_]")


class _Reading:
    """One text being read: each rule takes the numerals that it knows, the next ones the rest."""

    def __init__(self, text: str) -> None:
        self.text = self._normal(text)
        self.figures = Figures()
        self._numerals = find_numerals(self.text)
        self._taken: set[int] = set()
        self._marked, self._at = self._mark()
        for read in (self._iso, self._clock, self._date, self._share, self._half, self._decade):
            read()
        for read in (self._century, self._nth, self._multiple):
            read()
        self._rest()
        self.figures.articles = {
            stem(w) for m in _ARTICLE.finditer(self.text) for w in m[1].split()
        }

    @staticmethod
    def _normal(text: str) -> str:
        """In compatibility forms, casefolded, simplified; a raised number is a power or a note."""
        text = _WIDE_SPACE.sub(",", text.translate(_VULGAR))
        text = _POWER.sub(lambda m: "^" + m[1].translate(_SUPERSCRIPT), text)
        text = _NOTE.sub(" ", text)
        return simplified(unicodedata.normalize("NFKC", text).casefold())

    def _mark(self) -> tuple[str, list[int]]:
        """The text with one private character a numeral, and where each character stood."""
        pieces: list[str] = []
        places: list[int] = []
        done = 0
        for number, numeral in enumerate(self._numerals):
            pieces += (self.text[done : numeral.start], self._char(number))
            places += [*range(done, numeral.start), numeral.start]
            done = numeral.end
        pieces.append(self.text[done:])
        places += range(done, len(self.text) + 1)
        return "".join(pieces), places

    def _char(self, number: int) -> str:
        numeral = self._numerals[number]
        is_year = numeral.kind == "cardinal" and 1000 <= numeral.value <= 2999
        return chr(_BASE + (_YEARS if is_year else 0) + number)

    def _number(self, char: str) -> int:
        return (ord(char) - _BASE) % _YEARS

    def _free(self, *chars: str | None) -> list[Numeral] | None:
        """The numerals of these characters, if none is taken yet; they are taken now."""
        numbers = [self._number(c) for c in chars if c]
        if self._taken.intersection(numbers):
            return None
        self._taken.update(numbers)
        return [self._numerals[n] for n in numbers]

    def _span(self, match: re.Match[str]) -> None:
        self.figures.spans.append((self._at[match.start()], self._end(match.end())))

    def _end(self, end: int) -> int:
        """Where in the text a stretch of the marked text ends."""
        last = self._marked[end - 1]
        return self._numerals[self._number(last)].end if ord(last) >= _BASE else self._at[end]

    # rules ---

    def _iso(self) -> None:
        for match in _ISO.finditer(self.text):
            year, month, day = int(match[1]), int(match[3]), int(match[4])
            if 1 <= month <= 12 and 1 <= day <= 31:
                self._take_within(match)
                self.figures.dates.add(Date(year, month, day))

    def _clock(self) -> None:
        for match in _CLOCK.finditer(self.text):
            self._take_within(match)
            self.figures.stated.add(
                Quantity(Fraction(int(match[1]) * 60 + int(match[2])), "o'clock")
            )

    def _take_within(self, match: re.Match[str]) -> None:
        self.figures.spans.append(match.span())
        for number, numeral in enumerate(self._numerals):
            if match.start() <= numeral.start < match.end():
                self._taken.add(number)

    def _date(self) -> None:
        for match in _DATES.finditer(self._marked):
            parts = {k[0]: v for k, v in match.groupdict().items() if v}
            named = _MONTH_NUMBERS.get(parts.get("m", "").rstrip("."), 0)
            chars = [v for k, v in parts.items() if not (k == "m" and named)]
            values = {k: self._value(v) for k, v in parts.items() if v in chars}
            date = Date(values.get("y", 0), named or values.get("m", 0), values.get("d", 0))
            is_date = 0 <= date.month <= _MONTHS_A_YEAR and 0 <= date.day <= _LONGEST_MONTH
            if is_date and all(values.values()) and self._free(*chars):
                self._span(match)
                self.figures.dates.add(date)

    def _value(self, char: str) -> int:
        """The whole number of a numeral's character, 0 for any other."""
        value = self._numerals[self._number(char)].value
        return int(value) if value.denominator == 1 else 0

    def _share(self) -> None:
        for match in _SHARES.finditer(self._marked):
            of = match["of"]
            of_char = of if of and ord(of) >= _BASE else None
            found = self._free(of_char, match["n1"] or match["n2"])
            if found is None:
                continue
            if match["sign"]:
                below = Fraction(_PER_SIGN.get(re.sub(r"\s", "", match["sign"]), 100))
            else:
                below = (
                    found[0].value if of_char else Fraction({"百": 100, "千": 1000}.get(of, 10**4))
                )
            if below:
                self._span(match)
                self.figures.stated.add(Quantity(found[-1].value / below, _SHARE))

    def _half(self) -> None:
        for match in _HALF.finditer(self._marked):
            if not match["one"] or (self._value(match["one"]) == 1 and self._free(match["one"])):
                self._span(match)
                self.figures.stated.add(Quantity(Fraction(1, 2), _SHARE))
        for match in _HALF_OF.finditer(self._marked):
            written = {"月": "个月", "日": "天"}.get(match["unit"], match["unit"])
            self._span(match)
            self._state(Fraction(1, 2), units()[written])

    def _decade(self) -> None:
        for match in _DECADES.finditer(self._marked):
            found = self._free(match["n"] or match["z"])
            if found:
                self._span(match)
                value = found[0].value
                self.figures.stated.add(Quantity(value % 100 if value >= 100 else value, "decade"))
                if value >= 1000:
                    self.figures.stated.add(Quantity(value, "decade"))
        for match in _DECADE_WORDS.finditer(self.text):
            self.figures.stated.add(Quantity(_DECADE_VALUES[match[0]], "decade"))

    def _century(self) -> None:
        for match in _CENTURY.finditer(self._marked):
            char = match["n"] or match["z"]
            numeral = self._numerals[self._number(char)]
            if match["n"] and numeral.kind != "ordinal":
                continue
            if self._free(char):
                self._span(match)
                self.figures.stated.add(Quantity(numeral.value, "century"))

    def _nth(self) -> None:
        for match in _NTH.finditer(self._marked):
            found = self._free(match["n"])
            if found:
                self._span(match)
                self.figures.stated.add(Quantity(found[0].value, _ORDINAL))
        if _FIRST_ZH.search(self.text) or _FIRST_EN.search(self.text):
            self.figures.also.add(Quantity(Fraction(1), _ORDINAL))

    def _multiple(self) -> None:
        for match in _MULTIPLE.finditer(self._marked):
            found = self._free(match["n"])
            if found:
                self._span(match)
                self.figures.stated.add(Quantity(found[0].value, _TIMES))

    def _rest(self) -> None:
        """Take the numerals that are left, the last first: a range's end lends it its unit."""
        following: dict[int, Unit] = {}
        ranges = {
            self._number(m["low"]): self._number(m["high"]) for m in _RANGES.finditer(self._marked)
        }
        for number in range(len(self._numerals) - 1, -1, -1):
            if number in self._taken:
                continue
            numeral = self._numerals[number]
            unit, extra, is_counted = self._unit(numeral)
            if unit is None and not is_counted:
                unit = following.get(ranges.get(number, -1))
            if unit is not None:
                following[number] = unit
            numeral = numeral._replace(value=numeral.value + extra)
            self._take(numeral, unit, is_counted=is_counted)

    def _take(self, numeral: Numeral, unit: Unit | None, *, is_counted: bool) -> None:
        value, figures = numeral.value, self.figures
        if numeral.kind == "ordinal" and self._enumerates(numeral):
            return
        if numeral.kind != "cardinal" and not (numeral.kind == "share" and unit):
            figures.spans.append((numeral.start, numeral.end))
            figures.stated.add(Quantity(value, _UNIT_OF_KIND[numeral.kind]))
        elif unit is not None or not self._is_one(numeral, is_counted=is_counted):
            figures.spans.append((numeral.start, numeral.end))
            self._state(value, unit)
            if unit is None and not _COUNTED.match(self.text, numeral.end):
                figures.bare.add(value)

    def _is_one(self, numeral: Numeral, *, is_counted: bool) -> bool:
        """Take what may be an article, and what may be no number: one manager, 一部, 一般."""
        figures, value = self.figures, numeral.value
        count = _CLASSIFIER.match(self.text, numeral.end)
        if count:
            figures.counted.add((value, count[1]))
        is_loose = numeral.is_weak and (value == 1 if count else not is_counted)
        if is_loose:
            figures.loose.add(value)
            return True
        word = self.text[numeral.start : numeral.end]
        if word == "one" and not is_counted and _COUNTED.match(self.text, numeral.end):
            figures.single |= {stem(w) for w in _NEXT_WORD.findall(self.text, numeral.end)[:1]}
            return True
        return False

    def _enumerates(self, numeral: Numeral) -> bool:
        """Whether an ordinal only counts the steps of a text: "Second, …"."""
        ends = self.text[numeral.end : numeral.end + 1] == ","
        return (
            ends
            and _ENUMERATES.search(self.text, max(0, numeral.start - 12), numeral.start) is not None
        )

    def _state(self, value: Fraction, unit: Unit | None) -> None:
        self.figures.stated.add(Quantity(value, unit.name if unit else ""))
        if unit:
            self.figures.units[unit.name] = unit

    def _unit(self, numeral: Numeral) -> tuple[Unit | None, Fraction, bool]:
        """The unit of a numeral, what a half behind it adds, whether it counts anything."""
        begin, end, none = max(0, numeral.start - 8), numeral.end, Fraction(0)
        if sign := before().search(self.text, begin, numeral.start):
            written = sign["unit"]
            return units()["rmb" if not written or written in "¥￥" else written], none, True
        if _BC.search(self.text, begin, numeral.start) or _BC_BEHIND.match(self.text, end):
            return Unit("BC"), none, True
        match = behind().match(self.text, end)
        if match is None:
            return None, none, False
        written = match["unit"] or match["han"]
        if written is None:
            return None, none, True
        if written == "日" and numeral.value == 1:  # 一日 is also any day
            return None, none, True
        if is_abbreviation(written) and not self.text[end - 1].isdigit():
            return None, none, False
        half = match["half"] or (written in _HALVED and _HALF_BEHIND.match(self.text, match.end()))
        return units()[written], Fraction(1, 2) if half else none, True
