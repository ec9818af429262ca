"""Names that a package loads when they are first asked for (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def load_name(package: str, name: str, homes: Iterable[str]) -> Any:  # noqa: ANN401 -- any name
    """Load a name from the first of a package's modules that has it; the package keeps it.

    Args:
        package: Its full name.
        name: What was asked for.
        homes: The modules, named within the package, in the order in which they are loaded.

    Raises:
        AttributeError: None has it.
    """
    for home in homes:
        module = import_module(f"{package}.{home}")
        if name in vars(module):
            value = vars(module)[name]
            setattr(sys.modules[package], name, value)
            return value
    msg = f"module {package!r} has no attribute {name!r}"
    raise AttributeError(msg)
