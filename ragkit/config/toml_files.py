"""Where settings are read from: TOML files, the environment, options.

The order of precedence, weakest first: the defaults, the user's ``~/.config/ragkit/ragkit.toml``,
``ragkit.toml`` in the working folder (see `ragkit.config.trust` for what is taken from it),
environment variables (``RAGKIT_SECTION_NAME``; also ``RAGKIT_INDEXES`` and Ollama's own
``OLLAMA_HOST``), options.
"""

from __future__ import annotations

import logging
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.config.schema import Config, settings
from ragkit.config.trust import guarded, is_trusted
from ragkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "ragkit.toml"
_PLACE = re.compile(r"\(at (?:line (?P<line>\d+), column \d+|end of document)\)")

_log = logging.getLogger(__name__)


def load_config(
    options: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Config, dict[str, str]]:
    """Read the configuration that holds here.

    Args:
        options: Dotted names set on the command line; they win.
        folder: Where ``ragkit.toml`` is looked for; the working folder by default.
        environ: Environment variables; the process's own by default.

    Returns:
        The configuration, and for each dotted name that is not a default where it was set.

    Raises:
        ConfigError: A file cannot be parsed, a setting is unknown, or a value does not fit.
    """
    env = os.environ if environ is None else environ
    config, sources = Config(), {}
    home = config_home(env)
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if (own := home / FILE_NAME).is_file():
        layers.append((str(own), read_settings(own)))
    if (local := (folder or Path()).absolute() / FILE_NAME).is_file():
        layers.append((str(local), _taken(local, home)))
    if env.get("OLLAMA_HOST"):
        layers.append(("environment OLLAMA_HOST", {"models.ollama_host": env["OLLAMA_HOST"]}))
    layers += [
        (f"environment {s.env}", {s.name: env[s.env]}) for s in settings(config) if s.env in env
    ]
    layers.append(("option", options or {}))
    for source, values in layers:
        config = config.with_values(values, source)
        sources.update(dict.fromkeys(values, source))
    return config, sources


def config_home(environ: Mapping[str, str] | None = None) -> Path:
    """The user's own folder of settings."""
    env = os.environ if environ is None else environ
    return Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ragkit"


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a TOML file by their dotted names.

    Raises:
        ConfigError: It cannot be read or parsed.
    """
    return _parse(_read(path), path)


def _taken(path: Path, home: Path) -> dict[str, Any]:
    """The settings of a folder's own file, without those that need trust which it has not."""
    content = _read(path)  # once: what is judged is what is taken
    values = _parse(content, path)
    if (names := guarded(values)) and not is_trusted(path, content, home):
        _log.warning(
            "%s: passed over: %s (a folder's file must be trusted first: `ragkit trust %s`)",
            path, ", ".join(names), path.parent,
        )  # fmt: skip
        for name in names:
            del values[name]
    return values


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        msg = f"{path} cannot be read: {exc.strerror}"
        raise ConfigError(msg) from exc


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        msg = f"{path}, line {line}: this is not UTF-8: save the file as UTF-8"
        raise ConfigError(msg) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(_not_toml(str(exc), content, path)) from exc
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _not_toml(said: str, content: bytes, path: Path) -> str:
    """Say where a file is no TOML, and what to do."""
    found = _PLACE.search(said)
    reason = said[: found.start()].strip() if found else said
    line = int(found["line"]) if found and found["line"] else content.rstrip().count(b"\n") + 1
    return (
        f"{path}, line {line}: {reason}. Mend that line (a text stands in quotation marks, as in "
        'chat = "llama3.2"), or rename the file to go on without it'
    )
