"""The units of figures, in both languages, and how one is turned into another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: what it measures, and how many of the dimension's first unit it is.

    Attributes:
        name: As a receipt names it.
        dimension: Units of one dimension can be turned into each other; empty: into none.
        size: In the dimension's smallest unit; no size, no conversion.
    """

    name: str
    dimension: str = ""
    size: Fraction = Fraction(1)


_PAIRS = {
    "square metre": "m2", "square metres": "m2", "square meter": "m2", "square meters": "m2",
    "sq m": "m2", "square kilometre": "km2", "square kilometres": "km2", "square kilometer": "km2",
    "square kilometers": "km2", "sq km": "km2", "square mile": "sqmi", "square miles": "sqmi",
    "sq mi": "sqmi", "square foot": "sqft", "square feet": "sqft", "cubic metre": "m3",
    "cubic metres": "m3", "cubic meter": "m3", "cubic meters": "m3", "working day": "workday",
    "working days": "workday", "business day": "workday", "business days": "workday",
    "percentage point": "pp", "percentage points": "pp", "percent points": "pp",
    "degrees celsius": "°c", "degree celsius": "°c", "degrees fahrenheit": "°f",
    "km per hour": "km/h", "kilometres per hour": "km/h", "kilometers per hour": "km/h",
    "miles per hour": "mph", "hong kong dollars": "hkd", "australian dollars": "aud",
    "canadian dollars": "cad", "us dollars": "usd", "u.s. dollars": "usd", "swiss francs": "chf",
    "pounds sterling": "gbp", "nautical miles": "海里", "light years": "光年", "light year": "光年",
}  # fmt: skip
CLASSIFIERS = (
    "个人名位次条项座家所种件张本部首支队艘辆架台套层楼级届期章节篇页卷集号点户口只头匹棵株场局轮站线代类组班门间栋幢处"
    "段份票席列趟串束排杯瓶盒箱袋桶遍阵番笔册封副伙群行幅尊宗盏丛朵顿餐尾羽胎针通记人倍国省市县州区镇村岛员字句步道环枚颗粒面片款路成折间顶把根块分月等对双批起例台款"
)
"""What Chinese counts things by; it shows that a numeral is one, and measures nothing."""

_BETWEEN = (
    r"(?:(?:more|or|full|whole|calendar|consecutive|successive|additional|further|extra|straight|long|whole|paid"
    r"|complete|contiguous|least|most|metric|u\.?s\.?|solid)[\s-]+){0,2}"
)
_LETTERS_ONLY_BEHIND_DIGITS = frozenset(
    ("m", "l", "g", "w", "v", "mi", "mo", "sec", "min", "ha", "ft", "mb", "gb", "tb", "kb")
)


@cache
def units() -> dict[str, Unit]:
    """Each way to write a unit, casefolded, with the unit; the table is ``unit_table.txt``."""
    found: dict[str, Unit] = {}
    table = files("ragkit.query.proof").joinpath("unit_table.txt").read_text("utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            dimension, name, size, written = map(str.strip, line.split("|"))
            unit = Unit(name, dimension, Fraction(size or 1))
            found |= dict.fromkeys(written.split(), unit)
    return found | {pair: found[single] for pair, single in _PAIRS.items()}


@cache
def behind() -> re.Pattern[str]:
    """What may stand behind a numeral: a unit, or a Chinese word that counts things."""
    known = units()
    latin = sorted((u for u in known if u.isascii() and u[0].isalpha()), key=len, reverse=True)
    han = sorted((u for u in known if not u.isascii() and u[0].isalpha()), key=len, reverse=True)
    signs = [u for u in known if not u[0].isalpha()]
    return re.compile(
        rf"[\s-]*{_BETWEEN}(?P<unit>(?:{'|'.join(map(re.escape, latin))})(?![a-z0-9])"
        rf"|{'|'.join(map(re.escape, signs))})"
        rf"|\s?[多余来几]?(?:个(?!月))?(?P<half>半)?(?:个(?!月))?(?P<han>(?:{'|'.join(han)})(?!级|号线))"
        rf"|\s?[多余来几]?(?P<count>[{CLASSIFIERS}])"
    )


@cache
def before() -> re.Pattern[str]:
    """What may end right before a numeral: the sign or the letters of a currency."""
    known = (
        "us$",
        "hk$",
        "nt$",
        "a$",
        "c$",
        "$",
        "€",
        "£",
        "₹",
        "₩",
        "usd",
        "eur",
        "gbp",
        "chf",
        "rmb",
        "cny",
        "jpy",
        "hkd",
        "人民币",
    )
    return re.compile(rf"(?<![a-z])(?P<unit>{'|'.join(map(re.escape, known))}|[¥￥])\s?-?\Z")


def is_abbreviation(written: str) -> bool:
    """Whether these letters are a unit behind digits only: 5 m, and not "five m"."""
    return written in _LETTERS_ONLY_BEHIND_DIGITS
