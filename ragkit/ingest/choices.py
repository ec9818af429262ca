"""Which files of an index's folders count: what was chosen for it by hand, and is kept with it."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ragkit.ingest.load.document import document_path
from ragkit.ingest.load.ignore import Rules, ignored_by, make_rules
from ragkit.ingest.load.members import MARK, container_of
from ragkit.records import NO_RULES, SourceRules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set


class Choices(NamedTuple):
    """What was chosen for an index by hand, kept with it; all paths in NFC (`document_path`).

    Attributes:
        rules: Which files of a source count, by its absolute path.
        removed: Files and folders, absolute, that were taken out and stay out.
        accepted: Files, absolute, that are known to be unreadable.
    """

    rules: Mapping[str, SourceRules] = NO_RULES
    removed: Set[str] = frozenset()
    accepted: Set[str] = frozenset()

    def left_out(self, location: str, *, is_file: bool = False) -> str:
        """Why a file is not to be indexed; "" if it is.

        What ``exclude`` names is left out within files too; ``include`` names files alone.

        Args:
            location: Of the file, or of one within a file.
            is_file: It lies within none, whatever its folders are called (``v1.0!/a.txt``).
        """
        if not (self.rules or self.removed):
            return ""
        location = document_path(location)
        above, within = list(upwards(location)), None if is_file else container_of(location)
        if not self.removed.isdisjoint(above):
            return "removed by hand"
        for source in above[1:]:
            rules = self.rules.get(source, _ALL)
            if location.startswith(source + MARK):  # rules are of folders
                continue
            relative = location.removeprefix(source).lstrip("/")
            file = within[0].removeprefix(source).lstrip("/") if within else relative
            if rules.exclude and ignored_by((_made(rules.exclude),), relative):
                return "left out by --exclude"
            if rules.include and not ignored_by((_made(rules.include),), file):
                return "not among the included"
        return ""

    def within(self, location: str) -> str:
        """A hash, 16 hex digits, of what decides which files within a file are left out."""
        location = document_path(location)
        excluded = [self.rules[above].exclude for above in upwards(location) if above in self.rules]
        removed = sorted(place for place in self.removed if place.startswith(location + MARK))
        return hashlib.sha256(json.dumps([excluded, removed]).encode()).hexdigest()[:16]


_ALL = SourceRules()
NO_CHOICES = Choices()


@cache
def _made(globs: tuple[str, ...]) -> Rules:
    return make_rules(globs, source="a rule of the folder")


def upwards(location: str) -> Iterator[str]:
    """A location and the files and folders above it, innermost first."""
    while location:
        yield location
        if location.endswith(MARK[0]) and container_of(f"{location}/.") is not None:
            location = location.removesuffix(MARK[0])
        else:
            location = location.rpartition("/")[0]
