"""Records back from the JSON values that `ragkit.records.to_json` makes of them."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_json(kind: type[T], value: object) -> T:
    """Make a record of JSON values; ``from_json(Answer, to_json(answer)) == answer``.

    Fields with defaults may be missing, so that what an earlier version wrote can be read.

    Args:
        kind: A class of `ragkit.records`.
        value: What ``json.loads`` gave.

    Raises:
        ValueError: A field is missing, unknown or of another type; the message says which.
    """
    record: T = _record(kind, value, kind.__name__)
    return record


def _decode(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401 -- any annotation of a record
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _record(kind, value, where)
    if origin is tuple:
        items = _expect(list, value, where)
        return tuple(_decode(inner[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        items = _expect(dict, value, where)
        return {key: _decode(inner[1], item, f"{where}.{key}") for key, item in items.items()}
    if origin in (Union, UnionType):
        rest = [k for k in inner if k is not NoneType]
        return None if value is None else _decode(rest[0], value, where)
    if origin is Literal:
        return _one_of(inner, value, where)
    return value if kind is Any else _expect(kind, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401 -- as above
    given = dict(_expect(dict, value, where))
    hints, values = _hints(kind), {}
    for field in fields(kind):
        if field.name in given:
            place = f"{where}.{field.name}"
            values[field.name] = _decode(hints[field.name], given.pop(field.name), place)
        elif field.default is MISSING and field.default_factory is MISSING:
            msg = f"{where}.{field.name} is missing"
            raise ValueError(msg)
    if given:
        msg = f"{where}.{min(given)} is not known to this version of ragkit"
        raise ValueError(msg)
    return kind(**values)


def _expect(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401 -- as above
    """The value if it is of the kind; a whole number is a float, true is no number."""
    kinds = (int, float) if kind is float else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        msg = f"{where} must be of type {kind.__name__}, not {type(value).__name__}"
        raise ValueError(msg)
    return value


def _one_of(choices: tuple[Any, ...], value: Any, where: str) -> Any:  # noqa: ANN401 -- as above
    if value not in choices:
        msg = f"{where} must be one of {', '.join(map(str, choices))}, not {value!r}"
        raise ValueError(msg)
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401 -- as above
    return get_type_hints(kind)
