"""``ragkit models pull``, ``push``, ``create``, ``copy``, ``delete`` and ``blob``: what changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.confirm import confirm_deletion
from ragkit.cli.models.model_options import ServerModel, model_options, ollama_server
from ragkit.cli.options import Json, Settings
from ragkit.cli.output import end_interrupted, print_json, say, size_text
from ragkit.cli.progress import download_progress, follow_download
from ragkit.errors import ConfigError

if TYPE_CHECKING:
    from ragkit.models.ollama import Blob, OllamaClient

ABSENT = 1
_WEIGHTS = ("*.safetensors", "*.gguf")
_PARTS = (*_WEIGHTS, "**/*.json", "**/tokenizer.model")
_KEPT = "what was fetched is kept, and the same command goes on from there"
Insecure = Annotated[bool, typer.Option("--insecure", help="Speak plain http to the registry.")]
Files = Annotated[
    list[Path],
    typer.Option(
        "--file",
        metavar="PATH",
        help="In place of --from: a file of weights, or a folder of them as from Hugging Face; "
        "repeatable.",
        exists=True,
    ),
]
Adapters = Annotated[
    list[Path],
    typer.Option(
        "--adapter", metavar="FILE", help="A LoRA adapter; repeatable.", exists=True, dir_okay=False
    ),
]


def pull(
    name: ServerModel,
    insecure: Insecure = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Fetch a model from its registry.

    After an interruption the same command goes on where it was.
    """
    from ragkit.models.ollama import OllamaAdmin

    with ollama_server(settings) as client:
        follow_download(OllamaAdmin(client).pull(name, insecure=insecure), kept=_KEPT)


