"""Under which keys vectors are kept, so that what was embedded once is found again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def cache_keys(record: Mapping[str, Any], texts: Sequence[str]) -> list[bytes]:
    """The cache key of each text, 32 bytes: what it hashes decides the vector and nothing else.

    Args:
        record: As `embedder_record` gives it; its digest and options count.
        texts: The texts exactly as they will be embedded.
    """
    model = json.dumps([record["digest"], record["options"]], sort_keys=True).encode()
    prefix = hashlib.sha256(hashlib.sha256(model).digest())
    keys = []
    for text in texts:
        key = prefix.copy()
        key.update(text.encode("utf-8", "surrogatepass"))
        keys.append(key.digest())
    return keys
