"""A route of ragkit's own together with what its description says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from starlette.routing import Route

from ragkit.serve.serving import Attended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.serve.serving import Handler

BASE = "/ragkit/v1"
JSON, SSE, PNG, BYTES = (
    "application/json",
    "text/event-stream",
    "image/png",
    "application/octet-stream",
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an address.

    Attributes:
        name: Its name.
        says: What it is, in a sentence.
        kind: A text, a whole number from 0, or whether something is so.
        is_required: Whether it must be given.
        where: In the path, or behind the question mark.
    """

    name: str
    says: str
    kind: Literal["text", "number", "bool"] = "text"
    is_required: bool = False
    where: Literal["query", "path"] = "query"


INDEX = Parameter("index", "The index; may be left out where one is served alone.")


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path, what answers it, and what it takes and gives.

    Attributes:
        method: Of HTTP.
        path: Below `BASE`.
        handler: Makes the reply.
        says: What it does, in a sentence.
        reply: The record that is replied; None where it is no JSON.
        body: The record that the body must be; None: there is no body.
        parameters: Of the address.
        events: What its stream of events has, by name; None: text of no fixed shape.
        other: The content type of a reply that is neither JSON nor events.
        takes: The content type of a body that is no JSON.
        statuses: Of errors, besides those that any route may give.
        success: The status of a reply.
        is_attended: Its work ends when its client goes.
    """

    method: str
    path: str
    handler: Handler
    says: str
    reply: Any = None
    body: type | None = None
    parameters: tuple[Parameter, ...] = ()
    events: Mapping[str, Any] = field(default_factory=dict)
    other: str = ""
    takes: str = JSON
    statuses: tuple[int, ...] = ()
    success: int = 200
    is_attended: bool = False

    def route(self) -> Route:
        """The route that does it."""
        endpoint = Attended(self.handler) if self.is_attended else self.handler
        return Route(BASE + self.path, endpoint, methods=[self.method])
