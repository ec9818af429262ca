"""AsyncPipeline: the verbs of `Pipeline` for programs that use asyncio, a thread behind each."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import CancelledError
from contextlib import aclosing, asynccontextmanager, closing
from copy import copy
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from ragkit.pipeline import Pipeline
from ragkit.records import NO_FILTER, Answer
from ragkit.store.locate import url_scheme
from ragkit.system import DaemonPool, StoppedError, check_stop, stopping_by

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Coroutine,
        Generator,
        Mapping,
    )
    from datetime import datetime

    from ragkit.query.answer import AnswerEvent
    from ragkit.query.conversation import Conversation
    from ragkit.records import Filter, Hit

P = ParamSpec("P")
R = TypeVar("R")

_THREADS = 8


def _awaited(
    verb: Callable[Concatenate[Pipeline, P], R],
) -> Callable[Concatenate[AsyncPipeline, P], Coroutine[Any, Any, R]]:
    """The same verb, to be awaited."""

    @wraps(verb)
    async def call(self: AsyncPipeline, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._threads.run(partial(verb, self.pipeline, *args, **kwargs))

    return call


def _stoppable(
    verb: Callable[Concatenate[Pipeline, P], R],
) -> Callable[Concatenate[AsyncPipeline, P], Coroutine[Any, Any, R]]:
    """The same verb, to be awaited, which a cancelled task stops where it tells its progress."""

    @wraps(verb)
    async def call(self: AsyncPipeline, /, *args: P.args, **kwargs: P.kwargs) -> R:
        told: Any = kwargs.get("on_progress")

        def on_progress(*progress: object) -> None:
            check_stop()
            if told is not None:
                told(*progress)

        kwargs["on_progress"] = on_progress
        return await self._threads.run(partial(verb, self.pipeline, *args, **kwargs))

    return call


class CallThreads:
    """Threads that call functions for tasks, and stop them when their task is cancelled."""

    def __init__(self, count: int) -> None:
        self._pool = DaemonPool(count)
        self._running: set[asyncio.Future[Any]] = set()
        self._stops: set[threading.Event] = set()

    @asynccontextmanager
    async def calling(self, function: Callable[[], R]) -> AsyncIterator[asyncio.Future[R]]:
        """Have a function called; it is asked to stop at the end of the block."""
        stop = threading.Event()

        def call() -> R:
            with stopping_by(stop):
                try:
                    check_stop()
                    return function()
                except StoppedError as exc:  # an event loop would take it for Ctrl-C
                    raise CancelledError from exc

        future = asyncio.wrap_future(self._pool.submit(call))
        self._running.add(future)
        self._stops.add(stop)
        future.add_done_callback(partial(self._ended, stop))
        try:
            yield future
        finally:
            stop.set()

    def _ended(self, stop: threading.Event, future: asyncio.Future[Any]) -> None:
        self._running.discard(future)
        self._stops.discard(stop)
        if not future.cancelled():
            future.exception()  # nobody may wait for it any more

    async def run(self, function: Callable[[], R]) -> R:
        """Call a function; cancelling the task asks it to stop and does not wait for that."""
        async with self.calling(function) as future:
            return await asyncio.shield(future)

    async def close(self) -> None:
        """Stop what runs, and wait for its end."""
        for stop in self._stops:
            stop.set()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._pool.close()


class AsyncPipeline:
    """A `Pipeline` whose verbs are awaited: each runs in a thread, beside the event loop.

    Usage::

        async with AsyncPipeline(Pipeline.open("handbook")) as rag:
            answer = await rag.ask("How long is the notice period?")
            async for event in rag.stream("Who may sign?"): ...

    The arguments, results and errors are those of `Pipeline`; what is passed as ``on_progress`` or
    ``on_event`` is called in the thread that works. Tasks may use one pipeline at the same time; of
    those that write, all but one get an `IndexLockedError`, as with processes.

    A task that is cancelled ends at once. Its chat model is stopped at its next word, and an
    ingest after its next file: what was read is kept, as after Ctrl-C. A search runs to its end,
    unheard.

    Args:
        pipeline: Closed with this one.
        threads: How many calls may run at the same time; others wait. Searches by words in an
            index of this machine run one at a time, in their order.
    """

    def __init__(self, pipeline: Pipeline, *, threads: int = _THREADS) -> None:
        self.pipeline = pipeline
        self._threads = CallThreads(threads)
        self._by_words = CallThreads(1)

    def __repr__(self) -> str:
        """As its pipeline's."""
        return f"Async{self.pipeline!r}"

    index = _stoppable(Pipeline.index)
    add = _stoppable(Pipeline.add)
    get = _awaited(Pipeline.get)
    delete = _awaited(Pipeline.delete)
    rebuild = _stoppable(Pipeline.rebuild)
    accept = _awaited(Pipeline.accept)
    remove = _awaited(Pipeline.remove)
    erase = _stoppable(Pipeline.erase)
    move = _awaited(Pipeline.move)
    compact = _stoppable(Pipeline.compact)
    backup = _stoppable(Pipeline.backup)
    ask = _awaited(Pipeline.ask)
    why_not = _awaited(Pipeline.why_not)
    verify = _awaited(Pipeline.verify)
    documents = _awaited(Pipeline.documents)
    log = _awaited(Pipeline.log)
    diff = _awaited(Pipeline.diff)
    stats = _awaited(Pipeline.stats)

    def with_settings(self, values: Mapping[str, Any]) -> Self:
        """The same index, models and threads under other settings; see `Pipeline.with_settings`."""
        other = copy(self)
        other.pipeline = self.pipeline.with_settings(values)
        return other

    async def search(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | datetime | None = None,
    ) -> list[Hit]:
        """Find the chunks that speak about a question; see `Pipeline.search`."""
        verb = partial(self.pipeline.search, question, k=k, restrict=restrict, as_of=as_of)
        threads = self._by_words if self._only_reads_words() else self._threads
        return await threads.run(verb)

    def _only_reads_words(self) -> bool:
        """Whether a search waits for no model and no cluster.

        An index in a folder does one search after another. A single thread does them in the order
        in which they came and for the least processor time: several would wait for each other, and
        some for much longer than others.
        """
        settings, models = self.pipeline.config.search, self.pipeline.models
        is_reranked = settings.rerank or models.given_reranker is not None
        is_local = not url_scheme(self.pipeline.location)
        return settings.mode == "keyword" and is_local and not is_reranked

    async def run(self, function: Callable[[Pipeline], R]) -> R:
        """Call a function with the pipeline in one of its threads."""
        return await self._threads.run(partial(function, self.pipeline))

    async def stream(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | datetime | None = None,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Answer a question, giving the text as it comes; the last event is the `Answer`."""

        def begin() -> Generator[AnswerEvent, None, None]:
            return self.pipeline.stream(question, k=k, restrict=restrict, as_of=as_of)

        async with aclosing(streamed(self._threads, begin)) as events:
            async for event in events:
                yield event

    async def stream_from(
        self, begin: Callable[[Pipeline], Generator[R, None, None]]
    ) -> AsyncGenerator[R, None]:
        """What a generator over the pipeline gives, from one of its threads.

        Closing this closes it, at its next value.
        """
        async with aclosing(streamed(self._threads, partial(begin, self.pipeline))) as events:
            async for event in events:
                yield event

    def chat(
        self, *, system: str | None = None, k: int | None = None, restrict: Filter = NO_FILTER
    ) -> AsyncConversation:
        """Begin a conversation; see `Pipeline.chat`."""
        conversation = self.pipeline.chat(system=system, k=k, restrict=restrict)
        return AsyncConversation(conversation, self._threads)

    async def close(self) -> None:
        """Stop what runs, wait for its end, and release the index's files."""
        await asyncio.gather(self._threads.close(), self._by_words.close())
        self.pipeline.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncConversation:
    """A conversation whose turns are awaited, one after the other.

    Args:
        conversation: Has the turns, and what else may be done with them.
        threads: Of its pipeline.
    """

    def __init__(self, conversation: Conversation, threads: CallThreads) -> None:
        self.conversation = conversation
        self._threads = threads

    async def ask(self, text: str) -> Answer:
        """Answer a question in the light of the turns before it."""
        return await self._threads.run(partial(self.conversation.ask, text))

    async def stream(self, text: str) -> AsyncGenerator[AnswerEvent, None]:
        """Answer a question, giving the text as it comes; the last event is the `Answer`."""
        begin = partial(self.conversation.stream, text)
        async with aclosing(streamed(self._threads, begin)) as events:
            async for event in events:
                yield event


async def streamed(
    threads: CallThreads, begin: Callable[[], Generator[R, None, None]]
) -> AsyncGenerator[R, None]:
    """The events of a stream that runs in a thread; closing it stops the model.

    Each waking of the event loop costs it several turns at Python's lock, where other threads
    compute. So one waking brings all events that are there, and an `Answer` comes with the end.
    """
    loop, has_come = asyncio.get_running_loop(), asyncio.Event()
    made: deque[R] = deque()

    def work() -> None:
        with closing(begin()) as events:
            for event in events:
                check_stop()
                made.append(event)
                if len(made) == 1 and not isinstance(event, Answer):
                    loop.call_soon_threadsafe(has_come.set)

    async with threads.calling(work) as future:
        future.add_done_callback(lambda _: has_come.set())
        is_over = False
        while not is_over:
            await has_come.wait()
            has_come.clear()
            is_over = future.done()
            while made:
                yield made.popleft()
        future.result()  # raises what ended the work
