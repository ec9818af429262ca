"""Charts of office files (DrawingML): what they are called, and what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_TEXTS = (_A + "t", _A + "br", _A + "p")
_AXES = tuple(_C + axis for axis in ("catAx", "dateAx", "valAx", "serAx"))
_MOST_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """A series of a chart: its name, the names of its points, and their values as it has them."""

    name: str
    categories: list[str]
    values: list[str]


def chart_series(root: _Element) -> list[ChartSeries]:
    """The series of a chart, in their order."""
    return [
        ChartSeries(
            " ".join(_cached(series, "tx")),
            _cached(series, "cat") or _cached(series, "xVal"),
            _cached(series, "val") or _cached(series, "yVal"),
        )
        for series in root.iter(_C + "ser")
    ]


def chart_title(root: _Element) -> str:
    """The title of a chart, or ""."""
    title = root.find(f"{_C}chart/{_C}title")
    return plain_text(title) if title is not None else ""


def chart_line(root: _Element) -> str:
    """A chart in a line, without its values, which the cells hold that it shows; "" if unnamed."""
    axes = [plain_text(t) for axis in root.iter(*_AXES) for t in axis.iterfind(_C + "title")]
    names = [series.name for series in chart_series(root)]
    return written_chart(chart_title(root), axes, names)


def written_chart(title: str, axes: list[str], names: list[str]) -> str:
    """Write what a chart is called.

    >>> written_chart("Fees", ["Craft", ""], ["Day", "Night"])
    '[Chart: Fees; axes: Craft; series: Day, Night]'
    """
    said = [title, *_listed("axes", axes), *_listed("series", names)]
    return f"[Chart: {'; '.join(filter(None, said))}]" if any(said) else ""


def _listed(what: str, names: list[str]) -> list[str]:
    filled = ", ".join(filter(None, names))
    return [f"{what}: {filled}"] if filled else []


def plain_text(element: _Element) -> str:
    """The text of an element of DrawingML on one line."""
    parts = ((t.text or "") if t.tag == _A + "t" else " " for t in element.iter(*_TEXTS))
    return " ".join("".join(parts).split())


def _cached(series: _Element, kind: str) -> list[str]:
    """The values that a chart shows of a series: its name, categories or figures."""
    found = series.find(_C + kind)
    points = list(found.iter(_C + "pt")) if found is not None else []
    values = {int(p.get("idx", "0")): (p.findtext(_C + "v") or "").strip() for p in points}
    if not values and found is not None and (text := (found.findtext(_C + "v") or "").strip()):
        return [text]
    return [values.get(i, "") for i in range(min(max(values, default=-1) + 1, _MOST_POINTS))]
