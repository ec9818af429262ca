"""What the extras of ragkit need, and the command that installs it."""

from __future__ import annotations

import shlex
from functools import cache

DISTRIBUTION = "ragkit-grounded"


@cache
def install_command(extra: str) -> str:
    """The command that installs what an extra needs on this platform.

    It names the packages and not ragkit, whose place is known to whoever installed it.

    Args:
        extra: As ragkit's own metadata name it, e.g. ``embedded``.
    """
    from importlib.metadata import PackageNotFoundError, requires  # 20 ms, seldom needed

    from packaging.requirements import Requirement

    try:
        lines = requires(DISTRIBUTION) or ()
    except PackageNotFoundError:  # run from its folder, without an installation
        return f"pip install '.[{extra}]' in ragkit's own folder"
    needed = []
    for line in lines:
        requirement = Requirement(line)
        marker, requirement.marker = requirement.marker, None
        if marker and "extra" in str(marker) and marker.evaluate({"extra": extra}):
            needed.append(str(requirement))
    return f"pip install {shlex.join(needed)}"


def has_foreign_namesake() -> bool:
    """Whether the other project that is called ``ragkit`` is installed beside this one."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution("ragkit")
    except PackageNotFoundError:
        return False
    return True
