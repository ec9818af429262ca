"""Does a sentence leave out what limits a passage's statement?

That is a condition (unless, 除非), or "one of" and "second" before a superlative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms, share_covered

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from ragkit.query.proof.analysed import AnalysedText

_BEST = late_pattern(
    r"\b(?:(?<!at )(?<!at the )(?:most|least)|(?!(?:int|in|for|t|gu|w|r|n|pri|hon|arr|cont|sugg|di"
    r"|requ|harv|prot|mod|inv|earn|eldr|manif"
    r"|b|v|p|z|ch|cr|qu|conqu|tempt|attest|infest|ingest|detest|molest|bequ"
    r"|northw|southw|midw|ever|budap)est\b)[a-z]{3,}est)\b"
    r"|最(?![后初终近]|[少多][^\W\d的]{0,3}[\d一二两三四五六七八九十百千万])"
)
_ONE_OF = late_pattern(
    r"\b(?:one of|among|amongst|some of|two of|three of|several of)\b[^.;\n]{0,40}?\b(?:most"
    r"|[a-z]{3,}est)\b"
    r"|最[^。；\n]{1,20}之一|(?:之一|其中)[^。；\n]{0,12}最"
)
_NEXT_TO = late_pattern(
    r"\b(?:second|third|fourth|fifth|2nd|3rd|4th|5th)[ -](?:most\b|[a-z]{3,}est\b)"
    r"|第[二三四五2345][大高长多早快强好重小低短少]"
)
_AMONG = late_pattern(
    r"\b(?:one of|some of|among|amongst|second|third|fourth|fifth|2nd|3rd|4th|5th)\b"
    r"|之一|其中|第[二三四五2345]|位列|之列"
)

_CONDITION = late_pattern(
    r"\b(?:unless|provided that|on condition that|except (?:when|where|if|that"
    r"|for))\s([^,.;:!?\n]+)"
    r"|除非([^，,。；;！？\n]+)|但([^，,。；;\n]{2,60})除外"
)
"""A mere "if" is no such word: it often only says when a thing is done."""
_DEFAULT = frozenset(("otherwis", "另有"))
"""What says that all may be otherwise limits nothing: unless otherwise agreed."""
_CONDITIONAL = late_pattern(
    r"\b(?:if|unless|provided|as long as|in case|condition\w*|subject to|except\w*|when\w*|where"
    r"|without|only|until|depend\w*|assuming"
    r"|should|otherwise|can|may|might|could)\b|如|若|倘|假|只要|除|时|的[，,]|但|可能|只有|须|经|后"
    r"|前提|条件|情况|情形"
)


def oversteps(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence leaves out a limit of the evidence.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> rule = AnalysedText("Entry is free unless a concert is announced.")
    >>> oversteps(AnalysedText("Entry is free."), rule)
    True
    >>> oversteps(AnalysedText("Entry is free unless there is a concert."), rule)
    False
    """
    return excels(sentence, evidence) or drops_condition(sentence, evidence)


def excels(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence has a superlative that the evidence has for one of several only."""
    said, held = sentence.simplified, evidence.simplified
    if not _BEST.search(said):
        return False
    among = _ONE_OF.search(held) or _NEXT_TO.search(held)
    return among is not None and not _AMONG.search(said) and len(_BEST.findall(held)) == 1


def drops_condition(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the evidence says it on a condition of which the sentence says no word."""
    if _CONDITIONAL.search(sentence.simplified):
        return False
    for start, end, condition in _conditions(evidence):
        if condition and condition.isdisjoint(sentence.terms | _DEFAULT):
            rest = evidence.simplified[start:end]
            if share_covered(sentence.terms, frozenset(content_terms(rest))) >= 0.5:
                return True
    return False


def _conditions(evidence: AnalysedText) -> Iterator[tuple[int, int, Set[str]]]:
    """The conditions of a text: the span of the sentence about each, and its content terms."""
    held = evidence.simplified
    for match in _CONDITION.finditer(held):
        start = (
            max(held.rfind(mark, 0, match.start()) for mark in (". ", "。", "\n", "; ", "；")) + 1
        )
        ends = [
            at
            for mark in (". ", "。", "\n", "; ", "；")
            if (at := held.find(mark, match.end())) >= 0
        ]
        yield (
            start,
            min(ends, default=len(held)),
            frozenset(content_terms(match[match.lastindex or 0])),
        )
