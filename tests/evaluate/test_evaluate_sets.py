"""Question sets in their three forms, and the vectors that are kept between runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from commands import write_files
from hash_embedder import HashEmbedder

from ragkit.errors import EmbeddingFailedError, LoadError
from ragkit.evaluate import read_questions
from ragkit.evaluate.cache import CachedEmbedder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import Vectors


def lines(records: Sequence[object]) -> str:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n"


def test_a_beir_folder_becomes_documents_with_their_evidence_in_place(tmp_path: Path) -> None:
    title, text = "On\u2028Notice", "Three months.\u2028Or less."
    corpus = [{"_id": "a/1", "title": title, "text": text}, {"_id": "b", "text": "Nothing."}]
    metadata = {"evidence": [{"doc": "a/1", "text": "Or less.", "start": 14}]}
    queries = [{"_id": "q1", "text": "How long?", "answers": ["x"], "metadata": metadata}]
    qrels = "query-id\tcorpus-id\tscore\nq1\ta/1\t2\nq1\tb\t0\n"
    source = write_files(
        tmp_path / "beir",
        {"corpus.jsonl": lines(corpus), "queries.jsonl": lines(queries), "qrels.tsv": qrels},
    )

    asked = read_questions(source, tmp_path / "work")

    (question,) = asked.questions
    (span,) = question.evidence
    assert asked.folder is not None
    written = (asked.folder / span.path).read_text("utf-8")
    assert written[span.start : span.end] == "Or less."
    assert written.startswith("# On Notice\n\nThree months.")
    assert question.relevant == {span.path: 2}


def beir(folder: Path, qrels: Mapping[str, str]) -> Path:
    corpus = [{"_id": "a", "text": "Three months."}, {"_id": "b", "text": "Two weeks."}]
    queries: list[dict[str, object]] = [
        {"_id": f"q{i}", "text": f"How long {i}?"} for i in range(3)
    ]
    queries.append({"_id": "q3", "text": "Why?", "metadata": {"answerable": False}})
    files = {"corpus.jsonl": lines(corpus), "queries.jsonl": lines(queries)}
    return write_files(folder, files | dict(qrels))


@pytest.mark.parametrize("name", ["qrels.tsv", "qrels/test.tsv"])
def test_questions_of_another_split_of_a_beir_folder_are_left_out(
    tmp_path: Path, name: str
) -> None:
    source = beir(tmp_path / "set", {name: "query-id\tcorpus-id\tscore\nq0\ta\t1\nq2\tb\t2\n"})
    asked = read_questions(source, tmp_path)
    assert [q.id for q in asked.questions] == ["q0", "q2", "q3"]
    assert [dict(q.relevant) for q in asked.questions] == [{"a.txt": 1}, {"b.txt": 2}, {}]


def test_a_document_that_left_the_corpus_leaves_the_folder(tmp_path: Path) -> None:
    qrels = {"qrels.tsv": "query-id\tcorpus-id\tscore\nq0\ta\t1\n"}
    asked = read_questions(beir(tmp_path / "set", qrels), tmp_path)
    write_files(tmp_path / "set", {"corpus.jsonl": lines([{"_id": "a", "text": "Four."}])})

    read_questions(tmp_path / "set", tmp_path)

    assert asked.folder is not None
    assert [f.read_text("utf-8") for f in asked.folder.iterdir()] == ["Four.\n"]


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ({}, "qrels.tsv cannot be read"),
        ({"qrels.tsv": "query-id\tcorpus-id\tscore\nq0 a 1\n"}, "qrels.tsv, line 2: expected"),
    ],
)
def test_grades_that_cannot_be_read_are_named(
    tmp_path: Path, qrels: Mapping[str, str], message: str
) -> None:
    with pytest.raises(LoadError, match=message):
        read_questions(beir(tmp_path / "set", qrels), tmp_path)


def test_a_file_of_questions_may_be_as_short_as_its_author_likes(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"text": "How long?", "source": "notice.md", "answer": "3"}\n\n', "utf-8")
    asked = read_questions(file, tmp_path)
    assert asked.folder is None
    assert asked.questions[0].relevant == {"notice.md": 1}
    assert asked.questions[0].answers == ("3",)


def test_a_file_of_questions_may_begin_with_a_mark_and_leave_values_empty(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    line = {"text": "How long?", "source": None, "answers": "three months", "metadata": None}
    file.write_text(json.dumps(line), "utf-8-sig")
    (question,) = read_questions(file, tmp_path).questions
    assert question.answers == ("three months",)  # and not its letters
    assert question.evidence == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{broken", "line 1: not JSON"),
        ('{"a": 1}', "no `text`"),
        ('{"text": " "}', "line 1: text is empty"),
        (
            '{"text": "How long?", "answer": 3}',
            "answer must be of type list, not int; docs",
        ),
        (
            '{"text": "How long?", "source": ["a.md", 1]}',
            r"source\[1\] must be of type str",
        ),
        ('{"text": "How long?", "answerable": "no"}', "answerable must be of type bool, not str"),
        ('{"text": "How long?", "metadata": []}', "metadata must be of type dict, not list"),
        (
            '{"text": "How long?", "metadata": {"small": 1}}',
            r"metadata\.small must be of type bool, not int",
        ),
        ('{"text": "How long?", "evidence": ["a.md"]}', r"evidence\[0\] must be of type dict"),
        ('{"text": "How long?", "evidence": [{"text": "a"}]}', r"evidence\[0\]\.doc is missing"),
        (
            '{"text": "How long?", "evidence": [{"doc": "a.pdf", "pages": 3}]}',
            r"evidence\[0\]\.pages must be of type list, not int",
        ),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = write_files(tmp_path, {"q.jsonl": content}) / "q.jsonl"
    with pytest.raises(LoadError, match=message):
        read_questions(file, tmp_path)


def test_evidence_of_a_beir_folder_is_checked_too(tmp_path: Path) -> None:
    source = beir(tmp_path, {"qrels.tsv": "query-id\tcorpus-id\tscore\nq0\ta\t1\n"})
    query = {"_id": "q0", "text": "How long?", "metadata": {"evidence": [{"text": "Three"}]}}
    write_files(tmp_path, {"queries.jsonl": lines([query])})
    with pytest.raises(LoadError, match=r"line 1: metadata\.evidence\[0\]\.doc is missing"):
        read_questions(source, tmp_path / "work")


def test_a_folder_of_no_known_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="is no question set"):
        read_questions(tmp_path, tmp_path)


def test_a_file_without_a_question_is_refused_with_an_example(tmp_path: Path) -> None:
    write_files(tmp_path, {"mine.jsonl": "\n"})
    with pytest.raises(LoadError, match=r'mine\.jsonl holds no question: .* \{"text": "How long'):
        read_questions(tmp_path / "mine.jsonl", tmp_path)


def test_vectors_are_kept_between_runs_and_a_torn_record_is_cut_off(tmp_path: Path) -> None:
    first = HashEmbedder()
    cached = CachedEmbedder(first, tmp_path)
    expected = cached.embed_documents(["a", "b", "a"])
    asked = cached.embed_query("a")
    (file,) = tmp_path.iterdir()
    with file.open("ab") as torn:
        torn.write(b"half a record")

    second = HashEmbedder()
    again = CachedEmbedder(second, tmp_path)

    np.testing.assert_array_equal(again.embed_documents(["a", "b", "a"]), expected)
    np.testing.assert_array_equal(again.embed_query("a"), asked)
    assert (first.sent, second.sent) == (["a", "b"], [])


class Fussy(HashEmbedder):
    """Cannot embed some texts."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        rows = super().embed_documents(texts)
        failed = {i: "too fussy" for i, text in enumerate(texts) if text.startswith("bad")}
        for i in failed:
            rows[i] = 0
        if failed:
            msg = "some failed"
            raise EmbeddingFailedError(msg, "fussy", failed=failed, vectors=rows)
        return rows


def test_texts_that_cannot_be_embedded_are_told_by_their_place_among_all(tmp_path: Path) -> None:
    fussy = Fussy()
    cached = CachedEmbedder(fussy, tmp_path)
    cached.embed_documents(["known"])

    with pytest.raises(EmbeddingFailedError, match="some failed") as caught:
        cached.embed_documents(["known", "good", "bad", "good", "bad"])

    assert caught.value.failed == {2: "too fussy", 4: "too fussy"}
    np.testing.assert_array_equal(caught.value.vectors[3], HashEmbedder().embed_query("good"))
    assert not caught.value.vectors[2].any()
    cached.embed_documents(["good"])
    assert fussy.sent == ["known", "good", "bad"]
