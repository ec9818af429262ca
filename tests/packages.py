"""Packages that are not installed everywhere."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def need(package: str, reason: str) -> None:
    """Skip the test where a package is not installed; it is not imported here.

    ragkit imports the engines so that their threads wait without spinning. An engine that was
    imported before spins, and beside other tests a small model is then five times as slow.
    """
    if find_spec(package) is None:
        pytest.skip(reason)
