"""Chat clients have the same model title, tag and continue a chat: no index answers that."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import orjson

from ragkit.protocols import ChatDone, ChatMessage, ChatRequest, TextDelta
from ragkit.query.reply import stream_reply, window_of
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Generator

    from ragkit.pipeline import Pipeline
    from ragkit.protocols import ChatEvent, ChatModel

_BEGIN, _HISTORY = "### Task:", "<chat_history>"
_ASKED = late_pattern(r"<chat_history>(.*?)(?:</chat_history>|\Z)", re.DOTALL)
_USER = late_pattern(r"^USER:[ \t]*(.+?)(?=^ASSISTANT:|^USER:|\Z)", re.M | re.S | re.I)
_KEY = late_pattern(r"[\"'](title|tags|follow_ups|queries|prompt|text)[\"']\s*:")
_NOTHING: dict[str, object] = {
    "tags": ["General"],
    "follow_ups": [],
    "queries": [],
    "prompt": "",
    "text": "",
}
_TITLE_WORDS, _TITLE_CHARACTERS = 6, 60


def is_task(prompt: str) -> bool:
    r"""Tell whether a message is a client's own job, and no question of a person.

    Both marks must be there: a person may write either.

    >>> is_task("### Task:\nGive it a title.\n<chat_history>\nUSER: Hi\n</chat_history>")
    True
    >>> is_task("### Task: what is a task?"), is_task("What does <chat_history> mean?")
    (False, False)
    """
    return prompt.lstrip().startswith(_BEGIN) and _HISTORY in prompt


def do_task(pipeline: Pipeline, prompt: str, system: str) -> Generator[ChatEvent, None, None]:
    """Have the bare chat model do a client's job; without one, say what does no harm.

    Args:
        pipeline: Its models and settings; its index is not searched.
        prompt: The client's message.
        system: The client's own instructions.
    """
    model = pipeline.models.chat(pipeline.store)
    if model is None:
        yield TextDelta(stand_in(prompt))
        yield ChatDone("stop")
        return
    with closing(stream_reply(model, _request(pipeline, model, prompt, system))) as events:
        yield from events


def stand_in(prompt: str) -> str:
    r"""What stands for a job's result where no model can do it, in the JSON that was asked for.

    >>> stand_in('### Task:\n{ "title": "" }\n<chat_history>\nUSER: Who may sign?\n</chat_history>')
    '{"title":"Who may sign?"}'
    """
    rules, _, _ = prompt.partition(_HISTORY)
    found = _KEY.search(rules.partition("### Output")[2]) or _KEY.search(rules)
    key = found[1] if found else "title"
    value = _NOTHING.get(key, _title(prompt))
    return orjson.dumps({key: value}).decode()


def _title(prompt: str) -> str:
    """The first words of the last question."""
    history = _ASKED.search(prompt)
    asked = _USER.findall(history[1]) if history else []
    words = asked[-1].split() if asked else ["Chat"]
    title = " ".join(words[:_TITLE_WORDS])
    return title[:_TITLE_CHARACTERS]


def _request(pipeline: Pipeline, model: ChatModel, prompt: str, system: str) -> ChatRequest:
    settings = pipeline.config.answer
    given = [ChatMessage("system", system)] if system else []
    return ChatRequest(
        (*given, ChatMessage("user", prompt)),
        num_ctx=window_of(settings, model),
        num_predict=settings.reserve_tokens,
        temperature=settings.temperature,
        seed=settings.seed,
    )
