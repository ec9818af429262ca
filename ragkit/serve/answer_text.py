"""An answer as text with its sources, for clients that show nothing else of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ragkit.protocols import QuotedDelta, TextDelta
from ragkit.text.words import language

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ragkit.protocols import ThinkingDelta
    from ragkit.records import Answer, Citation, Sentence

_LOOSE = re.compile(r"([\\`*_\[\]<>|#])")
_CLOSEST = ("Closest passages (no chat model):\n\n", "最接近的段落（没有聊天模型）：\n\n")
_RETRACTED = (
    "\n\n(What stands above was the model's reasoning, not its answer.)\n\n",
    "\n\n（以上是模型的思考，不是它的回答。）\n\n",
)
_UNPROVED = ("Not shown to be in the documents:", "文档中没有证实：")
_SOURCES = ("**Sources**", "**来源**")
_LIST = re.compile(rf"\n\n(?:{'|'.join(map(re.escape, _SOURCES))})\n(?:- \[\d+\] [^\n]*\n?)+\s*\Z")
_PROVED = ("quoted", "supported")


@dataclass(frozen=True, slots=True)
class PassageLinks:
    """Makes addresses at which a browser shows the place that a citation names.

    Attributes:
        base: The server's own address, as the client knows it.
        index: The index's name.
    """

    base: str
    index: str

    def to(self, citation: Citation) -> str:
        """The address of a citation's place."""
        place = {
            "index": self.index,
            "doc": citation.doc_id,
            "start": citation.start,
            "end": citation.end,
        }
        return f"{self.base}/view?{urlencode(place)}"


NO_LINKS = PassageLinks("", "")


class AnswerText:
    """Makes text of an answer as it comes, and ends it with its sources.

    Attributes:
        text: All that was made so far.
        links: Makes the addresses of places.
    """

    def __init__(self, question: str, links: PassageLinks) -> None:
        self.text = ""
        self._is_chinese = language(question) == "zh"
        self.links = links

    def piece(self, event: TextDelta | ThinkingDelta) -> str:
        """The text to show for an event of a stream before its last."""
        if isinstance(event, TextDelta):
            made = self._said(event)
        else:
            made = _RETRACTED[self._is_chinese] if self.text and event.retracts else ""
        self.text += made
        return made

    def ending(self, answer: Answer) -> str:
        """What follows the text of an answer: what is not proved, and the sources."""
        parts = []
        unproved = [] if answer.closest or answer.refused else _unproved(answer)
        if unproved:
            quoted = " ".join(f"“{text}”" for text in unproved)
            parts.append(f"{_UNPROVED[self._is_chinese]} {quoted}")
        if answer.citations:
            places: dict[object, Citation] = {}
            for citation in answer.citations:
                places.setdefault((citation.number, citation.doc_id, citation.page), citation)
            lines = map(self._source, places.values())
            parts.append("\n".join([_SOURCES[self._is_chinese], *lines]))
        made = "".join(f"\n\n{part}" for part in parts)
        self.text += made
        return made

    def _said(self, event: TextDelta) -> str:
        if not isinstance(event, QuotedDelta):
            return event.text
        heading = "" if self.text else _CLOSEST[self._is_chinese]
        return heading + (_bold(event.text) if event.is_closest else event.text)

    def title(self, citation: Citation) -> str:
        """The name of a citation's place: its document, and the page if there are pages."""
        page = "" if citation.page is None else f", page {citation.page}"
        if self._is_chinese and page:
            page = f"，第 {citation.page} 页"
        return " ".join(citation.path.split()) + page

    def _source(self, citation: Citation) -> str:
        name = _LOOSE.sub(r"\\\1", self.title(citation))
        return f"- [{citation.number}] [{name}]({self.links.to(citation)})"


def without_sources(reply: str) -> str:
    """A reply of ours without the list of sources that was put behind it."""
    return _LIST.sub("", reply)


def _unproved(answer: Answer) -> Iterable[str]:
    found: list[Sentence] = [s for s in answer.sentences if s.status not in _PROVED]
    return [" ".join(answer.text[s.start : s.end].split()) for s in found]


def _bold(text: str) -> str:
    """Bold in Markdown, where it can be: it ends at the end of a paragraph, and not in a space."""
    inner = text.strip()
    if not inner or "\n" in inner or "*" in inner:
        return text
    before, _, after = text.partition(inner)
    return f"{before}**{inner}**{after}"
