"""The pages on Ollama and OpenAI's interface name every endpoint, and what they name is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Shell, write_files
from ollama_double.manage import WEIGHTS
from ollama_double.server import OllamaServer

from ragkit.models import ollama
from ragkit.models.ollama import OllamaAdmin, OllamaClient
from ragkit.models.openai import OpenAIClient

DOCS = Path(__file__).parents[2] / "docs"
PAGE, OPENAI_PAGE = ((DOCS / f"{name}.md").read_text("utf-8") for name in ("ollama", "openai"))


def rows_of(page: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Endpoint, methods and commands of each row of a page's table of endpoints."""
    rows = re.findall(r"^\| `([A-Z]+ /[^`]*)`[^|]*\|([^|]+)\|([^|]+)\|$", page, re.MULTILINE)
    return [
        (endpoint, tuple(re.findall(r"`(\w+)`", methods)), tuple(re.findall(r"`([^`.]+)`", names)))
        for endpoint, methods, names in rows
    ]


ROWS, OPENAI_ROWS = rows_of(PAGE), rows_of(OPENAI_PAGE)
METHODS = [(endpoint, methods) for endpoint, methods, _ in (*ROWS, *OPENAI_ROWS)]
COMMANDS = [
    (endpoint, command) for endpoint, _, names in (*ROWS, *OPENAI_ROWS) for command in names
]
# The endpoints of the contract that are to be covered.
ENDPOINTS = {
    *(f"{verb} {path}" for verb in ("GET", "HEAD") for path in ("/", "/api/version", "/api/tags")),
    *(f"POST /api/{name}" for name in ["generate", "chat", "embed", "embeddings", "show"]),
    *(f"POST /api/{name}" for name in ["pull", "push", "create", "copy"]),
    *("GET /api/ps", "DELETE /api/delete"),
    *("HEAD /api/blobs/:digest", "POST /api/blobs/:digest"),
}
OPENAI_ENDPOINTS = {"GET /v1/models", "GET /v1/models/:model"} | {
    f"POST /v1/{name}" for name in ("embeddings", "chat/completions")
}
# A whole command line for each command of the tables.
FILE, DIGEST = "model.gguf", f"sha256:{WEIGHTS}"
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "ask": ("When is rent due?",),
    "chat": (),
    "chat --plain": (),
    "doctor": (),
    "embed": ("a text",),
    "generate": ("Hi",),
    "index": ("docs", "--index", "second"),
    "search": ("rent",),
    "models blob check": (DIGEST,),
    "models blob upload": (FILE,),
    "models copy": ("llama3.2", "mine"),
    "models create": ("mine", "--from", "llama3.2"),
    "models delete": ("llama3.2", "--yes"),
    "models pull": ("smollm2:135m",),
    "models push": ("llama3.2",),
    "models show": ("llama3.2",),
    "models stop": ("llama3.2",),
    **dict.fromkeys(("models list", "models ping", "models ps"), ()),
}


def test_the_tables_name_every_endpoint() -> None:
    assert {endpoint for endpoint, _, _ in ROWS} == ENDPOINTS
    assert {endpoint for endpoint, _, _ in OPENAI_ROWS} == OPENAI_ENDPOINTS


@pytest.mark.parametrize(("endpoint", "methods"), METHODS)
def test_each_endpoint_has_the_methods_that_the_table_names(
    endpoint: str, methods: tuple[str, ...]
) -> None:
    verb, _, path = endpoint.partition(" ")
    classes = (OpenAIClient,) if path.startswith("/v1") else (OllamaClient, OllamaAdmin)
    assert methods
    for name in methods:
        (owner,) = (kind for kind in classes if hasattr(kind, name))
        documented = getattr(owner, name).__doc__
        assert f"{path.removeprefix('/v1')}``" in documented, f"{name} does not name {endpoint}"
        assert verb in documented


@pytest.mark.parametrize(("endpoint", "command"), COMMANDS)
def test_each_command_asks_the_endpoint_that_the_table_names(
    tmp_path: Path, ollama: OllamaServer, endpoint: str, command: str
) -> None:
    write_files(tmp_path, {"docs/rent.md": "# Rent\n\nRent is due in May.\n", FILE: b"GGUF"})
    v1 = {"RAGKIT_MODELS_BACKEND": "openai", "RAGKIT_MODELS_OPENAI_URL": ollama.url}
    chosen = {"/api/embed": {"RAGKIT_MODELS_EMBED_ENDPOINT": "/api/embed"}}
    path = endpoint.partition(" ")[2]
    shell = Shell(tmp_path, ollama.url, **(v1 if "/v1/" in path else chosen.get(path, {})))
    if command in {"ask", "chat", "search"}:
        shell("index", "docs")
        ollama.requests.clear()
    _run(shell, *command.split(), *ARGUMENTS[command])
    named = rf"^{re.sub(':[a-z]+', '[^/]+', endpoint)}$"
    asked = [f"{request.method} {request.path}" for request in ollama.requests]
    assert [line for line in asked if re.match(named, line)]


def _run(shell: Shell, *words: str) -> None:
    """Run a command; what it reads from standard input is one line."""
    subprocess.run(
        [sys.executable, "-m", "ragkit", *words],
        cwd=shell.folder,
        env=shell.env,
        input=b"When is rent due?\n",
        capture_output=True,
        check=False,
    )


def test_every_public_method_is_on_the_page() -> None:
    plumbing = {"close", "forget_models", "refuse_remote", "refuse_remote_name", "vectors"}
    names = {*dir(OllamaClient), *dir(OllamaAdmin)} - plumbing
    public = {name for name in names if not name.startswith("_")}
    assert {name for name in public if f"`{name}`" not in PAGE} == set()


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with OllamaServer() as server:
        exec(example.replace("127.0.0.1", server.url), {})  # noqa: S102 -- the page's own code
    said = capsys.readouterr().out
    assert "success 1300 of 1300" in said
    assert "The documents do not say." in said


def test_the_public_names_are_those_that_can_be_imported() -> None:
    assert sorted(ollama.__all__) == ollama.__all__
    assert all(hasattr(ollama, name) for name in ollama.__all__)