def push(
    name: ServerModel,
    insecure: Insecure = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Publish a model to the registry in its name.

    It needs an account there, whose key the server has.
    """
    from ragkit.models.ollama import OllamaAdmin

    with ollama_server(settings) as client:
        events = OllamaAdmin(client).push(name, insecure=insecure)
        follow_download(events, kept="the same command goes on")


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new model.")],
    base: Annotated[
        str, typer.Option("--from", metavar="MODEL", help="The model to start from.")
    ] = "",
    file: Files = [],  # noqa: B006 -- typer copies it
    adapter: Adapters = [],  # noqa: B006 -- typer copies it
    system: Annotated[str, typer.Option(metavar="TEXT", help="Its system text.")] = "",
    template: Annotated[str, typer.Option(metavar="TEXT", help="Its prompt template.")] = "",
    param: Annotated[
        list[str],
        typer.Option(metavar="NAME=VALUE", help="An option that it comes with; repeatable."),
    ] = [],  # noqa: B006 -- typer copies it
    quantize: Annotated[
        str, typer.Option(metavar="TYPE", help="q8_0, q4_K_M or q4_K_S, from F16 or F32 weights.")
    ] = "",
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Make a model from another one, or from files.

    It gets a system text, a template and options of its own.
    """
    from ragkit.models.ollama import CreateCall, OllamaAdmin

    if bool(base) == bool(file):
        msg = "a model is made --from another one or from each --file: give one of the two"
        raise ConfigError(msg)
    parameters = model_options(param, "--param")
    with ollama_server(settings) as client:
        call = CreateCall(
            name,
            base,
            files=_uploaded(client, file),
            adapters=_uploaded(client, adapter),
            system=system,
            template=template,
            parameters=parameters,
            quantize=quantize,
        )
        follow_download(OllamaAdmin(client).create(call), kept="no model was made")


def _uploaded(client: OllamaClient, paths: list[Path]) -> dict[str, str]:
    """Upload files, and those of folders; returns the digest of each by its name."""
    named = _named_files(paths)
    return {name: _upload(client, path).digest for name, path in named.items()}


def _named_files(paths: list[Path]) -> dict[str, Path]:
    """The files that a model is made from, by the names that the server is to know them by.

    The names keep the files' places to one another, since some refer to others: modules.json of
    a sentence-transformers folder to 1_Pooling/config.json.

    Raises:
        ConfigError: A folder holds no weights.
    """
    files = [file for path in paths for file in _files_of(path)]
    if not files:
        return {}
    tops = [path if path.is_dir() else path.parent for path in paths]
    try:
        # Not resolved: what a link leads to may lie elsewhere under another name.
        top = os.path.commonpath([os.path.abspath(folder) for folder in tops])  # noqa: PTH100
    except ValueError as exc:
        msg = "the files lie on several drives; give those of one folder"
        raise ConfigError(msg) from exc
    return {Path(os.path.relpath(file, top)).as_posix(): file for file in files}


def _files_of(path: Path) -> list[Path]:
    """A file; of a folder what weights are converted from, as the server's own client takes it."""
    if not path.is_dir():
        return [path]
    found = [sorted(path.glob(pattern)) for pattern in _PARTS]
    if not any(found[: len(_WEIGHTS)]):
        msg = f"{path}: no weights in this folder ({', '.join(_WEIGHTS)})"
        raise ConfigError(msg)
    files = [file for files in found for file in files]
    inside = [file.relative_to(path).parts for file in files]
    return [
        file
        for file, parts in zip(files, inside, strict=True)
        if file.is_file() and not any(part.startswith(".") for part in parts)
    ]


def copy(
    source: Annotated[str, typer.Argument(metavar="NAME", help="An installed model.")],
    destination: Annotated[str, typer.Argument(metavar="NEW-NAME", help="Its second name.")],
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Give a model a second name. Its weights are not stored twice."""
    from ragkit.models.ollama import OllamaAdmin

    with ollama_server(settings) as client:
        OllamaAdmin(client).copy(source, destination)
    say(f"Copied {source} to {destination}")


def delete(
    name: ServerModel,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Delete a model from the server, after asking."""
    from ragkit.models.ollama import OllamaAdmin

    with ollama_server(settings) as client:
        if not yes:
            confirm_deletion(f"Delete {_described(client, name)}?")
        OllamaAdmin(client).delete(name)
    say(f"{name} was deleted from {client.address}")


def _described(client: OllamaClient, name: str) -> str:
    """The model that a name means, with its size if the server's list has it.

    Raises:
        ModelNotFoundError: It is not installed.
    """
    client.show(name)
    model = client.find_installed(name)
    size = f" ({size_text(model.size_bytes)})" if model else ""
    return f"{name}{size} from {client.address}"


def check_blob(
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", help="sha256: and 64 hexadecimal digits.")
    ],
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Tell whether the server has a file. Exit code 1 if it has not."""
    from ragkit.models.ollama import OllamaAdmin

    with ollama_server(settings) as client:
        there = OllamaAdmin(client).has_blob(digest)
    if json:
        print_json({"digest": digest, "there": there})
    else:
        typer.echo("there" if there else "not there")
    if not there:
        raise typer.Exit(ABSENT)


def upload_blob(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The file.")
    ],
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Upload a file, unless the server has it, and print its digest."""
    with ollama_server(settings) as client:
        blob = _upload(client, file)
    if not blob.uploaded:
        say("the server had it already")
    typer.echo(blob.digest)


def _upload(client: OllamaClient, path: Path) -> Blob:
    """Upload a file with its progress shown on stderr.

    Raises:
        typer.Exit: Ctrl-C; the server keeps no part of a file.
    """
    from ragkit.models.ollama import ModelProgress, OllamaAdmin

    status = f"uploading {path.name}"
    try:
        with download_progress() as show:
            return OllamaAdmin(client).upload_blob(
                path, lambda sent, size: show(ModelProgress(status, status, size, sent))
            )
    except KeyboardInterrupt:
        end_interrupted(f"{path.name} is not on the server")


def add_to(group: typer.Typer) -> None:
    """Add the commands that change which models there are."""
    group.command()(pull)
    group.command()(push)
    group.command()(create)
    group.command()(copy)
    group.command()(delete)


def blob_group() -> typer.Typer:
    """Make the group ``models blob``."""
    blob = typer.Typer(
        name="blob",
        help="Check for, and upload, the files that models are made from.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    blob.command("check")(check_blob)
    blob.command("upload")(upload_blob)
    return blob
