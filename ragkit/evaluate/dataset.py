"""Question sets: what is asked, where the answer stands, and the documents to ask.

Three forms are read:

- a BEIR folder (Thakur et al. 2021): ``corpus.jsonl``, ``queries.jsonl``, and ``qrels/test.tsv`` or
  ``qrels.tsv``;
- a folder with documents in ``docs/`` and their questions in ``questions.jsonl``;
- a file of questions, one JSON object a line, about an index that exists.

A question is ``{"text": ..., "answers": [...], "evidence": [{"doc": ..., "text": ..., "start":
..., "end": ..., "pages": [...]}]}``; of these only ``text`` must be there. Shorter, for questions
written by hand: ``"source"`` in place of evidence and ``"answer"`` in place of answers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage that answers a question.

    ``path`` is the document's relative path. ``start`` and ``end`` are offsets in its text, None
    where only the words are known; ``pages`` are the numbers of the pages it stands on.
    """

    path: str
    text: str = ""
    start: int | None = None
    end: int | None = None
    pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One question with what is known of its answer.

    ``relevant`` maps relative paths to grades of relevance, 1 or more. ``answers`` are
    alternatives. An ``answerable`` question without relevant documents is judged by nothing but
    whether it was refused. ``group`` is common to questions about one article, ``is_small`` marks
    a sample for runs that are slow.
    """

    id: str
    text: str
    answers: tuple[str, ...] = ()
    relevant: Mapping[str, int] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    answerable: bool = True
    group: str = ""
    is_small: bool = False


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions about the documents of a folder; None: about those of an index that exists."""

    name: str
    folder: Path | None
    questions: tuple[Question, ...]


def read_questions(source: Path, work: Path) -> QuestionSet:
    """Read a question set in any of the forms above.

    Questions of a BEIR folder that have no grade are left out, as they are not of its split,
    unless their metadata say that they have no answer.

    Args:
        source: A folder, or a file of questions.
        work: Where the documents of a BEIR set are written as files, for the normal ingest.

    Raises:
        LoadError: Nothing of these forms is there, or a line cannot be read.
    """
    if (source / "corpus.jsonl").is_file():
        return _beir(source, work / "documents")
    if (source / "questions.jsonl").is_file() and (source / "docs").is_dir():
        questions = tuple(map(_question, _asked(source / "questions.jsonl")))
        return QuestionSet(source.name, source / "docs", questions)
    if source.is_file():
        return QuestionSet(source.stem, None, tuple(map(_question, _asked(source))))
    msg = (
        f"{source} is no question set: give a BEIR folder, a folder with docs/ and "
        "questions.jsonl, or a file of questions"
    )
    raise LoadError(msg, source)


def _beir(source: Path, folder: Path) -> QuestionSet:
    places = {}
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, document) in enumerate(_lines(source / "corpus.jsonl", "_id")):
        path, head = _file_of(document, number)
        _write(folder / path, head + document["text"] + "\n")
        places[document["_id"]] = path, len(head)
    for stray in {p.name for p in folder.iterdir()} - {path for path, _ in places.values()}:
        (folder / stray).unlink()
    grades = _grades(source, places)
    questions = (
        _beir_question(line, grades.get(line["_id"], {}), places)
        for line in _asked(source / "queries.jsonl", "_id")
    )
    return QuestionSet(
        source.name, folder, tuple(q for q in questions if q.relevant or not q.answerable)
    )


def _file_of(document: Mapping[str, Any], number: int) -> tuple[str, str]:
    """The file name of a document, and what stands before its text: its title as a heading."""
    name = document["_id"] if _SAFE_NAME.fullmatch(document["_id"]) else f"{number:06}"
    title = " ".join(document.get("title", "").split())
    return (f"{name}.md", f"# {title}\n\n") if title else (f"{name}.txt", "")


def _write(file: Path, text: str) -> None:
    """Write a file unless it says just that: an unchanged file costs no embedding."""
    data = text.encode("utf-8", "replace")
    if not file.is_file() or file.read_bytes() != data:
        file.write_bytes(data)


