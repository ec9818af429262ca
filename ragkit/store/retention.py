"""Which generations of an index are kept, for every store."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def as_moment(text: str) -> datetime:
    """A moment as an index has it, ISO 8601; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def moment_text(moment: datetime) -> str:
    """A moment for people: local, but at the ends of the calendar in its own zone."""
    with suppress(ValueError, OverflowError):
        moment = moment.astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def choose_kept(
    closed: Iterable[tuple[int, str]], *, last: int, days: int, now: datetime
) -> set[int]:
    """The generations that retention keeps.

    Args:
        closed: The id of each closed generation, and when it ended, ISO 8601.
        last: How many of the newest are kept.
        days: Of how many days, today's counted, the last one is kept too; days are local ones.
        now: The present moment.
    """
    newest_first = sorted(closed, reverse=True)
    kept = {generation for generation, _ in newest_first[:last]}
    today = now.astimezone().date()
    first_day = today - min(timedelta(days=days - 1), today - date.min)
    seen = set()
    for generation, ended in newest_first:
        day = as_moment(ended).astimezone().date()
        if day >= first_day and day not in seen:
            seen.add(day)
            kept.add(generation)
    return kept
