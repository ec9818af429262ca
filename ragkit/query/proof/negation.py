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
    r"\b(?:not(?!\s+(?:only|just|merely|solely|simply|least|until))|(?<!yes or )no(?:\s+longer)?"
    r"|none|nobody|never|without|neither|nor|cannot|unable|false|\w+n['’]t|fail(?:s|ed)?(?=\s+to)|lack(?:s|ed)?"
    r"|refus(?:es?|ed)|den(?:y|ies|ied)|forbids?|forbade|forbidden|prohibit(?:s|ed)?)\b"
    r"(?=((?:(?:[^\w.;:!?]|[.:](?=\w))+(?!(?:but|because|although|though|while|whereas)\b)\w+){0,6}))"
)
_NEGATION_HAN = late_pattern(
    "(?:(?<!不得)(?<!不能)(?<!无)不(?!得不|能不|满|丹(?!的)|锈钢|动产|幸|妨|愧|朽|良|管|错|列颠|[莱来]梅"
    "|倒翁|料|惜|禁(?!止)|乏|绝|息|胜|由得|由自主|止(?!住)|时地?|亚于|外乎|计其数|约而同|言而喻|可或缺"
    r"|可缺|可思议|得已|[等一](?=[，。；、的)）]|\Z))"
    "|没有|(?<![沉淹出埋吞覆隐湮])没(?![收落药])|(?<![乙丁己辛癸])未(?!来|婚|克|免)"
    "|(?<![虚南莫])无(?!关|机|线|限|序|锡|损|疑|数|论|非|不|所不|产阶级|花果|尾|政府主义|烟煤|可厚非|独有偶)"
    "|勿|[并绝而]非|禁止|拒绝|缺乏|(?<!不可)缺少)(?!仅|但|过|同|断|久|论|只|少|来|限于|数|线)"
    r"(?=\s?((?:[^，。；！？,;!?\s」』》）]|(?<![\u4e00-\u9fff])[^\S\n]|[^\S\n](?![\u4e00-\u9fff])){1,8}))"
)
_IDLE = late_pattern(
    r"\b(?:(?:no|without(?: a)?) (?:doubt|question|exception)|no matter|not to mention"
    r"|(?:whether )?or not(?! to\b)|none other than"
    r"|can(?:not|['’]t| not) (?:but|help(?= (?:but|\w+ing)\b))"
    r"|more often than not|last but not least|never[ -]?(?:the[ -]?less|ending)"
    r"|(?:no|not|n['’]t) (?:\w+ than))\b"
)
"""Phrases whose negation denies nothing of what follows: no doubt, at the most five."""
_COMPARED = late_pattern(r"\b(no |not |\w+n['’]t |never )?(?:any )?(\w+) than\b")
"""A comparison, and whether it is negated."""
_DENYING = late_pattern(
    r"(?:fail|lack|refus|den(?:y|i)|forb|prohibit|unable|fals|without|avoid|prevent|bann?\b|abolish|reject"
    r"|stopp?\b|ceas|absen|free\b|exempt|devoid|禁止|拒绝|缺乏|缺少|避免|避开|阻止|废除|取消|停止|放弃|免除)"
)
"""Words that deny by themselves: behind another negation they do not."""
_ENDS = late_pattern(
    r"(?<!\bor )\b(?:not|never|cannot|\w+n['’]t|forbidden|prohibited|refused|denied)\Z"
)
_TRIED = late_pattern(
    r"\b(?:tr(?:y|ies|ied)|attempt(?:s|ed)?|sought|seeks?|want(?:s|ed)?|hope[sd]?"
    r"|plan(?:s|ned)?|intend(?:s|ed)?|(?:was|were) (?:asked|told|ordered|urged|requested|invited))"
    r"(?: again| hard| \w+ly)? to ([^.,;:!?\n]{1,120}?),? (?:but|and|yet) "
    r"(?:(?:ha[sd]|have|\w+ly) )?(\w+)(?=[.,;:!?]|\Z)"
)
"""What was to be done, and the word behind it that ends the clause: tried to land, but failed."""
_SENTENCE_END = late_pattern(r"[.;:!?。；！？\n](?=\s|\Z)|[。；！？]")
_LIGHT_HAN = late_pattern(r"(?:得到|受到|进行|开展|加以|予以|可以|能够|应该|应当)+")
"""Words before a verb that say nothing: 没有得到证实 negates 证实."""
_UNLIKE = late_pattern(
    r"\b(?:unlike|in contrast (?:to|with)|contrary to|as opposed to|except(?: for)?|apart from)\s"
    r"([^,.;\n]+)|(?:与|和|除了?)([^，。；\n]{1,15}?)(?:不同|相反|不一样|之?外)"
)
_ONLY_WITH = late_pattern(
    r"\b(?:not|no|none|nobody|never|cannot|\w+n['’]t|forbidden|prohibited)\b[^.;:!?\n]*?"
    r"\b(without|unless|until|except)\s([^.,;:!?\n]+)"
    r"|(?:未经|未|无|没有)([^，。；！？\n]{1,15}?)(?:的)?[，,]?(?:一律|均)?(?:不得|不能|不可|不予|禁止)"
)
"""A condition: nobody enters without a permit, so with one he does."""
_WANTING = late_pattern(
    r"\b(?:un|non-?|il(?=l)|ir(?=r))(\w{4,})|\b(\w{3,})(?:less|-free)\b|\b(\w{2,})[ -]deficien\w+"
    r"|([^.,;:\n]{1,80})\b(?:is|are|was|were|be|been)\s(?:forbidden|prohibited|banned|refused|denied)\b"
    r"|([^，。；：\n]{1,40})被(?:禁止|拒绝)"
    r"|\bim(possib\w+)|\bin(eligib\w+|valid\w*|complet\w+|sufficien\w+|capab\w+|correct\w*|effective\w*)"
    r"|\bdis(agre\w+|approv\w+|lik\w+|continu\w+)"
    r"|\b(?:instead of|rather than|(?:absen(?:ce|t)|free|exempt|devoid) (?:of|from)"
    r"|(?:avoid|bann|abolish|reject|prevent|ceas|stopp)(?:ed|es|ing|s))((?:\s+\w+){1,4})"
    r"|(?:禁止|拒绝|避免|避开|阻止|废除|取消|停止|放弃|免除|免于)([^，。；：\n]{1,10})"
)
"""What lacks something without a negation before it: unpaid, sugar-free; entry is refused."""
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
    if _compares_otherwise(sentence, evidence):
        return True
    denied, refuted = _bound(sentence, _BOUND), _bound(evidence, _BOUND)
    if _FORBID.search(evidence.casefolded):
        denied = [terms for terms in denied if terms[0] not in _ALLOWING]
    ended = _ended(sentence)
    alike = _denied_alike(sentence, evidence)
    if _denies([*denied, *ended], [*refuted, *evidence.once(_wanting), *alike]):
        return True
    denied += ended
    negated = {term for terms in denied for term in terms}
    said = sentence.terms - negated
    # A Chinese term is a pair of characters: the first may be half of a verb (不予支付).
    firsts: set[str] = set()
    for terms in evidence.once(find_negations):
        if not is_cjk(terms[0][0]):
            firsts.add(terms[0])
        elif negated.isdisjoint(terms):  # 禁止军队进入 denies that they enter, as does 军队不得进入
            firsts.update(terms[:_BOUND])
    if any(them <= said for them in _unlike(evidence)) or _meets_condition(
        sentence, said, evidence
    ):
        firsts = set()
    return any(_only_refuted(term, said, evidence) for term in firsts & said) or has_opposite(
        sentence, evidence
    )


