"""Servers that speak OpenAI's interface: LM Studio, llama.cpp's server, vLLM, Ollama's own /v1.

Usage::

    client = OpenAIClient("http://127.0.0.1:1234/v1", settings=ModelSettings())
    embedder = OpenAIEmbedder(client, "text-embedding-nomic-embed-text-v1.5")
    chat = OpenAIChat(client, "qwen3-8b")

The interface knows no window, no digest and no way to forbid the cutting of a text: docs/openai.md
says what follows from that.
"""

from ragkit.models.openai.chat import OpenAIChat
from ragkit.models.openai.client import ListedModel, OpenAIClient
from ragkit.models.openai.embedder import OpenAIEmbedder

__all__ = ["ListedModel", "OpenAIChat", "OpenAIClient", "OpenAIEmbedder"]
