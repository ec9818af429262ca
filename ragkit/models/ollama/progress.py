"""How far a pull, push or create has come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ragkit.models.ollama import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS = "success"
# Each of these comes when every layer is where it should be.
_ALL_DONE = ("verifying", "writing manifest", "pushing manifest", "removing unused", SUCCESS)


@dataclass(frozen=True, slots=True)
class Progress:
    """One event.

    Attributes:
        status: What is being done, in the server's words; ``success`` ends a stream.
        digest: The layer concerned, or empty.
        total_bytes: Its size; None where no layer is concerned.
        completed_bytes: How much of it is done, 0 before the first.
    """

    status: str
    digest: str = ""
    total_bytes: int | None = None
    completed_bytes: int = 0

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Progress:
        """Read an object of the wire."""
        return cls(
            status=wire.text(fields, "status"),
            digest=wire.text(fields, "digest"),
            total_bytes=wire.whole(fields, "total"),
            completed_bytes=wire.whole(fields, "completed") or 0,
        )


class LayerProgress:
    """Keeps the last event of each layer, in the order in which the layers first came.

    The server may end a layer without ever reporting it complete, so that is taken from what
    follows: once it verifies or writes the manifest, all of them are there.

    >>> layers = LayerProgress()
    >>> layers.add(Progress("pulling 970aa74c0a90", "sha256:970aa74c0a90", 100, 60))
    >>> layers.completed_bytes, layers.total_bytes
    (60, 100)
    >>> layers.add(Progress("verifying sha256 digest"))
    >>> layers.completed_bytes
    100
    """

    def __init__(self) -> None:
        self._layers: dict[str, Progress] = {}

    def add(self, event: Progress) -> None:
        """Take the next event."""
        if event.digest:
            known = self._layers.get(event.digest)
            # A layer that is fetched again after a fault may count from the beginning.
            total = event.total_bytes or (known.total_bytes if known else None)
            self._layers[event.digest] = replace(event, total_bytes=total)
        elif event.status.startswith(_ALL_DONE):
            for digest, layer in self._layers.items():
                done = layer.total_bytes or layer.completed_bytes
                self._layers[digest] = replace(layer, completed_bytes=done)

    @property
    def layers(self) -> tuple[Progress, ...]:
        """Each layer's last event, complete where that follows from a later event."""
        return tuple(self._layers.values())

    @property
    def total_bytes(self) -> int:
        """The size of all layers heard of so far."""
        return sum(layer.total_bytes or 0 for layer in self._layers.values())

    @property
    def completed_bytes(self) -> int:
        """How much of them is done."""
        return sum(layer.completed_bytes for layer in self._layers.values())
