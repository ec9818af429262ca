"""The description of ragkit's own routes in OpenAPI 3.1, made of the operations themselves."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ragkit._version import __version__
from ragkit.serve.failures import json_reply
from ragkit.serve.json_schema import SchemaBook
from ragkit.serve.operations import BASE, BYTES, JSON, SSE, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ragkit.serve.json_schema import Schema
    from ragkit.serve.operations import Parameter

_KINDS: dict[str, Schema] = {
    "text": {"type": "string"},
    "number": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
    "bool": {"type": "boolean"},
}
_ALWAYS = {
    400: "Something was asked wrongly.",
    401: "The token is missing or wrong.",
    403: "This host, page or request is not let in.",
    500: "Something is wrong here; the server's log tells more.",
}
_SOMETIMES = {
    404: "There is no such index or job.",
    408: "Nothing of the body came for a minute.",
    409: "Something else is at work, or there already, or changed meanwhile.",
    413: "The body is too large, or leads beyond what all files may take.",
    415: "The body, or the document, is of a kind that is not taken.",
    429: "So much is being done already; `Retry-After` says when to ask again.",
    501: "An extra that this needs is not installed.",
    502: "A model failed.",
    503: "A model's server does not answer.",
    507: "The disk is full.",
}
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


class OpenAPIDocument:
    """Describes operations, among them the one that shows the description.

    Args:
        operations: The others.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        shown = Operation(
            "GET", "/openapi.json", self.show, "This description.", reply=dict[str, Any]
        )
        self.operations = [*operations, shown]

    @cached_property
    def content(self) -> dict[str, Any]:
        """The description, made when it is first asked for."""
        return describe(self.operations)

    async def show(self, _request: Request) -> Response:
        """The description."""
        return json_reply(self.content)


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """The OpenAPI document of operations, as JSON values."""
    book = SchemaBook()
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = BASE + operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation, book)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ragkit",
            "version": __version__,
            "description": "Indexes of documents: search, and answers with their proof.",
        },
        "paths": paths,
        "components": {
            "schemas": {**book.records, "Failure": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _described(operation: Operation, book: SchemaBook) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": operation.says,
        "responses": _responses(operation, book),
    }
    if operation.parameters:
        told["parameters"] = [_parameter(each) for each in operation.parameters]
    if operation.body is not None:
        content = {JSON: {"schema": book.of(operation.body)}}
        told["requestBody"] = {"required": True, "content": content}
    elif operation.takes == BYTES:
        told["requestBody"] = {"required": True, "content": {BYTES: {}}}
    return told


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.says,
        "required": parameter.is_required,
        "schema": dict(_KINDS[parameter.kind]),
    }


def _responses(operation: Operation, book: SchemaBook) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if operation.reply is not None:
        content[JSON] = {"schema": book.of(operation.reply)}
    if operation.events:
        named = {name: book.of(kind) for name, kind in operation.events.items()}
        content[SSE] = {"schema": _event_schema(list(named)), "x-events": named}
    if operation.other:
        content[operation.other] = {}
    told: dict[str, Any] = {
        str(operation.success): {"description": "It went well.", "content": content}
    }
    statuses = {*_ALWAYS, *operation.statuses, *((413, 415) if _has_body(operation) else ())}
    failure = {JSON: {"schema": {"$ref": "#/components/schemas/Failure"}}}
    for status in sorted(statuses):
        says = _ALWAYS.get(status) or _SOMETIMES[status]
        told[str(status)] = {"description": says, "content": failure}
    return told


def _event_schema(names: list[str]) -> Schema:
    """One event of a stream; ``x-events`` has what the JSON in ``data`` is, by its name."""
    return {
        "type": "object",
        "properties": {
            "event": {"type": "string", "enum": names},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
        "required": ["event", "data"],
    }


def _has_body(operation: Operation) -> bool:
    return operation.body is not None or operation.takes == BYTES
