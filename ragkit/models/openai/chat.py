"""A chat model on an OpenAI-compatible server."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragkit.protocols import ChatDone, TextDelta, ThinkingDelta

if TYPE_CHECKING:
    from collections.abc import Generator

    from ragkit.models.openai.client import OpenAIClient
    from ragkit.protocols import ChatEvent, ChatRequest

UNKNOWN_CONTEXT_TOKENS = 1 << 20
"""Where the server does not tell its window: the setting ``answer.num_ctx`` is then the limit."""


class OpenAIChat:
    """Satisfies `ragkit.protocols.ChatModel`. Nothing is sent until something is asked for.

    The window is the server's own and cannot be asked for: ``ChatRequest.num_ctx`` is not sent, so
    ``answer.num_ctx`` has to be what the server was started with, or less.

    Args:
        client: The server.
        name: The model's name there, exactly.
    """

    backend = "openai"

    def __init__(self, client: OpenAIClient, name: str) -> None:
        self.name = name
        self._client = client

    @property
    def digest(self) -> str:
        """Stands for the weights; see `OpenAIClient.digest`."""
        return self._client.digest(self.name)

    @cached_property
    def context_tokens(self) -> int:
        """The window that the server tells, else `UNKNOWN_CONTEXT_TOKENS`."""
        listed = self._client.model(self.name)
        return (listed and listed.context_tokens) or UNKNOWN_CONTEXT_TOKENS

    def chat(self, request: ChatRequest) -> Generator[ChatEvent, None, None]:
        """Stream a reply; see `ragkit.protocols.ChatModel.chat`."""
        reason = "unknown"
        usage: dict[str, int] = {}
        with closing(self._client.chat(self._body(request))) as chunks:
            for chunk in chunks:
                usage = chunk.get("usage") or usage
                for choice in chunk.get("choices") or ():
                    delta = choice.get("delta") or {}
                    if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                        yield ThinkingDelta(thought)
                    if text := delta.get("content"):
                        yield TextDelta(text)
                    reason = choice.get("finish_reason") or reason
        yield ChatDone(reason, usage.get("prompt_tokens"), usage.get("completion_tokens"))

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "stream_options": {"include_usage": True},
            "max_tokens": request.num_predict,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.schema is not None:
            schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body
