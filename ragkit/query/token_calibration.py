"""How many of a chat model's own tokens a text takes, learned from the counts that it reports.

No server tells its tokenizer, and for Chinese vocabularies differ by a factor of four. So the
estimate of `ragkit.text.tokens` is multiplied, script by script, by a factor learned for the model.
It is an upper bound, since a prompt over the window is refused or cut. The text around the passages
(rules, question, history) is counted in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from ragkit.text.tokens import TOKEN_UNIT, script_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.protocols import ChatMessage, ChatModel, VectorStore
    from ragkit.records import Receipt

Factors = tuple[float, float, float]
"""Of Latin with ASCII, of CJK, of everything else: the parts of `script_weights`."""

UNKNOWN: Final[Factors] = (1.2, 3.0, 2.0)
"""What holds for a script that a model was not seen to read. Contexts of 700 to 7,200 characters
of eleven evaluation sets took at most 1.09 (English) and 1.19 (Chinese) with the tokenizer of
multilingual-e5, 0.96 and 2.77 with that of SmolLM2, whose 49,000 tokens are made for English."""

_PRIOR: Final[Factors] = (1.0, 1.4, 1.0)
"""Between vocabularies made for a script and those that are not; counts far off do not teach."""
_BELIEVED = (0.5, 2.0)
"""A count outside these multiples of the prior tells of a cut or cached prompt, not of tokens."""

_LARGEST_SHARE = 0.9
"""A count above this share of the window may be of a cut prompt."""
_LEAST_TAUGHT_BY = 200
"""In shorter prompts, tokens of the estimate, the chat template's own would blur the ratio."""
_LEAST_SHARE, _MOST_FOREIGN = 0.5, 0.1
"""Of the script that a prompt teaches, and of the others but Latin: the rules around the passages
are English, and what Latin takes varies little from one vocabulary to another."""

_KEPT = 32
_MARGIN, _MARGIN_WHILE_FEW = 0.17, 0.45
"""A factor is the largest of the last ratios and this much more, the second part by their number:
what a few contexts took says little about the next (``tests/query/test_token_factor.py``)."""

TOKENS_PER_MESSAGE: Final = 8
"""What a chat template adds around a message; common ones take 3 to 7 tokens."""


@dataclass(frozen=True, slots=True)
class TokenCalibration:
    """What is known of a chat model's tokenizer.

    Attributes:
        seen: For each of the three scripts the newest ratios of the model's count to the
            estimate, oldest first.
    """

    seen: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] = ((), (), ())

    @property
    def factors(self) -> Factors:
        """What the estimates of the three scripts are multiplied by."""
        latin, cjk, other = map(_factor, self.seen, UNKNOWN)
        return latin, cjk, other

    def estimate(self, text: str) -> int:
        """Estimate the tokens of a text, rather too many than too few."""
        weights = zip(script_weights(text), self.factors, strict=True)
        return -int(-sum(weight * factor for weight, factor in weights) // TOKEN_UNIT)

    def estimate_all(self, messages: Sequence[ChatMessage]) -> int:
        """Estimate the tokens of a whole prompt."""
        return sum(self.estimate(m.content) + TOKENS_PER_MESSAGE for m in messages)

    def learn(
        self,
        messages: Sequence[ChatMessage],
        counted: int,
        *,
        num_ctx: int,
        refused: bool = False,
    ) -> Self:
        """Take in what a model counted for a prompt.

        A prompt teaches the factor of the script that makes most of it, the others taken at
        their least. Nothing is learned from a prompt that is short, mixed, or near the window,
        or from a count that is not between half and twice of what may be expected.

        Args:
            messages: What was sent.
            counted: What the model says it read, tokens.
            num_ctx: The window that was asked for.
            refused: The server refused the prompt, which it then counted whole: the count is
                believed however large it is.
        """
        parts = [script_weights(m.content) for m in messages]
        tokens = [sum(script) / TOKEN_UNIT for script in zip(*parts, strict=True)]
        total, most = sum(tokens), max(range(3), key=tokens.__getitem__)
        foreign = sum(tokens[script] for script in {1, 2} - {most})
        expected = sum(t * prior for t, prior in zip(tokens, _PRIOR, strict=True))
        if (
            total < _LEAST_TAUGHT_BY
            or tokens[most] < _LEAST_SHARE * total
            or foreign > _MOST_FOREIGN * total
            or (counted >= _LARGEST_SHARE * num_ctx and not refused)
            or counted < _BELIEVED[0] * expected
            or (counted > _BELIEVED[1] * expected and not refused)
        ):
            return self
        rest = _BELIEVED[0] * (expected - tokens[most] * _PRIOR[most])
        seen = list(self.seen)
        seen[most] = (*seen[most], round((counted - rest) / tokens[most], 3))[-_KEPT:]
        return type(self)((seen[0], seen[1], seen[2]))

    def to_json(self) -> list[list[float]]:
        """The ratios as JSON values."""
        return [list(ratios) for ratios in self.seen]

    @classmethod
    def from_json(cls, value: Any) -> Self:  # noqa: ANN401 -- whatever a file held
        """Read `to_json` back; anything else is nothing known."""
        try:
            latin, cjk, other = (tuple(map(float, ratios))[-_KEPT:] for ratios in value)
        except (TypeError, ValueError):
            return cls()
        plausible = all(0 < ratio < 10 for ratio in (*latin, *cjk, *other))
        return cls((latin, cjk, other)) if plausible else cls()


NOTHING_KNOWN = TokenCalibration()
"""Of a model that was never asked."""


def known_tokens(store: VectorStore, model: ChatModel) -> TokenCalibration:
    """What is known, beside an index, of how a model counts tokens."""
    return TokenCalibration.from_json(store.note(_note(model)))


def learn_tokens(
    store: VectorStore, model: ChatModel, messages: Sequence[ChatMessage], receipt: Receipt
) -> None:
    """Keep beside an index what a model counted for the prompt of an answer, if it did."""
    if receipt.prompt_tokens is None:
        return
    before = known_tokens(store, model)  # another process may have learned meanwhile
    after = before.learn(messages, receipt.prompt_tokens, num_ctx=receipt.num_ctx)
    if after != before:
        store.keep_note(_note(model), after.to_json())


def learn_refused(
    store: VectorStore, model: ChatModel, messages: Sequence[ChatMessage], counted: int
) -> None:
    """Keep beside an index what a server counted for a prompt that it refused as too long."""
    before = known_tokens(store, model)
    after = before.learn(messages, counted, num_ctx=counted, refused=True)
    if after != before:
        store.keep_note(_note(model), after.to_json())


def _note(model: ChatModel) -> str:
    """The name of the note that holds the calibration of a model."""
    return f"tokens:{model.digest}"


def _factor(seen: Sequence[float], unknown: float) -> float:
    if not seen:
        return unknown
    top = max(seen)
    careful = top * (1 + _MARGIN + _MARGIN_WHILE_FEW / len(seen))
    return min(careful, max(unknown, top * (1 + _MARGIN)))
