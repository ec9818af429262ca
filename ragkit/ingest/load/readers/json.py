"""JSON and JSON Lines: readable lines ``path: value``, one record a paragraph."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.text import decode_text
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

# Objects are kept as tuples of pairs, so that repeated keys are not lost.
_Object: TypeAlias = tuple[tuple[str, Any], ...]

# Numbers stay the text that they are in the file.
_DECODER = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=tuple
)
_SPACE = late_pattern(r"[ \t\n\r]*+")
_LINE_REST = late_pattern(r"[ \t\r,]*+(?:\n|\Z)")
_MOST_ATTEMPTS = 200
"""Lines that begin a value of several lines and do not end one, up to which it is tried."""

_BROKEN_SHOWN = 3


def read_json(data: bytes, name: str) -> Parsed:
    """Read one JSON value; the elements of a top-level array stand in paragraphs.

    A file of several values one after the other is read as JSON Lines are.

    Raises:
        LoadError: The text is not JSON; names line and column.
    """
    text, encoding, metadata = decode_text(data, name)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        if exc.msg != "Extra data":
            raise _invalid(exc, name) from exc
        return read_jsonl(data, name)
    except RecursionError as exc:
        raise _too_deep(name) from exc
    records = (
        [_record(item, f"[{i}]", name) for i, item in enumerate(value)]
        if isinstance(value, list)
        else [_record(value, "", name)]
    )
    return Parsed("\n\n".join(records), _title(value), encoding, metadata=metadata)


def read_jsonl(data: bytes, name: str) -> Parsed:
    """Read one JSON value after the other, on a line each or over several.

    A line that is not JSON costs that line only: ``metadata["notes"]`` names it.

    Raises:
        LoadError: Most lines are not JSON; names the first and its column.
    """
    text, encoding, metadata = decode_text(data, name)
    values, broken = _values(text, name)
    if len(broken) > len(values):
        raise _invalid(broken[0].error, name, broken[0].line)
    if broken:
        notes = [f"line {b.line} is not valid JSON and was left out: {b.error.msg}" for b in broken]
        more = len(notes) - _BROKEN_SHOWN
        metadata["notes"] = [*metadata.get("notes", ()), *notes[:_BROKEN_SHOWN]]
        if more > 0:
            metadata["notes"].append(f"{more} more lines are not valid JSON and were left out")
    records = [_record(value, "", name) for value in values]
    return Parsed("\n\n".join(records), "", encoding, metadata=metadata)


class _Broken(NamedTuple):
    line: int
    error: json.JSONDecodeError


def _values(text: str, name: str) -> tuple[list[Any], list[_Broken]]:
    """All values of a text, and the lines that belong to none."""
    values: list[Any] = []
    broken: list[_Broken] = []
    position, line, counted, attempts = 0, 1, 0, 0
    while (position := _end(_SPACE, text, position)) < len(text):
        line, counted = line + text.count("\n", counted, position), position
        stop = text.find("\n", position)
        stop = len(text) if stop < 0 else stop
        try:
            value, end = _DECODER.raw_decode(text[position:stop])
            end += position
        except json.JSONDecodeError as exc:
            error, value, end = exc, None, -1
            if text[position] in "{[" and attempts < _MOST_ATTEMPTS:
                value, end = _of_several_lines(text, position)
                attempts += end < 0
        except RecursionError as exc:
            raise _too_deep(name) from exc
        if end < 0:
            broken.append(_Broken(line, error))
            position = stop
        else:
            values.append(value)
            position = _end(_LINE_REST, text, end) if _LINE_REST.match(text, end) else end
    return values, broken


def _of_several_lines(text: str, position: int) -> tuple[Any, int]:
    """A value that goes on behind its first line, and where it ends; -1 if there is none."""
    try:
        return _DECODER.raw_decode(text, position)
    except (json.JSONDecodeError, RecursionError):
        return None, -1


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _invalid(exc: json.JSONDecodeError, name: str, line: int = 0) -> LoadError:
    msg = f"not valid JSON at line {line or exc.lineno}, column {exc.colno}: {exc.msg}"
    return LoadError(msg, name)


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
