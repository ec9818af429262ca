"""Colours as CSS and the attributes of HTML write them."""

from __future__ import annotations

import colorsys
from typing import NamedTuple

from ragkit.text.patterns import late_pattern

_NAMES = {
    "white": "#ffffff", "snow": "#fffafa", "ivory": "#fffff0", "whitesmoke": "#f5f5f5",
    "ghostwhite": "#f8f8ff", "mintcream": "#f5fffa", "azure": "#f0ffff", "floralwhite": "#fffaf0",
    "black": "#000000", "red": "#ff0000", "green": "#008000", "blue": "#0000ff",
    "yellow": "#ffff00", "gray": "#808080", "grey": "#808080", "silver": "#c0c0c0",
    "navy": "#000080", "maroon": "#800000", "purple": "#800080", "teal": "#008080",
    "olive": "#808000", "lime": "#00ff00", "aqua": "#00ffff", "cyan": "#00ffff",
    "fuchsia": "#ff00ff", "magenta": "#ff00ff", "orange": "#ffa500", "beige": "#f5f5dc",
    "darkblue": "#00008b", "darkgreen": "#006400", "darkred": "#8b0000", "gold": "#ffd700",
    "lightgray": "#d3d3d3", "lightgrey": "#d3d3d3", "lightyellow": "#ffffe0",
    "transparent": "#00000000",
}  # fmt: skip
_HEX = late_pattern(r"#([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})\b")
_FUNCTION = late_pattern(r"(rgb|hsl)a?\(([^)]*)\)")
_PART = late_pattern(r"(\d+(?:\.\d+)?|\.\d+)(%?)")
_NEAR = 8
"""Difference of a colour channel, of 255, that nobody sees."""


class Colour(NamedTuple):
    """Red, green and blue in [0, 255], opacity in [0, 1]."""

    red: float
    green: float
    blue: float
    opacity: float

    def near(self, other: Colour) -> bool:
        """Say whether nobody tells the two apart."""
        return all(abs(a - b) <= _NEAR for a, b in zip(self[:3], other[:3], strict=True))


def css_colour(text: str) -> Colour | None:
    """Read the colour in a value of CSS or of an attribute; None where it is none known here.

    >>> css_colour("rgb(100%, 0%, 0%)"), css_colour("url(a.png)")
    (Colour(red=255.0, green=0.0, blue=0.0, opacity=1.0), None)
    """
    for word in text.split():
        text = _NAMES.get(word, text)
    if found := _HEX.search(text):
        digits = (found[1] if len(found[1]) > 4 else "".join(d * 2 for d in found[1])) + "ff"
        red, green, blue, opacity = (int(digits[i : i + 2], 16) for i in (0, 2, 4, 6))
        return Colour(red, green, blue, opacity / 255)
    if found := _FUNCTION.search(text):
        return _computed(found[1], _PART.findall(found[2]))
    return None


def _computed(space: str, parts: list[tuple[str, str]]) -> Colour | None:
    if len(parts) < 3:
        return None
    numbers = [float(number) for number, _ in parts[:3]]
    opacity = 1.0
    if len(parts) > 3:
        opacity = float(parts[3][0]) / (100 if parts[3][1] else 1)
    if space == "hsl":
        hue, saturation, lightness = numbers[0] / 360, numbers[1] / 100, numbers[2] / 100
        numbers = [255 * n for n in colorsys.hls_to_rgb(hue, lightness, saturation)]
    elif parts[0][1]:
        numbers = [n * 255 / 100 for n in numbers]
    red, green, blue = numbers
    return Colour(red, green, blue, opacity)
