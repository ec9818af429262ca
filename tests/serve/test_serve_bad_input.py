"""Bad requests to every interface: each is told with a status and a message, and nothing is lost.

Hosts and origins are test_serve_guard.py's; names of files, two of one name and a full disk
test_serve_jobs.py's; an index that is rebuilt under a stream test_serve_operation.py's.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from fixed_chat import FixedChat
from served import (
    QUESTION,
    BrokenChat,
    SlowChat,
    lines,
    make_index,
    post,
    server_sent,
    serving,
    user,
)

from ragkit import Config, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = "/ragkit/v1"
JSON = {"Content-Type": "application/json"}
ASKING: dict[str, dict[str, Any]] = {
    "/api/chat": {"model": "library", "messages": user(QUESTION)},
    "/api/generate": {"model": "library", "prompt": QUESTION},
    "/v1/chat/completions": {"model": "library", "messages": user(QUESTION), "stream": True},
    f"{OWN}/ask": {"question": QUESTION, "index": "library"},
    f"{OWN}/chat": {"messages": user(QUESTION), "index": "library"},
}
OTHERS: dict[str, dict[str, Any]] = {
    "/api/show": {"model": "library"},
    "/api/embed": {"model": "library", "input": "x"},
    "/api/embeddings": {"model": "library", "prompt": "x"},
    "/v1/embeddings": {"model": "library", "input": "x"},
    f"{OWN}/search": {"question": QUESTION, "index": "library"},
    f"{OWN}/verify": {"answer": {}, "index": "library"},
    f"{OWN}/why-not": {"question": QUESTION, "path": "fees.md", "index": "library"},
    f"{OWN}/jobs": {"index": "library"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "indexes"
    make_index(folder / "library").close()
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serving(folder, "library", chat=FixedChat("x [1]."), allow_index=True) as address:
        yield address


@pytest.fixture(autouse=True)
def nothing_is_lost(folder: Path) -> Iterator[None]:
    """The index holds after the test what it held before."""

    def held() -> str:
        with Pipeline(folder / "library", Config()) as rag:
            contents = [rag.store.content(d.doc_id) for d in rag.documents()]
            assert list(rag.store.check(quick=True)) == []
            told = [(c[0].path, c[0].text) for c in contents if c] + [rag.stats().generation]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    before = held()
    yield
    assert held() == before


def message(reply: requests.Response) -> str:
    """What an error says, in the shape of any of the interfaces."""
    told = reply.json()["error"]
    return str(told if isinstance(told, str) else told["message"])


@pytest.mark.parametrize("path", [*ASKING, *OTHERS])
def test_what_is_no_json_object(url: str, path: str) -> None:
    for body in (b"{", b"[]", b'"x"', b"{}}", b'{"a": \xff}', b"[" * 5000, b'{"a": NaN}', b" "):
        reply = requests.post(url + path, data=body, headers=JSON, timeout=10)

        assert reply.status_code == 400, body
        assert message(reply)


@pytest.mark.parametrize("path", [*ASKING, *OTHERS])
def test_an_index_that_is_not_there(url: str, path: str) -> None:
    body = json.loads(json.dumps({**ASKING, **OTHERS}[path]).replace("library", "nobody"))
    if path.endswith("/verify"):
        body["answer"] = post(url, f"{OWN}/ask", ASKING[f"{OWN}/ask"] | {"stream": False}).json()
    reply = post(url, path, body)

    assert reply.status_code == 404
    assert "nobody" in message(reply)


@pytest.mark.parametrize("path", ["documents", "passages", "page-picture", "page-marks"])
def test_an_index_that_is_not_there_is_not_read(url: str, path: str) -> None:
    parameters = {"index": "nobody", "doc_id": "x", "page": "1"}
    reply = requests.get(f"{url}{OWN}/{path}", params=parameters, timeout=10)

    assert (reply.status_code, "nobody" in message(reply)) == (404, True)


@pytest.mark.parametrize("path", ASKING)
@pytest.mark.parametrize("is_told", [True, False])
def test_a_prompt_of_10_mb(url: str, path: str, *, is_told: bool) -> None:
    much = json.dumps(ASKING[path]).replace(QUESTION, "x" * 10_000_000).encode()
    body: Any = (
        much if is_told else iter([much[i : i + 65_536] for i in range(0, len(much), 65_536)])
    )
    try:
        reply = requests.post(url + path, data=body, headers=JSON, timeout=30)
    except requests.ConnectionError:  # it was refused, and the rest not taken
        assert requests.get(url + "/health", timeout=5).status_code == 200
        return

    assert (reply.status_code, "4,000,000 bytes" in message(reply)) == (413, True)


@pytest.mark.parametrize("path", [path for path, body in ASKING.items() if "messages" in body])
def test_a_thousand_messages(url: str, path: str) -> None:
    turn = [*user("x"), {"role": "assistant", "content": "y"}]
    reply = post(url, path, ASKING[path] | {"messages": turn * 500})

    assert reply.status_code == 400
    assert "has 1000 messages, and this server takes 500" in message(reply)


def test_a_thousand_turns(url: str) -> None:
    turns = [{"question": "x", "text": "y"}] * 1000
    reply = post(url, f"{OWN}/ask", {"question": "x", "turns": turns})

    assert (reply.status_code, "serve.max_messages" in message(reply)) == (400, True)


@pytest.mark.parametrize("path", ASKING)
def test_a_chat_model_that_goes_before_its_first_word(folder: Path, path: str) -> None:
    with serving(folder, chat=BrokenChat("")) as url:
        reply = post(url, path, ASKING[path])

    assert (reply.status_code, message(reply)) == (503, "the model went away")


@pytest.mark.parametrize("path", ASKING)
def test_a_chat_model_that_goes_in_the_middle(folder: Path, path: str) -> None:
    with serving(folder, chat=BrokenChat("The fee is five dollars a day, they say, and ")) as url:
        reply = post(url, path, ASKING[path])
        assert post(url, f"{OWN}/search", ASKING[f"{OWN}/ask"]).status_code == 200

    assert reply.status_code == 200
    if path.startswith("/api"):
        assert lines(reply)[-1] == {"error": "the model went away"}
    elif path.startswith("/v1"):
        last = json.loads(reply.text.strip().split("\n\n")[-1].removeprefix("data: "))
        assert last["error"]["message"] == "the model went away"
        assert "[DONE]" not in reply.text
    else:
        name, told = server_sent(reply)[-1]
        assert (name, told["type"]) == ("error", "ModelUnavailableError")


@pytest.mark.parametrize("path", ASKING)
def test_a_client_that_goes_in_the_middle(folder: Path, path: str) -> None:
    chat = SlowChat()
    with serving(folder, chat=chat, serve__max_asks=1) as url:
        with requests.post(url + path, json=ASKING[path], stream=True, timeout=10) as reply:
            next(reply.iter_content(None))
        assert chat.stopped.wait(20)
        whole = {"question": QUESTION, "index": "library", "stream": False, "extractive": True}
        for _ in range(50):
            again = post(url, f"{OWN}/ask", whole)
            if again.status_code != 429:
                break

    assert again.status_code == 200  # the place of the one that went is free


@pytest.mark.parametrize("path", ["passages", "page-picture", "page-marks"])
def test_a_document_that_is_a_path(url: str, path: str) -> None:
    for doc_id in ("../../../etc/passwd", "/etc/passwd", "%00", "x" * 5000, "%ff%fe", ""):
        address = f"{url}{OWN}/{path}?index=library&page=1&doc_id={doc_id}"
        reply = requests.get(address, timeout=10)

        assert (reply.status_code, "root:" in reply.text) == (400, False)
        assert message(reply)
