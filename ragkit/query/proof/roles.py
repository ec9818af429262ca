"""Does a passage say it the other way round: the same act, its doer and who it is done to swapped?

By word order alone: one word stands between two others in the sentence, and the same word between
the same two in the passage, in the other order. A passive with "by" is turned round first; where
there is a passive without one, 被, 把 or another word that moves the doer, nothing is said.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.query.proof.analysed import AnalysedText

_WINDOW = 2
"""Content words on either side of an act in which its doer and its object are looked for."""

_CLAUSE = late_pattern(r"[^.,;:!?()。，；：！？、（）\n]+")
_BE = frozenset(("is", "are", "was", "were", "be", "been", "being", "gets", "got"))
_LINKS = frozenset(
    ("and", "or", "with", "between", "like", "as", "than", "both", "neither", "nor", "not")
)
"""Where one of these stands between the words, their order says nothing."""
_BEFORE_NOUNS = frozenset(
    ("the", "a", "an", "of", "in", "on", "at", "for", "by", "his", "her", "its", "their", "this")
)
_NOUN_ENDS = ("tion", "tions", "ment", "ments", "ness", "ity", "ities", "ism", "ance", "ence", "ly")
"""What stands before a noun, and how nouns and adverbs end: no acts."""
_SYMMETRIC = frozenset(
    (
        "meet",
        "met",
        "marr",
        "marri",
        "marry",
        "border",
        "adjoin",
        "equal",
        "resembl",
        "agre",
        "differ",
    )
)
_IRREGULAR = dict(
    pair.split("/")
    for pair in [
        "paid/pay",
        "told/tell",
        "gave/giv",
        "given/giv",
        "took/tak",
        "taken/tak",
        "led/lead",
        "sent/send",
        "bought/buy",
        "sold/sell",
        "taught/teach",
        "made/mak",
        "held/hold",
        "lent/lend",
        "beaten/beat",
        "met/meet",
        "saw/see",
        "seen/see",
        "left/leav",
        "hir/hire",
        "kept/keep",
        "fed/feed",
        "found/find",
        "won/win",
        "lost/los",
        "chos/choos",
        "chosen/choos",
    ]
)
"""Stems of verbs that stems alone do not bring together."""
_MOVES = late_pattern("[被由把给对向从与和及跟同或是为比让使]|受到|遭")
_HAN_RUN = late_pattern("[\u4e00-\u9fff]+")
_SHORTEST = 2
"""Characters that a doer or an object has at least, in Chinese."""


class _Act(NamedTuple):
    """A word with the content words before and behind it, doers first."""

    doers: frozenset[str]
    objects: frozenset[str]


def roles_swapped(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the evidence has the doer and the object of the sentence the other way round.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> paid = AnalysedText("The tenant pays the landlord every month.")
    >>> roles_swapped(AnalysedText("The landlord pays the tenant."), paid)
    True
    >>> roles_swapped(AnalysedText("The landlord is paid by the tenant."), paid)
    False
    >>> roles_swapped(AnalysedText("房东通知租客。"), AnalysedText("租客应当通知房东。"))
    True
    """
    if sentence.is_cjk:
        return _swapped_han(sentence.once(_runs), evidence.once(_runs))
    held = evidence.once(_acts)
    return any(
        _is_swapped(act, held[word])
        for word, acts in sentence.once(_acts).items()
        if word in held
        for act in acts
    )


def _is_swapped(said: _Act, held: Sequence[_Act]) -> bool:
    swapped = False
    for act in held:
        if said.doers & act.doers and said.objects & act.objects:
            return False
        doers = (said.doers & act.objects) - act.doers - said.objects
        objects = (said.objects & act.doers) - act.objects - said.doers
        swapped = swapped or (bool(doers) and bool(objects))
    return swapped


def _acts(text: AnalysedText) -> dict[str, list[_Act]]:
    """Each word that stands between others, by its stem."""
    found: dict[str, list[_Act]] = {}
    for clause in _CLAUSE.findall(text.text):
        said = [(word, content_terms(word)) for word in words(clause)]
        for at, (_, terms) in enumerate(said):
            if terms and terms[0] not in _SYMMETRIC and (act := _act(said, at)):
                found.setdefault(_verb(terms[0]), []).append(act)
    return found


def _verb(term: str) -> str:
    """The same for the forms of a verb: pays and paid, sues and sued."""
    return _IRREGULAR.get(term, term.removesuffix("d") if term.endswith("ed") else term)


def _act(said: Sequence[tuple[str, list[str]]], at: int) -> _Act | None:
    before, behind = _near(said[:at][::-1]), _near(said[at + 1 :])
    if at and (said[at - 1][0] in _BEFORE_NOUNS or said[at][0].endswith(_NOUN_ENDS)):
        return None
    if not before or not behind:
        return None
    has_by = any(word == "by" for word, _ in said[at + 1 : at + 3])
    if not has_by and any(word in _BE for word, _ in said[max(0, at - 2) : at]):
        return None
    return _Act(behind, before) if has_by else _Act(before, behind)


def _near(said: Sequence[tuple[str, list[str]]]) -> frozenset[str]:
    """The nearest content words, up to one that makes their order say nothing."""
    found: list[str] = []
    for word, terms in said:
        if word in _LINKS or len(found) == _WINDOW:
            break
        found += terms
    return frozenset(found)


def _runs(text: AnalysedText) -> list[str]:
    return [
        run
        for clause in _CLAUSE.findall(text.simplified)
        for run in _HAN_RUN.findall(clause)
        if not _MOVES.search(run)
    ]


def _swapped_han(said: Sequence[str], held: Sequence[str]) -> bool:
    orders = (_order(one, other) for one in said for other in held)
    return any(a > b > c for order in orders for a, b, c in combinations(order, 3))


def _order(said: str, held: str) -> list[int]:
    """Where what both say stands in the second, in the order of the first; once each."""
    return [held.index(part) for part in _shared(said, held) if held.count(part) == 1]


def _shared(said: str, held: str) -> Iterator[str]:
    """The longest stretches of the first that the second holds too, two characters at least."""
    at = 0
    while at < len(said):
        end = next((e for e in range(len(said), at + 1, -1) if said[at:e] in held), at)
        if end - at >= _SHORTEST:
            yield said[at:end]
        at = max(end, at + 1)
