"""``ragkit config``."""

from __future__ import annotations

import typer

from ragkit.cli.options import Json, Settings, configured
from ragkit.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("config")(config)


def config(
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Print each setting, its value, and where the value comes from."""
    from ragkit.config import settings as list_settings

    values, sources = configured(settings)
    rows = [(s, sources.get(s.name, "default")) for s in list_settings(values)]
    if json:
        print_json({s.name: {"value": s.value, "source": source} for s, source in rows})
        return
    for setting, source in rows:
        typer.echo(f"{setting.name:<28} {_shown(setting.value):<26} {source}")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if str(value) else "-"
