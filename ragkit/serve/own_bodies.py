"""What the routes of ragkit's own are sent, and what it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.errors import InputError
from ragkit.records import NO_FILTER, Answer, Condition, Filter, Mode
from ragkit.serve.chat_history import cut_system, read_messages
from ragkit.serve.serving import ServedQuestion

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_HITS = 1000


@dataclass(frozen=True, slots=True)
class ConditionBody:
    """A condition on a document's metadata; `ragkit.records.Condition` says what it means."""

    field: str
    value: Any
    operator: str = "="


@dataclass(frozen=True, slots=True)
class RestrictBody:
    """Which documents may be found; `ragkit.records.Filter` says what it means."""

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    where: tuple[ConditionBody, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchBody:
    """What a search is asked. ``index``: its name; "" is the only one."""

    question: str
    index: str = ""
    k: int | None = None
    mode: Mode | None = None
    restrict: RestrictBody = RestrictBody()
    as_of: int | None = None


@dataclass(frozen=True, slots=True)
class TurnBody:
    """A question of a conversation and what was replied to it."""

    question: str
    text: str


@dataclass(frozen=True, slots=True)
class AskBody:
    """A question to be answered, in a conversation if there are turns before it.

    ``stream``: as events, else as one object. ``extractive``: quote, and ask no chat model.
    """

    question: str
    index: str = ""
    turns: tuple[TurnBody, ...] = ()
    system: str = ""
    stream: bool = True
    k: int | None = None
    mode: Mode | None = None
    restrict: RestrictBody = RestrictBody()
    extractive: bool = False
    strict: bool | None = None
    temperature: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class MessageBody:
    """A message of a conversation. ``role``: ``user``, ``assistant`` or ``system``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ConversationBody:
    """A conversation whose last message of a user is to be answered; else as `AskBody`."""

    messages: tuple[MessageBody, ...]
    index: str = ""
    stream: bool = True
    k: int | None = None
    mode: Mode | None = None
    restrict: RestrictBody = RestrictBody()
    extractive: bool = False
    strict: bool | None = None
    temperature: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class VerifyBody:
    """An answer that is to be checked again, as it was replied; somebody may have edited it."""

    answer: Answer
    index: str = ""


@dataclass(frozen=True, slots=True)
class WhyNotBody:
    """A passage that should have answered a question.

    ``path``: of a document of the index, or the end of it. ``page`` and ``text`` say where in it.
    ``answer``: if the passage was given, answer the question too, and tell whether it was used.
    """

    question: str
    path: str
    index: str = ""
    page: int | None = None
    text: str = ""
    restrict: RestrictBody = RestrictBody()
    answer: bool = False


def read_restriction(body: RestrictBody) -> Filter:
    """The filter that a body stands for.

    Raises:
        InputError: A condition is none.
    """
    if body == RestrictBody():
        return NO_FILTER
    conditions = []
    for condition in body.where:
        value = condition.value
        value = tuple(value) if isinstance(value, list) else value
        try:
            conditions.append(Condition(condition.field, condition.operator, value))  # type: ignore[arg-type]  # it is checked there
        except ValueError as exc:
            raise InputError(str(exc)) from exc
    return Filter(body.paths, body.kinds, tuple(conditions))


def checked_k(k: int | None) -> int | None:
    """A number of hits that may be asked for.

    Raises:
        InputError: It may not.
    """
    if k is not None and not 1 <= k <= MOST_HITS:
        msg = f"k must be from 1 to {MOST_HITS}, not {k}"
        raise InputError(msg)
    return k


def asked_question(asked: AskBody, most_messages: int) -> ServedQuestion:
    """The question of a body, with the turns before it.

    Raises:
        InputError: There are too many turns, or something else cannot be meant so.
    """
    if len(asked.turns) * 2 > most_messages:
        msg = f"{len(asked.turns)} turns are more than serve.max_messages allows"
        raise InputError(msg)
    turns = tuple((turn.question, turn.text) for turn in asked.turns)
    return ServedQuestion(
        asked.question,
        turns,
        cut_system(asked.system),
        _settings(asked),
        k=checked_k(asked.k),
        restrict=read_restriction(asked.restrict),
    )


def conversation_question(asked: ConversationBody, most_messages: int) -> ServedQuestion:
    """The last question of a conversation, with the turns before it.

    Raises:
        InputError: There is none, or there are too many messages.
    """
    given = [{"role": m.role, "content": m.content} for m in asked.messages]
    history = read_messages(given, most_messages)
    return ServedQuestion(
        history.question,
        history.turns,
        history.system,
        _settings(asked),
        k=checked_k(asked.k),
        restrict=read_restriction(asked.restrict),
    )


def _settings(asked: AskBody | ConversationBody) -> Mapping[str, Any]:
    values = {
        "search.mode": asked.mode,
        "answer.strict": asked.strict,
        "answer.temperature": asked.temperature,
        "answer.seed": asked.seed,
        "models.chat": "none" if asked.extractive else None,
    }
    return {name: value for name, value in values.items() if value is not None}
