"""A prompt that takes more tokens than estimated: asked again with fewer passages, and learned."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from hash_embedder import HashEmbedder
from ollama_double.models import Model
from ollama_double.server import OllamaServer, Settings

from ragkit.config import Config
from ragkit.errors import ConfigError, PromptTruncatedError
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.records import Answer

QUESTION = "How long is the notice period?"
FACT = "The notice period is three months."
PADDING = "The period of notice runs from the day after it was given in writing to the office. "
FILES = {
    f"{name}.md": f"{FACT if name == 'a' else ''} {name} {PADDING * 12}\n" for name in "abcdefgh"
}
# 4096 tokens, 3328 of them for the prompt; the rules and the question take some 400.
VALUES = {"search.mode": "keyword", "answer.num_ctx": 4096, "models.chat": "wide"}
ROOM = 4096 - 768


def opened(folder: Path, server: OllamaServer, **values: Any) -> Pipeline:
    docs = write_files(folder / "docs", FILES)
    config = Config().with_values({**VALUES, "models.ollama_host": server.url, **values})
    rag = Pipeline(folder / "index", config, embedder=HashEmbedder())
    rag.index(docs)
    return rag


def serving(fertility: float) -> OllamaServer:
    return OllamaServer(Settings(models=(Model("wide:latest", fertility=fertility),)))


def given(server: OllamaServer) -> list[int]:
    """How many passages each request brought."""
    bodies = server.bodies("/api/chat")
    return [
        len(re.findall(r"^<passage \d+", b["messages"][-1]["content"], re.MULTILINE))
        for b in bodies
    ]


def asked(rag: Pipeline) -> Answer:
    answer = rag.ask(QUESTION)
    assert FACT[:-1] in answer.text
    assert answer.receipt.passages_given + len(answer.receipt.dropped) >= len(FILES)
    return answer


def test_a_prompt_that_is_too_long_is_asked_again_with_fewer_passages(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(3.0) as server, opened(tmp_path, server) as rag:
        first = asked(rag)
        tries = given(server)
        second = asked(rag)
        later = given(server)[len(tries) :]
    assert 2 <= len(tries) <= 3
    assert tries[0] == 8
    assert first.receipt.passages_given == tries[-1] < 8
    assert first.receipt.prompt_tokens is not None
    assert first.receipt.prompt_tokens <= ROOM
    assert f"asked again with {tries[-1]} of" in caplog.text
    assert "A larger answer.num_ctx has room for them" in caplog.text
    assert len(later) == 1, "what was counted once is known the next time"
    assert second.receipt.prompt_tokens is not None
    assert second.receipt.prompt_tokens <= ROOM


def test_a_prompt_of_which_nothing_fits_is_an_error_that_names_the_window(tmp_path: Path) -> None:
    with serving(40.0) as server, opened(tmp_path, server) as rag:
        with pytest.raises(PromptTruncatedError, match=r"raise answer\.num_ctx") as caught:
            rag.ask(QUESTION)
        assert len(given(server)) <= 3
    assert caught.value.num_ctx == 4096
    assert caught.value.prompt_tokens is not None
    assert caught.value.prompt_tokens > 4096


def test_a_window_that_rules_and_reserve_fill_is_not_the_questions_fault(tmp_path: Path) -> None:
    values = {"answer.num_ctx": 1000, "answer.reserve_tokens": 768}
    with serving(1.0) as server, opened(tmp_path, server, **values) as rag:
        with pytest.raises(ConfigError, match="no room for a passage") as caught:
            rag.ask(QUESTION)
        assert given(server) == []
    said = str(caught.value)
    assert "answer.reserve_tokens = 768 are kept for the answer" in said
    assert "raise answer.num_ctx (now 1000), or lower answer.reserve_tokens" in said
    least = re.search(r"more than (\d+)", said)
    assert least is not None
    needed = int(least[1])
    with serving(1.0) as server, opened(tmp_path, server, **values) as rag:
        rag.config = rag.config.with_values({"answer.num_ctx": needed})
        with pytest.raises(ConfigError, match=f"window of {needed} tokens has no room"):
            rag.ask(QUESTION)
        rag.config = rag.config.with_values({"answer.num_ctx": needed + 200})
        assert rag.ask(QUESTION).receipt.num_ctx == needed + 200


def test_a_models_own_small_window_is_named_as_such(tmp_path: Path) -> None:
    small = (Model("wide:latest", context=1000),)
    said = "choose a chat model with a larger window"
    with (
        OllamaServer(Settings(models=small)) as server,
        opened(tmp_path, server) as rag,
        pytest.raises(ConfigError, match=said),
    ):
        rag.ask(QUESTION)
