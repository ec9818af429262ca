"""The Ollama embedder against a real socket: values, bodies, and every fault isolated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ollama_double.models import CATALOGUE
from ollama_double.server import Fault, OllamaServer
from ollama_helpers import (
    BATCH,
    CRASH,
    LEGACY,
    NOMIC,
    PREFIX,
    TOO_LONG,
    client_of,
    cosine,
    embedder_of,
    expected,
)

from ragkit.errors import (
    EmbeddingFailedError,
    ModelNotFoundError,
    ModelResponseError,
)
from ragkit.models.ollama import (
    OllamaEmbedder,
)

if TYPE_CHECKING:
    pass


def test_documents_come_back_in_order_as_unit_vectors(ollama: OllamaServer) -> None:
    texts = [f"text number {i} about {word}" for i, word in enumerate("ab" * 20)]
    got = embedder_of(ollama).embed_documents(texts)
    np.testing.assert_allclose(got, expected(*texts), atol=1e-6)
    assert sorted(body["prompt"] for body in ollama.bodies(LEGACY)) == sorted(
        PREFIX + text for text in texts
    )
    assert ollama.connections <= 8


def test_both_endpoints_give_the_same_vectors(ollama: OllamaServer) -> None:
    texts = [f"notice period {i} 通知期" for i in range(70)]
    single = embedder_of(ollama).embed_documents(texts)
    batched = embedder_of(ollama, embed_endpoint=BATCH).embed_documents(texts)
    assert (single * batched).sum(axis=1).min() > 0.999
    assert sorted(len(body["input"]) for body in ollama.bodies(BATCH)) == [6, 32, 32]
    assert all(body["truncate"] is False for body in ollama.bodies(BATCH))


def test_a_question_costs_one_request_when_the_index_knows_the_model(ollama: OllamaServer) -> None:
    embedder = OllamaEmbedder(
        client_of(ollama),
        NOMIC,
        query_prefix="search_query: ",
        document_prefix=PREFIX,
        digest="d" * 64,
        dim=256,
        max_tokens=2000,
    )
    assert embedder.embed_query("hello").shape == (256,)
    assert (embedder.dim, embedder.digest, embedder.max_tokens) == (256, "d" * 64, 2000)
    body = {"model": f"{NOMIC}:latest", "prompt": "search_query: hello"}
    assert [(r.path, r.json) for r in ollama.requests] == [(LEGACY, body)]


def test_dim_and_digest_are_asked_for_once(ollama: OllamaServer) -> None:
    embedder = embedder_of(ollama)
    assert [embedder.dim, embedder.dim] == [256, 256]
    assert [embedder.digest, embedder.digest] == [CATALOGUE[0].digest] * 2
    assert ollama.paths() == [LEGACY, "/api/tags"]


def test_a_set_prefix_wins_over_the_known_one(ollama: OllamaServer) -> None:
    client = client_of(ollama, query_prefix="Q: ", document_prefix="")
    OllamaEmbedder(client, NOMIC).embed_query("a")
    OllamaEmbedder(client, NOMIC).embed_documents(["b"])
    OllamaEmbedder(client, NOMIC, query_prefix="given ").embed_query("c")
    assert [body["prompt"] for body in ollama.bodies(LEGACY)] == ["Q: a", "b", "given c"]


@pytest.mark.parametrize(
    ("name", "num_ctx", "tokens"),
    [
        (NOMIC, 0, 2048 - 2 - 6),  # the prefix is taken off at 3 bytes a token
        ("bge-m3", 0, 2048 - 2),
        ("bge-m3", 4096, 4096 - 2),
        ("bge-m3", 99999, 8192 - 2),
        ("all-minilm", 0, 512 - 2),
        ("mxbai-embed-large", 0, 256 - 2 - 19),  # num_ctx in the model's own parameters
    ],
)
def test_max_tokens_is_the_smallest_limit(
    ollama: OllamaServer, name: str, num_ctx: int, tokens: int
) -> None:
    assert embedder_of(ollama, name, embed_num_ctx=num_ctx).max_tokens == tokens


def test_a_set_window_is_sent_with_every_request(ollama: OllamaServer) -> None:
    embedder = embedder_of(ollama, "bge-m3", embed_num_ctx=4096)
    assert embedder.options["num_ctx"] == 4096
    embedder.embed_query("a")
    embedder.embed_documents(["b " * 3000])
    window = {"num_ctx": 4096, "num_batch": 4096}
    assert [body["options"] for body in ollama.bodies(LEGACY)] == [window, window]


@pytest.mark.parametrize("endpoint", [LEGACY, BATCH])
def test_a_text_over_the_window_is_split_and_averaged(
    any_family: OllamaServer, endpoint: str
) -> None:
    long = "alpha beta. " * 500 + "gamma delta. " * 500
    embedder = embedder_of(any_family, "all-minilm", embed_endpoint=endpoint)
    got = embedder.embed_documents(["short", long])
    np.testing.assert_allclose(got[0], expected("short", prefix="")[0], atol=1e-6)
    lengths = np.linalg.norm(got, axis=1)
    np.testing.assert_allclose(lengths, [1, 1], atol=1e-6)
    halves = expected("alpha beta. ", "gamma delta. ", prefix="")
    assert cosine(got[1], 500 * 12 * halves[0] + 500 * 13 * halves[1]) > 0.99


@pytest.mark.parametrize("endpoint", [LEGACY, BATCH])
def test_a_crash_is_tried_again_once(ollama: OllamaServer, endpoint: str) -> None:
    ollama.faults.append(Fault(endpoint, status=400, body=CRASH))
    got = embedder_of(ollama, embed_endpoint=endpoint).embed_documents(["hello"])
    np.testing.assert_allclose(got, expected("hello"), atol=1e-6)
    assert len(ollama.paths()) == 2


def test_a_text_that_crashes_the_runner_is_halved(ollama: OllamaServer) -> None:
    text = "alpha " * 50 + "beta " * 60
    both = Fault(LEGACY, times=None, match="alpha beta", status=500, body=CRASH)
    ollama.faults.append(both)
    got = embedder_of(ollama, "all-minilm", retries=1).embed_documents([text])
    assert cosine(got[0], expected("alpha beta", prefix="")[0]) > 0.95


@pytest.mark.parametrize("endpoint", [LEGACY, BATCH])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "body": {"error": "json: unsupported value: NaN"}},
        {"status": 400, "body": {"error": "embedding contains NaN or Inf values"}},
        {"status": 500, "body": {"error": "never heard of"}},
        {"status": 500, "body": CRASH},
    ],
    ids=["nan-500", "nan-400", "unknown-500", "crash"],
)
def test_a_text_that_fails_is_isolated(
    ollama: OllamaServer, endpoint: str, fault: dict[str, Any]
) -> None:
    texts = [f"text {i}" for i in range(20)]
    texts[13] = "poison"
    ollama.faults.append(Fault(endpoint, times=None, match="poison", **fault))
    embedder = embedder_of(ollama, embed_endpoint=endpoint)
    with pytest.raises(EmbeddingFailedError, match="1 of 20 texts; text 13") as caught:
        embedder.embed_documents(texts)
    assert list(caught.value.failed) == [13]
    wanted = expected(*texts)
    wanted[13] = 0
    np.testing.assert_allclose(caught.value.vectors, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "empty"),
        ([0] * 256, "zero"),
        ([None] * 256, "not finite"),
        ([1e300] + [0] * 255, "not finite"),
    ],
    ids=["empty", "zero", "null", "beyond-float32"],
)
def test_an_unusable_vector_is_isolated(
    ollama: OllamaServer, value: list[float], reason: str
) -> None:
    ollama.faults.append(Fault(LEGACY, match="bad", vector=value))
    with pytest.raises(EmbeddingFailedError, match=reason) as caught:
        embedder_of(ollama).embed_documents(["good", "bad", "fine"])
    assert list(caught.value.failed) == [1]
    np.testing.assert_allclose(caught.value.vectors[2], expected("fine")[0], atol=1e-6)


def test_an_empty_vector_in_a_batch_is_isolated(ollama: OllamaServer) -> None:
    rows = [[0.0, 2.0], [], [3.0, 4.0]]
    ollama.faults.append(Fault(BATCH, status=200, body={"embeddings": rows}))
    with pytest.raises(EmbeddingFailedError, match=r"text 1: .+ an empty vector") as caught:
        embedder_of(ollama, embed_endpoint=BATCH).embed_documents(["good", "bad", "fine"])
    assert list(caught.value.failed) == [1]
    np.testing.assert_allclose(
        caught.value.vectors, [[0.0, 1.0], [0.0, 0.0], [0.6, 0.8]], atol=1e-6
    )


@pytest.mark.parametrize("endpoint", [LEGACY, BATCH])
def test_an_empty_vector_of_the_only_text_is_the_texts_fault_where_another_has_one(
    ollama: OllamaServer, endpoint: str
) -> None:
    embedder = embedder_of(ollama, embed_endpoint=endpoint)
    ollama.faults.append(Fault(endpoint, times=None, match="bad", vector=[]))
    for ask in (embedder.embed_query, lambda text: embedder.embed_documents([text])):
        with pytest.raises(EmbeddingFailedError, match="text 0: the model gave an empty vector"):
            ask("bad")


@pytest.mark.parametrize("endpoint", [LEGACY, BATCH])
def test_a_model_that_gives_only_empty_vectors_is_none_for_embedding(
    ollama: OllamaServer, endpoint: str
) -> None:
    ollama.faults.append(Fault(endpoint, times=None, vector=[]))
    embedder = embedder_of(ollama, embed_endpoint=endpoint)
    for ask in (lambda: embedder.embed_documents(["a", "b"]), lambda: embedder.dim):
        with pytest.raises(ModelResponseError, match="it is no embedding model"):
            ask()


def test_an_empty_vector_of_a_part_fails_its_text(ollama: OllamaServer) -> None:
    text = "The first half. The second half."
    refusal = {"error": TOO_LONG}
    ollama.faults += [
        Fault(LEGACY, match=text, status=500, body=refusal),
        Fault(LEGACY, match="second", vector=[]),
    ]
    with pytest.raises(EmbeddingFailedError, match="no usable vector for a part of the text"):
        embedder_of(ollama).embed_documents(["good", text])


@pytest.mark.parametrize("endpoint", [LEGACY, BATCH])
@pytest.mark.parametrize("value", [[0.6, 0.8], "text", 7], ids=["short", "str", "int"])
def test_a_vector_of_the_wrong_shape_is_an_odd_reply(
    ollama: OllamaServer, endpoint: str, value: Any
) -> None:
    embedder = embedder_of(ollama, embed_endpoint=endpoint)
    assert embedder.dim == 256
    ollama.faults.append(Fault(endpoint, vector=value))
    with pytest.raises(ModelResponseError, match="nomic-embed-text:latest"):
        embedder.embed_query("hello")


def test_too_few_vectors_are_an_odd_reply(ollama: OllamaServer) -> None:
    ollama.faults.append(Fault(BATCH, status=200, body={"embeddings": [[1.0, 0.0]]}))
    with pytest.raises(ModelResponseError, match="1 vectors for 2 texts"):
        embedder_of(ollama, embed_endpoint=BATCH).embed_documents(["a", "b"])


@pytest.mark.parametrize("endpoint", [LEGACY, BATCH])
def test_blank_texts_and_lone_surrogates_fail_alone(ollama: OllamaServer, endpoint: str) -> None:
    texts = ["good", "", " \n", "half a \ud83d pair", "fine"]
    embedder = embedder_of(ollama, embed_endpoint=endpoint)
    with pytest.raises(EmbeddingFailedError) as caught:
        embedder.embed_documents(texts)
    assert sorted(caught.value.failed) == [1, 2, 3]
    assert caught.value.failed[1] == "the text is empty"
    assert "cannot be sent" in caught.value.failed[3]
    np.testing.assert_allclose(caught.value.vectors[[0, 4]], expected("good", "fine"), atol=1e-6)


def test_only_blank_texts_send_nothing(ollama: OllamaServer) -> None:
    with pytest.raises(EmbeddingFailedError):
        embedder_of(ollama).embed_documents(["", " "])
    assert ollama.requests == []


def test_a_missing_model_gives_the_command_that_installs_it(ollama: OllamaServer) -> None:
    embedder = embedder_of(ollama, "absent")
    for ask in (embedder.embed_query, lambda _: embedder.digest, lambda _: embedder.max_tokens):
        with pytest.raises(ModelNotFoundError, match=r"ragkit models pull absent$"):
            ask("hello")


def test_a_chat_model_does_not_embed(any_family: OllamaServer) -> None:
    for endpoint in (LEGACY, BATCH):
        embedder = embedder_of(any_family, "llama3.2", embed_endpoint=endpoint)
        with pytest.raises(ModelResponseError, match="does not support embeddings"):
            embedder.embed_documents(["a", "b"])


def test_no_texts_give_no_rows(ollama: OllamaServer) -> None:
    assert embedder_of(ollama).embed_documents([]).shape == (0, 256)
