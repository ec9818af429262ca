"""Does a sentence bound a figure otherwise than a passage: at least, at most, or just five?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.text.numerals import find_numerals
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from fractions import Fraction

    from ragkit.query.proof.analysed import AnalysedText

_LEAST, _MOST, _PLAIN = "least", "most", "plain"
_NEAR = 30
"""Characters before a figure in which its bound is looked for."""
_LEADS = (
    r"(?:\s|of|an?|the|about|around|or|equal to|为|是|于|等|约|[$€£¥￥]|us\$|人民币|(?<=\s)age)*\Z"
)
_MOST_BEFORE = late_pattern(
    r"(?:\bat (?:the )?most|\b(?:no|not|never) (?:more|greater|larger|higher|longer|later|older)"
    r" than|\bup to"
    r"|\bmaximum(?: of)?|(?<!no )(?<!not )\b(?:less|fewer|lower|smaller|shorter|younger"
    r"|slower|lighter|cheaper|narrower|nearer|closer|earlier|sooner) than"
    r"|\bunder|\bbelow|\bwithin"
    r"|\b(?:not|never)(?: to)? (?:exceed|surpass)(?:ing|ed)?|\bnearly|\balmost|\blimited to"
    r"|不[得能]?超过|未超过|不多于|不高于|不大于|不晚于|不长于|[至最]多[^\W\d的]{0,3}"
    r"|不足|(?<!不)(?:少于|小于"
    r"|低于|短于)|未满|不满|不到|最高|上限|将近|接近|[<≤]"
    rf"){_LEADS}"
)
_LEAST_BEFORE = late_pattern(
    r"(?:\bat (?:the )?least|\b(?:no|not|never) (?:less|fewer|lower|smaller|shorter|younger"
    r"|earlier) than"
    r"|\bminimum(?: of)?|(?<!no )(?<!not )\b(?:more|greater|larger|higher|longer|older"
    r"|later|faster|heavier|bigger|wider|deeper|taller|thicker|farther|further) than|\bover"
    r"|\babove"
    r"|\bin excess of|\bupwards of|\b(?:exceed|surpass)(?:s|es|ing|ed)?|\bbeyond"
    rf"|[至最]少[^\W\d的]{{0,3}}|不少于|不低于|不小于|不短于"
    rf"|(?<![不未得能])超过|超出|(?<!不)(?:多于|大于|高于"
    rf"|长于)|已满|年满|逾|最低|下限|突破|[>≥]){_LEADS}"
)
_MOST_BEHIND = late_pattern(
    r"[\s%-]{0,2}(?:[^\W\d]+\s){0,2}?(?:or|and) (?:less|fewer|under|below|younger|shorter)\b"
    r"|[%‰]?[^\W\d]{0,4}?(?:及|或)?(?:以下|以内|之内)"
)
_LEAST_BEHIND = late_pattern(
    r"[\s%-]{0,2}(?:[^\W\d]+\s){0,2}?(?:or|and) (?:more|over|above|older|longer|higher)\b|\+"
    r"|[%‰]?[^\W\d]{0,4}?(?:及|或)?以上|[多余]"
)
_RANGE_BEHIND = late_pattern(r"[^\W\d]{0,3}\s?(?:-|–|—|~|～|至|到|\sto\b|\sand\b)\s?[$€£]?\d")
_RANGE_BEFORE = late_pattern(r"\d[^\W\d]{0,3}\s?(?:-|–|—|~|～|至|到|to|and)\s?[$€£]?\Z")
_LASTING = late_pattern(r"\bover\s(?:the\s)?\Z")
_SPAN = late_pattern(
    r"[\s-](?:\w+\s)?(?:second|minute|hour|day|night|week|month|year|decade|centur)"
)

_THAN_THING = late_pattern(r"\bthan the\s\Z")
"""More or less than a thing is told then, which has the figure: taller than the 40 m tower."""
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\b"
_MONTH_BEHIND = late_pattern(rf"(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}")
_FROM = late_pattern(r"\bfrom\s\Z")
_UNTIL = late_pattern(rf"\b(?:until|till)\s(?:the\s)?(?:{_MONTH}\s)?\Z")
_BY = late_pattern(rf"\bby\s(?:the\s)?({_MONTH}\s)?\Z")


def bounded_otherwise(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence gives a figure a bound that the evidence does not give it.

    Above and at least are one bound, below and at most the other.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> short = AnalysedText("The stay is no longer than ninety days.")
    >>> bounded_otherwise(AnalysedText("The stay is at least 90 days."), short)
    True
    >>> bounded_otherwise(AnalysedText("The stay is at most 90 days."), short)
    False
    """
    held = evidence.once(_bounds)
    return any(
        value in held and bounds.isdisjoint(held[value])
        for value, bounds in sentence.once(_bounds).items()
    )


def _bounds(text: AnalysedText) -> dict[Fraction, set[str]]:
    """The bounds that a text gives each figure; the ends of a range have two."""
    found: dict[Fraction, set[str]] = {}
    said = text.simplified
    for numeral in find_numerals(said):
        before = said[max(0, numeral.start - _NEAR) : numeral.start]
        found.setdefault(numeral.value, set()).update(_bound(before, said, numeral.end))
    return found


def _bound(before: str, text: str, end: int) -> set[str]:
    if _THAN_THING.search(before):
        return {_LEAST, _MOST, _PLAIN}
    if _LASTING.search(before) and _SPAN.match(text, end):
        return {_LEAST, _PLAIN}
    if _MOST_BEFORE.search(before) or _MOST_BEHIND.match(text, end):
        return {_MOST}
    if _LEAST_BEFORE.search(before) or _LEAST_BEHIND.match(text, end):
        return {_LEAST}
    return {_PLAIN, *_end_of_range(before, text, end)}


def _end_of_range(before: str, text: str, end: int) -> set[str]:
    if _RANGE_BEHIND.match(text, end):
        return {_LEAST}
    if _RANGE_BEFORE.search(before):
        return {_MOST}
    if _FROM.search(before):
        return {_LEAST}
    return {_MOST} if _UNTIL.search(before) or _is_last_day(before, text, end) else set()


def _is_last_day(before: str, text: str, end: int) -> bool:
    match = _BY.search(before)
    return match is not None and bool(match[1] or _MONTH_BEHIND.match(text, end))
