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
from dataclasses import dataclass, field, fields
from itertools import starmap
from typing import TYPE_CHECKING, Any

from ragkit.decoding import from_json
from ragkit.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_EXAMPLE = '{"text": "How long is the notice period?", "source": "contracts/staff.pdf"}'
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions about the documents of a folder; None: about those of an index that exists."""

    name: str
    folder: Path | None
    questions: tuple[Question, ...]


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
    evidence: tuple[GoldPassage, ...] = ()
    answerable: bool = True
    group: str = ""
    is_small: bool = False


@dataclass(frozen=True, slots=True)
class GoldPassage:
    """A passage that answers a question.

    ``path`` is the document's relative path. ``start`` and ``end`` are offsets in its text, None
    if only the words are known; ``pages`` are the numbers of the pages it stands on.
    """

    path: str
    text: str = ""
    start: int | None = None
    end: int | None = None
    pages: tuple[int, ...] = ()


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
        questions = tuple(starmap(_question, _asked(source / "questions.jsonl")))
        return QuestionSet(source.name, source / "docs", questions)
    if source.is_file():
        questions = tuple(starmap(_question, _asked(source)))
        if not questions:
            msg = f"{source} holds no question: write one on a line, such as {_EXAMPLE}"
            raise LoadError(msg, source)
        return QuestionSet(source.stem, None, questions)
    what = " is no question set" if source.exists() else ": no such file or folder"
    msg = (
        f"{source}{what}; give a BEIR folder, a folder with docs/ and questions.jsonl, or a file "
        "of questions"
    )
    raise LoadError(msg, source)


def _beir(source: Path, folder: Path) -> QuestionSet:
    places = {}
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, document) in enumerate(_objects(source / "corpus.jsonl", "_id")):
        path, head = _file_of(document, number)
        _write(folder / path, head + document["text"] + "\n")
        places[document["_id"]] = path, len(head)
    for stray in {p.name for p in folder.iterdir()} - {path for path, _ in places.values()}:
        (folder / stray).unlink()
    grades = _grades(source, places)
    questions = (
        _beir_question(name, line, grades.get(name, {}), places)
        for name, line in _asked(source / "queries.jsonl", "_id")
    )
    return QuestionSet(
        source.name, folder, tuple(q for q in questions if q.relevant or not q.answerable)
    )


def _file_of(document: Mapping[str, Any], number: int) -> tuple[str, str]:
    """The file name of a document, and what stands before its text: its title as a heading."""
    name = document["_id"] if _SAFE_NAME.fullmatch(document["_id"]) else f"{number:06}"
    title = " ".join((document.get("title") or "").split())
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
    name: str, line: _Line, relevant: dict[str, int], places: Mapping[str, tuple[str, int]]
) -> Question:
    about, spans = line.metadata, []
    for span in about.evidence:
        if span.doc in places and span.start is not None:
            path, shift = places[span.doc]
            start = span.start + shift
            spans.append(GoldPassage(path, span.text, start, start + len(span.text)))
    return Question(
        id=name,
        text=line.text,
        answers=line.answers,
        relevant=relevant,
        evidence=tuple(spans) or tuple(map(GoldPassage, relevant)),
        answerable=about.answerable,
        group=about.source_doc.rpartition("-")[0],
        is_small=about.small,
    )


def _question(name: str, line: _Line) -> Question:
    spans = (GoldPassage(s.doc, s.text, s.start, s.end, s.pages) for s in line.evidence)
    evidence = tuple(spans) or tuple(map(GoldPassage, line.source))
    answerable = line.metadata.answerable if line.answerable is None else line.answerable
    return Question(
        id=name,
        text=line.text,
        answers=line.answers or line.answer,
        relevant=dict.fromkeys((e.path for e in evidence), 1),
        evidence=evidence,
        answerable=answerable,
        is_small=line.metadata.small,
    )


@dataclass(frozen=True, slots=True)
class _Span:
    """A passage as a file has it; its end follows from its words in a BEIR folder."""

    doc: str
    text: str = ""
    start: int | None = None
    end: int | None = None
    pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Metadata:
    answerable: bool = True
    small: bool = False
    source_doc: str = ""
    evidence: tuple[_Span, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """A question as a file has it."""

    text: str
    answers: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    evidence: tuple[_Span, ...] = ()
    answerable: bool | None = None
    metadata: _Metadata = field(default_factory=_Metadata)


def _asked(file: Path, *needed: str) -> Iterator[tuple[str, _Line]]:
    """The questions of a file, each with its id, which is its text if it has none.

    Raises:
        LoadError: As `_objects`, or a field is of another type than `_Line` has it.
    """
    for number, record in _objects(file, *needed):
        try:
            line = from_json(_Line, _known(record))
        except ValueError as exc:
            _, _, wrong = str(exc).partition(".")  # without the name of the class
            msg = f"{file}, line {number}: {wrong}; docs/evaluate.md shows what a question has"
            raise LoadError(msg, file) from exc
        if not line.text.strip():
            msg = f"{file}, line {number}: text is empty"
            raise LoadError(msg, file)
        yield str(record.get("_id", line.text)), line


def _known(record: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- JSON
    """What of a line is of use; a list of one for a text that may stand for a list."""
    told = _fields(_Line, record)
    if "metadata" in told:
        told["metadata"] = _fields(_Metadata, told["metadata"])
    for holder in (told, told.get("metadata")):
        if isinstance(holder, dict) and isinstance(spans := holder.get("evidence"), list):
            holder["evidence"] = [_fields(_Span, span) for span in spans]
    for name in ("answers", "answer", "source"):
        if isinstance(told.get(name), str):
            told[name] = [told[name]]
    return told


def _fields(kind: type[_Line | _Metadata | _Span], value: Any) -> Any:  # noqa: ANN401 -- JSON
    """An object without what is null or not a field of this kind; anything else as it is."""
    if not isinstance(value, dict):
        return value
    names = {one.name for one in fields(kind)}
    return {name: v for name, v in value.items() if name in names and v is not None}


def _objects(file: Path, *needed: str) -> Iterator[tuple[int, dict[str, Any]]]:
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
