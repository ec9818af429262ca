"""A chat model of our own, as a user of the library may bring one: it says one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.protocols import ChatDone, TextDelta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.protocols import ChatRequest


class FixedChat:
    """Says one thing, and remembers what it was asked."""

    name, digest, context_tokens = "fixed", "0", 4096

    def __init__(self, text: str = "The fee is five dollars [1].") -> None:
        self.text, self.requests = text, list[Any]()

    def chat(self, request: ChatRequest) -> Iterator[TextDelta | ChatDone]:
        self.requests.append(request)
        yield TextDelta(self.text)
        yield ChatDone("stop", None, 7)
