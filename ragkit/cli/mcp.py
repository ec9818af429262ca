"""``ragkit mcp``: the indexes to a client of the Model Context Protocol that starts ragkit."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from ragkit.cli.options import Chat, ServedIndexes, Settings, configured
from ragkit.cli.output import INTERRUPTED, say
from ragkit.errors import ConfigError
from ragkit.extras import install_command


def mcp(
    index: ServedIndexes = [],  # noqa: B006 -- typer copies it
    allow_index: Annotated[
        bool,
        typer.Option(
            "--allow-index",
            help="Let clients bring indexes up to date, and add folders below serve.roots.",
        ),
    ] = False,
    chat: Chat = None,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Serve indexes to a client of MCP, such as an assistant or an editor, over stdin and stdout.

    Its tools search, ask, read, list and verify; with --allow-index another one indexes.

    The client starts this command and ends it. `ragkit serve --mcp` serves clients that ask an
    address instead.
    """
    need_mcp()
    config, _ = configured(settings, models__chat=chat)
    import asyncio

    from ragkit.serve.mcp_server import serve_stdio
    from ragkit.serve.registry import IndexRegistry
    from ragkit.serve.serving import Serving

    indexes = IndexRegistry(config, index)
    if sys.stdin.isatty():
        say("ragkit waits for a client of MCP on stdin; docs/mcp.md says how one starts ragkit")
    asyncio.run(serve_stdio(Serving(indexes, config.serve, allow_index=allow_index), _end))


def _end() -> None:
    """End at once after Ctrl-C; what was indexed is committed."""
    say("ragkit: interrupted")
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def need_mcp() -> None:
    """Check that the SDK of MCP is installed.

    Raises:
        ConfigError: It is not.
    """
    if not find_spec("mcp"):
        msg = f"MCP needs the extra `mcp`; try: {install_command('mcp')}"
        raise ConfigError(msg)


COMMANDS = {"mcp": mcp}
