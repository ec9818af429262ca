"""What ``ragkit evaluate`` prints: figures, their comparison, and what has changed."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import typer

from ragkit.cli.output import print_table, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.evaluate import Change, Difference, Figure


def print_figures(told: Mapping[str, Figure]) -> None:
    """Print figures as a table."""
    rows = [("figure", "value", "95 % interval", "questions")]
    for name, figure in told.items():
        form = _form(name)
        interval = f"{figure.low:{form}} to {figure.high:{form}}"
        rows.append((name, f"{figure.value:{form}}", interval, str(figure.count)))
    print_table(rows)


def print_differences(
    first: Mapping[str, Figure], second: Mapping[str, Figure], told: Mapping[str, Difference]
) -> None:
    """Print a comparison as a table; only values where no question has one of its own."""
    rows = [("figure", "before", "after", "difference, 95 % interval", "p")]
    for name in {**first, **second}:
        form = _form(name)
        before, after = (f"{f[name].value:{form}}" if name in f else "" for f in (first, second))
        change, p = "", ""
        if d := told.get(name):
            before, after, p = f"{d.first:{form}}", f"{d.second:{form}}", f"{d.p:.3f}"
            change = f"{d.second - d.first:+{form}}, {d.low:+{form}} to {d.high:+{form}}"
        rows.append((name, before, after, change, p))
    print_table(rows)


def print_changes(changes: Sequence[Change], asked_before: int) -> None:
    """Print what became of each question that is dealt with otherwise."""
    typer.echo(f"{len(changes)} of the {asked_before} asked before are dealt with otherwise")
    for change in changes:
        typer.echo(f"\n{shortened(change.text)}")
        if change.refused is not None:
            typer.echo("  now refused" if change.refused else "  no longer refused")
        for sign, passages in (("-", change.lost), ("+", change.gained)):
            for passage in passages:
                typer.echo(f"  {sign} {passage}")
        if change.before is not None and change.after is not None:
            typer.echo(f"  before: {shortened(change.before)}")
            typer.echo(f"  now:    {shortened(change.after)}")


def plain(value: Any) -> Any:  # noqa: ANN401 -- whatever a report holds
    """Turn the records within lists and mappings into JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def _form(name: str) -> str:
    from ragkit.evaluate import is_share

    return ".4f" if is_share(name) else ".1f"
