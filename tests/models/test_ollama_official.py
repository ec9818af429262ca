"""The official clients' opinion of the test server: they make our calls and must get the same.

So the double that the other tests trust is not merely our own reading of the contract.
"""

from __future__ import annotations

import re
from base64 import b64decode
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import ollama as official
import openai
import pytest
from ollama_double.models import CATALOGUE
from ollama_double.script import Reply
from ollama_double.server import OllamaServer
from ollama_helpers import NOMIC, client_of, expected

from ragkit.models.ollama import ChatCall, CreateCall, GenerateCall, Message, OllamaAdmin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ragkit.models.ollama import OllamaClient

NEW, QUESTION = "smollm2:135m", "[1] Rent is due in May.\nWhen is rent due?"


@pytest.fixture(scope="module")
def theirs(shared: OllamaServer) -> Iterator[official.Client]:
    client = official.Client(shared.url)
    yield client
    client.close()  # type: ignore[no-untyped-call]  # the package leaves it without types


def test_the_official_client_generates_and_chats_as_ours_does(
    shared: OllamaServer, theirs: official.Client
) -> None:
    ours = client_of(shared)
    reply = ours.generate(GenerateCall("deepseek-r1", QUESTION, logprobs=True))
    got = theirs.generate("deepseek-r1", QUESTION, logprobs=True)
    assert (got.response, got.thinking, got.eval_count) == (
        reply.text,
        reply.thinking,
        reply.metrics.answer_tokens,
    )
    assert [token.token for token in got.logprobs or ()] == [t.token for t in reply.logprobs]
    pieces = theirs.generate("deepseek-r1", QUESTION, stream=True)
    assert "".join(piece.response or "" for piece in pieces) == reply.text
    said = ours.chat(ChatCall("llama3.2", [Message("user", QUESTION)])).message.content
    messages = [{"role": "user", "content": QUESTION}]
    assert theirs.chat("llama3.2", messages).message.content == said == "Rent is due in May. [1]"
    stream = theirs.chat("llama3.2", messages, stream=True)
    assert "".join(piece.message.content or "" for piece in stream) == said


def test_the_official_client_calls_tools_and_sees_mid_stream_errors(
    shared: OllamaServer, theirs: official.Client
) -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "count", "parameters": parameters}}
    messages = [{"role": "user", "content": "count it"}]
    (call,) = theirs.chat("llama3.2", messages, tools=[tool]).message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("count", {"n": 7})
    shared.script(Reply(("Hal",), ending="error", error="odd"))
    with pytest.raises(official.ResponseError, match="odd"):
        list(theirs.chat("llama3.2", messages, stream=True))


def test_the_official_client_embeds_as_ours_does(
    shared: OllamaServer, theirs: official.Client
) -> None:
    ours = client_of(shared)
    for texts, dimensions in ((["one", "two"], None), (["one"], 16)):
        wanted = ours.embed(NOMIC, texts, dimensions=dimensions)
        got = theirs.embed(NOMIC, texts, dimensions=dimensions)
        np.testing.assert_array_equal(np.array(got.embeddings, np.float32), wanted.vectors)
        assert got.prompt_eval_count == wanted.metrics.prompt_tokens
    single = np.array(theirs.embeddings(NOMIC, "one").embedding, np.float32)
    np.testing.assert_array_equal(single, ours.embeddings(NOMIC, "one"))


def test_the_official_client_manages_models_as_ours_does(
    ollama: OllamaServer, tmp_path: Path
) -> None:
    ours = client_of(ollama)
    with closing(official.Client(ollama.url)) as theirs:
        _compare_management(theirs, ours, ollama, tmp_path)


