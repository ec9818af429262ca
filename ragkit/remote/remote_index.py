"""RemoteIndex: the reading verbs of `Pipeline` over an index that a server has."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ragkit.decoding import from_json
from ragkit.errors import IndexNotFoundError, ServerError
from ragkit.protocols import QuotedDelta, TextDelta, ThinkingDelta
from ragkit.records import NO_FILTER, Answer, DocumentInfo, Filter, Hit, to_json
from ragkit.remote.server_connection import ServerConnection
from ragkit.remote.server_errors import as_error

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ragkit.query.answer import AnswerEvent
    from ragkit.query.why_not import WhyNot
    from ragkit.verify.answers import Verification

T = TypeVar("T")

_DEFAULT = "http://127.0.0.1:11435"
_PATIENCE_S = 300.0


def connect(
    url: str = _DEFAULT,
    index: str = "",
    *,
    token: str | None = None,
    timeout_s: float = _PATIENCE_S,
) -> RemoteIndex:
    """Open an index of a server that `ragkit serve` runs.

    Args:
        url: The server's address.
        index: The index's name; empty: the only one that is served.
        token: That the server wants; None: what ``RAGKIT_TOKEN`` holds, which is sent over https
            or to this machine alone.
        timeout_s: The longest wait for the next piece of a reply.

    Raises:
        ServerError: Nothing answers there, or no server of ragkit, or the token is wrong.
        IndexNotFoundError: The server has no such index, or more than one and none is named.
        ConfigError: The address or the token cannot be used.
    """
    connection = ServerConnection(url, token=token, timeout_s=timeout_s)
    try:
        names = tuple(connection.read("/info").get("indexes", ()))
        return RemoteIndex(connection, _chosen(index, names, connection.address))
    except BaseException:
        connection.close()
        raise


class RemoteIndex:
    """An index of a server: the verbs of `Pipeline` that read, with their arguments and errors.

    Usage::

        with ragkit.connect("http://127.0.0.1:11435", "handbook") as rag:
            print(rag.ask("How long is the notice period?").text)

    Which models answer, and how many passages are found where `k` is None, is the server's to
    say. Safe in several threads. `connect` makes one.

    Args:
        connection: To the server; closed with this.
        name: Of the index.
    """

    def __init__(self, connection: ServerConnection, name: str) -> None:
        self.name = name
        self._server = connection

    def __repr__(self) -> str:
        """Which index of which server it is."""
        return f"RemoteIndex({self.name!r} at {self._server.address})"

    def search(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | None = None,
    ) -> list[Hit]:
        """Find the chunks that speak about a question, best first; see `Pipeline.search`."""
        body = {**self._body(question, k, restrict), "as_of": as_of}
        return [_record(Hit, hit) for hit in self._server.send("/search", body)["hits"]]

    def ask(self, question: str, *, k: int | None = None, restrict: Filter = NO_FILTER) -> Answer:
        """Answer a question from the documents; see `Pipeline.ask`."""
        body = {**self._body(question, k, restrict), "stream": False}
        return _record(Answer, self._server.send("/ask", body))

    def stream(
        self, question: str, *, k: int | None = None, restrict: Filter = NO_FILTER
    ) -> Generator[AnswerEvent, None, None]:
        """Answer a question, giving the text as it comes; the last event is the `Answer`.

        Closing the iterator stops the model.
        """
        return self._streamed(self._body(question, k, restrict))

    def chat(
        self, *, system: str = "", k: int | None = None, restrict: Filter = NO_FILTER
    ) -> RemoteConversation:
        """Begin a conversation, in which questions may refer to those before them.

        Args:
            system: Instructions for the chat model, within ragkit's rules and the server's.
            k: Most hits a question; the server's number if None.
            restrict: Which documents may be found.
        """
        return RemoteConversation(self, {**self._body("", k, restrict), "system": system})

    def verify(self, answer: Answer) -> Verification:
        """Check an answer again, without a model: against the server's index and files."""
        from ragkit.verify.answers import Verification

        body = {"index": self.name, "answer": to_json(answer)}
        found = self._server.send("/verify", body)
        return _record(Verification, {key: found[key] for key in ("sentences", "citations")})

    def why_not(
        self,
        question: str,
        path: str,
        *,
        page: int | None = None,
        text: str = "",
        restrict: Filter = NO_FILTER,
        answer: bool = False,
    ) -> WhyNot:
        """Tell at which stage a passage that should answer was lost; see `Pipeline.why_not`."""
        from ragkit.query.why_not import WhyNot

        body = {
            "question": question,
            "index": self.name,
            "path": path,
            "page": page,
            "text": text,
            "restrict": to_json(restrict),
            "answer": answer,
        }
        return _record(WhyNot, self._server.send("/why-not", body))

    def documents(self) -> list[DocumentInfo]:
        """The documents of the index, by path; what only a later run must know is left out."""
        found = self._server.read("/documents", {"index": self.name})["documents"]
        return [_record(DocumentInfo, _without(each, "state")) for each in found]

    def close(self) -> None:
        """Close the connections to the server."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _body(self, question: str, k: int | None, restrict: Filter) -> dict[str, Any]:
        return {"question": question, "index": self.name, "k": k, "restrict": to_json(restrict)}

    def _streamed(self, body: Mapping[str, Any]) -> Generator[AnswerEvent, None, None]:
        with closing(self._server.events("/ask", body)) as events:
            for name, value in events:
                event = _event(name, value)
                yield event
                if isinstance(event, Answer):
                    return
        msg = f"the answer of {self._server.address} broke off: it has no end"
        raise ServerError(msg)


class RemoteConversation:
    """Questions and answers over a server's index, oldest first; for one thread.

    The turns are kept here and sent with each question. An answer that is stopped or fails leaves
    no turn.

    Args:
        index: That is asked.
        body: What is sent with each question.
    """

    def __init__(self, index: RemoteIndex, body: Mapping[str, Any]) -> None:
        self._index, self._body = index, body
        self._turns: list[Answer] = []

    @property
    def turns(self) -> tuple[Answer, ...]:
        """What was asked and answered, oldest first."""
        return tuple(self._turns)

    def ask(self, text: str) -> Answer:
        """Answer a question in the light of the turns before it."""
        for event in self.stream(text):
            if isinstance(event, Answer):
                return event
        msg = "the answer has no end"
        raise ServerError(msg)

    def stream(self, text: str) -> Generator[AnswerEvent, None, None]:
        """Answer a question, giving the text as it comes; the last event is the `Answer`."""
        turns = [{"question": turn.question, "text": turn.text} for turn in self._turns]
        body = {**self._body, "question": text, "turns": turns}
        with closing(self._index._streamed(body)) as events:  # noqa: SLF001 -- of this module
            for event in events:
                if isinstance(event, Answer):
                    self._turns.append(event)
                yield event


def _chosen(index: str, names: tuple[str, ...], address: str) -> str:
    if index in names or (not index and len(names) == 1):
        return index or names[0]
    there = f"it has {', '.join(names)}" if names else "it has none"
    what = f"has no index {index!r}" if index else "has more than one index, and none is named"
    msg = f"{address} {what if names or index else 'has no index'}; {there}"
    raise IndexNotFoundError(msg, address)


def _event(name: str, value: Any) -> AnswerEvent:  # noqa: ANN401 -- JSON
    if name == "answer":
        return _record(Answer, value)
    if name == "error":
        raise as_error(str(value.get("type")), str(value.get("message")))
    if name == "retract":
        return ThinkingDelta("", retracts=True)
    text = str(value.get("text", ""))
    if name == "thinking":
        return ThinkingDelta(text)
    return QuotedDelta(text, bool(value.get("closest"))) if value.get("quoted") else TextDelta(text)


def _record(kind: type[T], value: object) -> T:
    """A record of a reply.

    Raises:
        ServerError: It is none that this version of ragkit knows.
    """
    try:
        return from_json(kind, value)
    except ValueError as exc:
        msg = f"the server replied what this version of ragkit cannot read: {exc}"
        raise ServerError(msg) from exc


def _without(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key != name}
