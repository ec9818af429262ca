"""The libraries that compute the figures, and what is said where they are not installed."""

from __future__ import annotations

from importlib.util import find_spec

from ragkit.errors import ConfigError

LIBRARIES = ("ir_measures", "scipy", "matplotlib")


def need_extra() -> None:
    """Ask for the libraries of the extra ``evaluate``, without loading them.

    Raises:
        ConfigError: One is not installed.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        msg = (
            f"not installed: {', '.join(missing)}; "
            "evaluating needs the extra `evaluate`: pip install 'ragkit[evaluate]'"
        )
        raise ConfigError(msg)
