"""``ragkit serve``: the indexes over HTTP, for the clients that people have."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from ragkit.cli.mcp import need_mcp
from ragkit.cli.options import Chat, Settings, complete_index, configured
from ragkit.cli.output import say
from ragkit.errors import ConfigError
from ragkit.extras import install_command


def serve(
    index: Annotated[
        list[str],
        typer.Option(
            "--index",
            "-i",
            metavar="NAME|PATH",
            help="An index to serve; repeatable. None: all in the folder of indexes.",
            autocompletion=complete_index,
        ),
    ] = [],  # noqa: B006 -- typer copies it
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Serve on another address; it then needs a token."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Serve on another port than 11435.")
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A file with the token that requests must carry."),
    ] = None,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Serve clients of MCP as well, at /mcp.")
    ] = False,
    chat: Chat = None,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Serve indexes to clients of Ollama and OpenAI, and to browsers, until Ctrl-C.

    Each index is a model. Only this machine can ask, unless a token is set: by `--token-file`, or
    in the variable `RAGKIT_TOKEN`.
    """
    if not (find_spec("starlette") and find_spec("uvicorn")):
        msg = f"`ragkit serve` needs the extra `serve`; try: {install_command('serve')}"
        raise ConfigError(msg)
    if mcp:
        need_mcp()
    config, _ = configured(
        settings,
        serve__host=host,
        serve__port=port,
        serve__token_file=token_file,
        models__chat=chat,
    )
    from ragkit.serve.application import make_application
    from ragkit.serve.registry import IndexRegistry
    from ragkit.serve.server import address_of, bind, guard_rules, make_server, read_token
    from ragkit.serve.serving import Serving

    rules = guard_rules(config.serve, read_token(config.serve))
    indexes = IndexRegistry(config, index, threads=config.serve.max_asks + _OTHER_THREADS)
    serving = Serving(indexes, config.serve)
    bound = bind(config.serve)
    server = make_server(make_application(serving, rules, mcp=mcp), stop_s=config.serve.stop_s)
    names = ", ".join(indexes.names()) or "no index yet"
    say(f"ragkit serves {names} at {address_of(bound)}; Ctrl-C ends it")
    with bound:
        server.run(sockets=[bound])


_OTHER_THREADS = 8
"""For searches and lists, beside the questions that are being answered."""

COMMANDS = {"serve": serve}
