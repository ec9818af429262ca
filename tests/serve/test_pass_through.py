"""`ragkit serve --pass-through`: another server's models beside the indexes, over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from ollama_double.server import OllamaServer
from served import QUESTION, lines, make_index, post, serving, user

from ragkit.config import Config
from ragkit.models.ollama.relay import ModelRelay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def url(indexes: Path, ollama: OllamaServer) -> Iterator[str]:
    settings: dict[str, Any] = {"models__ollama_host": ollama.url, "serve__pass_through": True}
    with serving(indexes, **settings) as address:
        yield address


def names(reply: requests.Response) -> list[str]:
    return [model["name"] for model in reply.json()["models"]]


def test_the_lists_have_both(url: str, ollama: OllamaServer) -> None:
    theirs = names(requests.get(ollama.url + "/api/tags", timeout=5))
    ours = names(requests.get(url + "/api/tags", timeout=5))
    openai = requests.get(url + "/v1/models", timeout=5).json()["data"]
    one = requests.get(url + "/v1/models/llama3.2:latest", timeout=5)

    assert "llama3.2:latest" in theirs
    assert ours == ["library:latest", *theirs]
    assert [model["id"] for model in openai] == ["library", *theirs]
    assert (one.status_code, one.json()["id"]) == (200, "llama3.2:latest")


@pytest.mark.parametrize("stream", [True, False])
def test_another_models_chat_is_what_its_server_says(
    url: str, ollama: OllamaServer, *, stream: bool
) -> None:
    body = {"model": "llama3.2", "messages": user(QUESTION), "stream": stream, "options": {}}
    passed, direct = post(url, "/api/chat", body), post(ollama.url, "/api/chat", body)

    assert passed.status_code == direct.status_code == 200
    assert passed.headers["content-type"] == direct.headers["content-type"]
    (ours, theirs) = (lines(reply) for reply in (passed, direct))
    assert [line["message"] for line in ours] == [line["message"] for line in theirs]
    assert ours[-1]["done"] is True
    assert ollama.bodies("/api/chat") == [body, body]
    assert ollama.sent("/api/chat")[0] == ollama.sent("/api/chat")[1]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/show", {"model": "llama3.2"}),
        ("/api/generate", {"model": "llama3.2", "prompt": "Hi", "stream": False}),
        ("/api/embed", {"model": "nomic-embed-text", "input": ["a", "b"]}),
        ("/v1/chat/completions", {"model": "llama3.2", "messages": user("Hi")}),
        ("/v1/embeddings", {"model": "nomic-embed-text", "input": "a"}),
    ],
)
def test_every_route_passes_on(
    url: str, ollama: OllamaServer, path: str, body: dict[str, object]
) -> None:
    passed, direct = post(url, path, body), post(ollama.url, path, body)

    assert (passed.status_code, direct.status_code) == (200, 200)
    assert passed.json().keys() == direct.json().keys()
    assert ollama.paths().count(path) == 2


def test_an_index_is_asked_here_and_nothing_is_managed(url: str, ollama: OllamaServer) -> None:
    body = {"model": "library", "messages": user(QUESTION), "stream": False}
    answer = post(url, "/api/chat", body).json()
    deleted = requests.delete(url + "/api/delete", json={"model": "llama3.2"}, timeout=5)
    unknown = post(url, "/api/chat", {"model": "nobody", "messages": user("x")})

    assert "five dollars" in answer["message"]["content"]
    assert ollama.bodies("/api/chat") == []
    assert (deleted.status_code, unknown.status_code) == (403, 404)
    assert "llama3.2:latest" in ollama.installed()


def test_without_the_setting_nothing_is_passed_on(indexes: Path, ollama: OllamaServer) -> None:
    with serving(indexes, models__ollama_host=ollama.url) as url:
        listed = names(requests.get(url + "/api/tags", timeout=5))
        asked = post(url, "/api/chat", {"model": "llama3.2", "messages": user("x")})

    assert (listed, asked.status_code) == (["library:latest"], 404)
    assert ollama.paths() == []


def test_an_index_comes_before_a_model_of_its_name(tmp_path: Path, ollama: OllamaServer) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "llama3.2").close()
    settings: dict[str, Any] = {"models__ollama_host": ollama.url, "serve__pass_through": True}
    with serving(folder, **settings) as url:
        listed = names(requests.get(url + "/api/tags", timeout=5))
        body = {"model": "llama3.2", "messages": user(QUESTION), "stream": False}
        answer = post(url, "/api/chat", body).json()

    assert listed.count("llama3.2:latest") == 1
    assert "five dollars" in answer["message"]["content"]


def test_a_server_that_went_is_told(indexes: Path) -> None:
    with OllamaServer() as gone:
        settings: dict[str, Any] = {"models__ollama_host": gone.url, "serve__pass_through": True}
        with serving(indexes, **settings) as url:
            assert len(names(requests.get(url + "/api/tags", timeout=5))) > 1
            gone.close()
            asked = post(url, "/api/chat", {"model": "llama3.2", "messages": user("x")})

    assert asked.status_code in (
        404,
        503,
    )  # by then the list of models is known to be empty, or not
    assert asked.json()["error"]


def test_models_that_run_elsewhere_are_left_out_unless_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed = b'{"models":[{"name":"a:latest"},{"name":"b:cloud"},{"name":"c","remote_host":"x"}]}'

    class Reply:
        ok, content = True, listed

    monkeypatch.setattr("requests.Session.get", lambda *_, **__: Reply())
    settings = Config().models
    allowed = Config().with_values({"models.allow_remote": True}).models

    assert [m["name"] for m in ModelRelay(settings).models()] == ["a:latest"]
    assert len(ModelRelay(allowed).models()) == 3
    assert not ModelRelay(settings).has("b:cloud")
