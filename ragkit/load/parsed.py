"""What every reader returns, and the rules that its text keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.records import Page


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's extracted text; ``title`` is empty and ``encoding`` None where it names none.

    ``text`` is normalised (:func:`normalise`) and ``pages`` hold offsets in it.
    """

    text: str
    title: str = ""
    encoding: str | None = None
    pages: tuple[Page, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


def normalise(text: str) -> str:
    r"""Make a text safe to store and to count in.

    Line ends become ``\n``, NULs and a leading byte order mark go, surrogate pairs become the
    character they stand for and lone surrogates U+FFFD. Normalising twice changes nothing.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    try:
        text.encode("utf-8")  # the fastest way to learn that there is no surrogate
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.lstrip("\ufeff")
