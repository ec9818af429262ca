"""Generate, chat and vectors: what is sent, to the byte, and what is made of the reply."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ollama_double.models import CATALOGUE
from ollama_double.script import Fault, Reply, Settings
from ollama_double.server import OllamaServer
from ollama_helpers import NOMIC, client_of, expected

from ragkit.decoding import from_wire
from ragkit.errors import ModelNotFoundError, ModelResponseError, ModelUnavailableError
from ragkit.models.ollama import ChatCall, GenerateCall, Message, TokenLogprob, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

GENERATE, CHAT, EMBED = "/api/generate", "/api/chat", "/api/embed"
PASSAGE = "[1] Rent is due in May.\nWhen is rent due?"
SCHEMA = {"type": "object", "properties": {"month": {"type": "string"}}}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
    },
}


def test_a_plain_request_sends_nothing_but_what_was_asked(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    client.generate(GenerateCall("llama3.2", "一?"))
    list(client.generate_stream(GenerateCall("llama3.2", "Hi")))
    client.chat(ChatCall("llama3.2", [Message("user", "Hi")]))
    assert ollama.sent(GENERATE) == [
        '{"model":"llama3.2","prompt":"一?","stream":false}'.encode(),
        b'{"model":"llama3.2","prompt":"Hi","stream":true}',
    ]
    assert ollama.sent(CHAT) == [
        b'{"model":"llama3.2","messages":[{"role":"user","content":"Hi"}],"stream":false}'
    ]
    assert ollama.requests[-1].headers["content-type"] == "application/json"


@pytest.fixture
def able() -> Iterator[OllamaServer]:
    """A server whose chat models see images and fill in texts."""
    models = [replace(m, capabilities=(*m.capabilities, "insert", "vision")) for m in CATALOGUE[4:]]
    with OllamaServer(Settings(models=tuple(models))) as server:
        yield server


def test_every_field_of_generate_goes_over_the_wire(able: OllamaServer) -> None:
    call = GenerateCall(
        "deepseek-r1",
        "Hi",
        suffix="end",
        system="Be brief.",
        template="{{ .Prompt }}",
        context=(1, 2),
        images=(b"\x89PNG",),
        options={"temperature": 0},
        format=SCHEMA,
        think="low",
        keep_alive="10m",
        logprobs=True,
        top_logprobs=2,
        truncate=False,
        shift=False,
    )
    client = client_of(able)
    client.generate(call)
    client.generate(GenerateCall("llama3.2", "Hi", raw=True))
    with pytest.raises(ModelResponseError, match=r"raw .*; write all of it into the prompt"):
        client.generate(GenerateCall("llama3.2", "Hi", raw=True, system="Be brief."))
    assert able.bodies(GENERATE)[:2] == [
        {
            "model": "deepseek-r1",
            "prompt": "Hi",
            "suffix": "end",
            "system": "Be brief.",
            "template": "{{ .Prompt }}",
            "context": [1, 2],
            "images": ["iVBORw=="],
            "stream": False,
            "options": {"temperature": 0},
            "format": SCHEMA,
            "logprobs": True,
            "top_logprobs": 2,
            "truncate": False,
            "shift": False,
            "think": "low",
            "keep_alive": "10m",
        },
        {"model": "llama3.2", "prompt": "Hi", "raw": True, "stream": False},
    ]


def test_a_whole_reply_and_a_streamed_one_say_the_same(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    call = GenerateCall("deepseek-r1", PASSAGE, logprobs=True, top_logprobs=1)
    whole, pieces = client.generate(call), list(client.generate_stream(call))
    assert whole.text == "".join(piece.text for piece in pieces) == "Rent is due in May. [1]"
    assert whole.thinking == "".join(p.thinking for p in pieces) == "Which passage says it?"
    assert whole.logprobs == tuple(token for piece in pieces for token in piece.logprobs)
    other = TokenLogprob("Rent i0", -0.25, utf8=b"Rent i0")
    assert whole.logprobs[0] == TokenLogprob("Rent i", -0.25, (other,), b"Rent i")
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert whole.metrics == pieces[-1].metrics
    assert whole.context == (1, 2, 3)


def test_nanoseconds_and_times_end_at_the_wire(ollama: OllamaServer) -> None:
    reply = client_of(ollama).generate(GenerateCall("llama3.2", PASSAGE))
    assert reply.created_at == datetime(2026, 8, 21, 18, 48, 22, 123456, UTC)
    assert (reply.metrics.total_s, reply.metrics.load_s) == (0.9, 0.05)
    assert (reply.metrics.prompt_s, reply.metrics.answer_s) == (0.13, 0.04)
    assert reply.metrics.tokens_per_s == reply.metrics.answer_tokens / 0.04  # type: ignore[operator]  # said above


def test_a_conversation_with_a_tool_is_passed_through(able: OllamaServer) -> None:
    client = client_of(able)
    question = Message("user", "Please look_up it.", images=(b"img",))
    reply = client.chat(ChatCall("llama3.2", [question], tools=[TOOL]))
    assert reply.message.tool_calls == (
        ToolCall("look_up", {"word": "text"}, id="call_ab12cd30", index=0),
    )
    result = Message("tool", "a word", tool_name="look_up", tool_call_id="call_ab12cd30")
    client.chat(ChatCall("llama3.2", [question, reply.message, result], format="json"))
    body = able.bodies(CHAT)[1]
    assert body["format"] == "json"
    assert body["messages"] == [
        {"role": "user", "content": "Please look_up it.", "images": ["aW1n"]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call_ab12cd30",
                    "function": {"name": "look_up", "arguments": {"word": "text"}, "index": 0},
                }
            ],
        },
        {
            "role": "tool",
            "content": "a word",
            "tool_name": "look_up",
            "tool_call_id": "call_ab12cd30",
        },
    ]


def test_thinking_and_the_text_of_the_last_piece_are_kept(ollama: OllamaServer) -> None:
    ollama.script(*[Reply(("one ",), thinking=("Hm", "m"), last="month")] * 2)
    client = client_of(ollama)
    call = ChatCall("llama3.2", [Message("user", "Hi")])
    whole = client.chat(call).message
    assert (whole.thinking, whole.content) == ("Hmm", "one month")
    pieces = [piece.message for piece in client.chat_stream(call)]
    assert [piece.thinking for piece in pieces] == ["Hm", "m", "", ""]
    assert "".join(piece.content for piece in pieces) == "one month"


def test_unknown_and_missing_fields_do_no_harm(ollama: OllamaServer) -> None:
    assert from_wire(TokenLogprob, {"bytes": [256, "x"]}) == TokenLogprob("", 0.0)
    bare = {"response": "x", "done": True, "new": {"a": 1}, "context": None, "created_at": "soon"}
    ollama.faults = [
        Fault(GENERATE, status=200, body=bare | {"total_duration": "?", "logprobs": 7}),
        Fault(CHAT, status=200, body={"done": True, "message": None}),
    ]
    client = client_of(ollama)
    reply = client.generate(GenerateCall("llama3.2", "Hi"))
    assert (reply.text, reply.done_reason, reply.created_at, reply.context) == ("x", "", None, ())
    assert reply.metrics.total_s is None
    assert reply.metrics.tokens_per_s is None
    assert client.chat(ChatCall("llama3.2")).message == Message("")


@pytest.mark.parametrize("ending", ["eof", "drop"])
def test_a_whole_reply_that_is_not_done_is_an_error(ollama: OllamaServer, ending: Any) -> None:
    ollama.script(Reply(("Hal",), ending=ending))
    with pytest.raises(ModelUnavailableError, match=r"llama3\.2"):
        client_of(ollama, retries=0).generate(GenerateCall("llama3.2", "Hi"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (GenerateCall(NOMIC, "Hi"), "does not support generate"),
        (GenerateCall("llama3.2", "Hi", think=True), "does not support thinking"),
        (GenerateCall("llama3.2", "Hi", options={"temperature": "x"}), "must be of type float32"),
        (GenerateCall("llama3.2", "Hi", top_logprobs=21), "between 0 and 20"),
        (GenerateCall("llama3.2", "Hi", keep_alive="10 parsecs"), "invalid duration"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refused_request_says_why(ollama: OllamaServer, call: GenerateCall, words: str) -> None:
    client = client_of(ollama)
    with pytest.raises(ModelResponseError, match=words):
        client.generate(call)
    with pytest.raises(ModelResponseError, match=words):
        list(client.generate_stream(call))


def test_a_missing_model_gives_the_command_that_installs_it(ollama: OllamaServer) -> None:
    with pytest.raises(ModelNotFoundError, match=r"ragkit models pull absent$"):
        client_of(ollama).generate(GenerateCall("absent", "Hi"))


def test_models_of_both_kinds_are_loaded_and_unloaded(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    client.load("llama3.2", keep_alive="1h")
    client.load("all-minilm")
    running = client.ps()
    assert [model.name for model in running] == ["llama3.2:latest", "all-minilm:latest"]
    assert [model.context_tokens for model in running] == [4096, 512]
    stays = running[0].expires_at
    assert stays is not None
    assert 3500 < (stays - datetime.now(UTC)).total_seconds() <= 3600
    for name in ("llama3.2", "all-minilm"):
        client.unload(name)
    assert client.ps() == []
    assert ollama.sent(GENERATE)[-1] == b'{"model":"all-minilm","keep_alive":0}'
    assert ollama.sent(EMBED) == [b'{"model":"all-minilm","input":""}']


def test_embed_gives_unit_rows_in_order(ollama: OllamaServer) -> None:
    got = client_of(ollama).embed("all-minilm", ["one", "two"])
    np.testing.assert_allclose(got.vectors, expected("one", "two", prefix=""), atol=1e-6)
    assert got.vectors.dtype == np.float32
    assert (got.metrics.prompt_tokens, got.metrics.load_s) == (6, 0.0010195)
    assert ollama.sent(EMBED) == [b'{"model":"all-minilm","input":["one","two"],"truncate":false}']


def test_embed_keeps_the_first_dimensions_and_may_cut_a_text(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    short = client.embed(NOMIC, ["a word"], dimensions=16).vectors
    whole = client.embed(NOMIC, ["a word"], dimensions=9999).vectors
    np.testing.assert_allclose(short, whole[:, :16] / np.linalg.norm(whole[:, :16]), atol=1e-6)
    with pytest.raises(ModelResponseError, match="exceeds the context length"):
        client.embed("all-minilm", ["word " * 600])
    cut = client.embed("all-minilm", ["word " * 600], truncate=True)
    assert cut.metrics.prompt_tokens == 512
    assert client.embed("all-minilm", []).vectors.shape == (0, 0)


def test_embeddings_gives_the_vector_of_the_runner(ollama: OllamaServer) -> None:
    raw = client_of(ollama).embeddings(NOMIC, "hello", keep_alive="-1")
    np.testing.assert_allclose(raw, 15 * expected("hello", prefix="")[0], rtol=1e-5)
    assert ollama.sent("/api/embeddings") == [
        b'{"model":"nomic-embed-text","prompt":"hello","keep_alive":-1}'
    ]


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ([None] * 4, "not finite"),
        ([], "an empty vector for a text"),
        ([0.0, 0.0], "zero vector"),
        ("text", "not with vectors"),
        (None, None),
    ],
    ids=["nan-as-null", "empty", "zero", "text", "fine"],
)
def test_a_vector_without_direction_is_refused(
    ollama: OllamaServer, vector: Any, words: str | None
) -> None:
    ollama.faults = [Fault("/api/embeddings", vector=vector), Fault(EMBED, vector=vector)]
    client = client_of(ollama)
    for ask in (lambda: client.embeddings(NOMIC, "a"), lambda: client.embed(NOMIC, ["a"])):
        if words is None:
            ask()
            continue
        with pytest.raises(ModelResponseError, match=words):
            ask()


@pytest.mark.parametrize("rows", [[[1.0, 0.0]], [[1.0, 0.0], [1.0]], None])
def test_vectors_that_are_too_few_or_unlike_are_refused(ollama: OllamaServer, rows: Any) -> None:
    ollama.faults = [Fault(EMBED, status=200, body={"embeddings": rows})]
    with pytest.raises(ModelResponseError, match="all-minilm"):
        client_of(ollama).embed("all-minilm", ["a", "b"])


def test_an_empty_prompt_gives_no_vector(ollama: OllamaServer) -> None:
    with pytest.raises(ModelResponseError, match="an empty vector for a text"):
        client_of(ollama).embeddings(NOMIC, "")
