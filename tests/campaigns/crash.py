"""Kills the real command at its n-th call that changes files, and judges what is left.

    python tests/campaigns/crash.py --count 1500 --seed 1 [--only CASE] [--resume]

Every call of the commands that make, switch or compact an index is hit; those of the others are
drawn. Variants of a point: `kill`; `torn` (half of the write gets through); `garbage` (bytes that
mean nothing behind the vectors and the log); `reader` (another process searches all the time, with
an index that stays open and with ones opened anew); `cold` (a process started with
``python -m ragkit``, where the others are forked from one that has loaded it).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from campaigns.campaign import Campaign, Point, drawn, ended, options
from campaigns.judge import Violation, judge
from campaigns.processes import command
from campaigns.reader import Reader
from campaigns.shim import KILL, TORN, Strike

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from campaigns.scenes import Scene

VARIANTS = ("kill", "torn", "garbage", "reader", "cold")


def plan(scenes: dict[str, Scene], count: int, seed: int) -> list[Point]:
    """The points of a run; the same for the same numbers of calls."""
    first: list[Point] = []
    every: list[Point] = []
    others: dict[str, tuple[int, list[Point]]] = {}
    for name, scene in scenes.items():
        calls = range(1, len(scene.calls) + 2)  # the last is behind the end: nothing is killed
        if scene.case.every:
            every += [Point(name, at, "kill") for at in calls]
        first.append(Point(name, calls[-1], "reader"))  # that a run has ended is seen too
        others[name] = (scene.case.share, [Point(name, at, v) for at in calls for v in VARIANTS])
    return drawn(first, every, others, count=count, seed=seed)


def play(scene: Scene, point: Point, seed: int) -> tuple[list[Violation], str]:
    """Kill one run and judge what it left."""
    scene.reset()
    dice = point.chance(seed)
    strike = Strike(scene.indexes, TORN if point.variant == "torn" else KILL, point.at)
    reader = Reader(scene) if point.variant == "reader" else None
    outcome = command(scene.case.words, scene.folder, strike, cold=point.variant == "cold")
    if point.variant == "garbage" and outcome.code:
        add_garbage(scene.indexes, dice)
    violations = reader.end() if reader else []
    if outcome.code > 0:
        violations.append(Violation("ended-otherwise", outcome.last_line))
    again = dice.choice(scene.case.again or (scene.case.words,))
    violations += judge(scene, again, durable=outcome.code == 0)
    return violations, ended(outcome)


def add_garbage(indexes: Path, dice: Random) -> None:
    """Bytes that no commit names, behind what is there."""
    for file in sorted(indexes.rglob("*")):
        if file.suffix in {".f16", ".rbq"} or file.name.endswith("-wal"):
            with file.open("ab") as tail:
                tail.write(dice.randbytes(dice.randrange(200)))


def main() -> None:
    """Run the campaign."""
    asked = options("crash", __doc__ or "", 1500)
    campaign = Campaign("crash", asked, lambda scene, point: play(scene, point, asked.seed))
    with campaign.ready() as scenes:
        code = campaign.run(plan(scenes, asked.count, asked.seed), scenes)
    sys.exit(code)


if __name__ == "__main__":
    main()
