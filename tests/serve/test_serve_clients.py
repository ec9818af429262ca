"""`ragkit serve` to the official clients of Ollama and OpenAI, as their users call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import ollama
import openai
import pytest
from fixed_chat import FixedChat
from hash_embedder import HashEmbedder
from served import QUESTION, BrokenChat, make_index, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = pytest.mark.long
SAID = "The fee is five dollars a day [1]."
TOKEN = "a-token-of-some-length"  # noqa: S105 -- of this test


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "indexes"
    make_index(folder / "library", embedder=HashEmbedder()).close()
    return folder


def served(indexes: Path, chat: FixedChat, token: str = "") -> AbstractContextManager[str]:
    """A server that finds by words, and embeds by hashes."""
    return serving(indexes, chat=chat, embedder=HashEmbedder(), token=token, search__mode="keyword")


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with served(indexes, FixedChat(SAID), token=TOKEN) as address:
        yield address


@pytest.fixture(scope="module")
def local(url: str) -> Iterator[ollama.Client]:
    with ollama.Client(url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.fixture(scope="module")
def remote(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url + "/v1", api_key=TOKEN, max_retries=0) as client:
        yield client


def test_ollama_lists_shows_and_chats(local: ollama.Client) -> None:
    (model,) = local.list().models
    shown = local.show("library")
    messages = [ollama.Message(role="user", content=QUESTION)]
    whole = local.chat("library", messages)
    pieces = list(local.chat("library", messages, stream=True))

    assert model.model == "library:latest"
    assert shown.capabilities == ["completion"]
    assert whole.message.content is not None
    assert whole.message.content.startswith(SAID + "\n\n**Sources**\n- [1] [fees.md](")
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    assert pieces[-1].done
    assert pieces[-1].eval_count == 7


def test_ollama_generates_embeds_and_pulls(local: ollama.Client) -> None:
    texts = ["the fee", "the card"]
    found = local.embed("library", texts).embeddings
    expected = HashEmbedder().embed_documents(texts)

    assert np.allclose(found, expected, atol=1e-6)
    assert (local.generate("library", QUESTION).response or "").startswith(SAID)
    assert local.pull("library").status == "success"


def test_ollama_is_told_what_is_refused(local: ollama.Client, indexes: Path) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: local.delete("library"),
        lambda: local.copy("library", "other"),
    )
    for call in calls:
        with pytest.raises(ollama.ResponseError, match="not managed through this API") as refused:
            call()
        assert refused.value.status_code == 403
    with pytest.raises(ollama.ResponseError, match="model 'none' not found"):
        local.chat("none", [ollama.Message(role="user", content="x")])
    with (
        served(indexes, BrokenChat(SAID + " More")) as broken,
        ollama.Client(broken) as client,
        pytest.raises(ollama.ResponseError, match="the model went away"),
    ):
        list(client.chat("library", [{"role": "user", "content": QUESTION}], stream=True))


def test_openai_chats_with_citations(remote: openai.OpenAI) -> None:
    done = remote.chat.completions.create(
        model="library", messages=[{"role": "user", "content": QUESTION}]
    )
    message = done.choices[0].message

    assert message.content is not None
    assert message.content.startswith(SAID)
    assert message.annotations is not None
    (annotation,) = message.annotations
    place = annotation.url_citation
    assert message.content[place.start_index : place.end_index] == "[1]"
    assert done.usage is not None
    assert done.usage.completion_tokens == 7


def test_openai_streams_and_counts(remote: openai.OpenAI) -> None:
    stream = remote.chat.completions.create(
        model="library",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    pieces = list(stream)
    said = [choice.delta.content or "" for piece in pieces for choice in piece.choices]

    assert "".join(said).startswith(SAID + "\n\n**Sources**")
    assert pieces[-1].usage is not None
    assert [m.id for m in remote.models.list()] == ["library"]


def test_openai_embeds_and_is_told_what_fails(remote: openai.OpenAI, indexes: Path) -> None:
    texts = ["the fee", "the card"]
    found = remote.embeddings.create(model="library", input=texts).data

    expected = HashEmbedder().embed_documents(texts)
    assert np.allclose([row.embedding for row in found], expected, atol=1e-6)
    with pytest.raises(openai.NotFoundError, match="model 'none' not found"):
        remote.embeddings.create(model="none", input="x")
    with pytest.raises(openai.AuthenticationError):
        remote.with_options(api_key="wrong").models.list()
    with (
        served(indexes, BrokenChat(SAID + " More")) as broken,
        openai.OpenAI(base_url=broken + "/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.APIError, match="the model went away"),
    ):
        list(
            client.chat.completions.create(
                model="library", messages=[{"role": "user", "content": QUESTION}], stream=True
            )
        )
