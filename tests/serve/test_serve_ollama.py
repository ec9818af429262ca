"""`ragkit serve` to clients of Ollama, over a real socket."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from commands import wait_until
from fixed_chat import FixedChat
from served import QUESTION, BrokenChat, SlowChat, contents, lines, post, serving, user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAID = "The fee is five dollars a day [1]."


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes, chat=FixedChat(SAID)) as address:
        yield address


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_says_to_programs_that_ollama_runs(url: str, method: str) -> None:
    reply = requests.request(method, url + "/", timeout=5)

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.text == ("" if method == "HEAD" else "Ollama is running")


def test_the_root_is_a_page_to_a_browser_that_goes_there(url: str) -> None:
    shown = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
    fetched = {"Accept": "text/html", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}

    assert "<!doctype html>" in requests.get(url, headers=shown, timeout=5).text
    assert requests.get(url, headers=fetched, timeout=5).text == "Ollama is running"


def test_the_version_is_one_that_clients_can_take_apart(url: str) -> None:
    version = requests.get(url + "/api/version", timeout=5).json()["version"]

    assert all(part.isdigit() for part in version.split("."))


def test_an_index_is_listed_as_a_model_with_all_that_clients_read(url: str) -> None:
    (model,) = requests.get(url + "/api/tags", timeout=5).json()["models"]

    assert model["name"] == model["model"] == "library:latest"
    assert re.fullmatch(r"[0-9a-f]{64}", model["digest"])
    assert model["size"] > 0
    assert datetime.fromisoformat(model["modified_at"]).tzinfo is not None
    assert set(model["details"]) == {
        "parent_model", "format", "family", "families", "parameter_size", "quantization_level"
    }  # fmt: skip
    assert model["details"]["families"] == ["ragkit"]
    assert requests.get(url + "/api/ps", timeout=5).json() == {"models": []}


@pytest.mark.parametrize("field", ["model", "name"])
@pytest.mark.parametrize("name", ["library", "library:latest", "Library"])
def test_an_index_is_shown_by_either_field_and_any_case(url: str, field: str, name: str) -> None:
    shown = post(url, "/api/show", {field: name}).json()

    architecture = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{architecture}.context_length"] == 8192
    assert shown["capabilities"] == ["completion"]
    assert shown["parameters"] == ""


def test_a_streamed_chat_has_every_field_on_every_line(url: str) -> None:
    body = {"model": "library", "messages": user(QUESTION), "tools": [], "options": {}}
    reply = post(url, "/api/chat", body, stream=True)
    answered = lines(reply)

    assert reply.headers["content-type"] == "application/x-ndjson"
    for line in answered:
        assert {"model", "created_at", "message", "done"} <= line.keys()
        assert line["message"]["role"] == "assistant"
        assert line["model"] == "library"
    assert [line["done"] for line in answered] == [False] * (len(answered) - 1) + [True]
    last = answered[-1]
    assert last["done_reason"] == "stop"
    for name in ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"):
        assert last[name] > 0
    assert last["eval_count"] == 7


def test_the_sources_are_in_the_text_and_whole_on_the_last_line(url: str) -> None:
    body = {"model": "library", "messages": user(QUESTION)}
    answered = lines(post(url, "/api/chat", body, stream=True))
    text = contents(answered)

    assert text.startswith(SAID + "\n\n**Sources**\n- [1] [fees.md](" + url + "/view?")
    (source,) = answered[-1]["sources"]
    assert source["quote"] == "The fee is five dollars a day"
    assert answered[-1]["ragkit"]["sentences"][0]["status"] == "quoted"
    place = parse_qs(urlsplit(text.rpartition("](")[2].rstrip(")")).query)
    assert place["doc"] == [source["doc_id"]]
    assert place["start"] == [str(source["start"])]


def test_a_whole_reply_has_the_text_of_the_stream(url: str) -> None:
    body = {"model": "library", "messages": user(QUESTION)}
    streamed = contents(lines(post(url, "/api/chat", body, stream=True)))
    whole = post(url, "/api/chat", body | {"stream": False})

    assert whole.headers["content-type"] == "application/json"
    assert whole.json()["message"] == {"role": "assistant", "content": streamed}
    assert whole.json()["done"] is True


def test_without_a_chat_model_the_closest_passages_are_quoted(indexes: Path) -> None:
    with serving(indexes) as url:
        body = {"model": "library", "messages": user(QUESTION), "stream": False}
        text = post(url, "/api/chat", body).json()["message"]["content"]

    assert text.startswith("Closest passages (no chat model):")
    assert "The fee is five dollars a day." in text
    assert "**Sources**\n- [1] [fees.md](" in text


def test_earlier_turns_reach_the_model_without_our_list_and_prove_nothing(indexes: Path) -> None:
    chat = FixedChat(SAID)
    with serving(indexes, chat=chat) as url:
        body = {"model": "library", "messages": user(QUESTION), "stream": False}
        first = post(url, "/api/chat", body).json()["message"]
        invented = "The library is free on Mondays [1]."
        messages = [
            {"role": "system", "content": "Speak like a pirate."},
            *user(QUESTION), first,
            *user("When is it free?"), {"role": "assistant", "content": invented},
            {"role": "tool", "content": "noise"},
            *user("How much does a lost card cost?"),
        ]  # fmt: skip
        post(url, "/api/chat", body | {"messages": messages})

    sent = chat.requests[-1].messages
    assert [m.role for m in sent] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "Within these rules: Speak like a pirate." in sent[0].content
    assert sent[0].content.startswith("You answer questions from passages")
    assert "Sources" not in sent[2].content
    assert "free on Mondays" in sent[4].content
    assert "free on Mondays" not in sent[5].content
    assert "A lost card costs nine dollars." in sent[5].content


def test_options_set_temperature_seed_and_length_but_not_the_window(indexes: Path) -> None:
    chat = FixedChat(SAID)
    options = {"temperature": 0.7, "seed": 5, "num_predict": 99, "num_ctx": 512}
    with serving(indexes, chat=chat) as url:
        body = {"model": "library", "messages": user(QUESTION), "stream": False}
        assert post(url, "/api/chat", body | {"options": options}).status_code == 200
        assert post(url, "/api/chat", body).status_code == 200

    asked, plain = chat.requests
    assert (asked.temperature, asked.seed, asked.num_predict) == (0.7, 5, 99)
    assert asked.num_ctx == plain.num_ctx == 4096
    assert (plain.temperature, plain.seed, plain.num_predict) == (0.0, 0, 768)


def test_a_client_that_goes_stops_the_model(indexes: Path) -> None:
    chat = SlowChat()
    body = {"model": "library", "messages": user(QUESTION)}
    with serving(indexes, chat=chat, serve__max_asks=1) as url:
        with post(url, "/api/chat", body, stream=True) as reply:
            next(reply.iter_lines())
        wait_until(chat.stopped.is_set, seconds=5)
        stopped_after = chat.words

        chat.words = 1
        assert post(url, "/api/chat", body).status_code == 200  # the one place is free again
    assert stopped_after == 400


@pytest.mark.parametrize("verb", ["delete", "create", "copy", "push"])
def test_no_click_in_a_client_touches_an_index(url: str, indexes: Path, verb: str) -> None:
    method = "DELETE" if verb == "delete" else "POST"
    reply = requests.request(method, f"{url}/api/{verb}", json={"model": "library"}, timeout=5)

    assert reply.status_code == 403
    assert reply.json() == {"error": "ragkit indexes are not managed through this API"}
    assert (indexes / "library/catalog.db").is_file()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": "none", "messages": user("x")}, 404, "model 'none' not found"),
        ({"messages": user("x")}, 400, "model is required"),
        ({"model": "library", "messages": "x"}, 400, "messages must be a list"),
        ({"model": "library", "messages": [{"role": "tool"}]}, 400, "no message of a user"),
        ({"model": "library", "messages": user("x") * 1000}, 400, "has 1000 messages"),
        ({"model": "library", "messages": user(" ")}, 400, "question"),
        ({"model": "library", "messages": user("x"), "options": {"seed": "y"}}, 400, "number"),
        (
            {"model": "library", "messages": [{"role": "user", "content": "x", "images": ["aa"]}]},
            400,
            "image",
        ),
    ],
)
def test_what_cannot_be_answered_is_told(
    url: str, body: dict[str, object], status: int, said: str
) -> None:
    reply = post(url, "/api/chat", body)

    assert (reply.status_code, list(reply.json())) == (status, ["error"])
    assert said in reply.json()["error"]


def test_broken_json_is_told(url: str) -> None:
    headers = {"Content-Type": "application/json"}
    reply = requests.post(url + "/api/chat", data=b'{"model": ', headers=headers, timeout=5)

    assert reply.status_code == 400
    assert "no JSON" in reply.json()["error"]


@pytest.mark.parametrize(("keep_alive", "reason"), [(None, "load"), (0, "unload"), ("0", "unload")])
def test_a_request_without_a_question_loads_and_is_no_ask(
    url: str, keep_alive: object, reason: str
) -> None:
    body = {"model": "library", "keep_alive": keep_alive}
    generated = post(url, "/api/generate", body | {"prompt": ""}).json()
    chatted = post(url, "/api/chat", body | {"messages": []}).json()

    assert (generated["done"], generated["done_reason"], generated["response"]) == (
        True,
        reason,
        "",
    )
    assert (chatted["done_reason"], chatted["message"]["content"]) == (reason, "")


def test_generate_answers_a_prompt(url: str) -> None:
    body = {"model": "library:latest", "prompt": QUESTION}
    streamed = lines(post(url, "/api/generate", body, stream=True))
    whole = post(url, "/api/generate", body | {"stream": False}).json()

    for line in streamed:
        assert {"model", "created_at", "response", "done"} <= line.keys()
        assert "message" not in line
    text = "".join(line["response"] for line in streamed)
    assert text.startswith(SAID + "\n\n**Sources**")
    assert whole["response"] == text
    assert (streamed[-1]["done_reason"], streamed[-1]["context"]) == ("stop", [])
    code = post(url, "/api/generate", body | {"suffix": "}"})
    assert (code.status_code, code.json()["error"]) == (400, '"library" does not support insert')


def test_reasoning_is_told_to_those_who_ask_for_it(indexes: Path) -> None:
    thought = "<think>Five, it says.</think>" + SAID
    body = {"model": "library", "messages": user(QUESTION)}
    with serving(indexes, chat=FixedChat(thought)) as url:
        plain = lines(post(url, "/api/chat", body, stream=True))
        asked = lines(post(url, "/api/chat", body | {"think": True}, stream=True))
        whole = post(url, "/api/chat", body | {"think": True, "stream": False}).json()

    assert "Five" not in contents(plain)
    assert contents(asked) == contents(plain)
    thinking = "".join(line["message"].get("thinking", "") for line in asked)
    assert thinking == whole["message"]["thinking"] == "Five, it says."


def test_what_fails_before_the_first_byte_has_a_status(indexes: Path) -> None:
    body = {"model": "library", "messages": user(QUESTION)}
    with serving(indexes, chat=BrokenChat("")) as url:
        for stream in (True, False):
            reply = post(url, "/api/chat", body | {"stream": stream})
            assert (reply.status_code, reply.json()) == (503, {"error": "the model went away"})


def test_what_fails_after_it_is_the_last_line(indexes: Path) -> None:
    body = {"model": "library", "messages": user(QUESTION)}
    with serving(indexes, chat=BrokenChat("The fee is five dollars a day [1]. More")) as url:
        answered = lines(post(url, "/api/chat", body, stream=True))
        whole = post(url, "/api/chat", body | {"stream": False})

    assert answered[-1] == {"error": "the model went away"}
    assert contents(answered[:-1]).startswith("The fee is five dollars")
    assert not any(line["done"] for line in answered[:-1])
    assert whole.status_code == 503


def test_so_many_questions_at_once_and_no_more(indexes: Path) -> None:
    chat = SlowChat()
    body = {"model": "library", "messages": user(QUESTION)}
    with serving(indexes, chat=chat, serve__max_asks=1) as url:
        with post(url, "/api/chat", body, stream=True) as reply:
            coming = reply.iter_lines()  # one that is let go of closes the connection
            assert next(coming)
            refused = post(url, "/api/chat", body)
            found = requests.get(url + "/api/tags", timeout=5)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert "serve.max_asks" in refused.json()["error"]
        assert found.status_code == 200


def test_pull_of_an_index_is_done_at_once_and_of_others_is_not(url: str) -> None:
    there = lines(post(url, "/api/pull", {"name": "library"}))
    whole = post(url, "/api/pull", {"model": "library", "stream": False}).json()
    missing = post(url, "/api/pull", {"model": "llama3.2"})

    assert there == [whole] == [{"status": "success"}]
    assert missing.status_code == 404
