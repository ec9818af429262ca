"""Cuts the power at every call of a recorded run, and judges what the disk may then hold.

    python tests/campaigns/powerloss.py --count 5000 --seed 1 [--only CASE] [--resume]

Each command is recorded once: its writes with their data, its syncs, renames and unlinks. `disk.py`
states what a disk may hold after a cut. Variants of a point: `drop` (nothing that was not synced is
there), `keep` (all of it is, as after a kill) and `r0`, `r1`, ... (at random, with torn writes).
After the last call, when the command has said that it is done, what it did has to be there.
States that are the same to the byte are judged once.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

from campaigns.campaign import Campaign, Point, options
from campaigns.disk import Disk, digest, write_tree
from campaigns.judge import Violation, judge
from campaigns.scenes import CASES

if TYPE_CHECKING:
    from campaigns.scenes import Scene

KEEP = {"drop": 0.0, "keep": 1.0}


def plan(scenes: dict[str, Scene], count: int, seed: int) -> list[Point]:
    """So many points, spread over all calls of all cases; large indexes are cut less often."""
    places = [
        (name, at)
        for name, scene in scenes.items()
        for at in range(len(scene.calls) + 1)
        if at % scene.case.apart == 0 or at == len(scene.calls)
    ]
    dice = random.Random(seed)  # noqa: S311 -- a fixed seed
    variants = ["drop", "r0", "keep", *(f"r{i}" for i in range(1, count))]
    points: list[Point] = []
    for variant in variants:
        dice.shuffle(places)
        points += [Point(*place, variant) for place in places[: count - len(points)]]
    return points


class Cuts:
    """Plays points; remembers what became of each state.

    Args:
        seed: Of the campaign.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._disks: dict[str, Disk] = {}
        self._known: dict[tuple[str, str, bool, tuple[str, ...]], list[Violation]] = {}

    def play(self, scene: Scene, point: Point) -> tuple[list[Violation], str]:
        """Cut the power and judge."""
        name = scene.case.name
        if name not in self._disks:
            self._disks[name] = Disk(scene.base, scene.indexes, scene.calls)
        dice = point.chance(self._seed)
        again = dice.choice(scene.case.again or (scene.case.words,))
        at = min(point.at, len(scene.calls))
        keep = KEEP.get(point.variant)
        files = self._disks[name].cut(at, dice, dice.random() if keep is None else keep)
        durable = at == len(scene.calls)
        key = (name, digest(files), durable, again)
        if key in self._known:
            return self._known[key], "same as before"
        write_tree(files, scene.indexes)
        self._known[key] = judge(scene, again, durable=durable)
        return self._known[key], "at the end" if durable else "on the way"


def main() -> None:
    """Run the campaign."""
    asked = options("powerloss", __doc__ or "", 5000)
    table = [case for case in CASES if not case.linked]  # a disk of files and folders alone
    campaign = Campaign("powerloss", asked, Cuts(asked.seed).play, table)
    with campaign.ready() as scenes:
        code = campaign.run(plan(scenes, asked.count, asked.seed), scenes)
    sys.exit(code)


if __name__ == "__main__":
    main()
