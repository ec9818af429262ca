"""Which paths are left out: the rules of ignore files and of the settings."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".ragkitignore")  # of one folder, the later decides

_MOST_BYTES = 1_000_000  # an ignore file beyond this is none
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """Patterns and the folder they are told from.

    ``base`` is relative to the root and ends with ``/``, or is empty; ``source`` names them
    in reasons.
    """

    base: str
    source: str
    spec: GitIgnoreSpec

    def decide(self, path: str) -> bool | None:
        """Tell whether a path is ignored (True), taken back by ``!`` (False) or not named.

        Args:
            path: Relative to the root; a folder's ends with ``/``.
        """
        return self.spec.check_file(path[len(self.base) :]).include


def make_rules(lines: Iterable[str], *, base: str = "", source: str) -> Rules:
    """Compile patterns in gitignore syntax; one that means nothing is passed over, as git does."""
    from pathspec import GitIgnoreSpec  # 50 ms: only where there are patterns

    patterns = []
    for line in lines:
        # pathspec lets `x/**` match the folder `x/` itself, which would hide `!x/keep`.
        text = f"{line.rstrip()}/*" if line.rstrip().endswith("/**") else line
        try:
            patterns += list(GitIgnoreSpec.from_lines([text]).patterns)
        except ValueError as exc:
            _log.warning("%s: %s", source, exc)
    return Rules(base, source, GitIgnoreSpec(patterns))


def read_ignore_file(folder: str, name: str, base: str) -> Rules | None:
    """Read one ignore file; None where it is no regular file or cannot be read."""
    path = os.path.join(folder, name)  # noqa: PTH118 -- called for every folder of a walk
    try:
        info = os.lstat(path)
        if not stat.S_ISREG(info.st_mode) or info.st_size > _MOST_BYTES:
            _log.warning("%s is no plain file of up to 1 MB: its rules do not hold", path)
            return None
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:  # noqa: PTH123 -- as above
            return make_rules(file.read().splitlines(), base=base, source=base + name)
    except OSError as exc:
        _log.warning("%s cannot be read: %s", path, exc)
        return None


def ignored_by(rules: tuple[Rules, ...], path: str) -> str | None:
    """Name the source that leaves a path out, or None. The last rules that name it decide."""
    for one in reversed(rules):
        decision = one.decide(path)
        if decision is not None:
            return one.source if decision else None
    return None
