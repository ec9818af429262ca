"""Models listed, shown, fetched, made, copied, deleted, in memory; and blobs."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from ollama_double.models import CATALOGUE
from ollama_double.server import Fault, OllamaServer, Settings
from ollama_helpers import admin_of, client_of

from ragkit.decoding import from_wire
from ragkit.errors import (
    ConfigError,
    ModelNotFoundError,
    ModelResponseError,
    ModelUnavailableError,
)
from ragkit.models.ollama import (
    CreateCall,
    GenerateCall,
    LayerProgress,
    Message,
    ModelProgress,
    OllamaAdmin,
    file_digest,
)
from ragkit.models.ollama.replies import InstalledModel, RunningModel

if TYPE_CHECKING:
    from pathlib import Path

NEW = "smollm2:135m"
HOSTED = {
    "name": "big:latest",
    "remote_host": "https://ollama.com:443",
    "remote_model": "big:480b",
}
BASE = "llama3.2"


def test_the_server_greets_and_answers_heads(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    assert client.health() == "Ollama is running"
    assert client.answers()
    assert client.answers("/api/version")
    assert client.answers("/api/tags")
    assert [r.method for r in ollama.requests] == ["GET", "HEAD", "HEAD", "HEAD"]
    ollama.close()
    assert not client.answers()
    with pytest.raises(ModelUnavailableError):
        client_of(ollama, retries=0).health()


def test_tags_are_records(ollama: OllamaServer) -> None:
    first = client_of(ollama).tags()[0]
    assert (first.name, first.digest) == (CATALOGUE[0].name, CATALOGUE[0].digest)
    assert (first.size_bytes, first.capabilities) == (274302450, ("embedding",))
    zone = timezone(timedelta(hours=-7))
    assert first.modified_at == datetime(2026, 5, 10, 8, 6, 48, 639712, zone)
    assert (first.details.family, first.details.quantization_level) == ("nomic-bert", "F16")
    assert (first.details.context_tokens, first.details.embedding_length) == (2048, 256)
    assert (first.remote_host, first.remote_model) == ("", "")
    ollama.faults = [Fault("/api/tags", status=200, body={"models": [HOSTED]})]
    (hosted,) = client_of(ollama).tags()
    assert (hosted.remote_host, hosted.remote_model) == ("https://ollama.com:443", "big:480b")


def test_odd_entries_are_read_as_far_as_they_go() -> None:
    bare = from_wire(
        InstalledModel, {"model": "m", "modified_at": "0001-01-01T00:00:00Z", "size": None}
    )
    assert bare == InstalledModel("m")
    prefixed = from_wire(
        RunningModel, {"name": "m", "digest": "sha256:ab", "details": [], "new": 1}
    )
    assert prefixed == RunningModel("m", "ab")


def test_show_tells_limits_parameters_and_more(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    shown = client.show("mxbai-embed-large")
    assert (shown.context_tokens, shown.embedding_length) == (512, 256)
    assert (shown.parameter("num_ctx"), shown.parameter("num_batch")) == (256, None)
    assert shown.template == "{{ .Prompt }}"
    assert shown.model_info["tokenizer.ggml.tokens"] is None
    assert (len(shown.tensors), shown.tensors[0]["shape"]) == (101, [256, 512])
    assert (shown.renderer, shown.parser, shown.requires) == ("", "", "")
    full = client.show("mxbai-embed-large", verbose=True)
    assert full.model_info["tokenizer.ggml.tokens"] == ["<s>", "</s>", "▁the"]
    assert full.tensors == shown.tensors
    assert ollama.sent("/api/show") == [
        b'{"model":"mxbai-embed-large"}',
        b'{"model":"mxbai-embed-large","verbose":true}',
    ]
    how = {"renderer": "qwen3-vl", "parser": "harmony", "requires": "0.14.0"}
    ollama.faults = [Fault("/api/show", extra=how)]
    rendered = client.show(BASE)
    assert {name: getattr(rendered, name) for name in how} == how


def test_a_pull_reports_each_layer_and_installs_the_model(ollama: OllamaServer) -> None:
    admin, layers = admin_of(ollama), LayerProgress()
    events = list(admin.pull(NEW))
    assert [e.status for e in events if not e.digest] == [
        "pulling manifest",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    weights = [e for e in events if e.digest == events[1].digest]
    assert [e.completed_bytes for e in weights] == [0, 250, 500, 750, 900]
    for event in events[:-3]:
        layers.add(event)
    assert (layers.completed_bytes, layers.total_bytes) == (900 + 300, 1320)
    layers.add(events[-3])  # verified, so the layers are whole, whatever was reported
    assert (layers.completed_bytes, layers.total_bytes) == (1320, 1320)
    assert [layer.total_bytes for layer in layers.layers] == [1000, 20, 300]
    assert ollama.installed()[0] == NEW
    assert ollama.sent("/api/pull") == [b'{"model":"smollm2:135m","stream":true}']


def test_a_pull_ends_in_an_error_exactly_when_the_stream_did(ollama: OllamaServer) -> None:
    admin = admin_of(ollama)
    stream = admin.pull("nothing")
    assert next(stream) == ModelProgress("pulling manifest")
    with pytest.raises(ModelResponseError, match="file does not exist; the registry has no such"):
        next(stream)
    assert list(admin.pull(f"http://{NEW}", insecure=True))[-1].status == "success"
    with pytest.raises(ModelResponseError, match="invalid model name"):
        list(admin.pull("a b"))
    assert [e.status for e in admin.push(NEW)][-2:] == ["pushing manifest", "success"]
    with pytest.raises(ModelResponseError, match="no such file or directory; `ragkit models list`"):
        list(admin.push("nothing"))


def test_an_older_server_refuses_plain_http_and_names_a_missing_model(old: OllamaServer) -> None:
    with pytest.raises(ModelResponseError, match="insecure protocol"):
        list(admin_of(old).pull(f"http://{NEW}"))
    with pytest.raises(ModelResponseError, match="file does not exist; `ragkit models list`"):
        list(admin_of(old).push("nothing"))


def test_copy_and_delete_change_the_list(ollama: OllamaServer) -> None:
    client, admin = client_of(ollama), admin_of(ollama)
    admin.copy(BASE, "backup")
    assert client.digest("backup") == client.digest(BASE)
    admin.delete("backup")
    assert "backup:latest" not in [model.name for model in client.tags()]
    assert ollama.sent("/api/copy") == [b'{"source":"llama3.2","destination":"backup"}']
    deletion = ollama.requests[-2]
    assert (deletion.method, deletion.body) == ("DELETE", b'{"model":"backup"}')
    with pytest.raises(ModelNotFoundError, match="absent"):
        admin.delete("absent")
    with pytest.raises(ModelNotFoundError, match="absent"):
        admin.copy("absent", "b")


def test_a_model_is_made_from_another(ollama: OllamaServer) -> None:
    client, admin = client_of(ollama), admin_of(ollama)
    call = CreateCall(
        "mario",
        BASE,
        system="You are Mario",
        template="{{ .System }}",
        parameters={"temperature": 0.2, "stop": ["<END>"]},
        messages=[Message("user", "Hi"), Message("assistant", "It's me")],
        license=["MIT"],
        quantize="q4_K_M",
        extra={"parser": "x"},
    )
    statuses = [event.status for event in admin.create(call)]
    assert statuses[0] == "quantizing F16 model to q4_K_M"
    assert statuses[-1] == "success"
    shown = client.show("mario")
    assert (shown.system, shown.license) == ("You are Mario", "MIT")
    assert shown.messages == (Message("user", "Hi"), Message("assistant", "It's me"))
    assert ollama.bodies("/api/create") == [
        {
            "model": "mario",
            "from": "llama3.2",
            "template": "{{ .System }}",
            "system": "You are Mario",
            "parameters": {"temperature": 0.2, "stop": ["<END>"]},
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "It's me"},
            ],
            "license": ["MIT"],
            "quantize": "q4_K_M",
            "parser": "x",
            "stream": True,
        }
    ]


def test_making_from_a_model_that_is_not_there_fetches_it(ollama: OllamaServer) -> None:
    admin = admin_of(ollama)
    assert "pulling manifest" in [e.status for e in admin.create(CreateCall("mine", NEW))]
    assert {"mine:latest", NEW} <= set(ollama.installed())
    with pytest.raises(ModelResponseError, match="neither 'from' or 'files'"):
        list(admin.create(CreateCall("mine")))


def test_a_file_is_uploaded_once_and_a_model_made_of_it(
    ollama: OllamaServer, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(range(252)) + bytes(range(256)) * 999)
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    admin = admin_of(ollama)
    seen: list[tuple[int, int]] = []
    assert file_digest(path) == digest
    assert not admin.has_blob(digest)
    blob = admin.upload_blob(path, lambda sent, size: seen.append((sent, size)))
    assert (blob.digest, blob.size_bytes, blob.uploaded) == (digest, 256000, True)
    assert seen[-1] == (256000, 256000)
    assert [sent for sent, _ in seen] == sorted(sent for sent, _ in seen)
    assert ollama.sent(f"/api/blobs/{digest}")[-1] == path.read_bytes()
    assert admin.has_blob(digest)
    assert not admin.upload_blob(path).uploaded
    assert [r.method for r in ollama.requests].count("POST") == 1
    assert (
        list(admin.create(CreateCall("mine", files={"model.gguf": digest})))[-1].status == "success"
    )


def test_a_file_that_came_there_meanwhile_is_not_sent_again(
    ollama: OllamaServer, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" * 1000)
    digest = admin_of(ollama).upload_blob(path).digest
    place = f"/api/blobs/{digest}"
    ollama.faults += [Fault(place, status=404, body=""), Fault(place, drop_after=0)]
    again = admin_of(ollama, retries=0).upload_blob(path)
    assert (again.digest, again.uploaded) == (digest, False)
    methods = [r.method for r in ollama.requests if r.path == place]
    assert methods == ["HEAD", "POST", "HEAD", "POST", "HEAD"]


def test_an_empty_file_is_a_blob_too(ollama: OllamaServer, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert admin_of(ollama).upload_blob(tmp_path / "empty").size_bytes == 0


def test_a_file_that_changes_while_it_is_sent_is_refused(
    ollama: OllamaServer, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"a" * 100_000)

    def spoil(sent: int, _: int) -> None:
        if sent < 50_000:
            path.write_bytes(b"b" * 100_000)

    with pytest.raises(ModelResponseError, match="changed while it was uploaded"):
        admin_of(ollama).upload_blob(path, spoil)
    assert not admin_of(ollama).has_blob("sha256:" + hashlib.sha256(b"b" * 100_000).hexdigest())


@pytest.mark.parametrize("digest", ["", "abc", "sha256:12", "../../x", "sha256:" + "g" * 64])
def test_what_is_no_digest_is_not_asked_for(ollama: OllamaServer, digest: str) -> None:
    with pytest.raises(ConfigError, match="no digest"):
        admin_of(ollama).has_blob(digest)
    assert ollama.requests == []


def test_loaded_models_leave_when_their_time_is_over(ollama: OllamaServer) -> None:
    client = client_of(ollama)
    client.generate(GenerateCall(BASE, "Hi", keep_alive="-1", options={"num_ctx": 2048}))
    client.generate(GenerateCall("deepseek-r1", "Hi", keep_alive="1ms"))
    time.sleep(0.05)
    (running,) = client.ps()
    assert (running.name, running.context_tokens) == ("llama3.2:latest", 2048)
    assert (running.size_bytes, running.size_vram_bytes) == (274302450, 137151225)
    assert running.expires_at is not None
    assert running.expires_at > datetime.now(UTC) + timedelta(days=365)


@pytest.mark.long
def test_a_layer_that_is_verified_in_silence_is_waited_for() -> None:
    with OllamaServer(Settings(chunk_delay_s=0.5)) as server:
        events = list(admin_of(server, read_timeout_s=0.2).pull("llama3.2"))
    assert [event.status for event in events][-3:] == [
        "verifying sha256 digest", "writing manifest", "success",
    ]  # fmt: skip


@pytest.mark.long
def test_a_silence_without_end_is_an_error_and_the_next_pull_goes_on() -> None:
    with OllamaServer(Settings(chunk_delay_s=0.5)) as server:
        impatient = OllamaAdmin(client_of(server, read_timeout_s=0.1), silence_s=0.2)
        with pytest.raises(ModelUnavailableError) as caught:
            list(impatient.pull("smollm2:135m"))
        patient = admin_of(server, read_timeout_s=5.0)
        assert list(patient.pull("smollm2:135m"))[-1].status == "success"
    assert str(caught.value) == (
        f"smollm2:135m at {server.url}: silent for 0.2 s (models.read_timeout_s)"
    )
