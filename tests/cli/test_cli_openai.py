"""The commands with a server that speaks OpenAI's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commands import Shell, write_files
from ollama_double.script import Reply

if TYPE_CHECKING:
    from pathlib import Path

    from ollama_double.server import OllamaServer

CHAT, EMBEDDINGS, MODELS = "/v1/chat/completions", "/v1/embeddings", "/v1/models"
KEY = "sk-secret-0123456789"


def test_a_folder_is_indexed_and_asked_over_v1(tmp_path: Path, ollama: OllamaServer) -> None:
    write_files(
        tmp_path / "docs",
        {
            "notice.md": "# Notice\n\nThe notice period is three months.\n",
            "leave.md": "# Leave\n\nAnnual leave amounts to thirty days.\n",
        },
    )
    shell = Shell(
        tmp_path,
        RAGKIT_MODELS_BACKEND="openai",
        RAGKIT_MODELS_OPENAI_URL=ollama.url,
        OPENAI_API_KEY=KEY,
    )

    assert shell("index", "docs").out.startswith("2 added")
    answer = shell("ask", "How long is the notice period?", "--json").json
    assert answer["chat_model"] == "llama3.2"
    assert answer["citations"][0]["path"] == "notice.md"
    assert shell("info", "--json").json["embedder"]["backend"] == "openai"
    assert set(ollama.paths()) <= {CHAT, EMBEDDINGS, MODELS}

    assert len(shell("embed", "a text", "--model", "all-minilm").json) == 1
    shell("index", "docs", "--embedder", "bge-m3", RAGKIT_INDEXES="others")
    assert {body["model"] for body in ollama.bodies(EMBEDDINGS)} >= {"all-minilm", "bge-m3"}
    assert set(ollama.paths()) <= {CHAT, EMBEDDINGS, MODELS}

    ollama.script(Reply(("Staff ", "notice "), ending="eof"))
    broken = shell("ask", "How long is the notice period?", code=13)
    assert broken.out in {"Staff\n", "Staff notice\n"}
    assert "the stream ended without [DONE]" in broken.err

    unknown = shell("ask", "How long is the notice period?", "--chat", "openai:none-such", code=13)
    assert "none-such at " in unknown.err
    found = {
        f["what"]: f
        for f in shell("doctor", "--json", "--set", "models.embedder=none-such", code=1).json
    }
    assert "llama3.2:latest" in found["OpenAI server"]["detail"]
    assert found["chat model"]["detail"] == "llama3.2, window unknown"  # as it is listed
    assert found["chat model"]["state"] == "ok"
    assert ollama.bodies(CHAT)[-1]["max_tokens"] == 1
    assert found["embedding model"]["state"] == "problem"
    assert found["embedding model"]["detail"] == "the server has no model 'none-such'"
    assert found["embedding model"]["todo"] == "set models.embedder to one of the names above"
    assert KEY not in str(found)

    ollama.close()
    gone = shell("search", "notice", code=13)
    assert "nothing answers at" in gone.err
    assert shell("search", "notice", "--mode", "keyword").out.startswith("1. notice.md")
