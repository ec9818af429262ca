"""`ragkit serve` as JSON of ragkit's own, over a real socket."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import requests
from commands import write_files
from fixed_chat import FixedChat
from served import FILES, QUESTION, make_index, post, server_sent, serving

from ragkit import Answer, Hit, from_json
from ragkit.config import Config
from ragkit.errors import RagkitError
from ragkit.pipeline import Pipeline
from ragkit.serve.failures import STATUS, json_bytes, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAID = "The fee is five dollars a day [1]."
OWN = "/ragkit/v1"
TOKEN = "a-token-of-some-length"  # noqa: S105 -- of this test


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "indexes"
    make_index(folder / "library", FILES | {"empty.txt": " ", "x.unknown": b"\0\1"}).close()
    return folder


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes, chat=FixedChat(SAID)) as address:
        yield address


def get(url: str, path: str, **parameters: Any) -> requests.Response:
    return requests.get(url + OWN + path, params=parameters, timeout=10)


def test_every_error_has_a_status() -> None:
    def below(kind: type[RagkitError]) -> set[type[RagkitError]]:
        return {kind}.union(*(below(sub) for sub in kind.__subclasses__()))

    ours = {kind for kind in below(RagkitError) if kind.__module__ == "ragkit.errors"}
    assert set(STATUS) == ours
    assert status_of(RagkitError("x")) == 500


def test_info_names_the_indexes_and_what_is_allowed(url: str) -> None:
    told = get(url, "/info").json()

    assert told["indexes"] == ["library"]
    assert told["allow_index"] is False
    assert told["limits"]["messages"] == 500


def test_indexes_have_their_size_and_state(url: str) -> None:
    (index,) = get(url, "/indexes").json()["indexes"]

    assert index["name"] == "library"
    assert (index["documents"], index["chunks"], index["waiting"]) == (3, 2, 0)
    assert index["is_indexing"] is False


def test_a_search_finds_what_the_pipeline_finds(url: str, indexes: Path) -> None:
    reply = post(url, OWN + "/search", {"index": "library", "question": QUESTION, "k": 1})
    with Pipeline(indexes / "library", Config()) as rag:
        expected = rag.search(QUESTION, k=1)

    assert [from_json(Hit, hit) for hit in reply.json()["hits"]] == expected


def test_a_search_can_be_restricted(url: str) -> None:
    where = [{"field": "modified", "operator": ">=", "value": "2000"}]
    body = {"question": "the library fee", "restrict": {"paths": ["hours*"], "where": where}}
    hits = post(url, OWN + "/search", body).json()["hits"]

    assert [hit["path"] for hit in hits] == ["hours.md"]


def test_an_answer_is_streamed_and_ends_with_its_proof(url: str) -> None:
    reply = post(url, OWN + "/ask", {"question": QUESTION})
    events = server_sent(reply)

    assert reply.headers["content-type"].startswith("text/event-stream")
    *pieces, (last, value) = events
    assert ({name for name, _ in pieces}, last) == ({"text"}, "answer")
    answer = from_json(Answer, value)
    assert answer.text == "".join(piece["text"] for _, piece in pieces) == SAID
    assert [c.quote for c in answer.citations] == ["The fee is five dollars a day"]


def test_an_answer_can_be_had_whole(url: str) -> None:
    body = {"question": QUESTION, "stream": False, "extractive": True}
    answer = from_json(Answer, post(url, OWN + "/ask", body).json())

    assert answer.chat_model is None
    assert "The fee is five dollars a day." in answer.text
    assert answer.closest

    whole = post(url, OWN + "/ask", body | {"extractive": False}).json()
    assert whole["chat_model"] == "fixed"  # the other question's setting was its own


def test_a_follow_up_is_completed_by_the_turns_before_it(url: str) -> None:
    turns = [{"question": "What does a lost card cost?", "text": "Nine dollars [1]."}]
    body = {"question": "And the fee?", "turns": turns, "stream": False, "extractive": True}
    answer = from_json(Answer, post(url, OWN + "/ask", body).json())

    assert "fee" in answer.searched


def test_documents_are_listed_with_their_state_and_what_is_not_indexed(url: str) -> None:
    told = get(url, "/documents", index="library").json()

    states = {document["path"]: document["state"] for document in told["documents"]}
    assert states == {"empty.txt": "without_text", "fees.md": "indexed", "hours.md": "indexed"}
    (unread,) = told["not_indexed"]
    assert (unread["path"], unread["state"]) == ("x.unknown", "skipped")
    assert unread["reason"]


def test_a_passage_is_shown_with_what_stands_around_it(url: str, indexes: Path) -> None:
    with Pipeline(indexes / "library", Config()) as rag:
        hit = rag.search(QUESTION, k=1)[0]
    start = hit.start + hit.text.index("The fee")
    end = start + len("The fee is five dollars")
    shown = get(url, "/passages", doc_id=hit.doc_id, start=start, end=end, around=9).json()

    assert (shown["path"], shown["start"], shown["end"]) == ("fees.md", start, end)
    text = shown["text"]
    assert (
        text[start - shown["text_start"] : end - shown["text_start"]] == "The fee is five dollars"
    )
    assert (shown["text_start"], shown["text_end"]) == (max(0, start - 9), end + 9)
    assert shown["chunks"] == [hit.chunk_id]
    assert shown["heading"] == ["Fees"]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/search", {"question": "x", "index": "none"}, 404, "IndexNotFoundError"),
        ("/search", {}, 400, "InputError"),
        ("/search", {"question": 7}, 400, "InputError"),
        ("/search", {"question": "x", "unknown": 1}, 400, "InputError"),
        ("/search", {"question": "x", "k": 0}, 400, "InputError"),
        ("/search", {"question": "x", "k": 10**9}, 400, "InputError"),
        ("/search", {"question": "x", "mode": "dense"}, 400, "ConfigError"),
        ("/search", {"question": "x", "mode": "fast"}, 400, "InputError"),
        ("/search", {"question": "x", "as_of": 999}, 400, "InputError"),
        (
            "/search",
            {"question": "x", "restrict": {"where": [{"field": "nix", "value": 1}]}},
            400,
            "FilterError",
        ),
        (
            "/search",
            {"question": "x", "restrict": {"where": [{"field": "a", "value": None}]}},
            400,
            "InputError",
        ),
        ("/ask", {"question": " "}, 400, "InputError"),
        ("/ask", {"question": "x", "temperature": -1}, 400, "ConfigError"),
        ("/chat", {"messages": []}, 400, "InputError"),
        ("/chat", {"messages": [{"role": "system", "content": "x"}]}, 400, "InputError"),
        ("/verify", {"answer": {}}, 400, "InputError"),
        ("/why-not", {"question": "x", "path": " "}, 400, "InputError"),
    ],
)
def test_what_cannot_be_done_is_told(
    url: str, path: str, body: dict[str, object], status: int, kind: str
) -> None:
    reply = post(url, OWN + path, body)

    assert (reply.status_code, reply.json()["error"]["type"]) == (status, kind)
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "parameters",
    [{"doc_id": "none"}, {"doc_id": "../../etc/passwd"}, {"start": "x"}, {"start": "-1"}, {}],
)
def test_a_passage_that_is_not_there_is_told(url: str, parameters: dict[str, str]) -> None:
    reply = get(url, "/passages", **parameters)

    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "InputError")


def test_unknown_paths_and_methods_are_json_too(url: str) -> None:
    unknown = requests.get(url + OWN + "/nothing", timeout=5)
    wrong = requests.get(url + OWN + "/search", timeout=5)

    assert (unknown.status_code, wrong.status_code) == (404, 405)
    assert unknown.json() == {"error": {"type": "RequestError", "message": "Not Found"}}


def test_an_index_that_is_made_anew_in_its_place_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "notes", {"old.md": "The old fee is one dollar."}).close()
    body = {"question": "What is the fee?", "index": "notes"}
    with serving(folder) as url:

        def paths() -> list[str]:
            return [hit["path"] for hit in post(url, OWN + "/search", body).json()["hits"]]

        assert paths() == ["old.md"]
        shutil.rmtree(folder / "notes")
        assert post(url, OWN + "/search", body).status_code == 404
        shutil.rmtree(folder.parent / "notes-files")
        rag = make_index(folder / "notes", {"new.md": "The new fee is two dollars."})
        assert paths() == ["new.md"]

        write_files(folder.parent / "notes-files", {"more.md": "A further fee is three dollars."})
        rag.index()
        assert sorted(paths()) == ["more.md", "new.md"]
        rag.close()


def test_a_damaged_index_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "good").close()
    write_files(folder / "bad", {"catalog.db": b"this is no database" * 100})
    with serving(folder) as url:
        told = {index["name"]: index for index in get(url, "/indexes").json()["indexes"]}
        models = requests.get(url + "/api/tags", timeout=5).json()["models"]

    assert told["bad"]["error"]["type"] == "IndexCorruptError"
    assert told["good"]["documents"] == 2
    assert [model["name"] for model in models] == ["good:latest"]


def test_a_name_that_is_no_utf8_does_not_break_a_reply() -> None:
    index = {"index": "/home/caf\udce9"}

    assert json.loads(json_bytes(index)) == index


def test_a_conversation_is_answered_by_its_last_message(url: str) -> None:
    said = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What does a lost card cost?"},
        {"role": "assistant", "content": "Nine dollars [1]."},
        {"role": "user", "content": "And the fee?"},
    ]
    body = {"messages": said, "extractive": True, "stream": False}
    whole = from_json(Answer, post(url, OWN + "/chat", body).json())
    events = server_sent(post(url, OWN + "/chat", {"messages": said}))

    assert whole.question == "And the fee?"
    assert "fee" in whole.searched
    assert events[-1][0] == "answer"
    assert from_json(Answer, events[-1][1]).text == SAID


def test_an_answer_is_verified_and_an_edited_one_is_not_proved(url: str) -> None:
    answer = post(url, OWN + "/ask", {"question": QUESTION, "stream": False}).json()
    good = post(url, OWN + "/verify", {"answer": answer}).json()
    answer["text"] = answer["text"].replace("five", "nine")
    edited = post(url, OWN + "/verify", {"answer": answer}).json()

    assert (good["holds"], good["proved"]) == (True, True)
    assert [check["state"] for check in good["citations"]] == ["holds"]
    assert (edited["holds"], edited["proved"]) == (False, False)
    assert [s["status"] for s in edited["sentences"]] == ["unsupported"]


def test_why_not_names_the_stage(url: str) -> None:
    def stage(path: str, **more: object) -> str:
        body = {"question": QUESTION, "path": path, **more}
        reply = post(url, OWN + "/why-not", body)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["stage"])

    assert stage("fees.md", text="five dollars") == "given"
    assert stage("fees.md", text="five dollars", answer=True) == "used"
    assert stage("x.unknown") == "not indexed"
    assert stage("empty.txt") == "no text"
    assert stage("../../etc/passwd") == "not indexed"


def test_readiness_tells_of_a_named_index_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "notes").close()
    with serving(folder, "notes", token=TOKEN) as url:
        there = requests.get(url + "/ready", timeout=5)
        shutil.rmtree(folder / "notes")
        gone = requests.get(url + "/ready", timeout=5)

    assert (there.status_code, there.json()) == (200, {"status": "ready"})
    assert gone.status_code == 503
    assert "notes" not in gone.text
