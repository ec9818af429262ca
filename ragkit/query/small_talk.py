"""Greetings, thanks, and "what is in here?": answered without a search and without a quotation."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Literal

from ragkit.text.patterns import late_pattern
from ragkit.text.words import language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import DocumentInfo

Talk = Literal["greeting", "thanks", "farewell", "contents"]

LONGEST_TALK = 60
"""Characters of a message above which it asks something, whatever it begins with."""

NAMED = 5
"""How many documents are named of those that there are."""

_YOU = r"(?: (?:there|all|everyone|ragkit|again))?"
_THANKS = r"(?:many thanks|thanks|thank you|thx|cheers)(?: (?:a lot|so much|very much|again))?"
_PATTERNS: tuple[tuple[Talk, re.Pattern[str]], ...] = (
    (
        "greeting",
        late_pattern(
            rf"(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening|day)){_YOU}"
            r"(?: how are you(?: doing)?(?: today)?)?|how are you(?: doing)?(?: today)?"
            r"|(?:你|您|大家)好[啊呀吗]?|(?:嗨|哈喽|喂)|(?:早上|上午|中午|下午|晚上)好|早安|晚安|在吗"
        ),
    ),
    (
        "thanks",
        late_pattern(
            rf"(?:(?:ok|okay|great|perfect|good|fine) )?{_THANKS}(?: that helps| for your help)?"
            r"|(?:好的?)?(?:非常|十分|太|多)?(?:谢谢|感谢|多谢)(?:你|您|了|啦|你了|您了|大家)?"
        ),
    ),
    ("farewell", late_pattern(r"(?:good ?bye|bye(?: bye)?|see you(?: later| soon)?)|再见|拜拜")),
    (
        "contents",
        late_pattern(
            r"what(?: is|s)(?: all)? (?:in|inside) (?:here|this|there|it|the index|this index"
            r"|this folder|the folder|these documents|the documents)"
            r"|what (?:documents|files) (?:are (?:there|in here|here)|do you (?:have|know))"
            r"|which (?:documents|files) (?:are (?:there|in here|here)|do you (?:have|know))"
            r"|what (?:do you know|can you do|can i ask(?: you)?|is this|are you)"
            r"(?: about| here)?|who are you"
            r"|(?:这里|这里面|里面|你这里|这个索引|索引里)(?:都|面|里)*有(?:什么|哪些)(?:东西|内容|文件|文档|资料)?"
            r"|(?:都)?有(?:什么|哪些)(?:文件|文档|资料)|你(?:都)?(?:知道|会|能做|能回答)(?:些)?什么"
            r"|(?:我)?(?:可以|能)问(?:你)?(?:些)?什么|你是谁|这是什么"
        ),
    ),
)
_REPLIES: dict[Talk, tuple[str, str]] = {
    "greeting": ("Hello. {contents}", "你好。{contents}"),
    "thanks": ("You are welcome. Ask on if there is more.", "不客气。还有问题请继续问。"),
    "farewell": ("Goodbye.", "再见。"),
    "contents": ("{contents}", "{contents}"),
}


def small_talk(message: str) -> Talk | None:
    """Tell whether a whole message is a greeting or the like, and which; None: it is a question.

    >>> small_talk("Good morning!"), small_talk("谢谢"), small_talk("Good morning routine?")
    ('greeting', 'thanks', None)
    """
    if len(message) > LONGEST_TALK:
        return None
    folded = unicodedata.normalize("NFKC", message).casefold().replace("’", "'").replace("'", "")
    said = " ".join(re.sub(r"[^\w\s]", " ", folded).split())
    found = (kind for kind, pattern in _PATTERNS if pattern.fullmatch(said))
    return next(found, None)


def talk_reply(talk: Talk, message: str, documents: Sequence[DocumentInfo]) -> str:
    """Reply in the language of the message; it may say what documents there are."""
    is_chinese = language(message) == "zh"
    contents = _contents_zh(documents) if is_chinese else _contents(documents)
    return _REPLIES[talk][is_chinese].format(contents=contents)


def _contents(documents: Sequence[DocumentInfo]) -> str:
    if not documents:
        return "There are no documents in here yet: `ragkit index FOLDER` adds some."
    kinds = ", ".join(f"{count} {kind}" for kind, count in _kinds(documents))
    count = f"{len(documents)} document{'s' if len(documents) > 1 else ''}"
    more = ", and others: `ragkit list` names all" if len(documents) > NAMED else ""
    names = ", ".join(_named(documents))
    return f"I answer from {count} ({kinds}), among them {names}{more}. Ask me what they say."


def _contents_zh(documents: Sequence[DocumentInfo]) -> str:
    if not documents:
        return "这里还没有文档：用 `ragkit index 文件夹` 加入。"
    kinds = "、".join(f"{kind} {count} 个" for kind, count in _kinds(documents))
    more = "等（`ragkit list` 列出全部）" if len(documents) > NAMED else ""
    names = "、".join(_named(documents))
    return f"我根据 {len(documents)} 个文档回答（{kinds}），其中有 {names}{more}。请问它们的内容。"


def _kinds(documents: Sequence[DocumentInfo]) -> list[tuple[str, int]]:
    return Counter(document.kind for document in documents).most_common()


def _named(documents: Sequence[DocumentInfo]) -> list[str]:
    """The paths of a few documents from all over the index."""
    step = max(1, len(documents) // NAMED)
    return [document.path for document in documents[::step][:NAMED]]
