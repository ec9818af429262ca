"""Counts wrong tokens by address, so that nobody tries many."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_WRONG = 10
WINDOW_S = 60.0
_MOST_ADDRESSES = 1000


class TokenGuesses:
    """Remembers how often each address gave a wrong token of late.

    Args:
        clock: Tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._now = clock
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """For how many seconds no token of an address is looked at; 0: it is."""
        since, count = self._wrong.get(address, (0.0, 0))
        left = since + WINDOW_S - self._now()
        if left <= 0:
            self._wrong.pop(address, None)
            return 0
        return max(1, round(left)) if count >= MOST_WRONG else 0

    def note(self, address: str) -> None:
        """An address gave a wrong token."""
        since, count = self._wrong.get(address, (self._now(), 0))
        self._wrong[address] = since, count + 1
        while len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)
