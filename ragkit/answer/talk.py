"""What surrounds a question: the conversation it stands in, and how the model counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragkit.answer.scale import TokenScale

if TYPE_CHECKING:
    from ragkit.protocols import ChatMessage


@dataclass(frozen=True, slots=True)
class Talk:
    """What a chat model is given besides the question and its passages.

    Attributes:
        turns: Earlier questions with their answers, oldest first.
        turns_dropped: How many older ones were left out for want of room.
        system: The user's own instructions; they come after the rules.
        searched: The question as it was searched for; empty: as it was asked.
        scale: How the model counts tokens.
    """

    turns: tuple[tuple[ChatMessage, ChatMessage], ...] = ()
    turns_dropped: int = 0
    system: str = ""
    searched: str = ""
    scale: TokenScale = field(default_factory=TokenScale)

    @property
    def history(self) -> tuple[ChatMessage, ...]:
        """The messages of the earlier turns, oldest first."""
        return tuple(message for turn in self.turns for message in turn)


NO_TALK = Talk()
"""A question that stands alone, to a model of which nothing is known."""
