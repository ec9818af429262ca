"""Reads the replies of /api/show, which name a model's limits after its architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def context_tokens(shown: Mapping[str, Any]) -> int | None:
    """The window in tokens that a model was trained for; None where the server does not say."""
    info = shown.get("model_info") or {}
    exact = info.get(f"{info.get('general.architecture')}.context_length")
    named = [value for key, value in info.items() if key.endswith(".context_length")]
    return next((v for v in (exact, *named) if isinstance(v, int) and v > 0), None)


def parameter(shown: Mapping[str, Any], name: str) -> int | None:
    """A whole-number parameter of the model's own file, such as ``num_ctx``; None without one."""
    for line in str(shown.get("parameters") or "").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return None
