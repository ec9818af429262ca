"""``ragkit chat --plain``, at a terminal and through a pipe, and what of it is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Shell, messages, wait_until
from hypothesis import given
from hypothesis import strategies as st
from ollama_double.server import OllamaServer, Reply, Settings
from terminal import CTRL_C, CTRL_D, at_terminal

from ragkit.cli.models.plain_chat import MessageHistory
from ragkit.errors import PromptTruncatedError
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from pathlib import Path

CHAT = ("chat", "--plain", "--system", "Be brief")
SYSTEM = {"role": "system", "content": "Be brief"}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def test_a_conversation_at_a_terminal(tmp_path: Path, ollama: OllamaServer) -> None:
    ollama.script("First.", "Second.", "Third.")
    with at_terminal(Shell(tmp_path, ollama.url), *CHAT) as terminal:
        terminal.wait_for("llama3.2, window 8192 tokens")
        for question, answer in (("one", "First."), ("two 二", "Second.")):
            terminal.wait_for("> ")
            terminal.keys(f"{question}\n")
            terminal.wait_for(answer)
        terminal.keys("/help\n")
        terminal.wait_for("/clear  forget what was said")
        terminal.keys("/clear\n")
        terminal.wait_for("(cleared)")
        terminal.keys("\x1b[A\x1b[A\x1b[A\n")  # three lines back in the history
        terminal.wait_for("Third.")
        terminal.keys("/quit\n")
        code, _ = terminal.end()

    assert code == 0
    assert messages(ollama) == [
        [SYSTEM, user("one")],
        [SYSTEM, user("one"), assistant("First."), user("two 二")],
        [SYSTEM, user("two 二")],
    ]
    assert {body["options"]["num_ctx"] for body in ollama.bodies("/api/chat")} == {8192}
    assert all(body["truncate"] is False for body in ollama.bodies("/api/chat"))
    assert list(tmp_path.iterdir()) == []  # nothing is written down


def test_ctrl_c_stops_the_answer_and_an_error_ends_only_the_turn(tmp_path: Path) -> None:
    with OllamaServer(Settings(chunk_delay_s=0.02)) as server:
        server.script(Reply(("word ",) * 900), Reply(ending="error", error="broken"), "Bye.")
        with at_terminal(Shell(tmp_path, server.url), *CHAT) as terminal:
            terminal.wait_for("> ")
            terminal.press(CTRL_C, until="/quit ends")  # at the prompt it ends nothing
            terminal.keys("tell\n")
            terminal.wait_for("word word ")
            terminal.keys(CTRL_C)
            terminal.wait_for("(stopped")
            wait_until(lambda: server.cancelled == 1)
            terminal.keys("again\n")
            terminal.wait_for("ragkit: llama3.2 at http")
            terminal.keys("bye\n")
            terminal.wait_for("Bye.\n> ")
            terminal.keys(CTRL_D)
            code, _ = terminal.end()

    assert code == 0
    _, tell, said, bye = messages(server)[2]
    assert (tell, bye) == (user("tell"), user("bye"))
    assert said["content"].startswith("word word ")
    assert 10 <= len(said["content"]) < 4500


def test_lines_of_a_pipe_are_turns(tmp_path: Path, ollama: OllamaServer) -> None:
    ollama.script("First.", "Second.", "Third.")
    given = b"one\n\n /clear is a word\r\n/nonsense\n/quit\nnever\n"

    run = Shell(tmp_path, ollama.url).piped(given, "chat", "--plain", "--option", "seed=1")

    assert (run.returncode, run.stdout) == (0, b"First.\nSecond.\n")
    assert run.stderr == b"/nonsense is no command; /help lists them\n"
    second = [user("one"), assistant("First."), user("/clear is a word")]
    assert messages(ollama) == [[user("one")], second]
    assert ollama.bodies("/api/chat")[0]["options"] == {"num_ctx": 8192, "seed": 1}


def test_reasoning_is_shown_apart_and_not_remembered(tmp_path: Path, ollama: OllamaServer) -> None:
    ollama.script(Reply(("<think>Hm</think>Yes.",)), "Bye.")

    run = Shell(tmp_path, ollama.url).piped(b"one\ntwo\n", "chat", "--plain", "--think",
                "--model", "deepseek-r1")  # fmt: skip

    assert (run.stdout, run.stderr) == (b"Yes.\nBye.\n", b"Hm\n\n")
    assert messages(ollama)[1] == [user("one"), assistant("Yes."), user("two")]


def test_the_oldest_turns_are_dropped_with_a_notice(tmp_path: Path, ollama: OllamaServer) -> None:
    ollama.script("First.", "Second.", "Third.")
    lines = [f"question {i} " + "with many words " * 20 for i in range(3)]
    settings = ("--set", "answer.num_ctx=500", "--set", "answer.reserve_tokens=250")

    run = Shell(tmp_path, ollama.url).piped("\n".join(lines).encode(), *CHAT, *settings)

    assert run.returncode == 0, run.stderr
    assert run.stderr == (b"(the oldest turn was dropped: the window is 500 tokens)\n")
    last = messages(ollama)[2]
    assert last == [SYSTEM, user(lines[1].strip()), assistant("Second."), user(lines[2].strip())]


def test_a_turn_of_which_the_model_read_too_little_is_told(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    ollama.script(Reply(("First.",), prompt_tokens=100), Reply(("Second.",), prompt_tokens=700))
    given = ("with many words " * 150 + "\n").encode() * 2

    run = Shell(tmp_path, ollama.url).piped(given, *CHAT)

    assert (run.returncode, run.stdout) == (0, b"First.\nSecond.\n")
    (warning,) = run.stderr.decode().splitlines()
    assert warning.startswith("ragkit: warning: the model read 100 tokens of a prompt of about ")
    assert "(window 8192)" in warning


def test_a_message_over_the_window_and_a_broken_reply_end_a_pipe_with_an_error(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    shell = Shell(tmp_path, ollama.url)
    long = shell.piped(b"many words " * 1000, *CHAT, "--set", "answer.num_ctx=1000")
    assert long.returncode == 13
    assert b"the window has room for 232; shorten it" in long.stderr
    assert messages(ollama) == []

    ollama.script(Reply(("Half",), ending="eof"))
    broken = shell.piped(b"one\ntwo\n", *CHAT)
    assert (broken.returncode, broken.stdout) == (13, b"Half\n")
    assert len(messages(ollama)) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("chat",), 10, "there is no index in"),
        (("chat", "--option", "seed=1"), 2, "add --plain"),
        (("chat", "--plain", "--option", "num_ctx=100"), 2, "leaves no room for a message"),
        (("chat", "--plain", "--model", "nope"), 13, "is not installed"),
        (("chat", "--plain", "--model", "x:cloud"), 2, "models.allow_remote"),
    ],
    ids=["no index", "option without plain", "no window", "not installed", "remote"],
)
def test_what_cannot_begin_is_told_at_once(
    tmp_path: Path, ollama: OllamaServer, words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in Shell(tmp_path, ollama.url)(*words, code=code).err
    assert messages(ollama) == []


texts = st.text(st.characters(codec="utf-8"), max_size=200)


@given(st.lists(st.tuples(texts, texts)), texts, st.integers(220, 1000), texts)
def test_a_conversation_keeps_the_latest_turns_that_fit(
    turns: list[tuple[str, str]], question: str, room: int, system: str
) -> None:
    conversation = MessageHistory(room, system)
    for asked, answered in turns:
        conversation.add(asked, answered, None)
    try:
        dropped = conversation.make_room(question)
    except PromptTruncatedError:
        assert estimate_tokens(system) + estimate_tokens(question) + 16 > room
        return
    sent = [(m.role, m.content) for m in conversation.messages(question)]

    kept = [pair for a, b in turns[dropped:] for pair in (("user", a), ("assistant", b))]
    assert sent == [("system", system)] * bool(system) + kept + [("user", question)]
    assert sum(estimate_tokens(text) + 8 for _, text in sent) <= room
    if dropped:  # one turn more would not have fitted
        more = sum(estimate_tokens(text) + 8 for text in turns[dropped - 1])
        assert sum(estimate_tokens(text) + 8 for _, text in sent) + more > room


def test_what_the_model_counts_beyond_the_estimate_is_taken_into_account() -> None:
    conversation = MessageHistory(100)
    conversation.add("one", "two", 95)
    assert conversation.make_room("three") == 1
    conversation.clear()
    assert conversation.make_room("three") == 0
