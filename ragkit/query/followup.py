"""Follow-up questions: "and for apprentices?" says nothing to a search that knows no conversation.

A question that needs earlier ones to be understood is completed before it is searched for: by the
chat model in one short request, or by rules if there is none, or if its reply is of no use.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ragkit.protocols import ChatMessage, ChatRequest
from ragkit.query.closeness import OwnPart
from ragkit.query.prompt import build_messages, is_refusal
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.marks import SENTINEL, find_marks
from ragkit.query.reply import whole_reply, window_of
from ragkit.query.search import retrieve
from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms, language, share_covered

if TYPE_CHECKING:
    from ragkit.config import AnswerSettings
    from ragkit.protocols import ChatModel
    from ragkit.query.scope import QueryEngine, Scope
    from ragkit.query.window import ChatTurns

_OPENER = late_pattern(
    r"(?:(?:and|but|or|so|then|also|what\s+(?:about|if)|how\s+about|same)\b[\s,]*)+", re.IGNORECASE
)
_PREPOSITION = late_pattern(
    r"(for|of|in|at|on|by|with|from|to|under|after|before|during|as)\s+\S.*", re.IGNORECASE
)
_OBJECT = (
    r"(?:(?-i:(?:the\s+)?[A-Z]\w*(?:\s+[A-Z]\w*)*)"
    r"|.*?(?=\s+(?:for|in|at|on|by|from|under|after|before|during)\s|[?!.\s]*$))"
)
"""What a preposition leads to: a name, or all up to the next phrase or the end."""

_REFERRING = late_pattern(
    r"\b(?:it|its|they|them|theirs?|this|that|these|those|he|him|his|she|hers?|there|ones?|same"
    r"|former|latter|above|others?|another|else)\b",
    re.IGNORECASE,
)
_CLAUSE = late_pattern(
    r"(?:what|who|whose|where|when|why|which|how)\b.*\b(?:is|are|was|were|do|does|did|can|could"
    r"|may|must|should|will|would|has|have|had)\b",
    re.IGNORECASE,
)
_FEW_TERMS, _FRAGMENT_TERMS = 5, 2
"""A word such as "it" points back in a question of few content terms; a longer one holds what it
points at. A question without a verb is a fragment up to the second."""

_CHINESE_OPENER = late_pattern(
    "(?:那么|那麼|那|还有|還有|另外|至于|至於|换成|換成|如果是|要是|而|和|跟)[，,]?"
)
_CHINESE_CLOSER = late_pattern(r"\s*呢?[？?。！!]*\s*$")
_CHINESE_REFERRING = late_pattern(
    "(?<!其)[它他她]|[这這那](?:个|個|种|種|些|样|樣|里|裡|家|项|項|份|条|條|次|时|時|段)"
    "|(?<![应應])[该該]|上述|前者|后者|後者|刚才|剛才|前面|同样|同樣|其(?![他它中余实實])"
)
_CHINESE_ASKING = late_pattern(
    "什么|什麼|怎么|怎麼|怎样|怎樣|如何|哪|多少|多久|几|幾|谁|誰|为何|吗|嗎"
)
_CHINESE_FRAGMENT, _CHINESE_ASIDE = 5, 10
"""Ideographs: "为什么？", "要多久？"; if it ends in 呢: "正式员工辞职呢？"."""

_LOOKED_AT = 8
_SAME_SUBJECT = 0.25
"""Share of the earlier question's terms by which a paragraph speaks of what it asked."""

_PARAGRAPH = late_pattern(r"\n\s*\n|\n(?=#)")

_LONGEST = 300
_REWRITE_TOKENS = 128
_LABEL = late_pattern(
    r"^[\W_]*(?:(?:standalone|rewritten)\s+)?(?:question|问题|問題)\s*[:：]\s*", re.I
)
_QUOTES = " \t\"'“”‘’「」『』`*"
_ASK = (
    "Do not answer yet. Rewrite my next question so that it can be understood without this "
    "conversation: put the names and things that it refers to into it, and keep its language. "
    "If it can be understood already, repeat it. Reply with that one question and nothing else.\n"
    "Next question: {question}"
)


def leans_on_earlier(question: str) -> bool:
    """Tell whether a question can hardly be understood without those before it.

    >>> leans_on_earlier("and for apprentices?"), leans_on_earlier("那学徒呢？")
    (True, True)
    >>> leans_on_earlier("How long is the notice period?"), leans_on_earlier("通知期有多长时间？")
    (False, False)
    """
    asked = question.strip()
    if language(asked) != "en":
        ideographs = sum(1 for char in asked if char.isalnum())
        return bool(
            _CHINESE_OPENER.match(asked)
            or _CHINESE_REFERRING.search(asked)
            or ideographs <= (_CHINESE_ASIDE if "呢" in asked[-2:] else _CHINESE_FRAGMENT)
        )
    terms = len(content_terms(asked))
    refers = terms <= _FEW_TERMS and _REFERRING.search(asked)
    fragment = terms <= _FRAGMENT_TERMS and not _CLAUSE.match(asked)
    return bool(_OPENER.match(asked) or refers or fragment)


