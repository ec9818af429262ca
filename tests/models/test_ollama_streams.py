"""Streams that are cut, split and late: what came is kept, and no part passes for the whole."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_double.script import Fault, Reply, Settings
from ollama_double.server import OllamaServer
from ollama_helpers import client_of

from ragkit.errors import ModelError, ModelResponseError, ModelUnavailableError
from ragkit.models.http.transport import split_lines
from ragkit.models.ollama import ChatCall, GenerateCall, Message, OllamaAdmin, OllamaClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Streamed: TypeAlias = Callable[[OllamaClient], Iterator[str]]

TEXT = "一 é 👍"


def generated(client: OllamaClient) -> Iterator[str]:
    return (piece.text for piece in client.generate_stream(GenerateCall("llama3.2", "Hi")))


def chatted(client: OllamaClient) -> Iterator[str]:
    call = ChatCall("llama3.2", [Message("user", "Hi")])
    return (piece.message.content for piece in client.chat_stream(call))


def pulled(client: OllamaClient) -> Iterator[str]:
    return (event.status for event in OllamaAdmin(client).pull("llama3.2"))


STREAMS: list[tuple[str, Streamed]] = [
    ("/api/generate", generated),
    ("/api/chat", chatted),
    ("/api/pull", pulled),
]
each_stream = pytest.mark.parametrize(("path", "ask"), STREAMS, ids=[path for path, _ in STREAMS])


def taken(stream: Iterator[str]) -> tuple[list[str], ModelError | None]:
    """What a stream gives, and how it ends."""
    pieces: list[str] = []
    try:
        pieces.extend(stream)
    except ModelError as exc:
        return pieces, exc
    return pieces, None


@each_stream
def test_a_reply_cut_at_any_byte_is_an_error_after_what_came(
    ollama: OllamaServer, path: str, ask: Streamed
) -> None:
    client = client_of(ollama, retries=0)
    client.show("llama3.2")
    ollama.script(*(Reply((TEXT,)) for _ in range(3000)))
    whole, _ = taken(ask(client))
    size = _size(ollama, path)
    last = {"/api/pull": b'"success"}\n'}.get(path, b"}\n")
    for cut in range(size + 1):
        ollama.faults = [Fault(path, drop_after=cut)]
        pieces, error = taken(ask(client))
        assert pieces == whole[: len(pieces)]
        # Only the bytes that mark the end of a stream may be missing from a whole reply.
        assert (error is None) == (len(pieces) == len(whole)), (cut, pieces, error)
        assert error is None or isinstance(error, ModelUnavailableError), (cut, error)
        if cut < size - len(b"\r\n0\r\n\r\n") - len(last):
            assert error is not None, cut


@each_stream
def test_a_stream_that_ends_at_any_byte_is_an_error_unless_it_was_whole(
    ollama: OllamaServer, path: str, ask: Streamed
) -> None:
    client = client_of(ollama, retries=0)
    client.show("llama3.2")
    ollama.script(*(Reply((TEXT,)) for _ in range(3000)))
    whole, _ = taken(ask(client))
    size = len(_body(ollama, path))
    for cut in range(size):
        ollama.faults = [Fault(path, end_after=cut)]
        pieces, error = taken(ask(client))
        assert pieces == whole[: len(pieces)]
        # Without the last line's end the reply is whole all the same.
        assert (error is None) == (cut == size - 1), (cut, error)
        assert error is None or "broke off" in str(error), (cut, error)


@each_stream
def test_lines_may_be_split_within_a_character(
    ollama: OllamaServer, path: str, ask: Streamed
) -> None:
    client = client_of(ollama)
    ollama.script(TEXT, TEXT)
    whole, _ = taken(ask(client))
    ollama.faults = [Fault(path, split=True)]
    assert taken(ask(client)) == (whole, None)


@pytest.mark.parametrize(("path", "ask"), STREAMS[:2])
def test_a_mid_stream_error_ends_the_stream_with_the_servers_words(
    ollama: OllamaServer, path: str, ask: Streamed
) -> None:
    ollama.script(Reply(("Hal",), ending="error", error="odd"), Reply(("Hal",), ending="eof"))
    pieces, error = taken(ask(client_of(ollama)))
    assert pieces == ["Hal"]
    assert isinstance(error, ModelResponseError)
    assert str(error) == f"llama3.2 at {ollama.url}: odd"
    pieces, error = taken(ask(client_of(ollama)))
    assert isinstance(error, ModelUnavailableError)
    assert ollama.paths().count(path) == 2


@pytest.mark.parametrize(("path", "ask"), STREAMS[:2])
def test_a_slow_first_byte_is_waited_for_and_not_asked_for_again(
    ollama: OllamaServer, path: str, ask: Streamed
) -> None:
    client = client_of(ollama, read_timeout_s=0.2, connect_timeout_s=2.0)
    client.show("llama3.2")
    ollama.faults = [Fault(path, delay_s=0.5)]
    pieces, error = taken(ask(client))
    assert not pieces
    assert isinstance(error, ModelUnavailableError)
    assert "read_timeout_s" in str(error)
    assert ollama.paths().count(path) == 1
    ollama.faults = [Fault(path, delay_s=0.3)]
    assert taken(ask(client_of(ollama)))[1] is None


@pytest.mark.parametrize(("path", "ask"), STREAMS[:2])
@pytest.mark.parametrize(
    "fault",
    [{"status": 503, "body": {"error": "server busy, please try again."}}, {"drop_after": 0}],
    ids=["503", "eof"],
)
def test_a_generation_is_asked_for_again_before_its_first_byte(
    ollama: OllamaServer, path: str, ask: Streamed, fault: dict[str, Any]
) -> None:
    ollama.faults = [Fault(path, **fault)]
    ollama.script("Hi", "Hi")
    assert taken(ask(client_of(ollama))) == (["Hi", ""], None)
    assert ollama.paths().count(path) == 2


@pytest.mark.parametrize(
    ("size", "times"),
    [(10, 2), (30, 1), (250, 1)],
    ids=["first-line", "in-the-head", "in-the-body"],
)
def test_a_whole_reply_is_not_asked_for_again_once_it_began(
    ollama: OllamaServer, size: int, times: int
) -> None:
    ollama.faults = [Fault("/api/generate", times=None, drop_after=size)]
    with pytest.raises(ModelUnavailableError, match=r"before .* complete"):
        client_of(ollama, retries=1).generate(GenerateCall("llama3.2", "Hi"))
    assert ollama.paths().count("/api/generate") == times


@pytest.mark.parametrize("size", [10, 30, 70, 200])
def test_a_reply_that_costs_nothing_is_asked_for_again_wherever_it_was_cut(
    ollama: OllamaServer, size: int
) -> None:
    ollama.faults = [Fault("/api/tags", drop_after=size)]
    assert len(client_of(ollama).tags()) == 6


@pytest.mark.parametrize(
    "fault",
    [{"status": 503, "body": {"error": "server busy"}}, {"drop_after": 0}, {"status": 502}],
    ids=["503", "eof", "502"],
)
def test_what_changes_the_server_is_not_sent_twice(
    ollama: OllamaServer, fault: dict[str, Any]
) -> None:
    client = client_of(ollama)
    paths = ("/api/pull", "/api/delete", "/api/copy")
    ollama.faults = [Fault(path, **({"body": ""} | fault)) for path in paths]
    for ask in (
        lambda: list(OllamaAdmin(client).pull("smollm2:135m")),
        lambda: OllamaAdmin(client).delete("llama3.2"),
        lambda: OllamaAdmin(client).copy("llama3.2", "other"),
    ):
        with pytest.raises(ModelUnavailableError):
            ask()
    assert ollama.paths() == list(paths)


def test_ctrl_c_closes_the_stream_so_that_the_server_stops() -> None:
    program = (
        "import sys; from ragkit.config import ModelSettings; from ragkit.models.ollama import *\n"
        "client = OllamaClient(sys.argv[1], settings=ModelSettings())\n"
        "for piece in client.generate_stream(GenerateCall('llama3.2', 'Hi')):\n"
        "    print(piece.text, flush=True)\n"
    )
    with OllamaServer(Settings(chunk_delay_s=0.02)) as server:
        server.script(Reply(("x",) * 2000))
        child = subprocess.Popen(
            [sys.executable, "-c", program, server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "x\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
        assert "KeyboardInterrupt" in errors
        deadline = time.perf_counter() + 3
        while not server.cancelled and time.perf_counter() < deadline:
            time.sleep(0.02)
        assert server.cancelled == 1


def test_closing_a_pull_stops_it_and_a_new_one_goes_on_from_there() -> None:
    with OllamaServer(Settings(chunk_delay_s=0.05)) as server:
        client = client_of(server)
        first = OllamaAdmin(client).pull("smollm2:135m")
        while next(first).completed_bytes < 500:
            pass
        first.close()
        deadline = time.perf_counter() + 3
        while not server.cancelled and time.perf_counter() < deadline:
            time.sleep(0.02)
        assert server.cancelled == 1
        assert "smollm2:135m" not in server.installed()
        second = [event for event in OllamaAdmin(client).pull("smollm2:135m") if event.digest]
        assert second[0].completed_bytes >= 500
        assert "smollm2:135m" in server.installed()


def test_a_finished_stream_leaves_its_connection_to_the_next(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    for _ in range(3):
        list(generated(client))
        list(chatted(client))
    list(pulled(client))
    assert ollama.connections == 1


@given(st.lists(st.binary(max_size=6)), st.lists(st.integers(1, 9)))
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"\n".join(lines)
    pieces: list[bytes] = []
    rest = stream
    for cut in cuts:
        pieces, rest = [*pieces, rest[:cut]], rest[cut:]
    got = list(split_lines([*pieces, rest]))
    *whole, last = stream.split(b"\n")
    assert [line for line, ended in got if ended] == [line for line in whole if line.strip()]
    assert [line for line, ended in got if not ended] == ([last] if last.strip() else [])


def _body(server: OllamaServer, path: str) -> bytes:
    """The body of a stream's reply, read by the plainest of means."""
    request = next(r for r in reversed(server.requests) if r.path == path)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("POST", path, request.body)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


def _size(server: OllamaServer, path: str) -> int:
    """Bytes of a stream's whole reply, head and framing included, sent as one chunk."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    body = len(_body(server, path))
    return len(head) + len(b"%x\r\n" % body) + body + len(b"\r\n0\r\n\r\n")
