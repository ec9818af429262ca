"""A chat client's messages as a question in a conversation; the client's word proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.errors import InputError
from ragkit.serve.answer_text import without_sources

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_SYSTEM = 2000
"""Characters of a client's system prompt that are passed on: it sets tone and language, and the
window is for passages."""

NO_IMAGES = "an index answers in words, and cannot look at an image: ask without it"


@dataclass(frozen=True, slots=True)
class ChatHistory:
    """What a client sent of a conversation.

    Attributes:
        question: Its last message.
        turns: The questions and replies before it, oldest first.
        system: What the client told the model, cut at `LONGEST_SYSTEM`.
    """

    question: str
    turns: tuple[tuple[str, str], ...] = ()
    system: str = ""


def read_messages(messages: object, most: int) -> ChatHistory:
    """Read the messages of a chat request, of Ollama's shape or of OpenAI's.

    Messages of tools and such without text are passed over, and so is a question without a reply.

    Args:
        messages: The request's.
        most: How many there may be.

    Raises:
        InputError: They are none, or too many, or none of a user is among them that can be read.
    """
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        msg = "messages must be a list of objects with role and content"
        raise InputError(msg)
    if len(messages) > most:
        msg = (
            f"the conversation has {len(messages)} messages, and this server takes {most} "
            "(serve.max_messages); begin a new one"
        )
        raise InputError(msg)
    said = [(str(m.get("role", "")).casefold(), _text(m)) for m in messages]
    asked = [place for place, (role, text) in enumerate(said) if role == "user"]
    if not asked:
        msg = "no message of a user is among the messages"
        raise InputError(msg)
    last = asked[-1]
    if _has_image(messages[last]):
        raise InputError(NO_IMAGES)
    system = "\n".join(text for role, text in said if role in ("system", "developer"))
    return ChatHistory(said[last][1], _turns(said[:last]), cut_system(system))


def cut_system(system: str) -> str:
    """A client's system prompt, as much of it as is passed on."""
    return system.strip()[:LONGEST_SYSTEM]


def _turns(said: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The questions with their replies; a reply that came in parts is one."""
    turns: list[tuple[str, str]] = []
    question, replies = "", list[str]()

    def end() -> None:
        reply = without_sources("\n".join(replies)).strip()
        if question.strip() and reply:
            turns.append((question, reply))

    for role, text in said:
        if role == "user":
            end()
            question, replies = text, []
        elif role == "assistant" and text:
            replies.append(text)
    end()
    return tuple(turns)


def _text(message: dict[str, Any]) -> str:
    """A message's text, "" if it has none."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, dict) and "text" in part]
    return "\n".join(part["text"] for part in parts if isinstance(part["text"], str))


def _has_image(message: dict[str, Any]) -> bool:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    kinds = {part.get("type") for part in parts if isinstance(part, dict)}
    return bool(message.get("images")) or bool(kinds & {"image_url", "input_image", "image"})