def combined(question: str, earlier: str) -> str:
    """Complete a follow-up question with the words of an earlier one, by rule.

    >>> combined("And for apprentices?", "How long is the notice period for permanent staff?")
    'How long is the notice period for apprentices?'
    >>> combined("那学徒呢？", "正式员工的通知期是多久？")
    '学徒：正式员工的通知期是多久？'
    """
    kept = subject(question)
    if language(question) != "en":
        return f"{kept}：{earlier}" if kept else earlier
    phrase = _PREPOSITION.fullmatch(kept)
    if phrase:  # takes the place of the phrase that began with the same word
        said = rf"\b{phrase[1]}\s+{_OBJECT}"
        replaced = re.sub(said, lambda _: kept, earlier, count=1, flags=re.I | re.S)
        if replaced != earlier:
            return replaced
    return f"{kept}: {earlier}" if kept else earlier


def subject(question: str) -> str:
    """What a follow-up question names, without the words that tie it to an earlier one.

    >>> subject("And what about travel expenses?"), subject("那差旅费呢？")
    ('travel expenses', '差旅费')
    """
    asked = question.strip()
    if language(asked) != "en":
        opener = _CHINESE_OPENER.match(asked)
        return _CHINESE_CLOSER.sub("", asked[opener.end() :] if opener else asked)
    opener = _OPENER.match(asked)
    return (asked[opener.end() :] if opener else asked).rstrip("?!. ")


def own_part(question: str, searched: str) -> OwnPart | None:
    """What a follow-up asks by itself, where `combined` put that before the earlier question.

    None of one that took a place in the earlier question, or that a model completed.

    Args:
        question: As the user asked it.
        searched: As it was searched for; "" if it stands alone.
    """
    kept = subject(question) if searched else ""
    if not (kept and searched.startswith((f"{kept}: ", f"{kept}："))):
        return None
    asks = _CLAUSE.match(kept) or _CHINESE_ASKING.search(kept)
    return OwnPart(AnalysedText(kept), bool(asks))


def completed(engine: QueryEngine, question: str, earlier: str, scope: Scope) -> str:
    """Complete a follow-up question by rule, unless it is about a subject of its own.

    It is if some paragraph found for its subject names all of that, and no such paragraph speaks of
    what the earlier question asked. A question that refers to earlier ones, begins with a
    preposition or has no term of its own is never.

    Args:
        engine: Searched for the subject, by words.
        question: That leans on an earlier one by its form.
        earlier: The question before it that stood alone.
        scope: What of the index may answer.

    Returns:
        What to search for: the subject, or the question completed by `combined`.
    """
    named = subject(question)
    own = set(content_terms(named))
    before = set(content_terms(earlier)) - own
    whole = combined(question, earlier)
    refers = _REFERRING.search(named) or _CHINESE_REFERRING.search(named)
    if not own or not before or refers or _PREPOSITION.fullmatch(named):
        return whole
    by_words = replace(engine.search_settings, mode="keyword", k=_LOOKED_AT)
    hits = retrieve(named, engine.store, None, by_words, restrict=scope.restrict, as_of=scope.as_of)
    paragraphs = [
        set(content_terms(" ".join((*hit.heading, paragraph))))
        for hit in hits
        for paragraph in _PARAGRAPH.split(hit.text)
    ]
    about = [terms for terms in paragraphs if own <= terms]
    if not about or any(share_covered(before, terms) >= _SAME_SUBJECT for terms in about):
        return whole
    return named


def rewritten(
    question: str, earlier: str, *, turns: ChatTurns, model: ChatModel, settings: AnswerSettings
) -> str:
    """Have a chat model complete a follow-up question; by rule if its reply is of no use.

    The request begins as the one for the answer will, so that a server reads rules and history
    once for both.

    Args:
        question: As the user asked it.
        earlier: What the rule completes it with.
        turns: Those that fit the window.
        model: Asked once, for a short reply. Errors are its own.
        settings: Window, reserve and seed.
    """
    *before, _ = build_messages(question, (), turns.history, turns.system)
    request = ChatRequest(
        (*before, ChatMessage("user", _ASK.format(question=question))),
        num_ctx=window_of(settings, model),
        num_predict=min(_REWRITE_TOKENS, settings.reserve_tokens),
        seed=settings.seed,
    )
    said, _ = whole_reply(model, request)
    return _usable(said, question) or combined(question, earlier)


def _usable(said: str, question: str) -> str:
    """The question in a model's reply, or "" if it answered, refused or lost the subject."""
    line = next((line for line in said.splitlines() if line.strip()), "")
    line = _LABEL.sub("", line).strip(_QUOTES)
    asked = set(content_terms(question))
    lost = asked and not asked & set(content_terms(line))
    useless = SENTINEL in said or is_refusal(line) or find_marks(line) or len(line) > _LONGEST
    return "" if lost or useless else line
