"""``ragkit index``, ``remove``, ``rebuild``: real processes, one after the other and at once."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import make_files
import pytest
from commands import Shell, sent, wait_until, write_files
from hash_embedder import HashEmbedder
from ollama_double.server import Fault, OllamaServer, Settings
from terminal import at_terminal

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "leave.md": "# Leave\n\nAnnual leave amounts to thirty working days.\n",
    "sub/travel.txt": "Rail travel is booked by the office, second class.\n",
}


@pytest.fixture
def shell(shell: Shell) -> Shell:
    write_files(shell.folder / "docs", FILES)
    return shell


def found(shell: Shell, words: str, *more: str) -> list[str]:
    return [hit["path"] for hit in shell("search", words, "--json", "-k", "1", *more).json]


@pytest.fixture(scope="module", autouse=True)
def second_writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Popen[str]]:
    """A command that waits for another writer, ten seconds long, beside the other tests."""
    folder = tmp_path_factory.mktemp("busy")
    docs = write_files(folder / "docs", FILES)
    with Pipeline(folder / "indexes/docs", embedder=HashEmbedder()) as rag:
        rag.index(docs)
        (docs / "leave.md").unlink()
        with rag.store.writing("a long run"), Shell(folder).started("index", "docs") as process:
            yield process


@pytest.fixture(scope="module", autouse=True)
def slow_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Popen[str]]:
    """A run whose first embedding takes over ten seconds, beside the other tests."""
    folder = tmp_path_factory.mktemp("slow")
    write_files(folder / "docs", FILES)
    with OllamaServer() as server:
        server.faults.append(Fault("/api/embeddings", delay_s=10.2))
        with Shell(folder, server.url).started("index", "docs") as process:
            yield process


def test_a_folder_is_indexed_and_kept_up_to_date(shell: Shell, ollama: OllamaServer) -> None:
    docs = shell.folder / "docs"

    planned = shell("index", "docs", "--dry-run")
    assert planned.out.splitlines() == [
        "Nothing was changed. It would be: 3 added",
        "About 3 passages, judged by the sizes of files; how long that takes is unknown, since no "
        "run was measured here yet",
        "  added      leave.md",
        "  added      notice.md",
        "  added      sub/travel.txt",
    ]
    assert not (shell.folder / "indexes").exists()
    assert ollama.requests == []

    assert shell("index", "docs", "--dry-run", "--json").json["estimate"] == {
        "passages": 3,
        "seconds": None,
        "basis": "",
    }

    first = shell("index", "docs")
    assert first.out.startswith("3 added\n3 passages written, 3 embedded, ")
    assert first.err == f'Index {shell.folder / "indexes/docs"}\nAsk it: ragkit ask "..."\n'
    assert found(shell, "rail travel booked") == ["sub/travel.txt"]

    ollama.requests.clear()
    again = shell("index", "docs")
    assert again.out == "3 unchanged\n"
    assert ollama.paths() == ["/api/version", "/api/tags"]

    write_files(docs, {"notice.md": "# Notice\n\nIt is four months.\n"})
    (docs / "leave.md").rename(docs / "sub/leave.md")
    changed = shell("index", "--json").json
    assert (changed["changed"], changed["moved"]) == (["notice.md"], ["sub/leave.md"])
    assert len(sent(ollama)) == 1
    assert sent(ollama)[0].endswith("It is four months.")
    assert changed["unchanged"] == ["sub/travel.txt"]

    removed = shell("remove", "docs/sub")
    assert removed.out == "sub/leave.md\nsub/travel.txt\n"
    assert found(shell, "rail travel booked") == ["notice.md"]
    assert (docs / "sub/travel.txt").exists()


def test_a_folder_without_anything_to_index_is_said_and_makes_no_index(shell: Shell) -> None:
    (shell.folder / "empty").mkdir()
    write_files(shell.folder / "photos", {"a.jpg": b"\xff\xd8\xff", "b.jpg": b"\xff\xd8\xff"})

    nothing = shell("index", "empty", code=1)
    photos = shell("index", "photos", code=1)

    assert nothing.out.startswith("no files\n")
    assert "no file to index in empty: put documents there" in nothing.err
    assert photos.out.startswith("2 skipped (2 .jpg)\n")
    assert "no file to index in photos; `ragkit index --files` tells why 2 were" in photos.err
    assert not (shell.folder / "indexes").exists()


def test_an_index_of_texts_alone_is_up_to_date_without_folders(shell: Shell) -> None:
    config = Config().with_values({"models.embedder": "none"})
    with Pipeline(shell.folder / "indexes/notes", config) as rag:
        rag.add(["Lunch is at noon.", "The desk opens at eight."])
    (shell.folder / "empty").mkdir()

    current = shell("index")
    assert "up to date: it holds 2 texts that programs added, and no file" in current.err
    assert shell("index", "-q").err == ""
    assert "no file to index in empty" in shell("index", "empty", "-i", "notes", code=1).err


def test_a_folder_that_holds_its_own_index_indexes_the_documents_only(shell: Shell) -> None:
    shell("index", ".", "--index", "all")

    again = shell("index", "--files")

    assert again.out.startswith("3 unchanged, 1 skipped (1 ragkit index)\n")
    assert "  skipped    indexes/all/: ragkit index" in again.out


def test_a_terminal_shows_how_far_it_is(shell: Shell, ollama: OllamaServer) -> None:
    ollama.faults.append(Fault("/api/embeddings", delay_s=0.5))
    with at_terminal(shell, "index", "docs", TERM="xterm") as terminal:
        code, screen = terminal.end()

    assert code == 0
    assert "reading" in screen
    assert "3/3 files" in screen
    assert "100 %" in screen
    assert " passages/s" in screen
    assert "None" not in screen
    assert "3 added\n" in screen


def test_what_goes_wrong_with_files_is_said_and_ends_in_code_3(shell: Shell) -> None:
    docs = shell.folder / "docs"
    write_files(
        docs,
        {
            "plan.pdf": make_files.pdf(["Pensions are paid monthly.", ""]),
            "torn.pdf": b"%PDF-1.7 torn off",
            "app.html": "<script>draw()</script>",
        },
    )

    first = shell("index", "docs", code=3)
    assert "4 added, 1 added without text, 1 failed" in first.out
    assert "  failed     torn.pdf: " in first.out
    assert "  no text on plan.pdf: page 2" in first.out
    assert "  no text in app.html\n" in first.out

    (docs / "plan.pdf").write_bytes(b"%PDF-1.7 torn too")
    second = shell("index", "docs", code=3)
    assert "  stale      plan.pdf: old text kept: " in second.out
    listed = shell("list").out
    assert [line for line in listed.splitlines() if "stale: " in line and "plan.pdf" in line]
    for name in ("notice.md", "leave.md", "plan.pdf"):
        (docs / name).unlink()
    third = shell("index", "docs", code=3)
    assert "3 of its 5 documents are gone from the disk" in third.out
    assert "use --prune" in third.out
    assert found(shell, "pensions paid monthly") == ["plan.pdf"]
    assert "3 removed" in shell("index", "docs", "--prune", code=3).out  # torn.pdf still fails


def test_another_embedder_is_refused_and_the_command_it_names_switches(shell: Shell) -> None:
    shell("index", "docs", "--embedder", "all-minilm")

    refused = shell("index", "docs", "--embedder", "bge-m3", code=12)

    assert "built with the embedder all-minilm:latest" in refused.err
    assert "`ragkit rebuild --embedder bge-m3:latest`" in refused.err
    shell("rebuild", "--embedder", "bge-m3:latest")
    shell("rebuild")  # without a name it keeps the index's own, not the default
    assert shell("info", "--json").json["embedder"]["name"] == "bge-m3:latest"
    assert found(shell, "rail travel booked") == ["sub/travel.txt"]


@pytest.fixture
def many(tmp_path: Path) -> Iterator[tuple[Shell, OllamaServer]]:
    """Files that take a slow server some seconds."""
    texts = {f"{n:03}.txt": f"Matter number {n} is settled.\n" for n in range(500)}
    write_files(tmp_path / "docs", texts)
    with OllamaServer(Settings(latency_s=0.01)) as server:
        yield Shell(tmp_path, server.url), server


def test_ctrl_c_keeps_what_was_committed_and_the_next_run_sends_the_rest(
    many: tuple[Shell, OllamaServer],
) -> None:
    shell, server = many
    with shell.started("index", "docs") as process:
        wait_until(lambda: len(sent(server)) > 200)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        out, err = process.communicate(timeout=20)
        seconds = time.monotonic() - asked

    assert process.returncode == 130
    assert seconds < 3
    assert out == ""
    assert err.splitlines()[-1] == "ragkit: interrupted; what was committed is kept"
    kept, state = state_of(shell)
    assert state == "interrupted"
    assert kept >= 64
    finish(shell, server, kept)


def test_a_killed_run_is_taken_up_where_it_was_committed(many: tuple[Shell, OllamaServer]) -> None:
    shell, server = many
    with shell.started("index", "docs") as process:
        wait_until(lambda: len(sent(server)) > 400)
        process.send_signal(signal.SIGKILL)
        process.wait()

    kept, state = state_of(shell)
    assert state == "open"  # the next writer closes it
    assert 0 < kept <= 400
    finish(shell, server, kept)


def state_of(shell: Shell) -> tuple[int, str]:
    """Vectors that are committed, and the state of the newest run."""
    store = open_store(shell.folder / "indexes/docs")
    vectors, state = store.stats().vectors, store.runs()[0]["state"]
    store.close()
    return vectors, state


def finish(shell: Shell, server: OllamaServer, kept: int) -> None:
    """Run again; only what is missing is sent, and then all is there."""
    server.requests.clear()
    report = shell("index", "docs", "--json").json
    assert len(sent(server)) == 500 - kept
    assert len(report["added"]) + len(report["unchanged"]) == 500
    assert shell("check").out.endswith("every invariant holds\n")


def test_a_server_that_stops_in_the_middle_is_reported_and_costs_nothing_twice(
    shell: Shell, ollama: OllamaServer
) -> None:
    write_files(shell.folder / "docs", {f"{n:03}.txt": f"Matter number {n}.\n" for n in range(197)})
    # Three batches of 32 are under way at once: with 150 texts served, one at least is whole.
    fault = Fault("/api/embeddings", times=None, skip=150, status=503, body={"error": "busy"})
    ollama.faults.append(fault)

    stopped = shell("index", "docs", "--set", "models.retries=1", code=13)
    embedded = state_of(shell)[0]
    ollama.faults.clear()
    ollama.requests.clear()
    report = shell("index", "docs", "--json").json

    assert "busy" in stopped.err
    assert "Traceback" not in stopped.err
    assert embedded >= 32
    assert len(sent(ollama)) == 200 - embedded
    assert len(report["added"]) + len(report["unchanged"]) == 200


def test_a_second_writer_waits_and_then_learns_who_writes(second_writer: Popen[str]) -> None:
    out, err = second_writer.communicate(timeout=30)

    assert second_writer.returncode == 11
    assert out == ""
    assert re.search(r"is being written by process \d+ on \S+ \(a long run, since ", err)


def test_without_a_terminal_a_line_every_ten_seconds_tells_how_far_it_is(
    slow_run: Popen[str],
) -> None:
    out, err = slow_run.communicate(timeout=30)

    assert out.startswith("3 added\n")
    first, line, last = err.splitlines()
    assert last == 'Ask it: ragkit ask "..."'
    assert re.fullmatch(r"Index /.*/indexes/docs", first)
    assert re.fullmatch(r"\d/3 files, \d+%, \d\.\d passages/s, about \d+ s left", line)
