"""The JSON that a record is, as JSON Schema describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from inspect import getdoc
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

Schema: TypeAlias = dict[str, Any]

_PLAIN: dict[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    Any: {},
}


class SchemaBook:
    """The schemas of records, each written once and named by its class.

    Attributes:
        records: The schemas by the name of their record.
    """

    def __init__(self) -> None:
        self.records: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:  # noqa: ANN401 -- any annotation of a record
        """The schema of a type that records are made of.

        Raises:
            TypeError: It is none.
        """
        origin, inner = get_origin(kind) or kind, get_args(kind)
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if is_dataclass(origin):
            return self._record(origin)
        if origin is tuple:
            return {"type": "array", "items": self.of(inner[0])}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.of(inner[1])}
        if origin is Literal:
            return {"type": "string", "enum": list(inner)}
        if origin in (Union, UnionType):
            return {"anyOf": [self.of(each) for each in inner]}
        msg = f"{kind!r} is no type of a record"
        raise TypeError(msg)

    def _record(self, kind: Any) -> Schema:  # noqa: ANN401 -- a dataclass
        name = kind.__name__
        if name not in self.records:
            self.records[name] = {}  # a record may hold others of its kind
            hints = get_type_hints(kind)
            needed = [
                f.name
                for f in fields(kind)
                if f.default is MISSING and f.default_factory is MISSING
            ]
            self.records[name] = {
                "type": "object",
                "description": (getdoc(kind) or "").partition("\n")[0],
                "properties": {f.name: self.of(hints[f.name]) for f in fields(kind)},
                "required": needed,
                "additionalProperties": False,
            }
        return {"$ref": f"#/components/schemas/{name}"}