def _compare_management(
    theirs: official.Client, ours: OllamaClient, ollama: OllamaServer, tmp_path: Path
) -> None:
    wanted = [(m.name, m.digest, m.modified_at, m.size_bytes) for m in ours.tags()]
    assert [(m.model, m.digest, m.modified_at, m.size) for m in theirs.list().models] == wanted
    shown, ask = theirs.show("mxbai-embed-large"), ours.show("mxbai-embed-large")
    assert (shown.parameters, shown.template) == (ask.parameters, ask.template)
    assert shown.modelinfo == ask.model_info
    theirs_said = [(e.status, e.total, e.completed or 0) for e in theirs.pull(NEW, stream=True)]
    theirs.delete(NEW)
    ours_said = [(e.status, e.total_bytes, e.completed_bytes) for e in OllamaAdmin(ours).pull(NEW)]
    assert theirs_said == ours_said
    assert theirs.push(NEW).status == "success"
    with pytest.raises(official.ResponseError, match="file does not exist"):
        theirs.pull("nothing")
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" * 1000)
    digest = theirs.create_blob(path)
    assert OllamaAdmin(ours).has_blob(digest)
    assert not OllamaAdmin(ours).upload_blob(path).uploaded
    assert theirs.create("one", files={"model.gguf": digest}).status == "success"
    list(OllamaAdmin(ours).create(CreateCall("two", files={"model.gguf": digest})))
    assert theirs.copy("one", "three").status == "success"
    assert ollama.installed()[:3] == ["three:latest", "two:latest", "one:latest"]
    theirs.generate("llama3.2", "Hi", keep_alive="1h")
    (running,), (known,) = theirs.ps().models, ours.ps()
    assert (running.name, running.expires_at, running.size_vram, running.context_length) == (
        known.name,
        known.expires_at,
        known.size_vram_bytes,
        known.context_tokens,
    )


@pytest.fixture(scope="module")
def openai_client(shared: OllamaServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_the_openai_client_chats(shared: OllamaServer, openai_client: openai.OpenAI) -> None:
    shared.script(*[Reply(("一个", "月"), thinking=("Hm",), last=".")] * 2)
    ask = openai_client.chat.completions
    whole = ask.create(model="llama3.2", messages=[{"role": "user", "content": "Hi"}])
    assert whole.choices[0].message.content == "一个月."
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (3, 2)
    chunks = list(
        ask.create(
            model="llama3.2",
            messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "一个月."
    assert "".join(getattr(delta, "reasoning", None) or "" for delta in deltas) == "Hm"
    assert [delta.role for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage


def test_the_openai_client_gets_schemas_tools_and_limits(openai_client: openai.OpenAI) -> None:
    ask = openai_client.chat.completions
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    hello: Any = [{"role": "user", "content": "count it"}]
    got = ask.create(model="llama3.2", messages=hello, response_format=form)
    assert got.choices[0].message.content == '{"n": 7}'
    tool: Any = {"type": "function", "function": {"name": "count", "parameters": schema}}
    got = ask.create(model="llama3.2", messages=hello, tools=[tool])
    calls = got.choices[0].message.tool_calls
    assert calls
    (call,) = calls
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("count", '{"n":7}')
    assert got.choices[0].finish_reason == "tool_calls"
    got = ask.create(model="llama3.2", messages=hello, max_tokens=1)
    assert got.choices[0].finish_reason == "length"


def test_the_openai_client_embeds_both_ways(openai_client: openai.OpenAI) -> None:
    forms: tuple[Any, ...] = ("float", "base64")
    for form in forms:
        got = openai_client.embeddings.create(
            model=NOMIC,
            input=["one", "two"],
            encoding_format=form,
        )
        rows: Any = [item.embedding for item in got.data]
        if form == "base64":
            rows = [np.frombuffer(b64decode(row), "<f4") for row in rows]
        np.testing.assert_allclose(rows, expected("one", "two", prefix=""), atol=1e-6)
        assert got.usage.prompt_tokens == 6


def test_the_openai_client_lists_models_and_sees_errors(openai_client: openai.OpenAI) -> None:
    assert [m.id for m in openai_client.models.list()] == [model.name for model in CATALOGUE]
    assert openai_client.models.retrieve("llama3.2").owned_by == "library"
    with pytest.raises(openai.NotFoundError, match="model 'x' not found") as missing:
        openai_client.chat.completions.create(
            model="x", messages=[{"role": "user", "content": "a"}]
        )
    assert missing.value.type == "not_found_error"
    with pytest.raises(openai.BadRequestError, match=re.escape("[] is too short - 'messages'")):
        openai_client.chat.completions.create(model="llama3.2", messages=[])
    with pytest.raises(openai.BadRequestError, match="invalid input"):
        openai_client.embeddings.create(model=NOMIC, input=[])
