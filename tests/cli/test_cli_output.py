"""What commands write reaches its reader, whatever stands at the other end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder

from ragkit.config import Config
from ragkit.pipeline import Pipeline

NAME, TEXT = "假期.txt", "年假十天, naïve\u202e 🦆."
SEARCH = ("search", "年假", "--mode", "keyword")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("output")
    docs = write_files(folder / "docs", {NAME: TEXT})
    with Pipeline(folder / "indexes/docs", Config(), embedder=HashEmbedder()) as rag:
        rag.index(docs)
    return Shell(folder)


def written(shell: Shell, encoding: str, *words: str) -> bytes:
    run = shell.piped(b"", *words, PYTHONIOENCODING=encoding)
    assert (run.returncode, run.stderr) == (0, b"")
    return run.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk", "utf-8"])
def test_json_is_whole_in_every_encoding_of_the_terminal(shell: Shell, encoding: str) -> None:
    hit = json.loads(written(shell, encoding, *SEARCH, "--json"))[0]

    assert (hit["path"], hit["text"]) == (NAME, TEXT)


@pytest.mark.parametrize(
    ("encoding", "name", "text"),
    [
        ("ascii", NAME, "年假十天, naïve 🦆."),
        ("cp1252", r"\u5047\u671f.txt", r"\u5e74\u5047\u5341\u5929, naïve \U0001f986."),
        ("gbk", NAME, r"年假十天, na\xefve \U0001f986."),
        ("utf-8", NAME, "年假十天, naïve 🦆."),
    ],
)
def test_what_a_terminal_has_no_character_for_is_escaped(
    shell: Shell, encoding: str, name: str, text: str
) -> None:
    shown = written(shell, encoding, *SEARCH)

    assert shown.decode("utf-8" if encoding == "ascii" else encoding) == f"1. {name}\n   {text}\n\n"


@pytest.mark.skipif(os.name != "posix", reason="closes an output as a POSIX shell does")
@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_closed_output_is_no_error(shell: Shell, option: tuple[str, ...]) -> None:
    shell.before = ("sh", "-c", 'exec "$@" >&-', "sh")
    try:
        assert shell(*SEARCH, *option).err == ""
    finally:
        shell.before = ()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("option", [(), ("--json",)])
def test_output_that_cannot_be_written_is_said_in_one_line(
    shell: Shell, option: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "ragkit", *SEARCH, *option],
            cwd=shell.folder,
            env=shell.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.stderr == "ragkit: the output cannot be written: No space left on device\n"
    assert run.returncode == 1
