"""What a search is restricted to: paths, kinds, and conditions on metadata."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ragkit.errors import FilterError, InputError, shown_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Scalar: TypeAlias = str | int | float | bool

Operator = Literal["=", "<", "<=", ">", ">=", "in"]

_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ].*)?)?)?")

_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field of a document's metadata must be.

    A field that has a list meets it if one of the items does. A number is compared with numbers,
    and with texts as it is written; case counts. Of a date as much is compared as was given, so
    that ``date <= 2024-03`` holds on all days of March. The field `MODIFIED` is the time of the
    document's file, in UTC.

    Args:
        field: The field's name.
        operator: How it is compared.
        value: With what; for ``in`` a tuple, of which one must be equal.

    Raises:
        InputError: There is no such operator, a value is no text, number or bool, or a tuple is
            given to an operator other than ``in``.

    Examples:
        >>> Condition("date", "<=", "2024-03").is_met_by("2024-03-31")
        True
        >>> Condition("year", "in", (2023, 2024)).is_met_by("2023")
        True
    """

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if not isinstance(self.field, str):
            msg = f"a field is the name of a value in metadata, not {shown_value(self.field)}"
            raise InputError(msg)
        if self.operator not in _COMPARED:
            msg = f"the operator {self.operator!r} is none of {', '.join(_COMPARED)}"
            raise InputError(msg)
        if isinstance(self.value, tuple) is not (self.operator == "in"):
            msg = (
                "with the operator 'in' goes a tuple of values, as ('Chen', 'Lee'), with any other "
                f"a single value: {self.operator!r} was given {shown_value(self.value)}"
            )
            raise InputError(msg)
        for value in values:
            if not isinstance(value, (str, int, float)) or value != value:
                msg = (
                    "a field is compared with a text, a number or a bool, not with "
                    f"{shown_value(value)}; "
                    "of a date give its isoformat()"
                )
                raise InputError(msg)

    def is_met_by(self, found: Scalar) -> bool:
        """Say whether a field's value, or an item of it, is what is asked for."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        compared = _COMPARED[self.operator]
        return any(compared(*pair) for pair in (_alike(found, v) for v in values) if pair)


def _alike(found: Scalar, wanted: Scalar) -> tuple[Any, Any] | None:
    """Two values in a form in which they compare, None if there is none."""
    text = str(wanted).lower() if isinstance(wanted, bool) else str(wanted)
    if isinstance(found, str):
        both_dates = _DATE.fullmatch(found) and _DATE.fullmatch(text)
        return (found[: len(text)] if both_dates else found), text
    try:
        return float(found), float(wanted)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Filter:
    """What a search is restricted to. Empty tuples restrict nothing; what is given must all hold.

    ``paths`` are shell globs over the document's relative path (``*`` crosses ``/``), of which one
    must match; ``kinds`` are document kinds such as ``pdf``; ``where`` are conditions on metadata.

    Raises:
        InputError: One of them is no tuple or list of texts, or of conditions.
    """

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        kinds: dict[str, type] = {"paths": str, "kinds": str, "where": Condition}
        for name, kind in kinds.items():
            given: object = getattr(self, name)
            if not isinstance(given, (tuple, list)) or not all(isinstance(g, kind) for g in given):
                one = "Condition('author', '=', 'Chen')" if kind is Condition else "'...'"
                msg = f"{name} of a Filter is a tuple, as {name}=({one},), not {given!r:.60}"
                raise InputError(msg)

    def __bool__(self) -> bool:
        """True where it restricts anything."""
        return bool(self.paths or self.kinds or self.where)

    def require_fields(self, known: Iterable[str]) -> None:
        """Refuse a condition on a field that is not known.

        Raises:
            FilterError: There is one; the message names the known ones.
        """
        known = sorted(known)
        for condition in self.where:
            if condition.field not in known:
                msg = (
                    f"no document has the field {condition.field!r}; "
                    f"the fields of this index: {', '.join(known)}"
                )
                raise FilterError(msg)


NO_FILTER = Filter()
