"""What every campaign shares: options, points dealt to workers, a log to resume, the results."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shlex
import shutil
import sys
import tempfile
import time
import zlib
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaigns import shim
from campaigns.known import number_of
from campaigns.processes import SETTINGS, Outcome, fork, load_everything, vector_server
from campaigns.report import commit, write_results
from campaigns.scenes import CASES, Case, Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from campaigns.judge import Violation

PARALLEL = 2
LIMIT_S = 6 * 3600.0  # of a run at full length, with much to spare
_WORK = re.compile(r"/[^ '\"]*?/ragkit-\w+-[^ '\"/]*(/w\d+/\w+)?")  # folders of one run


@dataclass(frozen=True)
class Point:
    """Where a case is struck, and how."""

    case: str
    at: int
    variant: str

    @property
    def name(self) -> str:
        return f"{self.case}:{self.variant}:{self.at}"

    def chance(self, seed: int) -> random.Random:
        """The dice of this point alone."""
        return random.Random(f"{seed} {self.name}")  # noqa: S311 -- a fixed seed


@dataclass
class Options:
    """What was asked for on the command line."""

    count: int
    seed: int
    only: list[str]
    limit_s: float
    parallel: int
    resume: bool
    label: str
    work: Path
    log: Path
    results: Path | None

    def command(self, name: str) -> str:
        """The command line that does the same."""
        words = ["python", f"tests/campaigns/{name}.py"]
        words += ["--count", str(self.count), "--seed", str(self.seed)]
        words += [word for case in self.only for word in ("--only", case)]
        words += ["--limit-s", f"{self.limit_s:g}", "--parallel", str(self.parallel)]
        return shlex.join([*words, *(["--label", self.label] if self.label else [])])


def options(name: str, description: str, count: int) -> Options:
    """Read the command line of a campaign; the preloaded library is in place afterwards."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=count, help="points (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="repeatable")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="stop after so long")
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    parser.add_argument("--resume", action="store_true", help="go on with the log of a killed run")
    parser.add_argument("--label", default="", help="a word for the results, e.g. before")
    parser.add_argument("--log", type=Path, help="a line of JSON for each point")
    parser.add_argument("--results", type=Path, help="the file to write; else results/NAME.json")
    parser.add_argument("--no-results", action="store_true", help="write none")
    given = parser.parse_args()
    if reason := shim.why_not():
        sys.exit(f"{name}: {reason}")
    shim.preload()
    memory = Path("/dev/shm")  # noqa: S108 -- a fresh folder below it
    memory = memory if memory.is_dir() else Path(tempfile.gettempdir())
    results = shim.HERE / "results" / f"{name}{'-' if given.label else ''}{given.label}.json"
    return Options(
        given.count,
        given.seed,
        given.only,
        given.limit_s,
        given.parallel,
        given.resume,
        given.label,
        Path(tempfile.mkdtemp(prefix=f"ragkit-{name}-", dir=memory)),
        given.log or Path(tempfile.gettempdir()) / f"ragkit-{name}-{given.seed}-{_place()}.jsonl",
        None if given.no_results else given.results or results,
    )


def _place() -> str:
    """A mark of this checkout and its commit: what another one did is not gone on with."""
    return f"{zlib.crc32(f'{shim.HERE} {commit()}'.encode()):08x}"


