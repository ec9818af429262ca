"""What all routes share: the indexes, the limits, and the way of a question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ragkit.errors import IndexNotFoundError, InputError
from ragkit.protocols import ChatEvent
from ragkit.query.answer import AnswerEvent
from ragkit.records import NO_FILTER, Filter
from ragkit.serve.access_log import note_question
from ragkit.serve.task_prompts import do_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.types import Receive, Scope, Send

    from ragkit.config import ServeSettings
    from ragkit.serve.registry import IndexRegistry

ServedEvent: TypeAlias = AnswerEvent | ChatEvent
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
_RETRY_AFTER_S = 2
_LONGEST = "answer.reserve_tokens"


@dataclass(frozen=True, slots=True)
class ServedQuestion:
    """A question as it came, by whichever protocol.

    Attributes:
        text: In the words of its asker.
        turns: The questions and replies before it, oldest first.
        system: Sets tone and language, within ragkit's rules.
        settings: Of this question alone, by their dotted names.
        k: Most hits; the configured number if None.
        restrict: Which documents may be found.
        is_task: It is a chat client's own job, as `ragkit.serve.task_prompts` knows one.
    """

    text: str
    turns: tuple[tuple[str, str], ...] = ()
    system: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    k: int | None = None
    restrict: Filter = NO_FILTER
    is_task: bool = False


class Serving:
    """The indexes of a server and what it allows.

    Args:
        indexes: That are served.
        settings: Limits.
        allow_index: Whether clients may bring indexes up to date.
    """

    def __init__(
        self, indexes: IndexRegistry, settings: ServeSettings, *, allow_index: bool = False
    ) -> None:
        self.indexes, self.settings = indexes, settings
        self.allow_index = allow_index
        self._asked = 0
        self.is_stopping = False
        self._at_stop: list[Callable[[], None]] = []

    def at_stop(self, function: Callable[[], None]) -> None:
        """Have a function called as soon as the server is to stop, before answers have ended."""
        self._at_stop.append(function)

    def stop(self) -> None:
        """Tell all that the server is to stop: what would go on for long ends now."""
        if not self.is_stopping:
            self.is_stopping = True
            for function in self._at_stop:
                function()

    def find_model(self, name: str) -> str:
        """The index that a chat client's model stands for.

        Raises:
            InputError: No name is given.
            HTTPException: There is none of that name; 404.
        """
        if not name:
            msg = "model is required"
            raise InputError(msg)
        try:
            return self.indexes.find(name)
        except IndexNotFoundError as exc:
            raise HTTPException(404, f"model '{name}' not found") from exc

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One of the questions that are answered at the same time.

        Raises:
            HTTPException: So many are being answered already; 429.
        """
        if self._asked >= self.settings.max_asks:
            msg = f"{self._asked} questions are being answered (serve.max_asks): ask again soon"
            raise HTTPException(429, msg, {"Retry-After": str(_RETRY_AFTER_S)})
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1

    def _bounded(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """A question's settings; an answer may be made shorter, and not longer than the server's.

        Chat clients send the longest answer that their people ever want: kept free in the window,
        it would leave no room for passages.
        """
        wanted = values.get(_LONGEST)
        if wanted is None:
            return values
        return {**values, _LONGEST: min(wanted, self.indexes.config.answer.reserve_tokens)}

    async def answer(
        self, index: str, question: ServedQuestion
    ) -> AsyncGenerator[ServedEvent, None]:
        """Answer a question, giving the text as it comes; the last event is the `Answer`.

        A chat client's own job is no question: the bare chat model does it, and `ChatDone` is last.

        Closing the iterator stops the model. Errors come with the first event, as a rule.
        """
        note_question(question.text)
        with self.slot():
            async with self.indexes.using(index) as rag:
                values = self._bounded(question.settings)
                here = rag.with_settings(values) if values else rag
                if question.is_task:
                    job = partial(do_task, prompt=question.text, system=question.system)
                    async with aclosing(here.stream_from(job)) as done:
                        async for part in done:
                            yield part
                    return
                said = "\n".join(filter(None, (rag.pipeline.prompt, question.system)))
                talk = here.chat(system=said, k=question.k, restrict=question.restrict)
                talk.conversation.resume(question.turns)
                async with aclosing(talk.stream(question.text)) as events:
                    async for event in events:
                        yield event


class StreamedReply(Response):
    """A reply that is sent piece by piece; its pieces are closed however it ends.

    Args:
        pieces: What is sent.
        media_type: Its content type.
        status: Of HTTP.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], media_type: str, status: int = 200
    ) -> None:
        self._pieces = pieces
        super().__init__(status_code=status, media_type=media_type)
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the pieces as they come."""
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        async with aclosing(self._pieces) as pieces:
            await send(start)
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class Attended:
    """An endpoint whose work ends when its client goes: a model works for nobody else.

    Args:
        handler: Makes the reply to a request whose body has come.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, unless its client goes before the end."""
        request = Request(scope, receive)
        await request.body()  # what comes after it is the client's going
        work, has_gone = asyncio.current_task(), False

        async def watch() -> None:
            nonlocal has_gone
            while (await receive())["type"] != "http.disconnect":
                pass
            has_gone = True
            if work is not None:
                work.cancel()

        watching = asyncio.ensure_future(watch())
        try:
            reply = await self._handler(request)
            await reply(request.scope, request.receive, send)
        except asyncio.CancelledError:
            if not has_gone or (work is not None and work.uncancel()):  # somebody else ended it
                raise
        finally:
            watching.cancel()


async def begun(events: AsyncGenerator[ServedEvent, None]) -> AsyncGenerator[ServedEvent, None]:
    """The same events, the first of which has come: what fails at once has failed by then."""
    first = await anext(events)

    async def all_of_them() -> AsyncGenerator[ServedEvent, None]:
        async with aclosing(events):
            yield first
            async for event in events:
                yield event

    return all_of_them()
