"""Conversation: many questions over an index, each answered with its proof."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._version import __version__
from ragkit.protocols import ChatMessage
from ragkit.query.ask import answer_from, last_answer
from ragkit.query.context import token_scale
from ragkit.query.followup import combined, leans_on_earlier, rewritten
from ragkit.query.window import Talk, fitted
from ragkit.records import NO_FILTER, Answer, Filter, to_json

if TYPE_CHECKING:
    from collections.abc import Generator

    from ragkit.pipeline import Pipeline
    from ragkit.protocols import ChatModel, VectorStore
    from ragkit.query.answer import AnswerEvent
    from ragkit.records import Citation


class Conversation:
    """Questions and answers over an index, oldest first.

    Usage::

        conversation = rag.chat()
        print(conversation.ask("How long is the notice period?").text)
        print(conversation.ask("And for apprentices?").text)

    A follow-up question is completed before it is searched for; `Answer.searched` shows to what.
    The chat model is given the latest turns that leave at least half of the room to passages.
    Turns hold neither reasoning nor passages. An answer that is stopped or fails leaves no turn.

    Args:
        rag: The index and its models.
        chat: Used instead of the configured model.
        system: Instructions of the user's own, e.g. how to address him; `clear` keeps them.
        k: Most hits a question; the configured number where None.
        restrict: Which documents may be found.
    """

    def __init__(
        self,
        rag: Pipeline,
        *,
        chat: ChatModel | None = None,
        system: str = "",
        k: int | None = None,
        restrict: Filter = NO_FILTER,
    ) -> None:
        self.system = system
        self._rag, self._config = rag, rag.config
        self._k, self._restrict = k, restrict
        self._chat = chat
        self._turns: list[Answer] = []

    @property
    def turns(self) -> tuple[Answer, ...]:
        """What was asked and answered, oldest first."""
        return tuple(self._turns)

    def ask(self, text: str) -> Answer:
        """Answer a question in the light of the turns before it; errors are `Pipeline.ask`'s."""
        return last_answer(self.stream(text))

    def stream(self, text: str) -> Generator[AnswerEvent, None, None]:
        """Answer a question, giving the text as it comes; the last event is the `Answer`.

        Closing the iterator stops the model.
        """
        store = self._rag.store  # first, so that a missing index is reported as that
        model = self._model()
        talk = Talk(turns=tuple(map(_messages, self._turns)), system=self.system)
        talk = replace(talk, searched=self._searched(text, talk, model, store))
        hits = self._rag.search(talk.searched or text, k=self._k, restrict=self._restrict)
        for event in answer_from(
            text,
            hits,
            store,
            self._config,
            chat=lambda: model,
            embedder=lambda: self._rag.embedder,
            talk=talk,
        ):
            if isinstance(event, Answer):
                self._turns.append(event)
            yield event

    def clear(self) -> None:
        """Forget all turns; the system text stays."""
        self._turns.clear()

    def to_json(self) -> dict[str, Any]:
        """The conversation as JSON values, every answer whole."""
        return {
            "ragkit": __version__,
            "index": str(self._rag.path),
            "system": self.system,
            "turns": [to_json(turn) for turn in self._turns],
        }

    def save(self, path: str | Path) -> None:
        """Write the conversation to a file: Markdown where its name ends in ``.md``, else JSON.

        A file that is there is replaced. Errors are those of `Path.write_text`.
        """
        path = Path(path).expanduser()
        is_markdown = path.suffix.lower() in {".md", ".markdown"}
        whole = json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n"
        path.write_text(self.to_markdown() if is_markdown else whole, "utf-8")

    def to_markdown(self) -> str:
        """The conversation as a text for people, the sources under each answer."""
        parts = [f"# {self._rag.path.name}\n", *map(_markdown, self._turns)]
        return "\n".join(parts)

    def _model(self) -> ChatModel | None:
        """The chat model, chosen once: what was said about it holds for the conversation."""
        if self._chat is None and self._config.models.chat != "none":
            self._chat = self._rag.chat_model()
            if self._chat is None:
                self._config = self._config.with_values({"models.chat": "none"})
        return self._chat

    def _searched(self, text: str, talk: Talk, model: ChatModel | None, store: VectorStore) -> str:
        """What to search for in place of a question; "" where it stands alone."""
        if not self._turns or not leans_on_earlier(text):
            return ""
        alone = [turn.question for turn in self._turns if not turn.searched]
        if model is None:
            return combined(text, alone[-1])
        settings, scale = self._config.answer, token_scale(store, model)
        talk = replace(talk, scale=scale)
        talk = fitted(text, talk, settings, context_tokens=model.context_tokens)
        found = rewritten(text, alone[-1], talk, model, settings)
        return "" if found == text.strip() else found


def _messages(turn: Answer) -> tuple[ChatMessage, ChatMessage]:
    return ChatMessage("user", turn.question), ChatMessage("assistant", turn.text)


def _markdown(turn: Answer) -> str:
    lines = [f"## {_one_line(turn.question)}", "", turn.text, ""]
    if turn.searched:
        lines += [f"Searched for: {_one_line(turn.searched)}", ""]
    lines += [_source(citation) for citation in turn.citations]
    unproved = [s for s in turn.sentences if s.status in {"unsupported", "uncited"}]
    if unproved:
        lines += ["", "Not shown to be in the documents:", ""]
        lines += [f"- {_one_line(turn.text[s.start : s.end])}" for s in unproved]
    return "\n".join(lines).rstrip() + "\n"


def _source(citation: Citation) -> str:
    page = "" if citation.page is None else f", page {citation.page}"
    return f"- [{citation.number}] {citation.path}{page}: “{_one_line(citation.quote)}”"


def _one_line(text: str) -> str:
    return " ".join(text.split())
