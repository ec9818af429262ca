"""`ragkit serve` to the chat models of LangChain, as its users call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fixed_chat import FixedChat
from packages import need
from served import QUESTION, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.long,
    # LangChain leaves its clients' sockets open.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SAID = "The fee is five dollars a day [1]."
TALK = [("human", "How late is it?"), ("ai", "Nine dollars [1]."), ("human", QUESTION)]


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes, chat=FixedChat(SAID)) as address:
        yield address


def test_chat_ollama_asks_and_streams(url: str) -> None:
    need("langchain_ollama", "langchain-ollama is not installed (the group `integrations`)")
    from langchain_ollama import ChatOllama

    model = ChatOllama(model="library", base_url=url, temperature=0, validate_model_on_init=True)
    said = model.invoke(TALK)
    streamed = "".join(chunk.content for chunk in model.stream(QUESTION))

    assert said.content.startswith(SAID + "\n\n**Sources**\n- [1] [fees.md](")
    assert said.usage_metadata["output_tokens"] == 7
    assert streamed.startswith(SAID + "\n\n**Sources**\n- [1] [fees.md](")


def test_chat_openai_asks_and_streams(url: str) -> None:
    need("langchain_openai", "langchain-openai is not installed (the group `integrations`)")
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="library", base_url=url + "/v1", api_key="none", temperature=0)
    said = model.invoke(TALK)
    streamed = "".join(chunk.content for chunk in model.stream(QUESTION))

    assert said.content.startswith(SAID + "\n\n**Sources**\n- [1] [fees.md](")
    assert said.usage_metadata["output_tokens"] == 7
    assert streamed.startswith(SAID + "\n\n**Sources**\n- [1] [fees.md](")
