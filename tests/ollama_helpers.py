"""What the tests of the Ollama models share: short ways to make them, and expected vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ollama_double.models import CATALOGUE, vectors_of
from ollama_double.server import OllamaServer

from ragkit.config import Config, ModelSettings
from ragkit.models.ollama import OllamaAdmin, OllamaChat, OllamaClient, OllamaEmbedder
from ragkit.protocols import ChatMessage, ChatRequest, TextDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

LEGACY, BATCH = "/api/embeddings", "/api/embed"
NOMIC = "nomic-embed-text"
PREFIX = "search_document: "
TOO_LONG = "the input length exceeds the context length"
# The catalogue with another model under the first one's name.
OTHER_NOMIC = (replace(CATALOGUE[0], content="other weights"), *CATALOGUE[1:])
CRASH = {"error": 'do embedding request: Post "http://127.0.0.1:1/embedding": EOF'}


def client_of(server: OllamaServer, **settings: Any) -> OllamaClient:
    return OllamaClient(server.url, settings=ModelSettings(**settings))


def admin_of(server: OllamaServer, **settings: Any) -> OllamaAdmin:
    return OllamaAdmin(client_of(server, **settings))


def settings_for(server: OllamaServer, **values: object) -> Config:
    """The settings of a pipeline over a server that is asked once."""
    fixed = {"models.backend": "ollama", "models.ollama_host": server.url, "models.retries": 0}
    return Config().with_values(fixed | values)


def embedder_of(server: OllamaServer, name: str = NOMIC, **settings: Any) -> OllamaEmbedder:
    return OllamaEmbedder(client_of(server, **settings), name)


def chat_of(server: OllamaServer, name: str = "llama3.2", **settings: Any) -> OllamaChat:
    return OllamaChat(client_of(server, **settings), name)


def expected(*texts: str, prefix: str = PREFIX, dim: int = 256) -> Any:
    return np.stack([vectors_of(dim).unit(prefix + text) for text in texts])


def cosine(one: Any, other: Any) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def asked(*contents: str, **values: Any) -> ChatRequest:
    messages = tuple(ChatMessage("user", content) for content in contents)
    return ChatRequest(messages, **({"num_ctx": 4096, "num_predict": 256} | values))


def text_of(events: Sequence[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def count(server: OllamaServer, endpoint: str = LEGACY) -> int:
    """How many texts a server was sent."""
    bodies = server.bodies(endpoint)
    return len(bodies) if endpoint == LEGACY else sum(len(body["input"]) for body in bodies)
