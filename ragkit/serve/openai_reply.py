"""A reply chunk by chunk, as a server of OpenAI's interface writes it, with its citations."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from ragkit.protocols import ChatDone, ThinkingDelta
from ragkit.query.proof.marks import find_marks
from ragkit.records import Answer
from ragkit.serve.failures import error_body, json_bytes, told

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ragkit.records import Citation
    from ragkit.serve.answer_text import AnswerText
    from ragkit.serve.serving import ServedEvent

DONE = b"data: [DONE]\n\n"


class OpenAIReply:
    """Makes the chunks of a chat completion as an answer comes.

    Args:
        model: As the client named it.
        text: Makes text of the answer.
        counts: Whether the client wants the tokens counted at the end of a stream.
        as_events: Tell sources as Open WebUI's own events, which show the passages, and not as
            annotations; both would show each source twice.
    """

    def __init__(
        self, model: str, text: AnswerText, *, counts: bool = False, as_events: bool = False
    ) -> None:
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": "fp_ragkit",
        }
        self._text, self._counts, self._as_events = text, counts, as_events

    async def chunks(
        self, events: AsyncGenerator[ServedEvent, None]
    ) -> AsyncGenerator[bytes, None]:
        """The chunks of a stream; what fails after the first is told by one that ends it."""
        try:
            yield self._chunk({"role": "assistant", "content": ""})
            async for event in events:
                for chunk in self._chunks_of(event):
                    yield chunk
        except Exception as exc:  # noqa: BLE001 -- the status is sent: told in the last chunk
            yield _data(error_body("/v1", *told(exc)))
        else:
            yield DONE
        finally:
            await events.aclose()

    async def whole(self, events: AsyncGenerator[ServedEvent, None]) -> dict[str, Any]:
        """The one object of a reply that is not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        extra: dict[str, Any] = {}
        done = ChatDone("")
        async for event in events:
            if isinstance(event, Answer):
                done, extra = _done_of(event), {"ragkit": event}
                message["annotations"] = self._annotations(event)
                self._text.ending(event)
            elif isinstance(event, ChatDone):
                done = event
            else:
                self._text.piece(event)
        message["content"] = self._text.text
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": _reason(done),
            "logprobs": None,
        }
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(done),
            **extra,
        }

    def _chunks_of(self, event: ServedEvent) -> Iterator[bytes]:
        if isinstance(event, Answer):
            yield from self._ending(event)
        elif isinstance(event, ChatDone):
            yield from self._end(event)
        elif isinstance(event, ThinkingDelta) and not event.retracts:
            yield self._chunk({"reasoning_content": event.text})
        elif piece := self._text.piece(event):
            yield self._chunk({"content": piece})

    def _ending(self, answer: Answer) -> Iterator[bytes]:
        annotations = self._annotations(answer)
        if ending := self._text.ending(answer):
            yield self._chunk({"content": ending})
        if self._as_events:
            for citation in _first_of_each(answer):
                yield self._chunk({}, event=self._event(citation))
        elif annotations:
            yield self._chunk({"annotations": annotations})
        yield from self._end(_done_of(answer), ragkit=answer)

    def _end(self, done: ChatDone, **extra: object) -> Iterator[bytes]:
        yield self._chunk({}, finish_reason=_reason(done), **extra)
        if self._counts:
            usage = {"choices": [], "usage": _usage(done)}
            yield _data({**self._head, "object": "chat.completion.chunk", **usage})

    def _chunk(
        self, delta: dict[str, Any], *, finish_reason: str | None = None, **extra: object
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return _data(
            {**self._head, "object": "chat.completion.chunk", "choices": [choice], **extra}
        )

    def _annotations(self, answer: Answer) -> list[dict[str, Any]]:
        """An annotation for each mark of the text that was shown, where it stands there."""
        found = []
        for shown, said in zip(find_marks(self._text.text), find_marks(answer.text), strict=False):
            citation = _citation_at(answer, said.start, said.number)
            if citation is not None:
                place = {
                    "url": self._text.links.to(citation),
                    "title": self._text.title(citation),
                    "start_index": shown.start,
                    "end_index": shown.end,
                }
                found.append({"type": "url_citation", "url_citation": place})
        return found

    def _event(self, citation: Citation) -> dict[str, Any]:
        """A source as Open WebUI shows it: by its name, with the passage."""
        title, url = self._text.title(citation), self._text.links.to(citation)
        metadata = {"source": url, "name": title, "page": citation.page}
        data = {
            "source": {"name": title, "url": url},
            "document": [citation.quote],
            "metadata": [metadata],
        }
        return {"type": "source", "data": data}


def _citation_at(answer: Answer, offset: int, number: int) -> Citation | None:
    """The place that a mark of a sentence names; else the first of that number."""
    for sentence in answer.sentences:
        if sentence.start <= offset < sentence.end:
            cited = [answer.citations[i] for i in sentence.citations]
            if of_mark := [c for c in cited if c.number == number]:
                return of_mark[0]
    return next((c for c in answer.citations if c.number == number), None)


def _first_of_each(answer: Answer) -> list[Citation]:
    """One citation of each number."""
    return list({c.number: c for c in reversed(answer.citations)}.values())[::-1]


def _done_of(answer: Answer) -> ChatDone:
    receipt = answer.receipt
    read = receipt.prompt_tokens or receipt.prompt_tokens_estimated
    return ChatDone(receipt.done_reason or "", read, receipt.answer_tokens)


def _reason(done: ChatDone) -> str:
    return "length" if done.done_reason == "length" else "stop"


def _usage(done: ChatDone) -> dict[str, int]:
    read, written = done.prompt_tokens or 0, done.answer_tokens or 0
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def _data(value: object) -> bytes:
    return b"data: " + json_bytes(value) + b"\n\n"
