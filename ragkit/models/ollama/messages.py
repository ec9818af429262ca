"""A conversation's messages and the replies of ``/api/chat``."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragkit.models.ollama import wire
from ragkit.models.ollama.replies import Metrics, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called; ``arguments`` by their names."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    index: int | None = None

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> ToolCall:
        """Read an object of the wire."""
        function = wire.mapping(fields, "function")
        return cls(
            name=wire.text(function, "name"),
            arguments=wire.mapping(function, "arguments"),
            id=wire.text(fields, "id"),
            index=wire.whole(function, "index"),
        )

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
    images: tuple[bytes, ...] = field(default=(), repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Message:
        """Read an object of the wire."""
        return cls(
            role=wire.text(fields, "role"),
            content=wire.text(fields, "content"),
            thinking=wire.text(fields, "thinking"),
            tool_calls=tuple(map(ToolCall.read, wire.objects(fields, "tool_calls"))),
            tool_name=wire.text(fields, "tool_name"),
            tool_call_id=wire.text(fields, "tool_call_id"),
        )

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
    metrics: Metrics = field(default_factory=Metrics)

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> ChatReply:
        """Read an object of the wire."""
        return cls(
            model=wire.text(fields, "model"),
            message=Message.read(wire.mapping(fields, "message")),
            done=fields.get("done") is True,
            done_reason=wire.text(fields, "done_reason"),
            created_at=wire.time(fields, "created_at"),
            logprobs=TokenLogprob.read_all(fields, "logprobs"),
            metrics=Metrics.read(fields),
        )


def encoded(images: Sequence[bytes]) -> list[str]:
    """Images as the wire wants them: base64 without a ``data:`` prefix."""
    return [b64encode(image).decode("ascii") for image in images]
