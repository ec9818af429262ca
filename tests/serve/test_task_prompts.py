"""Jobs of chat clients, told from questions: they never reach an index's search.

The prompts have the marks of Open WebUI 0.12.4's templates, in words of our own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fixed_chat import FixedChat
from served import make_index, post, serving, user

from ragkit.serve.task_prompts import is_task, stand_in

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = (
    "<chat_history>\nUSER: What is the fee a day, and who has to pay it?\n"
    "ASSISTANT: Five dollars [1].\n</chat_history>"
)
LONG = "What is the fee a"


def job(does: str, output: str, after: str = "") -> str:
    """A job in the shape of the client's templates: its marks in their order."""
    rules = "### Guidelines:\n- Keep it short."
    return f"### Task:\n{does}\n{rules}\n### Output:\n{output}\n### Chat History:\n{HISTORY}{after}"


JOBS: dict[str, tuple[str, dict[str, object]]] = {
    "title": (job("Give this chat a title.", 'JSON: { "title": "a few words" }'), {"title": LONG}),
    "tags": (job("Sort this chat.", 'JSON: { "tags": ["one", "two"] }'), {"tags": ["General"]}),
    "follow-ups": (
        job("Say what may be asked next.", 'JSON: { "follow_ups": ["One?", "Two?"] }'),
        {"follow_ups": []},
    ),
    "queries": (
        job("Say what to look up.", '{\n  "queries": ["one", "two"]\n}'),
        {"queries": []},
    ),
    "picture": (job("Describe a picture.", '{\n    "prompt": "It shows."\n}'), {"prompt": ""}),
    "continue": (
        "### Task:\nContinue what stands in `<text>`.\n### **Output Rules**:\n"
        '- Only JSON: `{ "text": "<more>" }`.\n### Context:\n'
        f"{HISTORY}\n<type>General</type>\n<text>What is</text>\n#### Output:\n",
        {"text": ""},
    ),
}


@pytest.mark.parametrize("name", JOBS)
def test_without_a_model_a_job_gets_what_does_no_harm(name: str) -> None:
    prompt, expected = JOBS[name]

    assert is_task(prompt)
    found = json.loads(stand_in(prompt))
    assert found.keys() == expected.keys()
    if name == "title":
        assert found["title"].startswith(LONG)
    else:
        assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "### Task: what does the contract call a task?",
        "### Task:\nAnswer from the context.\n<context>\nNo history.\n</context>\nWhat is the fee?",
        "What does <chat_history> mean in this manual?",
        "\n<chat_history>\nUSER: Hello\n</chat_history>",
        "How do I write ### Task: and <chat_history> into a prompt?",
    ],
)
def test_a_person_may_write_either_mark(text: str) -> None:
    assert not is_task(text)


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "indexes"
    make_index(folder / "library").close()
    return folder


@pytest.mark.parametrize("name", JOBS)
def test_a_job_goes_to_the_bare_model_as_it_is(indexes: Path, name: str) -> None:
    prompt = JOBS[name][0]
    chat = FixedChat('<think>hm</think>{"made": "by the model"}')
    body = {"model": "library", "messages": user(prompt), "stream": False}
    with serving(indexes, chat=chat) as url:
        ollama = post(url, "/api/chat", body).json()
        openai = post(url, "/v1/chat/completions", body).json()

    assert [m.content for m in chat.requests[0].messages] == [prompt]
    assert ollama["message"]["content"] == '{"made": "by the model"}'
    assert openai["choices"][0]["message"]["content"] == '{"made": "by the model"}'
    assert (ollama["done_reason"], ollama["eval_count"]) == ("stop", 7)
    assert "ragkit" not in ollama


def test_a_job_in_a_history_is_none_and_a_question_after_it_is_answered(indexes: Path) -> None:
    chat = FixedChat("The fee is five dollars a day [1].")
    messages = [*user(JOBS["title"][0]), {"role": "assistant", "content": "{}"}, *user("The fee?")]
    with serving(indexes, chat=chat) as url:
        body = {"model": "library", "messages": messages, "stream": False}
        assert "ragkit" in post(url, "/api/chat", body).json()
