"""Which commits one sees of an index on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class View:
    """The numbers of the commits that one sees: those up to ``moment``, but for ``without``.

    Several writers are each given the number of their next commit, and commit in any order; so a
    number may be passed over that is seen later, or never.

    >>> view = View(6, frozenset({5}))
    >>> [number for number in range(4, 8) if view.has(number)]
    [4, 6]
    """

    moment: int
    without: frozenset[int] = frozenset()

    @staticmethod
    def up_to(moment: int, but: Iterable[int] = ()) -> View:
        """The commits up to a number, but for some, of which those above it do not matter."""
        return View(moment, frozenset(number for number in but if number <= moment))

    def has(self, number: int | None) -> bool:
        """Whether the commit of a number is seen; None: there is none."""
        return number is not None and number <= self.moment and number not in self.without

    def shows(self, born: int, died: int | None) -> bool:
        """Whether something lives that was born in a commit, and died in another."""
        return self.has(born) and not self.has(died)

    def query(self, name: str) -> dict[str, Any]:
        """The rows that a commit which is seen brought, by a field with the number of a commit."""
        found: dict[str, Any] = {"filter": [{"range": {name: {"lte": self.moment}}}]}
        if self.without:
            found["must_not"] = [{"terms": {name: sorted(self.without)}}]
        return {"bool": found}
