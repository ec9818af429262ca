"""The worker process: hangs, crashes, bombs and noise of parsers harm one file only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import make_files
import pytest
from commands import is_gone

from ragkit.config import LoadSettings
from ragkit.errors import LoadError
from ragkit.ingest.load import Parser
from ragkit.ingest.load.frames import read_frame, write_frame

SETTINGS = LoadSettings()
READERS = "ragkit.ingest.load.readers"
PAGE = b"<h1>Title</h1><p>words"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="uses POSIX signals")


def text_of(parser: Parser, data: bytes = PAGE, kind: str = "html") -> str:
    return parser.parse(kind, data, "a file").text


def pid_of(parser: Parser) -> int:
    assert parser.pid is not None
    return parser.pid


def test_a_child_starts_with_the_first_file_and_serves_the_next_ones() -> None:
    with Parser(SETTINGS) as parser:
        assert parser.pid is None
        assert text_of(parser) == "# Title\n\nwords"
        first = pid_of(parser)
        assert text_of(parser, make_files.pdf(["a page"]), "pdf") == "a page"
        assert parser.pid == first
    assert parser.pid is None
    assert is_gone(first)


@pytest.mark.long
def test_a_hanging_parser_is_ended_in_time_and_the_next_file_parses() -> None:
    with Parser(replace(SETTINGS, parse_timeout_s=3)) as slow:
        text_of(slow)
        os.kill(pid_of(slow), signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(LoadError, match="took longer than 3 s to parse"):
            text_of(slow)
        assert 2.9 < time.monotonic() - start < 6
        assert text_of(slow) == "# Title\n\nwords"


def test_a_hang_while_a_large_file_is_sent_is_ended_too() -> None:
    with Parser(replace(SETTINGS, parse_timeout_s=1.0)) as parser:
        stopper = threading.Thread(target=_stop_when_started, args=(parser,))
        stopper.start()
        # A pipe holds 64 KB: the rest waits for a child that sleeps.
        with pytest.raises(LoadError, match="took longer than 1 s"):
            text_of(parser, b"<p>" + b"x" * 50_000_000)
        stopper.join()


def _stop_when_started(parser: Parser) -> None:
    while (pid := parser.pid) is None:
        time.sleep(0.001)
    os.kill(pid, signal.SIGSTOP)


def test_a_child_killed_within_a_file_fails_that_file_only() -> None:
    with Parser(SETTINGS) as parser:
        text_of(parser)
        victim = pid_of(parser)
        os.kill(victim, signal.SIGSTOP)
        killer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
        killer.start()
        with pytest.raises(LoadError, match=r"its parser crashed \(signal SIGKILL\)"):
            text_of(parser)
        killer.join()
        assert text_of(parser) == "# Title\n\nwords"
        assert parser.pid != victim


def test_a_child_that_died_between_two_files_fails_none() -> None:
    with Parser(SETTINGS) as parser:
        text_of(parser)
        victim = pid_of(parser)
        os.kill(victim, signal.SIGKILL)
        assert is_gone(victim)
        assert text_of(parser) == "# Title\n\nwords"


def test_a_crash_of_the_interpreter_is_told_with_its_signal() -> None:
    with Parser(SETTINGS) as parser:
        text_of(parser)
        os.kill(pid_of(parser), signal.SIGSTOP)
        sender = threading.Timer(0.3, _crash, (pid_of(parser),))
        sender.start()
        with pytest.raises(LoadError, match=r"crashed \(signal SIGSEGV\)"):
            text_of(parser)
        sender.join()


def _crash(pid: int) -> None:
    os.kill(pid, signal.SIGSEGV)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the limit")
@pytest.mark.long
def test_a_file_that_needs_too_much_memory_fails_and_the_next_file_parses() -> None:
    body = "".join(f"<w:p><w:r><w:t>{i}</w:t></w:r></w:p>" for i in range(400_000))
    large = make_files.word_package(body)
    page = b"<b><p>" * 1_000_000
    with Parser(replace(SETTINGS, parse_memory_mb=160)) as parser:
        for _ in range(2):
            with pytest.raises(LoadError, match="its parser needs more than 160 MB"):
                text_of(parser, large, "docx")
            with pytest.raises(LoadError, match="its parser needs more than 160 MB"):
                text_of(parser, page, "html")
            assert text_of(parser) == "# Title\n\nwords"


def test_a_zip_bomb_is_not_unpacked() -> None:
    bomb = make_files.docx_bomb(megabytes=100)
    assert len(bomb) < 150_000
    with Parser(SETTINGS) as parser, pytest.raises(LoadError, match="like a zip bomb"):
        text_of(parser, bomb, "docx")


def test_a_file_with_more_text_than_a_file_may_have_is_refused() -> None:
    with Parser(replace(SETTINGS, max_file_mb=0.1)) as parser:
        with pytest.raises(LoadError, match=r"holds more than 0\.1 MB of text"):
            text_of(parser, make_files.docx(make_files.paragraph("a" * 200_000)), "docx")
        assert text_of(parser) == "# Title\n\nwords"


def test_a_parser_that_cannot_be_started_fails_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with (
        Parser(SETTINGS) as parser,
        pytest.raises(LoadError, match="no process could be started to parse it"),
    ):
        text_of(parser)


def test_an_interrupt_within_a_file_leaves_no_half_read_reply(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, threading\n"
        "from ragkit.config import LoadSettings\n"
        "from ragkit.ingest.load import Parser\n"
        "with Parser(LoadSettings()) as parser:\n"
        "    parser.parse('html', b'<p>warm', 'a')\n"
        "    os.kill(parser.pid, signal.SIGSTOP)\n"
        "    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    try:\n"
        "        parser.parse('html', b'<p>first', 'a')\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted')\n"
        "    print(parser.parse('html', b'<p>second', 'b').text)\n"
    )
    shown = _run(script, tmp_path)
    assert (shown.stdout, shown.stderr) == ("interrupted\nsecond\n", "")


def test_ctrl_c_does_not_reach_the_child() -> None:
    with Parser(SETTINGS) as parser:
        text_of(parser)
        child = pid_of(parser)
        os.kill(child, signal.SIGINT)
        assert text_of(parser) == "# Title\n\nwords"
        assert parser.pid == child


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from ragkit.config import LoadSettings\n"
        "from ragkit.ingest.load import Parser\n"
        "parser = Parser(LoadSettings())\n"
        "parser.parse('html', b'<p>words', 'a')\n"
        "print(parser.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    assert is_gone(child)


def test_a_script_without_main_guard_in_another_folder_works(tmp_path: Path) -> None:
    # Files that would be imported instead of the real ones, were the folder searched.
    for name in ("lxml.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('a stranger was imported')\n")
    folder = tmp_path / "scripts"
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(
        "from ragkit.config import LoadSettings\n"
        "from ragkit.ingest.load import Parser\n"
        "with Parser(LoadSettings()) as parser:\n"
        "    print(parser.parse('html', b'<p>words', 'a').text)\n"
    )
    shown = _run(script, tmp_path)
    assert (shown.stdout, shown.stderr) == ("words\n", "")


def _run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_threads_take_turns() -> None:
    texts: dict[int, str] = {}

    def parse(number: int) -> None:
        texts[number] = text_of(parser, f"<p>number {number}".encode() * 200)

    with Parser(SETTINGS) as parser:
        threads = [threading.Thread(target=parse, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == {n: "\n\n".join([f"number {n}"] * 200) for n in range(8)}


def test_the_worker_speaks_frames_only_and_imports_no_numbers(tmp_path: Path) -> None:
    requests, replies = tmp_path / "requests", tmp_path / "replies"
    with requests.open("wb") as stream:
        write_frame(
            stream, {"reader": f"{READERS}.pdf:read_pdf", "name": "broken.pdf"}, b"%PDF-1.4 broken"
        )
        write_frame(
            stream, {"reader": f"{READERS}.html:read_html", "name": "a.html"}, "<p>中文".encode()
        )
    code = (
        "import sys; from ragkit.ingest.load.worker import main; main(['0', '60']);"
        "sys.exit(bool({'numpy', 'faiss', 'requests', 'ragkit.store'} & set(sys.modules)))"
    )
    with requests.open("rb") as source, replies.open("wb") as target:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=source,
            stdout=target,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    with replies.open("rb") as stream:
        first, second = read_frame(stream), read_frame(stream)
        assert read_frame(stream) is None
    assert first is not None
    assert second is not None
    assert first[0]["error"] == "load"
    assert first[0]["message"].startswith("not a readable PDF: ")
    assert second[1].decode() == "中文"
