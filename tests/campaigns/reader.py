"""A process that searches all the time while another one writes and is killed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaigns.judge import Violation, truth_of
from campaigns.processes import fork
from campaigns.scenes import INDEX, QUESTION, SCORE_TOLERANCE, read_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from campaigns.scenes import Scene, Snapshot, State
    from ragkit import Pipeline

PAUSE_S = 0.01


class Reader:
    """Searches a scene's index from when it is made until `end`."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._stop = scene.folder / "stop"
        self._stop.unlink(missing_ok=True)
        self._found: set[Violation] = set()
        self._child = fork(self._work, scene.folder)

    def end(self) -> list[Violation]:
        """Stop it; what was wrong with anything it was told."""
        self._stop.touch()
        code, found = self._child.end()
        crashed = [Violation("reader-crashed", str(code))] if code else []
        return crashed + [Violation(kind, detail) for kind, detail in found]

    def _work(self, hand_back: Callable[[Any], None]) -> None:
        kept = self._open()
        while not self._stop.exists():
            kept = self._read(kept) or self._open()
            self._read(self._open(), close=True)
            time.sleep(PAUSE_S)
        if kept and (Path(INDEX) / "catalog.db").exists():
            self._compare_last(kept, read_state(Path(INDEX)))
        for violation in self._found:
            hand_back([violation.kind, violation.detail])

    def _compare_last(self, kept: Pipeline, state: State) -> None:
        """An index that stayed open must show what there is when the writer has ended."""
        truth, told = truth_of(self._scene, state), self._told(kept)
        if truth is None or told is None:
            return
        there = {(path, text) for path, chunks in state.items() for text, _ in chunks}
        expected = {i for i, hit in truth.hits.items() if (hit["path"], hit["text"]) in there}
        if told.keys() != expected or not all(_near(s, truth.scores[i]) for i, s in told.items()):
            self._found.add(Violation("reader-stale", f"{len(told)} hits of {len(expected)}"))

    def _open(self) -> Pipeline | None:
        from ragkit import Pipeline, RagkitError
        from ragkit.config import load_config

        try:
            config = load_config()[0].with_values({"search.mode": "dense", "search.k": 20000})
            rag = Pipeline.open(INDEX, config)
            rag.documents()
        except RagkitError as exc:
            if self._scene.before is not None:
                self._found.add(Violation(f"reader-error:{type(exc).__name__}", str(exc)[:200]))
            return None
        return rag

    def _read(self, rag: Pipeline | None, *, close: bool = False) -> Pipeline | None:
        told = self._told(rag) if rag else None
        if told is not None and not self._is_allowed(told):
            self._found.add(Violation("reader-wrong", f"told {len(told)} hits"))
        if rag and close:
            rag.close()
        return rag

    def _told(self, rag: Pipeline) -> dict[str, float | None] | None:
        from ragkit import RagkitError

        try:
            return {hit.chunk_id: hit.score for hit in rag.search(QUESTION)}
        except RagkitError as exc:
            self._found.add(Violation(f"reader-error:{type(exc).__name__}", str(exc)[:200]))
            return None

    def _is_allowed(self, told: dict[str, float | None]) -> bool:
        before, after = self._scene.before, self._scene.after
        if not told:
            return before is None
        if self._scene.case.atomic:
            return any(_fits(told, one) for one in (before, after) if one)
        merged = after.merged(before or after)
        return all(_near(score, merged.scores.get(i)) for i, score in told.items())


def _fits(told: dict[str, float | None], truth: Snapshot) -> bool:
    return told.keys() == truth.scores.keys() and all(
        _near(score, truth.scores[i]) for i, score in told.items()
    )


def _near(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) < SCORE_TOLERANCE
