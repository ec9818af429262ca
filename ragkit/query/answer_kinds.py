"""Which kind of answer a question expects, and whether a passage holds one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from ragkit.query.proof.entities import find_names
from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from ragkit.query.proof.analysed import AnalysedText

Kind = Literal["date", "number", "name", "place"]

_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "date",
        late_pattern(
            r"\bwhen\b(?! (?:you|we|they|it|the|a|an|is|are)\b[^?]*\b(?:what|how|who|which)\b)"
            r"|\b(?:what|which) (?:year|date|day|month|century|decade)\b"
            r"|什么时候|何时|哪一?[年天月]|几[月号]|什么时间|哪个世纪"
        ),
    ),
    (
        "number",
        late_pattern(
            r"\bhow (?:many|much|old|long|far|tall|high|large|big|fast|deep|wide|heavy|often)\b"
            r"|\bwhat (?:percent|percentage|number|amount|proportion|fraction)\b"
            r"|多少|几[个名次位年岁种条座家]|多[久长大高远深宽重]"
        ),
    ),
    ("name", late_pattern(r"^(?:\W*(?:by|with|for|from|to|in|under) )?who(?:m|se)?\b|\bwhose\b")),
    (
        "place",
        late_pattern(
            r"\bwhere\b|\b(?:what|which) (?:country|city|state|region|place|continent)\b"
            r"|哪[里儿]|什么地方|[何哪]处|何地|哪[个座一]?(?:国|城市|省|地区|州|县|岛)"
        ),
    ),
)
_DATE = late_pattern(
    r"\b(?:1\d|20)\d\d(?:s\b|\b)|\d\s*(?:年|月|日|世纪)|[一二三四五六七八九十〇]+(?:年|月|日|世纪)"
    r"|\b(?:january|february|march|april|may|june|july|august|september|october|november"
    r"|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b|\bcentur(?:y|ies)\b"
)
_NUMBER = late_pattern(
    r"\d+(?:[.,]\d+)*|[一二两三四五六七八九十百千万亿]+(?=[个年月日天周名次位岁种条座家米倍元分])"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty"
    r"|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|millions?|billions?|half"
    r"|third|quarter|twice|daily|weekly|monthly|yearly|annually|hourly)\b"
)
_ASKING = late_pattern(
    r"\bhow (?:many|much|old|long|far|tall|high|large|big|fast|deep|wide|heavy|often)\b"
    r"|\b(?:what|which) (?:kind|sort|type|year|date|day|month|percent|percentage|number|amount)s?\b"
    r"|多[久长大高远深宽重]|几[个名次位年岁种条座家月号]|什么时间"
)


def content_of(question: AnalysedText) -> frozenset[str]:
    """The content terms of a question but for those by which it names the kind of its answer.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> sorted(content_of(AnalysedText("How long is the notice period?")))
    ['notic', 'period']
    """
    rest = _ASKING.sub(" ", question.simplified)
    return frozenset(content_terms(rest)) or question.terms


def kind_expected(question: AnalysedText) -> Kind | None:
    """The kind of answer that a question's words ask for, None if they do not tell."""
    return next((kind for kind, asks in _KINDS if asks.search(question.simplified)), None)


def holds_kind(kind: Kind, question: AnalysedText, text: AnalysedText) -> bool:
    """Whether a text holds something of a kind that the question does not hold itself.

    Names and places are told by capital letters, so any CJK text may hold one.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> asked = AnalysedText("When was the bridge built?")
    >>> holds_kind("date", asked, AnalysedText("The bridge was built in 1932."))
    True
    """
    if kind in ("date", "number"):
        pattern = _DATE if kind == "date" else _NUMBER
        return not set(pattern.findall(text.simplified)) <= set(
            pattern.findall(question.simplified)
        )
    if text.is_cjk:
        return True
    return not set(text.once(find_names)) <= question.terms
