"""Regular expressions that are compiled by their first use.

A command loads some 300 patterns and uses a third of them. To compile them all took a tenth of the
time of a cold `ask`.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, Generic, cast

_METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "subn", "split")


class _Late(Generic[AnyStr]):
    """Stands for a pattern. The methods of the compiled one become its own attributes."""

    def __init__(self, pattern: AnyStr, flags: int) -> None:
        self.pattern: AnyStr = pattern
        self.flags = flags

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- any method of a pattern
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self.pattern, self.flags)
        vars(self).update({method: getattr(compiled, method) for method in _METHODS})
        return getattr(compiled, name)


def late_pattern(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Give what searches, matches, splits and replaces as `re.compile(pattern, flags)` does.

    A mistake in the pattern is told by its first use.
    """
    return cast("re.Pattern[AnyStr]", _Late(pattern, flags))
