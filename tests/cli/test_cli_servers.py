"""Several servers on the command line: ``index``, ``models ping``, ``doctor`` and the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from commands import CLOSED, Shell, write_files
from ollama_double.models import CATALOGUE
from ollama_double.server import OllamaServer, Settings
from ollama_helpers import NOMIC, OTHER_NOMIC, count

if TYPE_CHECKING:
    from pathlib import Path


def test_an_index_made_by_two_servers_is_the_one_made_by_one(
    tmp_path: Path, pair: tuple[OllamaServer, OllamaServer], ollama: OllamaServer
) -> None:
    lines = [" ".join(f"Word{i} in line {n}." for n in range(300)) for i in range(8)]
    write_files(tmp_path, {f"notes/{i}.md": f"# Note\n\n{line}" for i, line in enumerate(lines)})
    both = Shell(tmp_path, ",".join(server.url for server in pair))
    found = []
    for shell, name in ((both, "both"), (Shell(tmp_path, ollama.url), "one")):
        shell("index", "notes", "--index", name, "--backend", "ollama")
        hits = shell("search", "Word3 and more", "--index", name, "--json").json
        found.append([(hit["chunk_id"], hit["score"]) for hit in hits])

    assert found[0] == found[1]
    assert found[0]
    assert all(count(server) > 10 for server in pair)


def test_ping_tells_of_each_server_and_fails_unless_all_answer(
    tmp_path: Path, pair: tuple[OllamaServer, OllamaServer]
) -> None:
    one, other = pair
    shell = Shell(tmp_path, f"{one.url},{other.url}")
    both = shell("models", "ping").out.splitlines()
    half = shell("models", "ping", code=13, OLLAMA_HOST=f"{one.url},{CLOSED}")
    listed = shell("models", "ping", "--json", code=13, OLLAMA_HOST=f"{CLOSED},{one.url}").json

    for line, server in zip(both[1:], pair, strict=True):
        assert re.fullmatch(rf"{server.url}  Ollama is running  \d+\.\d ms", line.strip())
        assert [(r.method, r.path) for r in server.requests][:2] == [("GET", "/"), ("HEAD", "/")]
    assert half.out.splitlines()[2].split() == [CLOSED, "-", "-"]
    assert half.err.startswith(f"ragkit: nothing answers at {CLOSED} (")
    assert [server["greeting"] for server in listed] == ["", "Ollama is running"]
    assert listed[0]["seconds"] is None
    assert listed[0]["error"].startswith(f"nothing answers at {CLOSED} (")


def test_doctor_has_a_line_for_each_server(
    tmp_path: Path, pair: tuple[OllamaServer, OllamaServer]
) -> None:
    one, other = pair
    lines = Shell(tmp_path, f"{one.url},{other.url},{CLOSED}")("doctor", "--json").json
    found = {line["what"]: (line["state"], line["detail"]) for line in lines}

    assert found["Ollama"] == ("ok", f"version 0.32.15 at {one.url}, 6 models")
    assert found["Ollama 2"] == ("ok", f"version 0.32.15 at {other.url}, 6 models")
    assert other.paths().count("/api/tags") == 1
    state, detail = found["Ollama 3"]
    assert state == "note"
    assert detail.startswith(f"nothing answers at {CLOSED} (")


def test_doctor_finds_a_server_with_another_model_or_without(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    with (
        OllamaServer(Settings(models=OTHER_NOMIC)) as other,
        OllamaServer(Settings(models=CATALOGUE[1:])) as without,
    ):
        hosts = f"{ollama.url},{other.url},{without.url}"
        run = Shell(tmp_path, hosts)("doctor", code=1).out.splitlines()
    second, third = (next(line for line in run if f"Ollama {n}" in line) for n in (2, 3))

    assert second.startswith("FAIL")
    assert CATALOGUE[0].digest[:12] in second
    assert OTHER_NOMIC[0].digest[:12] in second
    assert third.split(maxsplit=3) == ["note", "Ollama", "3", f"{NOMIC} is not on {without.url}"]
    fetch = f"-> OLLAMA_HOST={without.url} ragkit models pull {NOMIC}"
    assert run[run.index(third) + 1].strip() == fetch


def test_chat_and_the_other_commands_use_the_first_server(
    tmp_path: Path, pair: tuple[OllamaServer, OllamaServer]
) -> None:
    one, other = pair
    shell = Shell(tmp_path, f"{one.url},{other.url}")
    shell("generate", "Hi")
    shell("models", "show", NOMIC)
    assert "/api/generate" in one.paths()
    assert other.requests == []
