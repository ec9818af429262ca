"""What is learned about models while an index is used: small JSON values, kept beside it.

``learned.json`` is no part of the index: without it everything is learned again. Each write
replaces the whole file, so that a reader never sees half of one; of two writers at the same
moment one is forgotten, which costs one observation.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_NAME = "learned.json"


def read_learned(index: Path) -> dict[str, Any]:
    """What is known by name; nothing where there is no file, or none that can be read."""
    try:
        found = json.loads((index / _NAME).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        _log.info("%s is not readable (%s): what it held is learned again", index / _NAME, exc)
        return {}
    return found if isinstance(found, dict) else {}


def keep_learned(index: Path, name: str, value: Any) -> None:  # noqa: ANN401 -- any JSON value
    """Keep a value under a name; in an index that cannot be written it is not kept."""
    try:
        values = read_learned(index) | {name: value}
        with tempfile.NamedTemporaryFile(
            "w", dir=index, prefix=f".{_NAME}.", encoding="utf-8", delete=False
        ) as file:
            json.dump(values, file)
        os.replace(file.name, index / _NAME)  # noqa: PTH105 -- the names are texts
    except OSError as exc:
        _log.debug("%s: not kept: %s", index / _NAME, exc)
