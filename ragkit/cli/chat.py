"""``ragkit chat``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ragkit.cli.options import Settings, configured
from ragkit.cli.values import ModelName, Options, System, Think, chat_name, typed_values


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("chat")(chat)


def chat(
    plain: Annotated[
        bool, typer.Option("--plain", help="With the model itself; no document is looked at.")
    ] = False,
    model: ModelName = None,
    system: System = "",
    option: Options = [],  # noqa: B006 -- typer copies it
    think: Think = None,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Talk with a chat model. `/help` lists what can be said besides.

    Ctrl-C stops an answer, Ctrl-D ends the conversation; nothing of it is kept. Where standard
    input is no terminal, each of its lines is a turn.
    """
    if not plain:
        msg = "in this version a conversation is with the model itself: `ragkit chat --plain`"
        raise typer.BadParameter(msg, param_hint="--plain")
    from ragkit.backends import ollama_client
    from ragkit.cli.chat_session import Session, converse, read_turns

    config, _ = configured(settings, models__chat=model)
    name, options = chat_name(config), typed_values(option, "--option")
    with ollama_client(config.models) as client:
        session = Session(client, name, config, system=system, options=options, think=think)
        if sys.stdin.isatty():
            converse(session)
        else:
            read_turns(session)
