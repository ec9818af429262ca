"""What must hold of an index after it was struck, and what the next run must make of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from campaigns.processes import HANGS, Outcome, fork, run
from campaigns.scenes import SCORE_TOLERANCE, look, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from campaigns.scenes import Scene, Snapshot, State

NO_INDEX = 10
_EXPECTED_NAMES = re.compile(
    r"ix|ix\.tar|(ix|far)/(catalog\.db(-wal|-shm)?|commits|writer\.lock|\.?learned\.json|vectors)"
    r"|(ix|far)/vectors/\d{8}\.(f16|rbq|ivf)|far"
)
_LOOKS = ("check", "list", "dense", "keyword", "hybrid")
_LOOKS_AT_MANY = ("check", "list", "nearest", "keyword", "hybrid")  # all hits would take a second
_SEARCHES = ("dense", "nearest", "keyword", "hybrid")


@dataclass(frozen=True)
class Violation:
    """A promise that was broken: which, and how it showed."""

    kind: str
    detail: str = ""


class Said:
    """What the looking commands of one fork said, by their names."""

    def __init__(self, found: list[list[Any]], code: int) -> None:
        self.raw = {name: (code, out, err) for name, code, out, err in found}
        self.code = code
        self.last = found[-1][0] if found else "start"

    def __getitem__(self, name: str) -> Outcome:
        return Outcome(*self.raw.get(name, (0, "", "")))

    def __contains__(self, name: str) -> bool:
        return name in self.raw

    def state(self, prefix: str = "") -> State | None:
        """The living chunks as the plain reader found them; None where it could not read."""
        code, state, _ = self.raw.get(f"{prefix}state", (1, None, ""))
        found: State | None = state if code == 0 else None
        return found


def judge(scene: Scene, again: Sequence[str], *, durable: bool = False) -> list[Violation]:
    """Look at the index in the scene's folder, run `again`, and look once more.

    Args:
        scene: Its `indexes` folder is as the strike left it.
        again: The command that is to complete what was struck.
        durable: The struck command had ended well, so what it did must be there.
    """

    looks = _LOOKS_AT_MANY if scene.case.documents == "coded" else _LOOKS

    def work(hand_back: Callable[[Any], None]) -> None:
        look(looks, "", hand_back)
        outcome = run(again)
        hand_back(["again", outcome.code, outcome.out, outcome.err])
        look((*looks, "info"), "after ", hand_back)

    code, found = fork(work, scene.folder).end()
    said = Said(found, code)
    violations = list(_of_processes(said))
    violations += _of_what_was_left(scene, said, durable=durable)
    violations += _of_the_next_run(scene, said)
    return violations


def _of_processes(said: Said) -> Iterator[Violation]:
    if said.code:
        kind = "hang" if said.code == HANGS else "crash"
        yield Violation(kind, f"code {said.code} after {said.last}")
    for name in said.raw:
        if not name.endswith("state") and said[name].failed_hard:
            yield Violation(f"traceback:{name.removeprefix('after ')}", said[name].last_line)


def _of_what_was_left(scene: Scene, said: Said, *, durable: bool) -> Iterator[Violation]:
    """The index is whole, and as it was before a commit of the command or after it."""
    if scene.before is None and said["list"].code == NO_INDEX and not durable:
        return
    yield from _of_check(said["check"])
    state = said.state()
    for name in ("list", *_SEARCHES):
        if name in said and said[name].code and not said[name].failed_hard:
            yield Violation(f"refused:{name}", f"{said[name].code}: {said[name].last_line}")
    if state is None:
        yield Violation("state-unreadable", str(said.raw.get("state", ""))[:200])
        return
    truth = truth_of(scene, state, durable=durable)
    if truth is None:
        yield Violation("state-lost" if durable else "state-mixed", _difference(scene, state))
        truth = truth_of(scene, state) or scene.after.merged(scene.before or scene.after, state)
    yield from of_hits(said, "", state, truth)


def _is_as_far(chunks: list[list[str]] | None, whole: list[list[str]] | None) -> bool:
    """Whether a document is as it is to be, but for vectors that are still to be made."""
    if chunks is None or whole is None or len(chunks) != len(whole):
        return chunks is whole
    pairs = zip(chunks, whole, strict=True)
    return all(text == its and row in ("", row_after) for (text, row), (its, row_after) in pairs)


def truth_of(scene: Scene, state: State, *, durable: bool = False) -> Snapshot | None:
    """What is true of an index with these documents; None where it may not have them."""
    if state == scene.after.state:
        return scene.after
    before = scene.before.state if scene.before else {}
    if durable:
        return None
    if state == before:
        return scene.before or scene.after
    if scene.case.atomic:
        return None
    is_mix = all(
        state.get(path) == before.get(path)
        or _is_as_far(state.get(path), scene.after.state.get(path))
        for path in state.keys() | before.keys() | scene.after.state.keys()
    )
    return scene.after.merged(scene.before or scene.after, state) if is_mix else None


def _difference(scene: Scene, state: State) -> str:
    other = (scene.after.state.keys() ^ state.keys()) or {
        path for path in state if state[path] != scene.after.state.get(path)
    }
    return f"{len(state)} documents; other than after: {sorted(other)[:6]}"


def _of_check(outcome: Outcome) -> Iterator[Violation]:
    if outcome.failed_hard:
        return
    try:
        problems = outcome.json
    except ValueError:
        yield Violation("check-refused", f"{outcome.code}: {outcome.last_line}")
        return
    for problem in problems:
        if problem["severity"] == "must":
            yield Violation(f"check-must:{problem['invariant']}", problem["detail"][:200])


def hits_of(said: Said, name: str) -> list[dict[str, Any]]:
    """The hits of one search; none where it was refused."""
    try:
        hits: list[dict[str, Any]] = said[name].json if said[name].code == 0 else []
    except ValueError:
        return []
    return hits


def of_hits(said: Said, prefix: str, state: State, truth: Snapshot) -> Iterator[Violation]:
    """Every hit says what is true, and a search for all finds all that have vectors."""
    for name in _SEARCHES:
        for hit in hits_of(said, prefix + name):
            yield from of_hit(hit, truth, name)
    if said[f"{prefix}dense"].code == 0 and f"{prefix}dense" in said:
        found = sorted((hit["path"], hit["text"]) for hit in hits_of(said, f"{prefix}dense"))
        expected = sorted(
            (path, text) for path, chunks in state.items() for text, row in chunks if row
        )
        if found != expected:
            yield Violation("hits-incomplete", f"{len(found)} of {len(expected)}")


def of_hit(hit: dict[str, Any], truth: Snapshot, name: str) -> Iterator[Violation]:
    """A hit is a chunk that there is, with its fields, and its score is that of its vector."""
    true = truth.hits.get(hit["chunk_id"])
    if true is None:
        yield Violation("served-wrong:chunk", f"{name}: {json.dumps(hit)[:300]}")
        return
    given = plain(hit)
    for field in true:
        if given[field] != true[field]:
            yield Violation(f"served-wrong:{field}", f"{name}: {given[field]!r:.100}")
    score = hit["score"]
    if score is not None and not abs(score - truth.scores[hit["chunk_id"]]) < SCORE_TOLERANCE:
        yield Violation("served-wrong:score", f"{name}: {score}")


def _of_the_next_run(scene: Scene, said: Said) -> Iterator[Violation]:
    """It completes, leaves what an undisturbed run leaves, and nothing else lies there."""
    if "again" not in said:
        return
    outcome, state = said["again"], said.state("after ")
    if scene.case.partial and _is_part(outcome, state or {}, scene.after.state):
        return
    if outcome.code not in scene.case.again_codes:
        yield Violation("again-failed", f"{outcome.code}: {outcome.last_line}")
        return
    if state != scene.after.state:
        yield Violation("again-other-state", _difference(scene, state or {}))
        return
    yield from of_hits(said, "after ", scene.after.state, scene.after)
    yield from _of_what_lies_there(scene, said)


def _is_part(outcome: Outcome, state: State, whole: State) -> bool:
    """Whether a run that was not told what to complete did no more than it may."""
    if not state:  # the first run was killed before it had any document
        return outcome.code in {1, NO_INDEX}
    return outcome.code == 0 and all(whole.get(path) == chunks for path, chunks in state.items())


def _of_what_lies_there(scene: Scene, said: Said) -> Iterator[Violation]:
    try:
        for problem in said["after check"].json:
            yield Violation(f"left:{problem['invariant']}", problem["detail"][:200])
        if _unread(said["after list"].json) != _unread(scene.after.documents):
            yield Violation("again-other-documents")
        if any(run["state"] == "open" for run in said["after info"].json["runs"]):
            yield Violation("generation-open")
    except ValueError as exc:
        yield Violation("again-unreadable", str(exc))
    for name in leftovers(scene.indexes):
        yield Violation(f"leftover:{name}")


def _unread(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Documents without what depends on when their files were read."""
    return [{k: v for k, v in d.items() if k != "mtime_ns"} for d in documents]


def leftovers(indexes: Path) -> list[str]:
    """What lies in the indexes' folder and belongs to no index."""
    names = (path.relative_to(indexes).as_posix() for path in indexes.rglob("*"))
    strange = {re.sub(r"\.new-\w+", ".new-*", n) for n in names if not _EXPECTED_NAMES.fullmatch(n)}
    return sorted({name.split("/")[0] if name[0] == "." else name for name in strange})
