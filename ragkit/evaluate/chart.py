"""A picture of figures with their intervals, as PNG or SVG."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragkit.errors import ConfigError
from ragkit.evaluate.intervals import need_extra
from ragkit.evaluate.summary import is_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ragkit.evaluate.intervals import Figure

_log = logging.getLogger(__name__)
ENDINGS = (".png", ".svg")
INCHES_A_ROW = 0.35
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Arial Unicode MS",
)
"""Fonts that common systems bring for a set's name in Chinese; matplotlib's own has no such."""


def plot(series: Mapping[str, Mapping[str, Figure]], file: Path) -> None:
    """Draw each series' figures that lie in [0, 1], a row a figure, with their intervals.

    Args:
        series: Name (a set, a setting) to figures.
        file: Ends in ``.png`` or ``.svg``.

    Raises:
        ConfigError: The extra ``evaluate`` is not installed, or the file's ending is another.
    """
    check_picture(file)
    need_extra()
    with _fonts(file):
        _draw(series, file)


def check_picture(file: Path) -> None:
    """Ask whether a picture can be drawn to a file, before it takes an hour to have one.

    Raises:
        ConfigError: The file's ending is not one of `ENDINGS`.
    """
    if file.suffix not in ENDINGS:
        msg = f"--plot {file}: the file must end in {' or '.join(ENDINGS)}"
        raise ConfigError(msg)


def _draw(series: Mapping[str, Mapping[str, Figure]], file: Path) -> None:
    from matplotlib.figure import Figure as Canvas

    names = list(dict.fromkeys(n for told in series.values() for n in told if is_share(n)))
    canvas = Canvas(figsize=(8, 1.5 + INCHES_A_ROW * len(names) * max(1, len(series) / 2)))
    axes = canvas.subplots()
    for i, (label, told) in enumerate(series.items()):
        rows = [(row, told[name]) for row, name in enumerate(names) if name in told]
        shift = 0.6 * ((i + 0.5) / len(series) - 0.5)
        axes.errorbar(
            [f.value for _, f in rows],
            [row + shift for row, _ in rows],
            xerr=[[f.value - f.low for _, f in rows], [f.high - f.value for _, f in rows]],
            fmt="o",
            capsize=3,
            label=label,
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("value, with its 95 % interval")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False)
    canvas.savefig(file, bbox_inches="tight", dpi=150)


@contextmanager
def _fonts(file: Path) -> Iterator[None]:
    """Fonts for the names of sets and settings; an SVG leaves them to those of its reader."""
    from matplotlib import font_manager, rc_context, rcParams

    installed = set(font_manager.get_font_names())
    families = [*rcParams["font.family"], *(font for font in CJK_FONTS if font in installed)]
    with (
        rc_context({"font.family": families, "svg.fonttype": "none"}),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        yield
    lacking = [w for w in caught if str(w.message).startswith("Glyph")]
    if lacking and file.suffix == ".png":
        _log.warning("%s: no font of this machine has all characters; an .svg needs none.", file)
    for other in (w for w in caught if w not in lacking):
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
