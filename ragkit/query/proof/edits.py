"""Is a sentence what a passage says but for a small change: another thing, a "not", an "all"?

Where most words of a sentence stand in the passage's order, the gaps between them are what was
changed. A gap may not hold another thing of the passage in the place of one (1850 for 1900), nor
other small words that decide what is claimed: a negation, may for must, all for some, only,
before for after, unless for if, the most. Bounds of figures are another rule's (`bounds`).
"""

from __future__ import annotations

import re
from collections import Counter
from difflib import Match, SequenceMatcher
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ragkit.query.proof.opposites import exchanged
from ragkit.text.patterns import late_pattern
from ragkit.text.scripts import is_cjk
from ragkit.text.sentences import sentences
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.query.proof.analysed import AnalysedText

_BESIDE = 2
"""Words or ideographs on either side that must be the same; the ends of a sentence are enough."""
_ALIKE = 0.7
"""Share of the sentence's words that must stand in such stretches, in order, in one sentence."""
_LONGEST = 8
"""Words or ideographs of a gap: what is longer was told anew."""
_MOST_TERMS = 2
"""Content terms of a gap beside its small words; of Chinese ones, which are pairs, twice that."""
_TOKEN = late_pattern(r"[至最][少多]|[\u3400-\u9fff]|\d+(?:[.,]\d+)*|[^\W\d_\u3400-\u9fff]+|[<>≤≥]")

_IDLE = late_pattern(
    r"非常|无论|不论|不管|不同|不过|不仅|不但|不光|不只|未来|无数|无限|不断|不久|没收|不少(?!于)"
    r"|不错|无疑|莫非|除非|并且|不料|不妨"
    r"|\b(?:not only|no matter|no doubt|of course)\b"
)
"""Phrases whose small words decide nothing."""
_PRONOUN = late_pattern(
    r"\b(?:he|she|it|they|him|them|his|her|its|their|this|that|these|those|who|which)\b"
    r"|[其他她它该此这]"
)
_SMALL = {
    "bound": r"\b(?:at (?:the )?least|(?:no|not) (?:less|fewer|lower|shorter|earlier) than"
    r"|minimum(?: of)?|(?:more|greater|longer|higher|older) than"
    r"|in excess of|upwards of|exceed(?:s|ing|ed)?)\b|[>≥]|至少|最少|不少于|不低于|不小于|超过|多于"
    r"|大于|高于|已满|年满|以上",
    "other bound": r"\b(?:at (?:the )?most|(?:no|not) (?:more|greater|longer|later|higher|older)"
    r" than|not exceed(?:ing)?|up to|maximum(?: of)?"
    r"|(?:less|fewer|lower|shorter|younger) than|nearly|almost)\b|[<≤]|至多|最多|不超过|不得超过"
    r"|不多于|不高于|不大于|少于|小于|低于|不足|未满|不满|以下|以内|将近|接近",
    "unless": r"\b(?:unless|except)\b|除非",
    "although": r"\b(?:although|though|even if|despite|in spite of|regardless)\b|虽然|尽管|即使"
    r"|即便",
    "cause": r"\b(?:because(?: of)?|due to|owing to|thanks to|as a result of)\b|因为|由于",
    "if": r"\b(?:if|provided that|as long as|in case|only when)\b|如果|倘若|假如|只要|若",
    "not": r"\b(?:no|not|never|neither|nor|none|nobody|nothing|without|cannot|hardly|scarcely"
    r"|barely|seldom|rarely|far from"
    r"|anything but|lack(?:s|ed|ing)?|fail(?:s|ed)?|refus(?:es?|ed)|declin(?:es?|ed)(?= to)"
    r"|neglect(?:s|ed)?(?= to)|unable|devoid|absence"
    r"|prohibited|forbidden|unlike)\b|[不没未无非勿莫]|拒绝|禁止|难以|免于|鲜少|很少|极少|罕见"
    r"|缺乏",
    "may": r"\b(?:may|might|possibly|perhaps|probably|potentially|presumably|allegedly|reportedly"
    r"|apparently|supposedly|likely|arguably"
    r"|(?:appears?|seems?|tends?) to)\b|可能|或许|也许|大概|似乎|据说|据称|疑似",
    "can": r"\b(?:can|could|able to|(?:allowed|permitted|entitled) to)\b|可以|能够|有权|允许|无法",
    "must": r"\b(?:must|shall|ha(?:s|ve|d) to|needs? to|(?:required|obliged) to)\b|应当|必须|应该"
    r"|务必|必需|须|有义务",
    "should": r"\b(?:should|ought to|(?:recommended|advised) to)\b|建议|最好",
    "all": r"\b(?:all|every|each|daily|weekly|monthly|yearly|always|entirely|completely|fully"
    r"|wholly|everyone|everything)\b"
    r"|所有|全部|一切|任何|每个|总是|始终|一律|完全|全都",
    "often": r"\b(?:mostly|usually|generally|typically|normally|often|frequently|largely|mainly"
    r"|primarily|commonly|majority)\b|大多数|大部分|多数|通常|一般|往往|经常|主要|基本",
    "some": r"\b(?:some|certain|few|sometimes|occasionally|partly|partially)\b|部分|有些|某些|少数"
    r"|个别|有时|偶尔",
    "many": r"\b(?:several|many|various|numerous|a number of|a lot of|lots of)\b|一些|若干|许多"
    r"|很多|不少",
    "only": r"\b(?:only|solely|exclusively)\b|只|仅|唯一",
    "best": r"\b(?:most|least|(?:larg|high|great|small|low|b|bigg|old|young|long|short|strong|earli"
    r"|lat|fast|slow|rich|poor|clos|tall)est)\b|最",
    "after": r"\b(?:after|following|since|afterwards|subsequently|later)\b|之后|以后|后",
    "before": r"\b(?:before|prior to|until|previously|formerly|earlier)\b|之前|以前|前",
    "during": r"\b(?:during|while|throughout)\b|期间",
    "past": r"\b(?:was|were|had|did)\b|已经|已|曾经|曾",
    "former": r"\b(?:used to|formerly|no longer)\b|曾经|不再",
    "future": r"\b(?:will|is going to|are going to)\b|即将|将会|将要|将|尚未",
}
"""What small words say; those of an earlier line are taken first, and not once more."""
_DUTIES = frozenset(("may", "can", "must", "should"))
_EXCLUSIVE = (
    frozenset(("may", "must", "should", "future")),
    frozenset(("can", "must", "should")),
    frozenset(("all", "often", "some")),
    frozenset(("all", "many")),
    frozenset(("if", "unless", "although", "cause")),
    frozenset(("after", "before", "during")),
    frozenset(("past", "future")),
)
"""Of these one is not said by another."""
_NOT_ADDED = frozenset(("not", "only", "best", "all", "former"))
_NOT_DROPPED = frozenset(("not", "may", "some"))
_PAIRED = frozenset(
    frozenset(pair)
    for pair in re.findall(
        r"\w+",
        """多少 大小 高低 前后 上下 早晚 长短 内外 左右 东西 南北 男女 父母 夫妻
        买卖 增减 升降 强弱 轻重 快慢 新旧 出入 进出 开关 始终 起止 先后 远近
        深浅 粗细 厚薄 冷热 胜负 胜败 生死 有无 好坏 善恶 公私 正反 子女 兄弟
        姐妹 春秋 冬夏 应可 须可 需可 出承 权务 原被 甲乙 委受 收送 发承 借贷
        丈妻 哥弟 中外 城乡""",
    )
)
"""Ideographs that exclude each other where one stands for the other."""


