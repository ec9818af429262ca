"""The client: what goes over the wire, and what each fault becomes."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import orjson
import pytest
from ollama_double.models import CATALOGUE
from ollama_double.server import Fault, OllamaServer
from ollama_helpers import (
    CRASH,
    LEGACY,
    PREFIX,
    TOO_LONG,
    client_of,
    cosine,
    embedder_of,
    expected,
)

from ragkit.config import ModelSettings
from ragkit.errors import (
    ModelError,
    ModelResponseError,
    ModelUnavailableError,
)
from ragkit.models.ollama import (
    OllamaChat,
    OllamaClient,
)
from ragkit.models.ollama.problems import classify

if TYPE_CHECKING:
    from typing import Any


def test_version_tags_and_digest(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    assert client.version() == "0.32.15"
    assert [model.name for model in client.tags()] == [model.name for model in CATALOGUE]
    assert client.digest("Nomic-Embed-Text") == CATALOGUE[0].digest


def test_no_connection_is_made_before_it_is_needed(ollama: OllamaServer) -> None:
    embedder = embedder_of(ollama)
    chat = OllamaChat(client_of(ollama), "llama3.2")
    assert embedder.options == {"query_prefix": "search_query: ", "document_prefix": PREFIX}
    assert chat.name == "llama3.2:latest"
    assert ollama.connections == 0


def test_availability_is_told_at_once(ollama: OllamaServer) -> None:
    assert client_of(ollama).is_available()
    ollama.faults.append(Fault("/api/version", status=200, body="<html>a web server</html>"))
    assert not client_of(ollama).is_available()
    started = time.perf_counter()
    assert not OllamaClient(_closed_address(), settings=ModelSettings()).is_available()
    assert time.perf_counter() - started < 1


def test_a_refused_connection_names_the_address_and_the_remedy() -> None:
    address = _closed_address()
    client = OllamaClient(address, settings=ModelSettings(retries=0))
    with pytest.raises(ModelUnavailableError, match="ollama serve") as caught:
        client.version()
    assert address in str(caught.value)


def _closed_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_a_redirect_is_not_followed(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault("/api/tags", status=307, body=f"{ollama.url}/api/version"))
    with pytest.raises(ModelResponseError) as caught:
        client_of(ollama).tags()
    assert f"sends on to {ollama.url}/api/version, which is not followed" in str(caught.value)
    assert "(HTTP 307)" in str(caught.value)
    assert ollama.paths() == ["/api/tags"]


def test_a_proxy_for_the_internet_is_not_used_for_this_machine(
    ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", _closed_address())
    monkeypatch.setenv("NO_PROXY", "")
    assert client_of(ollama).version() == "0.32.15"


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", _closed_address())
    monkeypatch.setenv("NO_PROXY", "")
    client = OllamaClient("http://ollama.invalid", settings=ModelSettings(retries=0))
    with pytest.raises(ModelUnavailableError, match=r"ollama\.invalid:80 \(its proxy: "):
        client.version()


def test_a_server_without_encryption_is_not_asked_again_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked = threading.Thread(target=_speak_plainly, args=(listener,))
        asked.start()
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ModelResponseError, match="no secure connection"):
            OllamaClient(address, settings=ModelSettings(retries=2)).version()
        asked.join(timeout=5)
    assert not asked.is_alive()


def test_a_secure_connection_that_breaks_off_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked = threading.Thread(target=_hang_up, args=(listener, 2))
        asked.start()
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ModelUnavailableError, match="EOF"):
            OllamaClient(address, settings=ModelSettings(retries=1)).version()
        asked.join(timeout=5)
    assert not asked.is_alive()


def _hang_up(listener: socket.socket, times: int) -> None:
    """Take connections, hear what they begin with, and leave."""
    for _ in range(times):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(65536)


def _speak_plainly(listener: socket.socket) -> None:
    """Answer one connection, whatever it says, without encryption."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_an_address_that_cannot_be_asked_is_an_error_of_ours() -> None:
    client = OllamaClient("*.example", settings=ModelSettings(retries=0))
    with pytest.raises(ModelError, match="invalid label"):
        client.version()


def test_a_reply_that_is_not_json_is_named(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault("/api/tags", status=200, body="<html>"))
    with pytest.raises(ModelResponseError, match="is it an Ollama server"):
        client_of(ollama).tags()


def test_a_server_without_the_endpoint_is_not_a_missing_model(ollama: OllamaServer) -> None:
    with pytest.raises(ModelResponseError, match="404 page not found"):
        client_of(ollama).connection.fetch("POST", "/api/unknown", {})


