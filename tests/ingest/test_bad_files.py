"""Files that give trouble to ``ragkit index``: each is accounted for, and nothing is lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from commands import Run, Shell, ordinary_user, sent, wait_until, write_files
from ollama_double.server import Fault, OllamaServer, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSAL = {"error": "the input length exceeds the context length"}


def accounted(run: Run) -> list[str]:
    """The report's lines on files, without the two of counts before them."""
    assert "Traceback" not in run.err
    return [" ".join(line.split()) for line in run.out.splitlines()[2:]]


def documents(shell: Shell) -> list[str]:
    return [document["path"] for document in shell("list", "--json").json]


def found(shell: Shell, words: str) -> list[str]:
    """The files of which passages hold one of these words."""
    hits = shell("search", words, "--mode", "keyword", "--json").json
    return sorted(hit["path"] for hit in hits)


def test_files_that_vanish_after_the_walk_have_failed_or_keep_their_old_text(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    docs = write_files(tmp_path / "docs", {"a.txt": "Old apple.\n", "m.txt": "Old mango.\n"})
    shell = Shell(tmp_path, ollama.url)
    shell("index", "docs")
    new = {name: f"New {name}.\n" for name in ("a.txt", "m.txt", "n.txt", "z.txt")}
    write_files(docs, new)
    held = threading.Event()
    ollama.requests.clear()
    # The window is asked for when the folder has been walked, and before a file is loaded.
    ollama.faults.append(Fault("/api/show", held=held))

    with shell.started("index", "docs") as process:
        wait_until(lambda: "/api/show" in ollama.paths())
        (docs / "m.txt").unlink()
        (docs / "n.txt").unlink()
        held.set()
        out, err = process.communicate(timeout=20)
        run = Run(process.returncode, out, err)

    assert run.code == 3
    assert run.out.startswith("1 added, 1 changed, 1 stale, 1 failed\n")
    assert accounted(run) == [
        "failed n.txt: cannot be read: No such file or directory",
        "stale m.txt: old text kept: cannot be read: No such file or directory",
    ]
    assert documents(shell) == ["a.txt", "m.txt", "z.txt"]
    assert found(shell, "mango") == ["m.txt"]
    assert found(shell, "apple") == []
    assert shell("index", "docs").out.startswith("1 removed, 2 unchanged\n")


@pytest.fixture
def ordinary() -> tuple[str, ...]:
    """What runs a command without the superuser's right to read everything."""
    return ordinary_user()


@pytest.fixture
def closed() -> Iterator[list[Path]]:
    """Paths that nobody may read; at the end they are opened again."""
    paths: list[Path] = []
    yield paths
    for path in reversed(paths):
        path.chmod(0o700)


@pytest.mark.long
def test_what_may_not_be_read_is_named_and_stays_in_the_index(
    tmp_path: Path, ollama: OllamaServer, ordinary: tuple[str, ...], closed: list[Path]
) -> None:
    names = ("free.txt", "locked.txt", "minutes", "room/deep/one.txt", "room/two.txt")
    docs = write_files(tmp_path / "docs", {name: f"An apple in {name}.\n" for name in names})
    shell = Shell(tmp_path, ollama.url)
    shell.before = ordinary
    shell("index", "docs")
    write_files(docs, {"free.txt": "A pear.\n", "fresh.txt": "A pear.\n"})
    closed += [docs / name for name in ("fresh.txt", "locked.txt", "minutes", "room")]
    for path in closed:
        path.chmod(0o000)

    run = shell("index", "docs", code=3)

    assert run.out.startswith("1 changed, 2 stale, 1 failed\n")
    assert accounted(run) == [
        "failed fresh.txt: cannot be read: Permission denied",
        "stale locked.txt: old text kept: cannot be read: Permission denied",
        "stale minutes: old text kept: cannot be read: Permission denied",
        "not read room/: Permission denied",
    ]
    closed.append(docs)
    docs.chmod(0o000)
    for words, name in ((("index", "docs"), "docs"), (("index",), docs)):
        refused = shell(*words, code=1)
        assert refused.err.splitlines() == [
            f"Index {tmp_path / 'indexes/docs'}",
            f"ragkit: {name}: Permission denied",
        ]
        assert refused.out == ""
    assert documents(shell) == list(names)
    assert found(shell, "apple") == list(names[1:])
    for path in reversed(closed):
        path.chmod(0o700)
    assert shell("index", "docs").out.startswith("1 added, 5 unchanged\n")


def test_a_text_that_the_server_calls_too_long_in_every_part_is_found_by_its_words(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    docs = write_files(tmp_path / "docs", {"long.txt": "An apple.\n"})
    shell = Shell(tmp_path, ollama.url)
    shell("index", "docs")
    write_files(docs, {"long.txt": "zq " * 200, "fresh.txt": "zq " * 150, "good.txt": "A pear.\n"})
    ollama.faults.append(Fault("/api/embeddings", times=None, match="zq", status=500, body=REFUSAL))

    run = shell("index", "docs", code=3)

    reason = f"cannot be embedded: {REFUSAL['error']} (HTTP 500)"
    assert accounted(run) == [
        f"noted {name}: {reason}; it is found by its words" for name in ("fresh.txt", "long.txt")
    ]
    assert documents(shell) == ["fresh.txt", "good.txt", "long.txt"]
    assert found(shell, "zq") == ["fresh.txt", "long.txt"]


def test_a_text_with_more_tokens_than_estimated_is_embedded_in_parts(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    text = "".join(f"第{n}条规定了合同双方的权利和义务。" for n in range(140))
    write_files(tmp_path / "docs", {"long.txt": text, "good.txt": "A pear.\n"})
    shell = Shell(tmp_path, ollama.url, RAGKIT_SPLIT_CHUNK_TOKENS="1900")

    run = shell("index", "docs")

    assert run.out.startswith("2 added\n2 passages written, 2 embedded")
    parts = [part for part in sent(ollama) if "合同" in part]
    assert parts[0] == text  # which the server has refused
    assert len(parts) == 3
    assert "".join(parts[1:]) == text
    (hit,) = shell("search", "第139条规定了什么权利", "--k", "1", "--json").json
    assert hit["text"] == text


def test_a_file_of_one_line_of_five_megabytes_is_indexed_to_its_last_word(tmp_path: Path) -> None:
    line = "".join(f"word{n} " for n in range(470_000)) + "lastword"
    assert len(line) > 5_000_000
    write_files(tmp_path / "docs", {"line.txt": line})
    with OllamaServer(Settings(cheap=True)) as server:
        shell = Shell(
            tmp_path,
            server.url,
            RAGKIT_SPLIT_CHUNK_TOKENS="1900",
            RAGKIT_MODELS_EMBED_ENDPOINT="/api/embed",
        )
        run = shell("index", "docs")
        hits = shell("search", "lastword", "--mode", "keyword", "--json").json

    assert run.out.startswith("1 added\n")
    (hit,) = hits
    assert line[hit["start"] : hit["end"]] == hit["text"]
    assert hit["end"] == len(line)
    assert hit["text"].endswith(" word469999 lastword")