def _denied_alike(sentence: AnalysedText, evidence: AnalysedText) -> list[tuple[str, ...]]:
    """The terms that a denying word binds, where the evidence says that who was to do it so denied.

    Who failed to land is the one who tried to land, but failed. One that landed and then failed, or
    beside whom another one failed, is not.
    """
    held = evidence.casefolded
    tried = [
        (_terms_before(held[max(0, m.start() - _SUBJECT) : m.start()]), m[1], m[2])
        for m in _TRIED.finditer(held)
    ]
    if not tried:
        return []
    folded, found = sentence.once(_telling), []
    for negation in _NEGATION.finditer(folded):
        terms = tuple(content_terms(negation[1])[:_BOUND])
        word = _DENYING.match(negation[0])
        who = _terms_before(folded[: negation.start()])
        if terms and word:
            found += [
                terms
                for they, task, end in tried
                if end.startswith(word[0])
                and content_terms(task)[:1] == [terms[0]]
                # Who is told of by a pronoun is anybody.
                and (who <= they or they <= who)
            ]
    return found


def _compares_otherwise(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """Whether one says more than five and the other no more than five, and never the same."""
    said, held = sentence.once(_comparisons), evidence.once(_comparisons)
    return any((not is_negated, word) in held for is_negated, word in said - held)


def _comparisons(text: AnalysedText) -> frozenset[tuple[bool, str]]:
    return frozenset((bool(m[1]), m[2]) for m in _COMPARED.finditer(text.casefolded))


def _unlike(evidence: AnalysedText) -> list[frozenset[str]]:
    """What the evidence sets against what it speaks of: unlike these, those never did."""
    phrases = (m[1] or m[2] for m in _UNLIKE.finditer(evidence.casefolded))
    return [terms for phrase in phrases if (terms := frozenset(content_terms(phrase)))]


def _meets_condition(sentence: AnalysedText, said: Set[str], evidence: AnalysedText) -> bool:
    """Whether a sentence states what the evidence makes a condition, and not as one itself."""
    for match in _ONLY_WITH.finditer(evidence.casefolded):
        condition = content_terms(match[2] or match[3])[:_BOUND]
        if match[1] not in sentence.words and not said.isdisjoint(condition):
            return True
    return False


def _ended(sentence: AnalysedText) -> list[tuple[str, ...]]:
    """The terms before each negation that ends a sentence: what the others may do, he may not."""
    folded = sentence.once(_telling)
    found = []
    for match in _NEGATION.finditer(folded):
        if not content_terms(match[1]) and _ENDS.search(folded[: match.end()]):
            before = _SENTENCE_END.split(folded[: match.start()])[-1]
            found.append(tuple(content_terms(before)))
    for match in _NEGATION_HAN.finditer(folded):
        if match[1].startswith("的"):
            before = _SENTENCE_END.split(folded[: match.start()])[-1]
            found.append(tuple(content_terms(before)))
    return [terms for terms in found if terms]


def _terms_before(text: str) -> set[str]:
    """The terms of the last sentence of a text, or of what there is of it."""
    return set(content_terms(_SENTENCE_END.split(text)[-1]))


def _wanting(evidence: AnalysedText) -> list[tuple[str, ...]]:
    found = (m[m.lastindex or 0] for m in _WANTING.finditer(evidence.casefolded))
    return [terms for said in found if (terms := tuple(content_terms(said)))]


def _only_refuted(term: str, said: Set[str], evidence: AnalysedText) -> bool:
    """Whether what the evidence says of a term that it also negates is nearest where it does.

    That is the clause that shares most of what the sentence says. A clause without a negation of
    the term speaks for the sentence only if it shares more than those with one.
    """
    with_it, without = -1, -1
    for clause in evidence.once(_clauses):
        if term in clause.terms:
            shared = len(clause.terms & said)
            denied = sum(term in terms[:_BOUND] for terms in clause.once(find_negations))
            is_denied = 0 < denied >= content_terms(clause.text).count(term)
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
    folded = text.once(_telling)
    english, chinese = _NEGATION.finditer(folded), _NEGATION_HAN.finditer(folded)
    behind = [tuple(content_terms(m[1])) for m in english if not _is_denied(folded, m)]
    behind += [_behind(m) for m in chinese if not _is_denied(folded, m)]
    # Who did not refuse payment did not negate payment, but the refusal.
    return [terms[:1] if _DENYING.match(terms[0]) else terms for terms in behind if terms]


def _telling(text: AnalysedText) -> str:
    """The text folded, blanks in the place of phrases whose negation denies nothing."""
    return _IDLE.sub(lambda m: " " * len(m[0]), text.casefolded)


def _is_denied(text: str, negation: re.Match[str]) -> bool:
    """Whether a word that denies is negated itself: who never refused did not deny."""
    if not _DENYING.match(negation[0]):
        return False
    return _NEGATES.search(text[max(0, negation.start() - _NEAR) : negation.start()]) is not None


def _behind(negation: re.Match[str]) -> tuple[str, ...]:
    """The terms that a negation in Chinese binds; 不存在的公司 denies what is before 的.

    缺乏必要的证据 denies what is behind it. What 没有的东西 denies stands before.
    """
    said = negation[1]
    if said.startswith("的"):
        return ()
    if negation[0].startswith("缺"):
        said = said.rpartition("的")[2]
    near = said.partition("的")[0]
    light = _LIGHT_HAN.match(near)
    plain = content_terms(near[light.end() :]) if light else ()
    return tuple(plain or content_terms(near) or content_terms(said))


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


_SUBJECT = 200
"""Characters before a verb in which its subject is looked for."""
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
