"""``ragkit list``, ``info``, ``check``, ``doctor`` and what they say of a broken index."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder
from ollama_double.server import OllamaServer

from ragkit import __version__
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    pass

FILES = {"notice.md": "# Notice\n\nThree months.\n", "sub/travel.txt": "Second class.\n"}


@pytest.fixture
def shell(world: tuple[Shell, OllamaServer]) -> Shell:
    return world[0]


def test_list_names_every_document(shell: Shell) -> None:
    documents = shell("list", "--json").json

    assert [(d["path"], d["kind"], d["chunks"]) for d in documents] == [
        ("notice.md", "markdown", 1),
        ("sub/travel.txt", "text", 1),
    ]
    assert shell("list").out == (
        "     1 passage   markdown  notice.md\n     1 passage   text      sub/travel.txt\n"
    )


def test_info_tells_what_the_index_was_made_from(shell: Shell) -> None:
    info = shell("info", "--json").json
    text = shell("info").out

    assert info["path"] == str(shell.folder / "indexes/docs")
    assert info["roots"] == [str(shell.folder / "docs")]
    assert (info["documents"], info["chunks"], info["dim"]) == (2, 2, 256)
    assert info["embedder"]["options"]["query_prefix"] == "search_query: "
    assert [(run["state"], run["report"]["embedded"]) for run in info["runs"]] == [("closed", 2)]
    assert "embedder   nomic-embed-text:latest (ollama, 256 dimensions)" in text
    assert "split      chunk_tokens 200, overlap_tokens 30" in text


def test_check_and_doctor_say_that_all_is_well(shell: Shell) -> None:
    assert shell("check").out == f"{shell.folder}/indexes/docs: every invariant holds\n"
    assert shell("check", "--json", "--quick").json == []

    findings = {f["what"]: f for f in shell("doctor", "--json").json}

    assert findings["ragkit"]["detail"].startswith(__version__)
    assert findings["embedding model"]["detail"].startswith("nomic-embed-text:latest, 256 ")
    size, _, judged = findings["index docs"]["detail"].partition("; ")
    assert size == "2 documents, 2 passages, nomic-embed-text:latest"
    assert judged.endswith("words alone decide")  # the double knows no meaning
    assert {f["state"] for f in findings.values()} <= {"ok", "note"}


def test_doctor_says_what_to_do_where_a_model_or_the_server_is_missing(shell: Shell) -> None:
    missing = shell("doctor", "--set", "models.chat=mistral")
    down = Shell(shell.folder)("doctor")

    assert "mistral is not on the server" in missing.out
    assert "-> ragkit models pull mistral" in missing.out
    assert "note  Ollama             nothing answers at http://127.0.0.1:9" in down.out


def test_a_damaged_index_is_named_by_every_command_and_searched_by_none(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    with Pipeline(tmp_path / "indexes/docs", embedder=HashEmbedder()) as rag:
        rag.index(docs)
    vectors = next((tmp_path / "indexes/docs/vectors").glob("*.f16"))
    data = bytearray(vectors.read_bytes())
    data[5] ^= 0x55
    vectors.write_bytes(data)
    shell = Shell(tmp_path)

    checked = shell("check", code=12)
    assert checked.out.startswith("must: ")
    assert len(checked.out.splitlines()) >= 2  # each problem with its repair
    vectors.unlink()
    assert "FAIL  index docs" in shell("doctor", code=1).out
    (tmp_path / "indexes/docs/catalog.db").write_bytes(b"no database" * 100)
    for words in (("search", "x"), ("index", "docs")):
        run = shell(*words, code=12)
        assert "indexes/docs" in run.err
        assert "Traceback" not in run.err


def test_documents_of_one_name_are_listed_with_their_folders(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/index.md": "One.", "b/index.md": "Two.", "b/more.md": "Three."})
    shell = Shell(tmp_path)
    shell("index", "a", "b", "--index", "both", "--embedder", "none")

    paths = [line.split()[-1] for line in shell("list").out.splitlines()]
    assert sorted(paths) == sorted(
        [str(tmp_path / "a/index.md"), str(tmp_path / "b/index.md"), "more.md"]
    )
    assert shell("remove", paths[0]).out == "index.md\n"
    assert len(shell("list", "--json").json) == 2


def test_config_tells_what_the_settings_with_a_word_do(shell: Shell) -> None:
    told = shell("config", "neighbours").out.splitlines()
    whole = shell("config").out
    values = shell("config", "search.", "--json").json

    assert told[0].split() == ["search.neighbours", "0", "default"]
    assert told[1] == (
        "    Chunks before and after each hit that an answer may use too. RAGKIT_SEARCH_NEIGHBOURS"
    )
    assert told[2:3] == [""]
    assert "RAGKIT_SEARCH_NEIGHBOURS" not in whole
    assert {name.partition(".")[0] for name in values} == {"search"}
    assert "no setting has 'zebra'" in shell("config", "zebra", code=2).err


def test_help_and_version_and_a_reader_that_leaves(shell: Shell) -> None:
    assert shell("--version").out == f"ragkit {__version__}\n"
    assert "Exit codes: 0 done" in shell("--help").out
    assert "Usage" in shell(code=2).err
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "ragkit", "config"],
            env=shell.env,
            cwd=shell.folder,
            stdout=gone,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")
