"""What can go wrong with a request to a model server, whichever server it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ragkit.errors import ModelError, ModelResponseError, ModelUnavailableError

Kind = Literal[
    "too_long",  # the text does not fit the model's window
    "crashed",  # the runner died over it: once more, then in halves
    "nan",  # the model computed no number
    "unsendable",  # the text cannot be written as UTF-8
    "fault",  # another internal error, possibly the text's
    "busy",  # overloaded or still loading: again, later
    "unreachable",  # no connection
    "broken",  # the connection ended before the reply did
    "timeout",  # no byte for too long, or the server itself gave up loading
    "missing",  # the model is not installed
    "refused",  # anything else: the request is wrong and stays so
]

# Of these kinds another text may be free, so the rest of a batch goes on.
TEXT_KINDS: frozenset[Kind] = frozenset({"too_long", "crashed", "nan", "unsendable", "fault"})
UNAVAILABLE_KINDS: frozenset[Kind] = frozenset(
    {"crashed", "busy", "unreachable", "broken", "timeout"}
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A request that failed. ``text`` is for a person; ``status`` is HTTP's, 0 without one."""

    kind: Kind
    text: str
    status: int = 0

    def to_error(self, model: str, address: str) -> ModelError:
        """The error that a caller of the library sees; a server's own module says more of some."""
        message = f"{model or 'request'} at {address}: {self.text}"
        if self.kind in UNAVAILABLE_KINDS:
            return ModelUnavailableError(message, model)
        return ModelResponseError(message, model)
