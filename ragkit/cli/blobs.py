"""``ragkit models blob``: the files that models are made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.layers import layers_shown
from ragkit.cli.options import Json, Settings, configured
from ragkit.cli.output import end_interrupted, print_json, say

if TYPE_CHECKING:
    from ragkit.models.ollama import Blob, OllamaClient

ABSENT = 1


def register(group: typer.Typer) -> None:
    """Add the group of this module."""
    blob = typer.Typer(
        name="blob",
        help="Check for, and upload, the files that models are made from.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    blob.command("check")(check)
    blob.command("upload")(upload_file)
    group.add_typer(blob)


def check(
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", help="sha256: and 64 hexadecimal digits.")
    ],
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Tell whether the server has a file. Exit code 1 if it has not."""
    from ragkit.models.choose import ollama_client

    config, _ = configured(settings)
    with ollama_client(config.models) as client:
        there = client.has_blob(digest)
    if json:
        print_json({"digest": digest, "there": there})
    else:
        typer.echo("there" if there else "not there")
    if not there:
        raise typer.Exit(ABSENT)


def upload_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The file.")
    ],
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Upload a file, unless the server has it, and print its digest."""
    from ragkit.models.choose import ollama_client

    config, _ = configured(settings)
    with ollama_client(config.models) as client:
        blob = upload(client, file)
    if not blob.uploaded:
        say("the server had it already")
    typer.echo(blob.digest)


def upload(client: OllamaClient, path: Path) -> Blob:
    """Upload a file with its progress shown on stderr.

    Raises:
        typer.Exit: Ctrl-C; the server keeps no part of a file.
    """
    from ragkit.models.ollama import Progress

    status = f"uploading {path.name}"
    try:
        with layers_shown() as show:
            return client.upload_blob(
                path, lambda sent, size: show(Progress(status, status, size, sent))
            )
    except KeyboardInterrupt:
        end_interrupted(f"{path.name} is not on the server")
