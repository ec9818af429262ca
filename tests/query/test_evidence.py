"""Evidence: what speaks for a question and what against it, and questions of every bad kind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from commands import write_files
from hash_embedder import HashEmbedder
from test_ground import hit

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.query.answer_kinds import holds_kind, kind_expected
from ragkit.query.evidence import FEATURES, THRESHOLD, evidence, has_evidence, measures
from ragkit.query.proof.analysed import AnalysedText
from ragkit.records import Hit, HitRanks
from ragkit.store.calibration import NO_CALIBRATION, Calibration, Scale

if TYPE_CHECKING:
    from pathlib import Path

SCALE = Scale(0.2, 0.8, 0.1, 0.5)
BOTH = Calibration(9, {"aa": SCALE, "cc": SCALE, "ac": SCALE, "ca": SCALE}, crosses=True)
PERIOD = "The notice period is three months."
ASKED = AnalysedText("How long is the notice period?")


def found(text: str, score: float | None = None, background: float | None = None) -> list[Hit]:
    return [hit(1, 0, len(text), text, score=score, ranks=HitRanks(background=background))]


def told(question: str, text: str, score: float = 0.5) -> float:
    return evidence(AnalysedText(question), found(text, score), BOTH)


def test_words_decide_where_nothing_was_measured() -> None:
    foreign = AnalysedText("How do volcanoes erupt?")
    assert evidence(ASKED, found(PERIOD, 0.1), NO_CALIBRATION) > THRESHOLD
    assert evidence(foreign, found(PERIOD, 0.99), NO_CALIBRATION) < THRESHOLD
    assert evidence(ASKED, found(PERIOD)) == evidence(ASKED, found(PERIOD, 0.9))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How long is the notice period?", PERIOD),
        ("How long is the notice period?", "通知期为三个月。"),
        ("通知期有多长？", "通知期为三个月。"),
        ("通知期有多长？", PERIOD),
    ],
)
def test_evidence_grows_with_the_cosine(question: str, text: str) -> None:
    values = [told(question, text, score) for score in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert values == sorted(values)
    assert values[0] < values[-1]
    assert all(0 <= value <= 1 for value in values)


def test_a_scale_makes_cosines_of_any_range_alike() -> None:
    narrow = Scale(0.70, 0.76, 0.01, 0.05)
    said = measures(ASKED, found(PERIOD, 0.73, 0.70), Calibration(9, {"aa": narrow}, crosses=False))
    wide = measures(ASKED, found(PERIOD, 0.5, 0.2), Calibration(9, {"aa": SCALE}, crosses=False))
    assert said[0][0] == wide[0][0] == "same"
    assert said[0][1]["near"] == pytest.approx(wide[0][1]["near"]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("question", "better"),
    [
        ("Is the notice period not three months?", "Is the notice period three months?"),
        ("Is the notice period in Berlin three months?", "Is the notice period three months?"),
        ("Was the notice period three months in 2019?", "Is the notice period three months?"),
        ("When does the notice period of a cook end?", "When does the notice period end?"),
    ],
)
def test_what_speaks_against_a_question_is_less_evidence(question: str, better: str) -> None:
    assert told(question, PERIOD) < told(better, PERIOD)


def test_the_question_must_stand_in_one_place() -> None:
    together = "Filler one. Filler two. The deposit of the tenant is two rents. Filler three."
    apart = "The deposit is known. Filler one. Filler two. Filler three. The tenant is away."
    asked = AnalysedText("What is the deposit of the tenant?")
    (_, near), (_, far) = (measures(asked, found(t), NO_CALIBRATION)[0] for t in (together, apart))
    assert near["share"] == far["share"] == 1.0
    assert near["window"] == 1.0
    assert far["window"] == pytest.approx(0.5)


def test_rare_terms_carry_a_question() -> None:
    common = Calibration(99, {}, crosses=False, common={"staff": 0.8})
    asked = AnalysedText("Which staff may use the sauna?")
    (_, rare) = measures(asked, found("The sauna is open."), common)[0]
    (_, plain) = measures(asked, found("The staff may use it."), common)[0]
    assert rare["share"] > 0.4
    assert plain["share"] < 0.6
    assert rare["heaviest"] <= plain["heaviest"] == pytest.approx(1.0)


def test_a_term_is_absent_if_no_passage_found_has_it() -> None:
    asked = AnalysedText("What is the deposit of the tenant?")
    texts = ("The deposit is two rents.", "Filler.", "Filler.", "The tenant is away.")
    hits = [one for text in texts for one in found(text)]
    (_, alone) = measures(asked, hits[:1], NO_CALIBRATION)[0]
    (_, all_four) = measures(asked, hits, NO_CALIBRATION)[0]
    assert alone["absent"] == pytest.approx(0.5)
    assert all_four["absent"] == 0.0
    assert alone["together"] == pytest.approx(all_four["together"]) == pytest.approx(math.log(50))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Who won the football cup in 1974?", "The bridge was opened in 1974. It is long."),
        ("Which engine did the Wright brothers build?", "The bridge took three years to build."),
        ("谁赢得了1974年的足球杯？", "大桥于1974年建成。"),
    ],
)
def test_one_shared_word_is_no_evidence_by_words_alone(question: str, text: str) -> None:
    assert not has_evidence(AnalysedText(question), found(text))


def test_a_mixed_passage_counts_as_chinese_for_a_chinese_question() -> None:
    mixed = "Cats (猫) sleep a lot: sixteen hours of a day."
    assert measures(AnalysedText("猫睡多久？"), found(mixed, 0.5), BOTH)[0][0] == "same"
    assert measures(AnalysedText("猫睡多久？"), found("Cats sleep.", 0.5), BOTH)[0][0] == "cross"
    assert measures(AnalysedText("How long?"), found("猫睡得很多。", 0.5), BOTH)[0][0] == "cross"


def test_every_measure_that_a_model_reads_is_given() -> None:
    for question, text in (("How long?", PERIOD), ("通知期？", PERIOD), ("通知期？", "通知期。")):
        for head, measured in measures(AnalysedText(question), found(text, 0.5, 0.2), BOTH):
            assert set(FEATURES[head]) <= measured.keys()
            assert set(FEATURES["answer"]) <= measured.keys() or head != "same"


def test_a_minimum_of_its_own_takes_the_place_of_the_threshold() -> None:
    value = evidence(ASKED, found(PERIOD, 0.5), BOTH)
    assert THRESHOLD < value < 1
    assert has_evidence(ASKED, found(PERIOD, 0.5), calibration=BOTH)
    assert not has_evidence(ASKED, found(PERIOD, 0.5), calibration=BOTH, minimum=1.0)
    assert has_evidence(AnalysedText("Volcanoes?"), found(PERIOD), minimum=0.0)
    assert not has_evidence(ASKED, [], minimum=0.0)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When was the bridge built?", "date"),
        ("In what year did it open?", "date"),
        ("大桥是哪一年建成的？", "date"),
        ("How many rooms are there?", "number"),
        ("押金是多少？", "number"),
        ("Who signs the contract?", "name"),
        ("Where is the office?", "place"),
        ("Why is it closed?", None),
    ],
)
def test_the_kind_of_answer_is_read_from_the_question(question: str, kind: str | None) -> None:
    assert kind_expected(AnalysedText(question)) == kind


@pytest.mark.parametrize(
    ("question", "text", "holds"),
    [
        ("When was the bridge of 1932 built?", "The bridge of 1932 is long.", False),
        ("When was the bridge built?", "It was built in March.", True),
        ("大桥什么时候建成？", "大桥于一九三二年建成。", True),
        ("How many rooms are there?", "There are seven rooms.", True),
        ("How many rooms are there?", "There are rooms.", False),
        ("Who signs for Anna?", "then Anna signs.", False),
        ("Who signs for Anna?", "then Bert signs for Anna.", True),
        ("Where is it?", "它在柏林。", True),
    ],
)
def test_an_answer_of_the_kind_is_more_than_the_question_holds(
    question: str,
    text: str,
    holds: bool,  # noqa: FBT001 -- a table
) -> None:
    asked = AnalysedText(question)
    kind = kind_expected(asked)
    assert kind is not None
    assert holds_kind(kind, asked, AnalysedText(text)) is holds


PAGES = {
    "one": {"only.md": f"{PERIOD}\n"},
    "tables": {"a.md": "| name | notice |\n| --- | --- |\n| cook | three months |\n"},
    "code": {"a.py": "def notice_period(months: int) -> int:\n    return months * 30\n"},
    "asks": {"faq.md": "# How long is the notice period?\n\nThree months, to a quarter's end.\n"},
}


@pytest.mark.parametrize("pages", PAGES)
@pytest.mark.parametrize(
    "question",
    [
        "?!… ——",
        "the of and is",
        "的了吗呢",
        '" OR 1=1; DROP TABLE chunks; --',
        "NEAR(volcano, 5) AND eruption* NOT (lava",
        "火山为什么会喷发？",
        "Как извергаются вулканы?",
        "Why do volcanoes erupt? " * 420,
    ],
    ids=["marks", "stop", "stop-zh", "sql", "fts", "chinese", "russian", "long"],
)
def test_a_question_about_nothing_there_is_refused(
    tmp_path: Path, pages: str, question: str
) -> None:
    with opened(tmp_path, PAGES[pages]) as rag:
        answer = rag.ask(question)
    assert answer.refused
    assert answer.citations == ()


@pytest.mark.parametrize(
    ("pages", "question"),
    [
        ("one", "How long is the notice period?"),
        ("one", "notice period"),
        ("tables", "Which notice does the cook have?"),
        ("code", "notice_period months"),
        ("asks", "How long is the notice period?"),
    ],
)
def test_a_small_folder_answers_what_it_says(tmp_path: Path, pages: str, question: str) -> None:
    with opened(tmp_path, PAGES[pages]) as rag:
        answer = rag.ask(question)
    assert not answer.refused
    assert answer.citations
    assert answer.citations[0].quote.strip() != question


def opened(folder: Path, files: dict[str, str]) -> Pipeline:
    docs = write_files(folder / "docs", files)
    config = Config().with_values({"models.chat": "none"})
    rag = Pipeline(folder / "index", config, embedder=HashEmbedder())
    rag.index(docs)
    return rag
