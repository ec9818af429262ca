"""Hits become the passages that a chat model is given, or that sentences are quoted from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ragkit.answer import passage_budget
from ragkit.answer.scale import TokenScale
from ragkit.answer.talk import NO_TALK, Talk
from ragkit.answer.window import fitted
from ragkit.ground import assemble
from ragkit.neighbours import with_neighbours
from ragkit.store.local.learned import read_learned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.config import Config
    from ragkit.protocols import ChatModel
    from ragkit.records import Context, Hit
    from ragkit.store.local.store import LocalStore


def passages_for(
    question: str,
    hits: Sequence[Hit],
    store: LocalStore,
    config: Config,
    model: ChatModel | None,
    talk: Talk = NO_TALK,
) -> tuple[Context, Talk]:
    """Fill a window with what was found.

    Args:
        question: As the user asked it.
        hits: Best first.
        store: Where they were found; what is known of the model's tokens lies there too.
        config: The window, and how many neighbours are taken in.
        model: Reads the passages; None where sentences are quoted from them.
        talk: The conversation, with all turns.

    Returns:
        The passages, and the conversation with the turns that fit beside them. Errors are those
        of `passage_budget`.
    """
    settings = config.answer
    hits = with_neighbours(hits, store, config.search.neighbours)
    if model is None:
        budget = passage_budget(question, settings, context_tokens=settings.num_ctx)
        return assemble(hits, budget_tokens=budget), talk
    window = model.context_tokens
    talk = replace(talk, scale=token_scale(store.path, model))
    talk = fitted(question, talk, settings, context_tokens=window)
    budget = passage_budget(question, settings, context_tokens=window, talk=talk)
    return assemble(hits, budget_tokens=budget, estimate=talk.scale.estimate), talk


def token_scale(index: Path, model: ChatModel) -> TokenScale:
    """What is known of a model's tokens where an index is used."""
    return TokenScale.from_json(read_learned(index).get(tokens_of(model)))


def tokens_of(model: ChatModel) -> str:
    """The name by which an index keeps what it has learned of a model's tokens."""
    return f"tokens:{model.digest}"
