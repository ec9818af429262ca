"""The in-process chat model, run for real with a model of 135 million weights."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from ragkit.errors import ModelNotFoundError, ModelResponseError
from ragkit.models.local.gguf import GGUFChat, stream
from ragkit.models.local.gguf_header import read_header
from ragkit.protocols import ChatDone, ChatMessage, ChatRequest, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable


def ask(text: str, **settings: Any) -> ChatRequest:
    request: dict[str, Any] = {"num_ctx": 512, "num_predict": 8} | settings
    return ChatRequest((ChatMessage("user", text),), **request)


def reply(model: GGUFChat, request: ChatRequest) -> tuple[str, ChatDone]:
    """A whole reply: its text, and its last event, of which there must be exactly one."""
    *deltas, done = model.chat(request)
    assert isinstance(done, ChatDone)
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    return "".join(d.text for d in deltas if isinstance(d, TextDelta)), done


def test_a_reply_comes_in_pieces_and_ends_at_num_predict(gguf: GGUFChat) -> None:
    events = list(gguf.chat(ask("Tell me a long story about a fox.")))
    assert len(events) > 4
    assert events[-1].done_reason == "length"  # type: ignore[union-attr]  # that it has one is the test
    assert events[-1].answer_tokens == 8  # type: ignore[union-attr]  # likewise


def test_a_reply_that_is_complete_ends_with_stop(gguf: GGUFChat) -> None:
    text, done = reply(gguf, ask("What is 2+2? Answer with one number.", num_predict=40))
    assert text == "The answer is 4."
    # Six of text and the end mark.
    assert (done.done_reason, done.answer_tokens) == ("stop", 7)


def test_a_stop_text_ends_the_reply_before_it(gguf: GGUFChat) -> None:
    request = ask("What is 2+2? Answer with one number.", stop=(" is",))
    text, done = reply(gguf, request)
    assert (text, done.done_reason) == ("The answer", "stop")


def test_the_same_request_gets_the_same_reply_at_temperature_0(gguf: GGUFChat) -> None:
    request = ask("Name three colours.")
    first, other, again = (reply(gguf, r) for r in (request, ask("What is an island?"), request))
    assert first == again
    assert first != other


def test_prompt_tokens_are_the_tokenizers_own_count(gguf: GGUFChat) -> None:
    # SmolLM2's chat template, written out by hand: the oracle for the template and the count.
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    text = "天空为什么是蓝色的？ Why is the sky blue?"
    prompt = (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    _, done = reply(gguf, ask(text, num_predict=1))
    assert done.prompt_tokens == gguf.count_tokens(prompt)


def test_a_text_above_the_window_is_counted_too(gguf: GGUFChat) -> None:
    assert gguf.count_tokens("hello") == 1
    assert gguf.count_tokens("hello" + " hello" * 2999) == 3000


def test_a_schema_yields_json_that_satisfies_it(gguf: GGUFChat) -> None:
    colours = {"enum": ["red", "green", "blue"]}
    schema = {
        "type": "object",
        "properties": {"colour": colours, "sure": {"type": "boolean"}},
        "required": ["colour", "sure"],
        "additionalProperties": False,
    }
    text, done = reply(gguf, ask("Sky colour?", schema=schema, num_predict=60))
    answer = json.loads(text)
    assert done.done_reason == "stop"
    assert set(answer) == {"colour", "sure"}
    assert answer["colour"] in colours["enum"]
    assert isinstance(answer["sure"], bool)


def test_closing_the_iterator_cancels_the_reply(gguf: GGUFChat) -> None:
    events = gguf.chat(ask("Tell me a very long story.", num_predict=450))
    next(events)
    start = time.monotonic()
    for _ in range(8):
        next(events)
    eight = time.monotonic() - start
    start = time.monotonic()
    events.close()  # type: ignore[attr-defined]  # chat is a generator
    text, _ = reply(gguf, ask("Say hello.", num_predict=3))
    assert text
    # The next reply does not wait for the other 440 tokens.
    assert time.monotonic() - start < 30 * eight


@pytest.mark.parametrize("num_ctx", [256, 100])
def test_a_prompt_that_does_not_fit_is_refused_and_not_cut(gguf: GGUFChat, num_ctx: int) -> None:
    words = num_ctx - 60
    counted = words + 30  # one token a word, and what the template adds
    message = f"the prompt has {counted} tokens, and the window has room for {num_ctx - 90}$"
    with pytest.raises(ModelResponseError, match=message):
        list(gguf.chat(ask("hi" + " hi" * (words - 1), num_ctx=num_ctx, num_predict=90)))


def test_a_prompt_above_the_models_whole_window_is_refused(gguf: GGUFChat) -> None:
    with pytest.raises(ModelResponseError, match="has 630 tokens, and the window has room for 504"):
        list(gguf.chat(ask("hi" + " hi" * 599)))


def test_a_prompt_that_just_fits_is_answered(gguf: GGUFChat) -> None:
    _, done = reply(gguf, ask("hi" + " hi" * 19, num_ctx=52, num_predict=2))
    assert done.prompt_tokens == 50
    with pytest.raises(ModelResponseError, match="has 51 tokens"):
        reply(gguf, ask("hi" + " hi" * 20, num_ctx=52, num_predict=2))


@pytest.mark.parametrize(
    "request_",
    [ask("a \ud800 b"), ask("a", schema={"type": "nonsense"})],
    ids=["lone surrogate", "impossible schema"],
)
def test_a_request_that_cannot_be_met_says_so(gguf: GGUFChat, request_: ChatRequest) -> None:
    with pytest.raises(ModelResponseError, match="refused the request"):
        list(gguf.chat(request_))


def test_a_model_can_be_used_again_after_close(gguf: GGUFChat) -> None:
    before = reply(gguf, ask("Say hello.", num_predict=4))
    gguf.close()
    gguf.close()
    assert reply(gguf, ask("Say hello.", num_predict=4)) == before


def test_the_listener_of_the_bindings_answers_nobody_else(gguf: GGUFChat) -> None:
    address = gguf._loaded(512).listening_address
    assert address.startswith("http://127.0.0.1:")
    for path in ("/v1/completions", "/tokenize", "/slots"):
        assert requests.post(address + path, json={"prompt": "x"}, timeout=10).status_code == 401


def test_a_process_that_forgets_a_reply_ends_cleanly_and_quietly(gguf_file: Path) -> None:
    code = (
        "import sys\nfrom ragkit.models.local.gguf import GGUFChat\n"
        "from ragkit.protocols import ChatMessage, ChatRequest\n"
        "events = GGUFChat(sys.argv[1]).chat(\n"
        "    ChatRequest((ChatMessage('user', 'Tell me a story.'),), 512, 450))\n"
        "next(events)\n"
    )
    args = [sys.executable, "-c", code, str(gguf_file)]
    done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_name_window_and_digest_are_known_without_loading(gguf_file: Path) -> None:
    model, data = GGUFChat(gguf_file), gguf_file.read_bytes()
    assert model.name == f"gguf:{gguf_file.name}"
    assert model.context_tokens == 8192
    head = data[: 1 << 20] + len(data).to_bytes(8, "little")
    assert model.digest == hashlib.sha256(head).hexdigest()


def test_a_missing_file_is_told_from_a_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such model file"):
        GGUFChat(tmp_path / "absent.gguf")
    other = tmp_path / "model.gguf"
    other.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ModelResponseError, match="not a GGUF file"):
        GGUFChat(other)
    with pytest.raises(ModelResponseError, match="cannot be read"):
        GGUFChat(tmp_path)


def test_a_damaged_model_is_refused_when_it_is_loaded(gguf_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the extra `gguf` is not installed")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf_file.read_bytes()[: 3 << 20])
    with pytest.raises(ModelResponseError, match="cannot load this file"):
        list(GGUFChat(cut).chat(ask("hi")))


def entry(key: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def test_the_window_is_found_behind_values_of_every_kind(tmp_path: Path) -> None:
    scalars = zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)
    entries = [entry(f"x.{kind}", kind, struct.pack("<" + code, 1)) for kind, code in scalars]
    entries += [
        entry("general.name", 8, text("模型")),
        entry("general.tags", 9, struct.pack("<IQ", 8, 2) + text("a") + text("bc")),
        entry("x.numbers", 9, struct.pack("<IQ3H", 2, 3, 1, 2, 3)),
        entry("fox.context_length", 4, struct.pack("<I", 4096)),
    ]
    path = tmp_path / "made.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries))
    assert read_header(path).context_tokens == 4096
    assert GGUFChat(path, context_tokens=100).context_tokens == 100


@pytest.mark.parametrize("rest", [b"", b"\xff" * 40, struct.pack("<IQQ", 3, 0, 9)])
def test_a_head_without_a_window_needs_one_to_be_given(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "short.gguf"
    path.write_bytes(b"GGUF" + rest)
    with pytest.raises(ModelResponseError, match="does not say its window"):
        GGUFChat(path)
    assert GGUFChat(path, context_tokens=2048).context_tokens == 2048


def test_a_stream_yields_what_came_before_the_error() -> None:
    def call(report: Callable[[int], bool]) -> None:
        report(1)
        report(2)
        msg = "broken"
        raise OSError(msg)

    items = stream(call)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="broken"):
        next(items)


def test_a_closed_stream_tells_its_source_to_stop() -> None:
    reported: list[int] = []

    def call(report: Callable[[int], bool]) -> None:
        for number in itertools.count():
            reported.append(number)
            if report(number):
                return
            time.sleep(0.001)

    items = stream(call)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    count = len(reported)
    time.sleep(0.05)
    assert len(reported) == count
