"""Settings that a folder's own ``ragkit.toml`` may make only after a person has said so.

They decide where text goes or what is run, and a folder may come from anybody.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from ragkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GUARDED = (
    "models.ollama_host",
    "models.openai_url",
    "models.allow_remote",
    "load.libreoffice",
    "load.password_file",
    "serve.host",
    "serve.token_file",
    "serve.hosts",
    "serve.origins",
)
_MAY_NAME_A_FILE = ("models.chat", "models.embedder")
_FILE_SIGNS = ("gguf:", "/", "\\", ".", "~")


def guarded(values: Mapping[str, Any]) -> list[str]:
    """The names among some settings that need trust, in their order."""
    return [
        name
        for name, value in values.items()
        if name in GUARDED or (name in _MAY_NAME_A_FILE and _names_a_file(str(value)))
    ]


def is_trusted(file: Path, content: bytes, home: Path) -> bool:
    """Whether somebody trusted a ``ragkit.toml`` as it is now.

    Args:
        file: Where it lies.
        content: What it holds.
        home: The user's own folder of settings.
    """
    return _trusted(home).get(_key(file)) == _digest(content)


def set_trust(file: Path, home: Path, *, trusted: bool) -> None:
    """Remember that a ``ragkit.toml`` is trusted as it is now, or no longer.

    Raises:
        ConfigError: The record cannot be read or written.
    """
    files = _trusted(home)
    files.pop(_key(file), None)
    if trusted:
        files[_key(file)] = _digest(file.read_bytes())
    record = _record(home)
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        new = record.with_suffix(".new")
        new.write_text(json.dumps(files, indent=2, ensure_ascii=False) + "\n", "utf-8")
        new.chmod(0o600)
        new.replace(record)
    except OSError as exc:
        msg = f"{record} cannot be written: {exc.strerror}; make its folder writable"
        raise ConfigError(msg) from exc


def _names_a_file(model: str) -> bool:
    return model.startswith(_FILE_SIGNS) or model[1:2] == ":" or model.lower().endswith(".gguf")


def _trusted(home: Path) -> dict[str, str]:
    record = _record(home)
    try:
        files = json.loads(record.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        msg = f"{record} cannot be read: {exc}; mend or delete it, then trust the folders again"
        raise ConfigError(msg) from exc
    if not isinstance(files, dict):
        msg = f"{record} holds no table of files; delete it, then trust the folders again"
        raise ConfigError(msg)
    return files


def _record(home: Path) -> Path:
    return home / "trusted.json"


def _key(file: Path) -> str:
    return os.path.realpath(file)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
