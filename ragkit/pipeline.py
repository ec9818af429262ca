"""Pipeline: the stages wired to an index on disk and to models."""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ragkit.config import Config, load_config
from ragkit.errors import InputError, StoreError, shown_value
from ragkit.models.choose import Models
from ragkit.query.scope import QueryEngine, Scope
from ragkit.query.search import search
from ragkit.query.tracing import traced
from ragkit.records import NO_FILTER, Answer, Filter
from ragkit.store.locate import index_location, url_scheme
from ragkit.store.open import find_driver, index_exists, open_store, restore_store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from ragkit.ingest.load.formats import Format
    from ragkit.ingest.run import Progress
    from ragkit.ingest.update import IngestSetup, RebuildSource
    from ragkit.protocols import ChatModel, Embedder, Reranker, Splitter, StoreStats, VectorStore
    from ragkit.query.answer import AnswerEvent
    from ragkit.query.conversation import Conversation
    from ragkit.query.why_not import WhyNot
    from ragkit.records import (
        Compaction,
        Document,
        DocumentInfo,
        Erasure,
        Generation,
        Hit,
        IndexChanges,
        IndexReport,
        SourceRules,
        TraceEvent,
    )
    from ragkit.verify.answers import Verification


def _require_hooks(readers: object, splitter: object, prompt: object, on_event: object) -> None:
    """Refuse hooks that could not be used when their time comes.

    Raises:
        InputError: One is not what `Pipeline` says it is.
    """
    if not isinstance(readers, (list, tuple)) or not all(hasattr(r, "suffixes") for r in readers):
        wanted, given = (
            'readers are formats, as [Format("srt", (".srt",), read)]',
            readers,
        )
    elif splitter is not None and not isinstance(splitter, str) and not callable(splitter):
        wanted, given = "splitter is a function or its name", splitter
    elif not isinstance(prompt, str):
        wanted, given = "prompt is a text", prompt
    elif on_event is not None and not callable(on_event):
        wanted, given = "on_event is a function that takes a TraceEvent", on_event
    else:
        return
    msg = f"{wanted}, not {shown_value(given)}"
    raise InputError(msg)


