"""Any order of edits, runs, kills and readers: the index is what a dict says, and NumPy agrees."""

from __future__ import annotations

import sys

import pytest
from hypothesis import Phase, settings

if sys.platform == "win32":
    pytest.skip("needs fork and SIGKILL", allow_module_level=True)

from store_machine import StoreMachine

TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=8, stateful_step_count=14, phases=[Phase.explicit, Phase.generate]
)
