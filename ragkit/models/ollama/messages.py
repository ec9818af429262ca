"""A conversation's messages and the replies of ``/api/chat``."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ragkit.decoding import wire
from ragkit.models.ollama.replies import Metrics, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called; ``arguments`` by their names."""

    name: str = field(metadata=wire("function.name"))
    arguments: Mapping[str, Any] = field(default_factory=dict, metadata=wire("function.arguments"))
    id: str = ""
    index: int | None = field(default=None, metadata=wire("function.index"))

    def body(self) -> dict[str, Any]:
        """The object that goes over the wire."""
        function: dict[str, Any] = {"name": self.name, "arguments": dict(self.arguments)}
        if self.index is not None:
            function["index"] = self.index
        return ({"id": self.id} if self.id else {}) | {"function": function}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, or the next piece of one.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        content: Its text.
        thinking: The model's reasoning, apart from the text.
        images: Bytes of image files, for a model with the capability ``vision``. Those of a
            reply are not read.
        tool_calls: What an assistant's message wants called.
        tool_name: Of a ``tool`` message: the function whose result it is.
        tool_call_id: Of a ``tool`` message: the call that it answers.
    """

    role: str
    content: str = ""
    thinking: str = ""
    images: tuple[bytes, ...] = field(default=(), repr=False, metadata=wire())
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""

    def body(self) -> dict[str, Any]:
        """The object that goes over the wire."""
        optional: dict[str, Any] = {
            "thinking": self.thinking,
            "images": encoded(self.images),
            "tool_calls": [call.body() for call in self.tool_calls],
            "tool_name": self.tool_name,
            "tool_call_id": self.tool_call_id,
        }
        given = {name: value for name, value in optional.items() if value}
        return {"role": self.role, "content": self.content} | given


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A reply of ``/api/chat``, or one piece of it in a stream.

    Attributes:
        model: As it was asked for.
        message: The reply, or its next piece. The last piece may hold text too.
        done: True for a whole reply and for the last piece.
        done_reason: ``stop``, ``length``, ``load``, ``unload``, or empty.
        logprobs: One a token, where they were asked for.
        metrics: Empty before the last piece.
    """

    model: str
    message: Message
    done: bool = False
    done_reason: str = ""
    created_at: datetime | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    metrics: Metrics = field(default=Metrics(), metadata=wire(""))


def encoded(images: Sequence[bytes]) -> list[str]:
    """Images as the wire wants them: base64 without a ``data:`` prefix."""
    return [b64encode(image).decode("ascii") for image in images]