def test_a_slow_reply_is_given_up_and_not_asked_for_again(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault(LEGACY, delay_s=0.6))
    embedder = embedder_of(ollama, read_timeout_s=0.2)
    with pytest.raises(ModelUnavailableError, match="read_timeout_s"):
        embedder.embed_query("slow")
    assert len(ollama.paths()) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
        (503, "<html>Service Unavailable</html>"),  # a proxy before the server
        (502, "<html>Bad Gateway</html>"),
        (504, ""),
    ],
)
def test_a_busy_server_is_asked_again(ollama: OllamaServer, status: int, body: object) -> None:
    ollama.faults.append(Fault(LEGACY, times=2, status=status, body=body))
    got = embedder_of(ollama).embed_query("hello")
    assert cosine(got, expected("hello", prefix="search_query: ")[0]) > 0.999
    assert len(ollama.paths()) == 3


def test_a_server_that_stays_busy_is_unavailable(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault(LEGACY, times=None, status=503, body={"error": "server busy"}))
    with pytest.raises(ModelUnavailableError, match="server busy"):
        embedder_of(ollama, retries=1).embed_query("hello")
    assert len(ollama.paths()) == 2


@pytest.mark.parametrize("size", [0, 10, 400], ids=["nothing", "in-the-head", "in-the-body"])
def test_a_dropped_connection_is_tried_again(ollama: OllamaServer, size: int) -> None:
    ollama.faults.append(Fault(LEGACY, drop_after=size))
    got = embedder_of(ollama).embed_query("hello")
    assert cosine(got, expected("hello", prefix="search_query: ")[0]) > 0.999
    assert len(ollama.paths()) == 2


def test_a_connection_that_keeps_dropping_is_unavailable(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault(LEGACY, times=None, drop_after=10))
    with pytest.raises(ModelUnavailableError, match="before the reply was complete"):
        embedder_of(ollama, retries=1).embed_query("hello")


@pytest.mark.parametrize(("text", "sent"), [("300", 300), ("-1", -1), ("10m", "10m")])
def test_keep_alive_without_a_unit_is_sent_as_a_number(
    ollama: OllamaServer, text: str, sent: object
) -> None:
    embedder_of(ollama, keep_alive=text).embed_query("hello")
    assert ollama.bodies(LEGACY)[0]["keep_alive"] == sent


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (500, TOO_LONG, "too_long"),
        (400, "input after truncation exceeds maximum context length", "too_long"),
        (400, "input exceeds maximum context length and cannot be truncated further", "too_long"),
        (400, "the prompt is longer than the context length currently available", "too_long"),
        (400, '{"error":{"message":"exceeds the available context size"}}', "too_long"),
        (500, "input (900 tokens) is too large to process", "too_long"),
        (500, "failed to encode response: json: unsupported value: NaN", "nan"),
        (400, "embedding contains NaN or Inf values", "nan"),
        (400, CRASH["error"], "crashed"),
        (500, "model runner has unexpectedly stopped, this may be due to", "crashed"),
        (500, "llama-server process has terminated: signal: killed", "busy"),
        (500, "timed out waiting for llama-server to start: 5m0s", "timeout"),  # not once more
        (501, "This server does not support embeddings. Start it with", "refused"),
        (500, 'option "temperature" must be of type float32', "refused"),
        (404, "model 'x' not found", "missing"),
        (404, 'model "x" not found, try pulling it first', "missing"),
        (500, "something new", "fault"),
        (400, "invalid model name", "refused"),
        (403, "", "refused"),
    ],
)
def test_the_servers_words_are_told_apart(status: int, text: str, kind: str) -> None:
    assert classify(status, orjson.dumps({"error": text})).kind == kind


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (200, {"error": "pull model manifest: file does not exist"}, "check its name and tag"),
        (200, {"error": "file does not exist"}, "`ragkit models list` names what is there"),
        (200, {"error": "unauthorized: access denied"}, "sign the server in: `ollama signin`"),
        (401, {"error": "unauthorized"}, "OLLAMA_API_KEY is missing, wrong, or has no right"),
        (
            401,
            {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=x"},
            "sign the server in: https://ollama.com/connect?name=x",
        ),
        (501, {"error": "This server does not support embeddings."}, "`ragkit models list` tells"),
        (400, {"error": '"bge-m3" does not support chat'}, "`ragkit models list` tells"),
        (
            403,
            "",
            "it refuses requests to this address (HTTP 403); `ragkit doctor` tells what to do",
        ),
        (400, {"error": 'time: missing unit in duration "300"'}, "give keep_alive a unit"),
    ],
)
def test_what_the_servers_words_leave_unsaid_is_added(status: int, body: Any, advice: str) -> None:
    text = classify(status, orjson.dumps(body) if body else b"").text
    assert advice in text
    assert text.count("; ") == 1 + text.count("empty reply; ")
