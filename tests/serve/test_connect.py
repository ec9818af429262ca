"""`ragkit.connect`: an index of a server is read as one that lies here."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from fixed_chat import FixedChat
from served import FILES, QUESTION, BrokenChat, SlowChat, make_index, serving

import ragkit
from ragkit import (
    Answer,
    Condition,
    Config,
    Filter,
    IndexNotFoundError,
    InputError,
    ModelUnavailableError,
    Pipeline,
    ServerError,
    TextDelta,
    errors,
)
from ragkit.remote.server_errors import as_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAID = "The fee is five dollars a day [1]."
TOKEN = "a-token-of-some-length"  # noqa: S105 -- of this test


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "indexes"
    for name in ("library", "empty"):
        make_index(folder / name, FILES if name == "library" else {"a.txt": " "}).close()
    return folder


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes, chat=FixedChat(SAID)) as address:
        yield address


def test_it_reads_what_a_pipeline_reads(url: str, indexes: Path) -> None:
    here = Pipeline(indexes / "library", Config(), chat=FixedChat(SAID))
    where = Filter(where=(Condition("modified", ">=", "2000"),), paths=("fee*",))
    with here, ragkit.connect(url, "library") as there:
        assert there.search("the library fee", k=2) == here.search("the library fee", k=2)
        assert there.search("the library fee", restrict=where) == here.search(
            "the library fee", restrict=where
        )
        assert there.search(QUESTION, as_of=1) == here.search(QUESTION, as_of=1)
        ours, theirs = here.ask(QUESTION), there.ask(QUESTION)
        assert (theirs.text, theirs.sentences, theirs.citations) == (
            ours.text,
            ours.sentences,
            ours.citations,
        )
        assert there.verify(theirs) == here.verify(ours)
        assert there.verify(theirs).proved
        assert there.why_not(QUESTION, "hours.md") == here.why_not(QUESTION, "hours.md")
        told = [(d.doc_id, d.path, d.file_sha256, d.metadata) for d in there.documents()]
        assert told == [(d.doc_id, d.path, d.file_sha256, d.metadata) for d in here.documents()]
        assert repr(there) == f"RemoteIndex('library' at {url})"


def test_an_answer_comes_as_a_stream(url: str) -> None:
    with ragkit.connect(url, "library") as rag:
        *pieces, answer = rag.stream(QUESTION)

    assert isinstance(answer, Answer)
    assert all(isinstance(piece, TextDelta) for piece in pieces)
    assert "".join(piece.text for piece in pieces) == answer.text == SAID


def test_a_conversation_keeps_its_turns(indexes: Path) -> None:
    with serving(indexes) as url, ragkit.connect(url, "library") as rag:
        talk = rag.chat()
        talk.ask("What does a lost card cost?")
        answer = talk.ask("And the fee?")

        assert [turn.question for turn in talk.turns] == [
            "What does a lost card cost?",
            "And the fee?",
        ]
        assert "lost" in answer.searched or "fee" in answer.searched
        assert answer.closest


def test_closing_a_stream_stops_the_model(indexes: Path) -> None:
    chat = SlowChat()
    with serving(indexes, chat=chat) as url, ragkit.connect(url, "library") as rag:
        events = rag.stream(QUESTION)
        next(events)
        events.close()

        assert chat.stopped.wait(20)


def test_errors_are_those_of_the_library(url: str, indexes: Path) -> None:
    with ragkit.connect(url, "library") as rag:
        with pytest.raises(InputError, match="the question is empty"):
            rag.ask(" ")
        with pytest.raises(ragkit.FilterError, match="nix"):
            rag.search("x", restrict=Filter(where=(Condition("nix", "=", 1),)))
    with pytest.raises(IndexNotFoundError, match="has no index 'none'; it has empty, library"):
        ragkit.connect(url, "none")
    with pytest.raises(IndexNotFoundError, match="more than one index"):
        ragkit.connect(url)
    with (
        serving(indexes, chat=BrokenChat("The fee is")) as broken,
        ragkit.connect(broken, "library") as rag,
        pytest.raises(ModelUnavailableError, match="the model went away"),
    ):
        list(rag.stream(QUESTION))


def test_a_token_is_asked_for_and_sent(indexes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(indexes, token=TOKEN) as url:
        with pytest.raises(ServerError, match="needs its token") as refused:
            ragkit.connect(url, "library")
        with ragkit.connect(url, "library", token=TOKEN) as rag:
            assert rag.search(QUESTION)
        monkeypatch.setenv("RAGKIT_TOKEN", TOKEN)
        with ragkit.connect(url, "library") as rag:
            assert rag.search(QUESTION)

    assert refused.value.status == 401


def test_no_server_is_told_with_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServerError, match="`ragkit serve` starts one") as refused:
        ragkit.connect(f"http://127.0.0.1:{port}")
    assert refused.value.status == 0
    with pytest.raises(ragkit.ConfigError, match="the server's address"):
        ragkit.connect("ftp://x")


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (404, b"nothing"), (302, b""), (200, b'{"a": 1}')]
)
def test_another_server_is_no_server_of_ragkit(status: int, body: bytes) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises((ServerError, IndexNotFoundError)):
            ragkit.connect(f"http://127.0.0.1:{server.server_port}")
        thread.join()


def test_every_error_can_be_told_by_its_name() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RagkitError)
    ]
    for kind in kinds:
        made = as_error(kind.__name__, "what happened")
        assert issubclass(kind, type(made))
        assert str(made) == "what happened"
    assert len(kinds) > 20
    assert type(as_error("RequestError", "x", 429)) is ServerError
