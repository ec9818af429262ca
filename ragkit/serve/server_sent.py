"""Answers as server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.protocols import QuotedDelta, TextDelta, ThinkingDelta
from ragkit.records import Answer
from ragkit.serve.failures import json_bytes, told
from ragkit.serve.own_replies import ErrorEvent, NoFields, TextEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ragkit.serve.serving import ServedEvent

ANSWER_EVENTS = {
    "text": TextEvent,
    "thinking": TextEvent,
    "retract": NoFields,
    "answer": Answer,
    "error": ErrorEvent,
}
"""What a streamed answer has, by name."""


async def answer_events(events: AsyncGenerator[ServedEvent, None]) -> AsyncGenerator[bytes, None]:
    """An answer as server-sent events; what fails after the first is told by the last."""
    try:
        async for event in events:
            yield event_bytes(*_named(event))
    except Exception as exc:  # noqa: BLE001 -- the status is sent: told in the last event
        _, kind, message = told(exc)
        yield event_bytes("error", ErrorEvent(kind, message))
    finally:
        await events.aclose()


def event_bytes(name: str, value: object) -> bytes:
    """One event, as it is sent."""
    return b"event: " + name.encode() + b"\ndata: " + json_bytes(value) + b"\n\n"


def _named(event: ServedEvent) -> tuple[str, Any]:
    if isinstance(event, Answer):
        return "answer", event
    if isinstance(event, QuotedDelta):
        return "text", {"text": event.text, "quoted": True, "closest": event.is_closest}
    if isinstance(event, TextDelta):
        return "text", {"text": event.text}
    if isinstance(event, ThinkingDelta) and not event.retracts:
        return "thinking", {"text": event.text}
    return "retract", {}
