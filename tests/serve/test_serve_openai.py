"""`ragkit serve` to clients of OpenAI's interface, over a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from commands import wait_until
from fixed_chat import FixedChat
from served import QUESTION, BrokenChat, SlowChat, post, serving, user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAID = "The fee is five dollars a day [1]."
PATH = "/v1/chat/completions"
BODY = {"model": "library", "messages": user(QUESTION)}


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes, chat=FixedChat(SAID)) as address:
        yield address


def chunks(reply: requests.Response) -> list[Any]:
    """The values of a stream; the last one must say that it is done."""
    found = [block.removeprefix("data: ") for block in reply.text.split("\n\n") if block]
    assert found.pop() == "[DONE]"
    return [json.loads(value) for value in found]


def test_indexes_are_models(url: str) -> None:
    listed = requests.get(url + "/v1/models", timeout=5).json()
    one = requests.get(url + "/v1/models/library", timeout=5).json()

    assert listed == {"object": "list", "data": [one]}
    assert (one["id"], one["object"], one["owned_by"]) == ("library", "model", "ragkit")
    assert one["created"] > 1_700_000_000


def test_a_whole_reply_has_text_sources_and_annotations(url: str) -> None:
    reply = post(url, PATH, BODY).json()
    (choice,) = reply["choices"]
    text = choice["message"]["content"]

    assert text.startswith(SAID + "\n\n**Sources**\n- [1] [fees.md](" + url + "/view?")
    assert choice["finish_reason"] == "stop"
    (annotation,) = choice["message"]["annotations"]
    place = annotation["url_citation"]
    assert text[place["start_index"] : place["end_index"]] == "[1]"
    assert (place["title"], place["url"].startswith(url + "/view?")) == ("fees.md", True)
    assert reply["usage"]["completion_tokens"] == 7
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + 7
    assert reply["ragkit"]["sentences"][0]["status"] == "quoted"


def test_a_stream_has_a_choice_in_each_chunk_and_ends_done(url: str) -> None:
    found = chunks(post(url, PATH, BODY | {"stream": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in found]

    assert deltas[0]["role"] == "assistant"
    text = "".join(delta.get("content", "") for delta in deltas)
    assert text == post(url, PATH, BODY).json()["choices"][0]["message"]["content"]
    (annotated,) = [delta["annotations"] for delta in deltas if "annotations" in delta]
    assert annotated[0]["type"] == "url_citation"
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in found]
    assert reasons == [None] * (len(found) - 1) + ["stop"]
    assert len({chunk["id"] for chunk in found}) == 1


def test_tokens_are_counted_at_the_end_for_those_who_ask(url: str) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *_, before, last = chunks(post(url, PATH, BODY | options))

    assert before["choices"][0]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 7


@pytest.mark.parametrize("by", ["setting", "header"])
def test_open_webui_gets_the_passage_as_its_event_and_no_second_chip(
    indexes: Path, by: str
) -> None:
    headers = {"X-OpenWebUI-Chat-Id": "7"} if by == "header" else {}
    with serving(indexes, chat=FixedChat(SAID), serve__open_webui_events=by == "setting") as url:
        found = chunks(post(url, PATH, BODY | {"stream": True}, headers=headers))

    assert not any("annotations" in chunk["choices"][0]["delta"] for chunk in found)
    (event,) = [chunk["event"] for chunk in found if "event" in chunk]
    assert event["type"] == "source"
    assert event["data"]["source"]["name"] == "fees.md"
    assert event["data"]["document"] == ["The fee is five dollars a day"]
    assert len(event["data"]["metadata"]) == 1


def test_without_a_model_each_mark_of_the_quotations_is_annotated(indexes: Path) -> None:
    with serving(indexes) as url:
        message = post(url, PATH, BODY).json()["choices"][0]["message"]

    text = message["content"]
    assert text.startswith("Closest passages (no chat model):")
    assert message["annotations"]
    for annotation in message["annotations"]:
        place = annotation["url_citation"]
        assert text[place["start_index"] : place["end_index"]].startswith("[")
        assert place["start_index"] < text.index("**Sources**")


def test_contents_in_parts_and_settings_are_understood(indexes: Path) -> None:
    chat = FixedChat(SAID)
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "the fee a day?"}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "user", "content": parts},
    ]
    with serving(indexes, chat=chat) as url:
        body = {"model": "library", "messages": messages, "temperature": 0.5, "max_tokens": 50}
        assert post(url, PATH, body).status_code == 200

    (request,) = chat.requests
    assert (request.temperature, request.num_predict) == (0.5, 50)
    assert request.messages[0].content.endswith("Within these rules: Be brief.")
    assert len(request.messages) == 2  # a question without a reply is no turn
    assert "What is\nthe fee a day?" in request.messages[-1].content


def test_a_model_that_fails_midway_ends_the_stream_with_an_error(indexes: Path) -> None:
    with serving(indexes, chat=BrokenChat("The fee is five dollars a day [1]. More")) as url:
        streamed = post(url, PATH, BODY | {"stream": True}).text
        whole = post(url, PATH, BODY)

    last = json.loads(streamed.rstrip().rpartition("data: ")[2])
    assert last["error"]["message"] == "the model went away"
    assert "[DONE]" not in streamed
    assert (whole.status_code, whole.json()["error"]["type"]) == (503, "api_error")


def test_a_client_that_goes_stops_the_model(indexes: Path) -> None:
    chat = SlowChat()
    with serving(indexes, chat=chat) as url:
        with post(url, PATH, BODY | {"stream": True}, stream=True) as reply:
            next(reply.iter_lines())
            assert chat.begun.wait(5)
        wait_until(chat.stopped.is_set, seconds=5)

        chat.stopped.clear()
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.post(url + PATH, json=BODY, timeout=0.5)  # waits for the whole reply
        wait_until(chat.stopped.is_set, seconds=5)
    assert len(chat.requests) == 2


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"model": "none", "messages": user("x")}, 404, "not_found_error"),
        ({"messages": user("x")}, 400, "invalid_request_error"),
        ({"model": "library", "messages": []}, 400, "invalid_request_error"),
        (
            {"model": "library", "messages": user("x"), "temperature": "hot"},
            400,
            "invalid_request_error",
        ),
    ],
)
def test_errors_have_the_shape_of_the_interface(
    url: str, body: dict[str, object], status: int, kind: str
) -> None:
    reply = post(url, PATH, body)

    assert (reply.status_code, reply.json()["error"]["type"]) == (status, kind)
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