class Pipeline:
    """One index with its models: the verbs of ragkit.

    Usage::

        with Pipeline.open("indexes/handbook") as rag:
            rag.index("corpora/handbook")
            print(rag.ask("How long is the notice period?").text)

    An index's folder is made by the first `index` or `add`; until then what reads it raises an
    `IndexNotFoundError`. Models are loaded when they are first needed.

    Args:
        path: The index folder; not needed with a `store`.
        config: Settings; the defaults if None.
        store: Used instead of the index at `path`; its owner closes it.
        embedder: Used instead of a configured one.
        chat: Used instead of a configured one.
        reranker: Orders what a search finds: the first ``search.rerank`` hits, or all that it
            returns if that is 0. If None, the chat model grades as many as are set.
        readers: Formats of the program's own, besides ragkit's and those of installed packages. One
            whose reader is named by its import path reads in a process of its own, under the
            limits of time and memory of `config.load`; a function that is given itself is called
            here, and nothing ends it if it hangs.
        splitter: Says where documents are cut, instead of ragkit's. One that is named, as
            ``package.module:function`` or by its entry point in ``ragkit.splitters``, is called
            in the process that reads, if there is one; a function that is given itself is called
            here. Neither has limits. An index does not remember it: give it whenever the index is
            brought up to date.
        prompt: Instructions for the chat model, e.g. "Address the reader formally." They stand
            behind ragkit's rules, by which an answer can be proved, and do not replace them.
        on_event: Told of each stage that ended, with its duration and counts; in the thread that
            runs it. What it raises ends the call.

    Raises:
        InputError: Neither a path nor a store is given, or an argument is not what it must be,
                e.g. a model's name or class where the model itself belongs.
        StoreError: No store is known for a URL of this scheme.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        config: Config | None = None,
        *,
        store: VectorStore | None = None,
        embedder: Embedder | None = None,
        chat: ChatModel | None = None,
        reranker: Reranker | None = None,
        readers: Sequence[Format] = (),
        splitter: Splitter | str | None = None,
        prompt: str = "",
        on_event: Callable[[TraceEvent], None] | None = None,
    ) -> None:
        if path is None or not str(path):
            if store is None:
                msg = 'a pipeline needs the path of an index, as in Pipeline("./handbook")'
                raise InputError(msg)
            path = Path(store.location)
        if config is not None and not isinstance(config, Config):
            msg = f"config is a ragkit.Config, as Config(search={{'k': 3}}), not {config!r:.60}"
            raise InputError(msg)
        _require_hooks(readers, splitter, prompt, on_event)
        find_driver(path)  # a URL that nothing opens is told at once
        self._location = path if url_scheme(path) else Path(path).expanduser()
        self.config = config or Config()
        self.models = Models(self.config.models, embedder=embedder, chat=chat, reranker=reranker)
        self.prompt = prompt
        self._readers, self._splitter, self._on_event = readers, splitter, on_event
        self._given_store = store
        self._store = store
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        """Which index it is and by which models, without asking any."""
        settings = self.config.models
        embedder = self.models.given_embedder
        named = {
            "embedder": embedder.name if embedder else settings.embedder,
            "chat": self.models.chat_name,
        }
        state = "" if self.exists else ", not made yet"
        try:
            stored = self.store.embedder if self.exists else {}
        except StoreError:
            stored, state = {}, ", cannot be opened"
        if embedder is None and stored:
            named["embedder"] = stored["name"]
        told = ", ".join(f"{key}={value!r}" for key, value in named.items())
        return f"Pipeline({str(self._location)!r}, {told}{state})"

    @property
    def path(self) -> Path:
        """The index folder; of an index that is named by a URL use `location`."""
        return Path(self._location)

    @property
    def location(self) -> str:
        """The index folder's path, or the index's URL."""
        return str(self._location)

    @classmethod
    def open(
        cls,
        index: str | Path = "",
        config: Config | None = None,
        *,
        embedder: Embedder | None = None,
        chat: ChatModel | None = None,
        reranker: Reranker | None = None,
        readers: Sequence[Format] = (),
        splitter: Splitter | str | None = None,
        prompt: str = "",
        on_event: Callable[[TraceEvent], None] | None = None,
    ) -> Self:
        """Open an index, or name one that `index` will make.

        Args:
            index: A name below the indexes folder, a path (has a separator), or a URL that an
                installed package opens. Empty: the only index there is.
            config: Settings; if None, those that `load_config` reads from ``ragkit.toml`` and
                the environment, as the commands do.
            embedder: Used instead of a configured one.
            chat: Used instead of a configured one.
            reranker: Orders what a search finds; see `Pipeline`.
            readers: Formats of the program's own.
            splitter: Says where documents are cut.
            prompt: Instructions for the chat model.
            on_event: Told of each stage that ended.

        Raises:
            IndexNotFoundError: No index is named, and there is none or more than one.
            ConfigError: A setting is unknown or wrong; it names where it was read.
        """
        config = config or load_config()[0]
        return cls(
            index_location(index, config.indexes),
            config,
            embedder=embedder,
            chat=chat,
            reranker=reranker,
            readers=readers,
            splitter=splitter,
            prompt=prompt,
            on_event=on_event,
        )

    def with_settings(self, values: Mapping[str, Any]) -> Self:
        """The same index and models under other settings; this pipeline keeps its own.

        What it opened stays this one's to close.

        Args:
            values: Dotted names, as for `Config.with_values`.

        Raises:
            ConfigError: A name is unknown, or a value does not fit its setting.
            IndexNotFoundError: The index was not made yet.
        """
        other = copy(self)
        other.config = self.config.with_values(values)
        other._given_store = other._store = self.store  # noqa: SLF001 -- of its own class
        if other.config.models != self.config.models:
            other.models = self.models.under(other.config.models)
        return other

    @property
    def store(self) -> VectorStore:
        """The index on disk.

        Raises:
            IndexNotFoundError: It was not made yet.
        """
        with self._opening:
            if self._store is None:
                self._store = open_store(self._location)
            return self._store

    @property
    def embedder(self) -> Embedder | None:
        """The index's embedder; for an index that does not exist yet, the one it will have.

        None: an index without vectors, made with ``models.embedder`` set to ``none``.

        Raises:
            IndexMismatchError: The embedder that was given, or what the server has under its
                name now, is another one than the index was built with.
        """
        self.models.settings = self.config.models
        return self.models.embedder_of(self.store) if self.exists else self.models.new_embedder()

    @property
    def exists(self) -> bool:
        """Whether the index was made."""
        return self._store is not None or index_exists(self._location)

    def index(
        self,
        *paths: str | Path,
        prune: bool = False,
        dry_run: bool = False,
        rules: SourceRules | None = None,
        forget_removed: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> IndexReport:
        """Bring the index up to date with folders and files.

        Unchanged files cost nothing, changed ones replace their chunks, deleted ones disappear.
        A file that cannot be read is in the report and ends nothing. Words can be searched as
        soon as a file was read; vectors that a run could not make are made by the next. An index
        without vectors gets them from the embedder that the pipeline was given.

        Args:
            paths: Folders or files; none: the folders indexed before.
            prune: Remove documents even if over half of a folder's files are gone.
            dry_run: Only tell what would be done.
            rules: Which files below these paths count, from now on; None: as was said before.
            forget_removed: Take in again what `remove` took out; a path that is named here is
                taken in again by itself.
            on_progress: Called after every file.

        Raises:
            LoadError: A path does not exist or cannot be read, and was not indexed before.
            IndexLockedError: Another process is writing to the index.
            IndexMismatchError: Another embedder, or other split settings, than the index's.
            ModelError: The embedder failed; what was read can be searched by its words.
        """
        from ragkit.ingest.update import update_index  # a search needs none of it

        setup = replace(self._setup(on_progress), rules=rules, forgets_removed=forget_removed)
        with traced(self._on_event, "index") as counts:
            report = update_index(setup, paths, prune=prune, dry_run=dry_run)
            counts |= _work(report)
        return report

    def _setup(self, on_progress: Callable[[Progress], None] | None) -> IngestSetup:
        from ragkit.ingest.load.formats import Formats
        from ragkit.ingest.split.own_splitter import find_splitter
        from ragkit.ingest.update import IngestSetup

        if isinstance(self._splitter, str):
            find_splitter(self._splitter)  # a wrong name is told before anything is made
        self.models.settings = self.config.models
        return IngestSetup(
            self._location,
            self.store if self.exists else None,
            self.models,
            self.config,
            on_progress or (lambda _: None),
            Formats(self._readers),
            splitter=self._splitter,
        )

    def add(
        self,
        texts: str | Document | Iterable[str | Document],
        *,
        id: str = "",  # noqa: A002 -- what every program calls it
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> IndexReport:
        """Take in texts that are no files; `index` leaves them alone.

        A text that is added under the id of another one takes its place, and is among the report's
        ``changed``. One that is there already, with the same title and metadata, costs nothing. All
        of a call are checked before anything is written.

        Args:
            texts: A text, a document of `Document.from_text`, or many of them, all in memory.
            id: Of a single text; empty: made of the text. The report names it.
            title: Of a single text: shown with what is found of it. Empty: the id.
            metadata: JSON values that all of the texts get besides their own, by name; `Filter`
                can ask for them.
            on_progress: Called after every text.

        Raises:
            InputError: A text is empty, an id is none, or a value of the metadata is no JSON.
            IndexLockedError: Another process is writing to the index.
            ModelError: The embedder failed; what was added can be searched by its words.
        """
        from ragkit.ingest.programs import add_documents, as_documents

        documents = as_documents(texts, name=id, title=title, metadata=metadata or {})
        with traced(self._on_event, "add") as counts:
            report = add_documents(self._setup(on_progress), documents)
            counts |= _work(report)
        return report

    def get(self, id: str) -> Document | None:  # noqa: A002 -- as for `add`
        """Give back a text that was added, whole; None if there is none of that id."""
        from ragkit.ingest.programs import get_document

        return get_document(self.store, id)

    def delete(self, *ids: str) -> tuple[str, ...]:
        """Take texts out that were added; an id that is not there is passed over.

        Earlier generations have them still, until they are let go; `erase` takes them out of all.

        Returns:
            The ids of those that were taken out.
        """
        from ragkit.ingest.programs import delete_documents

        return delete_documents(self.store, ids, self.config.history)

    def rebuild(
        self,
        source: RebuildSource | None = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> IndexReport:
        """Build the index anew, with the models and settings that hold now.

        It is made beside the old one, which answers meanwhile, and takes its place in one commit:
        every reader sees it at its next question. A rebuild that ends early is taken up by the
        next one. Texts that the same model has embedded are not embedded again. A file that cannot
        be read now keeps its older chunks.

        Args:
            source: ``text``: embed the text that the index holds, no file is read; ``files``:
                read all files again. None: ``text`` if only the embedder is another one.
            on_progress: Called after every file.

        Raises:
            LoadError: All folders are missing, or one was emptied; the index stays as it is.
            ModelError: The embedder failed; the index stays as it is.
            ConfigError: Stored text cannot be split anew.
            InputError: There is no such source.
        """
        from ragkit.ingest.update import rebuild_index

        with traced(self._on_event, "rebuild") as counts:
            report = rebuild_index(self._setup(on_progress), source)
            counts |= _work(report)
        return report

    def accept(self, *paths: str | Path, undo: bool = False) -> tuple[str, ...]:
        """Note files as known to be unreadable, so that they are no failures; see `index`.

        Args:
            paths: Files, or relative paths as a report has them.
            undo: Let them be failures again.

        Returns:
            Their absolute paths.

        Raises:
            LoadError: One is not in the folders of the index; nothing is noted.
        """
        from ragkit.ingest.update import accept_files

        return accept_files(self.store, paths, undo=undo)

    def remove(self, *paths: str | Path) -> tuple[str, ...]:
        """Remove documents from the index; the files themselves are not touched.

        They stay out of it until their path is given to `index`.

        Args:
            paths: Files, folders (all below them), or relative paths as `documents` gives them.

        Returns:
            The relative paths of the documents that were removed.
        """
        from ragkit.ingest.update import remove_documents

        return remove_documents(self.store, paths, self.config.history)

    def erase(
        self, *paths: str | Path, on_progress: Callable[[int, int], None] | None = None
    ) -> Erasure:
        """Take documents out of the index, of every generation, and their bytes out of its files.

        Args:
            paths: As for `remove`; documents that only earlier generations have count too.
            on_progress: Called now and then with the steps done and the steps there are.

        Returns:
            What was erased. Backups that were made before, and the files, are not touched.
        """
        from ragkit.ingest.update import erase_documents_of

        return erase_documents_of(self.store, paths, on_progress)

    def move(self, old: str | Path, new: str | Path) -> int:
        """Give the documents of a folder or file that was moved their new place.

        Nothing is read and nothing is embedded; `index` sees afterwards what else has changed.

        Args:
            old: Where it was.
            new: Where it is now.

        Returns:
            How many documents there are.

        Raises:
            LoadError: The index has none there, it is there yet, or the new place has none of them.
        """
        from ragkit.ingest.moved import move_documents

        return move_documents(self.store, old, new, self.config.history)

    def compact(self, *, on_progress: Callable[[int, int], None] | None = None) -> Compaction:
        """Give back the space of what no generation that is kept can see.

        Args:
            on_progress: Called now and then with the steps done and the steps there are.
        """
        from ragkit.ingest.update import forget_recognised

        compacted = self.store.compact(on_progress)
        forget_recognised(self.store)
        return compacted

    def backup(
        self, file: str | Path, *, on_progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Write the index to one file, which must not exist; returns its bytes.

        Args:
            file: Where; `restore` makes an index of it.
            on_progress: Called now and then with the bytes done and the bytes there are.
        """
        return self.store.backup(Path(file), on_progress)

    @classmethod
    def restore(
        cls,
        file: str | Path,
        index: str | Path = "",
        config: Config | None = None,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Make an index of a file that `backup` wrote, and open it.

        Args:
            file: The backup.
            index: The new index's name or path; empty: the name of the one that was backed up.
            config: Settings, as for `open`.
            on_progress: Called now and then with the bytes done and the bytes there are.

        Raises:
            IndexExistsError: There is an index, or anything else, already.
            StoreError: The file is no whole backup.
        """
        config = config or load_config()[0]
        path = restore_store(Path(file), config.indexes, str(index), on_progress=on_progress)
        return cls(path, config)

    def search(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | datetime | None = None,
    ) -> list[Hit]:
        """Find the chunks that speak about a question, best first.

        Args:
            question: In the words of its asker.
            k: Most hits; the configured number if None.
            restrict: Which documents may be found.
            as_of: A closed generation to look at, or a moment (local where it knows no time
                zone): the last one closed by then; None: the newest commit.
        """
        return search(self._engine(), question, self._scope(k, restrict, as_of))

    def ask(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | datetime | None = None,
    ) -> Answer:
        """Answer a question from the documents, with citations, or say that they do not say.

        The arguments are those of `search`.
        """
        from ragkit.query.ask import last_answer  # a search needs none of it

        return last_answer(self.stream(question, k=k, restrict=restrict, as_of=as_of))

    def stream(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | datetime | None = None,
    ) -> Generator[AnswerEvent, None, None]:
        """Answer a question, giving the text as it comes; the last event is the `Answer`.

        Closing the iterator stops the model.
        """
        from ragkit.query.ask import ask
        from ragkit.query.search import require_question
        from ragkit.query.window import ChatTurns

        require_question(question)
        turns = ChatTurns(system=self.prompt)
        return ask(self._engine(), question, self._scope(k, restrict, as_of), turns)

    def _scope(self, k: int | None, restrict: Filter, as_of: int | datetime | None) -> Scope:
        return Scope(k, restrict, None if as_of is None else self._generation(as_of))

    def _generation(self, as_of: int | datetime) -> int:
        if isinstance(as_of, int):
            return as_of
        if not isinstance(as_of, datetime):
            msg = f"a generation is its number, or a datetime, not {as_of!r:.60}"
            raise InputError(msg)
        try:
            moment = as_of if as_of.tzinfo else as_of.astimezone()
        except (ValueError, OverflowError) as exc:
            msg = f"{as_of} is no moment here: it lies at an end of the calendar"
            raise InputError(msg) from exc
        return self.store.generation_at(moment)

    def chat(
        self, *, system: str | None = None, k: int | None = None, restrict: Filter = NO_FILTER
    ) -> Conversation:
        """Begin a conversation, in which questions may refer to those before them.

        Args:
            system: Instructions for the chat model besides ragkit's rules; None: those of
                `prompt`.
            k: Most hits a question; the configured number if None.
            restrict: Which documents may be found.
        """
        from ragkit.query.conversation import Conversation

        said = self.prompt if system is None else system
        return Conversation(self._engine, system=said, scope=Scope(k, restrict))

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
        """Tell at which stage a passage that should answer a question was lost.

        Args:
            question: In the words of its asker.
            path: The document that should answer, or the end of its path.
            page: The page that should answer.
            text: Words of the passage that should answer.
            restrict: Which documents may be found.
            answer: If the passage was given, answer the question too, and tell whether it was
                used.

        Raises:
            InputError: `path` fits more than one document.
        """
        from ragkit.query.why_not import Expected, why_not

        expected = Expected(path, page, text)
        return why_not(self._engine(), question, expected, restrict=restrict, answer=answer)

    def verify(self, answer: Answer) -> Verification:
        """Check an answer again, without a model: against the index and the files as they are.

        Args:
            answer: As `ask` gave it, or read back with `ragkit.from_json`.
        """
        from ragkit.ingest.load.formats import Formats
        from ragkit.verify.answers import verify

        return verify(answer, self.store, self.config.load, formats=Formats(self._readers))

    def _engine(self) -> QueryEngine:
        """The index, models and settings as they are now."""
        self.models.settings = self.config.models
        return QueryEngine(self.store, self.models, self.config, self._on_event)

    def documents(self) -> list[DocumentInfo]:
        """The documents of the index, by path."""
        return self.store.documents()

    def log(self, limit: int | None = None) -> list[Generation]:
        """The runs that changed the index, newest first, with what each changed.

        Args:
            limit: At most so many.
        """
        return self.store.log(limit)

    def diff(self, before: int | datetime, after: int | datetime | None = None) -> IndexChanges:
        """What came, went and changed from one generation to another.

        Args:
            before: A closed generation, or a moment as for `search`.
            after: The same; None: the newest closed one.
        """
        later = None if after is None else self._generation(after)
        return self.store.diff(self._generation(before), later)

    def stats(self) -> StoreStats:
        """The size and state of the index."""
        return self.store.stats()

    def close(self) -> None:
        """Release the index's files; calling it again does nothing."""
        if self._store is not None and self._given_store is None:
            self._store.close()
            self._store = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _work(report: IndexReport) -> dict[str, int]:
    """How much an ingest did, for its event."""
    kinds = ("added", "changed", "removed", "failed")
    documents = {kind: len(getattr(report, kind)) for kind in kinds}
    return documents | {"chunks": report.chunks, "embedded": report.embedded}
