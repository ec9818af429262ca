"""What leaves the machine: texts to models that run elsewhere, and the key."""

from __future__ import annotations

import logging
from itertools import product
from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files
from ollama_double.models import CATALOGUE, Model
from ollama_double.script import Fault, Settings
from ollama_double.server import OllamaServer
from ollama_helpers import client_of

from ragkit.config import ModelSettings
from ragkit.errors import ConfigError, ModelResponseError
from ragkit.models.http.address import ApiKey, key_for
from ragkit.models.ollama import (
    CreateCall,
    GenerateCall,
    OllamaAdmin,
    OllamaChat,
    OllamaClient,
    OllamaEmbedder,
    is_remote,
)
from ragkit.protocols import ChatMessage, ChatRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE = "llama3.2"
KINDS = ("completion", "embedding")
HOSTED = Model("hosted:latest", capabilities=KINDS, remote_host="https://elsewhere.example")


@pytest.mark.parametrize(
    ("name", "remote"),
    [
        ("gpt-oss:120b-cloud", True),
        ("glm:cloud", True),
        ("GLM:Cloud ", True),
        ("my-cloud:local", False),
        ("cloudy", False),
        ("cloud", False),
        ("cloud/model:latest", False),
    ],
)
def test_a_name_says_that_its_model_runs_elsewhere(name: str, *, remote: bool) -> None:
    assert is_remote(name) is remote


def test_nothing_is_sent_to_a_model_that_runs_elsewhere() -> None:
    settings = Settings(models=(*CATALOGUE, HOSTED, Model("gpt:20b-cloud")))
    question = ChatRequest((ChatMessage("user", "secret"),), num_ctx=4096, num_predict=9)
    asks: list[Callable[[OllamaClient, str], object]] = [
        lambda client, name: client.generate(GenerateCall(name, "secret")),
        lambda client, name: list(client.generate_stream(GenerateCall(name, "secret"))),
        lambda client, name: list(OllamaChat(client, name).chat(question)),
        lambda client, name: client.load(name),
        lambda client, name: client.embed(name, ["secret"]),
        lambda client, name: client.embeddings(name, "secret"),
    ]
    with OllamaServer(settings) as server:
        client = client_of(server)
        for name, ask in product(("hosted", "gpt:20b-cloud"), asks):
            with pytest.raises(ConfigError, match=r"models\.allow_remote"):
                ask(client, name)
        others: list[Callable[[], object]] = [
            lambda: OllamaEmbedder(client, "gpt:20b-cloud").embed_query("secret"),
            lambda: list(OllamaAdmin(client).pull("gpt:20b-cloud")),
            lambda: list(OllamaAdmin(client).create(CreateCall("mine", "gpt:20b-cloud"))),
            lambda: client.digest("hosted"),
        ]
        for other in others:
            with pytest.raises(ConfigError, match=r"models\.allow_remote"):
                other()
        assert not any(b"secret" in request.body for request in server.requests)
        allowed = client_of(server, allow_remote=True)
        assert allowed.generate(GenerateCall("gpt:20b-cloud", "Hi")).done
        assert len(allowed.digest("hosted")) == 64


def test_no_command_sends_a_text_to_a_model_that_runs_elsewhere(tmp_path: Path) -> None:
    write_files(tmp_path, {"docs/a.md": "# A\n\nsecret\n"})
    commands = (
        ("embed", "secret", "--model", "hosted"),
        ("generate", "secret", "--model", "hosted"),
        ("chat", "--plain", "--model", "hosted"),
        ("index", "docs", "--embedder", "hosted"),
    )
    with OllamaServer(Settings(models=(HOSTED,))) as server:
        for words in commands:
            assert "models.allow_remote" in Shell(tmp_path, server.url)(*words, code=2).err
        assert not any(b"secret" in request.body for request in server.requests)


def test_a_model_is_asked_about_once(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    for _ in range(3):
        client.generate(GenerateCall(BASE, "Hi"))
    assert ollama.paths().count("/api/show") == 1
    list(OllamaAdmin(client).create(CreateCall(BASE, "deepseek-r1")))
    client.generate(GenerateCall(BASE, "Hi"))
    assert ollama.paths().count("/api/show") == 2


@pytest.mark.parametrize(
    ("base", "sent"),
    [
        ("https://ollama.com:443", True),
        ("https://10.0.0.5:443", True),
        ("http://127.0.0.1:11434", True),
        ("http://[::1]:11434", True),
        ("http://localhost:8080", True),
        ("http://10.0.0.5:11434", False),
        ("http://ollama.example:80", False),
    ],
)
def test_a_key_is_sent_over_encryption_or_within_the_machine(
    monkeypatch: pytest.MonkeyPatch, base: str, *, sent: bool
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-secret")
    assert (key_for(base, "OLLAMA_API_KEY") is not None) is sent


def test_a_key_does_not_go_over_a_network_in_the_clear(
    ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server stands in as the proxy on the way to another machine.
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-secret")
    monkeypatch.setenv("HTTP_PROXY", ollama.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = OllamaClient("http://ollama.invalid:11434", settings=ModelSettings(retries=0))
    with pytest.raises(ModelResponseError):
        client.version()
    (request,) = ollama.requests
    assert request.path == "http://ollama.invalid:11434/api/version"
    assert "sk-secret" not in str(request.headers)
    unauthorised = {"error": "unauthorized"}
    ollama.faults = [Fault(request.path, status=401, body=unauthorised, times=2)]
    with pytest.raises(ModelResponseError, match="OLLAMA_API_KEY was not sent: without https"):
        client.version()
    monkeypatch.delenv("OLLAMA_API_KEY")
    with pytest.raises(ModelResponseError) as caught:
        OllamaClient("http://ollama.invalid:11434", settings=ModelSettings(retries=0)).version()
    assert "was not sent" not in str(caught.value)


def test_a_key_opens_its_server_and_follows_no_redirect(
    ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-secret")
    with OllamaServer(Settings(api_key="sk-secret")) as locked:
        assert client_of(locked).version() == "0.32.15"
        assert locked.requests[0].headers["authorization"] == "Bearer sk-secret"
        locked.faults = [Fault("/api/tags", status=307, body=f"{ollama.url}/api/tags")]
        with pytest.raises(ModelResponseError, match="307"):
            client_of(locked).tags()
    assert ollama.requests == []


def test_a_key_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-wrong")
    with OllamaServer(Settings(api_key="sk-right")) as server:
        client = client_of(server)
        # This server repeats in its error what it was sent.
        with pytest.raises(ModelResponseError, match=r"Bearer \*\*\*") as caught:
            client.tags()
        server.faults = [Fault("/api/tags", status=200, body="key sk-wrong")]
        with pytest.raises(ModelResponseError, match=r"\*\*\*") as odd:
            client.tags()
    shown = (
        caught.value,
        odd.value,
        client,
        vars(client),
        vars(client.connection),
        ApiKey("sk-wrong", "OLLAMA_API_KEY"),
        caplog.text,
    )
    assert not any("sk-wrong" in text for value in shown for text in (str(value), repr(value)))


@pytest.mark.parametrize("key", ["sk\r\nX: y", "sk secret", "sk-é"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", key)
    with pytest.raises(ConfigError, match="OLLAMA_API_KEY is no key") as caught:
        OllamaClient("https://ollama.com", settings=ModelSettings())
    assert key not in str(caught.value)


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        OllamaClient("http://me:hush@host", settings=ModelSettings())
    assert "hush" not in str(caught.value)
