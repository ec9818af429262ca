"""What `ragkit.store.check` finds, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["must", "should"]

INDEX_AGAIN = "make a new index under another name: `ragkit index FOLDER --index NAME`"
REBUILD = "`ragkit rebuild`"
NEXT_WRITE = "the next `ragkit index` removes it"


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which an index breaks an invariant.

    Args:
        invariant: Its name in docs/format.md.
        severity: ``must``: data is lost or wrong; ``should``: something derived is.
        detail: What is broken, and where.
        repair: What to do.
    """

    invariant: str
    severity: Severity
    detail: str
    repair: str
