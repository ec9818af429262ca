"""The vectors of an index's own embedder, to clients of Ollama and of OpenAI."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hash_embedder import HashEmbedder
from served import make_index, post, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = ["the fee", "the card"]
EXPECTED = HashEmbedder().embed_documents(TEXTS)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served") / "indexes"
    make_index(folder / "library", embedder=HashEmbedder()).close()
    make_index(folder / "words").close()
    with serving(folder, embedder=HashEmbedder()) as address:
        yield address


def test_embed_gives_the_vectors_of_the_index(url: str) -> None:
    reply = post(url, "/api/embed", {"model": "library", "input": TEXTS}).json()
    single = post(url, "/api/embed", {"model": "library", "input": TEXTS[0]}).json()

    assert np.allclose(reply["embeddings"], EXPECTED, atol=1e-6)
    assert np.allclose(single["embeddings"], EXPECTED[:1], atol=1e-6)
    assert reply["total_duration"] > 0
    assert reply["prompt_eval_count"] > 0


@pytest.mark.parametrize("given", [{}, {"input": ""}, {"input": []}])
def test_embed_of_nothing_is_nothing(url: str, given: dict[str, object]) -> None:
    assert post(url, "/api/embed", {"model": "library", **given}).json()["embeddings"] == []


def test_the_older_endpoint_gives_one_vector(url: str) -> None:
    reply = post(url, "/api/embeddings", {"model": "library", "prompt": TEXTS[1]}).json()
    nothing = post(url, "/api/embeddings", {"model": "library", "prompt": ""}).json()

    assert np.allclose(reply["embedding"], EXPECTED[1], atol=1e-6)
    assert nothing == {"embedding": []}


def test_fewer_dimensions_are_the_first_made_a_unit_again(url: str) -> None:
    body = {"model": "library", "input": TEXTS, "dimensions": 4}
    found = np.array(post(url, "/api/embed", body).json()["embeddings"])

    cut = EXPECTED[:, :4]
    assert np.allclose(found, cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-6)


def test_openai_clients_get_numbers_or_base64(url: str) -> None:
    body = {"model": "library", "input": TEXTS}
    plain = post(url, "/v1/embeddings", body).json()
    packed = post(url, "/v1/embeddings", body | {"encoding_format": "base64"}).json()

    assert [row["index"] for row in plain["data"]] == [0, 1]
    assert np.allclose([row["embedding"] for row in plain["data"]], EXPECTED, atol=1e-6)
    decoded = [np.frombuffer(base64.b64decode(r["embedding"]), "<f4") for r in packed["data"]]
    assert np.array_equal(decoded, EXPECTED)
    assert plain["usage"]["prompt_tokens"] == plain["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": "words", "input": "x"}, 400),
        ({"model": "library", "input": [1, 2]}, 400),
        ({"model": "library", "input": [" "]}, 400),
        ({"model": "library", "input": ["x"] * 3000}, 400),
        ({"model": "library", "input": "x", "dimensions": "y"}, 400),
        ({"model": "none", "input": "x"}, 404),
    ],
)
def test_what_has_no_vector_is_told(url: str, body: dict[str, object], status: int) -> None:
    ollama, openai = post(url, "/api/embed", body), post(url, "/v1/embeddings", body)

    assert (ollama.status_code, openai.status_code) == (status, status)
    assert ollama.json()["error"] == openai.json()["error"]["message"]
