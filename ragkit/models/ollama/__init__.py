"""Models on an Ollama server, over its HTTP interface.

Usage::

    client = OllamaClient("127.0.0.1", settings=ModelSettings())
    embedder = OllamaEmbedder(client, "nomic-embed-text")
    chat = OllamaChat(client, "llama3.2")

`OllamaClient` asks, `OllamaAdmin` changes which models there are; `OllamaEmbedder` and `OllamaChat`
are the pipeline's models.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.models.http.address import parse_host, parse_hosts
    from ragkit.models.ollama.admin import (
        Blob,
        CreateCall,
        LayerProgress,
        ModelProgress,
        OllamaAdmin,
        file_digest,
    )
    from ragkit.models.ollama.calls import ChatCall
    from ragkit.models.ollama.chat import OllamaChat
    from ragkit.models.ollama.client import OllamaClient
    from ragkit.models.ollama.embedder import OllamaEmbedder
    from ragkit.models.ollama.generation import GenerateCall, Generated
    from ragkit.models.ollama.messages import ChatReply, Message, ToolCall
    from ragkit.models.ollama.names import is_remote, normalise_name
    from ragkit.models.ollama.replies import (
        Details,
        Embedded,
        InstalledModel,
        Metrics,
        RunningModel,
        TokenLogprob,
    )
    from ragkit.models.ollama.shown import ShownModel
    from ragkit.models.prefixes import Prefixes, prefixes_of

__all__ = [
    "Blob",
    "ChatCall",
    "ChatReply",
    "CreateCall",
    "Details",
    "Embedded",
    "GenerateCall",
    "Generated",
    "InstalledModel",
    "LayerProgress",
    "Message",
    "Metrics",
    "ModelProgress",
    "OllamaAdmin",
    "OllamaChat",
    "OllamaClient",
    "OllamaEmbedder",
    "Prefixes",
    "RunningModel",
    "ShownModel",
    "TokenLogprob",
    "ToolCall",
    "file_digest",
    "is_remote",
    "normalise_name",
    "parse_host",
    "parse_hosts",
    "prefixes_of",
]

# Where the names live, light modules first: an embedder needs no messages, a chat no uploads.
_HOMES = (
    "http.address",
    "prefixes",
    "ollama.names",
    "ollama.client",
    "ollama.embedder",
    "ollama.chat",
    "ollama.calls",
    "ollama.messages",
    "ollama.replies",
    "ollama.shown",
    "ollama.generation",
    "ollama.admin",
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- any public name
    """Load a public name when it is first asked for (PEP 562)."""
    if name in __all__:
        for home in _HOMES:
            found = vars(import_module(f"ragkit.models.{home}")).get(name)
            if found is not None:
                globals()[name] = found
                return found
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
