"""``ragkit ask``: a question answered from the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
    Where,
    configured,
    moment,
    nothing_to_find,
    open_pipeline,
    restriction,
)
from ragkit.cli.output import print_answer, print_json, say, say_waiting, skipped_in_short
from ragkit.cli.progress import shown_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.records import Answer, FileOutcome


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
    where: Where = [],  # noqa: B006 -- typer copies it
    as_of: AsOf = None,
    explain: Explain = False,
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Answer a question from the documents, with citations, or say that they do not say."""
    from ragkit.cli.stream import print_answer_stream
    from ragkit.protocols import ThinkingDelta

    config, _ = configured(
        settings,
        search__mode=mode,
        models__chat="none" if extractive else chat,
        answer__strict=strict,
    )
    with open_pipeline(index, config) as rag:
        events = rag.stream(question, k=k, as_of=moment(as_of), **restriction(path, kind, where))
        # Reasoning is not shown: the spinner stays until the answer itself begins.
        shown = shown_until(
            events, "Searching and reading …", lambda event: not isinstance(event, ThinkingDelta)
        )
        answer = print_answer_stream(shown, show=not json, reasoning=False)
        stats = rag.stats() if answer.receipt.waiting else None
        unmet = () if answer.receipt.found else where
        reason = nothing_to_find(rag, path, kind, unmet) if answer.refused else ""
        unread = unread_files(rag.store.runs()) if answer.refused and not json else []
    if chat not in {None, "", "none"} and answer.closest and not extractive:
        say(f"({chat} was not asked: no server answers at {config.models.ollama_host})")
    if json:
        print_json(answer)
    else:
        _print_whole(answer, explain=explain)
    if reason:
        say(f"({reason})")
    if unread:
        kinds = skipped_in_short(unread)
        say(f"(not read in these folders: {kinds}; `ragkit index --files` names them)")
    if stats is not None:
        say_waiting(stats)


def _print_whole(answer: Answer, *, explain: bool) -> None:
    """Print what stands below an answer's text, and whether that was cut."""
    print_answer(answer, explain=explain)
    if answer.receipt.done_reason == "length":
        tokens = answer.receipt.reserve_tokens
        say(f"ragkit: the answer was cut at answer.reserve_tokens ({tokens})")


def unread_files(runs: Sequence[Mapping[str, Any]]) -> list[FileOutcome]:
    """The files that no reader could read, as the newest run that met files tells."""
    from ragkit.records import FileOutcome

    for run in runs:
        if found := (run["report"] or {}).get("skipped"):
            outcomes = [FileOutcome(**outcome) for outcome in found]
            return [outcome for outcome in outcomes if outcome.reason.startswith("no reader")]
    return []


COMMANDS = {"ask": ask}
