"""``ragkit models``: what a person sees, what the server is sent, and how it ends."""

from __future__ import annotations

import hashlib
import signal
from typing import TYPE_CHECKING, Any

import pytest
from commands import Shell, wait_until, write_files
from ollama_double.manage import CACHED, CONFIG, WEIGHTS
from ollama_double.models import CATALOGUE, Model
from ollama_double.server import Fault, OllamaServer, Settings
from ollama_helpers import client_of
from terminal import CTRL_C, at_terminal

from ragkit.cli.output import size_text
from ragkit.models.ollama import GenerateCall

if TYPE_CHECKING:
    from pathlib import Path

NOMIC = hashlib.sha256(b"nomic-embed-text:latest").hexdigest()
FIRST_LINE = len(b'{"status":"pulling manifest"}\n')


def test_list_names_each_model_with_its_size_and_what_it_can_do(shell: Shell) -> None:
    shown = shell("models", "list").out.splitlines()
    records = shell("models", "list", "--json").json

    assert shown[0].split() == ["name", "size", "parameters", "quantisation", "changed",
                                "capabilities"]  # fmt: skip
    assert shown[1].split() == ["nomic-embed-text:latest", "274.3", "MB", "137M", "F16",
                                "2026-05-10", "embedding"]  # fmt: skip
    assert len(shown) == len(records) + 1 == 7
    assert (records[0]["digest"], records[0]["size_bytes"]) == (NOMIC, 274302450)


def test_show_tells_what_matters_of_a_model(tmp_path: Path) -> None:
    template = "{{ .System }}\n{{ .Prompt }}"
    model = Model("mario:latest", "gemma3", 4096, ("completion",), parameters="num_ctx    2048",
                  template=template, system="You are Mario", license="MIT\nLong text")  # fmt: skip
    with OllamaServer(Settings(models=(model,))) as server:
        server.faults = [Fault("/api/show", extra={"renderer": "gemma3", "requires": "0.14.0"})]
        shell = Shell(tmp_path, server.url)
        lines = shell("models", "show", "mario").out.splitlines()
        record = shell("models", "show", "Mario:latest", "--json").json

    assert lines[0] == "mario:latest"
    rows = {line[2:16].strip(): line[16:] for line in lines[1:-1]}
    assert rows == {
        "size": "274.3 MB",
        "digest": model.digest[:12],
        "parameters": "137M",
        "quantisation": "F16",
        "architecture": "gemma3, gguf",
        "context": "4096 tokens",
        "embedding": "256 values",
        "capabilities": "completion",
        "changed": "2026-05-10",
        "settings": "num_ctx 2048",
        "system": "You are Mario",
        "licence": "MIT",
        "needs": "Ollama 0.14.0",
        "renderer": "gemma3",
        "template": "{{ .System }}",
    }
    assert lines[-1] == " " * 16 + "{{ .Prompt }}"
    assert (record["context_tokens"], record["dim"], record["template"]) == (4096, 256, template)
    assert record["model_info"]["gemma3.context_length"] == 4096


def test_an_unknown_model_is_an_error_of_the_model(shell: Shell) -> None:
    assert "'nope' is not installed" in shell("models", "show", "nope", code=13).err


def test_ps_shows_a_loaded_model_until_it_is_stopped(shell: Shell, ollama: OllamaServer) -> None:
    client_of(ollama).generate(GenerateCall("llama3.2", "hello", options={"num_ctx": 2048}))
    row = shell("models", "ps").out.splitlines()[1]
    assert row.split()[:-1] == ["llama3.2:latest", "274.3", "MB", "50%", "GPU,", "50%", "CPU",
                                "2048", "tokens"]  # fmt: skip
    shell("models", "stop", "llama3.2")

    assert shell("models", "ps").err == "No model is loaded.\n"
    assert ollama.bodies("/api/generate")[-1] == {"model": "llama3.2", "keep_alive": 0}


