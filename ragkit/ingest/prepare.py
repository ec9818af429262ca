"""From files to what ingest stores and embeds: documents, their chunks, the texts to embed.

If there is much to do, a process of its own does it, ``python -m ragkit.ingest.prepare``: reading
and splitting keep Python's interpreter as busy as a model's replies do, and two processes use two
cores. It runs ahead as far as the pipe between them holds.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
import traceback
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from ragkit.errors import ConfigError, LoadError, UnsupportedFormatError
from ragkit.ingest.child import (
    APART_BYTES,
    close_pipes,
    end_child,
    ending,
    pipes,
    start_reader,
)
from ragkit.ingest.load import Formats, Parser, load_file
from ragkit.ingest.load.ocr import PageAtWork
from ragkit.ingest.split import embedding_text, split
from ragkit.ingest.split.own_splitter import split_with
from ragkit.records import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from ragkit.config import LoadSettings, SplitSettings
    from ragkit.protocols import Splitter
    from ragkit.records import Document, Hit

    # A file and the root that its path is told from.
    Source: TypeAlias = tuple[str | Path, Path]
    OnPage: TypeAlias = Callable[[PageAtWork], None]
    Results: TypeAlias = "Generator[Prepared | LoadError, None, None]"

# Objects made and not let go of before Python looks for cycles, of which splitting leaves none.
_COLLECT_AFTER = 50_000
_log = logging.getLogger(__name__)


class PreparedMember(NamedTuple):
    """A file within a file, made ready, or why it cannot be."""

    path: str
    size_bytes: int
    result: Prepared | LoadError


class Prepared(NamedTuple):
    """A document, its chunks in order, the text to embed for each, and the files in its file."""

    document: Document
    chunks: list[Chunk]
    texts: list[str]
    members: Sequence[PreparedMember] = ()

    @classmethod
    def of(cls, document: Document, chunks: list[Chunk]) -> Prepared:
        """Make the texts."""
        title = own_title(document)
        return cls(document, chunks, [embedding_text(chunk, title) for chunk in chunks])


class TextSource(Protocol):
    """Where a run gets its documents from."""

    def prepare(self, sources: Sequence[Source], *, size_bytes: int, on_page: OnPage) -> Results:
        """Prepare what was planned, in order; see `Preparer.prepare`."""

    def of_document(self, document: Document) -> Prepared:
        """Split a document."""


@dataclass(frozen=True, slots=True)
class Preparer:
    """Loads and splits files.

    Args:
        load: How they are read.
        split: How they are cut.
        max_tokens: The embedding model's window.
        formats: Which formats there are.
        splitter: A program's own, instead of ragkit's: itself, or named for `find_splitter`.
        recognised: The folder that keeps what is read in pictures; "" if none does.
        started: A process of `reader_ahead` for the first files that are prepared apart.
    """

    load: LoadSettings
    split: SplitSettings
    max_tokens: int
    formats: Formats = field(default_factory=Formats)
    splitter: Splitter | str | None = None
    recognised: str = ""
    started: subprocess.Popen[bytes] | None = None

    def prepare(
        self, sources: Sequence[Source], *, size_bytes: int, on_page: OnPage = lambda _: None
    ) -> Results:
        """Prepare files in order; close the iterator where it is not used up.

        Args:
            sources: The files.
            size_bytes: Of all of them, which decides whether they get a process of their own. One
                that dies is replaced. A file that the new one dies on as well has failed: here it
                would end the whole run. What cannot be imported there keeps all files here.
            on_page: Called in this thread before each page that is read as a picture.
        """
        done, is_apart = 0, size_bytes >= APART_BYTES and self._is_importable
        while is_apart and done < len(sources):
            count, is_apart = yield from self._apart(sources[done:], on_page)
            done += count
        yield from self.here(sources[done:], on_page)

    @property
    def _is_importable(self) -> bool:
        return self.formats.are_importable and not callable(self.splitter)

    def here(self, sources: Sequence[Source], on_page: OnPage = lambda _: None) -> Results:
        """Prepare files in this process."""
        kept = self.recognised
        with Parser(self.load, self.formats, recognised=kept, on_page=on_page) as parser:
            for file, root in sources:
                try:
                    yield self._one(file, root, parser)
                except LoadError as exc:
                    yield exc
                except MemoryError:
                    yield LoadError("needs more memory than there is", Path(file))

    def _one(self, file: str | Path, root: Path, parser: Parser) -> Prepared:
        loaded = load_file(Path(file), root=root, settings=self.load, parser=parser)
        members = [
            PreparedMember(
                path, size, result if isinstance(result, LoadError) else self.of_document(result)
            )
            for path, size, result in loaded.members
        ]
        return self.of_document(loaded.document)._replace(members=members)

    def of_document(self, document: Document) -> Prepared:
        """Split a document."""
        if self.splitter is not None:
            return Prepared.of(document, split_with(self.splitter, document))
        row = self.formats.of_kind(document.kind)
        structure = row.structure if row else None
        chunks = list(split(document, self.split, max_tokens=self.max_tokens, structure=structure))
        return Prepared.of(document, chunks)

    def _reader(self) -> subprocess.Popen[bytes]:
        started = self.started
        return start_reader() if started is None or started.poll() is not None else started

    def _apart(
        self, sources: Sequence[Source], on_page: OnPage
    ) -> Generator[Prepared | LoadError, None, tuple[int, bool]]:
        """Prepare files in another process.

        Returns:
            How many it came to, and whether another one may go on after it.
        """
        try:
            child = self._reader()
        except OSError as exc:
            _log.warning("no process could be started to read files: %s", exc)
            return 0, False
        requests, replies = pipes(child)
        done, is_ready = 0, False
        try:
            pickle.dump((replace(self, started=None), sources), requests)
            requests.flush()
            is_ready = pickle.load(replies)  # noqa: S301 -- of our own process, as below
            for file, _ in sources:
                while isinstance(packed := pickle.load(replies), PageAtWork):  # noqa: S301
                    on_page(packed)
                if isinstance(packed, str):
                    _tell(packed)
                    return done, False
                done += 1
                yield _unpacked(packed, Path(file))
        except (EOFError, OSError, pickle.UnpicklingError) as exc:
            _log.debug("no further reply: %r", exc)
        else:
            return done, True
        finally:
            close_pipes(child)
            end_child(child)
        _log.warning("the process that reads files ended too early (%s)", ending(child))
        if is_ready and not done:
            yield _deadly(Path(sources[0][0]), child)
            done = 1
        return done, is_ready


def _tell(failure: str) -> None:
    """Log the traceback of what a process failed with; "" is nothing new."""
    if failure:
        _log.warning("the process that reads files failed, this one goes on:\n%s", failure)


def _deadly(file: Path, child: subprocess.Popen[bytes]) -> LoadError:
    msg = (
        f"the process that reads files died on it ({ending(child)}); "
        "it may need more memory than there is"
    )
    return LoadError(msg, file)


def own_title(document: Document | Hit) -> str:
    """The title that a document's content gives it; "" where it is only the file's name.

    What is embedded must not hang on the name, so that a renamed file costs no embedding.
    """
    names = {document.path, PurePosixPath(document.path).stem}
    return "" if document.title in names else document.title


def _packed(result: Prepared | LoadError) -> Any:  # noqa: ANN401 -- what `_unpacked` takes
    """Plain values: a chunk's text is in its document's, and a file's name is known."""
    if isinstance(result, LoadError):
        return isinstance(result, UnsupportedFormatError), str(result)
    chunks = [(c.chunk_id, c.start, c.end, c.heading, c.page, c.tokens) for c in result.chunks]
    members = [(m.path, m.size_bytes, _packed(m.result)) for m in result.members]
    return result.document, chunks, result.texts, members


