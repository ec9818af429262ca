"""Does a passage say the opposite of a sentence: negated, or with the opposite word?

A negation binds the content words behind it. A sentence agrees with a passage if each word that
it negates is negated in the passage too, and if it states no word that the passage has only
negated. Words that deny by themselves (refuse, lack, 禁止) negate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragkit.text.scripts import is_cjk
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.query.proof.analysed import AnalysedText

_NEGATION = re.compile(
    r"\b(?:not|no|none|never|without|neither|nor|cannot|unable|false|\w+n['’]t|fail(?:s|ed)?|lack(?:s|ed)?"
    r"|refus(?:es?|ed)|den(?:y|ies|ied)|forbids?|forbade|forbidden|prohibit(?:s|ed)?)\b"
    r"(?=((?:\W+\w+){1,6}))"
)
_NEGATION_HAN = re.compile(
    "(?:不|没有|没|未|无|勿|并非|绝非|禁止|拒绝|缺乏)"
    "(?!仅|但|过|同|断|久|论|只|少|来|限于|数|线)([^，。；！？,;!?\n]{1,8})"
)
_PREFIXED = re.compile(r"\b(?:un|in|im|ir|il|non-?|dis)(\w{4,})\b")
_STEM = 6
_BOUND = 2
"""How many content words a negation binds: ``not yet been founded`` binds ``yet`` and ``found``."""
_REACH = 8
"""How many may answer a question's negation: 未提出异议 answers 不提异议 with its third pair."""

_PAIRS = """
    more/less|fewer most/least|fewest before/after above/below|under all|every/some|none
    always/never increase|increased|increases/decrease|decreased|decreases|reduced
    rose|rises|rise/fell|falls|fall first/last minimum/maximum higher/lower highest/lowest
    larger|bigger/smaller largest|biggest/smallest earlier/later won|wins/lost|loses
    accepted/rejected north|northern/south|southern east|eastern/west|western
    allowed|permitted/forbidden|prohibited included|includes/excluded|excludes male/female
    left/right 增加|上升|提高/减少|下降|降低 大于|多于|高于|超过/小于|少于|低于 最大/最小 最高/最低
    最多/最少 最早/最晚 以上/以下 之前|以前/之后|以后 允许|可以/禁止 全部|所有/部分 接受/拒绝 胜/败
    北部/南部 东部/西部 男性/女性"""
_OPPOSITES = [[side.split("|") for side in pair.split("/")] for pair in _PAIRS.split()]


def opposed(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence negates what the evidence states, or the other way round.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> denied = AnalysedText("Overtime is not paid.")
    >>> opposed(AnalysedText("Overtime is paid."), denied)
    True
    >>> opposed(denied, AnalysedText("Overtime is never paid."))
    False
    """
    denied, refuted = _bound(sentence, _BOUND), _bound(evidence, _BOUND)
    if _denies(denied, refuted):
        return True
    said = sentence.terms - {term for terms in denied for term in terms}
    # A Chinese term is a pair of characters: the first may be half of a verb (不予支付).
    firsts = {t for terms in refuted for t in (terms if is_cjk(terms[0][0]) else terms[:1])}
    return not firsts.isdisjoint(said) or _has_opposite(sentence, evidence)


def denies(question: AnalysedText, evidence: AnalysedText) -> bool:
    """True if a question is about the opposite of what the evidence says.

    It negates what the evidence does not, has the opposite word, or a word with a denying prefix
    of which the evidence has the plain form only.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> signed = AnalysedText("The treaty was signed in Rome.")
    >>> denies(AnalysedText("Which treaty was not signed?"), signed)
    True
    >>> denies(AnalysedText("Which acts are unlawful?"), AnalysedText("These acts are lawful."))
    True
    >>> denies(AnalysedText("不提异议算同意吗？"), AnalysedText("未提出异议的，视为同意。"))
    False
    """
    is_denied = _denies(_bound(question, _BOUND), _bound(evidence, _REACH))
    return is_denied or _has_opposite(question, evidence) or _has_prefix(question, evidence)


def find_negations(text: AnalysedText) -> list[tuple[str, ...]]:
    """List for each negation the content terms behind it, in order; one without any is left out.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> find_negations(AnalysedText("It is not to be allowed."))
    [('allow',)]
    >>> find_negations(AnalysedText("公司不允许。"))
    [('允许',)]
    """
    folded = text.casefolded
    behind = [m[1] for pattern in (_NEGATION, _NEGATION_HAN) for m in pattern.finditer(folded)]
    return [terms for terms in map(tuple, map(content_terms, behind)) if terms]


def _bound(text: AnalysedText, reach: int) -> list[tuple[str, ...]]:
    """The terms that each negation of a text binds: the first, at most `reach`."""
    return [terms[:reach] for terms in text.once(find_negations)]


def _denies(denied: Sequence[tuple[str, ...]], refuted: Sequence[tuple[str, ...]]) -> bool:
    allowed = {term for terms in refuted for term in terms}
    return any(allowed.isdisjoint(terms) for terms in denied)


def _has_prefix(question: AnalysedText, evidence: AnalysedText) -> bool:
    held = evidence.text.casefold()
    return any(
        m[0] not in held and re.search(rf"\b{m[1][:_STEM]}", held)
        for m in _PREFIXED.finditer(question.text.casefold())
    )


def _has_opposite(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the evidence lacks a word of the sentence and holds its opposite."""
    said, held = sentence.casefolded, evidence.casefolded
    return any(
        _holds(said, one) and not _holds(held, one) and _holds(held, other)
        for pair in _OPPOSITES
        for one, other in (pair, reversed(pair))
    )


def _holds(text: str, words: list[str]) -> bool:
    return any(
        re.search(rf"\b{word}\b", text) if word.isascii() else word in text for word in words
    )