def test_pull_says_each_step_once_where_there_is_no_terminal(
    shell: Shell, ollama: OllamaServer
) -> None:
    run = shell("models", "pull", "smollm2:135m")

    assert run.out == ""
    assert run.err.splitlines() == [
        "pulling manifest",
        f"pulling {WEIGHTS[:12]}, 1.0 kB",
        f"pulling {CONFIG[:12]}, 20 B",
        f"pulling {CACHED[:12]}, 300 B",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert ollama.installed()[0] == "smollm2:135m"


@pytest.mark.parametrize(
    ("name", "fault", "said"),
    [
        ("nope", None, "file does not exist"),
        ("smollm2:135m", Fault("/api/pull", end_after=FIRST_LINE), "broke off before the pull"),
        ("smollm2:135m", Fault("/api/pull", split=True, drop_after=600), "smollm2:135m"),
    ],
    ids=["error in the stream", "ended without success", "connection cut"],
)
def test_a_pull_that_does_not_end_in_success_is_an_error(
    shell: Shell, ollama: OllamaServer, name: str, fault: Fault | None, said: str
) -> None:
    ollama.faults += [fault] if fault else []

    run = shell("models", "pull", name, code=13)

    assert "pulling manifest" in run.err
    assert said in run.err.splitlines()[-1]
    resumable = "(what was fetched is kept, and the same command goes on from there)"
    assert (resumable in run.err) == (fault is not None)
    assert "success" not in run.err.splitlines()
    assert "Traceback" not in run.err
    assert ollama.paths().count("/api/pull") == 1


def test_ctrl_c_stops_a_pull_and_the_next_one_goes_on(tmp_path: Path) -> None:
    with OllamaServer(Settings(chunk_delay_s=0.1)) as server:
        shell = Shell(tmp_path, server.url)
        with shell.started("models", "pull", "smollm2:135m") as process:
            assert process.stderr is not None
            for line in process.stderr:
                if WEIGHTS[:12] in line:
                    break
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        assert process.returncode == 130
        wait_until(lambda: server.cancelled == 1)
        assert "smollm2:135m" not in server.installed()
        again = shell("models", "pull", "smollm2:135m")

    assert rest.endswith("what was fetched is kept, and the same command goes on from there\n")
    assert again.err.splitlines()[-1] == "success"


def test_pull_draws_a_bar_for_each_layer_at_a_terminal(shell: Shell) -> None:
    with at_terminal(shell, "models", "pull", "smollm2:135m", TERM="xterm") as terminal:
        code, screen = terminal.end()

    bars = screen.rpartition("success")[2]
    assert code == 0
    for layer, size in ((WEIGHTS, "1.0/1.0 kB"), (CONFIG, "20/20 bytes"), (CACHED, "300/300")):
        assert f"pulling {layer[:12]}" in bars
        assert size in bars
    assert "B/s" in bars  # the rate
    assert "0:00:0" in bars  # the time that is left


def test_ctrl_c_at_a_terminal_ends_in_one_line(tmp_path: Path) -> None:
    with OllamaServer(Settings(chunk_delay_s=0.1)) as server:
        shell = Shell(tmp_path, server.url)
        with at_terminal(shell, "models", "pull", "smollm2:135m", TERM="xterm") as terminal:
            terminal.wait_for(f"pulling {WEIGHTS[:12]}")
            terminal.keys(CTRL_C)
            terminal.wait_for("ragkit: interrupted; what was fetched is kept")
            code, screen = terminal.end()

    assert code == 130
    assert "Traceback" not in screen


def test_push_succeeds_or_fails_as_the_stream_does(shell: Shell) -> None:
    assert shell("models", "push", "llama3.2").err.splitlines() == [
        "retrieving manifest",
        f"pushing {WEIGHTS[:12]}, 1.0 kB",
        "pushing manifest",
        "success",
    ]
    assert "no such file or directory" in shell("models", "push", "nope", code=13).err


def test_create_from_a_model_and_from_files(shell: Shell, ollama: OllamaServer) -> None:
    (shell.folder / "weights.gguf").write_bytes(b"GGUF weights")
    digest = "sha256:" + hashlib.sha256(b"GGUF weights").hexdigest()

    shell("models", "create", "mario", "--from", "llama3.2", "--system", "You are Mario",
          "--param", "temperature=0.2", "--param", "stop=1", "--param", "stop=END")  # fmt: skip
    made = shell("models", "create", "own", "--file", "weights.gguf", "--quantize", "q8_0")
    bare = shell("models", "create", "none", code=2)

    first, second = ollama.bodies("/api/create")
    assert first == {
        "model": "mario",
        "from": "llama3.2",
        "system": "You are Mario",
        "parameters": {"temperature": 0.2, "stop": ["1", "END"]},
        "stream": True,
    }
    assert second == {
        "model": "own",
        "files": {"weights.gguf": digest},
        "quantize": "q8_0",
        "stream": True,
    }
    assert ollama.installed()[:2] == ["own:latest", "mario:latest"]
    assert "uploading weights.gguf, 12 B\n" in made.err
    assert "quantizing F16 model to q8_0, 100 B" in made.err
    assert "--from another one or from each --file" in bare.err


SENTENCE_TRANSFORMER = {
    "model.safetensors": "weights",
    "config.json": "{}",
    "modules.json": '[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]',
    "1_Pooling/config.json": '{"pooling_mode_mean_tokens": true}',
    "tokenizer.json": "{}",
}
OTHER_FILES = {"README.md": "# R\n", "pytorch_model.bin": "w", ".cache/a.json": "{}"}


def test_a_folder_of_weights_is_made_a_model_with_its_files_in_their_places(
    shell: Shell, ollama: OllamaServer
) -> None:
    write_files(shell.folder / "st", SENTENCE_TRANSFORMER | OTHER_FILES)
    write_files(shell.folder / "empty", {"notes.txt": "a"})
    files = [word for name in SENTENCE_TRANSFORMER for word in ("--file", f"st/{name}")]

    shell("models", "create", "whole", "--file", "st")
    shell("models", "create", "single", *files)
    flat = {k: v for k, v in SENTENCE_TRANSFORMER.items() if "/" not in k}
    partly = [word for name in flat for word in ("--file", f"st/{name}")]
    refused = shell("models", "create", "partly", *partly, code=13)
    bare = shell("models", "create", "bare", "--file", "empty", code=2)

    digests = {
        name: "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        for name, text in SENTENCE_TRANSFORMER.items()
    }
    whole, single, _ = ollama.bodies("/api/create")
    assert whole["files"] == single["files"] == digests
    assert ollama.installed()[:2] == ["single:latest", "whole:latest"]
    assert "open 1_Pooling/config.json: no such file" in refused.err
    assert "empty: no weights in this folder (*.safetensors, *.gguf)" in bare.err


def test_what_a_converted_model_can_do_is_listed_as_it_is_shown(tmp_path: Path) -> None:
    converted = Model("own:latest", "bert", 512, ("embedding",), mislisted=True)
    with OllamaServer(Settings(models=(converted, CATALOGUE[4]), on_cpu=True)) as server:
        shell = Shell(tmp_path, server.url)
        rows = shell("models", "list").out.splitlines()
        listed = shell("models", "list", "--json").json
        assert [r.path for r in server.requests].count("/api/show") == 2  # one for each listing
        shell("embed", "--model", "own", "a")
        running = shell("models", "ps").out.splitlines()[1].split()
    assert rows[1].split()[-1] == "embedding"
    assert listed[0]["capabilities"] == ["embedding"]
    assert listed[0]["details"]["context_tokens"] == 512
    assert running[:3] == ["own:latest", "-", "CPU"]


def test_delete_asks_and_copy_does_not(shell: Shell, ollama: OllamaServer) -> None:
    copied = shell("models", "copy", "llama3.2", "mine")
    assert copied.err == "Copied llama3.2 to mine\n"
    no = shell.piped(b"n\n", "models", "delete", "mine")
    silent = shell.piped(b"", "models", "delete", "mine")

    question = f"Delete mine (274.3 MB) from {ollama.url}? [y/N] "
    assert (no.returncode, no.stdout, silent.returncode, silent.stdout) == (1, b"", 1, b"")
    assert no.stderr.decode() == f"{question}Nothing was deleted.\n"
    nobody = f"{question}\nNothing was deleted; --yes deletes without asking.\n"
    assert silent.stderr.decode() == nobody
    assert ollama.installed()[0] == "mine:latest"
    assert "/api/delete" not in ollama.paths()

    assert shell.piped(b"y\n", "models", "delete", "mine").returncode == 0
    assert "mine:latest" not in ollama.installed()
    shell("models", "delete", "bge-m3", "--yes")
    assert "bge-m3:latest" not in ollama.installed()


def test_ctrl_c_at_the_question_deletes_nothing(shell: Shell, ollama: OllamaServer) -> None:
    with at_terminal(shell, "models", "delete", "llama3.2") as terminal:
        terminal.wait_for("[y/N] ")
        terminal.keys("perhaps\n")
        terminal.wait_for("[y/N] ")
        terminal.keys(CTRL_C)
        code, rest = terminal.end()

    assert code == 130
    assert rest.splitlines()[-1] == "ragkit: interrupted; nothing was deleted"
    assert "/api/delete" not in ollama.paths()


def test_a_file_is_uploaded_once_and_then_there(shell: Shell, ollama: OllamaServer) -> None:
    (shell.folder / "data.bin").write_bytes(b"data")
    digest = "sha256:" + hashlib.sha256(b"data").hexdigest()

    absent = shell("models", "blob", "check", digest, code=1)
    first = shell("models", "blob", "upload", "data.bin")
    second = shell("models", "blob", "upload", "data.bin")
    present = shell("models", "blob", "check", digest, "--json")

    assert absent.out == "not there\n"
    assert first.out == second.out == f"{digest}\n"
    assert (first.err, second.err) == ("uploading data.bin, 4 B\n", "the server had it already\n")
    assert present.json == {"digest": digest, "there": True}
    assert ollama.sent(f"/api/blobs/{digest}").count(b"data") == 1


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4.7e9, "4.7 GB"), (2e15, "2000.0 TB")],
)
def test_sizes_are_decimal(size: Any, text: str) -> None:
    assert size_text(size) == text