def _unpacked(packed: Any, file: Path) -> Prepared | LoadError:  # noqa: ANN401 -- of `_packed`
    match packed:
        case (bool(is_unsupported), message):
            return (UnsupportedFormatError if is_unsupported else LoadError)(message, file)
        case (document, places, texts, inner):
            doc_id, text = document.doc_id, document.text
            chunks = [
                Chunk(chunk_id, doc_id, i, start, end, text[start:end], heading, page, tokens)
                for i, (chunk_id, start, end, heading, page, tokens) in enumerate(places)
            ]
            members = [
                PreparedMember(path, size, _unpacked(result, Path(path)))
                for path, size, result in inner
            ]
            return Prepared(document, chunks, texts, members)
    msg = "a reply is a document or a failure"
    raise pickle.UnpicklingError(msg)


def main() -> None:
    """Prepare the files that standard input names; ends when nobody reads any more."""
    gc.set_threshold(_COLLECT_AFTER)
    gc.freeze()  # what was loaded is no garbage, at the end neither
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the parser is ended too
    replies: IO[bytes] = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a reader prints must not get between the replies
    preparer, sources = pickle.load(sys.stdin.buffer)  # noqa: S301 -- of the process that started us

    def send(message: object) -> None:
        pickle.dump(message, replies, pickle.HIGHEST_PROTOCOL)
        replies.flush()

    for packed in _messages(preparer, sources, send):
        send(packed)


def _messages(preparer: Preparer, sources: Sequence[Source], on_page: OnPage) -> Iterator[Any]:
    """What the parent is sent: True to begin with, each result, and what it could not go on from.

    A wrong setting is met by the parent again, and said there.
    """
    yield True
    try:
        with closing(preparer.here(sources, on_page)) as results:
            for result in results:
                yield _packed(result)
    except ConfigError:
        yield ""
    except Exception:  # noqa: BLE001 -- the parent tells it
        yield traceback.format_exc()


if __name__ == "__main__":
    main()
