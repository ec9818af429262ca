"""What ``ragkit doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``todo`` says what to do, where there is something."""

    what: str
    state: Literal["ok", "note", "problem"]
    detail: str
    todo: str = ""
