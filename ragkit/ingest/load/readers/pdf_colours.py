"""The colour that a PDF fills with, as far as it can be told, whatever the colour space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Dictionary: TypeAlias = Mapping[str, Any]

RGB: TypeAlias = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

WHITE: RGB = (1.0, 1.0, 1.0)
BLACK: RGB = (0.0, 0.0, 0.0)
_NEAR = 0.015
_NO_INK = 0.01
_OPERATORS = {b"g": "/DeviceGray", b"rg": "/DeviceRGB", b"k": "/DeviceCMYK"}
_GRAY = ("/DeviceGray", "/CalGray", "/G")
_DEEPEST = 4


def is_near(one: RGB | None, other: RGB | None) -> bool:
    """Say whether two colours are known, and nobody tells them apart."""
    if one is None or other is None:
        return False
    return all(abs(a - b) <= _NEAR for a, b in zip(one, other, strict=True))


def direct_colour(operator: bytes, numbers: Sequence[float]) -> RGB | None:
    """The colour that ``g``, ``rg`` or ``k`` sets; None if its operands are not sound."""
    return colour_in(_OPERATORS[operator], numbers)


def first_colour(space: object) -> RGB | None:
    """The colour that choosing a space alone sets: black, full ink, or a pattern not known."""
    family = _family(space)
    return None if family in ("/Pattern", "/Separation", "/DeviceN") else BLACK


def colour_in(space: object, numbers: Sequence[float], depth: int = 0) -> RGB | None:
    """A colour of a colour space; None where it cannot be told (a pattern, a function).

    Args:
        space: The name or array of the colour space, resolved.
        numbers: The components.
        depth: How many spaces led here.
    """
    family, parts = _family(space), space if isinstance(space, (list, tuple)) else [space]
    if depth > _DEEPEST or not numbers:
        return None
    if family in _GRAY and len(numbers) == 1:
        return (numbers[0],) * 3
    if family in ("/DeviceRGB", "/CalRGB", "/RGB") and len(numbers) == 3:
        return numbers[0], numbers[1], numbers[2]
    if family in ("/DeviceCMYK", "/CMYK") and len(numbers) == 4:
        cyan, magenta, yellow, black = numbers
        return tuple(max(0.0, 1 - n - black) for n in (cyan, magenta, yellow))  # type: ignore[return-value]
    if family == "/Lab":
        return (numbers[0] / 100,) * 3 if not any(abs(n) > 2 for n in numbers[1:]) else None
    if family == "/ICCBased":
        names = {1: "/DeviceGray", 3: "/DeviceRGB", 4: "/DeviceCMYK"}
        return colour_in(names.get(len(numbers)), numbers, depth + 1)
    return _special(family, parts, numbers, depth)


def _special(family: str, parts: Sequence[Any], numbers: Sequence[float], depth: int) -> RGB | None:
    if family == "/Separation" and str(parts[1]) == "/None":
        return WHITE
    if family in ("/Separation", "/DeviceN"):
        if all(n <= _NO_INK for n in numbers):
            return WHITE
        return _tinted(parts, numbers, depth) if len(parts) > 3 else None
    if family == "/Indexed" and len(parts) > 3:
        return _looked_up(parts, int(numbers[0]), depth)
    return None


def _tinted(parts: Sequence[Any], numbers: Sequence[float], depth: int) -> RGB | None:
    """A spot colour by its function, where that goes straight from no ink to full ink."""
    function = _resolved(parts[3])
    if len(numbers) != 1 or not hasattr(function, "get") or function.get("/FunctionType") != 2:
        return None
    ends = [[float(n) for n in function.get(key, [d])] for key, d in (("/C0", 0.0), ("/C1", 1.0))]
    share = numbers[0] ** float(function.get("/N", 1))
    mixed = [low + share * (high - low) for low, high in zip(*ends, strict=False)]
    return colour_in(_resolved(parts[2]), mixed, depth + 1)


def _looked_up(parts: Sequence[Any], index: int, depth: int) -> RGB | None:
    base, table = _resolved(parts[1]), _resolved(parts[3])
    data = table.get_data() if hasattr(table, "get_data") else table
    if isinstance(data, str):
        data = getattr(table, "original_bytes", data.encode("latin-1", "replace"))
    family = _family(base)
    count = 1 if family in _GRAY else 4 if "CMYK" in family else 3
    if family == "/ICCBased":
        profile = _resolved(base[1]) if isinstance(base, (list, tuple)) else {}
        count = int(profile.get("/N", 3)) if hasattr(profile, "get") else 3
    cell = data[index * count : (index + 1) * count]
    return colour_in(base, [byte / 255 for byte in cell], depth + 1) if len(cell) == count else None


def _family(space: object) -> str:
    if isinstance(space, (list, tuple)):
        return str(space[0]) if space else ""
    return str(space)


def _resolved(value: Any) -> Any:  # noqa: ANN401 -- any PDF object
    return value.get_object() if hasattr(value, "get_object") else value
