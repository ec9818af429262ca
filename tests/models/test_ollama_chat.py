"""The Ollama chat model against a real socket: events, options, and streams that break."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from ollama_double.models import CATALOGUE, Model
from ollama_double.server import OllamaServer, Reply
from ollama_double.server import Settings as ServerSettings
from ollama_helpers import (
    asked,
    chat_of,
    client_of,
    text_of,
)

from ragkit.errors import (
    ModelResponseError,
    ModelUnavailableError,
    PromptTruncatedError,
)
from ragkit.models.ollama import ChatCall, Message
from ragkit.protocols import ChatDone, TextDelta, ThinkingDelta

if TYPE_CHECKING:
    pass


def test_a_chat_sends_every_option_it_depends_on(ollama: OllamaServer) -> None:
    ollama.script("Hello")
    request = asked("Hi", temperature=0.5, seed=7, stop=("END",), schema={"type": "object"})
    list(chat_of(ollama, keep_alive="10m").chat(request))
    assert ollama.bodies("/api/chat") == [
        {
            "model": "llama3.2:latest",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
            "options": {
                "num_ctx": 4096,
                "num_predict": 256,
                "temperature": 0.5,
                "seed": 7,
                "stop": ["END"],
            },
            "truncate": False,
            "shift": False,
            "format": {"type": "object"},
            "keep_alive": "10m",
        }
    ]


def test_text_thinking_and_counts_are_events(ollama: OllamaServer) -> None:
    ollama.script(Reply(("一个", "月 [1]"), thinking=("Hm",), last=".", prompt_tokens=26))
    events = list(chat_of(ollama).chat(asked("通知期？")))
    assert events == [
        ThinkingDelta("Hm"),
        TextDelta("一个"),
        TextDelta("月 [1]"),
        TextDelta("."),
        ChatDone("stop", prompt_tokens=26, answer_tokens=2),
    ]


def test_reasoning_in_the_text_is_handed_on_as_text(ollama: OllamaServer) -> None:
    ollama.script(Reply(("<think>Hm</think>", "May")))
    *deltas, _ = chat_of(ollama).chat(asked("When?"))
    assert deltas == [TextDelta("<think>Hm</think>"), TextDelta("May")]


def test_counts_that_are_not_sent_are_unknown(ollama: OllamaServer) -> None:
    ollama.script(Reply(("Hi",), prompt_tokens=0, done_reason=""))
    *_, done = chat_of(ollama).chat(asked("Hello"))
    assert done == ChatDone("unknown", prompt_tokens=None, answer_tokens=1)


@pytest.mark.parametrize(("wanted", "kinds"), [(False, [TextDelta]), (True, [ThinkingDelta])])
def test_a_thinking_model_thinks_only_when_asked(
    ollama: OllamaServer,
    *,
    wanted: bool,
    kinds: list[type],
) -> None:
    chat = chat_of(ollama, "deepseek-r1")
    events = list(chat.chat(asked("[1] Rent is due in May.\nWhen is rent due?", think=wanted)))
    assert type(events[0]) in kinds
    assert text_of(events) == "Rent is due in May. [1]"
    assert ollama.bodies("/api/chat")[0]["think"] is wanted


def test_a_model_that_cannot_think_is_not_asked_to(ollama: OllamaServer) -> None:
    list(chat_of(ollama).chat(asked("Hi", think=True)))
    assert "think" not in ollama.bodies("/api/chat")[0]


def test_a_model_that_embeds_is_said_not_to_chat(ollama: OllamaServer) -> None:
    said = r"bge-m3:latest at .* cannot chat; it can: embedding\. Name a chat model with --chat"
    chat = chat_of(ollama, "bge-m3")
    with pytest.raises(ModelResponseError, match=said):
        _ = chat.context_tokens
    with pytest.raises(ModelResponseError, match=said):
        list(chat.chat(asked("Hi")))
    assert "/api/chat" not in ollama.paths()


REPEATING = Reply(("It is ", *["88"] * 80))


def test_a_model_that_repeats_itself_is_said_to(ollama: OllamaServer) -> None:
    ollama.script(REPEATING, REPEATING, Reply(("Rent ", "is due"), ending="eof"))
    with pytest.raises(ModelResponseError, match=r"llama3\.2:latest .* repeated itself \('88'"):
        list(chat_of(ollama).chat(asked("Hi")))
    with pytest.raises(ModelResponseError, match="repeated itself"):
        client_of(ollama).chat(ChatCall("llama3.2", [Message("user", "Hi")]))
    with pytest.raises(ModelUnavailableError, match="broke off before"):
        list(chat_of(ollama).chat(asked("Hi")))


def test_a_number_that_ends_in_many_nines_is_whole_if_the_server_says_so(
    ollama: OllamaServer,
) -> None:
    ollama.script(Reply(("9" * 40,)))
    assert text_of(list(chat_of(ollama).chat(asked("Hi")))) == "9" * 40


def test_gpt_oss_gets_the_lowest_level() -> None:
    model = Model("gpt-oss:latest", "gptoss", capabilities=("completion", "thinking"))
    with OllamaServer(ServerSettings(models=(model,))) as server:
        list(chat_of(server, "gpt-oss").chat(asked("Hi")))
        assert server.bodies("/api/chat")[0]["think"] == "low"


def test_context_tokens_are_the_trained_ones(ollama: OllamaServer) -> None:
    chat = chat_of(ollama)
    assert chat.context_tokens == 131072
    assert chat.digest == CATALOGUE[4].digest


def test_an_over_long_prompt_is_refused(ollama: OllamaServer) -> None:
    with pytest.raises(PromptTruncatedError, match=r"302 tokens.*256") as caught:
        list(chat_of(ollama).chat(asked("word " * 300, num_ctx=50)))
    assert (caught.value.prompt_tokens, caught.value.num_ctx) == (302, 256)


def test_an_old_server_cuts_the_prompt_and_says_so_by_its_count(old: OllamaServer) -> None:
    *_, done = chat_of(old).chat(asked("word " * 100, num_ctx=50))
    assert isinstance(done, ChatDone)
    assert done.prompt_tokens == 25


def test_closing_a_chat_cancels_the_generation() -> None:
    with OllamaServer(ServerSettings(chunk_delay_s=0.01)) as server:
        server.script(Reply(("x",) * 2000))
        stream = chat_of(server).chat(asked("Hi"))
        assert next(stream) == TextDelta("x")
        stream.close()
        deadline = time.perf_counter() + 3
        while not server.cancelled and time.perf_counter() < deadline:
            time.sleep(0.02)
        assert server.cancelled == 1


def test_text_arrives_as_it_is_written() -> None:
    with OllamaServer(ServerSettings(chunk_delay_s=0.2)) as server:
        server.script(Reply(("a", "b", "c", "d", "e")))
        started = time.perf_counter()
        with closing(chat_of(server).chat(asked("Hi"))) as stream:
            assert next(stream) == TextDelta("a")
            assert time.perf_counter() - started < 0.8


def test_a_lone_surrogate_in_a_chat_is_refused_before_it_is_sent(ollama: OllamaServer) -> None:
    with pytest.raises(ModelResponseError, match="cannot be sent"):
        list(chat_of(ollama).chat(asked("half \ud83d")))
    assert "/api/chat" not in ollama.paths()
