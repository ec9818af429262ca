"""Does a passage say the opposite of a sentence: negated, or with the opposite word?

A negation binds the content words behind it. A sentence agrees with a passage if each word that
it negates is negated in the passage too, and if it states no word that the passage has only
negated. Words that deny by themselves (refuse, lack, 禁止) negate.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ragkit.text.patterns import late_pattern
from ragkit.text.scripts import is_cjk
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from ragkit.query.proof.analysed import AnalysedText

_NEGATION = late_pattern(
    r"\b(?:not(?!\s+(?:only|just|merely|least|until))|(?<!yes or )no|none|never|without"
    r"|neither|nor|cannot|unable|false|\w+n['’]t|fail(?:s|ed)?(?=\s+to)|lack(?:s|ed)?|refus(?:es?|ed)|den(?:y|ies|ied)"
    r"|forbids?|forbade|forbidden|prohibit(?:s|ed)?)\b"
    r"(?=((?:\W+(?!(?:but|because|although|though|while|whereas)\b)\w+){1,6}))"
)
_NEGATION_HAN = late_pattern(
    "(?:不(?!满|丹(?!的)|锈钢|动产|幸|妨|愧|朽|良|管|错)|没有|没|未(?!来|婚|克)|无(?!关|机|线|限|序|锡|损)|勿|并非|绝非"
    "|禁止|拒绝|缺乏)(?!仅|但|过|同|断|久|论|只|少|来|限于|数|线)"
    r"(?=\s?((?:[^，。；！？,;!?\s]|(?<![\u4e00-\u9fff])[^\S\n]|[^\S\n](?![\u4e00-\u9fff])){1,8}))"
)
_PREFIXED = late_pattern(r"\b(?:un|in|im|ir|il|non-?|dis)(\w{4,})\b")
_STEM = 6
_BOUND = 2
"""How many content words a negation binds: ``not yet been founded`` binds ``yet`` and ``found``."""
_REACH = 8
"""How many may answer a question's negation: 未提出异议 answers 不提异议 with its third pair."""

_PAIRS = """
    more/less|fewer most/least|fewest before/after every/no always/never
    increase|increased|increases|increasing/decrease|decreased|decreases|decreasing|reduced
    rose|rises|rise|risen/fell|falls|fall|fallen minimum/maximum higher/lower highest/lowest
    larger|bigger/smaller largest|biggest/smallest earlier/later won|wins|win/lost|loses|lose
    accepted|accepts|accept/rejected|rejects|reject northern/southern eastern/western
    allowed|permitted|allows|permits|legal|lawful/forbidden|prohibited|banned|prohibits|forbids|bans|illegal|unlawful
    included|includes|including/excluded|excludes|excluding male/female
    增加|上升|提高/减少|下降|降低 大于|多于|高于|超过/小于|少于|低于 最大/最小 最高/最低
    最多/最少 最早/最晚 以上/以下 之前|以前/之后|以后 允许|可以/禁止 全部|所有/部分 接受/拒绝
    北部/南部 东部/西部 男性/女性"""
_OPPOSITES = [[side.split("|") for side in pair.split("/")] for pair in _PAIRS.split()]
"""Words that are opposites in any text: right is also what is just, and left who departed."""
_FORBID = late_pattern(
    r"\b(?:prohibit|forbid|forbade|ban(?:s|ned)?\b|illegal|unlawful)|禁止|不得|不准"
)
_ALLOWING = frozenset(("allow", "permit", "legal", "lawful", "允许", "可以"))
"""What is not allowed is forbidden."""
_NEGATES = late_pattern(r"\b(?:not|no|never|cannot|\w+n['’]t)(?:\s+\w+){0,1}\s+\Z|[不没未无非]\Z")
_CLAUSE = late_pattern(r"[^.,;:!?。，；：！？、\n]+")


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
    if _FORBID.search(evidence.casefolded):
        denied = [terms for terms in denied if terms[0] not in _ALLOWING]
    if _denies(denied, refuted):
        return True
    said = sentence.terms - {term for terms in denied for term in terms}
    # A Chinese term is a pair of characters: the first may be half of a verb (不予支付).
    firsts = {t for terms in refuted for t in (terms if is_cjk(terms[0][0]) else terms[:1])}
    return any(_only_refuted(term, said, evidence) for term in firsts & said) or has_opposite(
        sentence, evidence
    )


