"""What can go wrong with a request to a model server, whichever server it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ragkit.errors import (
    ModelError,
    ModelResponseError,
    ModelUnavailableError,
    PromptTruncatedError,
)

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
    """A request that failed.

    Attributes:
        kind: What to do about it.
        text: For a person.
        status: HTTP's, 0 without one.
        counts: Of a prompt that is too long, its tokens and those of the window, where the server
            says.
    """

    kind: Kind
    text: str
    status: int = 0
    counts: tuple[int, int] | None = None

    def to_error(self, model: str, address: str) -> ModelError:
        """The error that a caller of the library sees; a server's own module says more of some."""
        if self.kind == "too_long" and self.counts:
            return _too_long(self.counts, model, address)
        message = f"{model or 'request'} at {address}: {self.text}"
        if self.kind in UNAVAILABLE_KINDS:
            return ModelUnavailableError(message, model)
        return ModelResponseError(message, model)


def counts_in(value: Any) -> tuple[int, int] | None:  # noqa: ANN401 -- any JSON value
    """The tokens of a refused prompt and of the window, from a llama.cpp server's error."""
    if not isinstance(value, dict):
        return None
    found = value.get("n_prompt_tokens"), value.get("n_ctx")
    prompt, window = (count if type(count) is int else 0 for count in found)
    return (prompt, window) if prompt and window else None


def _too_long(counts: tuple[int, int], model: str, address: str) -> PromptTruncatedError:
    prompt, window = counts
    message = (
        f"{model} at {address}: the prompt takes {prompt} tokens, and the window has {window}; "
        "shorten it, or raise answer.num_ctx"
    )
    return PromptTruncatedError(message, model, prompt_tokens=prompt, num_ctx=window)
