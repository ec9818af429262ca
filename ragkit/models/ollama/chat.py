"""A chat model on an Ollama server."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragkit.errors import ModelResponseError
from ragkit.models.ollama.calls import ChatCall
from ragkit.models.ollama.messages import Message
from ragkit.models.ollama.names import normalise_name
from ragkit.protocols import ChatDone, TextDelta, ThinkingDelta

if TYPE_CHECKING:
    from collections.abc import Generator

    from ragkit.models.ollama.calls import Think
    from ragkit.models.ollama.client import OllamaClient
    from ragkit.models.ollama.messages import ChatReply
    from ragkit.models.ollama.shown import ShownModel
    from ragkit.protocols import ChatEvent, ChatRequest

# The server's own default where it does not know better (docs of OLLAMA_CONTEXT_LENGTH).
_DEFAULT_CONTEXT_TOKENS = 4096


class OllamaChat:
    """Satisfies `ragkit.protocols.ChatModel`. Nothing is sent until something is asked for.

    Args:
        client: The server.
        name: The model's name there; its tag may be left out.
        digest: If it is known already.
    """

    backend = "ollama"

    def __init__(self, client: OllamaClient, name: str, *, digest: str | None = None) -> None:
        self.name = normalise_name(name)
        self._client = client
        self._digest = digest

    @property
    def digest(self) -> str:
        """Digest of the weights; asked of the server the first time."""
        if self._digest is None:
            self._digest = self._client.digest(self.name)
        return self._digest

    @property
    def context_tokens(self) -> int:
        """The window that the model was trained for; asked of the server the first time.

        Raises:
            ModelResponseError: The server says that the model cannot chat.
        """
        return self._shown.context_tokens or _DEFAULT_CONTEXT_TOKENS

    def chat(self, request: ChatRequest) -> Generator[ChatEvent, None, None]:
        """Stream a reply; see `ragkit.protocols.ChatModel.chat`."""
        with closing(self._client.chat_stream(self._call(request))) as replies:
            for reply in replies:
                if reply.message.thinking:
                    yield ThinkingDelta(reply.message.thinking)
                if reply.message.content:
                    yield TextDelta(reply.message.content)
                if reply.done:
                    yield _done(reply)

    @cached_property
    def _shown(self) -> ShownModel:
        shown = self._client.show(self.name)
        if shown.capabilities and "completion" not in shown.capabilities:
            msg = (
                f"{self.name} at {self._client.address} cannot chat; it can: "
                f"{', '.join(shown.capabilities)}. Name a chat model with --chat or in models.chat"
            )
            raise ModelResponseError(msg, self.name)
        return shown

    def _call(self, request: ChatRequest) -> ChatCall:
        # Every load-time option is explicit and constant: a changed one reloads the model.
        options: dict[str, Any] = {
            "num_ctx": request.num_ctx,
            "num_predict": request.num_predict,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if request.stop:
            options["stop"] = list(request.stop)
        return ChatCall(
            self.name,
            [Message(m.role, m.content) for m in request.messages],
            options=options,
            think=self._think(wanted=request.think),
            format=request.schema,
            # An over-long prompt is to be refused, not cut.
            truncate=False,
            shift=False,
        )

    def _think(self, *, wanted: bool) -> Think | None:
        """Whether to think; None where it cannot. gpt-oss cannot leave it and knows levels."""
        if "thinking" not in self._shown.capabilities:
            return None
        if self._shown.details.family.replace("-", "") == "gptoss":
            return "medium" if wanted else "low"
        return wanted


def _done(reply: ChatReply) -> ChatDone:
    return ChatDone(
        done_reason=reply.done_reason or "unknown",
        prompt_tokens=reply.metrics.prompt_tokens,
        answer_tokens=reply.metrics.answer_tokens,
    )
