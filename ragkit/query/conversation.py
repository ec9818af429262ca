"""Conversation: many questions over an index, each answered with its proof."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._version import __version__
from ragkit.protocols import ChatMessage
from ragkit.query.ask import ask, last_answer
from ragkit.query.followup import completed, leans_on_earlier, rewritten
from ragkit.query.scope import WHOLE_INDEX, QueryEngine, Scope
from ragkit.query.token_calibration import known_tokens
from ragkit.query.window import ChatTurns, fit_turns
from ragkit.records import Answer, Receipt, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from ragkit.models.choose import Models
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
        engine: Gives what answers the next question: the index may be rebuilt between two.
        system: Instructions of the user's own, e.g. how to address him; `clear` keeps them.
        scope: What of the index may answer.
    """

    def __init__(
        self,
        engine: Callable[[], QueryEngine],
        *,
        system: str = "",
        scope: Scope = WHOLE_INDEX,
    ) -> None:
        self.system = system
        self._engine, self._scope = engine, scope
        self._models: Models | None = None
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
        engine = self._engine()
        self._models = self._models or _settled(engine)
        engine = replace(engine, models=self._models)
        turns = ChatTurns(tuple(map(_messages, self._turns)), system=self.system)
        turns = replace(turns, searched=self._searched(engine, text, turns))
        for event in ask(engine, text, self._scope, turns):
            if isinstance(event, Answer):
                self._turns.append(event)
            yield event

    def resume(self, turns: Iterable[tuple[str, str]]) -> None:
        """Take up a conversation that another program kept.

        What was replied then is shown to the chat model, and is evidence of nothing.

        Args:
            turns: The questions and replies, oldest first.
        """
        self._turns += [_recalled(question, text) for question, text in turns]

    def clear(self) -> None:
        """Forget all turns; the system text stays."""
        self._turns.clear()

    def to_json(self) -> dict[str, Any]:
        """The conversation as JSON values, every answer whole."""
        return {
            "ragkit": __version__,
            "index": self._engine().store.location,
            "system": self.system,
            "turns": [to_json(turn) for turn in self._turns],
        }

    def save(self, path: str | Path) -> None:
        """Write the conversation to a file: Markdown if its name ends in ``.md``, else JSON.

        A file that is there is replaced. Errors are those of `Path.write_text`.
        """
        path = Path(path).expanduser()
        is_markdown = path.suffix.lower() in {".md", ".markdown"}
        whole = json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n"
        path.write_text(self.to_markdown() if is_markdown else whole, "utf-8")

    def to_markdown(self) -> str:
        """The conversation as a text for people, the sources under each answer."""
        parts = [f"# {Path(self._engine().store.location).name}\n", *map(_markdown, self._turns)]
        return "\n".join(parts)

    def _searched(self, engine: QueryEngine, text: str, turns: ChatTurns) -> str:
        """What to search for in place of a question; "" if it stands alone."""
        if not self._turns or not leans_on_earlier(text):
            return ""
        earlier = [turn.question for turn in self._turns if _stood_alone(turn)][-1]
        model = engine.chat
        if model is None:
            return completed(engine, text, earlier, self._scope)
        settings = engine.config.answer
        turns = replace(turns, tokens=known_tokens(engine.store, model))
        turns = fit_turns(text, turns, settings, context_tokens=model.context_tokens)
        found = rewritten(text, earlier, turns=turns, model=model, settings=settings)
        return "" if found == text.strip() else found


def _stood_alone(turn: Answer) -> bool:
    """Whether a question was searched for as it was asked, or by a part of it."""
    return turn.searched in turn.question


def _settled(engine: QueryEngine) -> Models:
    """Models of a conversation's own: whether there is a chat model is asked once."""
    models = copy(engine.models)
    if models.chat(engine.store) is None:
        models.settings = replace(models.settings, chat="none")
    return models


def _recalled(question: str, text: str) -> Answer:
    """A turn of which no more is known than what was said."""
    return Answer(
        question=question,
        text=text,
        refused=False,
        sentences=(),
        citations=(),
        embedder="",
        embedder_digest="",
        chat_model=None,
        chat_digest=None,
        index="",
        generation=0,
        receipt=Receipt(0, 0, 0),
    )


def _messages(turn: Answer) -> tuple[ChatMessage, ChatMessage]:
    return ChatMessage("user", turn.question), ChatMessage("assistant", turn.text)


def _markdown(turn: Answer) -> str:
    lines = [f"## {_one_line(turn.question)}", ""]
    lines += ["Closest passages (no chat model):", ""] if turn.closest else []
    lines += [turn.text, ""]
    if turn.searched:
        lines += [f"Searched for: {_one_line(turn.searched)}", ""]
    quoting = bool(turn.closest)
    lines += dict.fromkeys(_source(citation, quoting=quoting) for citation in turn.citations)
    unproved = [s for s in turn.sentences if s.status in {"unsupported", "uncited"}]
    if unproved:
        lines += ["", "Not shown to be in the documents:", ""]
        lines += [f"- {_one_line(turn.text[s.start : s.end])}" for s in unproved]
    return "\n".join(lines).rstrip() + "\n"


def _source(citation: Citation, *, quoting: bool) -> str:
    """The place of a citation, with its words if the answer does not quote them."""
    page = "" if citation.page is None else f", page {citation.page}"
    page += ", read from a picture" if citation.from_picture else ""
    quote = "" if quoting else f": “{_one_line(citation.quote)}”"
    return f"- [{citation.number}] {citation.path}{page}{quote}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
