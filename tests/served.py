"""A server over real sockets, in a thread of the test, and the questions it is asked."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from fixed_chat import FixedChat
from hash_embedder import HashEmbedder

from ragkit.config import Config
from ragkit.errors import ModelUnavailableError
from ragkit.pipeline import Pipeline
from ragkit.protocols import ChatDone, TextDelta
from ragkit.serve.application import make_application
from ragkit.serve.registry import IndexRegistry
from ragkit.serve.server import address_of, bind, guard_rules, make_server
from ragkit.serve.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ragkit.protocols import ChatModel, ChatRequest, Embedder, Vectors
    from ragkit.serve.index_watch import IndexWatch

FILES = {
    "fees.md": "# Fees\n\nThe fee is five dollars a day.\n\nA lost card costs nine dollars.\n",
    "hours.md": "# Hours\n\nThe library opens at eight o'clock and closes at six.\n",
}
NO_MODELS = {"models.embedder": "none", "models.chat": "none"}
QUESTION = "What is the fee a day?"
UPLOADS = "/ragkit/v1/uploads/"
BYTES = {"Content-Type": "application/octet-stream"}


class SlowChat(FixedChat):
    """Says a word each few milliseconds, and remembers whether it was stopped."""

    def __init__(self, words: int = 400, pause_s: float = 0.02) -> None:
        super().__init__()
        self.words, self.pause_s = words, pause_s
        self.begun, self.stopped = threading.Event(), threading.Event()

    def chat(self, request: ChatRequest) -> Iterator[TextDelta | ChatDone]:
        self.requests.append(request)
        try:
            for number in range(self.words):
                yield TextDelta(f"The fee is five dollars [1]. {number} ")
                self.begun.set()
                time.sleep(self.pause_s)
            yield ChatDone("stop")
        finally:
            self.stopped.set()


class SlowEmbedder(HashEmbedder):
    """Takes its time for each batch of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.begun.set()
        time.sleep(0.3)
        return super().embed_documents(texts)


class BrokenChat(FixedChat):
    """Says something, if anything, and then its server is gone."""

    def chat(self, request: ChatRequest) -> Iterator[TextDelta | ChatDone]:
        self.requests.append(request)
        yield from map(TextDelta, filter(None, [self.text]))
        msg = "the model went away"
        raise ModelUnavailableError(msg, self.name)


@contextmanager
def serving(
    indexes: Path,
    *named: str,
    chat: ChatModel | None = None,
    embedder: Embedder | None = None,
    token: str = "",
    mcp: bool = False,
    allow_index: bool = False,
    watch: Callable[[IndexRegistry], IndexWatch] | None = None,
    **values: Any,
) -> Iterator[str]:
    """A server of the indexes in a folder; gives its address.

    Args:
        indexes: The folder.
        named: Which of them; none: all.
        chat: Answers; None: extractive.
        embedder: Of the indexes.
        token: That requests must carry.
        mcp: Whether clients of MCP are served.
        allow_index: Whether clients may index.
        watch: Makes what keeps the indexes up to date.
        values: Settings, with ``__`` for the dot.
    """
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    base: dict[str, Any] = {"indexes": indexes, "serve.port": 0, "serve.stop_s": 1}
    if chat is None:
        base["models.chat"] = "none"
    config = Config().with_values(base | dotted)
    registry = IndexRegistry(
        config,
        named,
        make=lambda place, settings: Pipeline(place, settings, chat=chat, embedder=embedder),
    )
    served = Serving(registry, config.serve, allow_index=allow_index)
    rules = guard_rules(config.serve, token)
    app = make_application(served, rules, watch(registry) if watch else None, mcp=mcp)
    server = make_server(app, stop_s=config.serve.stop_s, on_stop=served.stop)
    bound = bind(config.serve)
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]), daemon=True)
    with bound:
        thread.start()
        try:
            yield address_of(bound)
        finally:
            server.should_exit = True
            thread.join(20)


def make_index(folder: Path, files: Any = FILES, embedder: Embedder | None = None) -> Pipeline:
    """An index of these files, which lie beside its folder; of words alone without an embedder."""
    from commands import write_files

    docs = write_files(folder.parent.parent / f"{folder.name}-files", files)
    rag = Pipeline(folder, Config().with_values(NO_MODELS), embedder=embedder)
    rag.index(docs)
    return rag


def post(url: str, path: str, body: Any, **options: Any) -> requests.Response:
    """Send a JSON body."""
    return requests.post(url + path, json=body, timeout=30, **options)


def lines(reply: requests.Response) -> list[dict[str, Any]]:
    """The objects of a reply of NDJSON."""
    return [json.loads(line) for line in reply.iter_lines() if line]


def server_sent(reply: requests.Response) -> list[tuple[str, Any]]:
    """The events of a reply, by name."""
    found: list[tuple[str, Any]] = []
    for block in reply.text.split("\n\n"):
        if block.startswith("event: "):
            name, _, data = block.removeprefix("event: ").partition("\ndata: ")
            found.append((name, json.loads(data)))
    return found


def user(text: str) -> list[dict[str, str]]:
    """The messages of a first question."""
    return [{"role": "user", "content": text}]


def contents(answered: Sequence[dict[str, Any]]) -> str:
    """The text of the lines of a chat."""
    return "".join(line["message"]["content"] for line in answered)


def send_file(url: str, name: str, content: Any, **parameters: str) -> requests.Response:
    """Send a file of an index, ``INDEX/NAME``; an iterable is sent without its length."""
    address = url + UPLOADS + name
    return requests.put(address, data=content, headers=BYTES, params=parameters, timeout=30)


@contextmanager
def half_sent(url: str, name: str, size: int = 50) -> Iterator[socket.socket]:
    """A file whose sender pauses in the middle, and goes at the end of the block."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as sock:
        sock.sendall(
            f"PUT {UPLOADS}{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n"
            "Content-Type: application/octet-stream\r\n\r\nhalf".encode()
        )
        yield sock


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
