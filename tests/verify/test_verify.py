"""``ragkit verify``: what stands, what somebody changed, and where to look."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import make_files
import pytest
from commands import Shell, write_files
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama_double.server import OllamaServer

from ragkit import Answer, Citation, Pipeline, Receipt, Sentence, from_json, to_json
from ragkit.config import Config
from ragkit.errors import LoadError
from ragkit.records import Dropped, IndexReport
from ragkit.verify.answers import read_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTICE = "# Leaving\n\nIntroduction.\n\n## Notice\n\nThe notice period is three months for staff.\n"
NOTES: dict[str, str | bytes] = {"notice.md": NOTICE}
PLAN = make_files.pdf(["", "Pensions are paid monthly by the fund."])
QUESTION = "How long is the notice period for staff?"
TOLD = (
    "Notice is 3 months for staff [1]. The notice period is three months [1]. "
    "Notice is four months for staff [1]. That is all."
)
STATUSES = ["supported", "quoted", "unsupported", "uncited"]
World = tuple[Pipeline, Answer]


@pytest.fixture(scope="module")
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


def made(
    folder: Path, server: OllamaServer, files: dict[str, str | bytes], question: str, told: str
) -> World:
    """An index of files, and what the scripted model answers from it."""
    docs = write_files(folder / "docs", files)
    values = {"models.backend": "ollama", "models.ollama_host": server.url}
    rag = Pipeline(folder / "indexes/docs", Config().with_values(values))
    rag.index(docs)
    server.script(told)
    return rag, rag.ask(question)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, server: OllamaServer) -> Iterator[World]:
    """An answer over `NOTES` for tests that leave the files alone."""
    rag, answer = made(tmp_path_factory.mktemp("kept"), server, NOTES, QUESTION, TOLD)
    with rag:
        yield rag, answer


@pytest.fixture
def world(tmp_path: Path, server: OllamaServer) -> Iterator[World]:
    """An answer over `NOTES` for tests that change the files."""
    rag, answer = made(tmp_path, server, NOTES, QUESTION, TOLD)
    with rag:
        yield rag, answer


@pytest.fixture
def paged(tmp_path: Path, server: OllamaServer) -> Iterator[World]:
    """An answer over a PDF of two pages, the first of them blank."""
    told = "Pensions are paid monthly by the fund [1]."
    rag, answer = made(tmp_path, server, {"plan.pdf": PLAN}, "Who pays pensions?", told)
    with rag:
        yield rag, answer


def edited(answer: Answer, *way: str | int, to: object) -> Answer:
    """The answer after somebody changed one value of its JSON."""
    record: Any = json.loads(json.dumps(to_json(answer)))
    place = record
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = to
    return from_json(Answer, record)


def test_what_nobody_touched_holds_sentence_by_sentence(kept: World) -> None:
    rag, answer = kept
    found = rag.verify(answer)

    assert [s.status for s in found.sentences] == STATUSES
    assert [s.recorded for s in found.sentences] == STATUSES
    assert [c.state for c in found.citations] == ["holds", "holds"]
    assert (found.holds, found.proved) == (True, False)


def test_a_heading_of_a_section_that_shares_a_chunk_holds_and_another_does_not(
    tmp_path: Path, server: OllamaServer
) -> None:
    leave = "## Leave\n\nThirty days of leave are given.\n\n"
    text = f"# Handbook\n\n{leave}## Notice\n\nThree months of notice are due.\n"
    told = "Three months of notice are due [1]."
    rag, answer = made(tmp_path, server, {"a.md": text}, "How many months of notice?", told)
    with rag:
        assert answer.citations[0].heading == ("Handbook", "Notice")
        assert rag.verify(answer).citations[0].state == "holds"
        wrong = edited(answer, "citations", 0, "heading", to=["Handbook", "Leave"])
        found = rag.verify(wrong).citations[0]
        assert (found.state, "heading" in found.detail) == ("differs", True)


def test_quotations_in_several_lines_hold_as_they_were_given(kept: World, tmp_path: Path) -> None:
    lines = (
        "The notice period is as follows:\n\nThe notice period of staff is three months.\n\n"
        "The notice period of staff is always three months.\n\n"
        "通知期为三个月；员工的通知期见下文\n\nThe notice period of a trainee is 5 days.\n"
    )
    rag, _ = kept
    docs = write_files(tmp_path / "docs", {"notice.md": lines})
    config = rag.config.with_values({"models.chat": "none"})
    with Pipeline(tmp_path / "index", config) as quoting:
        quoting.index(docs)
        answers = [
            quoting.ask(q) for q in ("How long is the notice period of staff?", "通知期多久？")
        ]
        for answer in answers:
            found = quoting.verify(answer)
            assert found.holds, found.sentences
            assert [s.status for s in found.sentences] == ["quoted"] * len(answer.citations)
    assert any("\n" in citation.quote for answer in answers for citation in answer.citations)


@pytest.fixture
def lent(tmp_path: Path, kept: World) -> Iterator[World]:
    """A quotation that begins with the question before it, and another sentence of the file."""
    text = "What is the fee? The fee is 5 dollars a day.\n\n# Rest\n\nNobody reads this page.\n"
    docs = write_files(tmp_path / "docs", {"fee.md": text})
    config = kept[0].config.with_values({"models.chat": "none"})
    with Pipeline(tmp_path / "index", config) as quoting:
        quoting.index(docs)
        answer = quoting.ask("What is the fee?")
        assert answer.text.startswith("What is the fee? The fee is 5 dollars a day. [1]")
        yield quoting, answer


def test_a_quotation_that_begins_with_a_question_holds_as_one(lent: World) -> None:
    rag, answer = lent
    found = rag.verify(answer)
    assert found.proved, found.sentences
    assert found.sentences[0].text == "What is the fee? The fee is 5 dollars a day. [1]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "What is the fee? The fee <iframe src=x></iframe> is 5 dollars a day.",
            "What is the fee? The fee [html removed][html removed] is 5 dollars a day. [1]",
        ),
        ("多少钱？费用<img src=x>是每天五美元。", "多少钱？费用[html removed]是每天五美元。 [1]"),
    ],
)
def test_a_quotation_that_begins_with_a_question_and_lost_html_holds_as_one(
    lent: World, tmp_path: Path, text: str, shown: str
) -> None:
    docs = write_files(tmp_path / "pages", {"page.md": f"{text}\n"})
    with Pipeline(tmp_path / "pages-index", lent[0].config) as quoting:
        quoting.index(docs)
        answer = quoting.ask(text.partition("？")[0] if "？" in text else "What is the fee?")
        assert answer.text == shown
        found = quoting.verify(answer)
        assert [s.text for s in found.sentences] == [shown]
        assert found.holds, found.sentences


@pytest.mark.parametrize(
    "text",
    [
        "What is the fee? The fee is 9 dollars a day. [1]",
        "Anyone may go. The fee is 5 dollars a day. [1]",
        "The fee is free. “The fee is 5 dollars a day.” [1]",
        "The fee is 5 dollars a day. What is the fee? [1]",
    ],
)
def test_a_record_that_spans_two_sentences_hides_neither(lent: World, text: str) -> None:
    rag, answer = lent
    whole = replace(answer.sentences[0], start=0, end=len(text))
    found = rag.verify(replace(answer, text=text, sentences=(whole,)))
    assert len(found.sentences) == 2
    assert not found.holds


def test_a_doubter_is_led_to_the_line_of_the_file(kept: World) -> None:
    rag, answer = kept
    check = rag.verify(answer).citations[0]

    assert check.file == str(rag.path.parent.parent / "docs/notice.md")
    assert check.line == 7
    assert NOTICE.splitlines()[6] == check.citation.quote
    assert check.before == NOTICE[: NOTICE.index("The notice")]
    assert check.after == "\n"


def test_a_page_is_checked_in_the_pdf_as_it_is_now(paged: World, tmp_path: Path) -> None:
    rag, answer = paged
    check = rag.verify(answer).citations[0]
    assert (check.state, check.line, check.citation.page) == ("holds", None, 2)
    wrong = rag.verify(edited(answer, "citations", 0, "page", to=1)).citations[0]
    assert (wrong.state, wrong.detail) == ("differs", "its page is 2, not 1")

    (tmp_path / "docs/plan.pdf").write_bytes(b"no longer a PDF")
    broken = rag.verify(answer).citations[0]
    assert broken.state == "unreadable"
    assert broken.detail.startswith("it cannot be read: ")
    assert "PDF" in broken.detail


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("quote", "The notice period is three weeks for staff.", "does not stand at characters"),
        ("start", 3, "the quote stands at characters 37-81"),
        ("start", -5, "the quote stands at characters 37-81"),
        ("title", "Staying", "its title is 'Leaving', not 'Staying'"),
        ("heading", ["Staying"], "its heading is ('Leaving',), not ('Staying',)"),
        ("page", 9, "its page is None, not 9"),
        ("path", "other.md", "its path is 'notice.md', not 'other.md'"),
        ("file_sha256", "0" * 64, "the file has changed since; the quote still stands"),
    ],
)
def test_an_edited_citation_is_found_out(kept: World, field: str, value: object, said: str) -> None:
    rag, answer = kept
    found = rag.verify(edited(answer, "citations", 0, field, to=value))

    assert not found.holds
    assert found.citations[0].state == ("changed" if field == "file_sha256" else "differs")
    assert said in found.citations[0].detail
    assert found.citations[1].state == "holds"


def test_an_edited_sentence_is_judged_by_its_quote(kept: World) -> None:
    rag, answer = kept
    first = answer.text.replace("3 months", "5 months", 1)
    found = rag.verify(edited(answer, "text", to=first))
    assert (found.sentences[0].recorded, found.sentences[0].status) == ("supported", "unsupported")
    assert not found.holds

    called = rag.verify(edited(answer, "sentences", 2, "status", to="supported"))
    assert called.sentences[2].status == "unsupported"
    assert not called.holds


def test_a_sentence_that_was_slipped_in_has_no_record(kept: World) -> None:
    rag, answer = kept
    longer = answer.text + " Overtime is paid [1]."
    found = rag.verify(edited(answer, "text", to=longer))

    assert found.sentences[-1].text == "Overtime is paid [1]."
    assert (found.sentences[-1].status, found.sentences[-1].recorded) == ("unsupported", None)
    assert not found.holds


def test_a_refusal_turned_into_a_claim_is_found_out(kept: World) -> None:
    rag, answer = kept
    refused = replace(
        answer, text="The documents do not say.", refused=True, sentences=(), citations=()
    )
    assert rag.verify(refused).proved
    claim = rag.verify(replace(refused, text="Overtime is paid."))
    assert [(s.status, s.recorded) for s in claim.sentences] == [("uncited", None)]
    hidden = rag.verify(replace(refused, text="Overtime is paid.\nThe documents do not say."))
    assert hidden.sentences == claim.sentences


def test_what_was_said_before_a_refusal_holds_as_unproved(
    kept: World, server: OllamaServer
) -> None:
    rag, _ = kept
    server.script("Perhaps four weeks. [NO ANSWER]")
    answer = rag.ask(QUESTION)
    assert answer.text == "Perhaps four weeks.\nThe documents do not say."
    found = rag.verify(answer)
    assert [(s.text, s.status) for s in found.sentences] == [("Perhaps four weeks.", "uncited")]
    assert (found.holds, found.proved) == (True, False)


@pytest.mark.parametrize(
    ("content", "said", "status"),
    [
        (NOTICE + "More.\n", "the quote still stands at its place", "supported"),
        ("\n" + NOTICE, "the quote stands at characters 38-82", "supported"),
        ("# Leaving\n\nNothing.\n", "the quote is nowhere in it", "unsupported"),
    ],
)
def test_a_document_that_changed_since_is_told(
    world: World, tmp_path: Path, content: str, said: str, status: str
) -> None:
    rag, answer = world
    (tmp_path / "docs/notice.md").write_text(content, "utf-8")

    for after in ("the change", "the next sync"):
        found = rag.verify(answer)
        assert found.citations[0].state == "changed", after
        assert found.citations[0].detail == f"the file has changed since; {said}"
        assert found.sentences[0].status == status
        rag.index(tmp_path / "docs")


def test_a_file_that_was_put_back_is_not_what_the_index_holds(world: World, tmp_path: Path) -> None:
    rag, answer = world
    (tmp_path / "docs/notice.md").write_text("# Leaving\n", "utf-8")
    rag.index(tmp_path / "docs")
    (tmp_path / "docs/notice.md").write_text(NOTICE, "utf-8")
    check = rag.verify(answer).citations[0]

    assert check.state == "changed"
    assert check.detail == "the index holds another state of the file; index it again"


def test_a_vanished_file_is_told_before_and_after_the_next_sync(
    world: World, tmp_path: Path
) -> None:
    rag, answer = world
    (tmp_path / "docs/notice.md").unlink()
    check = rag.verify(answer).citations[0]
    assert (check.state, check.detail) == ("missing", "the file is gone")

    rag.index(tmp_path / "docs", prune=True)
    check = rag.verify(answer).citations[0]
    assert (check.state, check.file) == ("missing", str(tmp_path / "docs/notice.md"))
    assert check.detail == "the index holds this document no more"


def test_a_moved_file_is_found_by_its_bytes(world: World, tmp_path: Path) -> None:
    rag, answer = world
    (tmp_path / "docs/notice.md").rename(tmp_path / "docs/leaving.md")
    rag.index(tmp_path / "docs")
    found = rag.verify(answer)

    assert (found.citations[0].state, found.citations[0].line) == ("changed", 7)
    assert found.citations[0].detail == "the file was moved or copied to leaving.md"
    assert found.sentences[0].status == "supported"


def test_the_command_takes_what_ask_printed_and_needs_no_server(
    world: World, tmp_path: Path
) -> None:
    _, answer = world
    shell = Shell(tmp_path)  # no server listens where it looks
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(to_json(answer), ensure_ascii=False), "utf-8")

    shown = shell("verify", "answer.json")
    lines = [line.rstrip() for line in shown.out.splitlines()]
    assert lines[2] == "supported    Notice is 3 months for staff [1]."
    assert f"    {tmp_path}/docs/notice.md:7  characters 37-81" in lines
    assert lines[-1] == (
        "Everything is as the answer records it; 2 of 4 sentences are shown to be in the documents."
    )
    strict = shell("verify", "answer.json", "--json", "--strict", code=1).json
    assert (strict["holds"], strict["proved"]) == (True, False)

    (tmp_path / "docs/notice.md").write_text("\n" + NOTICE, "utf-8")
    below = shell("verify", "answer.json", code=1).out  # line and characters are those of today
    assert f"    {tmp_path}/docs/notice.md:8  characters 38-82" in below

    (tmp_path / "docs/notice.md").write_text("# Leaving\n", "utf-8")
    changed = shell("verify", "answer.json", code=1)
    assert "(recorded: supported)" in changed.out
    assert "changed: the file has changed since; the quote is nowhere in it" in changed.out
    assert "NOT everything is as the answer records it" in changed.out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}", "Answer.question is missing"),
        (b"[1]", "Answer must be of type dict, not list"),
        (b"{", "Expecting property name"),
        (b"\xff\xfe", "can't decode byte 0xff"),
    ],
)
def test_what_is_no_answer_is_refused_by_name(content: bytes, said: str) -> None:
    with pytest.raises(
        LoadError, match=r"a\.json is not an answer of `ragkit ask --json`: "
    ) as found:
        read_answer(content, "a.json")
    assert said in str(found.value)


def test_the_command_tells_in_one_line_what_is_not_there(kept: World, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    run = shell("verify", "none.json", code=1)
    assert run.err == "ragkit: none.json cannot be read: No such file or directory\n"

    lost = replace(kept[1], index="indexes/lost")
    (tmp_path / "a.json").write_text(json.dumps(to_json(lost)), "utf-8")
    assert "indexes/lost" in shell("verify", "a.json", code=10).err


TEXT = st.text(max_size=20)
ANSWERS = st.builds(
    Answer,
    sentences=st.lists(st.builds(Sentence), max_size=3).map(tuple),
    citations=st.lists(st.builds(Citation, heading=st.tuples(TEXT, TEXT)), max_size=3).map(tuple),
    receipt=st.builds(Receipt, dropped=st.lists(st.builds(Dropped), max_size=2).map(tuple)),
    seconds=st.floats(0, 1e6),
)


@settings(max_examples=100, deadline=None)
@given(ANSWERS)
def test_an_answer_survives_json_exactly(answer: Answer) -> None:
    assert from_json(Answer, json.loads(json.dumps(to_json(answer)))) == answer


def test_records_with_tables_and_defaults_survive_json() -> None:
    report = IndexReport(added=("a",), pages_without_text={"p.pdf": (1, 3)}, seconds=1.5)
    assert from_json(IndexReport, json.loads(json.dumps(to_json(report)))) == report
    assert from_json(IndexReport, {}) == IndexReport()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            {"start": "1", "end": 2, "status": "quoted"},
            "Sentence.start must be of type int, not str",
        ),
        ({"start": True, "end": 2, "status": "quoted"}, "must be of type int, not bool"),
        ({"start": 1, "end": 2, "status": "good"}, "must be one of quoted, supported, "),
        ({"start": 1, "end": 2, "status": "quoted", "x": 1}, "Sentence.x is not known"),
        ({"start": 1, "end": 2, "status": "quoted", "citations": [0, "a"]}, r"citations\[1\]"),
    ],
)
def test_what_is_no_record_is_refused_by_field(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_json(Sentence, value)
