"""Answer regression: which questions get other evidence or other answers than they did."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ragkit.evaluate.trial import Trial

Saved: TypeAlias = "Mapping[str, Mapping[str, Any]]"
"""Trials as `save` writes them, by the questions' ids."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class Change:
    """A question that has other evidence or another answer than before.

    ``lost`` and ``gained`` are passages, by place and hash of their words; the same words elsewhere
    in a document are neither. ``before`` and
    ``after`` are the answers, None if they are the same or were not asked for; ``refused``
    tells whether the question is refused now, None if that did not change.
    """

    id: str
    text: str
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    refused: bool | None = None
    before: str | None = None
    after: str | None = None


def save(trials: Sequence[Trial], file: Path) -> None:
    """Write trials to a JSON file, to be read by `read_saved` and compared with later ones."""
    record = {"version": VERSION, "questions": [asdict(trial) for trial in trials]}
    file.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", "utf-8")


def changes(saved: Saved, trials: Sequence[Trial]) -> list[Change]:
    """Compare trials with saved ones, question by question; new questions are passed over."""
    found = (_change(saved[trial.id], trial) for trial in trials if trial.id in saved)
    return [change for change in found if change is not None]


def read_saved(file: Path) -> Saved:
    """Read what `save` has written, by the questions' ids.

    Raises:
        LoadError: The file cannot be read or was not written by `save`.
    """
    try:
        record = json.loads(file.read_text("utf-8"))
        if record["version"] != VERSION:
            msg = f"{file} has version {record['version']}; this ragkit reads {VERSION}"
            raise LoadError(msg, file)
        return {question["id"]: question for question in record["questions"]}
    except (OSError, ValueError, KeyError, TypeError) as exc:
        msg = f"{file} is no file of `ragkit evaluate --save`: {exc}"
        raise LoadError(msg, file) from exc


def _without(passages: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The passages whose words are none of the others' of the same document."""
    known = {_words(other) for other in others}
    return tuple(passage for passage in passages if _words(passage) not in known)


def _words(passage: str) -> tuple[str, str]:
    """The path and the hash of a passage, its offsets left out; a path may hold spaces."""
    path, _, words = passage.rsplit(" ", 2)
    return path, words


def _change(before: Mapping[str, Any], trial: Trial) -> Change | None:
    old, new = before["evidence"], trial.evidence
    is_asked = None not in (before["answer"], trial.answer)
    is_other = is_asked and before["answer"] != trial.answer
    change = Change(
        trial.id,
        trial.text,
        lost=_without(old, new),
        gained=_without(new, old),
        refused=trial.refused if trial.refused != before["refused"] else None,
        before=before["answer"] if is_other else None,
        after=trial.answer if is_other else None,
    )
    return change if change != Change(trial.id, trial.text) else None
