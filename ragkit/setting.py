"""One setting: how it is declared, and what it takes for a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from ragkit.errors import ConfigError


def setting(
    default: Any,  # noqa: ANN401 -- dataclasses.field is typed so
    help_text: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> Any:  # noqa: ANN401 -- as above
    """Declare a setting: a dataclass field with its help and the bounds of its value."""
    return field(default=default, metadata={"help": help_text, "range": (least, most)})


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as `ragkit config` and the documentation show it."""

    name: str
    type: Any
    value: Any
    help: str
    env: str
    range: tuple[float | None, float | None] = (None, None)

    def accept(self, value: Any, source: str) -> Any:  # noqa: ANN401 -- of any setting
        """Give a value as the setting's type, text converted.

        Args:
            value: As it was set.
            source: Where it comes from, for error messages.

        Raises:
            ConfigError: It is not of the setting's type, or out of its range.
        """
        accepted = _convert(value, self.type, f"{source}: {self.name}")
        least, most = self.range
        if least is not None and not accepted >= least:  # NaN is no number to set either
            msg = f"{source}: {self.name} = {accepted}: must be at least {least}"
            raise ConfigError(msg)
        if most is not None and accepted > most:
            msg = f"{source}: {self.name} = {accepted}: must be at most {most}"
            raise ConfigError(msg)
        return accepted


_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _convert(value: Any, kind: Any, where: str) -> Any:  # noqa: ANN401, C901 -- one line a type
    msg = f"{where} = {value!r}: expected {_type_name(kind)}"
    try:
        if get_origin(kind) is Literal:
            if value in get_args(kind):
                return value
        elif get_origin(kind) is tuple:
            items = value.split(",") if isinstance(value, str) else value
            return tuple(str(item).strip() for item in items if str(item).strip())
        elif kind is bool:
            word = str(value).strip().lower()
            if word in _TRUE + _FALSE:
                return word in _TRUE
        elif kind is Path:
            return Path(value).expanduser()
        elif kind is int and not isinstance(value, (bool, float)):
            return int(value)
        elif kind is float and not isinstance(value, bool):
            return float(value)
        elif kind is str and isinstance(value, str):
            return value
    except (TypeError, ValueError) as exc:
        raise ConfigError(msg) from exc
    raise ConfigError(msg)


def _type_name(kind: Any) -> str:  # noqa: ANN401 -- a type as typing spells it
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "a list of texts"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a text")
