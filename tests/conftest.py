"""Fixtures that several test modules share."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from ollama_double.server import OllamaServer, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["store_kinds"]

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
