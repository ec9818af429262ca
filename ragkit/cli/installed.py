"""Which of a server's models a name means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ragkit.models.ollama import InstalledModel


def find_installed(models: Iterable[InstalledModel], name: str) -> InstalledModel | None:
    """The installed model that a name means, as the server compares names; None for none."""
    from ragkit.models.ollama import normalise_name

    wanted = normalise_name(name).casefold()
    return next((model for model in models if model.name.casefold() == wanted), None)
