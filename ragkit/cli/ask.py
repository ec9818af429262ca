"""``ragkit ask``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import (
    AsOf,
    Chat,
    Explain,
    Extractive,
    IndexName,
    Json,
    K,
    Kinds,
    Paths,
    Question,
    SearchMode,
    Settings,
    configured,
    open_pipeline,
    restriction,
)
from ragkit.cli.output import print_answer, print_json, say
from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.query.answer import AnswerEvent
    from ragkit.records import Answer


def ask(
    question: Question,
    index: IndexName = "",
    k: K = None,
    mode: SearchMode = None,
    chat: Chat = None,
    extractive: Extractive = False,
    strict: Annotated[
        bool | None, typer.Option("--strict", help="Withhold what the passages do not support.")
    ] = None,
    path: Paths = [],  # noqa: B006 -- typer copies it
    kind: Kinds = [],  # noqa: B006 -- typer copies it
    as_of: AsOf = None,
    explain: Explain = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Answer a question from the documents, with citations, or say that they do not say."""
    from ragkit.records import to_json

    config, _ = configured(
        settings,
        search__mode=mode,
        models__chat="none" if extractive else chat,
        answer__strict=strict,
    )
    with open_pipeline(index, config) as rag:
        events = rag.stream(question, k=k, as_of=as_of, **restriction(path, kind))
        answer = _follow(events, show=not json)
    if json:
        print_json(to_json(answer))
    else:
        print_answer(answer, explain=explain)
        if answer.receipt.done_reason == "length":
            tokens = answer.receipt.reserve_tokens
            say(f"ragkit: the answer was cut at answer.reserve_tokens ({tokens})")


def _follow(events: Iterator[AnswerEvent], *, show: bool) -> Answer:
    """Print the text as it comes; returns the answer."""
    from ragkit.protocols import TextDelta
    from ragkit.records import Answer

    begun = False
    try:
        for event in events:
            if isinstance(event, Answer):
                return event
            if show and isinstance(event, TextDelta):
                typer.echo(event.text, nl=False)
                begun = True
    except (RagkitError, KeyboardInterrupt):
        if begun:
            typer.echo()  # what is said of it begins a line
        raise
    msg = "the stream ended without an answer"
    raise TypeError(msg)


COMMANDS = {"ask": ask}
