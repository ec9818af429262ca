"""The test server against a real one: recorded requests are sent to it, and replies compared.

None is left out. `ollama_double.recording` tells what is masked, and why.
"""

from __future__ import annotations

import http.client

import orjson
import pytest
from ollama_double.recording import MODELS, Exchange, normalised, normalised_lines, recorded
from ollama_double.script import Fault, Settings
from ollama_double.server import OllamaServer

EXCHANGES = recorded()
# A head says the same of both but for the date, and for how a body's length is told.
COMPARED = ("Content-Type", "Allow", "Vary")
REAL = Settings(
    dim=384, models=MODELS, version="0.33.0-rc2", offline=True, on_cpu=True, registry=()
)
RUNNER_GONE = 'do embedding request: Post "http://127.0.0.1:38423/v1/embeddings": EOF'


@pytest.fixture(scope="module")
def answered() -> dict[int, tuple[int, dict[str, str], bytes]]:
    """Status, headers and body of the test server's replies, all asked in order of one server."""
    replies = {}
    with OllamaServer(REAL) as server:
        _load(server)
        for number, exchange in enumerate(EXCHANGES):
            _prepare(server, exchange)
            replies[number] = _ask(server, exchange)
    return replies


def _load(server: OllamaServer) -> None:
    """Load what was loaded when the recording began."""
    for path, model, options in (
        ("/api/chat", "smollm2", {"num_ctx": 8192}),
        ("/api/embed", "nomic-embed-text", {}),
    ):
        body = {"model": model, "input": "a", "messages": [], "options": options}
        _send(server, "POST", path, orjson.dumps(body), {})


def _prepare(server: OllamaServer, exchange: Exchange) -> None:
    """Have the model say what it said then; where its runner was killed, have that happen."""
    said = exchange.script()
    server.replies[:] = [said] if said else []
    if "killed" in exchange.note and not said:
        server.faults = [Fault(exchange.path, status=exchange.status, body={"error": RUNNER_GONE})]


def _ask(server: OllamaServer, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
    return _send(server, exchange.method, exchange.path, exchange.sent, exchange.sent_headers)


def _send(
    server: OllamaServer, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body or None, headers)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


NAMED = [pytest.param(i, id=f"{i + 1} {one.note}") for i, one in enumerate(EXCHANGES)]


@pytest.mark.parametrize("number", NAMED)
def test_the_double_answers_as_the_real_server_did(
    answered: dict[int, tuple[int, dict[str, str], bytes]], number: int
) -> None:
    exchange = EXCHANGES[number]
    status, headers, body = answered[number]
    heads = [
        {name: of[name] for name in of if name in COMPARED or name.startswith("Access-Control")}
        for of in (headers, exchange.headers)
    ]
    assert (status, heads[0]) == (exchange.status, heads[1])
    text = body.decode()
    if exchange.lines is None:
        assert normalised(text) == normalised(exchange.body)
    else:
        assert normalised_lines(text.split("\n")) == normalised_lines(exchange.lines)


def test_the_recording_is_whole() -> None:
    assert len(EXCHANGES) == 246
    failed = [e for e in EXCHANGES if e.status >= 400 or '"error"' in "".join(e.lines or ())]
    assert len(failed) == 124
