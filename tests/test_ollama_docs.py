"""The page on Ollama names every endpoint, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ollama_server import OllamaServer

from ragkit.models import ollama
from ragkit.models.ollama import OllamaClient

PAGE = (Path(__file__).parent.parent / "docs" / "ollama.md").read_text("utf-8")
TABLE = PAGE.partition("## Endpoints")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| `([A-Z]+ /[^`]*)`[^|]*\| ([^|]+) \|", TABLE, re.MULTILINE)
# The endpoints of the contract that are to be covered.
ENDPOINTS = {
    *(f"{verb} {path}" for verb in ("GET", "HEAD") for path in ("/", "/api/version", "/api/tags")),
    *(f"POST /api/{name}" for name in ["generate", "chat", "embed", "embeddings", "show"]),
    *(f"POST /api/{name}" for name in ["pull", "push", "create", "copy"]),
    *("GET /api/ps", "DELETE /api/delete"),
    *("HEAD /api/blobs/:digest", "POST /api/blobs/:digest"),
}


def test_the_table_names_every_endpoint() -> None:
    assert {endpoint for endpoint, _ in ROWS} == ENDPOINTS


@pytest.mark.parametrize(("endpoint", "methods"), ROWS)
def test_each_endpoint_has_the_methods_that_the_table_names(endpoint: str, methods: str) -> None:
    names = re.findall(r"`(\w+)`", methods)
    assert names
    for name in names:
        documented = getattr(OllamaClient, name).__doc__
        path = endpoint.partition(" ")[2]
        assert path in documented, f"{name} does not name {endpoint}"
        assert endpoint.partition(" ")[0] in documented


def test_every_public_method_of_the_client_is_on_the_page() -> None:
    plumbing = {"attempt", "close", "costly", "events", "events_until", "order", "parsed"}
    plumbing |= {"refuse_remote", "refuse_remote_name", "request", "unfinished", "vectors"}
    plumbing |= {"with_defaults"}
    public = {name for name in dir(OllamaClient) if not name.startswith("_")} - plumbing
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
