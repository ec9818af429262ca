"""Every error that ragkit raises on purpose. This module imports nothing of ragkit.

::

    RagkitError
    ├── ConfigError                a setting is missing or wrong; names it and where it was read
    ├── InputError                 a call was given what it cannot work with; is a value error
    ├── LoadError                  a document cannot be read; .path
    │   └── UnsupportedFormatError its kind has no reader
    ├── ModelError                 .model
    │   ├── ModelUnavailableError  the server refused, timed out or broke off: may be tried again
    │   ├── ModelNotFoundError     the message gives the command that installs it
    │   ├── ModelResponseError     a reply that is not of the promised shape
    │   ├── EmbeddingFailedError   some texts could not be embedded; .failed, .vectors
    │   └── PromptTruncatedError   the model did not read the whole prompt
    ├── StoreError                 .path
    │   ├── IndexNotFoundError
    │   ├── IndexExistsError
    │   ├── ForeignFilesError      its folder holds files that are not the index's own
    │   ├── IndexLockedError       another process is writing
    │   ├── IndexMismatchError     built with another embedder, dim or splitter; .stored, .given
    │   ├── IndexChangedError      rebuilt with another embedder since the question was embedded
    │   ├── IndexCorruptError      names the broken invariant and the repair command
    │   ├── FormatVersionError     written by a newer ragkit
    │   ├── StorageFullError       the disk is full or the quota is used up
    │   ├── StoreUnavailableError  the machines that hold it do not answer: may be tried again
    │   └── UnsupportedByStoreError  this kind of store cannot do it
    ├── ServerError                a server of ragkit does not answer, or refuses; .status
    ├── FilterError                a condition on a field that no document has
    └── CitationError              an answer cites a passage that was not given
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class RagkitError(Exception):
    """The root: catch this to catch anything that ragkit raises on purpose."""


class ConfigError(RagkitError):
    """A setting is missing or wrong; the message names it and where it was read."""


class InputError(RagkitError, ValueError):
    """A call was given what it cannot work with; the message says what to write instead."""


def shown_value(value: object, most: int = 60) -> str:
    """A value as an error shows it: the first characters of its repr, or its type if it has none.

    Examples:
        >>> shown_value("abc"), shown_value("abc", 3)
        ("'abc'", "'ab")
    """
    try:
        return f"{value!r:.{most}}"
    except Exception:  # noqa: BLE001 -- any object: nested too deeply, too long a number, its own
        return f"a {type(value).__name__}"


class LoadError(RagkitError):
    """A document cannot be read.

    Args:
        message: What is wrong, without the path.
        path: The file.
    """

    def __init__(self, message: str, path: Path | str) -> None:
        super().__init__(message)
        self.path = path


class UnsupportedFormatError(LoadError):
    """No reader exists for this kind of file, or its extra is not installed."""


class ModelError(RagkitError):
    """A model or its server did not do what was asked.

    Args:
        message: What happened and what to do next.
        model: The model's name as configured, or "" where none is concerned.
    """

    def __init__(self, message: str, model: str = "") -> None:
        super().__init__(message)
        self.model = model


class ModelUnavailableError(ModelError):
    """The server refused, timed out or broke off; the same call may work later."""


class ModelNotFoundError(ModelError):
    """The model is not installed; the message gives the command that installs it."""


class ModelResponseError(ModelError):
    """The server's reply is not of the promised shape, or refuses the request for good."""


class EmbeddingFailedError(ModelError):
    """Some texts of a batch could not be embedded; the others could.

    Args:
        message: What happened, for a person.
        model: The embedder's name.
        failed: Position in the batch to the reason.
        vectors: float32, shape (n_texts, dim); rows of failed positions are zero.
    """

    def __init__(
        self,
        message: str,
        model: str,
        *,
        failed: Mapping[int, str],
        vectors: Any,  # noqa: ANN401 -- NumPy must not be imported here
    ) -> None:
        super().__init__(message, model)
        self.failed = dict(failed)
        self.vectors = vectors


class PromptTruncatedError(ModelError):
    """The model did not read the whole prompt: by its own count, or refused as too long.

    Args:
        message: What happened and what to do next.
        model: The model's name.
        prompt_tokens: What its server counted where it refused the prompt, else None.
        num_ctx: The window that it had then, tokens, else None.
    """

    def __init__(
        self,
        message: str,
        model: str = "",
        *,
        prompt_tokens: int | None = None,
        num_ctx: int | None = None,
    ) -> None:
        super().__init__(message, model)
        self.prompt_tokens = prompt_tokens
        self.num_ctx = num_ctx


class StoreError(RagkitError):
    """An index cannot be used.

    Args:
        message: What happened and what to do next.
        path: The index folder.
    """

    def __init__(self, message: str, path: Path | str = "") -> None:
        super().__init__(message)
        self.path = path


class IndexNotFoundError(StoreError):
    """No index lies at the path, or none could be chosen."""


class IndexExistsError(StoreError):
    """An index lies already where a new one was to be made."""


class ForeignFilesError(StoreError):
    """A folder holds files that are not an index's own; they are left as they are."""


class IndexLockedError(StoreError):
    """Another process is writing to the index; the message says which."""


class IndexMismatchError(StoreError):
    """The index was built with another embedder, dimension or splitter.

    Args:
        message: Both values and the command that rebuilds.
        path: The index folder.
        stored: What the index was built with.
        given: What was asked for.
    """

    def __init__(self, message: str, path: Path | str, *, stored: str, given: str) -> None:
        super().__init__(message, path)
        self.stored = stored
        self.given = given


class IndexChangedError(StoreError):
    """The index was rebuilt, or replaced by another one; open it, or embed the question, anew."""


class IndexCorruptError(StoreError):
    """An invariant of docs/format.md is broken; the message names it and the repair command."""


class FormatVersionError(StoreError):
    """The index was written by a newer ragkit."""


class StorageFullError(StoreError):
    """The disk is full; what was committed before is intact."""


class StoreUnavailableError(StoreError):
    """The machines that hold an index did not answer; the same call may work later."""


class UnsupportedByStoreError(StoreError):
    """This kind of store cannot do what was asked; the message says what else to do."""


class ServerError(RagkitError):
    """A server of ragkit does not answer, or refuses what another index would not.

    Args:
        message: What happened and what to do next.
        status: Of HTTP; 0: nothing answered.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class FilterError(RagkitError):
    """A search is restricted by a field that no document has; the message names those there are."""


class CitationError(RagkitError):
    """An answer cites a passage that was not given."""


def first_cause(exc: BaseException) -> str:
    """What the error that began it all says, without "[Errno 111]"."""
    while exc.__cause__ or exc.__context__:
        exc = exc.__cause__ or exc.__context__ or exc
    said = exc.strerror if isinstance(exc, OSError) else ""
    return said or str(exc) or type(exc).__name__