@dataclass
class Campaign:
    """A campaign: how its points are played.

    Args:
        name: Of its results.
        asked: The command line.
        play: Strikes a scene at a point; gives the violations and a word for what happened.
        table: The cases that there are.
        make: Makes the scene of a case.
        scene_name: The case in whose scene a point is played, by the point's.
    """

    name: str
    asked: Options
    play: Callable[[Any, Point], tuple[list[Violation], str]]
    table: Sequence[Case] = CASES
    make: Callable[[Path, Case], Scene] = Scene
    scene_name: Callable[[str], str] = str

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self._urls: dict[float, str] = {}

    @property
    def cases(self) -> list[Case]:
        """The cases asked for, of commands that there are."""
        only = self.asked.only
        return [c for c in self.table if c.exists and (c.name in only if only else True)]

    @contextmanager
    def ready(self) -> Iterator[dict[str, Scene]]:
        """Servers run and each case was played once; the scenes of the first worker."""
        load_everything()
        os.environ.update({"XDG_CONFIG_HOME": SETTINGS, "XDG_DATA_HOME": SETTINGS})  # in each scene
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.asked.work, ignore_errors=True)
            for latency_s in sorted({case.latency_s for case in self.cases}):
                self._urls[latency_s] = stack.enter_context(vector_server(latency_s))
            yield {case.name: self.scene(case, 0) for case in self.cases}

    def scene(self, case: Case, worker: int) -> Scene:
        """A prepared scene."""
        made = self.make(self.asked.work / f"w{worker}" / case.name, case)
        made.prepare(self._urls[case.latency_s])
        return made

    def run(self, points: Sequence[Point], scenes: dict[str, Scene]) -> int:
        """Play the points, report, and give the exit code: 1 where a promise was broken."""
        log = self.asked.log
        if not self.asked.resume:
            log.unlink(missing_ok=True)
        done = {line["point"] for line in read_lines(log)}
        left = [point for point in points if point.name not in done]
        deadline = time.monotonic() + self.asked.limit_s
        workers = [
            fork(partial(self._work, worker, left, scenes, deadline), self.asked.work)
            for worker in range(self.asked.parallel)
        ]
        codes = [worker.end(self.asked.limit_s + 600)[0] for worker in workers]
        lines = read_lines(log)
        found = summary(self.name, lines)
        found |= {"planned": len(points), "seed": self.asked.seed, "label": self.asked.label}
        found["seconds"] = round(time.monotonic() - self.started, 1)
        found["command"] = self.asked.command(self.name)
        print(json.dumps(found, indent=1, ensure_ascii=False))  # noqa: T201 -- its output
        if self.asked.results:
            write_results(self.asked.results, found)
        return int(any(codes) or found["violations"] > 0)

    def _work(
        self,
        worker: int,
        points: Sequence[Point],
        scenes: dict[str, Scene],
        deadline: float,
        _: Callable[[Any], None],
    ) -> None:
        mine = {} if worker else dict(scenes)
        by_name = {case.name: case for case in self.cases}
        with self.asked.log.open("a") as log:
            for point in points[worker :: self.asked.parallel]:
                if time.monotonic() > deadline:
                    return
                name = self.scene_name(point.case)
                if name not in mine:
                    mine[name] = self.scene(by_name[name], worker)
                began = time.monotonic()
                violations, what = self.play(mine[name], point)
                line = {"point": point.name, "case": point.case, "variant": point.variant,
                        "what": what, "seconds": round(time.monotonic() - began, 3),
                        "violations": [asdict(v) for v in violations]}  # fmt: skip
                log.write(json.dumps(line, ensure_ascii=False) + "\n")
                log.flush()


def read_lines(log: Path) -> list[dict[str, Any]]:
    """What a log holds; a last line that was cut off is passed over."""
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def summary(campaign: str, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts by case, by outcome and by fault, with the first points of each kind."""
    cases: dict[str, Counter[str]] = {}
    faults: Counter[str] = Counter()
    kinds: dict[str, dict[str, Any]] = {}
    for line in lines:
        counts = cases.setdefault(line["case"], Counter())
        counts["points"] += 1
        counts[line["what"]] += 1
        counts["violated"] += bool(line["violations"])
        numbers = set()
        for violation in line["violations"]:
            number = number_of(campaign, line["case"], violation["kind"])
            numbers.add(number)
            key = f"{number} {line['case']} {violation['kind']}"
            detail = _WORK.sub("...", violation["detail"])
            one = kinds.setdefault(key, {"count": 0, "points": [], "detail": detail})
            one["count"] += 1
            one["points"] = (one["points"] + [line["point"]])[:3]
        faults.update(numbers)
    seconds = sum(line["seconds"] for line in lines)
    return {
        "campaign": campaign,
        "points": len(lines),
        "violations": sum(bool(line["violations"]) for line in lines),
        "points_by_fault": dict(sorted(faults.items())),
        "cases": {name: dict(counts) for name, counts in sorted(cases.items())},
        "kinds": dict(sorted(kinds.items())),
        "seconds_for_100_points": round(100 * seconds / max(1, len(lines)), 1),
    }


def ended(outcome: Outcome) -> str:
    """A word for how a struck command ended."""
    if outcome.code < 0:
        return "killed"
    return "done" if outcome.code == 0 else f"exit {outcome.code}"


def drawn(
    first: list[Point],
    every: list[Point],
    others: dict[str, tuple[int, list[Point]]],
    *,
    count: int,
    seed: int,
) -> list[Point]:
    """So many points, shuffled, so that a run that is stopped has hit some of everything.

    Args:
        first: Points that every run begins with.
        every: Points that are all wanted; of a small count two thirds go to them.
        others: For each case its share of the rest, and the points to draw from.
        count: How many.
        seed: Of the dice.
    """
    dice = random.Random(seed)  # noqa: S311 -- a fixed seed
    fits = len(every) <= count
    chosen = set(every if fits else dice.sample(every, count * 2 // 3))
    rest, shares = count - len(chosen), sum(share for share, _ in others.values())
    for share, points in others.values():
        left = sorted(set(points) - chosen, key=lambda p: p.name)
        chosen |= set(dice.sample(left, min(len(left), round(rest * share / max(1, shares)))))
    ordered = sorted(chosen - set(first), key=lambda p: p.name)
    dice.shuffle(ordered)
    return [*first, *ordered]
