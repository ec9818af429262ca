"""Fixtures that several test modules share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama_server import OllamaServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    """A server of the newest family with the usual models; see `ollama_server`."""
    with OllamaServer() as server:
        yield server
