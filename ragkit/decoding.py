"""JSON values to dataclasses: strictly those that ragkit wrote, leniently those of a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache, partial
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field

T = TypeVar("T")
_Type: TypeAlias = Any  # any annotation of a record
_Made: TypeAlias = Any  # of such a type
_Json: TypeAlias = Any
_UNIONS = (Union, UnionType)
_NO_YEAR = 1  # Go's zero time is in the year 1


def from_json(kind: type[T], value: object) -> T:
    """Make a record of JSON values; ``from_json(Answer, to_json(answer)) == answer``.

    Fields with defaults may be missing, so that what an earlier version wrote can be read.

    Args:
        kind: A class of `ragkit.records`.
        value: What ``json.loads`` gave.

    Raises:
        ValueError: A field is missing, unknown or of another type; the message says which.
    """
    record: T = _decode(kind, value, kind.__name__)
    return record


def from_wire(kind: type[T], value: object) -> T:
    """Make a record of a server's JSON without trusting it.

    A field may be missing, null or of another kind: versions differ, and a zero is often left
    out. It then gets its default, or the empty value of its type. In a list, items of another
    kind are left out; fields that the record does not have are passed over.

    Where a text is expected, a list becomes its lines; where bytes are, a list of numbers is read.
    Times are RFC 3339 with an offset; digits beyond microseconds are cut off.

    Args:
        kind: A dataclass of texts, numbers, bytes, times, mappings, such dataclasses, and tuples
            of one of these; `wire` tells where a field is found.
        value: What ``json.loads`` gave.

    >>> from dataclasses import dataclass, field
    >>> @dataclass
    ... class Reply:
    ...     text: str
    ...     tokens: int | None = field(default=None, metadata=wire("eval_count"))
    >>> from_wire(Reply, {"text": None, "eval_count": 3, "new": True})
    Reply(text='', tokens=3)
    """
    record: T = _read(kind, value)
    return record


def wire(*places: str, then: Callable[[Any], Any] | None = None) -> Mapping[str, Any]:
    """Metadata of a field that `from_wire` does not find under the field's own name.

    Args:
        places: The first that can be read counts; ``a.b`` is ``b`` in the object ``a``, and an
            empty text the object itself. Without any the field is not read.
        then: Makes the field's value of what was read, which is of the field's type.
    """
    return {"wire": (places, then)}


def _decode(kind: _Type, value: _Json, where: str) -> _Made:
    origin, inner = _parts(kind)
    if is_dataclass(origin):
        return _record(kind, value, where)
    if origin is tuple:
        # `to_json` leaves tuples, which only a JSON text makes lists.
        items = value if isinstance(value, tuple) else _expect(list, value, where)
        return tuple(_decode(inner[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        items = _expect(dict, value, where)
        return {key: _decode(inner[1], item, f"{where}.{key}") for key, item in items.items()}
    if origin in _UNIONS:
        return None if value is None else _decode(_without_none(kind), value, where)
    if origin is Literal:
        return _one_of(inner, value, where)
    return value if kind is Any else _expect(kind, value, where)


def _record(kind: _Type, value: _Json, where: str) -> _Made:
    given = dict(_expect(dict, value, where))
    values = {}
    for field, hint in _fields(kind):
        if field.name in given:
            values[field.name] = _decode(hint, given.pop(field.name), f"{where}.{field.name}")
        elif _is_required(field):
            msg = f"{where}.{field.name} is missing"
            raise ValueError(msg)
    if given:
        msg = f"{where}.{min(given)} is not known to this version of ragkit"
        raise ValueError(msg)
    return kind(**values)


def _expect(kind: _Type, value: _Json, where: str) -> _Made:
    if not _is(kind, value):
        msg = f"{where} must be of type {kind.__name__}, not {type(value).__name__}"
        raise ValueError(msg)
    return value


def _one_of(choices: tuple[_Json, ...], value: _Json, where: str) -> _Json:
    if value not in choices:
        msg = f"{where} must be one of {', '.join(map(str, choices))}, not {value!r}"
        raise ValueError(msg)
    return value


def _read(kind: _Type, value: _Json) -> _Made:
    """A value as a type wants it; None where it cannot be read. A record can always be."""
    kind = _without_none(kind)
    origin, inner = _parts(kind)
    if is_dataclass(origin):
        found = {field.name: _found(field, hint, value) for field, hint in _fields(kind)}
        return kind(**{name: value for name, value in found.items() if value is not None})
    if origin is tuple:
        return _items(inner[0], value) if isinstance(value, list) else None
    if reader := _READERS.get(origin):
        return reader(value)
    return value if isinstance(value, origin) else None


def _found(field: Field[Any], hint: _Type, value: _Json) -> _Made:
    """What is read for a field; None for nothing, where the field has a default."""
    places, then = field.metadata.get("wire", ((field.name,), None))
    for place in places:
        at = value
        for name in place.split(".") if place else ():
            at = at.get(name) if isinstance(at, dict) else None
        if (found := _read(hint, at)) is not None:
            return then(found) if then else found
    return hint() if _is_required(field) else None


def _items(kind: _Type, values: list[_Json]) -> tuple[_Made, ...]:
    origin, _ = _parts(kind)
    if is_dataclass(origin):
        return tuple(_read(kind, value) for value in values if isinstance(value, dict))
    return tuple(value for value in values if isinstance(value, origin))


def _text(value: _Json) -> str | None:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return value if value and isinstance(value, str) else None


def _number(kind: type[float], value: _Json) -> float | None:
    return kind(value) if _is(float, value) else None


def _bytes(value: _Json) -> bytes | None:
    try:
        return bytes(value) if isinstance(value, list) else None
    except (TypeError, ValueError):
        return None


def _time(value: _Json) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return parsed if parsed.tzinfo and parsed.year > _NO_YEAR else None


_READERS: Mapping[_Type, Callable[[_Json], Any]] = {
    str: _text,
    int: partial(_number, int),
    float: partial(_number, float),
    bytes: _bytes,
    datetime: _time,
}


def _is(kind: _Type, value: _Json) -> bool:
    """Whether a value is of a kind; a whole number is a float, true is no number."""
    kinds = (int, float) if kind is float else kind
    return isinstance(value, kinds) and (kind is bool or not isinstance(value, bool))


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@cache
def _parts(kind: _Type) -> tuple[_Type, tuple[_Type, ...]]:
    """A type without its parameters, and these."""
    return get_origin(kind) or kind, get_args(kind)


@cache
def _without_none(kind: _Type) -> _Type:
    """A type without ``| None``."""
    origin, inner = _parts(kind)
    return next(k for k in inner if k is not NoneType) if origin in _UNIONS else kind


@cache
def _fields(kind: _Type) -> tuple[tuple[Field[Any], _Type], ...]:
    """The fields of a record, each with its type."""
    hints = get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in fields(kind))
