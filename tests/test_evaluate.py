"""Evaluation: every figure against a hand count or another library, and the command as used."""

from __future__ import annotations

import json
import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder

from ragkit.config import Config
from ragkit.errors import ConfigError, LoadError
from ragkit.evaluate import (
    Trial,
    changes,
    differences,
    evaluate,
    figures,
    gate_failures,
    opened,
    read_questions,
    save,
)
from ragkit.evaluate.cache import CachedEmbedder
from ragkit.evaluate.correct import answer_tokens, contains, exact_match, f1
from ragkit.evaluate.dataset import Evidence, Question
from ragkit.evaluate.figures import rank_values
from ragkit.evaluate.trial import span_recall
from ragkit.records import Hit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DOCS = {
    "docs/notice.md": "# Notice\n\nThe notice period is three months..\n",
    "docs/leave.md": "# Leave\n\nAnnual leave amounts to thirty working days a year.\n",
    "docs/travel.txt": "Rail travel is booked by the office, second class.\n",
    "docs/rent.md": "# 租房\n\n房东应当在两周内退还押金。租客提前一个月通知。\n",
}
QUESTIONS = [
    {
        "_id": "n",
        "text": "How long is the notice period?",
        "answers": ["three months"],
        "evidence": [{"doc": "notice.md", "text": "The notice period is three months.",
                      "start": 10, "end": 44}],
        "metadata": {"small": True},
    },
    {
        "_id": "r",
        "text": "房东应当在多久内退还押金？",
        "answers": ["两周"],
        "evidence": [{"doc": "rent.md"}],
    },
    {"_id": "x", "text": "Which zebra crossed?", "metadata": {"answerable": False}},
]  # fmt: skip


def lines(records: Sequence[object]) -> str:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "handbook", DOCS | {"questions.jsonl": lines(QUESTIONS)})


def trial(name: str, **values: object) -> Trial:
    blank = {"documents": (), "evidence": (), "certainty": 0.5, "refused": False, "seconds": 0.01}
    return Trial(**({"id": name, "text": name, "answerable": True} | blank | values))  # type: ignore[arg-type]  # any of its fields


def ranked(*grades: int) -> tuple[Trial, Question]:
    """A ranking of documents d1, d2, ... with those grades, 0 for irrelevant."""
    names = tuple(f"d{i}" for i in range(1, len(grades) + 1))
    relevant = {n: g for n, g in zip(names, grades, strict=True) if g}
    return trial("q", documents=names), Question("q", "q", relevant=relevant)


# Figures -------------------------------------------------------------------------------------


def test_ranking_measures_are_those_of_their_formulas() -> None:
    found, question = ranked(0, 2, 0, 1, 0, 0, 1)
    (values,) = rank_values([found], [question])

    gain = 2 / math.log2(3) + 1 / math.log2(5) + 1 / math.log2(8)
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert values == pytest.approx(
        {"nDCG@10": gain / ideal, "R@5": 2 / 3, "R@10": 1, "R@20": 1, "RR": 0.5, "Success@1": 0}
    )


def test_a_question_that_finds_nothing_counts_as_zero_and_one_without_grades_not_at_all() -> None:
    nothing, asked = trial("q"), Question("q", "q", relevant={"d": 1})
    unknown = Question("u", "u")
    first, second = rank_values([nothing, trial("u")], [asked, unknown])
    assert set(first.values()) == {0.0}
    assert second == {}


def test_span_recall_counts_each_character_once() -> None:
    def hit(path: str, start: int, end: int) -> Hit:
        return Hit(1, 1.0, "", "", "", path, "", "", (), None, start, end, "", "")

    spans = [Evidence("a", start=10, end=20), Evidence("b", start=0, end=10)]
    assert span_recall(spans, [hit("a", 0, 15), hit("a", 12, 16), hit("c", 0, 99)]) == 0.3


