"""A question set asked from one end to the other, in Python and by the command."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder
from terminal import at_terminal

from ragkit.config import Config
from ragkit.errors import ConfigError, LoadError
from ragkit.evaluate import (
    Figure,
    Trial,
    changes,
    evaluate,
    figures,
    need_extra,
    opened,
    plot,
    read_questions,
    read_saved,
    save,
)
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
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

KEYWORD = Config().with_values({"search.mode": "keyword", "models.chat": "none"})
EMBEDDED = ("--backend", "embedded", "--work", "work")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "handbook", DOCS | {"questions.jsonl": "\n".join(map(json.dumps, QUESTIONS))}
    )


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
    saved = read_saved(tmp_path / "before.json")
    assert changes(saved, before) == []
    write_files(folder, {"docs/leave.md": "\n" + DOCS["docs/leave.md"]})
    write_files(folder, {"docs/rent.md": "\n" + DOCS["docs/rent.md"]})
    assert changes(saved, run()) == []  # the same words elsewhere in a document are no news
    write_files(folder, {"docs/notice.md": "# Notice\n\nThe notice period is four months.\n"})

    (change,) = changes(saved, run())

    assert change.id == "n"
    assert [e.split()[0] for e in (*change.lost, *change.gained)] == ["notice.md", "notice.md"]
    assert "three months" in (change.before or "")
    assert "four months" in (change.after or "")
    with pytest.raises(LoadError, match="no file of `ragkit evaluate --save`"):
        read_saved(folder / "questions.jsonl")


@pytest.mark.long
def test_the_command_prints_gates_compares_saves_and_draws(tmp_path: Path, folder: Path) -> None:
    shell = Shell(tmp_path, RAGKIT_MODELS_BACKEND="ollama")  # where nothing answers
    options = (
        *EMBEDDED,
        "--answers",
        "--figures",
        "--save",
        "before.json",
        "--plot",
        "figures.svg",
    )

    first = shell("evaluate", folder, *options, "--compare", "search.mode=keyword")
    assert first.out.startswith("handbook: 3 questions\n\n2 right, 1 rightly refused\n")
    assert "\nright            How long is the notice period?\n" in first.out
    assert "nDCG@10 " in first.out
    compared = first.out.partition("With search.mode=keyword")[2].splitlines()
    assert any(
        re.fullmatch(r"nDCG@10 +1\.0000  1\.0000  \+0\.0000, .* 1\.000", c) for c in compared
    )
    assert any(re.fullmatch(r"refusal AUC +\d\.\d{4}  \d\.\d{4} *", c) for c in compared)
    assert (tmp_path / "figures.svg").read_text("utf-8").count("refusal AUC") >= 1

    again = (*EMBEDDED, "--search-only", "--against", "before.json", "--json", "--gate", "RR<=0.5")
    second = shell("evaluate", folder, *again, code=1)
    assert (second.json["changes"], second.json["asked_before"]) == ([], 3)
    success = {"value": 1.0, "low": 1.0, "high": 1.0, "count": 2}
    assert second.json["figures"]["Success@1"] == success
    assert "ragkit: gate: RR is 1.0000, not <= 0.5" in second.err

    small = (*EMBEDDED, "--search-only", "--small", "--gate", "R@5>=1", "--against", "before.json")
    third = shell("evaluate", folder, *small).out
    assert third.startswith("handbook: 1 questions\n")
    assert third.endswith("\nNothing changed, 1 compared\n")
    assert "right" not in third
    fourth = shell("evaluate", folder, *small, "--answers").out
    assert "nDCG@10" not in fourth
    assert fourth.endswith("\nNo answer changed, 1 compared\n")
    assert not (tmp_path / "indexes").exists()


def test_each_question_is_told_with_what_became_of_it(tmp_path: Path, folder: Path) -> None:
    asked = [
        {"text": "How long is the notice period?", "answer": "three months", "source": "notice.md"},
        {"text": "How is rail travel booked?", "answer": "by bicycle", "source": "travel.txt"},
        {"text": "How many days is annual leave?", "answer": "never", "source": "cook.md"},
        {"text": "Which zebra crossed the purple galaxy?", "answer": "Zoe", "source": "notice.md"},
        {"text": "Which zebra crossed the purple galaxy?", "answerable": False},
        {"text": "Is the notice period three months?", "answerable": False},
        {"text": "How long is the notice period?"},
    ]
    write_files(tmp_path, {"q.jsonl": "\n".join(map(json.dumps, asked))})
    with Pipeline(tmp_path / "ix", KEYWORD, embedder=HashEmbedder()) as rag:
        rag.index(folder / "docs")
        trials = evaluate(read_questions(tmp_path / "q.jsonl", tmp_path), rag, answers=True)

    assert [trial.outcome for trial in trials] == [
        "right", "other sentence", "not found", "wrongly refused", "rightly refused",
        "wrongly answered", "answered",
    ]  # fmt: skip


def test_a_terminal_shows_how_many_questions_were_asked(tmp_path: Path, folder: Path) -> None:
    shell = Shell(tmp_path, RAGKIT_MODELS_BACKEND="embedded")
    with at_terminal(
        shell, "evaluate", str(folder), "--work", "work", "--search-only", TERM="xterm"
    ) as terminal:
        code, screen = terminal.end()

    assert code == 0
    assert "4/4 files" in screen
    assert "questions" in screen.partition("4/4 files")[2]
    assert "100%" in screen
    assert screen.rpartition("handbook: 3 questions\n")[2].startswith("\nfigure ")


def test_a_picture_names_a_set_in_any_script_and_complains_once_at_most(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series = {"问题": {"F1": Figure(0.5, 0.4, 0.6, 3)}}
    plot(series, tmp_path / "a.svg")
    assert ">问题</text>" in (tmp_path / "a.svg").read_text("utf-8")
    assert caplog.messages == []
    plot(series, tmp_path / "a.png")  # a warning of matplotlib's would be an error here
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert all("no font of this machine" in message for message in caplog.messages)
    assert len(caplog.messages) <= 1


def test_own_questions_are_asked_of_an_existing_index(tmp_path: Path, folder: Path) -> None:
    shell = Shell(tmp_path, RAGKIT_MODELS_BACKEND="embedded")
    shell("index", folder / "docs", "--index", "mine")
    asked = [
        {"text": "Who books rail travel?", "source": "travel.txt"},
        {"text": "Who cooks?", "source": "docs/cook.md"},
    ]
    write_files(tmp_path, {"q.jsonl": "\n".join(map(json.dumps, asked))})

    run = shell("evaluate", "q.jsonl", "--json")

    assert run.json["figures"]["Success@1"]["value"] == 0.5
    assert "expected, but not in the index: docs/cook.md\n" in run.err
    nowhere = shell("evaluate", "nowhere", code=1).err
    assert nowhere.startswith("ragkit: nowhere: no such file or folder; give a BEIR folder")
    unheard = shell("evaluate", "q.jsonl", "--compare", "split.chunk_tokens=99", code=2).err
    assert "--compare split.chunk_tokens: it shapes an index when it is built" in unheard
    lost = shell("evaluate", "q.jsonl", "--index", "lost", code=10, RAGKIT_MODELS_BACKEND="auto")
    assert lost.err.startswith(
        f"ragkit: no index at {shell.folder}/indexes/lost"
    )  # and nothing about models


def test_a_ranking_reaches_twenty_documents_where_one_has_most_of_the_passages(
    tmp_path: Path,
) -> None:
    long = "\n\n".join(f"The harbour {i} has ships. " + "Water. " * 150 for i in range(60))
    docs = {f"docs/{i:02}.txt": f"Harbour of town {i}, far from here.\n" for i in range(25)}
    questions = '{"text": "harbour ships", "source": "24.txt"}'
    files = docs | {"docs/long.txt": long, "questions.jsonl": questions}
    asked = read_questions(write_files(tmp_path / "set", files), tmp_path)
    config = Config().with_values({"search.mode": "keyword", "models.chat": "none"})

    with opened(asked, config, tmp_path, embedder=HashEmbedder()) as rag:
        (trial,) = evaluate(asked, rag)

    assert trial.documents[0] == "long.txt"
    assert len(trial.documents) >= 20
    assert len(trial.evidence) == config.search.k


def test_compared_settings_stand_over_the_options_of_the_first(tmp_path: Path) -> None:
    files = {"docs/notice.txt": DOCS["docs/notice.md"], "docs/rail.txt": DOCS["docs/travel.txt"]}
    no_common_word = '{"text": "quitting a job", "source": "notice.txt"}'
    source = write_files(tmp_path / "set", files | {"questions.jsonl": no_common_word})
    shell = Shell(tmp_path, RAGKIT_MODELS_BACKEND="embedded")

    told = shell(
        "evaluate", source, "--mode", "dense", "--compare", "search.mode=keyword", "--json"
    ).json

    assert told["settings"] == ["search.mode=dense"]
    assert told["compared"]["settings"] == ["search.mode=keyword"]
    difference = told["compared"]["differences"]["R@5"]
    assert (difference["first"], difference["second"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--gate", "R@5>high"), 2, "--gate 'R@5>high': expected NAME>=VALUE"),
        (("--plot", "figures.doc"), 2, "must end in .png or .svg"),
        (("--against", "nowhere.json"), 1, "is no file of `ragkit evaluate --save`"),
        (("--against", "other.json"), 1, "other.json has none of these questions"),
        (("--save", "nowhere/before.json"), 2, "there is no folder nowhere"),
        (("--small", "--set", "search.k=x"), 2, "expected a whole number"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_indexed(
    tmp_path: Path, folder: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    save([], tmp_path / "other.json")
    shell = Shell(tmp_path, RAGKIT_MODELS_BACKEND="embedded")
    assert message in shell("evaluate", folder, "--work", "work", *options, code=code).err
    assert not (tmp_path / "work").exists()


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)  # as the interpreter marks what is not there
    with pytest.raises(ConfigError, match=r"not installed: scipy; .*'scipy>="):
        need_extra()
