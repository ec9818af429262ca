"""JSON and JSON Lines: readable lines ``path: value``, one record a paragraph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterator

# Objects are kept as tuples of pairs, so that repeated keys are not lost.
_Object: TypeAlias = tuple[tuple[str, Any], ...]


def read_json(data: bytes, name: str) -> Parsed:
    """Read one JSON value; the elements of a top-level array stand in paragraphs.

    Raises:
        LoadError: The text is not JSON; names line and column.
    """
    text, encoding, metadata = decode_text(data, name)
    value = _parse(text, name)
    records = (
        [_record(item, f"[{i}]", name) for i, item in enumerate(value)]
        if isinstance(value, list)
        else [_record(value, "", name)]
    )
    return Parsed("\n\n".join(records), _title(value), encoding, metadata=metadata)


def read_jsonl(data: bytes, name: str) -> Parsed:
    """Read one JSON value a line; blank lines are passed over.

    Raises:
        LoadError: A line is not JSON; names line and column.
    """
    text, encoding, metadata = decode_text(data, name)
    records = [
        _record(_parse(line, name, number), "", name)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    return Parsed("\n\n".join(records), "", encoding, metadata=metadata)


def _parse(text: str, name: str, line: int = 0) -> Any:  # noqa: ANN401 -- any JSON value
    """Parse one value; numbers stay the text that they are in the file."""
    try:
        return json.loads(
            text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=tuple
        )
    except json.JSONDecodeError as exc:
        msg = f"not valid JSON at line {line or exc.lineno}, column {exc.colno}: {exc.msg}"
        raise LoadError(msg, name) from exc
    except RecursionError as exc:
        raise _too_deep(name) from exc


def _record(value: Any, path: str, name: str) -> str:  # noqa: ANN401 -- any JSON value
    try:
        return "\n".join(_lines(value, path))
    except RecursionError as exc:
        raise _too_deep(name) from exc


def _too_deep(name: str) -> LoadError:
    msg = "the JSON is nested too deeply"
    return LoadError(msg, name)


def _lines(value: Any, path: str) -> Iterator[str]:  # noqa: ANN401 -- any JSON value
    if isinstance(value, tuple) and value:
        for key, inner in value:
            yield from _lines(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _lines(inner, f"{path}[{index}]")
    else:
        yield f"{path}: {_scalar(value)}" if path else _scalar(value)


def _scalar(value: Any) -> str:  # noqa: ANN401 -- text, true, false, null, {} or []
    if isinstance(value, str):
        return value
    return "{}" if value == () else json.dumps(value)


def _title(value: Any) -> str:  # noqa: ANN401 -- any JSON value
    pairs: _Object = value if isinstance(value, tuple) else ()
    found = [v for key, v in pairs if key.lower() == "title" and isinstance(v, str)]
    return found[0] if found else ""
