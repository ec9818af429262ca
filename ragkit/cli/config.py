"""``ragkit config`` and ``ragkit trust``: which settings hold, and which of a folder's may."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.options import Json, Settings, configured
from ragkit.cli.output import print_json, say
from ragkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

# What people set before anything else.
FIRST = ("indexes", "models.embedder", "models.chat", "models.ollama_host", "answer.num_ctx")


Word = Annotated[
    str,
    typer.Argument(
        metavar="[WORD]",
        help="Only settings whose name or description has it; what each does is told, too.",
    ),
]


def config(
    word: Word = "",
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Print each setting, its value, and where the value comes from."""
    from ragkit.config import FILE_NAME, config_home
    from ragkit.config import settings as list_settings

    values, sources = configured(settings)
    rows = sorted(list_settings(values), key=lambda s: (s.name not in FIRST, _place(s.name)))
    rows = [s for s in rows if word.lower() in f"{s.name} {s.help}".lower()]
    if not rows:
        msg = f"no setting has {word!r} in its name or description; `ragkit config` lists all"
        raise ConfigError(msg)
    shown = [(s.name, _masked(s.value), sources.get(s.name, "default")) for s in rows]
    if json:
        print_json({name: {"value": value, "source": source} for name, value, source in shown})
        return
    told = {s.name: f"{s.help} {s.env}" for s in rows if word}
    for name, value, source in shown:
        typer.echo(f"{name:<28} {_as_text(value):<26} {source}")
        if told:
            typer.echo(f"    {told[name]}")
        elif name == FIRST[-1]:
            typer.echo()
    if not word:
        typer.echo("\nWhat some do: `ragkit config WORD`, e.g. `ragkit config search`.")
    typer.echo(
        f"{chr(10) if word else ''}Write settings into {config_home() / FILE_NAME}, or into "
        f"{FILE_NAME} in the folder you work in."
    )
    for name in sorted(_unknown_variables()):
        say(f"ragkit: there is no setting for {name}; it does nothing")


def trust(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="The folder that holds ragkit.toml.")
    ] = Path(),
    undo: Annotated[bool, typer.Option("--undo", help="Trust the file no longer.")] = False,
) -> None:
    """Trust a folder's ragkit.toml: take its settings on where text goes and what is run, too.

    Without trust these are passed over, since a folder may come from anybody. A file that changes
    must be trusted again.
    """
    from ragkit.config import FILE_NAME, Config, config_home, read_settings
    from ragkit.config.trust import guarded, set_trust

    file = folder.absolute() / FILE_NAME
    if undo:
        set_trust(file, config_home(), trusted=False)
        typer.echo(f"{file.resolve()} is not trusted")
        return
    if not file.is_file():
        msg = f"{folder.resolve()} has no {FILE_NAME}"
        raise ConfigError(msg)
    values = read_settings(file)
    names = guarded(values)
    Config().with_values(values, str(file))  # a file with a mistake is no file to trust
    set_trust(file, config_home(), trusted=True)
    for name in names:
        typer.echo(f"{name} = {_as_text(_masked(values[name]))}")
    typer.echo(f"{file.resolve()} is trusted as it is now")


def _place(name: str) -> int:
    """Where a setting stands among the first; the others keep their order."""
    return FIRST.index(name) if name in FIRST else 0


def _unknown_variables(environ: Iterable[str] = os.environ) -> set[str]:
    from ragkit.config import Config
    from ragkit.config import settings as list_settings

    known = {setting.env for setting in list_settings(Config())}
    return {name for name in environ if name.startswith("RAGKIT_")} - known


def _masked(value: Any) -> Any:  # noqa: ANN401 -- of any setting
    """An address without its password."""
    return (
        re.sub(r"(?<=//)[^/\s,]*@|^[^/\s,]*:[^/\s,]*@", "***@", value)
        if isinstance(value, str)
        else value
    )


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if str(value) else "-"


COMMANDS = {"config": config, "trust": trust}
