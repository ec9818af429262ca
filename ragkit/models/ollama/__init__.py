"""Models on an Ollama server, over its HTTP interface.

Usage::

    client = OllamaClient("127.0.0.1", settings=ModelSettings())
    embedder = OllamaEmbedder(client, "nomic-embed-text")
    chat = OllamaChat(client, "llama3.2")
"""

from ragkit.models.ollama.chat import OllamaChat
from ragkit.models.ollama.client import OllamaClient
from ragkit.models.ollama.embedder import OllamaEmbedder
from ragkit.models.ollama.host import parse_host
from ragkit.models.ollama.names import Prefixes, normalise_name, prefixes_of

__all__ = [
    "OllamaChat",
    "OllamaClient",
    "OllamaEmbedder",
    "Prefixes",
    "normalise_name",
    "parse_host",
    "prefixes_of",
]
