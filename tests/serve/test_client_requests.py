"""Requests as the programs of others send them, and what each must find in the reply.

Read in their sources: Open WebUI 0.12.4, LightRAG 1.5.7, and Zed, Continue, Home Assistant, Page
Assist and Copilot in November 2026.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from fixed_chat import FixedChat
from served import QUESTION, lines, post, serving, user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAID = "The fee is five dollars a day [1]."
EXTENSION = "chrome-extension://jfgfiigpkhlkbnfnbobbkinehhfdhndo"


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    chat = FixedChat(SAID)
    with serving(indexes, chat=chat, serve__origins=("chrome-extension://*",)) as address:
        yield address


def get(url: str, path: str, **headers: str) -> Any:
    reply = requests.get(url + path, headers=headers, timeout=10)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_open_webui_connects_lists_chats_and_unloads(url: str) -> None:
    """It keys models by ``model``, reads ``expires_at`` as a time, counts tokens a second."""
    assert re.fullmatch(r"\d+(\.\d+)+", get(url, "/api/version")["version"])
    models = {m["model"]: m for m in get(url, "/api/tags")["models"]}
    for loaded in get(url, "/api/ps")["models"]:
        assert loaded["model"] in models
        datetime.fromisoformat(loaded["expires_at"])
    body = {
        "model": "library:latest",
        "messages": [
            *user("How late is it?"),
            {"role": "assistant", "content": "Six [1]."},
            *user(QUESTION),
        ],
        "options": {},
        "stream": True,
    }
    answered = lines(post(url, "/api/chat", body))
    unload = {"model": "library:latest", "keep_alive": 0, "prompt": ""}

    assert "".join(line["message"]["content"] for line in answered).startswith(SAID)
    assert answered[-1]["eval_count"] / answered[-1]["eval_duration"] * 1e9 > 0
    assert lines(post(url, "/api/generate", unload))[-1]["done"] is True
    removed = requests.delete(url + "/api/delete", json={"model": "library"}, timeout=10)
    assert removed.status_code == 403


def test_open_webui_has_titles_made_of_a_task_and_not_of_documents(indexes: Path) -> None:
    task = (
        "### Task:\nGenerate a concise, 3-5 word title with an emoji for the chat history.\n"
        '### Output:\nJSON format: { "title": "your concise title here" }\n'
        f"### Chat History:\n<chat_history>\nUSER: {QUESTION}\nASSISTANT: {SAID}\n</chat_history>"
    )
    body = {"model": "library:latest", "messages": user(task), "stream": False}
    chat = FixedChat('{"title": "Fees"}')
    with serving(indexes, chat=chat) as url:
        told = post(url, "/v1/chat/completions", body).json()["choices"][0]["message"]["content"]

    assert told == '{"title": "Fees"}'
    (request,) = chat.requests
    assert "five dollars a day." not in str(request)  # no passage was given


def test_zed_reads_each_model_and_each_line_strictly(url: str) -> None:
    """Its list fails whole for one missing field; a line of a chat must have four."""
    for model in get(url, "/api/tags")["models"]:
        for name in ("name", "modified_at", "digest"):
            assert isinstance(model[name], str)
        assert isinstance(model["size"], int)
        assert model["size"] >= 0
        for name in ("format", "family", "parameter_size", "quantization_level"):
            assert isinstance(model["details"][name], str)
    shown = post(url, "/api/show", {"model": "library:latest"}).json()
    assert isinstance(shown["capabilities"], list)
    body = {
        "model": "library:latest",
        "messages": [{"role": "system", "content": "Be short."}, *user(QUESTION)],
        "stream": True,
        "keep_alive": -1,
        "options": {"num_ctx": 4096, "stop": [], "temperature": 1.0},
        "tools": [],
        "think": False,
    }
    for line in lines(post(url, "/api/chat", body)):
        assert {"model", "created_at", "message", "done"} <= set(line)
        assert line["message"]["role"] == "assistant"
        datetime.fromisoformat(line["created_at"])


def test_continue_shows_by_name_and_reads_parameters(url: str) -> None:
    """It sends ``name``, reads each line of the parameters by a pattern, and sends raw prompts."""
    shown = post(url, "/api/show", {"name": "library"}).json()
    for line in filter(None, shown["parameters"].split("\n")):
        assert re.fullmatch(r"(\S+)\s+(.+)", line)
    assert "template" in shown
    body = {
        "model": "library",
        "prompt": QUESTION,
        "suffix": "",
        "raw": True,
        "options": {"num_predict": 200},
        "keep_alive": 1800,
        "stream": True,
    }
    said = "".join(line["response"] for line in lines(post(url, "/api/generate", body)))
    assert said.startswith(SAID)


def test_home_assistant_finds_its_model_or_pulls_it(url: str) -> None:
    assert [m["model"] for m in get(url, "/api/tags")["models"]] == ["library:latest"]
    done = lines(post(url, "/api/pull", {"model": "library:latest", "stream": True}))
    assert done[-1]["status"] == "success"
    absent = post(url, "/api/pull", {"model": "llama3.2:latest", "stream": True})
    assert absent.status_code == 404
    assert absent.json()["error"]
    body = {
        "model": "library:latest",
        "messages": [{"role": "system", "content": "You control a house."}, *user(QUESTION)],
        "tools": None,
        "stream": True,
        "keep_alive": "-1s",
        "options": {"num_ctx": 8192},
        "think": False,
    }
    reply = post(url, "/api/chat", body)
    assert reply.status_code == 200
    assert lines(reply)[-1]["done"] is True


def test_copilot_reads_version_details_and_posts_to_v1_on_the_same_port(url: str) -> None:
    """It parses each part of the version as an integer, and breaks on an absent context length."""
    assert all(part.isdigit() for part in get(url, "/api/version")["version"].split("."))
    info = post(url, "/api/show", {"model": "library:latest"}).json()["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] > 0
    body = {
        "model": "library:latest",
        "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.1,
        "top_p": 1,
        "max_tokens": 4096,
        "n": 1,
        "tools": [],
    }
    reply = post(url, "/v1/chat/completions", body)
    assert reply.status_code == 200
    assert reply.text.rstrip().endswith("data: [DONE]")


@pytest.mark.parametrize("wanted", [4096, 100_000, 50])
def test_a_longest_answer_leaves_room_for_passages(indexes: Path, wanted: int) -> None:
    """A client's limit makes answers shorter, and never takes the window for itself."""
    chat = FixedChat(SAID)
    asked = {"model": "library", "messages": user(QUESTION)}
    with serving(indexes, chat=chat) as url:
        first = post(url, "/v1/chat/completions", asked | {"max_tokens": wanted})
        second = post(url, "/api/chat", asked | {"options": {"num_predict": wanted}})

    assert (first.status_code, second.status_code) == (200, 200)
    assert [request.num_predict for request in chat.requests] == [min(wanted, 768)] * 2


