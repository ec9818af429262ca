"""Refuses calls of the real command, as a disk that is full or broken does, and judges the end.

    python tests/campaigns/faults.py --count 1500 --seed 1 [--only CASE] [--resume]

Variants of a point: `full` (from the n-th call on nothing that takes space succeeds: ENOSPC),
`eio` (the n-th call alone fails with EIO) and `short` (half of the n-th write gets through, as the
operating system may do at any time). The command must end with a message, not with a traceback;
what was committed is there; and with the disk right again the same command completes.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

from campaigns.campaign import Campaign, Point, ended, options
from campaigns.judge import Violation, judge
from campaigns.processes import command
from campaigns.shim import BROKEN, FULL, GROWING, SHORT, WRITE, Strike

if TYPE_CHECKING:
    from collections.abc import Iterator

    from campaigns.processes import Outcome
    from campaigns.scenes import Scene

MODES = {"full": FULL, "eio": BROKEN, "short": SHORT}


def plan(scenes: dict[str, Scene], count: int, seed: int) -> list[Point]:
    """Each call with each way to fail that it has; so many of them."""
    points = []
    for name, scene in scenes.items():
        for at, call in enumerate(scene.calls, 1):
            ways = ["eio"]
            ways += ["full"] if call.kind in GROWING else []
            ways += ["short"] if call.kind == WRITE and len(call.data) > 1 else []
            if at % scene.case.apart == 0:
                points += [Point(name, at, way) for way in ways]
    dice = random.Random(seed)  # noqa: S311 -- a fixed seed
    return dice.sample(points, min(count, len(points)))  # in no order: see `drawn`


def play(scene: Scene, point: Point) -> tuple[list[Violation], str]:
    """Refuse a call of one run and judge how it ended and what it left."""
    scene.reset()
    strike = Strike(scene.indexes, MODES[point.variant], point.at)
    outcome = command(scene.case.words, scene.folder, strike)
    violations = list(_of_the_end(outcome, point.variant))
    commands = scene.case.again or (scene.case.words,)
    again = commands[point.at % len(commands)]
    return violations + judge(scene, again, durable=outcome.code == 0), ended(outcome)


def _of_the_end(outcome: Outcome, variant: str) -> Iterator[Violation]:
    if outcome.failed_hard:
        yield Violation("traceback:struck", f"{variant}: {outcome.code}: {outcome.last_line}")
    elif (outcome.code and "ragkit: " not in outcome.err) or (
        outcome.code and variant == "full" and "full" not in outcome.err
    ):
        yield Violation("unclear-message", f"{variant}: {outcome.code}: {outcome.last_line}")
    elif outcome.code and variant == "short":
        yield Violation("short-write-fails", f"{outcome.code}: {outcome.last_line}")


def main() -> None:
    """Run the campaign."""
    asked = options("faults", __doc__ or "", 1500)
    campaign = Campaign("faults", asked, play)
    with campaign.ready() as scenes:
        code = campaign.run(plan(scenes, asked.count, asked.seed), scenes)
    sys.exit(code)


if __name__ == "__main__":
    main()
