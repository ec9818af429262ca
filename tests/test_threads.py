"""One pipeline in many threads and tasks; what is cancelled stops."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from fixed_chat import FixedChat
from hash_embedder import HashEmbedder
from ollama_double.server import OllamaServer
from ollama_helpers import settings_for

from ragkit.async_pipeline import AsyncPipeline
from ragkit.config import Config
from ragkit.errors import InputError, ModelUnavailableError
from ragkit.pipeline import Pipeline
from ragkit.protocols import ChatDone, TextDelta
from ragkit.query import remembering
from ragkit.query.remembering import RememberingEmbedder
from ragkit.records import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ragkit.protocols import ChatRequest
    from ragkit.records import Hit

WORDS = Config().with_values({"models.embedder": "none", "models.chat": "none"})
FILES = {f"{n}.txt": f"Matter {n} costs {n} dollars a day.\n" for n in range(20)}


class EndlessChat:
    """Talks until it is stopped."""

    name, digest, context_tokens = "endless", "0", 4096

    def __init__(self) -> None:
        self.begun, self.stopped = threading.Event(), threading.Event()

    def chat(self, request: ChatRequest) -> Iterator[TextDelta | ChatDone]:
        assert request.messages
        try:
            while True:
                self.begun.set()
                yield TextDelta("word ")
                time.sleep(0.001)
        finally:
            self.stopped.set()


def test_eight_threads_share_a_pipeline_while_another_process_indexes(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    code = (
        "import sys\nfrom ragkit import Config, Pipeline\n"
        "config = Config().with_values({'models.embedder': 'none'})\n"
        "with Pipeline(sys.argv[1], config) as rag:\n"
        "    for n in range(15):\n        rag.add(f'Text {n} of the other.', id=f't{n}')\n"
        "    rag.index(sys.argv[2])\n"
    )
    more = write_files(tmp_path / "more", {"new.txt": "Something new."})
    with Pipeline(tmp_path / "index", WORDS) as rag:
        rag.index(docs)
        child = subprocess.Popen([sys.executable, "-c", code, str(rag.path), str(more)])

        def work(thread: int) -> list[str]:
            wrong = []
            while child.poll() is None or not rounds[thread]:
                rounds[thread] += 1
                n = (thread + rounds[thread]) % 20
                hit = rag.search(f"matter {n}", k=1)[0]
                answer = rag.ask(f"How many dollars a day does matter {n} cost?")
                if hit.path != f"{n}.txt" or f"{n} dollars" not in answer.text:
                    wrong.append(f"{n}: {hit.path}, {answer.text}")
                if len([d for d in rag.documents() if d.origin == "file"]) not in {20, 21}:
                    wrong.append("documents")
            return wrong

        rounds = [0] * 8
        with ThreadPoolExecutor(8) as pool:
            assert [wrong for found in pool.map(work, range(8)) for wrong in found] == []
        assert child.wait() == 0
        assert min(rounds) >= 1
        assert len(rag.documents()) == 36


def test_threads_that_open_and_write_take_turns(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    with Pipeline(tmp_path / "index", embedder=embedder) as rag:
        with ThreadPoolExecutor(8) as pool:
            reports = list(pool.map(lambda n: rag.add(f"Text {n}.", id=str(n)), range(8)))
        assert [report.added for report in reports] == [(str(n),) for n in range(8)]
        assert len(rag.documents()) == 8


def test_threads_that_ask_at_the_same_time_make_one_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[HashEmbedder] = []

    def stored(*_: object) -> HashEmbedder:
        time.sleep(0.05)
        made.append(HashEmbedder())
        return made[-1]

    monkeypatch.setattr("ragkit.models.choose.stored_embedder", stored)
    with Pipeline(tmp_path / "index", WORDS, embedder=HashEmbedder()) as rag:
        rag.add("A text.")
    with Pipeline(tmp_path / "index", WORDS) as rag, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: len(rag.search("a text")), range(8)))
    assert found == [1] * 8
    assert len(made) == 1


def test_what_is_remembered_is_bounded_in_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST_REMEMBERED", 8)
    memory: dict[tuple[str, str, str], Any] = {}
    embedder = RememberingEmbedder(HashEmbedder(), memory)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def ask(thread: int) -> None:
        for n in range(1500):
            embedder.embed_query(f"{thread} {n}")

    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
    finally:
        sys.setswitchinterval(before)
    assert len(memory) == 8


def test_the_verbs_are_those_of_the_pipeline() -> None:
    def verbs(kind: type) -> set[str]:
        return {name for name, value in vars(kind).items() if name[0] != "_" and callable(value)}

    assert verbs(Pipeline) == verbs(AsyncPipeline) - {"run", "stream_from"}
    for name in verbs(Pipeline) - {"close"}:
        ours, theirs = getattr(AsyncPipeline, name), getattr(Pipeline, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )


def test_async_verbs_do_what_the_pipeline_does(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    chat = FixedChat("Matter 3 costs 3 dollars a day [1].")

    async def main() -> None:
        pipeline = Pipeline(tmp_path / "index", WORDS, chat=chat)
        seen: list[Any] = []
        async with AsyncPipeline(pipeline) as rag:
            report = await rag.index(docs, on_progress=seen.append)
            await rag.add("A text.", id="t")
            found = await asyncio.gather(*(rag.search(f"matter {n}", k=1) for n in range(20)))
            answer = await rag.ask("How many dollars a day does matter 3 cost?")
            events = [event async for event in rag.stream("How many dollars does matter 3 cost?")]
            talk = rag.chat()
            turn = await talk.ask("How many dollars a day does matter 3 cost?")
            streamed = [event async for event in talk.stream("How many dollars is matter 3?")]
            deleted = await rag.delete("t")
            with pytest.raises(InputError):
                await rag.ask("")
            with pytest.raises(InputError):
                _ = [event async for event in rag.stream("")]
            assert "AsyncPipeline(" in repr(rag)
        assert len(report.added) == len(seen) == 20
        assert [hits[0].path for hits in found] == [f"{n}.txt" for n in range(20)]
        assert answer.text == turn.text == "Matter 3 costs 3 dollars a day [1]."
        assert isinstance(events[-1], Answer)
        assert isinstance(streamed[-1], Answer)
        assert len(talk.conversation.turns) == 2
        assert deleted == ("t",)

    asyncio.run(main())


def test_searches_by_words_are_done_in_their_order_by_one_thread(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    used, done = set[int](), list[int]()
    config = WORDS.with_values({"search.mode": "keyword"})

    async def main() -> None:
        pipeline = Pipeline(
            tmp_path / "index", config, on_event=lambda _: used.add(threading.get_ident())
        )
        async with AsyncPipeline(pipeline) as rag:
            await rag.index(docs)
            used.clear()

            async def search(number: int) -> None:
                hits = await rag.search(f"matter {number}", k=1)
                assert hits[0].path == f"{number}.txt"
                done.append(number)

            await asyncio.gather(*map(search, range(20)))

    asyncio.run(main())
    assert done == list(range(20))
    assert len(used) == 1


def test_a_search_that_waits_for_a_model_holds_no_other_up(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    together = threading.Barrier(2)  # broken unless two are at work at once

    class Patient:
        def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:  # noqa: ARG002 -- a reranker's
            together.wait(timeout=5)
            return list(hits)

    async def main() -> None:
        config = WORDS.with_values({"search.mode": "keyword"})
        pipeline = Pipeline(tmp_path / "index", config, reranker=Patient())
        async with AsyncPipeline(pipeline) as rag:
            await rag.index(docs)
            found = await asyncio.gather(*(rag.search(f"matter {n}", k=1) for n in (3, 4)))
            assert [hits[0].path for hits in found] == ["3.txt", "4.txt"]

    asyncio.run(main())


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("verb", ["ask", "stream"])
def test_a_cancelled_task_stops_the_model(tmp_path: Path, verb: str, strict: bool) -> None:  # noqa: FBT001 -- a parameter
    chat = EndlessChat()

    async def main() -> None:
        config = WORDS.with_values({"answer.strict": strict})
        async with AsyncPipeline(Pipeline(tmp_path / "index", config, chat=chat)) as rag:
            await rag.add("Matter 3 costs 3 dollars a day.")

            async def ask() -> None:
                question = "How many dollars a day does matter 3 cost?"
                if verb == "ask":
                    await rag.ask(question)
                else:
                    async for _ in rag.stream(question):
                        pass

            task = asyncio.create_task(ask())
            assert await asyncio.to_thread(chat.begun.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(chat.stopped.wait, 30)
            assert len(await rag.search("matter")) == 1

    asyncio.run(main())


def test_leaving_a_stream_early_and_closing_stop_the_model(tmp_path: Path) -> None:
    first, second = EndlessChat(), EndlessChat()

    async def main() -> None:
        rag = AsyncPipeline(Pipeline(tmp_path / "index", WORDS, chat=first))
        await rag.add("Matter 3 costs 3 dollars a day.")
        events = rag.stream("How many dollars a day does matter 3 cost?")
        assert isinstance(await anext(events), TextDelta)
        await events.aclose()
        assert await asyncio.to_thread(first.stopped.wait, 30)
        await rag.close()

        rag = AsyncPipeline(Pipeline(tmp_path / "index", WORDS, chat=second))
        task = asyncio.create_task(rag.ask("How many dollars a day does matter 3 cost?"))
        assert await asyncio.to_thread(second.begun.wait, 30)
        await rag.close()
        assert second.stopped.is_set()
        with pytest.raises(asyncio.CancelledError):
            await task

        third = EndlessChat()
        rag = AsyncPipeline(Pipeline(tmp_path / "index", WORDS, chat=third))
        events = rag.stream("How many dollars a day does matter 3 cost?")
        assert isinstance(await anext(events), TextDelta)
        await rag.close()
        with pytest.raises(asyncio.CancelledError):
            _ = [event async for event in events]
        assert third.stopped.is_set()

    asyncio.run(main())


def test_a_cancelled_ingest_keeps_what_it_read_and_frees_the_index(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    reached, go_on = threading.Event(), threading.Event()

    def on_progress(progress: Any) -> None:
        if progress.files_done == 5:
            reached.set()
            go_on.wait(30)

    async def main() -> None:
        async with AsyncPipeline(Pipeline(tmp_path / "index", WORDS)) as rag:
            task = asyncio.create_task(rag.index(docs, on_progress=on_progress))
            await asyncio.to_thread(reached.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
        async with AsyncPipeline(Pipeline(tmp_path / "index", WORDS)) as rag:
            report = await rag.index(docs)
            assert 5 <= len(report.unchanged) <= 6
            assert len(report.unchanged) + len(report.added) == 20

    asyncio.run(main())


def test_a_model_that_vanishes_between_two_calls_is_told_and_searches_go_on(
    tmp_path: Path,
) -> None:
    question = "How many dollars a day does matter 3 cost?"
    with OllamaServer() as server:
        config = settings_for(server).with_values({"models.embedder": "none", "models.retries": 0})
        rag = Pipeline(tmp_path / "index", config)
        rag.add("Matter 3 costs 3 dollars a day.", id="m")
        assert "3 dollars" in rag.ask(question).text
    with rag:
        with pytest.raises(ModelUnavailableError):
            rag.ask(question)
        assert [hit.path for hit in rag.search("matter 3")] == ["m"]
        assert rag.add("Matter 4 costs 4 dollars.").added != ()