class _Token(NamedTuple):
    """A word or ideograph, and its half-open span."""

    word: str
    start: int
    end: int


class _Gap(NamedTuple):
    """What differs between the same words, in a sentence and in one of the passage.

    Attributes:
        said, held: The stretch in the sentence and in the passage; either may be empty.
        changed: All such stretches of the sentence, and of the passage's sentence.
        elsewhere: The passage without the stretch.
        before, behind: How many words are the same before and behind it.
        follows: The word behind it in the sentence.
    """

    said: str
    held: str
    changed: tuple[str, str]
    elsewhere: str
    before: int
    behind: int
    follows: str


def edited(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence is one of the evidence's but for a change of what is claimed.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> built = AnalysedText("The church was built in 1850 and the school was built in 1900.")
    >>> edited(AnalysedText("The school was built in 1850."), built)
    True
    >>> edited(AnalysedText("The school was built in the year 1900."), built)
    False
    >>> edited(AnalysedText("The school was hardly built in 1900."), built)
    True
    """
    return any(_is_another(gap) or _is_reworded(gap) for gap in _gaps(sentence, evidence))


def _is_another(gap: _Gap) -> bool:
    """Whether the sentence has another thing of the passage in the place of one, or an opposite."""
    if not gap.said or not gap.held:
        return False
    if len(gap.said) == len(gap.held) == 1 and is_cjk(gap.said):
        return frozenset(gap.said + gap.held) in _PAIRED
    said, held = _small_words(gap.said), _small_words(gap.held)
    if exchanged(gap.said, gap.held):
        return ("not" in said) == ("not" in held)
    if said or held or _PRONOUN.search(gap.held) or _has_digit(gap.said) != _has_digit(gap.held):
        return False
    mine, theirs = frozenset(content_terms(gap.said)), frozenset(content_terms(gap.held))
    is_enclosed = gap.before and (gap.behind or _has_digit(gap.said))
    if not is_enclosed or not mine or not theirs or not mine.isdisjoint(theirs):
        return False
    if is_cjk(gap.said[0]):
        is_apart = len(gap.said) >= _BESIDE and set(gap.said).isdisjoint(gap.held)
        is_held = gap.before > _BESIDE and gap.behind > _BESIDE
        is_held = is_held and abs(len(gap.said) - len(gap.held)) <= _BESIDE
        return is_held and is_apart and gap.said in gap.elsewhere
    return mine <= frozenset(content_terms(gap.elsewhere))


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _is_reworded(gap: _Gap) -> bool:
    """Whether other small words that decide what is claimed stand in the gap, not moved there."""
    said, held = _small_words(gap.said), _small_words(gap.held)
    most = _MOST_TERMS if gap.before and gap.behind else 1
    if said == held or any(_is_told_anew(text, most) for text in (gap.said, gap.held)):
        return False
    mine, theirs = (_counted(text) for text in gap.changed)
    added = {says for says in said - held if mine[says] > theirs[says]}
    dropped = {says for says in held - said if theirs[says] > mine[says]}
    if exchanged(gap.said, gap.held):  # what is not clear is unclear
        added, dropped = added - {"not"}, dropped - {"not"}
    if "can" in added:  # who can may
        dropped.discard("may")
    if gap.follows == "not":  # must not is may not
        added, dropped = added - _DUTIES, dropped - _DUTIES
    if added & _NOT_ADDED or dropped & _NOT_DROPPED:
        return True
    return any(added & kind and dropped & kind and not said & held & kind for kind in _EXCLUSIVE)


def _counted(text: str) -> Counter[str]:
    """How often small words of each kind stand in a text."""
    rest, found = _IDLE.sub(" ", text), Counter[str]()
    for says, pattern in _patterns().items():
        rest, found[says] = pattern.subn(" ", rest)
    return found


def _is_told_anew(gap: str, most: int) -> bool:
    rest = gap
    for pattern in _patterns().values():
        rest = pattern.sub(" ", rest)
    return len(content_terms(rest)) > (most if gap.isascii() else 2 * most)


def _small_words(gap: str) -> frozenset[str]:
    return frozenset(says for says, count in _counted(gap).items() if count)


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {says: re.compile(pattern) for says, pattern in _SMALL.items()}


def _gaps(sentence: AnalysedText, evidence: AnalysedText) -> Iterator[_Gap]:
    """The short stretches that differ between two that are the same."""
    mine, text, told = sentence.once(_tokens), evidence.spelled_out, sentence.spelled_out
    for theirs in evidence.once(_sentences):
        stretches = _differing([t.word for t in mine], [t.word for t in theirs])
        spans = [(_span(mine[s.said]), _span(theirs[s.held])) for s in stretches]
        changed = ("\n".join(told[a] for a, _ in spans), "\n".join(text[b] for _, b in spans))
        for stretch, (said, held) in zip(stretches, spans, strict=True):
            end = stretch.said.stop
            yield _Gap(
                told[said],
                text[held],
                changed,
                f"{text[: held.start]}\n{text[held.stop :]}",
                stretch.before,
                stretch.behind,
                mine[end].word if end < len(mine) else "",
            )


class _Stretch(NamedTuple):
    """Words of a gap, in either text, and how many are the same before and behind them."""

    said: slice
    held: slice
    before: int
    behind: int


def _differing(said: Sequence[str], held: Sequence[str]) -> list[_Stretch]:
    matcher = SequenceMatcher(None, said, held, autojunk=False)
    blocks = [b for b in matcher.get_matching_blocks() if b.size >= _BESIDE]
    if sum(b.size for b in blocks) < _ALIKE * len(said):
        return []
    found = []
    bounds = [Match(0, 0, 0), *blocks, Match(len(said), len(held), 0)]
    for one, other in pairwise(bounds):
        mine = slice(one.a + one.size, other.a)
        theirs = slice(one.b + one.size, other.b)
        lengths = (mine.stop - mine.start, theirs.stop - theirs.start)
        if any(lengths) and max(lengths) <= _LONGEST:
            found.append(_Stretch(mine, theirs, one.size, other.size))
    return found


def _span(tokens: Sequence[_Token]) -> slice:
    return slice(tokens[0].start, tokens[-1].end) if tokens else slice(0, 0)


def _tokens(text: AnalysedText) -> list[_Token]:
    return [_Token(m[0], *m.span()) for m in _TOKEN.finditer(text.spelled_out)]


def _sentences(text: AnalysedText) -> list[list[_Token]]:
    tokens = text.once(_tokens)
    spans = sentences(text.spelled_out)
    return [[t for t in tokens if start <= t.start < end] for start, end in spans]
