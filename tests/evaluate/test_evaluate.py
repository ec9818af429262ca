"""The figures of an evaluation, each against a count by hand, and what may be asked of them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import ConfigError
from ragkit.evaluate import Trial, differences, figures, gate_failures, parse_gate
from ragkit.evaluate.dataset import GoldPassage, Question
from ragkit.evaluate.measures import (
    answer_tokens,
    answer_values,
    contains,
    exact_match,
    f1,
    passage_values,
    rank_values,
    span_recall,
)
from ragkit.evaluate.summary import ORDER
from ragkit.records import Answer, Citation, Hit, Page, Receipt, Sentence


def trial(name: str, **values: object) -> Trial:
    blank = {"documents": (), "evidence": (), "certainty": 0.5, "refused": False, "search_s": 0.01}
    return Trial(**({"id": name, "text": name, "answerable": True} | blank | values))  # type: ignore[arg-type]  # any of its fields


def test_ranking_measures_are_those_of_their_formulas() -> None:
    ranking, grades = [f"d{i}" for i in range(1, 8)], {"d2": 2, "d4": 1, "d7": 1}

    (values,) = rank_values([ranking], [grades])

    gain = 2 / math.log2(3) + 1 / math.log2(5) + 1 / math.log2(8)
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert values == pytest.approx(
        {"nDCG@10": gain / ideal, "R@5": 2 / 3, "R@10": 1, "R@20": 1, "RR": 0.5, "Success@1": 0}
    )


@given(st.permutations(range(30)), st.dictionaries(st.integers(0, 40), st.integers(1, 3)))
def test_ranking_measures_agree_with_a_count_by_hand(
    order: list[int], graded: dict[int, int]
) -> None:
    ranking, grades = [str(d) for d in order], {str(d): grade for d, grade in graded.items()}

    (values,) = rank_values([ranking], [grades])

    found = [rank for rank, document in enumerate(ranking, 1) if document in grades]
    ideal = sum(g / math.log2(i + 1) for i, g in enumerate(sorted(grades.values())[:-11:-1], 1))
    gain = sum(grades[ranking[rank - 1]] / math.log2(rank + 1) for rank in found if rank <= 10)
    by_hand = {f"R@{k}": sum(r <= k for r in found) / max(1, len(grades)) for k in (5, 10, 20)}
    by_hand |= {"RR": 1 / min(found, default=math.inf), "Success@1": float(1 in found)}
    assert values == pytest.approx(by_hand | {"nDCG@10": gain / ideal} if grades else {})


def test_a_question_that_finds_nothing_counts_as_zero_and_one_without_grades_not_at_all() -> None:
    first, second = rank_values([(), ()], [{"d": 1}, {}])
    assert set(first.values()) == {0.0}
    assert second == {}


def hit(path: str, start: int, end: int, text: str = "", pages: tuple[Page, ...] = ()) -> Hit:
    return Hit(1, 1.0, "", "", "", path, "", "", (), None, start, end, text, "", pages=pages)


def test_span_recall_counts_each_character_once() -> None:
    spans = [GoldPassage("a", start=10, end=20), GoldPassage("b", start=0, end=10)]
    assert span_recall(spans, [hit("a", 0, 15), hit("a", 12, 16), hit("c", 0, 99)]) == 0.3


def test_passages_are_judged_by_their_words_pages_and_places_to_the_depth_named() -> None:
    question = Question(
        "q", "q", answers=("two weeks",), evidence=(GoldPassage("a", "", 10, 20, pages=(3,)),)
    )
    top = [hit("b", 0, 50, "within two weeks"), *(hit("c", 0, 10) for _ in range(4))]
    ranked = [*top, hit("a", 15, 30, pages=(Page(2, 0, 16), Page(3, 16, 40)))]

    assert dict(passage_values(question, ranked)) == {
        "span recall@5": 0.0,
        "characters@5": 90.0,
        "answer in top 5": 1.0,
        "page in top 5": 0.0,
        "span recall@20": 0.5,
        "characters@20": 105.0,
        "answer in top 20": 1.0,
        "page in top 20": 1.0,
    }


def answered(text: str, *cited: tuple[str, int, str]) -> Answer:
    """An answer of one sentence with citations: path, start, quote."""
    citations = tuple(
        Citation(1, "", "", path, "", (), 3, start, start + len(quote), quote, "")
        for path, start, quote in cited
    )
    tied = (Sentence(0, len(text), "quoted", tuple(range(len(citations)))),)
    receipt = Receipt(0, 0, 0)
    return Answer("q", text, not text, tied, citations, "", "", None, None, "", 1, receipt)


@pytest.mark.parametrize(
    ("evidence", "precision", "recall"),
    [
        ((GoldPassage("a", "", 30, 40),), 1 / 2, 1.0),
        ((GoldPassage("a", "", 30, 40), GoldPassage("b", "", 0, 9)), 1 / 2, 1 / 2),
        ((GoldPassage("a", "First, THREE\n  months notice are given."),), 1 / 2, 1.0),
        ((GoldPassage("a", "Nothing of this kind."),), 0.0, 0.0),
        ((GoldPassage("a", pages=(4,)), GoldPassage("c")), 1 / 2, 1 / 2),
    ],
    ids=["places", "one of two places", "words", "other words", "pages and documents"],
)
def test_citations_are_right_where_they_overlap_the_evidence(
    evidence: tuple[GoldPassage, ...], precision: float, recall: float
) -> None:
    answer = answered(
        "Three months. [1]",
        ("a", 20, "Three months notice are given."),
        ("c", 30, "Rail travel is second class."),
    )
    told = dict(answer_values(Question("q", "q", evidence=evidence), answer, []))
    assert (told["citation precision"], told["citation recall"]) == (precision, recall)


def test_an_answer_is_judged_against_the_reference_and_its_passages() -> None:
    question = Question("q", "q", answers=("three months",))
    given = hit("a", 0, 40, "The period is three months. Or so.")
    said = answered("The period is three months. [1]")

    assert dict(answer_values(question, said, [given])) == {
        "exact match": 0.0,
        "F1": pytest.approx(2 * (2 / 4) * 1 / (2 / 4 + 1)),
        "answer contains the reference": 1.0,
        "verbatim share": 1.0,
    }
    assert dict(answer_values(question, said, []))["verbatim share"] == 0.0


def test_a_quotation_over_neighbouring_hits_is_verbatim() -> None:
    question = Question("q", "q", answers=("three months",))
    texts = {11: "is three ", 0: "The period ", 20: "months. Or so."}
    hits = [
        replace(hit("a", start, start + len(text), text), rank=rank)
        for rank, (start, text) in enumerate(texts.items(), start=1)
    ]
    said = answered("The period is three months. [1]")
    assert dict(answer_values(question, said, hits))["verbatim share"] == 1.0
    assert dict(answer_values(question, said, hits[:2]))["verbatim share"] == 0.0


def test_refusing_a_question_that_has_an_answer_counts_as_an_empty_answer() -> None:
    told = dict(answer_values(Question("q", "q", answers=("three months",)), answered(""), []))
    assert set(told.values()) == {0.0}


@pytest.mark.parametrize(
    ("said", "reference", "same", "score"),
    [
        ("The three months.", "three months", 1, 1.0),
        ("It is three months", "three months", 0, 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("the U.S.", "US", 1, 1.0),
        ("两周内", "两周", 0, 2 * (2 / 3) / (2 / 3 + 1)),
        ("两　周。", "两周", 1, 1.0),
        ("", "两周", 0, 0.0),
        ("years", "months", 0, 0.0),
    ],
)
def test_answers_are_compared_as_squad_and_mlqa_do(
    said: str, reference: str, same: int, score: float
) -> None:
    assert exact_match(said, [reference]) == same
    assert f1(said, ["something else", reference]) == pytest.approx(score)


def test_a_text_contains_a_reference_only_in_whole_tokens() -> None:
    assert contains("It takes three months.", ["Three months"])
    assert not contains("It takes thirteen months", ["three months"])
    assert contains("应当在两周内退还", ["两周"])
    assert contains("within three months—or less", ["three months"])
    assert answer_tokens("A 3.5% rise — an IPO") == ["35", "rise", "ipo"]


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
    assert told["search ms p50"].value == pytest.approx(10)


def test_figures_come_in_a_fixed_order_whatever_the_first_question_has() -> None:
    first = trial("a", values={"F1": 1.0})
    second = trial("b", values={"F1": 0.0, "nDCG@10": 1.0})
    assert list(figures([first, second]))[:2] == ["nDCG@10", "F1"]
    assert list(differences([first, second], [first, second])) == ["nDCG@10", "F1"]


def test_every_figure_is_explained_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/evaluate.md").read_text("utf-8")
    stems = {re.sub(r"( top|@| ms p?).*", "", name) for name in ORDER}
    assert {stem for stem in stems if stem not in page} == set()


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


def test_a_setting_that_refuses_more_is_compared_by_what_it_refuses() -> None:
    asked = [trial(str(i), answerable=i < 10) for i in range(20)]
    stricter = [replace(t, refused=int(t.id) in {0, *range(12, 20)}) for t in asked]

    told = differences(asked, stricter)

    assert list(told) == ["refusal recall", "answerable kept"]
    assert (told["refusal recall"].first, told["refusal recall"].second) == (0.0, 0.8)
    assert (told["answerable kept"].first, told["answerable kept"].second) == (1.0, 0.9)
    assert told["refusal recall"].p < 0.05 < told["answerable kept"].p
    assert differences(asked[:10], stricter[:10]) == {}  # as `figures`: none are unanswerable


def test_one_question_has_neither_an_interval_nor_a_significant_difference() -> None:
    one, other = [trial("a", values={"RR": 0.5})], [trial("a", values={"RR": 1.0})]
    assert (figures(one)["RR"].low, figures(one)["RR"].high) == (0.5, 0.5)
    assert differences(one, other)["RR"].p == 1.0


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


def test_a_misspelt_gate_is_told_before_anything_is_measured() -> None:
    with pytest.raises(ConfigError, match=r"no figure has this name; there are nDCG@10, R@5"):
        parse_gate("ndcg>=0.5")


@pytest.mark.parametrize("gate", ["F1", "F1>=high", "nDCG@10>=0.5", ">=1"])
def test_a_gate_that_cannot_be_judged_is_an_error_and_not_a_pass(gate: str) -> None:
    with pytest.raises(ConfigError, match="--gate"):
        gate_failures([gate], figures([trial("a", values={"F1": 0.6})]))
