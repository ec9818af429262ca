"""``ragkit serve``: the indexes over HTTP, for the clients that people have."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.mcp import need_mcp
from ragkit.cli.options import Chat, ServedIndexes, Settings, configured
from ragkit.cli.output import say
from ragkit.errors import ConfigError
from ragkit.extras import install_command

if TYPE_CHECKING:
    from ragkit.records import IndexReport
    from ragkit.serve.index_watch import IndexWatch
    from ragkit.serve.registry import IndexRegistry


Host = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Serve on another address; it then needs a token."),
]
Port = Annotated[int | None, typer.Option(metavar="N", help="Serve on another port than 11435.")]
TokenFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="A file with the token that requests must carry."),
]
Mcp = Annotated[bool, typer.Option("--mcp", help="Serve clients of MCP as well, at /mcp.")]
AllowIndex = Annotated[
    bool,
    typer.Option(
        "--allow-index",
        help="Let clients send files, and add folders that lie below `serve.roots`.",
    ),
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Keep the indexes up to date with their folders meanwhile.")
]
PassThrough = Annotated[
    bool | None,
    typer.Option(
        "--pass-through",
        help="Show the models of the Ollama server beside the indexes, and pass on what is asked "
        "of them.",
    ),
]


def serve(
    index: ServedIndexes = [],  # noqa: B006 -- typer copies it
    host: Host = None,
    port: Port = None,
    token_file: TokenFile = None,
    mcp: Mcp = False,
    allow_index: AllowIndex = False,
    watch: Watch = False,
    pass_through: PassThrough = None,
    chat: Chat = None,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Serve indexes to clients of Ollama and OpenAI, and to browsers, until Ctrl-C.

    Each index is a model. Only this machine can ask, unless a token is set: by `--token-file`, or
    in the variable `RAGKIT_TOKEN`.
    """
    if not all(map(find_spec, ("starlette", "uvicorn", "httptools"))):
        msg = f"`ragkit serve` needs the extra `serve`; try: {install_command('serve')}"
        raise ConfigError(msg)
    if mcp:
        need_mcp()
    config, _ = configured(
        settings,
        serve__host=host,
        serve__port=port,
        serve__token_file=token_file,
        serve__pass_through=pass_through,
        models__chat=chat,
    )
    from ragkit.serve.application import make_application
    from ragkit.serve.registry import IndexRegistry
    from ragkit.serve.server import address_of, bind, guard_rules, make_server, read_token
    from ragkit.serve.serving import Serving

    rules = guard_rules(config.serve, read_token(config.serve))
    indexes = IndexRegistry(config, index, threads=config.serve.max_asks + _OTHER_THREADS)
    serving = Serving(indexes, config.serve, allow_index=allow_index)
    bound = bind(config.serve)
    app = make_application(serving, rules, _watch(indexes) if watch else None, mcp=mcp)
    server = make_server(app, stop_s=config.serve.stop_s, on_stop=serving.stop)
    names = ", ".join(indexes.names()) or "no index yet"
    say(f"ragkit serves {names} at {address_of(bound)}; Ctrl-C ends it")
    with bound:
        server.run(sockets=[bound])


def _watch(indexes: IndexRegistry) -> IndexWatch:
    """What keeps the indexes up to date, and tells what it does."""
    from ragkit.cli.watch import line_of
    from ragkit.serve.index_watch import IndexWatch

    def report(name: str, done: IndexReport) -> None:
        if any((done.added, done.changed, done.moved, done.removed, done.embedded)):
            say(f"{name}: {line_of(done)}")

    return IndexWatch(indexes, say, report)


_OTHER_THREADS = 8
"""For searches and lists, beside the questions that are being answered."""

COMMANDS = {"serve": serve}
