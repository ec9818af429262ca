"""``ragkit chat``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import (
    Explain,
    Extractive,
    IndexName,
    K,
    Kinds,
    Paths,
    SearchMode,
    Settings,
    configured,
    open_pipeline,
    restriction,
)
from ragkit.cli.values import ModelName, Options, Think, chat_name, model_options

if TYPE_CHECKING:
    from collections.abc import Sequence


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("chat")(chat)


def chat(
    index: IndexName = "",
    k: K = None,
    mode: SearchMode = None,
    model: ModelName = None,
    extractive: Extractive = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="With the model itself; no document is looked at.")
    ] = False,
    system: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="System text; with --plain in place of the model's own, else besides the rules.",
        ),
    ] = "",
    option: Options = [],  # noqa: B006 -- typer copies it
    think: Think = None,
    path: Paths = [],  # noqa: B006 -- typer copies it
    kind: Kinds = [],  # noqa: B006 -- typer copies it
    explain: Explain = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Talk about the documents of an index. `/help` lists what can be said besides.

    Questions may lean on those before them; every answer has its sources. Ctrl-C stops an answer,
    Ctrl-D ends the conversation; nothing of it is kept unless it is saved. Where standard input
    is no terminal, each of its lines is a turn. `--option` goes with `--plain` only.
    """
    named = "none" if extractive else model
    if plain:
        _talk_plainly(settings, named, system, option, think)
        return
    if option:
        msg = "only a conversation with the model itself takes it: add --plain, or use --set"
        raise typer.BadParameter(msg, param_hint="--option")
    from ragkit.cli.chat_index import IndexSession
    from ragkit.cli.chat_turns import talk

    config, _ = configured(settings, models__chat=named, search__mode=mode, answer__think=think)
    with open_pipeline(index, config) as rag:
        conversation = rag.chat(system=system, k=k, **restriction(path, kind))
        talk(IndexSession(rag, conversation, explain=explain))


def _talk_plainly(
    settings: Sequence[str],
    named: str | None,
    system: str,
    option: Sequence[str],
    think: bool | None,
) -> None:
    """Talk with the model itself."""
    from ragkit.cli.chat_session import Session
    from ragkit.cli.chat_turns import talk
    from ragkit.models.choose import ollama_client

    config, _ = configured(settings, models__chat=named)
    name, options = chat_name(config, named=bool(named)), model_options(option, "--option")
    with ollama_client(config.models) as client:
        talk(Session(client, name, config, system=system, options=options, think=think))
