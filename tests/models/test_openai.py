"""The OpenAI-compatible backend over a real socket: requests, replies, and all that goes wrong."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
import requests
from commands import wait_until
from ollama_double.script import Fault, Reply, Settings
from ollama_double.server import OllamaServer

from ragkit.config import ModelSettings
from ragkit.errors import (
    ConfigError,
    EmbeddingFailedError,
    ModelError,
    ModelNotFoundError,
    ModelResponseError,
    ModelUnavailableError,
    PromptTruncatedError,
)
from ragkit.models.openai import ListedModel, OpenAIChat, OpenAIClient, OpenAIEmbedder
from ragkit.protocols import ChatDone, ChatMessage, ChatRequest, TextDelta, ThinkingDelta

CHAT, EMBEDDINGS, MODELS = "/v1/chat/completions", "/v1/embeddings", "/v1/models"
QUESTION = ChatRequest((ChatMessage("user", "Hi"),), num_ctx=2048, num_predict=32)
KEY = "sk-secret-0123456789"


def client_of(server: OllamaServer, **settings: Any) -> OpenAIClient:
    return OpenAIClient(server.url, settings=ModelSettings(**({"retries": 0} | settings)))


def embedder_of(server: OllamaServer, **settings: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(client_of(server, **settings), "nomic-embed-text")


def chat_of(server: OllamaServer, **settings: Any) -> OpenAIChat:
    return OpenAIChat(client_of(server, **settings), "llama3.2")


# Requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://127.0.0.1:1234/v1/", "http://127.0.0.1:1234/v1"),
        ("127.0.0.1:1234", "http://127.0.0.1:1234/v1"),
        ("https://host.example", "https://host.example:443/v1"),
        ("http://host:8000/proxy/openai", "http://host:8000/proxy/openai"),
    ],
)
def test_an_address_ends_in_v1_unless_it_has_a_path(given: str, address: str) -> None:
    assert OpenAIClient(given, settings=ModelSettings()).address == address


def test_an_address_that_names_a_user_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError, match=r"models\.openai_url = 'http://\*\*\*@host") as caught:
        OpenAIClient("http://me:hunter2@host/v1", settings=ModelSettings())
    assert "hunter2" not in str(caught.value)


def test_a_chat_request_has_what_was_asked_for_and_nothing_of_ollamas(ollama: OllamaServer) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    messages = (ChatMessage("system", "Be brief."), ChatMessage("user", "你好"))
    request = ChatRequest(messages, 4096, 64, temperature=0.5, seed=7, stop=("END",), schema=schema)

    list(chat_of(ollama).chat(request))

    assert ollama.bodies(CHAT) == [
        {
            "model": "llama3.2",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "你好"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 64,
            "temperature": 0.5,
            "seed": 7,
            "stop": ["END"],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": schema, "strict": True},
            },
        }
    ]


def test_texts_are_sent_in_batches_with_the_models_prefix(ollama: OllamaServer) -> None:
    rows = embedder_of(ollama, embed_batch=2).embed_documents(["one", "two", "three"])
    inputs = [body["input"] for body in ollama.bodies(EMBEDDINGS)]
    assert sorted(map(len, inputs)) == [1, 2]
    assert {t for texts in inputs for t in texts} == {
        f"search_document: {t}" for t in ("one", "two", "three")
    }
    assert rows.shape == (3, 256)


# Replies -------------------------------------------------------------------------------------


def test_models_are_listed_with_the_window_where_the_server_tells_it(ollama: OllamaServer) -> None:
    listed = [
        {"id": "vllm", "max_model_len": 8192},
        {"id": "llama.cpp", "meta": {"n_ctx_train": 4096}},
        {"id": "unknown"},
    ]
    ollama.faults.append(Fault(MODELS, status=200, body={"object": "list", "data": listed}))
    assert client_of(ollama).models() == [
        ListedModel("vllm", 8192),
        ListedModel("llama.cpp", 4096),
        ListedModel("unknown", None),
    ]
    ollama.faults.append(Fault(MODELS, status=200, body={"object": "list", "data": None}))
    assert client_of(ollama).models() == []


def test_one_model_is_asked_for_by_its_name(ollama: OllamaServer) -> None:
    assert client_of(ollama).retrieve("llama3.2") == ListedModel("llama3.2", None)
    with pytest.raises(ModelNotFoundError, match="'none-such:latest' not found"):
        client_of(ollama).retrieve("none-such")
    own = {"id": "me/model a", "max_model_len": 8192}
    path = f"{MODELS}/me%2Fmodel%20a"  # a name is one part of the path, whatever it holds
    ollama.faults.append(Fault(path, status=200, body=own))
    assert client_of(ollama).retrieve("me/model a") == ListedModel("me/model a", 8192)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ({"error": {"message": "The model `x` does not exist"}}, ModelNotFoundError, "not exist"),
        ({"error": "Unexpected endpoint or method."}, ModelResponseError, "Unexpected endpoint"),
        ({}, ModelResponseError, "a reply without the model's id"),
    ],
)
def test_no_model_is_there_just_because_a_reply_has_status_200(
    ollama: OllamaServer, body: object, error: type[ModelError], said: str
) -> None:
    ollama.faults.append(Fault(f"{MODELS}/x", status=200, body=body))
    with pytest.raises(error, match=said):
        client_of(ollama).retrieve("x")


def test_vectors_come_in_the_order_of_their_index_as_numbers_or_base64(
    ollama: OllamaServer,
) -> None:
    first, second = np.array([3.0, 4.0], "<f4"), np.array([0.0, 2.0], "<f4")
    rows = [
        {"index": 1, "embedding": b64encode(second.tobytes()).decode()},
        {"index": 0, "embedding": first.tolist()},
    ]
    ollama.faults.append(Fault(EMBEDDINGS, status=200, body={"data": rows}))
    found = embedder_of(ollama).embed_documents(["a", "b"])
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 1.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "gave 0 vectors for 1 texts"),
        (None, "gave 0 vectors for 1 texts"),
        ([{"index": 0, "embedding": [1.0]}] * 2, "gave 2 vectors for 1 texts"),
        ([{"index": 0}], "a reply without vectors"),
        ([{"index": 0, "embedding": "not base64!"}], "a reply without vectors"),
    ],
)
def test_a_reply_without_its_vectors_is_refused(
    ollama: OllamaServer, data: Any, message: str
) -> None:
    ollama.faults.append(Fault(EMBEDDINGS, status=200, body={"data": data}))
    with pytest.raises(ModelResponseError, match=message):
        embedder_of(ollama).embed_query("a")


@pytest.mark.parametrize(
    "vector", [[0.0, 0.0], [None, 1.0], [], ""], ids=["zero", "NaN", "empty", "empty base64"]
)
def test_a_vector_that_is_no_direction_fails_its_text_only(
    ollama: OllamaServer, vector: Any
) -> None:
    rows = [{"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": vector}]
    ollama.faults.append(Fault(EMBEDDINGS, status=200, body={"data": rows}))
    with pytest.raises(EmbeddingFailedError) as caught:
        embedder_of(ollama).embed_documents(["good", "bad"])
    assert list(caught.value.failed) == [1]
    np.testing.assert_allclose(caught.value.vectors[0], [1.0, 0.0])


def test_an_over_long_text_is_never_sent_whole(ollama: OllamaServer) -> None:
    embedder = OpenAIEmbedder(client_of(ollama), "nomic-embed-text", max_tokens=64)
    embedder.embed_documents(["The bread is baked in the oven until it is brown. " * 30])
    sent = [text for body in ollama.bodies(EMBEDDINGS) for text in body["input"]]
    assert len(sent) > 4
    assert max(map(len, sent)) < 64 * 6


def test_thinking_is_kept_apart_and_usage_is_counted(ollama: OllamaServer) -> None:
    ollama.script(Reply(("Yes", "."), thinking=("hm",), prompt_tokens=11))
    events = list(chat_of(ollama).chat(QUESTION))
    assert events == [
        ThinkingDelta("hm"),
        TextDelta("Yes"),
        TextDelta("."),
        ChatDone("stop", 11, 2),
    ]


def test_reasoning_in_the_text_is_handed_on_as_text(ollama: OllamaServer) -> None:
    ollama.script(Reply(("<think>Hm</think>", "May")))
    *deltas, _ = chat_of(ollama).chat(QUESTION)
    assert deltas == [TextDelta("<think>Hm</think>"), TextDelta("May")]


def test_a_reply_arrives_the_same_however_its_bytes_are_cut(ollama: OllamaServer) -> None:
    ollama.script("通知期为一个月。", "通知期为一个月。")
    whole = list(chat_of(ollama).chat(QUESTION))
    ollama.faults.append(Fault(CHAT, split=True))
    assert list(chat_of(ollama).chat(QUESTION)) == whole


@pytest.mark.parametrize("way", ["end_after", "drop_after"])
def test_a_stream_that_ends_before_done_is_not_whole_wherever_it_is_cut(
    ollama: OllamaServer, way: str
) -> None:
    ollama.script("Hi.", "Hi.")
    events = list(chat_of(ollama).chat(QUESTION))
    size = len(requests.post(f"{ollama.url}{CHAT}", ollama.sent(CHAT)[0], timeout=5).content)

    def whole(cut: int) -> bool:
        ollama.script("Hi.")
        ollama.faults.append(Fault(CHAT, **{way: cut}))  # type: ignore[arg-type]  # both are numbers
        try:
            got = list(chat_of(ollama).chat(QUESTION))
        except ModelUnavailableError:
            return False
        assert got == events, cut
        return True

    length = next(cut for cut in range(2000) if whole(cut))
    assert length >= size - 1  # only the blank line behind [DONE] may be missing


def test_what_is_no_data_line_is_passed_over(ollama: OllamaServer) -> None:
    chunk = '{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
    body = f": keep-alive\r\n\r\nevent: message\r\ndata:{chunk}\r\n\r\ndata: [DONE]\r\n\r\n"
    ollama.faults.append(Fault(CHAT, status=200, body=body))
    assert list(chat_of(ollama).chat(QUESTION)) == [TextDelta("Hi"), ChatDone("stop", None, None)]


def test_an_error_within_a_stream_is_an_error(ollama: OllamaServer) -> None:
    body = 'data: {"error": {"message": "out of memory", "code": 500}}\n\n'
    ollama.faults.append(Fault(CHAT, status=200, body=body))
    with pytest.raises(ModelError, match="out of memory"):
        list(chat_of(ollama).chat(QUESTION))
    body = 'error: {"code": 500, "message": "the slot is gone"}\n\n'  # older llama.cpp servers
    ollama.faults.append(Fault(CHAT, status=200, body=body))
    with pytest.raises(ModelError, match=r"the slot is gone$"):
        list(chat_of(ollama).chat(QUESTION))


# What goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, {"error": {"message": "no key"}}, ModelResponseError, "no key; the key in OPENAI_"),
        (404, {"error": "model 'x' not found"}, ModelNotFoundError, "`ragkit doctor` lists"),
        (404, "<html>nothing here</html>", ModelResponseError, "It mostly ends in /v1"),
        (400, {"detail": "bad field"}, ModelResponseError, r"bad field \(HTTP 400\)"),
        (429, {"error": {"message": "slow down"}}, ModelUnavailableError, "slow down"),
        (503, {"error": {"message": "Loading model"}}, ModelUnavailableError, "Loading model"),
        (500, {}, ModelResponseError, "an error without words"),
        (200, "<html>a page</html>", ModelResponseError, "not a JSON object"),
    ],
)
def test_an_error_reply_becomes_an_error_that_says_what_to_do(
    ollama: OllamaServer, status: int, body: Any, kind: type[ModelError], message: str
) -> None:
    ollama.faults.append(Fault(MODELS, status=status, body=body, times=None))
    with pytest.raises(kind, match=message):
        client_of(ollama).models()


def test_a_busy_server_is_asked_again_and_a_server_that_is_not_there_is_named(
    ollama: OllamaServer,
) -> None:
    ollama.faults.append(Fault(EMBEDDINGS, status=503, body={"error": "busy"}, times=2))
    assert embedder_of(ollama, retries=3).embed_query("a").shape == (256,)
    with OllamaServer() as gone:
        client = client_of(gone)
    assert not client.is_available()
    with pytest.raises(ModelUnavailableError, match=r"start the server, or set models\.openai_url"):
        client.models()


def test_a_finished_stream_leaves_its_connection_to_the_next(ollama: OllamaServer) -> None:
    chat = chat_of(ollama)
    for delay_s in (0.0, 0.6, 0.0):  # more than the end of the reply before was waited for
        ollama.faults.append(Fault(CHAT, delay_s=delay_s))
        list(chat.chat(QUESTION))
    assert (ollama.connections, ollama.cancelled) == (1, 0)


def test_an_end_that_does_not_come_after_done_is_not_waited_for(ollama: OllamaServer) -> None:
    chat = chat_of(ollama, read_timeout_s=20)
    whole = list(chat.chat(QUESTION))
    ollama.faults.append(Fault(CHAT, linger_s=60))
    began = time.monotonic()
    assert list(chat.chat(QUESTION)) == whole
    assert time.monotonic() - began < 10
    assert list(chat.chat(QUESTION)) == whole
    assert ollama.connections == 2


def test_leaving_a_reply_ends_it_at_the_server(ollama: OllamaServer) -> None:
    ollama.script(Reply(tuple("abcdefgh" * 2000)))
    stream = chat_of(ollama).chat(QUESTION)
    next(stream)
    stream.close()
    assert isinstance(list(chat_of(ollama).chat(QUESTION))[-1], ChatDone)
    wait_until(lambda: ollama.cancelled == 1)  # it sees that nobody listens when it writes


# The key -------------------------------------------------------------------------------------


def test_the_key_goes_to_its_server_and_follows_no_redirect(
    ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with OllamaServer(Settings(api_key=KEY)) as locked:
        client = client_of(locked)
        assert client.is_available()
        assert locked.requests[0].headers["authorization"] == f"Bearer {KEY}"
        locked.faults = [Fault(MODELS, status=307, body=f"{ollama.url}{MODELS}")]
        with pytest.raises(ModelResponseError, match="307"):
            client.models()
    assert ollama.requests == []


def test_the_key_does_not_leave_in_the_clear_nor_to_ollama(
    ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragkit.models.ollama import OllamaClient

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HTTP_PROXY", ollama.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    far = OpenAIClient("http://vllm.invalid:8000", settings=ModelSettings(retries=0))
    with pytest.raises(ModelError):
        far.models()
    OllamaClient(ollama.url, settings=ModelSettings()).version()
    assert len(ollama.requests) == 2
    assert not any(KEY in str(request.headers) for request in ollama.requests)


def test_the_key_is_shown_nowhere(ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    client = client_of(ollama)
    ollama.faults.append(Fault(MODELS, status=401, body={"error": f"wrong key {KEY}"}))
    with pytest.raises(ModelResponseError, match=r"wrong key \*\*\*") as caught:
        client.models()
    ollama.faults.append(Fault(MODELS, status=200, body=f"not JSON {KEY}"))
    with pytest.raises(ModelResponseError) as second:
        client.models()
    shown = f"{client!r} {vars(client)} {caught.value} {caught.value.__cause__!r} {second.value}"
    assert KEY not in shown


def test_a_model_that_repeats_itself_is_said_to(ollama: OllamaServer) -> None:
    ollama.script(Reply(("It is ", *["ha "] * 80)))
    chat = OpenAIChat(client_of(ollama), "llama3.2")
    with pytest.raises(ModelResponseError, match=r"repeated itself \('ha '"):
        list(chat.chat(QUESTION))


def test_a_llama_cpp_servers_counts_are_read(ollama: OllamaServer) -> None:
    error = {
        "code": 400,
        "message": "request (1999 tokens) exceeds the available context size (1024 tokens)",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 1999,
        "n_ctx": 1024,
    }
    ollama.faults.append(Fault("/v1/chat/completions", status=400, body={"error": error}))
    with pytest.raises(PromptTruncatedError, match="1999 tokens, and the window has 1024") as got:
        list(OpenAIChat(client_of(ollama), "llama3.2").chat(QUESTION))
    assert (got.value.prompt_tokens, got.value.num_ctx) == (1999, 1024)
