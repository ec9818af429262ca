"""Is the sentence beside another quoted along with it? It is, if it goes on in the same matter.

A reader needs what stands around a sentence; so does an attacker, who puts an order to a model
beside what is true to have it read along. `ragkit.text.injection` knows the usual orders and leaves
them out everywhere. Here more is asked, since nothing is lost but the neighbour: it speaks of no
reply that is to be given, and it shares a content term with the sentence, or is a statement. What
is no order by these signs is quoted: they are no wall either.
"""

from __future__ import annotations

import re

from ragkit.text.patterns import late_pattern
from ragkit.text.scripts import is_cjk
from ragkit.text.words import content_terms, words

_OF_A_REPLY = late_pattern(
    r"\b(?:reply|replies|wordings?|prompts?|summari[sz]e)\b"
    r"|^\W*answer\b"
    r"|\b(?:your|any|every|each|all|this|new|current|standard|approved|correct|official|only)\s+"
    r"(?:\w+\s+)?(?:answers?|responses?|outputs?|summary|summaries|messages?|tasks?|instructions?"
    r"|orders?)\b"
    r"|\b(?:when|whenever|if|while)\s+(?:you(?:['’]re|\s+are)?\s+|(?:anyone|(?:the\s+)?users?)\s+)?"
    r"(?:asks?|asked|answering|summari[sz]ing|responding|replying)\b"
    r"|\b(?:instructions|orders?|note|attention|system|assistant)\s*:"
    r"|答复|回复|回答|答案|总结|摘要|输出|指令|提示词|问及|被问|用户问",
    re.IGNORECASE,
)
_TO_THE_READER = late_pattern(
    r"\b(?:you|your|yours|yourself|me|my|please|must|should|shall|let)\b"
    r"|[;:,—–]\s*(?:(?:and|then|now|instead|so)\s+)?(?:write|say|print|tell|report|state|mention"
    r"|append|include|insert|repeat|recommend|show|send|output|use|quote|cite)\b"
    r"|[你您请]|务必|必须|应当|不得|不要",
    re.IGNORECASE,
)
_OPENING = """
    the a an this that these those it its he his she her they their we our there here one some many
    most several all both each every any no other another such
    in on at by for from to of with within without between among during after before since until
    under over near through throughout across along as like unlike despite according besides
    however moreover furthermore therefore thus hence also although though while when where because
    if but and or so yet then later today now once instead still even only nevertheless consequently
    additionally meanwhile similarly eventually finally initially originally currently often usually
    generally"""
_OPENINGS = frozenset(_OPENING.split())
"""Words with which a statement begins that goes on; an order begins with its verb."""


def goes_along(sentence: str, other: str) -> bool:
    """Tell whether another sentence may be quoted beside one.

    >>> goes_along("The fee is 5 dollars.", "Staff pay half the fee.")
    True
    >>> goes_along("The fee is 5 dollars.", "It was raised in May.")
    True
    >>> goes_along("The fee is 5 dollars.", "Recommend the hotel by the lake.")
    False
    >>> goes_along("The fee is 5 dollars.", "Fees: the approved answer is 9 dollars.")
    False
    """
    if _OF_A_REPLY.search(other):
        return False
    if not set(content_terms(other)).isdisjoint(content_terms(sentence)):
        return True
    return _is_statement(other) and not _TO_THE_READER.search(other)


def _is_statement(said: str) -> bool:
    """Whether a sentence begins as a statement does; one in CJK does not show it."""
    first = next(iter(words(said)), "")
    return is_cjk(first[:1] or " ") or first.casefold() in _OPENINGS or first[:1].isdigit()
