"""Damages a copied index, looks at it with the real command, indexes a changed file, looks again.

    python tests/campaigns/corruption.py --count 2000 --seed 1 [--resume]

What is damaged: `catalog.db` anywhere, the pages of each of its tables and indexes, single values
by SQL, the vectors, their codes, the write-ahead log, and the files that mean nothing. How: one bit
flipped, 64 bytes zeroed, the file cut off, a value changed. Whatever was damaged, no hit may say
what is not so, and no command may end in a traceback or take the interpreter down; where `check`
finds nothing, nothing may be refused and no search may find something else.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from campaigns.campaign import Campaign, Point, options
from campaigns.judge import Said, Violation, hits_of, of_hit
from campaigns.processes import Outcome, fork, run
from campaigns.scenes import INDEX, Case, Scene, Snapshot, look, newer_documents, prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from random import Random

_INDEX = ("index", "docs", "-i", INDEX)
SCENES = (
    Case("rich", _INDEX, documents="rich"),
    Case("log", _INDEX, documents="rich"),
    Case("coded", _INDEX, documents="coded"),
)
LOOKS = ("list", "info", "nearest", "keyword", "hybrid", "earlier", "check")
SEARCHES = ("nearest", "keyword", "hybrid", "earlier")
# A stratum, its scene, its share of the points.
STRATA = {
    "catalog": ("rich", 15),
    "table": ("rich", 35),
    "value": ("rich", 25),
    "f16": ("rich", 8),
    "rbq": ("coded", 4),
    "wal": ("log", 7),
    "shm": ("log", 3),
    "lock": ("rich", 3),
}
_FILES = {
    "catalog": "catalog.db",
    "f16": "vectors/00000001.f16",
    "rbq": "vectors/00000001.rbq",
    "wal": "catalog.db-wal",
    "shm": "catalog.db-shm",
    "lock": "writer.lock",
}
CLASSES = (
    "crash or hang",
    "traceback",
    "hit served wrong",
    "list or info wrong",
    "older state served",
    "older state, told",
    "refused, check clean",
    "other hits, check clean",
    "refused with an error",
    "other hits, check finds",
    "check finds, answers right",
    "harmless",
)


@dataclass
class DamagedScene(Scene):
    """An index with two generations, what is true of it, and what is once a file has changed.

    Attributes:
        latest: What is true after the changed file was indexed.
        told: What each look says of the undamaged index.
        told_later: The same after the changed file was indexed.
        pages: The pages of each table, from 1.
    """

    latest: Snapshot = field(default_factory=lambda: Snapshot({}, [], {}, {}))
    told: Said = field(default_factory=lambda: Said([], 0))
    told_later: Said = field(default_factory=lambda: Said([], 0))
    pages: dict[str, list[int]] = field(default_factory=dict)

    def prepare(self, server: str) -> None:
        """As for every scene; then the index that is damaged, and its truth."""
        super().prepare(server)
        if self.case.name == "log":
            self.reset()
            with closing(sqlite3.connect(self.indexes / "ix/catalog.db")) as held:
                held.execute("BEGIN")
                held.execute("SELECT count(*) FROM chunks").fetchone()
                self.must(self.case.words)
                shutil.copytree(self.indexes, self.folder / "later")
        else:
            shutil.copytree(self.indexes, self.folder / "later")
        files = newer_documents(self.case.documents)
        files["h.txt"] = prose("h changed", 9)
        self.write_documents(files)
        self.base.rename(self.folder / "older")
        (self.folder / "later").rename(self.base)
        self.reset()
        found = self.looked_at()
        self.told = Said([line for line in found if not line[0].startswith("after ")], 0)
        self.told_later = Said(
            [[n.removeprefix("after "), *rest] for n, *rest in found if n.startswith("after ")], 0
        )
        self.latest = self.snapshot("nomic-embed-text")
        catalog = f"file:{self.base / 'ix/catalog.db'}?immutable=1"
        with closing(sqlite3.connect(catalog, uri=True)) as connection:
            for name, page in connection.execute("SELECT name, pageno FROM dbstat"):
                self.pages.setdefault(name, []).append(page)

    def looked_at(self) -> list[list[Any]]:
        """What the looks say of the index as it is, and after the changed file was indexed."""

        def work(hand_back: Callable[[Any], None]) -> None:
            look(LOOKS, "", hand_back, plainly=False)
            outcome = run(_INDEX)
            hand_back(["index", outcome.code, outcome.out, outcome.err])
            look(LOOKS, "after ", hand_back, plainly=False)

        code, found = fork(work, self.folder).end()
        return [*found, ["end", code, "", ""]]


def damage(scene: DamagedScene, point: Point, dice: Random) -> str:
    """Damage the index of a scene; tells what was done."""
    index = scene.indexes / "ix"
    stratum, _, table = point.case.partition(":")
    if stratum == "value":
        return _change_value(index / "catalog.db", dice)
    path = index / _FILES.get(stratum, "catalog.db")
    size = path.stat().st_size
    if not size:
        return "nothing to damage"
    at = dice.randrange(size)
    if table:
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        start = (dice.choice(scene.pages[table]) - 1) * page_size
        page = path.read_bytes()[start : start + page_size]
        at = start + dice.choice([i for i, byte in enumerate(page) if byte])  # most is unused
    if point.variant == "truncate":
        with path.open("r+b") as file:
            file.truncate(at)
        return f"{path.name} cut off at {at}"
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(64)
        file.seek(at)
        is_bit = point.variant == "bit"
        file.write(bytes([old[0] ^ (1 << dice.randrange(8))]) if is_bit else bytes(len(old)))
    return f"{path.name} {table} {point.variant} at {at}"


def _change_value(catalog: Path, dice: Random) -> str:
    with closing(sqlite3.connect(catalog, isolation_level=None)) as connection:
        tables = [n for (n,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'keywords%' "
            "AND name NOT LIKE 'sqlite%'")]  # fmt: skip
        table = dice.choice(tables)
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        column = dice.choice(columns)
        rows = connection.execute(f"SELECT {column} FROM {table}").fetchall()  # noqa: S608 -- ours
        if not rows:
            return f"{table} is empty"
        old = dice.choice(rows)[0]
        new = _other(old, dice)
        with suppress(sqlite3.Error):  # a constraint forbids it
            connection.execute(
                f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} IS ?",  # noqa: S608
                (new, old),
            )
        return f"{table}.{column}: {old!r:.60} -> {new!r:.60}"


def _other(old: Any, dice: Random) -> Any:
    if old is None:
        return dice.choice([0, 1, "x"])
    if isinstance(old, int):
        return old + dice.choice([-1, 1, 1000])
    if not old:
        return "x" if isinstance(old, str) else b"x"
    at = dice.randrange(len(old))
    if isinstance(old, bytes):
        return old[:at] + bytes([old[at] ^ 1]) + old[at + 1 :]
    return old[:at] + chr(ord(old[at]) ^ 1) + old[at + 1 :]


def play(scene: DamagedScene, point: Point, seed: int) -> tuple[list[Violation], str]:
    """Damage, look, index, look; what was wrong and which class it is."""
    scene.reset()
    done = damage(scene, point, point.chance(seed))
    found = scene.looked_at()
    said = Said([line for line in found if not line[0].startswith("after ")], found[-1][1])
    later = Said(
        [[n.removeprefix("after "), *rest] for n, *rest in found if n.startswith("after ")], 0
    )
    last = found[-2][0] if len(found) > 1 else "start"
    violations: dict[str, str] = {}
    if said.code:
        violations["crash"] = f"code {said.code} after {last}"
    is_clean = _is_clean(said["check"])
    for words in (said, later):
        for name in words.raw:
            if words[name].failed_hard:
                violations[f"traceback:{name}"] = words[name].last_line
    notes = set(_compared(said, scene.told, scene.after, scene, violations))
    if _info(said) != _info(scene.told):
        notes.add("other-info:info")
    if said["index"].code in (0, 3) and "index" in said:
        notes |= set(_compared(later, scene.told_later, scene.latest, scene, violations))
    elif said["index"].code and not said["index"].failed_hard:
        notes.add("refused:index")
    _judge_notes(point, notes, violations, is_clean=is_clean and _is_clean(later["check"]))
    what = _class_of(notes, violations, is_clean=is_clean)
    return [Violation(kind, f"{done}: {detail}") for kind, detail in violations.items()], what


def _info(said: Said) -> Any:
    """What `info` tells, without the size; nothing where it was refused."""
    try:
        return said["info"].json | {"size_bytes": 0} if said["info"].code == 0 else None
    except ValueError:
        return None


def _is_clean(outcome: Outcome) -> bool:
    try:
        return outcome.code == 0 and outcome.json == []
    except ValueError:
        return False


def _compared(
    said: Said, told: Said, truth: Snapshot, scene: DamagedScene, violations: dict[str, str]
) -> Iterator[str]:
    """Hold what was said against what is true; wrong hits are violations, the rest are notes."""
    for name in SEARCHES:
        if name not in said:
            continue
        if said[name].code and not said[name].failed_hard:
            yield f"refused:{name}"
            continue
        true = scene.before if name == "earlier" and scene.before else truth
        hits = hits_of(said, name)
        wrong = {v.kind: v.detail for hit in hits for v in of_hit(hit, true, name)}
        older = scene.before if name != "earlier" else None
        if wrong and older and not any(v for hit in hits for v in of_hit(hit, older, name)):
            yield "older-state"
        else:
            violations.update(wrong)
        if [hit["chunk_id"] for hit in hits] != [hit["chunk_id"] for hit in hits_of(told, name)]:
            yield f"other-hits:{name}"
    yield from _compared_documents(said, truth, scene, violations)


def _compared_documents(
    said: Said, truth: Snapshot, scene: DamagedScene, violations: dict[str, str]
) -> Iterator[str]:
    """Hold the list of documents against what is true."""
    if "list" not in said or said["list"].failed_hard:
        return
    if said["list"].code:
        yield "refused:list"
        return
    true = {d["doc_id"]: d for d in truth.documents}
    given = said["list"].json
    if scene.before and given == scene.before.documents != truth.documents:
        yield "older-state"
        return
    reindexed = {"mtime_ns"} if truth is scene.latest else set()  # of a file read once more
    for document in given:
        same = true.get(document["doc_id"], {})
        for name, value in document.items():
            if same.get(name) != value and name not in reindexed:
                violations[f"list-wrong:{name}"] = f"{value!r:.80}"
    if len(given) < len(true):
        yield "other-hits:list"


def _judge_notes(
    point: Point, notes: set[str], violations: dict[str, str], *, is_clean: bool
) -> None:
    if "older-state" in notes and is_clean:  # else the counter of commits has told it
        violations["older-state"] = ""
    for note in sorted(notes - {"older-state"}):
        kind, _, name = note.partition(":")
        if is_clean and "older-state" not in notes:
            violations[f"{kind}-check-clean:{name}"] = ""
        elif kind == "other-hits" and point.case == "rbq":
            violations["other-hits-codes"] = name


def _class_of(notes: set[str], violations: dict[str, str], *, is_clean: bool) -> str:
    kinds = {kind.partition(":")[0] for kind in violations}
    found = {note.partition(":")[0] for note in notes}
    tests = (
        "crash" in kinds,
        "traceback" in kinds,
        "served-wrong" in kinds,
        "list-wrong" in kinds or "other-info-check-clean" in kinds,
        "older-state" in kinds,
        "older-state" in found,
        is_clean and "refused" in found,
        is_clean and "other-hits" in found,
        "refused" in found,
        "other-hits" in found,
        not is_clean,
        True,
    )
    return CLASSES[tests.index(True)]


def plan(scenes: dict[str, Any], count: int, seed: int) -> list[Point]:
    """So many points, each stratum with its share; tables and ways take turns."""
    dice = random.Random(seed)  # noqa: S311 -- a fixed seed
    points = []
    there = {name: share for name, (scene, share) in STRATA.items() if scene in scenes}
    for stratum, share in there.items():
        tables = sorted(scenes["rich"].pages) if stratum == "table" else [""]
        for i in range(max(1, round(count * share / sum(there.values())))):
            table = tables[i % len(tables)]
            ways = ("bit", "bit", "zero") if table else ("bit", "zero", "bit", "zero", "truncate")
            way = "sql" if stratum == "value" else ways[i // len(tables) % len(ways)]
            case = f"table:{table}" if table else stratum
            points.append(Point(case, i, way))
    dice.shuffle(points)  # so that a run that ends early has some of each
    return points[:count]


def main() -> None:
    """Run the campaign."""
    asked = options("corruption", __doc__ or "", 2000)
    campaign = Campaign(
        "corruption",
        asked,
        lambda scene, point: play(scene, point, asked.seed),
        SCENES,
        DamagedScene,
        lambda case: STRATA[case.partition(":")[0]][0],
    )
    with campaign.ready() as scenes:
        code = campaign.run(plan(scenes, asked.count, asked.seed), scenes)
    sys.exit(code)


if __name__ == "__main__":
    main()
