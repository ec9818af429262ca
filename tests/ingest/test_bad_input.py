"""What users get wrong, and machines: each is said in one line, and nothing stored is lost."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder
from ollama_double.server import Fault, OllamaServer

from ragkit.config import Config
from ragkit.errors import ModelError, PromptTruncatedError, StorageFullError
from ragkit.pipeline import Pipeline
from ragkit.store.open import check_index

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "sub/travel.txt": "Rail travel is booked by the office, second class.\n",
}
DOWN = "nothing answers at http://127.0.0.1:9"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shell, OllamaServer]]:
    folder = tmp_path_factory.mktemp("bad")
    write_files(folder / "docs", FILES)
    (folder / "empty").mkdir()
    with OllamaServer() as server:
        with Pipeline(folder / "indexes/docs", settings_for(server)) as rag:
            rag.index(folder / "docs")
        yield Shell(folder, server.url), server


@pytest.fixture
def shell(world: tuple[Shell, OllamaServer]) -> Iterator[Shell]:
    """The shell over an index that must answer afterwards as it did before."""
    shell, server = world
    yield shell
    server.faults.clear()
    with Pipeline(shell.folder / "indexes/docs", settings_for(server)) as rag:
        assert [hit.path for hit in rag.search("rail travel booked")] == [
            "sub/travel.txt",
            "notice.md",
        ]


def settings_for(server: OllamaServer) -> Config:
    return Config().with_values(
        {"models.backend": "ollama", "models.ollama_host": server.url, "models.retries": 0}
    )


# What is asked for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("index", "nowhere"), 1, "ragkit: nowhere: no such file or folder"),
        (("search", "  "), 2, "it is empty"),
        (("search", "x", "--k", "0"), 2, "'--k'"),
        (("search", "x", "--as-of", "77"), 1, "has no finished run 77"),
        (("index", "docs", "--embedder", "nope", "-i", "new"), 13, "try: ragkit models pull nope"),
        (
            ("ask", "What of rail?", "--chat", "nope"),
            13,
            "try: ragkit models pull nope",
        ),
        (("ask", "What of rail?", "--chat", "gguf:none.gguf"), 13, "none.gguf"),
    ],
)
def test_a_wrong_request_is_refused_in_words(
    shell: Shell, words: tuple[str, ...], code: int, said: str
) -> None:
    run = shell(*words, code=code)

    assert said in " ".join(run.err.replace("│", " ").split())
    assert "Traceback" not in run.err
    assert run.out == ""
    assert not (shell.folder / "indexes/new").exists()


def test_a_question_in_no_encoding_or_without_end_is_answered(shell: Shell) -> None:
    latin = shell("ask", "What of rail tr\udce4vel?")  # the byte E4, which is no UTF-8
    assert latin.out
    with Pipeline(shell.folder / "indexes/docs", settings_of(shell)) as rag:
        for question in ("rail travel booked " * 300, "\x01\u202e rail", "??", "\0"):
            assert len(rag.search(question)) == 2
            assert rag.ask(question).text
        with pytest.raises(PromptTruncatedError, match="tokens too long for the window; shorten"):
            rag.ask("rail travel booked " * 3000)


def settings_of(shell: Shell) -> Config:
    values = {"models.ollama_host": shell.env["OLLAMA_HOST"], "models.retries": 0}
    return Config().with_values(values)


def test_without_an_index_or_with_two_the_message_says_what_to_do(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    shell = Shell(tmp_path, ollama.url)
    inbox = write_files(tmp_path / "inbox", {"a.txt": "Rail travel is booked by the office."})

    none = shell("ask", "Anything?", code=10)
    shell("index", inbox)
    shell("remove", "a.txt")
    nothing = shell("search", "anything")
    shutil.copytree(tmp_path / "indexes/inbox", tmp_path / "indexes/second")
    two = shell("search", "x", code=10)

    assert (
        f"there is no index in {tmp_path / 'indexes'}; make one with `ragkit index FOLDER`"
        in none.err
    )
    assert (nothing.out, nothing.err) == ("", "Nothing found.\n")
    assert (
        f"there are 2 indexes in {tmp_path / 'indexes'}: inbox, second; name one with `--index"
        in two.err
    )


# The server --------------------------------------------------------------------------------------


def test_a_server_that_is_down_is_said_at_creation_and_later(shell: Shell) -> None:
    down = Shell(shell.folder, RAGKIT_MODELS_RETRIES="0")

    create = down("index", "docs", "--backend", "ollama", "--index", "new", code=13)
    search = down("search", "rail", code=13)

    assert DOWN in create.err
    assert not (shell.folder / "indexes/new").exists()
    assert DOWN in search.err
    assert "built with" not in search.err  # not a mismatch


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("/api/embeddings", status=404, body={"error": 'model "m" not found'}),
            "ragkit models pull",
        ),
        (Fault("/api/embeddings", status=404, body="404 page not found"), "404 page not found"),
        (Fault("/api/embeddings", status=500, body={"error": "no luck"}), "no luck"),
        (Fault("/api/embeddings", status=503, body={"error": "server busy"}), "server busy"),
        (Fault("/api/embeddings", vector=[0.5] * 100), "a vector of length 100, not 256"),
        (Fault("/api/embeddings", vector=[]), "empty"),
        (Fault("/api/embeddings", vector=[0.0] * 256), "zero"),
        (Fault("/api/embeddings", vector=[1e39] * 256), "finite"),
        (Fault("/api/embeddings", status=200, body="<html>a proxy</html>"), "proxy"),
        (Fault("/api/embeddings", drop_after=40), "ended before the reply was complete"),
    ],
)
def test_whatever_the_server_answers_is_one_error_with_its_reason(
    world: tuple[Shell, OllamaServer], shell: Shell, fault: Fault, said: str
) -> None:
    world[1].faults.append(fault)

    rag = Pipeline(shell.folder / "indexes/docs", settings_of(shell))
    with rag, pytest.raises(ModelError, match=re.escape(said)):
        rag.search("rail")


# Files -------------------------------------------------------------------------------------------


def test_a_file_that_vanishes_or_changes_during_the_run_is_accounted_for(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {f"{n}.txt": f"Text {n}.\n" for n in range(3)})

    def disturb(_: object) -> None:
        (docs / "1.txt").unlink(missing_ok=True)
        (docs / "2.txt").write_text("Another text.\n")

    with Pipeline(tmp_path / "index", embedder=HashEmbedder()) as rag:
        write_files(docs, {"0.bin": "x"})
        report = rag.index(docs, on_progress=disturb)
        again = rag.index(docs)

        assert {hit.text.strip() for hit in rag.search("x")} == {"Text 0.", "Another text."}
    done = {*report.added, *(outcome.path for outcome in report.failed)}
    assert done == {"0.txt", "1.txt", "2.txt"}
    assert set(again.unchanged) | set(again.changed) == {"0.txt", "2.txt"}


# The disk ----------------------------------------------------------------------------------------


def fill(docs: Path) -> None:
    """Files whose index needs some megabytes."""
    words = " ".join(f"word{n}" for n in range(400))
    write_files(docs, {f"{n:03}.txt": f"{n} {words}" for n in range(80)})


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit of util-linux")
def test_a_limit_on_file_size_is_a_full_disk_and_loses_nothing(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    write_files(tmp_path / "docs", FILES)
    shell = Shell(tmp_path, ollama.url)
    shell("index", "docs")
    fill(tmp_path / "docs")
    shell.before = ("prlimit", "--fsize=250000")

    failed = shell("index", "docs", code=1)

    assert "the disk that holds" in failed.err
    assert "what was committed before is intact" in failed.err
    assert "Traceback" not in failed.err
    shell.before = ()
    assert shell("check").out.endswith("every invariant holds\n")
    hits = shell("search", "rail travel booked", "--json").json
    assert hits[0]["path"] == "sub/travel.txt"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 700 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("only the superuser may mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_loses_nothing_and_the_run_goes_on_with_space(
    tmp_path: Path, small_disk: Path
) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    words = Config().with_values({"search.mode": "keyword"})
    with Pipeline(small_disk / "index", words, embedder=HashEmbedder()) as rag:
        rag.index(docs)
        fill(docs)
        with pytest.raises(StorageFullError, match="what was committed before is intact"):
            rag.index(docs)

        assert [hit.path for hit in rag.search("rail")] == ["sub/travel.txt"]
        subprocess.run(["mount", "-o", "remount,size=30m", small_disk], check=True)
        report = rag.index(docs)
        assert len(report.added) + len(report.unchanged) == 82
        assert check_index(rag.path) == []


def test_an_index_of_a_newer_ragkit_is_left_alone(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    with Pipeline(tmp_path / "indexes/docs", embedder=HashEmbedder()) as rag:
        rag.index(docs)
    catalog = sqlite3.connect(tmp_path / "indexes/docs/catalog.db")
    catalog.execute("PRAGMA user_version = 99")
    catalog.close()
    before = (tmp_path / "indexes/docs/catalog.db").read_bytes()

    run = Shell(tmp_path)("index", "docs", code=12)

    assert "index format 99" in run.err
    assert "install a newer ragkit" in run.err
    assert (tmp_path / "indexes/docs/catalog.db").read_bytes() == before
