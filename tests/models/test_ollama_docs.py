"""The pages on Ollama and OpenAI's interface name every endpoint, and what they name is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Shell, write_files
from ollama_double.manage import WEIGHTS
from ollama_double.recording import Exchange, recorded
from ollama_double.server import OllamaServer

from ragkit.errors import (
    ModelNotFoundError,
    ModelResponseError,
    ModelUnavailableError,
    PromptTruncatedError,
)
from ragkit.models import ollama
from ragkit.models.ollama import OllamaAdmin, OllamaClient, problems
from ragkit.models.openai import OpenAIClient
from ragkit.models.openai import problems as openai_problems

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
PARTS = {"blobs": "digest", "models": "model"}
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


# Recorded once, each with the methods that it was asked by; paths of models and blobs as patterns.
ANSWERED = {
    re.sub(r"/(blobs|models)/.+", lambda m: f"/{m[1]}/:{PARTS[m[1]]}", f"{one.method} {one.path}")
    for one in recorded()
    if one.status < 300
}


def test_a_real_server_answers_what_the_tables_name_and_the_page_names_what_it_answers() -> None:
    assert ENDPOINTS | OPENAI_ENDPOINTS <= ANSWERED
    others = ANSWERED - ENDPOINTS - OPENAI_ENDPOINTS
    left_out = PAGE[PAGE.index("Not covered, on purpose") :].partition("\n\n")[0]
    assert {line.partition(" ")[2] for line in others} == {
        "/api/generate",  # its OPTIONS, for pages of the web
        "/api/status",
        "/v1/completions",
    }
    assert all(f"`{path}`" in left_out for path in ("/api/status", "/v1/completions"))


def test_the_words_of_newer_versions_are_those_of_a_real_server() -> None:
    rows = re.findall(
        r"^\|[^|]+\|([^|]+)\|[^|]+\|$", PAGE[PAGE.index("## Versions") :], re.MULTILINE
    )
    quoted = [words for row in rows for words in re.findall(r"`([A-Za-z ]{20,})`", row)]
    said = [one.body for one in recorded() if one.status >= 400]
    assert len(quoted) == 3
    assert all(any(words in body for body in said) for words in quoted)


@pytest.mark.parametrize(
    "one",
    [pytest.param(one, id=one.note) for one in recorded() if one.status >= 400 and one.body],
)
def test_each_recorded_error_is_the_one_that_the_table_of_errors_names(one: Exchange) -> None:
    v1 = one.path.startswith("/v1/")
    classified = (openai_problems if v1 else problems).classify(one.status, one.body.encode())
    found = type((openai_problems if v1 else problems).to_error(classified, "m", "there"))
    gone = ("killed" in one.note) or one.status == 502
    if one.body.startswith("4"):  # "404 page not found" and "405 ...": no JSON of the server
        expected: type = ModelResponseError
    elif one.status == 404:
        expected = ModelNotFoundError
    elif "n_ctx" in one.body:
        expected = PromptTruncatedError
    else:
        expected = ModelUnavailableError if gone else ModelResponseError
    assert found is expected


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
