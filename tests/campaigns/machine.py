"""The state machine of tests/store_machine.py, long: any order of runs, kills and readers.

    python tests/campaigns/machine.py --count 300 --seed 1 [--limit-s 3600]

A point is an example of up to 40 steps; a batch of ten ends with the first that fails. In every
second batch the faults that `known.OPEN` lists count too, which they do not in the suite.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
import traceback
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from store_machine import StoreMachine

from campaigns.known import NEW
from campaigns.report import write_results
from campaigns.shim import HERE

STEPS, BATCH = 40, 10


def play(number: int) -> str:
    """Run a batch of examples; what broke, or ""."""
    chosen = settings(
        max_examples=BATCH,
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(StoreMachine), settings=chosen)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 -- whatever it is, it is the finding
        return traceback.format_exc()
    return ""


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="examples (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit-s", type=float, default=3600.0)
    parser.add_argument("--label", default="")
    parser.add_argument("--no-results", action="store_true")
    given = parser.parse_args()
    dice = random.Random(given.seed)  # noqa: S311 -- a fixed seed
    began = time.monotonic()
    kinds: dict[str, dict[str, Any]] = {}
    while StoreMachine.examples < given.count and time.monotonic() - began < given.limit_s:
        number = dice.randrange(1 << 30)
        StoreMachine.strict = not StoreMachine.strict
        broken = play(number)
        if broken:
            key = f"{_number(broken)} machine {_last_error(broken)}"
            one = kinds.setdefault(key, {"count": 0, "points": [str(number)], "detail": ""})
            one["detail"] = one["detail"] or broken[broken.find("Failing test case") :][:3000]
            one["count"] += 1
    violations = sum(one["count"] for one in kinds.values())
    seconds = round(time.monotonic() - began, 1)
    faults = {k.split()[0]: 0 for k in kinds}
    for key, one in kinds.items():
        faults[key.split()[0]] += one["count"]
    command = f"python tests/campaigns/machine.py --count {given.count} --seed {given.seed}"
    found = {
        "campaign": "machine",
        "points": StoreMachine.examples,
        "violations": violations,
        "points_by_fault": faults,
        "cases": {
            "examples": {"points": StoreMachine.examples, "runs committed": StoreMachine.steps}
        },
        "kinds": kinds,
        "seconds_for_100_points": round(100 * seconds / max(1, StoreMachine.examples), 1),
        "seed": given.seed,
        "label": given.label,
        "seconds": seconds,
        "command": command,
    }
    print(json.dumps(found, indent=1))  # noqa: T201 -- its output
    if not given.no_results:
        name = f"machine{'-' if given.label else ''}{given.label}.json"
        write_results(HERE / "results" / name, found)
    sys.exit(int(violations > 0))


def _number(broken: str) -> str:
    """The fault, by the rule that met it: both are only met where those that are open count."""
    if not StoreMachine.strict:
        return NEW
    return "V3" if "in change_model" in broken else "V4"


def _last_error(text: str) -> str:
    lines = [line.strip(" |+-") for line in text.splitlines()]
    errors = [line for line in lines if "Error" in line and not line.startswith("File")]
    return re.sub(r"/\S+/", "", (errors or lines)[-1])[:100]


if __name__ == "__main__":
    main()
