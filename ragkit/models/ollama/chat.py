"""A chat model on an Ollama server."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragkit.models.ollama.names import normalise_name
from ragkit.models.ollama.shown import context_tokens
from ragkit.models.ollama.think import ThinkFilter
from ragkit.protocols import ChatDone, ThinkingDelta

if TYPE_CHECKING:
    from collections.abc import Generator

    from ragkit.models.ollama.client import OllamaClient
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
        """The window that the model was trained for; asked of the server the first time."""
        return context_tokens(self._shown) or _DEFAULT_CONTEXT_TOKENS

    def chat(self, request: ChatRequest) -> Generator[ChatEvent, None, None]:
        """Stream a reply; see `ragkit.protocols.ChatModel.chat`."""
        split = ThinkFilter()
        with closing(self._client.chat(self._body(request))) as events:
            for event in events:
                message = event.get("message") or {}
                if thinking := message.get("thinking"):
                    yield ThinkingDelta(thinking)
                yield from split.feed(message.get("content") or "")
                if event.get("done"):
                    yield from split.end()
                    yield _done(event)
                    return
        raise self._client.unfinished(self.name)

    @cached_property
    def _shown(self) -> dict[str, Any]:
        return self._client.show(self.name)

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        # Every load-time option is explicit and constant: a changed one reloads the model.
        options: dict[str, Any] = {
            "num_ctx": request.num_ctx,
            "num_predict": request.num_predict,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if request.stop:
            options["stop"] = list(request.stop)
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "stream": True,
            "options": options,
            # An over-long prompt is to be refused, not cut.
            "truncate": False,
            "shift": False,
        }
        if "thinking" in (self._shown.get("capabilities") or ()):
            body["think"] = self._think(wanted=request.think)
        if request.schema is not None:
            body["format"] = dict(request.schema)
        return body

    def _think(self, *, wanted: bool) -> bool | str:
        """Whether to think; gpt-oss cannot leave it and knows levels only."""
        details = self._shown.get("details") or {}
        if str(details.get("family", "")).replace("-", "") == "gptoss":
            return "medium" if wanted else "low"
        return wanted


def _done(event: dict[str, Any]) -> ChatDone:
    return ChatDone(
        done_reason=event.get("done_reason") or "unknown",
        prompt_tokens=event.get("prompt_eval_count"),
        answer_tokens=event.get("eval_count"),
    )