def test_page_assist_asks_from_an_extension_if_it_may(url: str, indexes: Path) -> None:
    """It takes a text at the root for a running server, and hides models of BERT's family."""
    root = requests.get(url, headers={"Origin": EXTENSION}, timeout=10)
    assert root.text == "Ollama is running"
    assert root.headers["access-control-allow-origin"] == EXTENSION
    for model in get(url, "/api/tags", Origin=EXTENSION)["models"]:
        assert not {"bert", "nomic-bert"} & set(model["details"]["families"] or ())
    with serving(indexes) as closed:
        refused = requests.get(closed + "/api/tags", headers={"Origin": EXTENSION}, timeout=10)
    assert refused.status_code == 403


def test_lightrag_has_its_prompts_answered_and_texts_embedded(url: str) -> None:
    """It sends its own system prompt, a history, and much context in the question."""
    history = "<chat_history>\nUSER: How late is it?\nASSISTANT: Six.\n</chat_history>"
    body = {
        "model": "library",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant responding to data tables."},
            *user(f"{history}\n{QUESTION}"),
        ],
        "stream": False,
        "options": {"num_ctx": 32768},
    }
    answered = post(url, "/api/chat", body).json()
    assert answered["message"]["content"].startswith(SAID)  # without a task it is a question
    embedded = post(url, "/api/embed", {"model": "library", "input": ["the fee"], "options": {}})
    assert embedded.status_code == 400  # this index is of words alone
    assert embedded.json()["error"]
