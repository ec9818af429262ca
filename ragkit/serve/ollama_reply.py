"""A reply line by line, as a server of Ollama writes it: each line has every field."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from ragkit.protocols import ChatDone, ThinkingDelta
from ragkit.records import Answer
from ragkit.serve.failures import json_bytes, told

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ragkit.serve.answer_text import AnswerText
    from ragkit.serve.serving import ServedEvent

Shape = Literal["chat", "generate"]


class OllamaReply:
    """Makes the lines of a reply to ``/api/chat`` or ``/api/generate`` as an answer comes.

    Args:
        model: As the client named it.
        text: Makes text of the answer.
        shape: Which of the two.
        thinks: Whether the client wants the model's reasoning.
    """

    def __init__(
        self, model: str, text: AnswerText, *, shape: Shape = "chat", thinks: bool = False
    ) -> None:
        self._model, self._text, self._shape, self._thinks = model, text, shape, thinks
        self._began = time.perf_counter_ns()
        self._first: int | None = None

    async def lines(self, events: AsyncGenerator[ServedEvent, None]) -> AsyncGenerator[bytes, None]:
        """The lines of a stream; what fails after the first is told by the last."""
        try:
            async for event in events:
                if lines := self._lines_of(event):  # sent at once: each sending costs
                    yield b"".join(json_bytes(line) + b"\n" for line in lines)
        except Exception as exc:  # noqa: BLE001 -- the status is sent: told in the last line
            yield json_bytes({"error": told(exc)[2]}) + b"\n"
        finally:
            await events.aclose()

    async def whole(self, events: AsyncGenerator[ServedEvent, None]) -> dict[str, Any]:
        """The one object of a reply that is not streamed."""
        content, thinking, last = "", "", dict[str, Any]()
        async for event in events:
            for last in self._lines_of(event):
                content += _content(last)
                thinking += last.get("message", last).get("thinking", "")
        return last | self._said(content, thinking)

    def loaded(self, reason: str) -> dict[str, Any]:
        """The reply to a request that only loads or unloads a model."""
        return self._line("") | {"done": True, "done_reason": reason}

    def _lines_of(self, event: ServedEvent) -> list[dict[str, Any]]:
        if self._first is None:
            self._first = time.perf_counter_ns()
        if isinstance(event, Answer):
            receipt = event.receipt
            done = ChatDone(
                receipt.done_reason or "",
                receipt.prompt_tokens or receipt.prompt_tokens_estimated,
                receipt.answer_tokens,
            )
            proof = {"sources": event.citations, "ragkit": event}
            return [self._line(self._text.ending(event)), self._last(done) | proof]
        if isinstance(event, ChatDone):
            return [self._last(event)]
        thinking = event.text if self._thinks and isinstance(event, ThinkingDelta) else ""
        content = self._text.piece(event)
        return [self._line(content, thinking)] if content or thinking else []

    def _line(self, content: str, thinking: str = "") -> dict[str, Any]:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        said = self._said(content, thinking)
        return {"model": self._model, "created_at": now, **said, "done": False}

    def _said(self, content: str, thinking: str) -> dict[str, Any]:
        thought = {"thinking": thinking} if thinking else {}
        if self._shape == "generate":
            return {"response": content, **thought}
        return {"message": {"role": "assistant", "content": content, **thought}}

    def _last(self, done: ChatDone) -> dict[str, Any]:
        now = time.perf_counter_ns()
        first = self._first or now
        context: dict[str, Any] = {"context": []} if self._shape == "generate" else {}
        return self._line("") | {
            "done": True,
            "done_reason": "length" if done.done_reason == "length" else "stop",
            **context,
            "total_duration": max(1, now - self._began),
            "load_duration": 1,
            "prompt_eval_count": done.prompt_tokens or 0,
            "prompt_eval_duration": max(1, first - self._began),
            "eval_count": done.answer_tokens or 0,
            "eval_duration": max(1, now - first),
        }


def _content(line: dict[str, Any]) -> str:
    said: str = line["message"]["content"] if "message" in line else line["response"]
    return said