@pytest.mark.parametrize(
    ("said", "reference", "same", "score"),
    [
        ("The three months.", "three months", 1, 1.0),
        ("It is three months", "three months", 0, 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("两周内", "两周", 0, 2 * (2 / 3) / (2 / 3 + 1)),
        ("两　周。", "两周", 1, 1.0),
        ("", "两周", 0, 0.0),
        ("years", "months", 0, 0.0),
    ],
)
def test_answers_are_compared_as_squad_and_cmrc_do(
    said: str, reference: str, same: int, score: float
) -> None:
    assert exact_match(said, [reference]) == same
    assert f1(said, ["something else", reference]) == pytest.approx(score)


def test_a_text_contains_a_reference_only_in_whole_tokens() -> None:
    assert contains("It takes three months.", ["Three months"])
    assert not contains("It takes thirteen months", ["three months"])
    assert contains("应当在两周内退还", ["两周"])
    assert answer_tokens("A 3.5% rise — an IPO") == ["3", "5", "rise", "ipo"]


def test_refusal_is_judged_over_answerable_and_unanswerable_questions() -> None:
    certain = [0.9, 0.6, 0.6, 0.2]
    unsure = [0.6, 0.1, 0.3]
    trials = [trial(str(i), certainty=c, refused=c < 0.3) for i, c in enumerate(certain)]
    trials += [trial(f"u{c}", certainty=c, refused=c < 0.3, answerable=False) for c in unsure]

    told = figures(trials)

    wins = sum((a > b) + 0.5 * (a == b) for a, b in product(certain, unsure))
    assert told["refusal AUC"].value == pytest.approx(wins / 12)
    assert told["refusal precision"].value == pytest.approx(1 / 2)
    assert told["refusal recall"].value == pytest.approx(1 / 3)
    assert told["answerable kept"].value == pytest.approx(3 / 4)
    assert told["refusal AUC"].low < wins / 12 < told["refusal AUC"].high


def test_an_interval_agrees_with_the_normal_approximation_and_is_the_same_each_time() -> None:
    values = np.random.default_rng(1).random(400)
    trials = [trial(str(i), values={"F1": float(v)}) for i, v in enumerate(values)]

    figure = figures(trials)["F1"]

    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert figure.value == pytest.approx(values.mean())
    assert figure.high - figure.low == pytest.approx(2 * half, rel=0.1)
    assert figures(trials)["F1"] == figure


def test_two_settings_are_compared_question_by_question() -> None:
    rng = np.random.default_rng(2)
    noise = rng.random(60)
    first = [trial(str(i), values={"RR": float(v), "F1": 0.5}) for i, v in enumerate(noise)]
    second = [trial(str(i), values={"RR": float(v) + 0.05, "F1": 0.5}) for i, v in enumerate(noise)]

    told = differences(first, second)

    assert told["RR"].second - told["RR"].first == pytest.approx(0.05)
    assert told["RR"].low == pytest.approx(0.05)
    assert told["RR"].p < 0.01
    assert told["F1"].p == 1.0
    shuffled = differences(first, [*second[1:], second[0]])
    assert shuffled["RR"].p > told["RR"].p  # other pairs: the noise is no longer common to both


@pytest.mark.parametrize(
    ("gate", "failures"),
    [
        ("F1>=0.5", []),
        ("F1 >= 0.7", ["F1 is 0.6000, not >= 0.7"]),
        ("F1<=0.5", ["F1 is 0.6000, not <= 0.5"]),
    ],
)
def test_a_gate_holds_or_tells_the_value_it_failed_on(gate: str, failures: list[str]) -> None:
    told = figures([trial("a", values={"F1": 0.6}), trial("b", values={"F1": 0.6})])
    assert gate_failures([gate], told) == failures


@pytest.mark.parametrize("gate", ["F1", "F1>=high", "nDCG@10>=0.5", ">=1"])
def test_a_gate_that_cannot_be_judged_is_an_error_and_not_a_pass(gate: str) -> None:
    with pytest.raises(ConfigError, match="--gate"):
        gate_failures([gate], figures([trial("a", values={"F1": 0.6})]))


# Sets ----------------------------------------------------------------------------------------


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


def test_a_file_of_questions_may_be_as_short_as_its_author_likes(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"text": "How long?", "source": "notice.md", "answer": "3"}\n\n', "utf-8")
    asked = read_questions(file, tmp_path)
    assert asked.folder is None
    assert asked.questions[0].relevant == {"notice.md": 1}
    assert asked.questions[0].answers == ("3",)


@pytest.mark.parametrize(
    ("content", "message"), [("{broken", "line 1: not JSON"), ('{"a": 1}', "no `text`")]
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = write_files(tmp_path, {"q.jsonl": content}) / "q.jsonl"
    with pytest.raises(LoadError, match=message):
        read_questions(file, tmp_path)


def test_a_folder_of_no_known_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="is no question set"):
        read_questions(tmp_path, tmp_path)


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


# The whole -----------------------------------------------------------------------------------


def test_a_set_is_indexed_asked_and_measured(tmp_path: Path, folder: Path) -> None:
    asked = read_questions(folder, tmp_path / "work")
    config = Config().with_values({"search.mode": "keyword", "models.chat": "none"})
    embedder = HashEmbedder()
    for _ in range(2):
        with opened(asked, config, tmp_path / "work", embedder=embedder) as rag:
            trials = evaluate(asked, rag, answers=True)
    told = figures(trials)

    assert [t.documents[0] for t in trials[:2]] == ["notice.md", "rent.md"]
    assert told["nDCG@10"].value == 1.0
    assert told["span recall@5"].value == 1.0
    assert told["answer in top 5"].value == 1.0
    assert (told["refusal precision"].value, told["refusal recall"].value) == (1.0, 1.0)
    assert told["verbatim share"].value == 1.0
    assert 0 < told["citation recall"].value <= 1.0
    assert len(embedder.sent) == len(set(embedder.sent))  # the second run embedded nothing again


def test_what_changed_since_it_was_saved_is_told_question_by_question(
    tmp_path: Path, folder: Path
) -> None:
    config = Config().with_values({"search.mode": "keyword", "search.k": 1, "models.chat": "none"})

    def run() -> list[Trial]:
        asked = read_questions(folder, tmp_path / "work")
        with opened(asked, config, tmp_path / "work", embedder=HashEmbedder()) as rag:
            return evaluate(asked, rag, answers=True)

    before = run()
    save(before, tmp_path / "before.json")
    assert changes(tmp_path / "before.json", before) == []
    write_files(folder, {"docs/notice.md": "# Notice\n\nThe notice period is four months.\n"})

    (change,) = changes(tmp_path / "before.json", run())

    assert change.id == "n"
    assert [e.split()[0] for e in (*change.lost, *change.gained)] == ["notice.md", "notice.md"]
    assert "three months" in (change.before or "")
    assert "four months" in (change.after or "")
    with pytest.raises(LoadError, match="no file of `ragkit evaluate --save`"):
        changes(folder / "questions.jsonl", before)


def test_the_command_prints_gates_compares_saves_and_draws(tmp_path: Path, folder: Path) -> None:
    shell = Shell(tmp_path, RAGKIT_MODELS_BACKEND="embedded")
    options = ("--work", "work", "--save", "before.json", "--plot", "figures.svg")

    first = shell("evaluate", folder, *options, "--compare", "search.mode=keyword")
    assert first.out.startswith("handbook: 3 questions\n")
    assert "nDCG@10 " in first.out
    assert "With search.mode=keyword" in first.out
    assert (tmp_path / "figures.svg").read_text("utf-8").count("refusal AUC") >= 1

    told = shell("evaluate", folder, "--work", "work", "--against", "before.json", "--json").json
    assert told["changes"] == []
    assert told["figures"]["Success@1"] == {"value": 1.0, "low": 1.0, "high": 1.0, "count": 2}

    small = shell("evaluate", folder, "--work", "work", "--small", "--gate", "R@5>=1").out
    assert small.startswith("handbook: 1 questions\n")
    failed = shell("evaluate", folder, "--work", "work", "--gate", "RR<=0.5", code=1)
    assert "ragkit: gate: RR is 1.0000, not <= 0.5" in failed.err
    assert not (tmp_path / "indexes").exists()


def test_own_questions_are_asked_of_an_existing_index(tmp_path: Path, folder: Path) -> None:
    shell = Shell(tmp_path, RAGKIT_MODELS_BACKEND="embedded")
    shell("index", folder / "docs", "--index", "mine")
    write_files(tmp_path, {"q.jsonl": '{"text": "Who books rail travel?", "source": "travel.txt"}'})

    told = shell("evaluate", "q.jsonl", "--json").json

    assert told["figures"]["Success@1"]["value"] == 1.0
    assert shell("evaluate", "nowhere", code=1).err.startswith("ragkit: nowhere is no question set")
