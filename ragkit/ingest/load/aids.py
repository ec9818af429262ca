"""What readers may use beside a file: passwords, LibreOffice, and how long they may take."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import ConfigError, LoadError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ragkit.config import LoadSettings


@dataclass(frozen=True, slots=True)
class ReadingAids:
    """What a reader may use.

    Attributes:
        passwords: Tried on encrypted files, in order; never shown.
        libreoffice: The path of the program, "" if there is none.
        timeout_s: How long the reader may take.
        most_bytes: What a file may hold.
        page: Which page is to be read as a picture; 0: none.
        recognised: The folder of what was read in pictures before, "" if there is none.
    """

    passwords: tuple[str, ...] = field(default=(), repr=False)
    libreoffice: str = ""
    timeout_s: float = 120.0
    most_bytes: int = 100_000_000
    page: int = 0
    recognised: str = ""

    @classmethod
    def of(cls, settings: LoadSettings) -> ReadingAids:
        """Those that the settings name.

        Raises:
            ConfigError: The file of passwords cannot be read.
        """
        from shutil import which  # which brings what unpacks archives

        found = which(settings.libreoffice) if settings.libreoffice else None
        passwords = read_passwords(settings.password_file) if settings.password_file else ()
        most_bytes = int(settings.max_file_mb * 1_000_000)
        return cls(passwords, found or "", settings.parse_timeout_s, most_bytes)

    def packed(self) -> dict[str, Any]:
        """As `unpacked` takes it."""
        return asdict(self)

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any]) -> ReadingAids:
        """Invert `packed`, whose lists JSON has made of tuples."""
        return cls(**{**packed, "passwords": tuple(packed.get("passwords", ()))})


_AIDS: ContextVar[ReadingAids] = ContextVar("reading_aids")
_NONE = ReadingAids()


def reading_aids() -> ReadingAids:
    """What the reader that runs now may use."""
    return _AIDS.get(_NONE)


@contextmanager
def with_aids(aids: ReadingAids) -> Iterator[None]:
    """Let the readers that run meanwhile use something."""
    token = _AIDS.set(aids)
    try:
        yield
    finally:
        _AIDS.reset(token)


def read_passwords(path: str) -> tuple[str, ...]:
    """The passwords of a file, one a line.

    Raises:
        ConfigError: It cannot be read as UTF-8; the message shows nothing of its content.
    """
    try:
        lines = Path(path).expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        msg = f"load.password_file: {path} cannot be read: {reason}"
        raise ConfigError(msg) from exc
    return tuple(line for line in lines if line)


def locked(name: str) -> LoadError:
    """The error of a file that no password opens."""
    tried = len(reading_aids().passwords)
    which = f"none of the {tried} given opens it" if tried > 1 else "the one given does not open it"
    told = which if tried else "`--password-file FILE` takes it from a file"
    return LoadError(f"is encrypted: it opens with a password only; {told}", name)


def needs_extra(what: str, name: str) -> UnsupportedFormatError:
    """The error of a file whose reader is in the extra ``office``."""
    from ragkit.extras import install_command

    msg = f"{what} needs the extra `office`: {install_command('office')}"
    return UnsupportedFormatError(msg, name)
