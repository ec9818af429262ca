"""The client of the Ollama server: all its endpoints, grouped by what they are for."""

from __future__ import annotations

from ragkit.models.ollama.blobs import Blobs
from ragkit.models.ollama.embedding import Embedding
from ragkit.models.ollama.generation import Generation
from ragkit.models.ollama.management import Management


class OllamaClient(Generation, Embedding, Management, Blobs):
    """Speaks to one Ollama server. Opens no connection until a method is called.

    ============  ==========================================================================
    group         methods
    ============  ==========================================================================
    `Inventory`   health, answers, is_available, version, tags, ps, show, digest
    `Generation`  generate, generate_stream, chat, chat_stream, load, unload
    `Embedding`   embed, embeddings
    `Management`  pull, push, create, copy, delete
    `Blobs`       has_blob, upload_blob
    ============  ==========================================================================

    Arguments and errors are those of `Connection`. Safe to use from several threads.

    Usage::

        with OllamaClient("127.0.0.1", settings=ModelSettings()) as client:
            reply = client.generate(GenerateCall("llama3.2", "Why is the sky blue?"))
            for piece in client.chat_stream(ChatCall("llama3.2", [Message("user", "Hello")])):
                print(piece.message.content, end="", flush=True)
            for event in client.pull("all-minilm"):
                print(event.status, event.completed_bytes, event.total_bytes)
    """
