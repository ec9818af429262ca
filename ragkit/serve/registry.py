"""The indexes that are served: each is found by its name and opened when it is first asked for."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.async_pipeline import AsyncPipeline
from ragkit.errors import (
    ConfigError,
    IndexNotFoundError,
    StoreUnavailableError,
    UnsupportedByStoreError,
)
from ragkit.pipeline import Pipeline
from ragkit.serve.client_names import checked_index_name
from ragkit.store.locate import (
    find_indexes,
    index_location,
    indexes_folder,
    location_name,
    unknown_index,
    url_scheme,
)
from ragkit.store.open import index_exists

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ragkit.config import Config

TAG = ":latest"
"""What clients of Ollama put behind a model's name."""


@dataclass(slots=True)
class _Opened:
    """An open index, where it is and in which file, and how many requests use it."""

    rag: AsyncPipeline
    place: str | Path
    file: tuple[int, int] | None
    users: int = 0
    is_retired: bool = False
    closing: asyncio.Task[None] | None = field(default=None)


class IndexRegistry:
    """The indexes of a server, by name; used in the thread of its event loop.

    So nothing is asked of a cluster here: an index of a URL counts as there once it was found.

    An index that was deleted and made again, or restored, is opened anew by the next request; what
    still reads the old one ends with it. One that is rebuilt or written is the same index.

    Args:
        config: Of all of them.
        named: Names, paths or URLs; none: all that lie in the folder of indexes, at each moment.
        threads: How many calls to one index may run at the same time.
        make: Makes the pipeline of an index that is there.

    Raises:
        IndexNotFoundError: One that is named is not there.
        ConfigError: Two have the same name.
    """

    def __init__(
        self,
        config: Config,
        named: Sequence[str] = (),
        *,
        threads: int = 8,
        make: Callable[[str | Path, Config], Pipeline] = Pipeline,
    ) -> None:
        self.config = config
        self._threads, self._make = threads, make
        self._opened: dict[str, _Opened] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._fixed = _located(named, config)

    def names(self) -> list[str]:
        """The names of the indexes that are there."""
        return sorted(self._places())

    def find(self, name: str) -> str:
        """The index that a client's name stands for; "" stands for the only one.

        The tag ``:latest`` and the case of letters make no difference, unless they tell two apart.

        Raises:
            IndexNotFoundError: There is none.
        """
        if not name and len(self._fixed) == 1:
            (name,) = self._fixed
        if self._kept(name) is not None:  # nothing else is looked for
            return name
        names = self.names()
        if not name and len(names) == 1:
            return names[0]
        for wanted in (name, name.removesuffix(TAG)):
            if wanted in names:
                return wanted
        folded = name.removesuffix(TAG).casefold()
        alike = [known for known in names if known.casefold() == folded]
        if len(alike) == 1:
            return alike[0]
        there = f"there are: {', '.join(names)}" if names else "there is none"
        msg = f"no index {name!r}; {there}" if name else f"no index is named; {there}"
        raise IndexNotFoundError(msg)

    def has(self, name: str) -> bool:
        """Whether there is an index of exactly this name."""
        return name in self._places()

    def missing(self) -> list[str]:
        """The named indexes that are not there now; to ask clusters may take seconds."""
        return [name for name, place in self._fixed.items() if not _answers(place)]

    def place_of(self, name: str) -> str | Path:
        """The folder or URL of an index.

        Raises:
            IndexNotFoundError: There is none of that name.
        """
        return self._places()[self.find(name)]

    def place_for(self, name: str) -> tuple[str, Path]:
        """The name and folder of an index that a client may write to, made or not.

        Raises:
            IndexNotFoundError: It is none of those that are served, where these were named.
            InputError: No index can have this name.
            UnsupportedByStoreError: It is no folder of this machine.
        """
        try:
            found = self.find(name)
        except IndexNotFoundError:
            if self._fixed or not name:
                raise
            found = checked_index_name(name.removesuffix(TAG))
            return found, indexes_folder(self.config.indexes) / found
        place = self._places()[found]
        if url_scheme(place):
            msg = f"the index {found!r} lies at {place}: it is written to by its own programs"
            raise UnsupportedByStoreError(msg, place)
        return found, Path(place)

    def open_apart(self, place: str | Path) -> Pipeline:
        """An index, made or not, for whoever closes it."""
        return self._make(place, self.config)

    @asynccontextmanager
    async def using(self, name: str) -> AsyncIterator[AsyncPipeline]:
        """An index for the length of a block; it is not closed meanwhile.

        Raises:
            IndexNotFoundError: There is none of that name.
        """
        opened = self._kept(name) or self._open(self.find(name))
        opened.users += 1
        try:
            if url_scheme(opened.rag.pipeline.location):  # a cluster may be silent: in a thread
                await opened.rag.run(lambda pipeline: pipeline.store)
            yield opened.rag
        finally:
            opened.users -= 1
            self._let_go(opened)

    async def close(self) -> None:
        """Stop what runs, and release all files."""
        for opened in self._opened.values():
            opened.is_retired, opened.users = True, 0
            self._let_go(opened)
        self._opened.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _places(self) -> dict[str, str | Path]:
        if self._fixed:
            return {
                name: place
                for name, place in self._fixed.items()
                if url_scheme(place) or index_exists(place)
            }
        return {path.name: path for path in find_indexes(indexes_folder(self.config.indexes))}

    def _kept(self, name: str) -> _Opened | None:
        """An index that is open already, if it is there still."""
        opened = self._opened.get(name)
        if opened is None:
            return None
        file = _file_of(opened.place)
        is_there = file is not None or url_scheme(opened.place)
        return opened if is_there and opened.file == file else None

    def _open(self, name: str) -> _Opened:
        if (kept := self._kept(name)) is not None:
            return kept
        place = self._places()[name]
        file = _file_of(place)
        opened = self._opened.get(name)
        if opened is not None and opened.file != file:
            opened.is_retired = True
            self._let_go(self._opened.pop(name))
            opened = None
        if opened is None:
            rag = AsyncPipeline(self._make(place, self.config), threads=self._threads)
            opened = self._opened[name] = _Opened(rag, place, file)
        return opened

    def _let_go(self, opened: _Opened) -> None:
        """Close an index that another one replaced, once nothing uses it."""
        if opened.is_retired and not opened.users and opened.closing is None:
            opened.closing = asyncio.get_running_loop().create_task(opened.rag.close())
            self._closing.add(opened.closing)
            opened.closing.add_done_callback(self._closing.discard)


def _located(named: Sequence[str], config: Config) -> dict[str, str | Path]:
    places: dict[str, str | Path] = {}
    for name in named:
        place = index_location(name, config.indexes)
        if not index_exists(place):
            raise unknown_index(place)
        key = location_name(place)
        if key in places and places[key] != place:
            msg = (
                f"{places[key]} and {place} are both called {key!r}: clients could not tell them "
                "apart; serve them by two servers, or rename one"
            )
            raise ConfigError(msg)
        places[key] = place
    return places


def _answers(place: str | Path) -> bool:
    try:
        return index_exists(place)
    except StoreUnavailableError:
        return False


def _file_of(place: str | Path) -> tuple[int, int] | None:
    """What tells an index from another one that was made in its place."""
    if url_scheme(place):
        return None
    try:
        found = os.stat(f"{place}/catalog.db")  # noqa: PTH116 -- a third of the time of Path.stat
    except OSError:
        return None
    return found.st_dev, found.st_ino
