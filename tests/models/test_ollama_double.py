"""The test server itself, held against the contract: its table of errors, word for word.

The other tests trust this double; see also `test_ollama_official`.
"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

import openai
import orjson
import pytest
from ollama_double.script import Fault, Reply, Settings
from ollama_double.server import OllamaServer
from ollama_helpers import NOMIC

if TYPE_CHECKING:
    pass


ENDPOINTS = ("generate", "chat", "embed", "embeddings", "show", "pull", "push", "copy", "create")
REQUIRED = (400, "model is required")
INVALID = (400, "invalid model name")
EMPTY = {
    "generate": (404, "model '' not found"),
    "chat": REQUIRED,
    "embed": (404, "model '' not found"),
    "embeddings": REQUIRED,
    "show": REQUIRED,
    "pull": INVALID,
    "push": REQUIRED,
    "delete": REQUIRED,
    "copy": (400, 'source "" is invalid'),
    "create": INVALID,
}
MALFORMED = dict.fromkeys(("generate", "chat", "embed", "embeddings", "show", "pull"), INVALID) | {
    "delete": (400, 'name "a b" is invalid'),
    "copy": (400, 'source "a b" is invalid'),
    "create": INVALID,
}
TRY_PULLING = (404, 'model "x" not found, try pulling it first')
UNKNOWN = {
    "generate": (404, "model 'x' not found"),
    "chat": (404, "model 'x' not found"),
    "embed": TRY_PULLING,
    "embeddings": TRY_PULLING,
    "show": (404, "model 'x:latest' not found"),
    "delete": (404, "model 'x' not found"),
    "copy": (404, 'model "x" not found'),
}
TABLE = [
    (name, {"": EMPTY, "a b": MALFORMED, "x": UNKNOWN}[model], model)
    for model in ("", "a b", "x")
    for name in {"": EMPTY, "a b": MALFORMED, "x": UNKNOWN}[model]
]
OTHERS: list[tuple[str, dict[str, Any], int, str]] = [
    ("chat", {"model": NOMIC, "messages": [{}]}, 400, '"nomic-embed-text" does not support chat'),
    ("generate", {"model": NOMIC}, 400, '"nomic-embed-text" does not support generate'),
    (
        "chat",
        {"model": "deepseek-r1", "messages": [{"role": "user", "content": ""}], "tools": [{}]},
        400,
        "registry.ollama.ai/library/deepseek-r1:latest does not support tools",
    ),
    (
        "generate",
        {"model": "llama3.2", "prompt": "a", "think": "high"},
        400,
        '"llama3.2" does not support thinking',
    ),
    ("generate", {"model": "llama3.2", "prompt": "a", "think": "x"}, 400, "invalid think value:"),
    (
        "generate",
        {"model": "llama3.2", "prompt": "a", "options": {"temperature": "x"}},
        500,
        'option "temperature" must be of type float32',
    ),
    (
        "generate",
        {"model": "llama3.2", "prompt": "a", "top_logprobs": 21},
        400,
        "top_logprobs must be between 0 and 20",
    ),
    ("generate", {"model": "llama3.2", "prompt": "a", "format": "x"}, 500, "invalid format:"),
    (
        "generate",
        {"model": "llama3.2", "prompt": "a", "keep_alive": "300"},
        400,
        'time: missing unit in duration "300"',
    ),
    ("embed", {"model": NOMIC, "input": 7}, 400, "invalid input type"),
    ("embed", {"model": 7}, 400, "json: cannot unmarshal"),
    (
        "generate",
        {"model": "llama3.2", "prompt": "a", "raw": True, "context": [1]},
        400,
        "raw mode does not support template, system, or context",
    ),
    ("push", {"model": "a b", "stream": False}, 500, "invalid model name"),
    (
        "push",
        {"model": "x", "stream": False},
        500,
        "open /models/manifests/registry.ollama.ai/library/x/latest: no such file or directory",
    ),
    ("pull", {"model": "x", "stream": False}, 500, "pull model manifest: file does not exist"),
    ("copy", {"source": "llama3.2", "destination": "a b"}, 400, 'destination "a b" is invalid'),
    ("create", {"model": "new"}, 400, "neither 'from' or 'files' was specified"),
]


def exchange(server: OllamaServer, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request by the plainest of means."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def refusal(server: OllamaServer, name: str, body: Any) -> tuple[int, str]:
    method = "DELETE" if name == "delete" else "POST"
    status, reply = exchange(server, method, f"/api/{name}", orjson.dumps(body))
    return status, orjson.loads(reply)["error"]


@pytest.mark.parametrize(("name", "column", "model"), TABLE)
def test_a_models_name_is_refused_as_the_contract_says(
    shared: OllamaServer, name: str, column: dict[str, tuple[int, str]], model: str
) -> None:
    body: dict[str, Any] = {"model": model, "prompt": "a", "from": "llama3.2"}
    if name == "copy":
        body = {"source": model, "destination": "y"}
    assert refusal(shared, name, body) == column[name]


@pytest.mark.parametrize(("name", "body", "status", "words"), OTHERS)
def test_other_requests_are_refused_as_the_contract_says(
    shared: OllamaServer, name: str, body: dict[str, Any], status: int, words: str
) -> None:
    got, text = refusal(shared, name, body)
    assert (got, text[: len(words)]) == (status, words)


@pytest.mark.parametrize("name", [*ENDPOINTS, "delete"])
def test_a_body_that_is_none_is_refused(shared: OllamaServer, name: str) -> None:
    method = "DELETE" if name == "delete" else "POST"
    for body, words in (
        (b"", "missing request body"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b'{"model":', "unexpected EOF"),
    ):
        assert exchange(shared, method, f"/api/{name}", body) == (
            400,
            orjson.dumps({"error": words}),
        )


@pytest.mark.parametrize(
    ("given", "rows"),
    [({"input": ""}, 0), ({"input": []}, 0), ({}, 0), ({"input": "a"}, 1), ({"input": [""]}, 1)],
)
def test_no_input_loads_the_model_and_an_empty_text_is_one(
    shared: OllamaServer, given: dict[str, Any], rows: int
) -> None:
    body = orjson.dumps({"model": NOMIC} | given)
    status, reply = exchange(shared, "POST", "/api/embed", body)
    found = orjson.loads(reply)
    assert (status, len(found["embeddings"])) == (200, rows)
    assert ("prompt_eval_count" in found) == bool(rows)


@pytest.mark.parametrize("dimensions", [0, -1, 256, 9999])
def test_dimensions_that_cannot_be_are_passed_over(shared: OllamaServer, dimensions: int) -> None:
    body = {"model": NOMIC, "input": "a", "dimensions": dimensions}
    _, reply = exchange(shared, "POST", "/api/embed", orjson.dumps(body))
    assert len(orjson.loads(reply)["embeddings"][0]) == 256


def test_unknown_paths_and_methods_are_plain_text(shared: OllamaServer) -> None:
    assert exchange(shared, "GET", "/api/unknown") == (404, b"404 page not found")
    for method, path in (("GET", "/api/chat"), ("POST", "/api/tags"), ("POST", "/api/delete")):
        status, body = exchange(shared, method, path, b"{}")
        assert (status, body[:4]) == (405, b"405 ")


def test_blobs_are_told_by_status(shared: OllamaServer) -> None:
    good = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"
    path = f"/api/blobs/{good}"
    assert exchange(shared, "HEAD", "/api/blobs/x") == (400, b"")
    assert exchange(shared, "HEAD", path) == (404, b"")
    status, body = exchange(shared, "POST", path, b"other")
    assert status == 400
    assert orjson.loads(body)["error"].startswith(f'digest mismatch, expected "{good}", got "sha2')
    assert [exchange(shared, "POST", path, b"abc")[0] for _ in range(2)] == [201, 200]
    assert exchange(shared, "HEAD", path.replace("256:", "256-")) == (200, b"")


@pytest.mark.parametrize(
    ("family", "name", "status", "words"),
    [
        ("new", "embed", 501, "This server does not support embeddings"),
        ("new", "embeddings", 500, "This server does not support embeddings"),
        ("old", "embed", 501, "this model does not support embeddings"),
        ("old", "embeddings", 500, "this model does not support embeddings"),
    ],
)
def test_the_families_refuse_to_embed_in_their_own_words(
    family: Any, name: str, status: int, words: str
) -> None:
    with OllamaServer(Settings(family=family)) as server:
        got, text = refusal(server, name, {"model": "llama3.2", "input": "a", "prompt": "a"})
    assert (got, text[: len(words)]) == (status, words)


def test_v1_breaks_off_without_done_and_asks_for_its_key() -> None:
    with OllamaServer(Settings(api_key="k", models=())) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0)
        with client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        server.settings.api_key = ""
        status, body = exchange(server, "GET", "/v1/models")
        assert (status, body) == (200, b'{"object":"list","data":null}')
    with OllamaServer() as server:
        server.script(Reply(("Hal",), ending="error", error="odd"), Reply(("Hal",)))
        body = orjson.dumps({"model": "llama3.2", "messages": [{"content": "a"}], "stream": True})
        _, broken = exchange(server, "POST", "/v1/chat/completions", body)
        assert b"[DONE]" not in broken
        assert b'"error"' not in broken
        _, whole = exchange(server, "POST", "/v1/chat/completions", body)
        assert whole.endswith(b"data: [DONE]\n\n")
        server.faults = [Fault("/v1/chat/completions", end_after=40)]
        assert len(exchange(server, "POST", "/v1/chat/completions", body)[1]) == 40
