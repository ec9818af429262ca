"""The JSON that a request brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from ragkit.decoding import from_json
from ragkit.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import Request

T = TypeVar("T")
_MOST_DIGITS = 15


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body.

    Raises:
        InputError: It is none.
    """
    body = await request.body()
    if not body.strip():
        msg = "missing request body"
        raise InputError(msg)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        msg = f"the body is no JSON: {exc}"
        raise InputError(msg) from exc
    if not isinstance(value, dict):
        msg = "the body must be a JSON object"
        raise InputError(msg)
    return value


async def read_body(request: Request, kind: type[T]) -> T:
    """A request's body as a record.

    Raises:
        InputError: A field is missing, unknown or of another type; the message says which.
    """
    value = await read_object(request)
    try:
        return from_json(kind, value)
    except ValueError as exc:
        raise InputError(str(exc).replace(f"{kind.__name__}.", "")) from exc


def given_text(body: dict[str, Any], *names: str) -> str:
    """The first text among some fields; "" if there is none.

    Raises:
        InputError: One is no text.
    """
    for name in names:
        value = body.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            msg = f"{name} must be a text"
            raise InputError(msg)
        return value
    return ""


def answer_settings(
    *,
    temperature: Any,  # noqa: ANN401 -- of a request
    seed: Any,  # noqa: ANN401 -- of a request
    tokens: Any,  # noqa: ANN401 -- of a request
) -> dict[str, Any]:
    """The settings that the options of a chat client stand for; None: not given.

    Args:
        temperature: Of the chat model.
        seed: Of its randomness.
        tokens: The longest answer; none or less: as the server is set.

    Raises:
        InputError: One is no number.
    """
    found = {
        "answer.temperature": temperature,
        "answer.seed": seed,
        "answer.reserve_tokens": tokens,
    }
    for name, value in found.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            msg = f"the option for {name} must be a number, not {value!r:.40}"
            raise InputError(msg)
    if tokens is not None and tokens <= 0:
        del found["answer.reserve_tokens"]
    return {name: value for name, value in found.items() if value is not None}


def query_text(request: Request, name: str) -> str:
    """A parameter of the address, "" if it is not there."""
    return request.query_params.get(name, "")


def query_number(request: Request, name: str, default: int) -> int:
    """A parameter of the address that is a whole number of at least 0.

    Raises:
        InputError: It is none.
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        msg = f"{name} must be a whole number, not {text!r:.40}"
        raise InputError(msg)
    return int(text)


def query_flag(request: Request, name: str) -> bool:
    """Whether a parameter of the address says that something is so.

    Raises:
        InputError: It says neither.
    """
    text = request.query_params.get(name, "")
    if text not in ("", "true", "false"):
        msg = f"{name} must be true or false, not {text!r:.40}"
        raise InputError(msg)
    return text == "true"