def _only_refuted(term: str, said: Set[str], evidence: AnalysedText) -> bool:
    """Whether what the evidence says of a term that it also negates is nearest where it does.

    That is the clause that shares most of what the sentence says. A clause without a negation of
    the term speaks for the sentence only if it shares more than those with one.
    """
    with_it, without = -1, -1
    for clause in evidence.once(_clauses):
        if term in clause.terms:
            shared = len(clause.terms & said)
            is_denied = any(term in terms[:_BOUND] for terms in clause.once(find_negations))
            with_it, without = (
                (max(with_it, shared), without) if is_denied else (with_it, max(without, shared))
            )
    return with_it > without


def _clauses(text: AnalysedText) -> list[AnalysedText]:
    return [type(text)(m[0]) for m in _CLAUSE.finditer(text.text)]


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
    return is_denied or has_opposite(question, evidence) or _has_prefix(question, evidence)


def find_negations(text: AnalysedText) -> list[tuple[str, ...]]:
    """List for each negation the content terms behind it, in order; one without any is left out.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> find_negations(AnalysedText("It is not to be allowed."))
    [('allow',)]
    >>> find_negations(AnalysedText("公司不允许。"))
    [('允许',)]
    """
    folded = text.casefolded
    behind = [tuple(content_terms(m[1])) for m in _NEGATION.finditer(folded)]
    behind += [_behind(m[1]) for m in _NEGATION_HAN.finditer(folded)]
    return [terms for terms in behind if terms]


def _behind(said: str) -> tuple[str, ...]:
    """The terms that a negation in Chinese binds; 不存在的公司 denies what is before 的."""
    near = content_terms(said.partition("的")[0])
    return tuple(near or content_terms(said))


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


def has_opposite(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if both speak of one thing with opposite words, and the evidence lacks the sentence's.

    The one thing is a content word beside both. Of two opposites one may be negated: no fewer
    than five are five or more.
    """
    said, held = sentence.casefolded, evidence.casefolded
    return any(
        _are_opposed(_uses(said, one), _uses(held, other))
        for pair in _OPPOSITES
        for one, other in (pair, reversed(pair))
        if _holds(said, one) and not _holds(held, one) and _holds(held, other)
    )


class _Use(NamedTuple):
    """A word where it stands: whether it is negated there, and the content terms beside it."""

    is_negated: bool
    beside: frozenset[str]


def _are_opposed(said: Sequence[_Use], held: Sequence[_Use]) -> bool:
    return any(
        one.is_negated == other.is_negated and one.beside & other.beside
        for one in said
        for other in held
    )


_NEAR = 40
"""Characters on either side of a word in which its neighbours are looked for."""


def _uses(text: str, words: Sequence[str]) -> list[_Use]:
    found = []
    for match in _pattern(tuple(words)).finditer(text):
        before = text[max(0, match.start() - _NEAR) : match.start()]
        behind = text[match.end() : match.end() + _NEAR]
        terms = frozenset(content_terms(before)[-_BESIDE:] + content_terms(behind)[:_BESIDE])
        found.append(_Use(_NEGATES.search(before) is not None, terms))
    return found


_BESIDE = 2
"""How many content terms on either side are a word's neighbours."""


def _holds(text: str, words: Sequence[str]) -> bool:
    return _pattern(tuple(words)).search(text) is not None


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    any_of = "|".join(words)
    return re.compile(rf"\b(?:{any_of})\b" if any_of.isascii() else any_of)
