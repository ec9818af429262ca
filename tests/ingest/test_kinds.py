"""The list of tests by kind of fault names tests that are there, two or more of each kind."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_each_kind_of_fault_has_two_tests_or_more() -> None:
    rows = [row for row in (HERE / "KINDS.md").read_text("utf-8").split("\n") if "::" in row]
    assert len(rows) >= 11
    for row in rows:
        named = re.findall(r"`([\w./]+)::(\w+)`", row)
        assert len(named) >= 2, row
        for file, test in named:
            assert f"\ndef {test}(" in (HERE / file).read_text("utf-8"), (file, test)
