"""Servers and models that several of these test modules share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama_double.server import OllamaServer, Settings

from ragkit.models.local.gguf import GGUFChat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


@pytest.fixture(scope="module")
def gguf(gguf_file: Path) -> Iterator[GGUFChat]:
    """A real model of 135 million weights, in this process."""
    pytest.importorskip("xllamacpp", reason="the extra `gguf` is not installed")
    model = GGUFChat(gguf_file)
    yield model
    model.close()
