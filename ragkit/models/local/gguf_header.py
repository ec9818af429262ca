"""The head of a GGUF file: enough to name a model, identify it and learn its window.

The layout is llama.cpp's: magic ``GGUF``, version, two counts, then key-value pairs, all
little-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). The architecture's
keys precede the tokenizer's, which hold megabytes, so the first MiB is read and no more.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.errors import ModelNotFoundError, ModelResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD_BYTES = 1 << 20

_STRING, _ARRAY = 8, 9
# Value type to its struct code, in order; strings and arrays carry their own length.
_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """What the head of a model file says.

    ``digest`` is 64 hex digits: SHA-256 of the first MiB (all metadata of the architecture, most
    of the vocabulary) and of the file's size. It tells models apart without reading gigabytes.
    ``context_tokens`` is None where the head does not say.
    """

    digest: str
    context_tokens: int | None


def read_header(path: Path) -> GGUFHeader:
    """Read the head of a GGUF file.

    Raises:
        ModelNotFoundError: There is no such file.
        ModelResponseError: It cannot be read, or is not a GGUF file.
    """
    name = f"gguf:{path.name}"
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
    except FileNotFoundError as exc:
        msg = f"{path}: no such model file; give the path of a GGUF file as `gguf:PATH`"
        raise ModelNotFoundError(msg, name) from exc
    except OSError as exc:
        msg = f"{path}: cannot be read: {exc}"
        raise ModelResponseError(msg, name) from exc
    if head[:4] != b"GGUF":
        msg = f"{path}: not a GGUF file: it begins with {head[:4]!r}"
        raise ModelResponseError(msg, name)
    digest = hashlib.sha256(head + size.to_bytes(8, "little")).hexdigest()
    return GGUFHeader(digest, _context_tokens(head))


def _context_tokens(head: bytes) -> int | None:
    """Return the value of ``ARCHITECTURE.context_length``, or None where the head lacks it."""
    for key, value in _pairs(head):
        if key.endswith(".context_length") and isinstance(value, int):
            return value
    return None


def _pairs(head: bytes) -> Iterator[tuple[str, object]]:
    """Yield the key-value pairs as far as the head reaches; arrays as None."""
    at = 24  # magic, u32 version, u64 tensor count, u64 pair count
    try:
        (count,) = struct.unpack_from("<Q", head, 16)
        for _ in range(count):
            key, at = _string(head, at)
            (kind,) = struct.unpack_from("<I", head, at)
            value, at = _value(head, at + 4, kind)
            yield key, value
    except (struct.error, UnicodeDecodeError, KeyError):  # the head ends here, or is damaged
        return


def _string(head: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", head, at)
    (raw,) = struct.unpack_from(f"{min(length, HEAD_BYTES)}s", head, at + 8)
    return raw.decode("utf-8"), at + 8 + length


def _value(head: bytes, at: int, kind: int) -> tuple[object, int]:
    if kind == _STRING:
        return _string(head, at)
    if kind == _ARRAY:
        return None, _after_array(head, at)
    code = "<" + _SCALARS[kind]
    (value,) = struct.unpack_from(code, head, at)
    return value, at + struct.calcsize(code)


def _after_array(head: bytes, at: int) -> int:
    kind, count = struct.unpack_from("<IQ", head, at)
    at += 12
    if kind != _STRING:
        return at + int(count) * struct.calcsize("<" + _SCALARS[kind])
    for _ in range(count):
        _, at = _string(head, at)
    return at