def _grades(source: Path, places: Mapping[str, tuple[str, int]]) -> dict[str, dict[str, int]]:
    """For each question the documents that answer it, with grades from 1."""
    files = (source / "qrels.tsv", source / "qrels" / "test.tsv")
    file = next((f for f in files if f.is_file()), files[0])
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_text(file).splitlines()[1:], 2):
        try:
            question, document, grade = line.split("\t")
            if int(grade) > 0 and document in places:
                grades.setdefault(question, {})[places[document][0]] = int(grade)
        except ValueError as exc:
            msg = f"{file}, line {number}: expected question, document and grade, tabs between"
            raise LoadError(msg, file) from exc
    return grades


def _beir_question(
    line: Mapping[str, Any], relevant: dict[str, int], places: Mapping[str, tuple[str, int]]
) -> Question:
    about = line.get("metadata", {})
    spans = []
    for span in about.get("evidence", ()):
        if span["doc"] in places and "start" in span:
            path, shift = places[span["doc"]]
            start = span["start"] + shift
            spans.append(Evidence(path, span["text"], start, start + len(span["text"])))
    return Question(
        id=line["_id"],
        text=line["text"],
        answers=_listed(line, "answers"),
        relevant=relevant,
        evidence=tuple(spans) or tuple(map(Evidence, relevant)),
        answerable=about.get("answerable", True),
        group=str(about.get("source_doc", "")).rpartition("-")[0],
        is_small=about.get("small", False),
    )


def _question(line: Mapping[str, Any]) -> Question:
    about = line.get("metadata", {})
    evidence = tuple(
        Evidence(
            e["doc"], e.get("text", ""), e.get("start"), e.get("end"), tuple(e.get("pages") or ())
        )
        for e in line.get("evidence", ())
    ) or tuple(Evidence(path) for path in _listed(line, "source"))
    return Question(
        id=str(line.get("_id", line["text"])),
        text=line["text"],
        answers=_listed(line, "answers") or _listed(line, "answer"),
        relevant=dict.fromkeys((e.path for e in evidence), 1),
        evidence=evidence,
        answerable=line.get("answerable", about.get("answerable", True)),
        is_small=about.get("small", False),
    )


def _listed(line: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = line.get(name, ())
    return (value,) if isinstance(value, str) else tuple(value)


def _are(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _is_text_or_texts(value: object) -> bool:
    return isinstance(value, str) or _are(value, str)


def _is_evidence(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("doc"), str)
        and isinstance(value.get("text", ""), str)
        and all(isinstance(value.get(end), int | None) for end in ("start", "end"))
        and (value.get("pages") is None or _are(value["pages"], int))
    )


_TEXTS = "a text or a list of texts", _is_text_or_texts
_FORMS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("a text that is not empty", lambda value: bool(value.strip())),
    "source": _TEXTS,
    "answer": _TEXTS,
    "answers": _TEXTS,
    "answerable": ("true or false", lambda value: isinstance(value, bool)),
    "metadata": ("an object", lambda value: isinstance(value, dict)),
    "evidence": (
        "a list of objects with `doc`, and `text`, `start`, `end` and `pages` as far as known",
        lambda value: isinstance(value, list) and all(map(_is_evidence, value)),
    ),
}
"""What a question's fields must be, in words and as a test."""


def _asked(file: Path, *needed: str) -> Iterator[dict[str, Any]]:
    """The questions of a file as `_lines` reads them, without what is null.

    Raises:
        LoadError: As `_lines`, or a field is not of its form.
    """
    for number, line in _lines(file, *needed):
        told = {name: value for name, value in line.items() if value is not None}
        for name, (form, fits) in _FORMS.items():
            if name in told and not fits(told[name]):
                msg = f"{file}, line {number}: `{name}` must be {form}"
                raise LoadError(msg, file)
        yield told


def _lines(file: Path, *needed: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one a line, with its number; empty lines are passed over.

    Raises:
        LoadError: A line is none, or lacks ``text`` or what else is needed.
    """
    for number, line in enumerate(_text(file).split("\n"), 1):
        if not line.strip():  # JSON text may hold U+2028, where splitlines() would cut it
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as exc:
            msg = f"{file}, line {number}: not JSON: {exc}"
            raise LoadError(msg, file) from exc
        for name in (*needed, "text"):
            if not isinstance(record, dict) or not isinstance(record.get(name), str):
                msg = f"{file}, line {number}: no `{name}`"
                raise LoadError(msg, file)
        yield number, record


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        msg = f"{file} cannot be read: {exc}"
        raise LoadError(msg, file) from exc
