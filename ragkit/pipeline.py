"""Pipeline: the stages wired to an index on disk and to models."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ragkit.config import Config, load_config
from ragkit.models.choose import chat_model, check_embedder, new_embedder, stored_embedder
from ragkit.query.search import retrieve
from ragkit.records import NO_FILTER, Answer, Filter, IndexReport
from ragkit.store.locate import index_path
from ragkit.store.open import index_exists, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ragkit.config import ModelSettings
    from ragkit.ingest.run import Progress
    from ragkit.ingest.update import IngestSetup
    from ragkit.protocols import ChatModel, Embedder, StoreStats, VectorStore
    from ragkit.query.answer import AnswerEvent
    from ragkit.query.conversation import Conversation
    from ragkit.query.why_not import WhyNot
    from ragkit.records import DocumentInfo, Hit
    from ragkit.verify.answers import Verification

_log = logging.getLogger(__name__)


class Pipeline:
    """One index with its models: the verbs of ragkit.

    Usage::

        with Pipeline.open("indexes/handbook") as rag:
            rag.index("corpora/handbook")
            print(rag.ask("How long is the notice period?").text)

    An index's folder is made by the first `index`. Models are loaded when they are first needed.

    Args:
        path: The index folder.
        config: Settings; the defaults where None.
        embedder: Used instead of a configured one.
        chat: Used instead of a configured one.
    """

    def __init__(
        self,
        path: Path,
        config: Config | None = None,
        *,
        embedder: Embedder | None = None,
        chat: ChatModel | None = None,
    ) -> None:
        self.path = path
        self.config = config or Config()
        self._given_embedder = embedder
        self._given_chat = chat
        self._embedder: Embedder | None = None
        self._chat: ChatModel | None = None
        self._chat_settings: ModelSettings | None = None
        self._store: VectorStore | None = None

    @classmethod
    def open(
        cls,
        index: str | Path = "",
        config: Config | None = None,
        *,
        embedder: Embedder | None = None,
        chat: ChatModel | None = None,
    ) -> Self:
        """Open an index, or name one that `index` will make.

        Args:
            index: A name below the indexes folder, or a path (has a separator). Empty: the only
                index there is.
            config: Settings; where None, those that `load_config` reads from ``ragkit.toml`` and
                the environment, as the commands do.
            embedder: Used instead of a configured one.
            chat: Used instead of a configured one.

        Raises:
            IndexNotFoundError: No index is named, and there is none or more than one.
            ConfigError: A setting is unknown or wrong; it names where it was read.
        """
        config = config or load_config()[0]
        path = index_path(str(index), config.indexes)
        return cls(path, config, embedder=embedder, chat=chat)

    @property
    def store(self) -> VectorStore:
        """The index on disk.

        Raises:
            IndexNotFoundError: It was not made yet.
        """
        if self._store is None:
            self._store = open_store(self.path)
        return self._store

    @property
    def embedder(self) -> Embedder:
        """The index's embedder; for an index that does not exist yet, the one it will have.

        Raises:
            IndexMismatchError: The embedder that was given, or what the server has under its
                name now, is another one than the index was built with.
        """
        if self._embedder is None:
            if not self.exists:
                self._embedder = self._given_embedder or new_embedder(self.config.models)
                return self._embedder
            record = self.store.embedder
            embedder = self._given_embedder or stored_embedder(record, self.config.models)
            check_embedder(embedder, record, str(self.path))
            self._embedder = embedder
        return self._embedder

    @property
    def exists(self) -> bool:
        """Whether the index was made."""
        return self._store is not None or index_exists(self.path)

    def index(
        self,
        *paths: str | Path,
        prune: bool = False,
        dry_run: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> IndexReport:
        """Bring the index up to date with folders and files.

        Unchanged files cost nothing, changed ones replace their chunks, deleted ones disappear.
        A file that cannot be read is in the report and ends nothing.

        Args:
            paths: Folders or files; none: the folders indexed before.
            prune: Remove documents even where over half of a folder's files are gone.
            dry_run: Only tell what would be done.
            on_progress: Called after every file.

        Raises:
            LoadError: A path does not exist or cannot be read.
            IndexLockedError: Another process is writing to the index.
            IndexMismatchError: Another embedder, or other split settings, than the index's.
            ModelError: The embedder failed; what was complete is stored.
        """
        from ragkit.ingest.update import update_index  # a search needs none of it

        return update_index(self._setup(on_progress), paths, prune=prune, dry_run=dry_run)

    def _setup(self, on_progress: Callable[[Progress], None] | None) -> IngestSetup:
        from ragkit.ingest.update import IngestSetup
        from ragkit.models.choose import Models

        return IngestSetup(
            self.path,
            self.store if self.exists else None,
            Models(self.config.models, embedder=self._given_embedder),
            self.config,
            on_progress or (lambda _: None),
        )

    def rebuild(self, *, on_progress: Callable[[Progress], None] | None = None) -> IndexReport:
        """Build the index anew from its folders, with the models and settings that hold now.

        The new index is made beside the old one, which answers meanwhile, and takes its place
        when it is complete. Texts that the same model has embedded for the old one are not
        embedded again.

        Raises:
            LoadError: A folder is missing or was emptied; the old index stays as it is.
            ForeignFilesError: The index shares its folder with other files.
            ModelError: The embedder failed; the old index stays as it is.
        """
        from ragkit.ingest.update import rebuild_index

        report = rebuild_index(self._setup(on_progress))
        self.close()
        self._embedder = None
        return report

    def remove(self, *paths: str | Path) -> tuple[str, ...]:
        """Remove documents from the index; the files themselves are not touched.

        Args:
            paths: Files, folders (all below them), or relative paths as `documents` gives them.

        Returns:
            The relative paths of the documents that were removed.
        """
        from ragkit.ingest.update import remove_documents

        return remove_documents(self.store, paths)

    def search(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | None = None,
    ) -> list[Hit]:
        """Find the chunks that speak about a question, best first.

        Args:
            question: In the words of its asker.
            k: Most hits; the configured number where None.
            restrict: Which documents may be found.
            as_of: A closed generation to look at; None: the newest commit.
        """
        settings = self.config.search
        if k is not None:
            settings = replace(settings, k=k)
        store = self.store  # first, so that a missing index is reported as that
        embedder = None if settings.mode == "keyword" else self.embedder
        wider = replace(settings, k=max(settings.k, settings.rerank))
        hits = retrieve(question, store, embedder, wider, restrict=restrict, as_of=as_of)
        if settings.rerank:
            hits = self._reranked(question, hits[: settings.rerank]) + hits[settings.rerank :]
        return hits[: settings.k]

    def _reranked(self, question: str, hits: list[Hit]) -> list[Hit]:
        from ragkit.query.context import token_scale
        from ragkit.query.rerank import rerank

        model = self.chat_model()
        if model is None:
            _log.warning("Not reranked: search.rerank is set, and there is no chat model.")
            return hits
        scale = token_scale(self.store, model)
        return rerank(question, hits, model, self.config.answer, scale=scale)

    def chat_model(self) -> ChatModel | None:
        """The chat model, made when it is first needed; None for extractive answers."""
        if self._given_chat is not None:
            return self._given_chat
        settings = self.config.models
        if self._chat is None or self._chat_settings != settings:
            self._chat, self._chat_settings = chat_model(settings), settings
        return self._chat

    def ask(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | None = None,
    ) -> Answer:
        """Answer a question from the documents, with citations, or say that they do not say.

        The arguments are those of `search`.
        """
        from ragkit.query.ask import last_answer

        return last_answer(self.stream(question, k=k, restrict=restrict, as_of=as_of))

    def stream(
        self,
        question: str,
        *,
        k: int | None = None,
        restrict: Filter = NO_FILTER,
        as_of: int | None = None,
    ) -> Iterator[AnswerEvent]:
        """Answer a question, giving the text as it comes; the last event is the `Answer`."""
        hits = self.search(question, k=k, restrict=restrict, as_of=as_of)
        yield from self._answered(question, hits, as_of)

    def _answered(
        self, question: str, hits: list[Hit], as_of: int | None = None
    ) -> Iterator[AnswerEvent]:
        from ragkit.query.ask import answer_from  # a search needs none of it

        return answer_from(
            question,
            hits,
            self.store,
            self.config,
            chat=self.chat_model,
            embedder=lambda: self.embedder,
            as_of=as_of,
        )

    def chat(
        self, *, system: str = "", k: int | None = None, restrict: Filter = NO_FILTER
    ) -> Conversation:
        """Begin a conversation, in which questions may lean on those before them.

        Args:
            system: Instructions for the chat model besides ragkit's rules.
            k: Most hits a question; the configured number where None.
            restrict: Which documents may be found.
        """
        from ragkit.query.conversation import Conversation

        return Conversation(self, chat=self._given_chat, system=system, k=k, restrict=restrict)

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
            answer: Where the passage was given, answer the question too, and tell whether it was
                used.

        Raises:
            ValueError: `path` fits more than one document.
        """
        from ragkit.query.ask import last_answer
        from ragkit.query.why_not import why_not

        hits = self.search(question, restrict=restrict)
        return why_not(
            question,
            path,
            hits,
            self.store,
            self.config,
            None if self.config.search.mode == "keyword" else self.embedder,
            chat=self.chat_model,
            page=page,
            text=text,
            restrict=restrict,
            answer=(lambda: last_answer(self._answered(question, hits))) if answer else None,
        )

    def verify(self, answer: Answer) -> Verification:
        """Check an answer again, without a model: against the index and the files as they are.

        Args:
            answer: As `ask` gave it, or read back with `ragkit.from_json`.
        """
        from ragkit.verify.answers import verify  # a search needs none of it

        return verify(answer, self.store, self.config.load)

    def documents(self) -> list[DocumentInfo]:
        """The documents of the index, by path."""
        return self.store.documents()

    def stats(self) -> StoreStats:
        """The size and state of the index."""
        return self.store.stats()

    def close(self) -> None:
        """Release the index's files; calling it again does nothing."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
